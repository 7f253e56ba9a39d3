"""One run of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

from listops_bench.result.format import EvaluationSplit, Track
from listops_bench.train.config import TrainConfig


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
