"""The tasks in reasoning-gym: procedural rows for training by reinforcement, with levels of depth and operand count.

    register_to_reasoning_gym()
    rows = reasoning_gym.create_dataset("listops", task="sum_max_med", size=1000, seed=1)
    reward = rows.score_answer(answer, rows[0])

Rows come from the train split, so no evaluation row is ever among them. A question is our prompt, below a description
of the operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reasoning_gym.coaching import BaseCurriculum, ScalarAttributeDefinition
from reasoning_gym.dataset import ProceduralDataset
from reasoning_gym.factory import DATASETS, register_dataset

from listops_bench.errors import InvalidInput
from listops_bench.harness.lm_eval_files import description
from listops_bench.score.row import score_answer
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import TaskSpec, get_task

NAME = "listops"


@dataclass
class ListOpsConfig:
    """What rows there are.

    Attributes:
        task: its operations, with any other words of a task's name.
        max_depth: of an expression; depths fall as they do.
        max_operands: of an operation.
        described: questions begin with what the operations mean, for models that do not know them.
        exact: a reward for the exact trace alone, instead of for the right answer.
        seed: of the rows.
        size: how many there are.
    """

    task: str = "sum_max_med"
    max_depth: int = 2
    max_operands: int = 3
    described: bool = True
    exact: bool = False
    seed: int | None = None
    size: int = 500

    def validate(self) -> None:
        """Raises InvalidInput, naming the value."""
        if self.size < 1:
            raise InvalidInput(f"size is {self.size}; it must be at least 1")
        self.spec()

    def spec(self) -> TaskSpec:
        """The task; its train rows may repeat, so that there are as many as are asked for."""
        shape = {"max_depth": self.max_depth, "max_operands": self.max_operands}
        return get_task(self.task, **shape, depth_weights=(1.0,), unique=False)


class ListOpsDataset(ProceduralDataset):
    """The rows; ``entry["metadata"]`` holds the columns of a row of ours."""

    def __init__(self, config: ListOpsConfig) -> None:
        super().__init__(config=config, seed=config.seed, size=config.size)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        rows = generate(self.config.spec(), "train", seed=self.seed, num_rows=self.size)
        found: list[dict[str, Any]] = rows.to_arrow().to_pylist()
        return found

    @cached_property
    def _told(self) -> str:
        return description(self.config.spec()) if self.config.described else ""

    def __getitem__(self, idx: int) -> dict[str, Any]:
        row = self._rows[idx]
        levels = {"max_depth": self.config.max_depth, "max_operands": self.config.max_operands}
        return {
            "question": self._told + row["prompt"],
            "answer": row["completion"].strip(),
            "metadata": {**row, "source_dataset": NAME, "source_index": idx, "difficulty": levels},
        }

    def score_answer(self, answer: str | None, entry: dict[str, Any]) -> float:
        """1.0 where `listops_bench.score_answer` says that the answer is right (``exact``: the trace), or 0.0."""
        found = score_answer(answer or "", entry["metadata"])
        return float(found.trace if self.config.exact else found.answer)


class ListOpsCurriculum(BaseCurriculum):
    """Levels of depth and of operand count."""

    def __init__(self) -> None:
        super().__init__(ListOpsCurriculum.__name__, ListOpsConfig)
        self._define_attributes(
            ScalarAttributeDefinition(
                name="max_depth", field_name="max_depth", levels=[1, 2, 3, 4], description="Depth of an expression"
            ),
            ScalarAttributeDefinition(
                name="max_operands", field_name="max_operands", levels=[3, 4, 5], description="Operands of an operation"
            ),
        )


def register_to_reasoning_gym() -> None:
    """Makes ``reasoning_gym.create_dataset("listops")`` and ``create_curriculum("listops")`` work; twice is once."""
    if NAME not in DATASETS:
        register_dataset(NAME, ListOpsDataset, ListOpsConfig, ListOpsCurriculum)
