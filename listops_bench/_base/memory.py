"""Memory that a loop frees and takes again, and memory that stays."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def uncollected() -> Iterator[None]:
    """Has nobody look for cycles in what is made: it stays, and has none. A sixth of the time of reading a board.

    Afterwards it counts as old, so that it is not looked through at once.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        if collects:
            gc.enable()
