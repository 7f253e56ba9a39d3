"""An estimate of what a sweep costs: a few steps of every shape of unit are timed here, and multiplied.

What it would cost on a GPU is said beside it, by rates that were measured on one.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.pages.tables import from_records, to_console
from listops_bench.sweep._folder import SweepFolder
from listops_bench.sweep._packs import Unit, pack_limit, units_of
from listops_bench.sweep.job import Job, flops_per_token
from listops_bench.tasks.exposure import exposure
from listops_bench.train.config import WINDOW, TrainConfig, rows_per_step
from listops_bench.train.packed import Engine
from listops_bench.train.packed.run import has_kernels, this_engine, train_packed, why_not
from listops_bench.train.run import train

if TYPE_CHECKING:
    from rich.console import Console

TIMED_STEPS, FIRST_STEPS = 8, 3
"""Steps that are timed, and steps before them that are not."""

SCORED_ROWS = 128

GPU = "NVIDIA H200"
GPU_TOKEN_NS = {25_280: 7.974, 87_424: 25.619, 186_432: 32.076, 322_304: 39.016}
"""Nanoseconds for a token of a pack in float32, by the FLOPs that it costs: of looped_d016, d032, d048 and d064
(`benchmarks/results/gpu-nvidia-h200.json`, as all rates)."""
GPU_STEP, GPU_LAUNCHED_STEP, GPU_ROW = 1 / 2194.7, 1 / 89.3, 0.84 / 11_000
"""Seconds for a step of a pack at the least, for one of a run that cannot be packed, and for scoring a row."""
GPU_WITHOUT_KERNELS = 3.4
"""How many times as long a pack takes that our kernels are not made for: 13,769 against 4,065 model-steps/s of
looped_d048, the latter on an H100 before there were any."""


@dataclass(frozen=True)
class Estimate:
    """What units of one shape cost.

    Attributes:
        units: of one model, number of rows in a step, and number of runs.
        step: seconds for a step of a unit.
        row: seconds for scoring a row with one of its models.
    """

    units: tuple[Unit, ...]
    step: float
    row: float

    @property
    def jobs(self) -> list[Job]:
        return [job for unit in self.units for job in unit.jobs]

    @property
    def steps(self) -> int:
        return sum(job.steps for job in self.jobs)

    @property
    def tokens(self) -> float:
        """Those that the runs see, as many as their rows have on average."""
        return sum(_tokens(job.config) for job in self.jobs)

    def training_seconds(self, unit: Unit) -> float:
        return self.step * max(job.steps for job in unit.jobs)

    def scoring_seconds(self, unit: Unit) -> float:
        return self.row * _rows_to_score(unit.jobs)

    @property
    def gpu_seconds(self) -> float:
        """On one `GPU`. Where a model costs more than those measured, a token's time grows as its FLOPs do."""
        config, scoring = self.jobs[0].config, GPU_ROW * _rows_to_score(self.jobs)
        if why_not(config) is not None:
            return scoring + GPU_LAUNCHED_STEP * self.steps
        flops = flops_per_token(config.fresh_model, config.plan().symbol_set)
        known = np.interp(flops, list(GPU_TOKEN_NS), list(GPU_TOKEN_NS.values()))
        tokens = 1e-9 * self.tokens * float(known) * max(1.0, flops / max(GPU_TOKEN_NS))
        slower = 1.0 if has_kernels(config) else GPU_WITHOUT_KERNELS
        return scoring + slower * max(tokens, GPU_STEP * max(job.steps for job in self.jobs))


def _rows_to_score(jobs: Sequence[Job]) -> int:
    return sum(sum(job.rows_to_score(task).values()) for job in jobs if job.scored for task in job.tasks)


def estimate(folder: SweepFolder, pack: int | None, devices: int, engine: Engine) -> list[Estimate]:
    """What is left to do, and what it costs, by shape.

    Args:
        pack: models in a pack at the most.
        devices: that share the work.
        engine: what the steps are timed on.
    """

    shapes = _by_shape(folder, pack_limit(pack, engine.device.type), devices)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the processes of a sweep have
    try:
        return [_timed(same, engine) for same in shapes]
    finally:
        torch.set_num_threads(threads)


def _by_shape(folder: SweepFolder, limit: int | None, devices: int) -> list[tuple[Unit, ...]]:
    """The units that are left, those of one shape together."""

    def shape(unit: Unit) -> tuple[str, str, int, int]:
        config = unit.jobs[0].config
        return config.model_name, config.batching, rows_per_step(config), len(unit.jobs)

    units = sorted(units_of(folder, limit, devices, jobs=_expected(folder)), key=shape)
    return [tuple(same) for _, same in groupby(units, shape)]


def print_estimate(folder: SweepFolder, pack: int | None, devices: int, console: Console) -> None:
    """Prints runs, units, steps, tokens and hours, by shape and in all."""
    engine = this_engine()
    estimates = estimate(folder, pack, devices, engine)
    on_cpu = engine.device.type == "cpu"
    console.print(to_console(from_records([_cells(e, on_cpu) for e in estimates])))
    seconds = [e.training_seconds(unit) + e.scoring_seconds(unit) for e in estimates for unit in e.units]
    console.print(
        f"{sum(len(e.jobs) for e in estimates)} runs to do in {len(seconds)} units, "
        f"{sum(e.steps for e in estimates):,} steps, {sum(e.tokens for e in estimates) / 1e6:,.1f}M tokens: "
        f"{spell_time(sum(seconds))} of one device, about {spell_time(makespan(seconds, devices))} on "
        f"{devices} {'devices' if devices > 1 else 'device'} like this one ({engine.device}). Scoring was timed on "
        "untrained models, which take the longest; validation is not counted.",
        soft_wrap=True,
        markup=False,
    )
    if on_cpu:
        time_on_gpu = spell_time(sum(e.gpu_seconds for e in estimates))
        console.print(
            f"On one GPU, about {time_on_gpu}: an estimate by the rates of one {GPU}, runs packed as they fit.",
            soft_wrap=True,
        )


