"""One process of a sweep: takes runs that no other works on, trains and scores them, until nothing is left."""

from __future__ import annotations

import json
import math
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from listops_bench._base.files import write_atomic
from listops_bench._base.stopping import EXIT_TIME_IS_UP, Stopped, StopRequest
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.checkpoint import open_checkpoint
from listops_bench.evaluate.packs import MOST_MEMBERS
from listops_bench.evaluate.run import evaluate_many
from listops_bench.runs.folder import working_dir, working_files
from listops_bench.sweep._attempts import MOST_CRASHES
from listops_bench.sweep._folder import SECONDS_BETWEEN_LOOKS, Failure, Status, SweepFolder
from listops_bench.sweep._packs import Order, Unit, pack_limit, units_of
from listops_bench.sweep.job import Job
from listops_bench.train import Progress, TrainingFailed, TrainResult
from listops_bench.train.packed import PackProgress
from listops_bench.train.packed.run import this_engine, train_packed
from listops_bench.train.run import train

SECONDS_BETWEEN_HEARTBEATS = 1.0
MOST_OF_A_TRACEBACK = 20_000


class Worker:
    """Process ``number`` of ``size``.

    Args:
        pack: models in a pack at the most; 1 trains each alone, None decides by the device.
        order: of the work, see `units_of`.
        stop: asks this process to end: a run in training is saved first.
        on_event: called with a line about every run that has ended.
    """

    def __init__(
        self,
        folder: SweepFolder,
        number: int = 0,
        size: int = 1,
        *,
        pack: int | None = None,
        order: Order = "cost",
        stop: StopRequest | None = None,
        on_event: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder, self.number, self.size, self.on_event = folder, number, size, on_event
        self.engine = this_engine()
        self.pack = pack_limit(pack, self.engine.device.type)
        self.order: Order = order
        self.stop = stop or StopRequest()
        self._last_heartbeat = 0.0
        self._longest_start = self._begun = 0.0

    def run(self) -> None:
        """Works until nothing is left that it could do.

        Raises:
            OSError: the sweep's folder can no longer be written.
            Stopped: it was asked to end.
        """
        try:
            while True:
                with self.stop.raising():
                    unit, claims = self._take()
                try:
                    if unit is not None:
                        self._attempt(unit)
                finally:
                    for lock in claims.values():
                        lock.release()
                if unit is None:
                    if self.folder.part == "score" or not self.folder.waits:
                        return
                    with self.stop.raising():  # runs of other processes decide what is next
                        time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            self.folder.remove_heartbeat(self.number)

    # --- what to do ---------------------------------------------------------------------------------------------------

    def _take(self) -> tuple[Unit | None, Mapping[str, FileLock]]:
        """The next unit that no process works on, claimed: of this process's share first, then of the others'."""
        units = units_of(self.folder, self.pack, self.size, order=self.order)
        own = units[self.number :: self.size]
        for unit in [*own, *(unit for unit in units if unit not in own)]:
            claims = self.folder.claim(unit.jobs)
            mine = self._still_to_do(unit, claims)
            if mine is not None:
                return mine, claims
            for lock in claims.values():
                lock.release()
        return None, {}

    def _still_to_do(self, unit: Unit, claims: Mapping[str, FileLock]) -> Unit | None:
        """What of a unit is this process's to do. A pack that was begun is taken whole or not at all."""
        if unit.pack is not None and working_files(unit.pack).state.exists():
            return unit if len(claims) == len(unit.jobs) else None
        jobs = tuple(job for job in unit.jobs if job.name in claims)
        jobs = tuple(job for job in jobs if self.folder.is_left(job))
        if not jobs:
            return None
        return replace(unit, jobs=jobs, pack=unit.pack if len(jobs) > 1 else None)

    # --- doing it -----------------------------------------------------------------------------------------------------

    def _attempt(self, unit: Unit) -> None:
        """Works on a unit, unless too many processes have died under it, or no time is left to come to a step."""
        attempts = self.folder.attempts
        crashes = max(attempts.crashes(job) for job in unit.jobs)
        if crashes >= MOST_CRASHES:
            for job in unit.jobs:
                self._note(job, Failure(f"its process died {crashes} times; out of memory?", final=False))
            return
        if self.stop.seconds_left < self._longest_start:
            raise Stopped(EXIT_TIME_IS_UP, "stopped")
        for job in unit.jobs:
            attempts.begin(job, unit.pack)
        over = False
        try:
            self._work_on(unit)
            over = True
        finally:
            for job in unit.jobs:
                if not over or not self.folder.is_left(job):
                    attempts.end(job, over=over)

    def _work_on(self, unit: Unit) -> None:
        self._last_heartbeat, self._begun = 0.0, time.monotonic()
        try:
            if self.folder.part != "score":
                self._train(unit)
        except Exception as error:  # a defect in one run, or one too large for the device, must not end the sweep
            left = [job for job in unit.jobs if self.folder.record(job) is None]
            if unit.pack is not None and left:
                self._take_apart(unit.pack, left, error)
            else:
                for job in left:
                    self._note_failure(job, error)
        for jobs, tasks in self._to_score(unit) if self.folder.part != "train" else ():
            with self.stop.raising():
                self._score(jobs, tasks)
        self.folder.write_choices()

    def _take_apart(self, pack: Path, left: Sequence[Job], error: Exception) -> None:
        """Has the runs of a pack that failed trained one by one: which of them it was, is then seen."""
        self.on_event(f"a pack of {len(left)} failed, its runs are trained alone: {one_line(error, with_type=True)}")
        shutil.rmtree(working_dir(pack), ignore_errors=True)
        pack.with_suffix(".json").unlink(missing_ok=True)
        for job in left:
            self.folder.attempts.end_alone(job)

    def _note_failure(self, job: Job, error: Exception) -> None:
        if isinstance(error, TrainingFailed):
            failure = Failure(str(error), final=True)
        else:
            trace = "".join(traceback.format_exception(error))
            failure = Failure(one_line(error, with_type=True), final=False, traceback=trace[-MOST_OF_A_TRACEBACK:])
        self._note(job, failure)

    def _note(self, job: Job, failure: Failure) -> None:
        self.folder.note_failure(job, failure)  # where not even that can be written, the process ends here
        self.on_event(f"{job.name} failed: {failure.reason}")

    def _train(self, unit: Unit) -> None:
        def on_step(progress: Progress | PackProgress) -> None:
            self._report_progress(unit.jobs, "training", progress.step, progress.total_steps, progress.loss)

        if unit.pack is None:
            for job in unit.jobs:
                self._note_outcome(job, train(job.config, on_step=on_step, stop=self.stop), "trained")
            return
        members = unit.pack.with_suffix(".json")
        write_atomic(members, json.dumps([job.name for job in unit.jobs]) + "\n")
        configs = [job.config for job in unit.jobs]
        outcomes = train_packed(configs, unit.pack, engine=self.engine, on_step=on_step, stop=self.stop)
        for job, outcome in zip(unit.jobs, outcomes, strict=True):
            self._note_outcome(job, outcome, "trained (packed)")
        members.unlink()

    def _note_outcome(self, job: Job, outcome: TrainResult | TrainingFailed, how: str) -> None:
        if isinstance(outcome, TrainingFailed):
            self._note_failure(job, outcome)
        elif not outcome.already_done:
            self.on_event(f"{job.name} {how}: {outcome.steps} steps, loss {outcome.loss:.4f}")

    def _to_score(self, unit: Unit) -> Iterator[tuple[list[Job], list[str]]]:
        """What is scored in one go: a run where the device is busy with one, else all that are asked for a task."""
        trained = [job for job in unit.jobs if self.folder.record(job) is not None and not self.folder.has_failed(job)]
        asked = {job.name: tasks for job in trained if (tasks := self.folder.tasks_to_score(job))}
        if MOST_MEMBERS.get(self.engine.device.type, 1) == 1:
            yield from (([job], asked[job.name]) for job in trained if job.name in asked)
            return
        for task in dict.fromkeys(task for tasks in asked.values() for task in tasks):
            yield (
                [job for job in trained if task in asked.get(job.name, ()) and not self.folder.has_failed(job)],
                [task],
            )

    def _score(self, jobs: Sequence[Job], tasks: Sequence[str]) -> None:
        """Scores some runs on some tasks; by themselves where together they fail."""
        try:
            outcomes = evaluate_many(
                [open_checkpoint(job.output_dir) for job in jobs],
                tasks,
                jobs[0].eval_splits,
                num_rows=jobs[0].eval_num_rows,
                track=jobs[0].track,
                device=str(self.engine.device),
                results_dir=self.folder.results,
                on_split=lambda task, split: self._report_progress(jobs, "scoring", jobs[0].steps, jobs[0].steps, None),
            )
        except Exception as error:
            for job in jobs:
                if len(jobs) == 1:
                    self._note_failure(job, error)
                else:
                    self._score([job], tasks)
            return
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, InvalidInput):
                self._note_failure(job, outcome)
            elif missing := sorted({*tasks} & {*self.folder.tasks_to_score(job)}):
                problem = f"its results on {', '.join(missing)} were written and do not count"
                self._note_failure(job, InvalidInput(problem))

    def _report_progress(self, jobs: Sequence[Job], phase: str, step: int, total: int, loss: float | None) -> None:
        """Writes a heartbeat if one is due."""
        if self._begun:
            self._longest_start, self._begun = max(self._longest_start, time.monotonic() - self._begun), 0.0
        if time.monotonic() - self._last_heartbeat < SECONDS_BETWEEN_HEARTBEATS:
            return
        self._last_heartbeat = time.monotonic()
        finite = loss if loss is not None and math.isfinite(loss) else None
        self.folder.write_heartbeat(self.number, Status([job.name for job in jobs], phase, step, total, finite))
