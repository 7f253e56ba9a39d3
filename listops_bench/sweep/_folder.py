"""A sweep's folder: what is done, what failed, and which process works on what.

    runs/NAME                 the checkpoint of each run (NAME.training while it trains)
    results/                  result files: listops-bench leaderboard build DIR/results
    failed/NAME.json          why a run failed, with the traceback
    packs/                    the states of runs that are trained packed
    claims/NAME.lock          held by the process that works on a run; released when it ends, however it ends
    attempts/NAME.json        runs that a process works on, or died under
    workers/0.json            the heartbeat of each process: what it is doing, for the table
    selection.json            choices of a recipe, and what they cost
    adaptive/NAME.json        choices of sizes, and what N50 was known to be after each batch

Processes agree through these files alone, so any of them may die at any time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from filelock import FileLock

from listops_bench._base.files import check_can_write, take_lock, write_atomic
from listops_bench._base.records import Text
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.result.files import find_results, read_result
from listops_bench.result.format import Result
from listops_bench.result.learned import learned
from listops_bench.runs.folder import RunFiles
from listops_bench.runs.record import RunRecord, read_run
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.sweep._adaptive import Arm, Course
from listops_bench.sweep._attempts import Attempts
from listops_bench.sweep._notes import Notes
from listops_bench.sweep.grid import Sweep
from listops_bench.sweep.job import Job
from listops_bench.tasks.task import DATASET_VERSION

Part = Literal["all", "train", "score"]

FRESH_SECONDS = 60.0
"""A worker whose heartbeat is older is not shown."""
SECONDS_BETWEEN_LOOKS = 1.0
"""How often a process that waits for others looks at the folder."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Attributes:
        reason: in one line.
        final: it would fail again, so it is not tried again.
        traceback: of the error, where it may be a defect.
    """

    reason: str
    final: bool
    traceback: Annotated[str, Text(max_length=100_000)] = ""


_UNREADABLE = Failure("why, cannot be read", final=False)


@dataclass(frozen=True)
class Status:
    """What a worker is doing.

    Attributes:
        runs: their names.
        phase: ``training`` or ``scoring``.
    """

    runs: list[str]
    phase: str
    step: int
    total_steps: int
    loss: float | None

    @property
    def title(self) -> str:
        """``NAME and 3 more``."""
        return self.runs[0] + (f" and {len(self.runs) - 1} more" if len(self.runs) > 1 else "")


class SweepFolder:
    """The files of a sweep. Records and results are read once; a result file again when it has changed.

    The display uses it from a thread of its own, beside the worker.

    Args:
        part: what of the work is to be done here: a run is then done as soon as it is trained, or there is nothing to
            do for a run that is not trained yet.
    """

    def __init__(self, path: str | Path, sweep: Sweep, part: Part = "all") -> None:
        self.path, self.sweep, self.part = Path(path), sweep, part
        self.notes = Notes()
        self.runs, self.results, self.packs = self.path / "runs", self.path / "results", self.path / "packs"
        self.attempts = Attempts(self.path / "attempts", self.packs, self.notes)
        self.courses = [Course(adaptive, self.path / "adaptive") for adaptive in sweep.adaptive]
        self._done: set[str] = set()
        self._records: dict[str, RunRecord] = {}
        self._lock = threading.Lock()
        self._results: dict[Path, tuple[tuple[int, int], Result | None]] = {}

    # --- runs ---------------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """All runs that are known by now: those of choices that have been made among them."""
        known = {job.name: job for job in self.sweep.jobs}
        for selection in self.sweep.selections:
            for jobs in selection.choosing.values():
                known.update({job.name: known.get(job.name, job) for job in jobs})
        for selection, choice in zip(self.sweep.selections, self.choices(), strict=True):
            if choice is not None:
                known.update({job.name: job for job in selection.reported[choice["chosen"]]})
        for course in self.courses:
            known.update({job.name: job for job in course.advance(self._outcome)})
        return list(known.values())

    @property
    def num_runs(self) -> int:
        """How many runs there are; of adaptive arms, those that were chosen by now."""
        return len(self.sweep) + sum(course.num_chosen for course in self.courses)

    @property
    def waits(self) -> bool:
        """Whether runs that others work on decide what is next."""
        running = {job.name for job in self.by_state()["left"]} if self.courses else ()
        chosen = (job.name for c in self.courses if not c.is_over for job in c.advance(self._outcome))
        return None in self.choices() or any(name in running for name in chosen)

    def _outcome(self, arm: Arm, job: Job) -> bool | None:
        """Whether a run has learned what its arm is about; None where that is not known."""
        if self.has_failed(job):  # diverged, or for a reason that may be gone
            failure: Failure = self.notes.read(self._failed_path(job), Failure) or _UNREADABLE
            return False if failure.final else None
        if not self.is_done(job):
            return None
        found = {result.task.name: result for result in self.scores(job)}
        return learned(found, arm.task, cut=arm.cut)

    def by_state(self) -> dict[str, list[Job]]:
        """The runs that are known by now, ``done``, ``failed`` and ``left`` to do, here or (``later``) elsewhere."""
        states: dict[str, list[Job]] = {"done": [], "failed": [], "left": [], "later": []}
        for job in self.jobs():
            done, failed = self.is_done(job), self.has_failed(job)
            states["done" if done else "failed" if failed else "left" if self.is_left(job) else "later"].append(job)
        return states

    def choices(self) -> list[dict[str, Any] | None]:
        """What each selection has chosen; None where that is not decided, so that more runs will follow."""
        return [selection.decide(self.record, self.has_failed) for selection in self.sweep.selections]

    def write_choices(self) -> None:
        """Every choice that has been made, with what it rests on: selection.json and adaptive/."""
        for course in self.courses:
            course.advance(self._outcome)
            course.write()
        made = [choice for choice in self.choices() if choice is not None]
        if made:
            write_atomic(self.path / "selection.json", json.dumps(made, indent=2) + "\n")

    def record(self, job: Job) -> RunRecord | None:
        """The record of a run that has been trained as is asked for now: on today's rows, by this recipe."""
        if job.name not in self._records:
            path = RunFiles(job.output_dir).record
            try:
                record = read_run(job.output_dir)
            except (InvalidInput, EnvironmentFailed) as error:
                self.notes.mark(path, error)
                return None
            if record is None or not _is_of(record, job):
                return None
            self._records[job.name] = record
        return self._records[job.name]

    def has_failed(self, job: Job) -> bool:
        return self._failed_path(job).exists()

    def is_done(self, job: Job) -> bool:
        """Trained, and scored on all that it is to be scored on."""
        if job.name not in self._done and self.record(job) is not None:
            self._done |= {job.name} if self.part == "train" or not self.tasks_to_score(job) else set()
        return job.name in self._done

    def is_left(self, job: Job) -> bool:
        """Whether there is something to do for a run here."""
        if self.part == "score" and self.record(job) is None:
            return False
        return not self.is_done(job) and not self.has_failed(job)

    # --- results ------------------------------------------------------------------------------------------------------

    def tasks_to_score(self, job: Job) -> list[str]:
        """The tasks of a trained run that have no result with all splits and rows that the sweep asks for now."""
        if self.record(job) is None or not job.scored:
            return []
        splits = {result.task.name: result.splits for result in self.scores(job)}

        def scored(task: str) -> bool:
            rows = {name: split.n for name, split in splits.get(task, {}).items()}
            return all(rows.get(split, 0) >= count for split, count in job.rows_to_score(task).items())

        return [task for task in job.tasks if not scored(task)]

    def scores(self, job: Job) -> list[Result]:
        """The results of a run on today's rows, by today's scorer. Files that are no valid results do not count."""
        record = self.record(job)
        if record is None:
            return []
        with self._lock:
            found = [self._read_result(path) for path in find_results(self.results, record.weights_sha256)]
        today = (DATASET_VERSION, SCORER_VERSION)
        results = [r for r in found if r is not None and r.track == job.track]
        return [r for r in results if (r.dataset_version, r.scorer_version) == today]

    def _read_result(self, path: Path) -> Result | None:
        stat = path.stat()
        version = (stat.st_mtime_ns, stat.st_ino)
        if path not in self._results or self._results[path][0] != version:
            try:
                self._results[path] = version, read_result(path)
            except (InvalidInput, EnvironmentFailed) as error:
                self._results[path] = version, None
                self.notes.mark(path, error)
            else:
                self.notes.damaged.pop(path, None)
        return self._results[path][1]

    # --- failures -----------------------------------------------------------------------------------------------------

    def _failed_path(self, job: Job) -> Path:
        return self.path / "failed" / f"{job.name}.json"

    def note_failure(self, job: Job, failure: Failure) -> None:
        write_atomic(self._failed_path(job), json.dumps(asdict(failure), indent=2) + "\n")

    def failures(self) -> dict[str, Failure]:
        """By name, of runs that belong to the sweep."""
        paths = {job.name: self._failed_path(job) for job in self.jobs() if self.has_failed(job)}
        return {name: self.notes.read(path, Failure) or _UNREADABLE for name, path in paths.items()}

    def forget_failures(self, *, final_ones_too: bool = False) -> None:
        """Has runs tried again that failed for a reason that may be gone, such as a full disk."""
        for path in (self.path / "failed").glob("*.json"):
            if final_ones_too or not (self.notes.read(path, Failure) or _UNREADABLE).final:
                path.unlink()
                self.attempts.forgive(path.stem)

    # --- processes ----------------------------------------------------------------------------------------------------

    def claim(self, jobs: Iterable[Job]) -> dict[str, FileLock]:
        """Takes runs for this process, and returns the locks of those it got: release them to give them back."""
        claims = {job.name: take_lock(self.path / "claims" / f"{job.name}.lock") for job in jobs}
        return {name: lock for name, lock in claims.items() if lock is not None}

    def write_heartbeat(self, worker: int, status: Status) -> None:
        write_atomic(self._heartbeat_path(worker), json.dumps(asdict(status)) + "\n")

    def remove_heartbeat(self, worker: int) -> None:
        self._heartbeat_path(worker).unlink(missing_ok=True)

    def heartbeats(self) -> dict[int, Status]:
        """What each worker was doing at its last heartbeat, if that is not long ago."""
        found = {}
        for path in sorted((self.path / "workers").glob("[0-9]*.json")):
            try:
                fresh = time.time() - path.stat().st_mtime < FRESH_SECONDS
            except FileNotFoundError:
                continue
            if fresh and path.stem.isdecimal() and (status := self.notes.read(path, Status)) is not None:
                found[int(path.stem)] = status
        return found

    def _heartbeat_path(self, worker: int) -> Path:
        return self.path / "workers" / f"{worker}.json"

    def check_writable(self) -> None:
        """Raises where the folder cannot be made or written, or has no locks."""
        check_can_write(self.path)
        if (lock := take_lock(self.path / "claims" / ".lock")) is not None:
            lock.release()


def _is_of(record: RunRecord, job: Job) -> bool:
    """Whether a record is that of the run as it would be trained today, on however many processes and how precisely."""
    found = record.identity or {}
    how = {key: found[key] for key in ("num_processes", "mixed_precision") if key in found}
    return record.training is not None and found == job.config.identity(**how)
