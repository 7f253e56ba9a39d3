"""Commands side by side, each in a process of its own, none of which outlives us.

A command that fails is noted and the others go on. Whatever ends the caller's loop (Ctrl-C, SIGTERM, an error) ends the
processes that still run, with everything that they started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal

Status = Literal["waiting", "running", "done", "failed"]

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""The environment of processes that share the cores: for small models a second thread costs more than it brings."""

GRACE_SECONDS = 5.0
"""What a process has to finish what it is writing after it was asked to end."""


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@dataclass
class Command:
    """One command, in a process of its own.

    Attributes:
        name: for people.
        words: the program and its arguments.
        log: the file that its output goes to.
        status: ``done`` after exit code 0, ``failed`` after any other; a command handed over as ``done`` is left alone.
        seconds: how long it has run, or ran.
    """

    name: str
    words: Sequence[str]
    log: Path
    status: Status = "waiting"
    exit_code: int | None = None
    seconds: float = 0.0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _started: float = 0.0

    def start(self, environment: Mapping[str, str]) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches us alone, and one signal reaches it with all its children.
            self._process = subprocess.Popen(
                list(self.words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )
        self.status, self._started = "running", time.monotonic()

    def poll(self) -> None:
        """Notes what has become of it."""
        if self._process is None or self.status != "running":
            return
        self.seconds = time.monotonic() - self._started
        self.exit_code = self._process.poll()
        if self.exit_code is not None:
            self.status = "done" if self.exit_code == 0 else "failed"

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def wait(self, seconds: float) -> None:
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)

    def last_line(self) -> str:
        """The last line of its output: where it failed, mostly the reason."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        return last if self.exit_code is None or self.exit_code >= 0 else f"killed by signal {-self.exit_code}; {last}"


def run_commands(
    commands: Sequence[Command],
    *,
    at_once: int,
    environment: Mapping[str, str],
    on_tick: Callable[[], None] = lambda: None,
    interval: float = 0.5,
) -> None:
    """Runs all waiting commands in their order, so many at a time, and calls ``on_tick`` while they run."""
    with _interrupted_by_sigterm():
        try:
            while any(command.status in ("waiting", "running") for command in commands):
                for command in commands:
                    if command.status == "waiting" and sum(other.status == "running" for other in commands) < at_once:
                        command.start(environment)
                time.sleep(interval)
                for command in commands:
                    command.poll()
                on_tick()
        finally:
            _stop([command for command in commands if command.status == "running"])


def _stop(commands: Sequence[Command]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for command in commands:
            command.signal(number)
        deadline = time.monotonic() + GRACE_SECONDS
        for command in commands:
            command.wait(max(0.0, deadline - time.monotonic()))


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Makes a request to end (from a scheduler, a closing terminal) what Ctrl-C is: an exception that cleans up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # signals belong to the main thread; elsewhere it is for the caller to stop us
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
