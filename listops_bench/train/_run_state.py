"""What a run starts from, has come to, and does next: alike for a run alone and for a member of a pack."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from listops_bench._base.hashing import key64
from listops_bench._base.records import decode, encode
from listops_bench._base.text import utc_timestamp
from listops_bench.errors import InvalidInput
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.model.ladder import build_model, model_symbols
from listops_bench.model.parts import copy_parameters, keep_axes, matching_parameters, parameters_in
from listops_bench.runs.record import Environment, RunRecord, StageSteps, Training
from listops_bench.tasks.curriculum import Curriculum, Stage
from listops_bench.tasks.pages import own_pages
from listops_bench.tasks.symbols import Symbols
from listops_bench.tasks.task import DATASET_VERSION, get_task
from listops_bench.train.config import TrainConfig, TrainRecipe, rows_per_step
from listops_bench.train.position import Position, Seen


def initial_model(config: TrainRecipe) -> PreTrainedModel:
    """The model that a run starts from, on the CPU.

    Raises:
        InvalidInput: an unknown model, or a checkpoint that does not fit.
    """
    plan = config.plan()
    first = plan.stages[0]
    if config.init_from is None or first.init_parts:
        model = build_model(config.fresh_model, plan.symbol_set, config.seed)
    if config.init_from is not None:
        source = starting_point(config.init_from, plan.symbol_set)
        if not first.init_parts:
            return source.train()
        copy_parameters(source, model, matching_parameters(model, source, first.init_parts, config.init_from))
        _restrict(model, first)
    return model.train()


def renew(config: TrainRecipe, index: int, model: PreTrainedModel) -> None:
    """Makes anew, in place, what of a model the stage of an index does not go on with.

    Of a seed of the stage's own: those of the run's seed are where the parts that are kept have come from.
    """
    stage = config.plan().stages[index]
    if index and stage.init_parts:
        fresh = build_model(model.config, None, key64(f"listops/stage/{config.seed}/{index}") >> 1)
        copy_parameters(fresh, model, parameters_in(model, ["*"]) - parameters_in(model, stage.init_parts))
        _restrict(model, stage)


def _restrict(model: PreTrainedModel, stage: Stage) -> None:
    if stage.init_axes is not None:
        keep_axes(model, stage.init_axes)


def starting_point(checkpoint: str, symbols: Symbols) -> PreTrainedModel:
    """The model of a checkpoint, which has the vocabulary of some symbols. Raises InvalidInput where it has not."""
    model, _, run = load_checkpoint(checkpoint)
    found = model_symbols(model.config, run.symbols)
    if found != symbols:
        raise InvalidInput(f"checkpoint {checkpoint!r} has the vocabulary of {found}, the curriculum's is of {symbols}")
    return model


def check_context(model: PreTrainedConfig, name: str, longest: int) -> None:
    """Raises InvalidInput where a model, called by a name, has fewer positions than a row or window has tokens."""
    context = getattr(model, "max_position_embeddings", None)
    if context is not None and context < longest:
        raise InvalidInput(f"model {name!r} has a context of {context} tokens, and is to be trained on {longest}")


@dataclass
class RunState:
    """A run after some steps.

    Attributes:
        identity: what tells it from other runs.
        position: the stage that it is in.
        step: steps done.
        seen: what it has been trained on.
        loss: mean over the last interval of the log; None before the first.
        validation: the last figures, by name; empty before the first.
        streak: validations in a row that reached the goal of the stage.
        environments: of all its sessions so far, every one once.
    """

    config: TrainConfig
    identity: Mapping[str, Any]
    position: Position = field(init=False)
    step: int = 0
    seen: Seen = field(init=False)
    loss: float | None = None
    validation: dict[str, float] = field(default_factory=dict)
    streak: int = 0
    environments: list[Environment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.position = Position(self.config.plan())
        self.seen = Seen(tuple(self.curriculum.symbol_set.operations))

    @property
    def curriculum(self) -> Curriculum:
        return self.position.curriculum

    # --- what is due --------------------------------------------------------------------------------------------------

    def due(self, every: int) -> bool:
        """Whether the step just done is one of every so many, or the last; never where that is 0."""
        return every > 0 and (self.step % every == 0 or self.step == self.position.end)

    @property
    def validation_is_due(self) -> bool:
        return self.due(self.config.eval_steps)

    @property
    def line_is_due(self) -> bool:
        """Whether the log gets a line."""
        return self.due(self.config.logging_steps) or self.validation_is_due

    # --- where a stage ends -------------------------------------------------------------------------------------------

    @property
    def goal(self) -> float | None:
        """The accuracy at which the stage ends before its steps are used up."""
        if self.position.stage.until is None and self.position.in_last_stage:
            return self.config.early_stop
        return self.position.stage.until

    def add_validation(self, figures: Mapping[str, float]) -> None:
        """Takes new figures, and counts those in a row that reach the goal.

        Raises:
            InvalidInput: there is a goal, and no ``trace_accuracy`` among the figures.
        """
        self.validation = dict(figures)
        if self.goal is None:
            return
        if "trace_accuracy" not in figures:
            raise InvalidInput("stopping at an accuracy needs validation figures with a trace_accuracy")
        self.streak = self.streak + 1 if figures["trace_accuracy"] >= self.goal else 0

    @property
    def stage_is_over(self) -> bool:
        """Whether the steps of the stage are used up, or its goal is reached."""
        reached = self.goal is not None and self.streak >= self.config.early_stop_patience
        return reached or self.step == self.position.stage_end

    @property
    def is_over(self) -> bool:
        return self.position.in_last_stage and self.stage_is_over

    def begin_stage(self) -> None:
        """The next stage begins with the next step."""
        self.position.starts.append(self.step)
        self.streak = 0

    # --- what is written ----------------------------------------------------------------------------------------------

    def log_line(
        self, loss: float, learning_rate: float, grad_norm: float | None, tokens_per_second: float
    ) -> dict[str, Any]:
        """A line of the log."""
        self.loss = loss
        return {
            "step": self.step,
            "stage": self.position.index,
            "loss": loss,
            "learning_rate": learning_rate,
            "grad_norm": grad_norm,
            **self.seen.record(),
            "tokens_per_second": round(tokens_per_second),
        }

    def record(
        self,
        environment: Environment,
        seconds: float,
        layout: str,
        *,
        along_the_way: bool = False,
        packed_runs: int | None = None,
    ) -> RunRecord:
        """The record of the run; sizes and digest of its weights are added when they are written.

        Args:
            along_the_way: of a checkpoint of a run that goes on: a recipe of its own.
        """
        config, curriculum, steps = self.config, self.curriculum, self.step
        identity = {**self.identity, **({"after_steps": steps} if along_the_way else {})}
        stages = zip(curriculum.stages, self.position.steps_by_stage(steps), strict=False)
        words = [f"{config.model_name} on {curriculum}", f"seed {config.seed}"]
        words += [f"after {steps} steps"] if along_the_way else []
        return RunRecord(
            name=", ".join(words),
            written=utc_timestamp(),
            model=config.fresh_model,
            curriculum=str(curriculum),
            seed=config.seed,
            dataset_version=DATASET_VERSION,
            config=dataclasses.asdict(config),
            identity=identity,
            training=Training(
                curriculum=str(curriculum),
                steps=steps,
                budget=curriculum.steps,
                **self.seen.record(),
                environment=environment,
                wall_seconds=round(seconds, 3),
            ),
            stages=[StageSteps(str(stage), taken) for stage, taken in stages],
            loss=self.loss,
            validation={name: value for name, value in self.validation.items() if math.isfinite(value)},
            stopped_early=not along_the_way and steps < self.position.end,
            rows_per_step=rows_per_step(config, identity["num_processes"]),
            num_processes=identity["num_processes"],
            threads=torch.get_num_threads(),
            mixed_precision=identity["mixed_precision"],
            layout=layout,
            packed_runs=packed_runs,
            symbols=curriculum.symbol_set.word or None,
            pages=own_pages(word for task in curriculum.tasks for word in get_task(task).page_words) or None,
            earlier_environments=[one for one in self.environments if one != environment] or None,
        )

    # --- state --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What of it stands in state.pt, beside the step and the stages' starts."""
        return {
            "loss": self.loss,
            "validation": self.validation,
            "streak": self.streak,
            "environments": [encode(one) for one in self.environments],
            **self.seen.state(),
        }

    def restore(self, state: Mapping[str, Any], starts: Sequence[int], step: int) -> None:
        self.position.starts, self.step = list(starts), step
        self.seen.restore(state)
        self.loss, self.validation, self.streak = state["loss"], state["validation"], state["streak"]
        before = [decode(Environment, value, "environments") for value in state.get("environments", ())]
        self.environments = [*before, *(one for one in self.environments if one not in before)]


class Stopwatch:
    """Seconds of a run, over all its sessions."""

    def __init__(self) -> None:
        self.before, self._started = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self._started
