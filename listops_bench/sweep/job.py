"""One run of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.run import TEST_SPLITS
from listops_bench.model.ladder import build_model, parameter_counts
from listops_bench.result.format import EvaluationSplit, Track
from listops_bench.runs.record import Parameters
from listops_bench.tasks.symbols import Symbols
from listops_bench.tasks.task import get_task, with_single_tasks
from listops_bench.train.config import TrainConfig, rows_per_step

FLOPS_BESIDES = 40_000
"""What a token costs beside its matrix products, in FLOPs of them (fitted to one CPU thread; orders runs, no more)."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep: how it is trained, and what it is scored on.

    Attributes:
        name: the same wherever the run is asked for with the same options; its checkpoint folder bears it.
        eval_tasks: None for the tasks that it was trained on, and their operations alone.
        scored: False for runs that only choose a recipe.
    """

    name: str
    config: TrainConfig
    eval_tasks: tuple[str, ...] | None = None
    eval_splits: tuple[EvaluationSplit, ...] | None = None
    eval_num_rows: int | None = None
    track: Track = "open"
    scored: bool = True

    @property
    def steps(self) -> int:
        return self.config.plan().steps

    @property
    def output_dir(self) -> str:
        """The checkpoint folder."""
        return self.config.output_dir

    @property
    def tasks(self) -> Sequence[str]:
        """What it is scored on."""
        return with_single_tasks(self.config.plan().tasks) if self.eval_tasks is None else self.eval_tasks

    def rows_to_score(self, task: str) -> dict[EvaluationSplit, int]:
        """How many rows of a task it is scored on, by split."""
        counts = {split: get_task(task).num_rows(split) for split in self.eval_splits or TEST_SPLITS}
        return {split: min(count, self.eval_num_rows or count) for split, count in counts.items()}


def cost(job: Job) -> float:
    """What a run costs, in FLOPs or so."""
    config = job.config
    curriculum = config.plan()
    try:
        per_token = flops_per_token(config.fresh_model, curriculum.symbol_set)
    except InvalidInput:  # its model is gone: training it will say so
        per_token = 0
    return curriculum.steps * rows_per_step(config) * (per_token + FLOPS_BESIDES)


def flops_per_token(model: str, modulus: Symbols) -> int:
    return _counts(model, modulus).flops_per_token or 0


def parameters_of(model: str, modulus: Symbols) -> int:
    return _counts(model, modulus).total


@lru_cache
def _counts(model: str, modulus: Symbols) -> Parameters:
    return parameter_counts(build_model(model, modulus))
