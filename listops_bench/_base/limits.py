"""Limits on what strangers have us compute, in a process of its own or in that of a command."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from listops_bench._base.text import one_line
from listops_bench.errors import EnvironmentFailed, InvalidInput, system_error

MEMORY_BYTES = 4 * 2**30
"""What evaluating a checkpoint on the CPU may take beside the libraries."""


def limit_memory(num_bytes: int) -> tuple[int, int] | None:
    """Limits what this process writes to, from now on. No core dumps.

    Returns:
        The limits before; None where nothing was limited: on a GPU, whose driver takes address space as it likes, and
        on systems that keep no such limits.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return None
    with suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource

        before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        status = Path("/proc/self/status").read_text(encoding="ascii")
        taken = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData:"))
        most = taken + num_bytes if before[1] < 0 else min(taken + num_bytes, before[1])
        resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
        return before
    return None


@contextmanager
def limits_of_strangers(what: str, num_bytes: int = MEMORY_BYTES) -> Iterator[None]:
    """Inside, this process takes so much more memory at the most, and whatever a model does is one line.

    Args:
        what: stands in front of errors: ``"checkpoint 'org/name'"``.

    Raises:
        InvalidInput: in place of every error but those of disks and networks.
    """
    before = limit_memory(num_bytes)
    try:
        yield
    except (InvalidInput, EnvironmentFailed):
        raise
    except Exception as error:
        found = system_error(error)
        if found is not None and found.errno != errno.ENOMEM:
            raise
        raise InvalidInput(f"{what} cannot be run: {one_line(error, with_type=True)}") from error
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, before)
