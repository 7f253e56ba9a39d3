"""A run's beginning and its record: which model it starts from, what tells it from others, and what run.json says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from listops_bench._base.text import utc_timestamp
from listops_bench.runs.record import Environment, RunRecord, StageSteps, Training
from listops_bench.tasks.task import DATASET_VERSION
from listops_bench.train.config import TrainConfig, TrainRecipe, rows_per_step
from listops_bench.train.course import Course, Seen


def run_identity(config: TrainRecipe, *, num_processes: int = 1, mixed_precision: str = "no") -> dict[str, Any]:
    """What tells a run from others: everything that decides its end weights, up to rounding.

    Raises:
        InvalidInput: as `TrainRecipe.resolved`.
    """
    return {
        "dataset_version": DATASET_VERSION,
        "num_processes": num_processes,
        "mixed_precision": mixed_precision,
        **config.resolved(),
    }


def run_record(
    config: TrainConfig,
    identity: Mapping[str, Any],
    seen: Seen,
    *,
    steps: int,
    environment: Environment,
    seconds: float,
    loss: float | None,
    validation: Mapping[str, float],
    stopped_early: bool,
    layout: str,
    course: Course | None = None,
    packed_runs: int | None = None,
) -> RunRecord:
    """The record of a run after so many steps; a digest of its weights is added when they are written.

    Args:
        course: its way through the curriculum, where a stage may have ended before its steps were used up.
    """
    curriculum = config.plan()
    course = course or Course.as_planned(curriculum, steps)
    stages = zip(curriculum.stages, course.steps_by_stage(steps), strict=False)
    words = [f"{config.model_name} on {curriculum}", f"seed {config.seed}"]
    words += [f"after {identity['after_steps']} steps"] if "after_steps" in identity else []
    return RunRecord(
        name=", ".join(words),
        written=utc_timestamp(),
        model=config.fresh_model if config.init_from is None else config.init_from,
        curriculum=str(curriculum),
        seed=config.seed,
        dataset_version=DATASET_VERSION,
        config=dataclasses.asdict(config),
        identity=dict(identity),
        training=Training(
            curriculum=str(curriculum),
            steps=steps,
            budget=curriculum.steps,
            **seen.record(),
            environment=environment,
            wall_seconds=round(seconds, 3),
        ),
        stages=[StageSteps(str(stage), taken) for stage, taken in stages],
        loss=loss,
        validation=dict(validation),
        stopped_early=stopped_early,
        rows_per_step=rows_per_step(config, identity["num_processes"]),
        num_processes=identity["num_processes"],
        threads=torch.get_num_threads(),
        mixed_precision=identity["mixed_precision"],
        layout=layout,
        packed_runs=packed_runs,
    )
