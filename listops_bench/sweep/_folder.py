"""A sweep's folder: what is done, what failed, and who is at what.

    runs/NAME                 the checkpoint of each run (NAME.training while it trains)
    results/                  result files: listops-bench leaderboard build DIR/results
    failed/NAME.json          why a run failed, and at which step
    packs/                    the states of runs that are trained packed
    claims/NAME.lock          held by the process that is at a run; ends with it, however it ends
    workers/0.json            what each process is doing, for the table
    selection.json            choices of a recipe, and what they cost

Processes agree through these files alone, so any of them may die at any time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from listops_bench._base.files import take_lock, write_atomic
from listops_bench.result.files import read_results
from listops_bench.runs.folder import working_files
from listops_bench.runs.record import RunRecord, read_run
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.sweep.grid import Sweep
from listops_bench.sweep.job import Job
from listops_bench.tasks.task import DATASET_VERSION, with_single_tasks

FRESH_SECONDS = 60.0
"""A worker that has said nothing for longer is not shown."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed. ``final``: it would fail again, so it is not tried again."""

    reason: str
    final: bool


@dataclass(frozen=True)
class Doing:
    """What a worker is at: ``runs`` names, ``phase`` training or scoring, ``step`` of ``total_steps``."""

    runs: list[str]
    phase: str
    step: int
    total_steps: int
    loss: float | None


class SweepFolder:
    """The files of a sweep. What was once seen to be done is not looked up again."""

    def __init__(self, path: str | Path, sweep: Sweep) -> None:
        self.path, self.sweep = Path(path), sweep
        self.runs, self.results, self.packs = self.path / "runs", self.path / "results", self.path / "packs"
        self._records: dict[str, RunRecord] = {}
        self._scored: dict[str, set[str]] = {}
        self._seen_results: set[Path] = set()

    # --- runs ---------------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """All runs that are known by now: those of choices that have been made among them."""
        known = {job.name: job for job in self.sweep.jobs}
        for selection in self.sweep.selections:
            for jobs in selection.choosing.values():
                known.update({job.name: known.get(job.name, job) for job in jobs})
        for selection in self.sweep.selections:
            choice = selection.decide(self.record, self.has_failed)
            if choice is not None:
                known.update({job.name: job for job in selection.reported[choice["chosen"]]})
        return list(known.values())

    def undecided(self) -> bool:
        """Whether a choice of recipe is still to be made, so that more runs will follow."""
        return any(s.decide(self.record, self.has_failed) is None for s in self.sweep.selections)

    def write_choices(self) -> None:
        """selection.json: every choice that has been made, with the figures it rests on and the steps it cost."""
        choices = [selection.decide(self.record, self.has_failed) for selection in self.sweep.selections]
        made = [choice for choice in choices if choice is not None]
        if made:
            write_atomic(self.path / "selection.json", json.dumps(made, indent=2) + "\n")

    def record(self, job: Job) -> RunRecord | None:
        """The record of a run that has been trained."""
        if job.name not in self._records:
            record = read_run(job.config.output_dir)
            if record is None:
                return None
            self._records[job.name] = record
        return self._records[job.name]

    def has_failed(self, job: Job) -> bool:
        return self._failed_path(job).exists()

    def is_done(self, job: Job) -> bool:
        """Trained, and scored on all that it is to be scored on."""
        return self.record(job) is not None and not self.tasks_to_score(job)

    def tasks_to_score(self, job: Job) -> list[str]:
        """The tasks of a trained run that have no result of today's rows and scorer yet."""
        record = self.record(job)
        if record is None or not job.scored:
            return []
        wanted = with_single_tasks(job.config.plan().tasks) if job.eval_tasks is None else list(job.eval_tasks)
        weights = record.weights_sha256 or ""
        if not set(wanted) <= self._scored.get(weights, set()):
            self._read_results()
        return [task for task in wanted if task not in self._scored.get(weights, set())]

    def _read_results(self) -> None:
        for path in self.results.glob("*/*/*.json"):
            if path in self._seen_results or path.name.startswith("."):
                continue
            self._seen_results.add(path)
            result = json.loads(path.read_text(encoding="utf-8"))
            if (result["dataset_version"], result["scorer_version"]) == (DATASET_VERSION, SCORER_VERSION):
                self._scored.setdefault(result["model"]["weights_sha256"], set()).add(result["task"]["name"])

    def has_state_of_its_own(self, job: Job) -> bool:
        """Whether it was begun alone, and goes on so."""
        return working_files(job.config.output_dir).state.exists()

    # --- failures -----------------------------------------------------------------------------------------------------

    def _failed_path(self, job: Job) -> Path:
        return self.path / "failed" / f"{job.name}.json"

    def note_failure(self, job: Job, failure: Failure) -> None:
        write_atomic(self._failed_path(job), json.dumps(asdict(failure), indent=2) + "\n")

    def failures(self) -> dict[str, Failure]:
        """By name, of runs that belong to the sweep."""
        there = {job.name: self._failed_path(job) for job in self.jobs() if self.has_failed(job)}
        return {name: Failure(**json.loads(path.read_text(encoding="utf-8"))) for name, path in there.items()}

    def forget_failures(self, *, final_ones_too: bool = False) -> None:
        """Lets runs be tried again that failed for a reason that may have gone, such as a full disk."""
        for path in (self.path / "failed").glob("*.json"):
            if final_ones_too or not json.loads(path.read_text(encoding="utf-8"))["final"]:
                path.unlink()

    # --- claims -------------------------------------------------------------------------------------------------------

    def claim(self, jobs: Iterable[Job]) -> dict[str, FileLock]:
        """Takes runs for this process, and returns those it got: close them to give them back."""
        claims = {job.name: take_lock(self.path / "claims" / f"{job.name}.lock") for job in jobs}
        return {name: lock for name, lock in claims.items() if lock is not None}

    # --- what workers do ----------------------------------------------------------------------------------------------

    def tell(self, worker: int, doing: Doing) -> None:
        write_atomic(self.path / "workers" / f"{worker}.json", json.dumps(asdict(doing)) + "\n")

    def workers(self) -> dict[int, Doing]:
        """What each of them was doing when it last told, if that is not long ago."""
        doing = {}
        for path in sorted((self.path / "workers").glob("[0-9]*.json")):
            try:
                if time.time() - path.stat().st_mtime < FRESH_SECONDS:
                    doing[int(path.stem)] = Doing(**json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
        return doing

    def silence(self, worker: int) -> None:
        """A worker that has ended says nothing any more."""
        (self.path / "workers" / f"{worker}.json").unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Raises OSError where the folder cannot be made or written."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not os.access(self.path, os.W_OK):
            raise PermissionError(13, "Permission denied", str(self.path))

    def validate_results(self) -> int:
        """Reads all results as the board does, and returns how many there are."""
        return len(read_results(self.results)) if self.results.is_dir() else 0


def by_state(folder: SweepFolder, jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """The runs that are done, failed, and left."""
    states: dict[str, list[Job]] = {"done": [], "failed": [], "left": []}
    for job in jobs:
        state = "done" if folder.is_done(job) else "failed" if folder.has_failed(job) else "left"
        states[state].append(job)
    return states