def shards_within(folder: SweepFolder, pack: int | None, seconds: float) -> tuple[int, float]:
    """In how many shards each takes at the most so many seconds on one `GPU`, and what the longest takes.

    Where not even a run or a choice by itself does, as many shards as there are of these.
    """
    sweep = folder.sweep
    most = max(1, len(sweep.jobs) + len(sweep.selections))

    def longest(count: int) -> float:
        parts = (SweepFolder(folder.path, sweep.shard(index, count), folder.part) for index in range(count))
        return max(sum(Estimate(same, 0, 0).gpu_seconds for same in _by_shape(part, pack, 1)) for part in parts)

    count = min(most, max(1, math.ceil(longest(1) / seconds)))
    while (found := longest(count)) > seconds and count < most:
        count += 1
    return count, found


def print_shards(folder: SweepFolder, pack: int | None, seconds: float, console: Console) -> None:
    """Prints in how many shards each fits a time on one GPU."""
    count, longest = shards_within(folder, pack, seconds)
    words = f"--shard 1/{count} to {count}/{count}" if count > 1 else "one call"
    last = "" if longest <= seconds else "; started again, it goes on"
    console.print(
        f"Within {seconds / 60:g} minutes of one {GPU} each: {words}; the longest takes {longest / 60:.1f}{last}.",
        soft_wrap=True,
        markup=False,
    )


def _tokens(config: TrainConfig) -> float:
    if config.batching == "windows":
        return config.plan().steps * rows_per_step(config) * WINDOW
    return exposure(config.plan(), rows_per_step=rows_per_step(config), trace=config.trace).tokens


def _cells(of_shape: Estimate, on_cpu: bool) -> dict[str, str]:
    """Its row in the table."""
    packed = len(of_shape.units[0].jobs)
    return {
        "model": of_shape.jobs[0].config.model_name,
        "runs": f"{len(of_shape.jobs)}",
        "packs of": f"{packed}" if packed > 1 else "",
        "steps": f"{of_shape.steps:,}",
        "tokens": f"{of_shape.tokens / 1e6:,.1f}M",
        "ms a step": f"{1000 * of_shape.step:.1f}",
        "training h": f"{sum(map(of_shape.training_seconds, of_shape.units)) / 3600:.2f}",
        "scoring h": f"{sum(map(of_shape.scoring_seconds, of_shape.units)) / 3600:.2f}",
        **({"GPU h, estimated": f"{of_shape.gpu_seconds / 3600:.2f}"} if on_cpu else {}),
    }


def _expected(folder: SweepFolder) -> list[Job]:
    """The runs left, where a choice is still to be made those of its first candidate."""
    known = {job.name: job for job in folder.jobs()}
    for selection in folder.sweep.selections:
        if selection.decide(folder.record, folder.has_failed) is None:
            known.update({job.name: job for job in next(iter(selection.reported.values()))})
    return list(known.values())


def _timed(units: tuple[Unit, ...], engine: Engine) -> Estimate:
    """Times some steps of the first unit, and the scoring of some rows."""
    with tempfile.TemporaryDirectory(prefix="listops-estimate-") as folder:
        configs = [_short(job.config, f"{folder}/{i}") for i, job in enumerate(units[0].jobs)]
        times: list[float] = []
        if len(configs) > 1:
            train_packed(configs, f"{folder}/pack", engine=engine, on_step=lambda _: times.append(time.perf_counter()))
        else:
            train(configs[0], on_step=lambda _: times.append(time.perf_counter()))
        steps = [after - before for before, after in pairwise(times[FIRST_STEPS:])]
        task = configs[0].plan().tasks[0]
        begun = time.perf_counter()
        evaluate_checkpoint(configs[0].output_dir, task, "test", num_rows=SCORED_ROWS, device=str(engine.device))
        return Estimate(units, median(steps), (time.perf_counter() - begun) / SCORED_ROWS)


def _short(config: TrainConfig, output_dir: str) -> TrainConfig:
    """The same run for a few steps of its first stage, each of which is waited for."""
    stage = dataclasses.replace(config.plan().stages[0], steps=FIRST_STEPS + TIMED_STEPS)
    return dataclasses.replace(
        config,
        output_dir=output_dir,
        task=None,
        max_steps=None,
        init_parts=None,
        freeze=None,
        curriculum=str(stage),
        logging_steps=1,
        eval_steps=0,
        save_steps=0,
        early_stop=None,
    )


def spell_time(seconds: float) -> str:
    """``29.8 hours``, ``4.2 minutes`` or ``12 seconds``."""
    size, unit = (3600, "hours") if seconds >= 3600 else (60, "minutes") if seconds >= 60 else (1, "seconds")
    return f"{seconds / size:.3g} {unit}"


def makespan(seconds: Sequence[float], devices: int) -> float:
    """When the last of some devices is done, if each takes the longest of what is left."""
    busy = [0.0] * devices
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + duration)
    return max(busy)
