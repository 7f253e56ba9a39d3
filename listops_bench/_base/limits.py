"""Limits on what strangers have us compute, in a process of its own or in that of a command."""

from __future__ import annotations

import errno
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from listops_bench._base.text import one_line
from listops_bench.errors import EnvironmentFailed, InvalidInput, OutOfTime, system_error

MEMORY_BYTES = 4 * 2**30
"""What evaluating a checkpoint on the CPU may take beside the libraries."""
SECONDS = 600.0
"""What opening a checkpoint, or answering one split, may take."""
_SECONDS_TO_THE_NEXT = 10.0


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


class _TimeIsUp(BaseException):
    """Nothing on the way takes it for what a model does."""


def _ring(number: int, frame: FrameType | None) -> None:
    raise _TimeIsUp


@contextmanager
def _alarm(seconds: float) -> Iterator[Callable[[], None]]:
    """Inside, `_TimeIsUp` is raised so long after the last call of what is given; not on Windows, nor in a thread.

    It is raised again where it is lost: in a destructor, say.
    """
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def start() -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds, _SECONDS_TO_THE_NEXT)

    before = signal.signal(signal.SIGALRM, _ring)
    try:
        start()
        yield start
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def limits_of_strangers(
    what: str, num_bytes: int = MEMORY_BYTES, seconds: float = SECONDS
) -> Iterator[Callable[[], None]]:
    """Inside, this process takes so much more memory and time at the most, and whatever a model does is one line.

    What is given is called where a split or stage begins, each of which has its time.

    Args:
        what: stands in front of errors: ``"checkpoint 'org/name'"``.

    Raises:
        OutOfTime: the time is up.
        InvalidInput: in place of every error but those of disks and networks.
    """
    before = limit_memory(num_bytes)
    try:
        with _alarm(seconds) as start:
            yield start
    except _TimeIsUp:
        raise OutOfTime(f"{what} took more than {seconds:,.0f} s for being opened, or for one split or stage") from None
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
