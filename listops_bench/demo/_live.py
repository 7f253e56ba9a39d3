"""The demo's progress while it trains: a table that is redrawn on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from listops_bench._base.processes import Job

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SUM_ACCURACY = "sum/trace_accuracy"
"""The validation figure that all curricula have in common."""

SECONDS_BETWEEN_LINES = 15.0


class HasLog(Protocol):
    """A training run; its log moves when it ends."""

    @property
    def log(self) -> Path: ...


@dataclass(frozen=True)
class Standing:
    """How far a run has come, as the last lines of its log say."""

    step: int = 0
    loss: float | None = None
    sum_accuracy: float | None = None
    tokens_per_second: float | None = None


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a training log; one that is being written right now is left out, and no log is an empty one."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    whole, _, _ = text.rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line]


def standing(lines: Sequence[dict[str, Any]]) -> Standing:
    """Where the last lines of a log leave a run."""
    if not lines:
        return Standing()
    figures = [line["validation"][SUM_ACCURACY] for line in lines if SUM_ACCURACY in line.get("validation", {})]
    last = lines[-1]
    return Standing(last["step"], last["loss"], figures[-1] if figures else None, last.get("tokens_per_second"))


class Display(AbstractContextManager["Display"]):
    """Shows jobs and their logs. ``show()`` is called twice a second.

    Args:
        jobs, runs: the processes, and what knows where the training log of each is just now.
        steps: those of every run.
        at_once: how many run side by side.
    """

    def __init__(self, console: Console, jobs: Sequence[Job], runs: Sequence[HasLog], steps: int, at_once: int) -> None:
        from rich.live import Live

        self.console, self.jobs, self.runs, self.steps, self.at_once = console, jobs, runs, steps, at_once
        self.live = Live(console=console, auto_refresh=False, transient=False) if console.is_terminal else None
        self.started = self.said = time.monotonic()
        self.begun_at: dict[str, int] = {}

    def __enter__(self) -> Display:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.live:
            self.show()
            self.live.stop()

    def show(self) -> None:
        if self.live:
            self.live.update(self._table(), refresh=True)
        elif time.monotonic() - self.said >= SECONDS_BETWEEN_LINES:
            self.said = time.monotonic()
            self.console.print(self._line(), soft_wrap=True, markup=False)

    def _standings(self) -> list[Standing]:
        standings = [standing(read_log(run.log)) for run in self.runs]
        for job, now in zip(self.jobs, standings, strict=True):
            if job.status == "running":  # a run that was stopped before does not begin at 0
                self.begun_at[job.name] = min(now.step, self.begun_at.get(job.name, now.step))
        return standings

    def _table(self) -> RenderableType:
        from rich import box
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        standings = self._standings()
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=self._outlook(standings), caption_justify="left")
        for name in ("run", "", "step", "loss", "SUM exact", "tokens/s", "left"):
            table.add_column(name, justify="left" if name in ("run", "") else "right", no_wrap=True)
        for job, now in zip(self.jobs, standings, strict=True):
            step = self.steps if job.status == "done" else now.step
            bar = ProgressBar(total=self.steps, completed=step, width=24)
            running = job.status == "running"
            table.add_row(
                job.name,
                bar if job.status in ("running", "done") else job.status,
                f"{step:,}" if step else "",
                "" if now.loss is None else f"{now.loss:.3f}",
                "" if now.sum_accuracy is None else f"{now.sum_accuracy:.0%}",
                f"{now.tokens_per_second:,.0f}" if running and now.tokens_per_second else "",
                _clock(self._seconds_left(job, now)) if running else job.status if job.status == "done" else "",
            )
        return table

    def _line(self) -> str:
        """``1:30  SUM alone, seed 0: step 600, loss 1.234, SUM 3%; ...; about 3:10 left``."""
        standings = self._standings()
        parts = []
        for job, now in zip(self.jobs, standings, strict=True):
            if job.status == "running":
                loss = "" if now.loss is None else f", loss {now.loss:.3f}"
                accuracy = "" if now.sum_accuracy is None else f", SUM {now.sum_accuracy:.0%}"
                parts.append(f"{job.name}: step {now.step:,}{loss}{accuracy}")
        return f"{_clock(time.monotonic() - self.started)}  " + "; ".join([*parts, self._outlook(standings)])

    def _outlook(self, standings: Sequence[Standing]) -> str:
        finished = sum(job.status == "done" for job in self.jobs)
        text = f"{finished} of {len(self.jobs)} runs done"
        seconds = self._seconds_left_of_all(standings)
        return text if seconds is None else f"{text}, about {_clock(seconds)} of training left"

    def _speed(self, job: Job, now: Standing) -> float | None:
        """Steps per second, the start of the process included; None before the first."""
        done = now.step - self.begun_at.get(job.name, 0)
        return done / job.seconds if job.seconds and done > 0 else None

    def _seconds_left(self, job: Job, now: Standing) -> float | None:
        speed = self._speed(job, now)
        return (self.steps - now.step) / speed if speed else None

    def _seconds_left_of_all(self, standings: Sequence[Standing]) -> float | None:
        """What is left to do at the mean speed so far."""
        pairs = list(zip(self.jobs, standings, strict=True))
        speeds = [speed for job, now in pairs if (speed := self._speed(job, now))]
        if not speeds:
            return None
        left = sum(self.steps - now.step for job, now in pairs if job.status in ("running", "waiting"))
        return left / (self.at_once * sum(speeds) / len(speeds))


def _clock(seconds: float | None) -> str:
    """``1:05``."""
    if seconds is None:
        return ""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
