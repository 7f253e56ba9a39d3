"""Requests to end: SIGTERM, SIGHUP and SIGINT, a launcher or parent that is gone, a time that is up.

Whatever works in steps asks a `StopRequest` before each, saves where it is and raises `Stopped`. Nothing here imports
more than the standard library: a process can be watched before it imports what takes seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

EXIT_TIME_IS_UP = 4
"""The exit code of what a time limit has ended; after a signal it is 128 and the signal's number, as shells have it."""

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name))

SECONDS_TO_SAVE, SECONDS_OF_AN_ORPHAN = 60.0, 20.0
"""What a process that was asked to end has to save where it is, before it is killed: by its parent, or without one."""

_PARENT = os.getppid()
_LAUNCHED = any(name in os.environ for name in ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID"))
_SECONDS_OF_ONE_REQUEST = 5.0 if _LAUNCHED else 1.0
"""`timeout`, schedulers and launchers send a signal to a group, and then to each process of it: one request."""


class Stopped(BaseException):
    """What was asked to end has saved what it had. No `Exception`: what outlives a run that failed ends with this.

    Attributes:
        code: the exit code to end with.
    """

    def __init__(self, code: int, what: str) -> None:
        super().__init__(f"{what}: {reason(code)}")
        self.code = code


def reason(code: int) -> str:
    """``SIGTERM``, or ``the time limit``."""
    return "the time limit" if code == EXIT_TIME_IS_UP else signal.Signals(code - 128).name


def never() -> int:
    """For what nobody asks to end."""
    return 0


class StopRequest:
    """Whether this process was asked to end. Inside ``with``, a signal asks, and a second one ends the process at once.

    Called, it gives the exit code to end with, 0 to go on. A signal that is ignored stays so (``nohup``).

    Args:
        seconds: a time limit, from now on.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._code = 0
        self._asked = 0.0
        self._raises = False
        self._previous: dict[int, Any] = {}
        self.deadline = None if seconds is None else time.monotonic() + seconds

    def __call__(self) -> int:
        if not self._code and self.seconds_left <= 0:
            self._code = EXIT_TIME_IS_UP
        if not self._code and self._previous and _LAUNCHED and os.getppid() != _PARENT:
            self._code = 128 + signal.SIGTERM  # a launcher that was killed cannot hand a signal on
        return self._code

    @property
    def seconds_left(self) -> float:
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere signals are for the caller to look after
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
            if self.deadline is not None and hasattr(signal, "SIGALRM"):
                self._previous[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._handle)
                signal.setitimer(signal.ITIMER_REAL, max(self.seconds_left, 1e-3))
        return self

    def __exit__(self, *error: object) -> None:
        if getattr(signal, "SIGALRM", None) in self._previous:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if number == getattr(signal, "SIGALRM", None):
            self._code = self._code or EXIT_TIME_IS_UP
        elif self._code and now - self._asked > _SECONDS_OF_ONE_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not self._code:
            self._code, self._asked = 128 + number, now
        if self._raises:
            raise Stopped(self._code, "stopped")

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Inside, a request ends at once what is going on: there is nothing to save."""
        if self():
            raise Stopped(self(), "stopped")
        self._raises = True
        try:
            yield
        finally:
            self._raises = False


def die_quietly() -> None:
    """Has Ctrl-C end this process without a traceback until a `StopRequest` begins: there is nothing to save yet."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


# --- processes that end with the one that started them ----------------------------------------------------------------


def end_with_stdin() -> None:
    """Has this process asked to end when its standard input does: a pipe whose other end its parent holds.

    A parent that is killed closes it too. What does not end by itself is ended some seconds later.
    """

    def watch() -> None:
        while True:
            try:
                if not os.read(sys.__stdin__.fileno() if sys.__stdin__ else 0, 1):
                    break
            except OSError:
                break
        _end()

    threading.Thread(target=watch, daemon=True).start()


def end_with_parent(seconds: float = 1.0) -> None:
    """The same where the parent is a launcher, which hands over no pipe: looks for it now and then."""

    def watch() -> None:
        while os.getppid() == _PARENT:
            time.sleep(seconds)
        _end()

    threading.Thread(target=watch, daemon=True).start()


def _end() -> None:
    if hasattr(os, "killpg"):
        os.kill(os.getpid(), signal.SIGTERM)
    else:  # on Windows that would end this process with nothing saved
        signal.raise_signal(signal.SIGTERM)
    time.sleep(SECONDS_OF_AN_ORPHAN)
    os._exit(128 + signal.SIGTERM)
