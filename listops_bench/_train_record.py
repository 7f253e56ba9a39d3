"""A run's beginning and its record: which model it starts from, what tells it from others, and what run.json says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench._train_config import TrainConfig
from listops_bench.curriculum import Course
from listops_bench.errors import InvalidInput
from listops_bench.expression import OPERATIONS
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.model.ladder import build_model, modulus_of
from listops_bench.task import DATASET_VERSION


def initial_model(config: TrainConfig) -> PreTrainedModel:
    """The model that a run starts from, on the CPU.

    Raises:
        InvalidInput: an unknown model, or a checkpoint that does not fit.
    """
    modulus = config.plan().modulus
    if config.init_from is None:
        return build_model(config.fresh_model, modulus, config.seed).train()
    model, _, _ = load_checkpoint(config.init_from)
    found = modulus_of(model.config)
    if found != modulus:
        where = config.init_from
        raise InvalidInput(f"checkpoint {where!r} has the vocabulary of modulus {found}, the curriculum's is {modulus}")
    return model.train()


def run_identity(config: TrainConfig, *, num_processes: int = 1, mixed_precision: str = "no") -> dict[str, Any]:
    """What tells a run from others: everything that decides its end weights, up to rounding.

    Raises:
        InvalidInput: as `TrainConfig.resolved`.
    """
    return {
        "dataset_version": DATASET_VERSION,
        "num_processes": num_processes,
        "mixed_precision": mixed_precision,
        **config.resolved(),
    }


def rows_per_step(config: TrainConfig, num_processes: int = 1) -> int:
    """Rows of one optimizer step, over all processes."""
    return config.per_device_train_batch_size * config.gradient_accumulation_steps * num_processes


@dataclass
class Seen:
    """What a run has been trained on so far. ``reductions`` are int64, in the order of `expression.OPERATIONS`."""

    tokens: int = 0
    loss_tokens: int = 0
    reductions: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(OPERATIONS), np.int64))

    def add(self, tokens: int, loss_tokens: int, reductions: npt.NDArray[np.int64]) -> None:
        self.tokens += tokens
        self.loss_tokens += loss_tokens
        self.reductions += reductions

    def record(self) -> dict[str, Any]:
        """As logs and results have it: operations by name, those that never came up left out."""
        named = {name: int(n) for name, n in zip(OPERATIONS, self.reductions, strict=True) if n}
        return {"tokens": self.tokens, "loss_tokens": self.loss_tokens, "reductions": named}

    def state(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "loss_tokens": self.loss_tokens, "reductions": self.reductions.tolist()}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Seen:
        return Seen(state["tokens"], state["loss_tokens"], np.array(state["reductions"], np.int64))


def run_record(
    config: TrainConfig,
    identity: Mapping[str, Any],
    seen: Seen,
    *,
    steps: int,
    environment: Mapping[str, Any],
    seconds: float,
    loss: float | None,
    validation: Mapping[str, float],
    stopped_early: bool,
    layout: str,
    course: Course | None = None,
) -> dict[str, Any]:
    """run.json of a run after so many steps; a digest of its weights is added when they are written.

    Args:
        course: its way through the curriculum, where a stage may have ended before its steps were used up.
    """
    curriculum = config.plan()
    course = course or Course.as_planned(curriculum, steps)
    stages = zip(curriculum.stages, course.steps_by_stage(steps), strict=False)
    words = [f"{config.model_name} on {curriculum}", f"seed {config.seed}"]
    words += [f"after {identity['after_steps']} steps"] if "after_steps" in identity else []
    return {
        "name": ", ".join(words),
        "written": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "model": config.fresh_model if config.init_from is None else config.init_from,
        "curriculum": str(curriculum),
        "seed": config.seed,
        "dataset_version": DATASET_VERSION,
        "config": dataclasses.asdict(config),
        "identity": dict(identity),
        "training": {
            "curriculum": str(curriculum),
            "steps": steps,
            "budget": curriculum.steps,
            **seen.record(),
            "environment": dict(environment),
            "wall_seconds": round(seconds, 3),
        },
        "stages": [{"stage": str(stage), "steps": taken} for stage, taken in stages],
        "loss": loss,
        "validation": dict(validation),
        "stopped_early": stopped_early,
        "rows_per_step": rows_per_step(config, identity["num_processes"]),
        "num_processes": identity["num_processes"],
        "threads": torch.get_num_threads(),
        "mixed_precision": identity["mixed_precision"],
        "layout": layout,
    }
