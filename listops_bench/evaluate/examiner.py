"""A process of its own for strangers' checkpoints: whatever goes wrong with one there is one line here.

    parent                                   child (`_examined`): no network, no standard output, limits of memory
    {"folder": ..., "asked": "look"}     ->  opens the checkpoint
                                         <-  {"found": what it says of itself}
    {"members": ..., "asked": "score"}   ->  evaluates some on one task
                                         <-  {"split": ["sum", "test"]} ... {"found": [{"results": ...}]}

Messages are lines of JSON, read by their types. The child is started once and asked many times; one that has ended, or
said nothing for too long, is replaced. It costs what importing torch costs, so `start` it before anything heavy is
imported here: nothing that this module imports is.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from listops_bench._base import records
from listops_bench._base.limits import MEMORY_BYTES, SECONDS
from listops_bench._base.processes import OWN_GROUP, own_imports, own_python, without_secrets
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.result.format import Architecture, Model, Recipe, Result
from listops_bench.runs.record import Learning, Parameters, Training
from listops_bench.tasks.pages import own_pages, remember_pages
from listops_bench.tasks.task import get_task

ROWS_SECONDS = 120.0
"""What drawing the rows of a split may take; those of our own pages take two."""
_START = "from listops_bench.evaluate._examined import main; main()"
_MAX_MESSAGE = 64_000_000

OnSplit = Callable[[str, str], None]


@dataclass(frozen=True)
class Description:
    """What a checkpoint says of itself, without the model."""

    identity: Model
    recipe: Recipe
    parameters: Parameters
    architecture: Architecture
    training: Training | None
    learning: dict[str, Learning]
    tensors_sha256: str


@dataclass(frozen=True)
class SplitRows:
    """The rows of a split: their checksum, and how many are in each group of each slice."""

    sha256: str
    groups: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Outcome:
    """What scoring one of some checkpoints came to: its results, or what is wrong with it."""

    results: list[Result]
    error: str | None = None


class Examiner:
    """Asks the process; one question at a time.

    Args:
        seconds: how long it may say nothing.
        memory_bytes: what it may take beside the libraries, where the system keeps such a limit (Linux).
    """

    def __init__(self, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds, self._memory_bytes = seconds, memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._turn = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process; None where none was started, or it was ended."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the process, where none runs, and does not wait for it."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "USE_HUB_KERNELS": "0"}
        self._process = subprocess.Popen(
            [*own_python(), "-c", _START, str(self._memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**without_secrets(os.environ), **offline, **own_imports()},
            **OWN_GROUP,  # Ctrl-C is for us, and we close it
        )
        assert self._process.stdout is not None
        self._lines = queue.Queue()
        threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()

    def close(self) -> None:
        """Ends the process; one that a process has which this one was forked from is left to it."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def look(self, folder: Path) -> Description:
        """What the checkpoint of a folder says of itself.

        Raises:
            InvalidInput: as `open_checkpoint`, or it took too much memory or time.
        """
        found: Description = records.decode(Description, self._ask_of(folder, {"asked": "look"}), str(folder))
        return found

    def score(
        self,
        folder: Path,
        tasks: Sequence[str] | None,
        splits: Sequence[str],
        *,
        model_id: str | None = None,
        revision: str | None = None,
        weights_sha256: str | None = None,
        on_split: OnSplit | None = None,
        **options: str | None,
    ) -> list[Result]:
        """The results of the checkpoint of a folder; see `evaluate_checkpoint`, which takes the ``options``.

        Args:
            model_id, revision: what the folder holds, where it comes from the Hub.
            weights_sha256: what the weights' file must have, where that is known.

        Raises:
            InvalidInput: as `evaluate_checkpoint`, or it took too much memory or time.
        """
        members = [{"folder": folder, "id": model_id, "revision": revision, "weights_sha256": weights_sha256}]
        (found,) = self._score(members, tasks, splits, on_split, options)
        if isinstance(found, InvalidInput):
            raise found
        return found

    def score_many(
        self,
        folders: Sequence[Path],
        weights_sha256: Sequence[str | None],
        tasks: Sequence[str],
        splits: Sequence[str],
        **options: str | None,
    ) -> list[list[Result] | InvalidInput]:
        """For each of some folders what `score` returns or raises; see `evaluate_many`.

        Raises:
            InvalidInput: all together took too much memory or time, or something happened that is none's own error.
        """
        members = [
            {"folder": folder, "weights_sha256": sha256} for folder, sha256 in zip(folders, weights_sha256, strict=True)
        ]
        return self._score(members, tasks, splits, None, options)

    def _score(
        self,
        members: Sequence[dict[str, Any]],
        tasks: Sequence[str] | None,
        splits: Sequence[str],
        on_split: OnSplit | None,
        options: dict[str, str | None],
    ) -> list[list[Result] | InvalidInput]:
        names, first = tasks and [get_task(name).name for name in tasks], members[0]["folder"]
        question = {
            "asked": "score", "tasks": names, "splits": list(splits), "options": options,
            "members": [member | {"folder": os.path.abspath(member["folder"])} for member in members],
        }  # fmt: skip
        answer = self._ask_of(first, question, on_split)
        outcomes: list[Outcome] = records.decode(list[Outcome], answer, str(first))
        for outcome, member in zip(outcomes, members, strict=True):
            for result in outcome.results:
                remember_pages(result.pages or {}, str(member["folder"]))
        return [one.results if one.error is None else InvalidInput(one.error) for one in outcomes]

    def ties(
        self,
        folder: Path,
        task: str,
        splits: Sequence[str],
        *,
        weights_sha256: str | None,
        trace: str,
        device: str | None,
    ) -> dict[str, int]:
        """How many rows of each split have a near tie; see `_ties.near_ties`. Arguments and errors as of `score`."""
        question = {
            "asked": "ties", "tasks": [task], "splits": list(splits), "weights_sha256": weights_sha256,
            "options": {"trace": trace, "device": device},
        }  # fmt: skip
        found: dict[str, int] = records.decode(dict[str, int], self._ask_of(folder, question), str(folder))
        return found

    def rows(self, task: str, split: str, num_rows: int, trace: str) -> SplitRows:
        """What the rows of a split are, where a page of somebody's own says how they are drawn.

        Raises:
            InvalidInput: they come too rarely, or drawing them took too much memory or time.
        """
        question = {"asked": "rows", "tasks": [task], "splits": [split], "num_rows": num_rows, "trace": trace}
        what = f"drawing split {split!r} of {task!r}"
        found: SplitRows = records.decode(SplitRows, self._ask(what, question, seconds=ROWS_SECONDS), what)
        return found

    def _ask_of(self, folder: Path, question: dict[str, Any], on_split: OnSplit | None = None) -> Any:
        question |= {"folder": os.path.abspath(folder)}
        return self._ask(f"checkpoint {str(folder)!r}", question, on_split)

    def _ask(
        self, what: str, question: dict[str, Any], on_split: OnSplit | None = None, seconds: float | None = None
    ) -> Any:
        with self._turn:
            self.start()
            process = self._process
            assert process is not None
            assert process.stdin is not None
            try:
                asked = {"what": what, "pages": own_pages(), **question}
                process.stdin.write(json.dumps(asked).encode() + b"\n")
                process.stdin.flush()
            except OSError:  # it has ended: what is read next says so
                pass
            while True:
                answer = self._next(what, seconds or self._seconds)
                if "split" in answer:
                    task, split = records.decode(list[str], answer["split"], what)
                    if on_split is not None:
                        on_split(task, split)
                elif "found" in answer:
                    return answer["found"]
                else:
                    kind = EnvironmentFailed if answer.get("kind") == "environment" else InvalidInput
                    raise kind(str(answer.get("error")))

    def _next(self, what: str, seconds: float) -> dict[str, Any]:
        """The next answer.

        Raises:
            InvalidInput: there is none.
        """
        process = self._process
        assert process is not None
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            self.close()
            reason = f"took more than {seconds:,.0f} s"
        except BaseException:  # whoever asked has been stopped: nobody waits for the answer any more
            self.close()
            raise
        else:
            if line.endswith(b"\n"):
                answer = records.loads(line, what)
                if isinstance(answer, dict):
                    return answer
            code = process.wait() if not line else None
            self.close()
            reason = "ended the process that was asked" + ("" if code is None else f" ({_ending(code)})")
        raise InvalidInput(f"{what} {reason}")


@cache
def examiner() -> Examiner:
    """The one of this process."""
    one = Examiner()
    atexit.register(one.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=examiner.cache_clear)
    return one


def _read(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Hands over lines, and an empty one at the end; one that has no end is cut."""
    while line := stream.readline(_MAX_MESSAGE):
        lines.put(line)
    lines.put(b"")
    stream.close()


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}; out of memory?"
