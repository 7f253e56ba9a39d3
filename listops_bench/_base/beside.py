"""Work beside other work, in a copy of this process."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import warnings
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from typing import TypeVar

from listops_bench._base.processes import usable_cores

T = TypeVar("T")


def beside(work: Callable[[], T]) -> Callable[[], T]:
    """Begins some work in a copy of this process, and returns a function that waits for what it gives or raises.

    Everything that is in memory is there without being sent; what comes back is pickled. Where a process cannot safely
    be copied (it has threads, or torch's), or has no second core, the work is done here, when it is asked for.
    """
    if sys.platform != "linux" or usable_cores() < 2 or threading.active_count() > 1 or "torch" in sys.modules:
        return cache(work)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(work, sender), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's idle threads know how to be copied
        process.start()
    sender.close()

    def wait() -> T:
        try:
            found, error = receiver.recv()
        except EOFError:  # the copy was killed
            return work()
        process.join()
        if error is not None:
            raise error
        return found

    return cache(wait)


def _send(work: Callable[[], T], sender: Connection) -> None:
    try:
        sender.send((work(), None))
    except Exception as error:
        sender.send((None, error))
