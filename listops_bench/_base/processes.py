"""Commands side by side, each in a process of its own, none of which outlives us.

A command that fails is noted and the others go on. Whatever ends the caller's loop (a signal, a time limit, an error)
asks the processes that still run to end, with everything that they started, and kills them if they do not. One that
calls `stopping.end_with_stdin` ends also where we are killed: it is then at the end of its input.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from listops_bench._base.stopping import SECONDS_TO_SAVE, Stopped, StopRequest

Status = Literal["waiting", "running", "done", "failed"]

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
"""The environment of processes that share the cores: for small models a second thread costs more than it brings."""

OWN_GROUP: dict[str, Any] = {
    "start_new_session": True,
    "creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
}
"""Options of ``Popen``: Ctrl-C reaches this process alone. The first counts on POSIX, the second on Windows."""

GRACE_SECONDS = SECONDS_TO_SAVE


def own_python() -> list[str]:
    """The first words of a command that runs our code: with `own_imports`, nothing comes from its working directory,
    which may be a stranger's."""
    return [sys.executable, "-P"]


def own_imports() -> dict[str, str]:
    """The environment in which a child imports from where this process does; the place of this package stands for the
    working directory."""
    return {"PYTHONPATH": os.pathsep.join([*filter(os.path.isabs, sys.path), str(Path(__file__).parents[2])])}


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that works for strangers: no tokens, keys or passwords."""
    return {name: value for name, value in environment.items() if not _SECRET.search(name)}


_SECRET = re.compile(
    r"(?:^|_)(?:TOKENS?|SECRETS?|(?:API_?)?KEYS?|PASSW(?:OR)?D|CREDENTIALS?|AUTH)(?:_|$)", re.IGNORECASE
)


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
            # A group of its own: where there is `killpg`, one signal reaches it with all its children.
            self._process = subprocess.Popen(
                list(self.words),
                stdin=subprocess.PIPE,  # never written to: it ends when we do
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                **OWN_GROUP,
            )
        self.status, self._started = "running", time.monotonic()

    def poll(self) -> None:
        """Notes what has become of it."""
        if self._process is None or self.status != "running":
            return
        self.seconds = time.monotonic() - self._started
        self.exit_code = self._process.poll()
        if self.exit_code is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self.status = "done" if self.exit_code == 0 else "failed"

    def end(self, *, kill: bool = False) -> None:
        """Asks it to end, or ends it. On Windows, where signals end a process at once, a closed input asks."""
        if self._process is None or self._process.poll() is not None:
            return
        if hasattr(os, "killpg"):
            os.killpg(self._process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        elif kill:
            self._process.kill()
        elif self._process.stdin is not None:
            self._process.stdin.close()

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
    stop: StopRequest | None = None,
) -> None:
    """Runs all waiting commands in their order, so many at a time, and calls ``on_tick`` while they run.

    Args:
        stop: asks us to end; by default, signals do.

    Raises:
        Stopped: we were asked to end; all commands have ended by then.
    """
    with nullcontext(stop) if stop is not None else StopRequest() as asked:
        try:
            while any(command.status in ("waiting", "running") for command in commands):
                if asked():
                    raise Stopped(asked(), "stopped")
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
    for kill in (False, True):
        for command in commands:
            command.end(kill=kill)
        deadline = time.monotonic() + GRACE_SECONDS
        for command in commands:
            command.wait(max(0.0, deadline - time.monotonic()))
            command.poll()
