"""Memory that a loop frees and takes again."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> None:
    """From now on this process keeps up to 256 MiB of what it has freed, in blocks of up to 32 MiB, to use it again.

    By itself glibc sets these limits from what happened to be freed before. A training step may then give its
    activations back to the system and take them again page by page: 7% of the time of a step of looped_d048, or
    nothing, by the order of allocations before it. Other C libraries are left as they are.
    """
    try:
        set_limit = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_limit(_TRIM_THRESHOLD, 256 << 20)
    set_limit(_MMAP_THRESHOLD, 32 << 20)
