"""Which step of a run trains on what, and what a run has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from listops_bench.tasks.curriculum import Curriculum, Stage


@dataclass
class Seen:
    """What a run has been trained on so far. ``reductions`` are int64, in the order of ``operations``."""

    operations: Sequence[str]
    tokens: int = 0
    loss_tokens: int = 0
    reductions: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.reductions = np.zeros(len(self.operations), np.int64)

    def add(self, tokens: int, loss_tokens: int, reductions: npt.NDArray[np.int64]) -> None:
        self.tokens += tokens
        self.loss_tokens += loss_tokens
        self.reductions += reductions

    def record(self) -> dict[str, Any]:
        """As logs and results have it: operations by name, those that never came up left out."""
        named = {name: int(n) for name, n in zip(self.operations, self.reductions, strict=True) if n}
        return {"tokens": self.tokens, "loss_tokens": self.loss_tokens, "reductions": named}

    def state(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "loss_tokens": self.loss_tokens, "reductions": self.reductions.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.tokens, self.loss_tokens = state["tokens"], state["loss_tokens"]
        self.reductions = np.array(state["reductions"], np.int64)


class Position:
    """Where a run is in its curriculum, whose stages may end before their steps are used up.

    Attributes:
        starts: the steps at which the stages began, of those that have begun.
    """

    def __init__(self, curriculum: Curriculum, starts: Sequence[int] = (0,)) -> None:
        self.curriculum, self.starts = curriculum, list(starts)

    @property
    def index(self) -> int:
        return len(self.starts) - 1

    @property
    def stage(self) -> Stage:
        return self.curriculum.stages[self.index]

    @property
    def in_last_stage(self) -> bool:
        return self.index == len(self.curriculum.stages) - 1

    @property
    def stage_end(self) -> int:
        """The step at which the stage ends at the latest."""
        return self.starts[-1] + self.stage.steps

    @property
    def end(self) -> int:
        """The step at which the run ends at the latest."""
        return self.starts[-1] + sum(stage.steps for stage in self.curriculum.stages[self.index :])

    @property
    def schedule(self) -> tuple[int, int]:
        """The steps (first, end) over which the stage's optimizer and its schedule run."""
        first, end = self.curriculum.schedule(self.index)
        began = max(i for i in range(self.index + 1) if self.curriculum.stages[i].reset_optimizer)
        return self.starts[began], self.starts[began] + end - first

    def steps_by_stage(self, step: int) -> list[int]:
        """Steps taken in each of the stages that have begun, after a number of steps."""
        return [end - start for start, end in zip(self.starts, [*self.starts[1:], step], strict=True)]
