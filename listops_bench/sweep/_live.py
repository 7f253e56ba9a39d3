"""How a sweep is going, and what it came to: tables for people."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from listops_bench.result.files import read_results
from listops_bench.result.format import Result
from listops_bench.sweep._folder import Doing, SweepFolder, by_state
from listops_bench.sweep._packs import cost
from listops_bench.sweep.job import Job

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_TABLES = 1.0


class Display:
    """Shows what is done, running and left: a table that is redrawn on a terminal, now and then a line elsewhere.

    Used with ``with``, it shows by itself from a thread of its own.
    """

    def __init__(self, console: Console, folder: SweepFolder) -> None:
        from rich.live import Live

        self.console, self.folder = console, folder
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self.started = self.said = time.monotonic()
        self.begun: dict[str, float] = {}
        self.done_before: set[str] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Display:
        if self.live:
            self.live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self.live:
            self.live.stop()

    def _run(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_TABLES):
            try:
                self.show()
            except OSError:  # a file that is being replaced; the next look sees it
                continue

    def show(self) -> None:
        if self.live:
            self.live.update(self._table(), refresh=True)
        elif time.monotonic() - self.said >= SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            self.console.print(self._line(), soft_wrap=True, markup=False)

    def _table(self) -> RenderableType:
        from rich import box
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        doing = self.folder.workers()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=self._outlook(doing), caption_justify="left")
        for name in ("worker", "run", "", "step", "loss"):
            table.add_column(name, justify="left" if name in ("run", "") else "right", no_wrap=name != "run")
        for number, now in doing.items():
            more = f" and {len(now.runs) - 1} more" if len(now.runs) > 1 else ""
            bar = ProgressBar(total=now.total_steps, completed=now.step, width=24)
            shown = bar if now.phase == "training" else now.phase
            loss = "" if now.loss is None else f"{now.loss:.3f}"
            table.add_row(str(number), now.runs[0] + more, shown, f"{now.step:,}", loss)
        return table

    def _line(self) -> str:
        doing = self.folder.workers()
        parts = []
        for now in doing.values():
            more = f" and {len(now.runs) - 1} more" if len(now.runs) > 1 else ""
            parts.append(f"{now.runs[0]}{more}: {now.phase} {now.step}/{now.total_steps}")
        return f"{clock(time.monotonic() - self.started)}  " + "; ".join([*parts, self._outlook(doing)])

    def _outlook(self, doing: dict[int, Doing]) -> str:
        """``5 of 12 runs done, 2 running, 1 failed, 4 left; about 3:10 to go``."""
        jobs = self.folder.jobs()
        states = by_state(self.folder, jobs)
        running = {name for now in doing.values() for name in now.runs} & {job.name for job in states["left"]}
        waiting = len(self.folder.sweep) - len(states["done"]) - len(states["failed"]) - len(running)
        words = [f"{len(states['done'])} of {len(self.folder.sweep)} runs done", f"{len(running)} running"]
        words += [f"{len(states['failed'])} failed"] if states["failed"] else []
        text = ", ".join([*words, f"{waiting} left"])
        seconds = self._seconds_left(states, doing)
        return text if seconds is None else f"{text}; about {clock(seconds)} to go"

    def _seconds_left(self, states: dict[str, list[Job]], doing: dict[int, Doing]) -> float | None:
        """What is left at the speed so far, all processes together; None before there is one."""
        done = {job.name for job in states["done"]}
        if self.done_before is None:
            self.done_before = done
        share = {name: now.step / now.total_steps for now in doing.values() for name in now.runs}
        for name, part in share.items():
            self.begun.setdefault(name, part)  # a run that was stopped before does not begin at 0
        spent = sum(cost(j) * (1 - self.begun.get(j.name, 0)) for j in states["done"] if j.name not in self.done_before)
        spent += sum(cost(j) * (share[j.name] - self.begun[j.name]) for j in states["left"] if j.name in share)
        left = sum(cost(job) * (1 - share.get(job.name, 0)) for job in states["left"])
        return left * (time.monotonic() - self.started) / spent if spent > 0 else None


def print_summary(console: Console, folder: SweepFolder) -> None:
    """One line for each run: its steps, its validation, its scores on the test rows; then the runs that failed."""
    from rich import box
    from rich.table import Table

    jobs = sorted(folder.jobs(), key=lambda job: job.name)
    scores = _scores(folder.results)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    table.add_column("run", overflow="fold")
    for name in ("steps", "loss", "validation"):
        table.add_column(name, justify="right")
    table.add_column("exact traces on test rows", overflow="fold")
    for job in jobs:
        record = folder.record(job)
        if record is None or record.training is None:
            table.add_row(job.name, "", "", "", "failed" if folder.has_failed(job) else "not done")
            continue
        accuracy = record.validation.get("trace_accuracy")
        test = [f"{r.task.name} {_test(r)}" for r in scores.get(record.weights_sha256 or "", []) if "test" in r.splits]
        figures = ("" if accuracy is None else f"{accuracy:.1%}", ", ".join(test) or ("" if job.scored else "chooses"))
        table.add_row(job.name, f"{record.training.steps:,}", f"{record.loss:.3f}", *figures)
    console.print(table)
    for name, failure in sorted(folder.failures().items()):
        console.print(f"failed: {name}: {failure.reason}", style="red", soft_wrap=True, markup=False)
    done = sum(folder.is_done(job) for job in jobs)
    console.print(
        f"{done} of {len(folder.sweep)} runs done, {sum(map(len, scores.values()))} result files", markup=False
    )
    if scores:
        console.print(f"the board: listops-bench leaderboard build {folder.results}", soft_wrap=True, markup=False)


def _scores(results: Path) -> dict[str, list[Result]]:
    """The results below a folder, by weights."""
    found: dict[str, list[Result]] = {}
    for result in read_results(results) if results.is_dir() else []:
        found.setdefault(str(result.model.weights_sha256), []).append(result)
    return found


def _test(result: Result) -> str:
    split = result.splits["test"]
    return f"{split.metrics.trace_accuracy.accuracy:.1%} of {split.n:,}"


def clock(seconds: float) -> str:
    """``1:05`` minutes, or ``2:01:05`` hours."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
