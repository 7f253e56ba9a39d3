"""How a sweep is going, and what it came to: tables for people."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Self

from listops_bench._base.escape import terminal
from listops_bench.leaderboard.arms import spell_limits, spell_threshold
from listops_bench.pages.console import clock, make_table
from listops_bench.pages.tables import Table, from_records, to_console
from listops_bench.runs.record import RunRecord
from listops_bench.sweep._folder import Status, SweepFolder
from listops_bench.sweep.job import Job, cost

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SECONDS_BETWEEN_TABLES, SECONDS_BETWEEN_LINES = 1.0, 15.0


class Display(AbstractContextManager["Display"]):
    """Shows what is done, running and left: a table redrawn on a terminal, elsewhere a line now and then.

    Used with ``with``, it shows by itself from a thread of its own.
    """

    def __init__(self, console: Console, folder: SweepFolder) -> None:
        from rich.live import Live

        self.console, self.folder = console, folder
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show_often, daemon=True)
        self._started = time.monotonic()
        self._begun_at: dict[str, float] = {}
        self._done_before: set[str] | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._live:
            self._live.stop()

    def _show_often(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_TABLES if self._live else SECONDS_BETWEEN_LINES):
            with suppress(OSError):  # a file that is being replaced; the next look sees it
                self.show()

    def show(self) -> None:
        """Shows where things are."""
        if self._live:
            self._live.update(self.table(), refresh=True)
        else:
            self.console.print(f"{clock(self._seconds())}  {self.line()}", soft_wrap=True, markup=False)

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def table(self) -> RenderableType:
        from rich.progress_bar import ProgressBar

        statuses = self.folder.heartbeats()
        table = make_table("worker", "run", "", "step", "loss")
        table.caption = "\n".join([*adaptive_lines(self.folder), self._outlook(statuses)])
        for column in (0, 3, 4):
            table.columns[column].justify = "right"
        for number, status in statuses.items():
            bar = ProgressBar(total=status.total_steps, completed=status.step, width=24)
            shown = bar if status.phase == "training" else status.phase
            loss = "" if status.loss is None else f"{status.loss:.3f}"
            table.add_row(str(number), status.title, shown, f"{status.step:,}", loss)
        return table

    def line(self) -> str:
        statuses = self.folder.heartbeats()
        parts = [f"{s.title}: {s.phase} {s.step}/{s.total_steps}" for s in statuses.values()]
        return "; ".join([*parts, *adaptive_lines(self.folder), self._outlook(statuses)])

    def _outlook(self, statuses: Mapping[int, Status]) -> str:
        """``5 of 12 runs done, 2 running, 1 failed, 4 left; about 3:10 to go``."""
        states = self.folder.by_state()
        counts = {name: len(jobs) for name, jobs in states.items()}
        running = {name for status in statuses.values() for name in status.runs} & {job.name for job in states["left"]}
        waiting = self.folder.num_runs - counts["done"] - counts["failed"] - len(running)
        words = [f"{counts['done']} of {self.folder.num_runs} runs done", f"{len(running)} running"]
        words += [f"{counts['failed']} failed"] if counts["failed"] else []
        text = ", ".join([*words, f"{waiting} left"])
        seconds = self._seconds_left(states, statuses)
        return text if seconds is None else f"{text}; about {clock(seconds)} to go"

    def _seconds_left(self, states: Mapping[str, Sequence[Job]], statuses: Mapping[int, Status]) -> float | None:
        """What is left at the speed so far, all processes together; None before there is one."""
        if self._done_before is None:
            self._done_before = {job.name for job in states["done"]}
        share = {name: status.step / status.total_steps for status in statuses.values() for name in status.runs}
        for name, part in share.items():
            self._begun_at.setdefault(name, part)  # a run that was stopped before does not begin at 0
        done = [job for job in states["done"] if job.name not in self._done_before]
        spent = sum(cost(job) * (1 - self._begun_at.get(job.name, 0)) for job in done)
        spent += sum(cost(j) * (share[j.name] - self._begun_at[j.name]) for j in states["left"] if j.name in share)
        left = sum(cost(job) * (1 - share.get(job.name, 0)) for job in states["left"])
        return left * self._seconds() / spent if spent > 0 else None


def adaptive_lines(folder: SweepFolder) -> list[str]:
    """How well the N50 of each adaptive arm is known by now, and how its interval has narrowed, a line each."""
    lines = []
    for course in folder.courses:
        for place, arm in enumerate(course.adaptive.arms):
            (runs, right), found = course.counts(place), course.threshold(place)
            words = f"{arm.name}: {right} of {runs} learned {arm.task}"
            words += f"; N50 {spell_threshold(found)}" if runs else ""
            words += f" ({limits})" if (limits := spell_limits(found)) else ""
            steps = [i for i in course.intervals if i.arm == place and i.low and i.high]
            widths = " > ".join(f"{i.high / i.low:.2f}" for i in steps[-6:] if i.high and i.low)
            lines.append(words + (f", within a factor of {widths}" if widths else ""))
        if (ratio := course.ratio) is not None:
            limits = spell_limits(ratio)
            lines.append(
                f"N50 of the second over the first: {spell_threshold(ratio)}" + (f" ({limits})" if limits else "")
            )
        if course.ended:
            lines[-1] += f"; ended: {course.ended}"
    return lines


def summary_table(folder: SweepFolder) -> Table:
    """A row for each run: its steps, its validation, and its scores on the test rows."""
    jobs = sorted(folder.jobs(), key=lambda job: job.name)
    return from_records((_cells(folder, job) for job in jobs), left=["exact traces on test rows"])


def _cells(folder: SweepFolder, job: Job) -> dict[str, str]:
    record = folder.record(job) or RunRecord()
    accuracy = record.validation.get("trace_accuracy")
    if record.training is None:
        scores = "failed" if folder.has_failed(job) else "not done"
    else:
        found = {result.task.name: result.splits.get("test") for result in folder.scores(job)}
        texts = (f"{task} {s.metrics.trace_accuracy.accuracy:.1%} of {s.n:,}" for task, s in found.items() if s)
        scores = ", ".join(texts) or ("" if job.scored else "chooses the recipe")
    return {
        "run": job.name,
        "steps": f"{record.training.steps:,}" if record.training else "",
        "loss": "" if record.loss is None else f"{record.loss:.3f}",
        "validation": "" if accuracy is None else f"{accuracy:.1%}",
        "exact traces on test rows": scores,
    }


def print_summary(console: Console, folder: SweepFolder) -> None:
    """Prints the table of the runs, why runs failed, and where the board comes from."""
    jobs = folder.jobs()
    done = sum(folder.is_done(job) for job in jobs)
    results = sum(len(folder.scores(job)) for job in jobs)
    console.print(to_console(summary_table(folder)))
    for name, failure in sorted(folder.failures().items()):
        console.print(terminal(f"failed: {name}: {failure.reason}"), style="red", soft_wrap=True, markup=False)
    for path, reason in sorted(folder.notes.damaged.items()):
        if path.exists():
            console.print(terminal(f"does not count: {reason}"), style="red", soft_wrap=True, markup=False)
    for line in adaptive_lines(folder):
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"{done} of {folder.num_runs} runs done, {results} result files", markup=False)
    if results:
        console.print(f"the board: listops-bench leaderboard build {folder.results}", soft_wrap=True, markup=False)
