"""One command line in a forked process with limits, and what came of it.

The parent has imported everything and made each verb run once, so an attempt costs what the verb costs.
"""

from __future__ import annotations

import os
import queue
import re
import resource
import select
import signal
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from listops_bench.cli import command
from listops_bench.evaluate import _examined
from listops_bench.evaluate.examiner import Examiner, _read
from listops_bench.sweep import _cost

GIGABYTE = 1 << 30
OUTCOMES = ("accepted", "refused", "noisy", "traceback", "hang", "killed")
OUTPUTS = ("stdout", "stderr", "watched")
_PROGRESS = re.compile(r"scoring |drawing$|c: [\w ]+$")
_UNPICKLED = ("numba", "numpy", "copyreg", "listops_bench", "builtins.object")  # by numba, from its own cache


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        kind: one of `OUTCOMES`: "refused" is in one line (beside those of files that are left out), "noisy" in several.
        code: exit code; minus a signal's number.
        err: the end of stderr.
        watched: what the process did that reading must not do: writing elsewhere, connections, unpickling, programs.
    """

    kind: str
    code: int
    err: str
    watched: tuple[str, ...]


def run(words: list[str], folder: Path, *, seconds: float, num_bytes: int, allowed: tuple[Path, ...]) -> Outcome:
    """Runs a command line in a process of its own, which has a folder for its working directory.

    Args:
        seconds: of processor time; ten times as long on the clock.
        num_bytes: memory beyond what the parent has.
        allowed: where it may write, beside its folder.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = _work(words, folder, seconds, num_bytes, (folder, *allowed))
        finally:
            os._exit(code)
    handle = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    in_time = bool(poll.poll(seconds * 10_000))
    os.close(handle)
    if not in_time:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # what it has started and left behind
    return _judge(os.waitstatus_to_exitcode(status), in_time, folder)


def _work(words: list[str], folder: Path, seconds: float, num_bytes: int, allowed: tuple[Path, ...]) -> int:
    os.setsid()
    os.chdir(folder)
    for number, name in enumerate(("/dev/null", *OUTPUTS)):
        handle = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(handle, number if number < 3 else 9)
    status = Path("/proc/self/status").read_text()
    size = int(status.partition("VmData:")[2].split()[0]) * 1024 + num_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_FSIZE, (GIGABYTE, GIGABYTE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, int(used + seconds) + 2))
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(n), "w", encoding="utf-8", errors="backslashreplace") for n in (1, 2))
    _cost.estimate = lambda *arguments: []  # times some steps: seconds
    Examiner.start = _start_forked  # type: ignore[method-assign]
    _watch([str(path) for path in allowed])
    try:
        return command.main(words)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 98
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


class _Forked:
    """What an `Examiner` needs to know of its process, which has imported everything already: seconds are saved."""

    def __init__(self, memory_bytes: int) -> None:
        asked, answered = os.pipe(), os.pipe()
        self.pid, self.code = os.fork(), None
        if self.pid == 0:
            os.dup2(asked[0], 0)
            os.dup2(answered[1], 1)
            os.closerange(3, 9)
            os.closerange(10, 100)
            sys.argv = ["", str(memory_bytes)]
            os.environ.update(TRANSFORMERS_OFFLINE="1", USE_HUB_KERNELS="0")
            try:
                _examined.main()
            finally:
                os._exit(1)
        os.close(asked[0])
        os.close(answered[1])
        self.stdin, self.stdout = os.fdopen(asked[1], "wb"), os.fdopen(answered[0], "rb")

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self) -> int:
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _start_forked(self: Any) -> None:
    if self._process is not None and self._process.poll() is None:
        return
    self.close()
    self._process, self._lines = _Forked(self._memory_bytes), queue.Queue()
    threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()


def _watch(allowed: list[str]) -> None:
    """Notes from here on what this process does beyond reading, computing and writing where it may."""

    def note(text: str) -> None:
        os.write(9, (" ".join(text.split())[:300] + "\n").encode("utf-8", "replace"))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            place = os.path.realpath(arguments[0])
            if not place.startswith((*allowed, "/dev/")) and "__pycache__" not in place:
                note(f"writes {place}")
        elif event in ("socket.connect", "os.system", "os.exec", "os.posix_spawn") or (
            event == "pickle.find_class" and not ".".join(map(str, arguments)).startswith(_UNPICKLED)
        ):
            note(f"{event} {arguments!r:.200}")
        elif event == "subprocess.Popen" and str(arguments[0]) not in (sys.executable, "git"):
            note(f"starts {arguments[0]} {arguments[1]!r:.200}")

    sys.addaudithook(hook)


def _judge(code: int, in_time: bool, folder: Path) -> Outcome:
    out, err, watched = ((folder / name).read_text("utf-8", "replace") for name in OUTPUTS)
    lines = [line for line in err.splitlines() if line and not _PROGRESS.match(line)]
    if "Traceback (most recent call last)" in err + out:
        kind = "traceback"
    elif not in_time or code in (-signal.SIGXCPU, -signal.SIGKILL):
        kind = "hang"
    elif code == 0:
        kind = "accepted"
    elif code not in (1, 2, 3):
        kind = "killed"
    else:
        *others, last = lines or [""]
        plain = all(len(line) < 2000 and line.isprintable() for line in lines)
        kind = "refused" if last and plain and all(line.startswith("left out: ") for line in others) else "noisy"
    return Outcome(kind, code, err[-3000:], tuple(watched.splitlines()))
