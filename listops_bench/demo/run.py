"""The demo: does training on MAX and MED help a small transformer learn SUM?

A sweep of three curricula, the same model and at most as many steps, all scored on the same SUM test rows. What it
prints and draws is what it measured, whatever that is::

    runs/demo/demo.yaml     the sweep, which `listops-bench sweep` runs too
    runs/demo/runs/         an ordinary checkpoint folder for every run
    runs/demo/results/      result files, and board/ built from them
    runs/demo/index.html    opens the board's page
    runs/demo/logs/         what the processes printed

Started again, it trains what is missing and no more; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from listops_bench._base.files import write_atomic
from listops_bench._base.processes import usable_cores
from listops_bench.demo._story import ARMS, Outcome, describe
from listops_bench.demo.config import MIXTURE, DemoConfig
from listops_bench.leaderboard.output import build
from listops_bench.pages.console import clock, make_console
from listops_bench.pages.tables import from_records, to_console
from listops_bench.result.format import Result
from listops_bench.runs.record import Training
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep, work_side_by_side
from listops_bench.tasks.training_kinds import training_kind

if TYPE_CHECKING:
    from rich.console import Console

_MADE = (
    "runs",
    "models",
    "results",
    "board",
    "failed",
    "packs",
    "claims",
    "attempts",
    "workers",
    "logs",
    "checkpoints",
)
"""The folders that a demo makes; checkpoints/ was made by earlier versions."""

PAGE = "board/site/index.html"
INDEX = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>listops_bench demo</title>
<meta http-equiv="refresh" content="0; url={PAGE}"></head><body><a href="{PAGE}">The demo's page</a></body></html>
"""


@dataclass(frozen=True)
class Run:
    """A run that was trained, and its results by task."""

    arm: str
    seed: int
    training: Training
    results: dict[str, Result]

    @property
    def outcome(self) -> Outcome:
        exact = self.results["sum"].splits["test"].summary("trace_accuracy")
        return Outcome(self.arm, self.seed, exact.correct, exact.n, (exact.low, exact.high))


def run_demo(config: DemoConfig, console: Console | None = None) -> int:
    """Trains, scores, draws and prints. Returns 0, or 1 where a run failed (the others are shown all the same).

    Raises:
        InvalidInput: an unknown model.
        EnvironmentFailed: the folder cannot be written.
    """
    console = console or make_console()
    started = time.monotonic()
    folder = Path(config.output_dir)
    if config.fresh:
        for name in _MADE:
            shutil.rmtree(folder / name, ignore_errors=True)
    page = folder / "demo.yaml"
    write_atomic(page, yaml.safe_dump(config.sweep(), sort_keys=False))
    # Less than two rounds of runs share the cores more evenly all at once.
    num_runs = len(ARMS) * len(config.seeds)
    options = Options(str(page), str(folder), workers=num_runs if num_runs < 2 * usable_cores() else None)
    sweep = open_sweep(options)
    # Seeds show what they are said to show on a CPU: other devices compute other sums.
    work_side_by_side(sweep, options, console, {**os.environ, "ACCELERATE_USE_CPU": "true"})

    runs, checkpoints = [], []
    for job in sweep.jobs():
        record, results = sweep.record(job), {result.task.name: result for result in sweep.scores(job)}
        if record is not None and record.training is not None and "sum" in results:
            arm = training_kind(record.training.curriculum, "sum")
            runs.append(Run(arm, job.config.seed, record.training, results))
            checkpoints.append(job.output_dir)
    failed = [f"{name} failed: {failure.reason}." for name, failure in sweep.failures().items()]
    sentence = describe(run.outcome for run in runs)
    (folder / "results").mkdir(exist_ok=True)
    lead = " ".join([sentence, *failed])
    build(folder / "results", folder / "board", runs=checkpoints, title="listops_bench demo", lead=lead)
    write_atomic(folder / "index.html", INDEX)

    if runs:
        console.print(to_console(from_records(map(_cells, runs))))
    for line in (*failed, sentence):
        console.print(line, soft_wrap=True, markup=False)
    console.print(f"\npage: {folder / 'index.html'}   ({clock(time.monotonic() - started)})", markup=False)
    return 0 if len(runs) == len(sweep.sweep) else 1


def _cells(run: Run) -> dict[str, str]:
    """Its row in the table."""
    outcome, mixture = run.outcome, run.results.get(MIXTURE)
    low, high = outcome.interval
    return {
        "trained on": ARMS[run.arm],
        "seed": f"{run.seed}",
        "SUM exact": f"{outcome.accuracy:.1%}",
        "95% interval": f"{100 * low:.1f} to {high:.1%}",
        "n": f"{outcome.n:,}",
        "learned": "yes" if outcome.learned else "no",
        "mixture": f"{mixture.splits['test'].metrics.trace_accuracy.accuracy:.1%}" if mixture else "",
        "steps": f"{run.training.steps:,}",
        "SUMs seen": f"{run.training.reductions.get('sum', 0):,}",
        "time": f"{run.training.wall_seconds:.0f} s",
    }
