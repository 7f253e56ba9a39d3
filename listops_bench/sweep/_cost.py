"""An estimate of what a sweep costs: a few steps of every kind of unit are timed here, and multiplied."""

from __future__ import annotations

import dataclasses
import heapq
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.pages.console import make_table
from listops_bench.sweep._folder import SweepFolder
from listops_bench.sweep._packs import Unit, units_of
from listops_bench.sweep.job import Job
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task
from listops_bench.train.config import TrainConfig, rows_per_step
from listops_bench.train.packed import Engine
from listops_bench.train.packed.run import this_engine, train_packed
from listops_bench.train.run import train

if TYPE_CHECKING:
    from rich.console import Console

TIMED_STEPS, FIRST_STEPS = 8, 3
"""Steps that are timed, and steps before them that are not."""

SCORED_ROWS = 128


@dataclass(frozen=True)
class Kind:
    """Units that take the same time for a step."""

    model: str
    rows: int
    packed: int


@dataclass(frozen=True)
class Speed:
    """Seconds for a step of a unit, and for scoring a row with one of its models."""

    step: float
    row: float


def print_estimate(folder: SweepFolder, pack: int | None, devices: int, console: Console) -> None:
    """Prints runs, units, steps, tokens and hours, in all and by model."""
    engine = this_engine()
    pack = 1 if pack is None and engine.device.type == "cpu" else pack
    units = units_of(folder, pack, devices, jobs=_expected(folder))
    with _threads_of_a_worker():
        speeds = {kind: calibrate(kind, unit, engine) for kind, unit in {kind_of(u): u for u in units}.items()}
    table = make_table("model", "runs", "packs of", "steps", "tokens", "ms a step", "training h", "scoring h")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind, speed in speeds.items():
        own = [unit for unit in units if kind_of(unit) == kind]
        jobs = [job for unit in own for job in unit.jobs]
        table.add_row(
            kind.model,
            f"{len(jobs)}",
            f"{kind.packed}" if kind.packed > 1 else "",
            f"{sum(job.steps for job in jobs):,}",
            f"{sum(map(tokens, jobs)) / 1e6:,.1f}M",
            f"{1000 * speed.step:.1f}",
            f"{sum(training_seconds(unit, speed) for unit in own) / 3600:.2f}",
            f"{sum(scored_rows(job) * speed.row for job in jobs) / 3600:.2f}",
        )
    console.print(table)
    jobs = [job for unit in units for job in unit.jobs]
    seconds = [training_seconds(u, speeds[kind_of(u)]) + scoring_seconds(u, speeds[kind_of(u)]) for u in units]
    longest = makespan(seconds, devices)
    console.print(
        f"{len(jobs)} runs to do in {len(units)} units, {sum(job.steps for job in jobs):,} steps, "
        f"{sum(map(tokens, jobs)) / 1e6:,.1f}M tokens: {sum(seconds) / 3600:.2f} device-hours, about "
        f"{longest / 3600:.2f} hours on {devices} {'devices' if devices > 1 else 'device'} like this one "
        f"({engine.device}). Scoring was timed on untrained models, which take the longest; validation is not counted.",
        soft_wrap=True,
        markup=False,
    )


@contextmanager
def _threads_of_a_worker() -> Iterator[None]:
    """Processes of a sweep compute with one thread each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _expected(folder: SweepFolder) -> list[Job]:
    """The runs left, where a choice is still to be made those of its first candidate."""
    known = {job.name: job for job in folder.jobs()}
    for selection in folder.sweep.selections:
        if selection.decide(folder.record, folder.has_failed) is None:
            known.update({job.name: job for job in next(iter(selection.reported.values()))})
    return list(known.values())


def kind_of(unit: Unit) -> Kind:
    config = unit.jobs[0].config
    return Kind(config.model_name, rows_per_step(config), len(unit.jobs))


def training_seconds(unit: Unit, speed: Speed) -> float:
    return speed.step * max(job.steps for job in unit.jobs)


def scoring_seconds(unit: Unit, speed: Speed) -> float:
    return speed.row * sum(map(scored_rows, unit.jobs))


def tokens(job: Job) -> float:
    """Tokens that a run sees, as many as its rows have on average."""
    config, total = job.config, 0.0
    for stage in config.plan().stages:
        lengths = [_mean_length(name, config.trace) for name in stage.tasks]
        mean = sum(share * length for share, length in zip(stage.shares, lengths, strict=True))
        total += stage.steps * rows_per_step(config) * mean
    return total


@lru_cache
def _mean_length(task: str, trace: TraceStyle) -> float:
    rows = generate(get_task(task), "train", num_rows=2000, trace=trace)
    return float(rows.num_tokens.mean()) - 1


def scored_rows(job: Job) -> int:
    """Rows that a run is scored on, over its tasks and splits."""
    return sum(sum(job.rows_to_score(task).values()) for task in job.tasks) if job.scored else 0


def calibrate(kind: Kind, unit: Unit, engine: Engine) -> Speed:
    """Times some steps of a unit, and the scoring of some rows."""
    with tempfile.TemporaryDirectory(prefix="listops-estimate-") as folder:
        configs = [_short(job.config, f"{folder}/{i}") for i, job in enumerate(unit.jobs)]
        times: list[float] = []

        def on_step(progress: Any) -> None:
            times.append(time.perf_counter())

        if kind.packed > 1:
            train_packed(configs, f"{folder}/pack", engine=engine, on_step=on_step)
        else:
            train(configs[0], on_step=on_step)
        steps = [after - before for before, after in pairwise(times[FIRST_STEPS:])]
        task = configs[0].plan().tasks[0]
        begun = time.perf_counter()
        evaluate_checkpoint(configs[0].output_dir, task, "test", num_rows=SCORED_ROWS, device=str(engine.device))
        return Speed(median(steps), (time.perf_counter() - begun) / SCORED_ROWS)


def _short(config: TrainConfig, output_dir: str) -> TrainConfig:
    """The same run for a few steps of its first stage, each of which is waited for."""
    stage = dataclasses.replace(config.plan().stages[0], steps=FIRST_STEPS + TIMED_STEPS)
    return dataclasses.replace(
        config,
        output_dir=output_dir,
        task=None,
        max_steps=None,
        curriculum=str(stage),
        logging_steps=1,
        eval_steps=0,
        save_steps=0,
        early_stop=None,
    )


def makespan(seconds: Sequence[float], devices: int) -> float:
    """When the last of some devices is done, if each takes the longest of what is left."""
    busy = [0.0] * devices
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)
