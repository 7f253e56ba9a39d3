"""The record of a run: where the weights come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from listops_bench._base.records import Count, Line, Positive, Seconds, Text

OperationName = Literal["sum", "prod", "nadd", "ssum", "max", "min", "med"]


# Never the name of a YAML file, which a curriculum may be elsewhere: reading a result opens no other file.
CurriculumText = Annotated[str, Text(r"(?!.*\.ya?ml\s*$)[^\x00-\x1f\x7f]*", 2000)]


Step = Annotated[str, Text(r"[1-9][0-9]*", 12)]


@dataclass(frozen=True, slots=True)
class Environment:
    """Where something ran: package versions, the code's commit and whether it was altered, the hardware."""

    packages: dict[str, Line]
    commit: Line | None
    dirty: bool | None
    hardware: Line | None


@dataclass(frozen=True, slots=True)
class Training:
    """Where the weights come from.

    Attributes:
        curriculum: ``"max_med:1200,sum:1800"``.
        steps, budget: optimizer steps taken, and allowed.
        tokens: seen in training, and ``loss_tokens`` those among them that bore loss.
        reductions: operations evaluated in the training traces, by operation.
    """

    curriculum: CurriculumText
    steps: Count
    budget: Count
    tokens: Count
    loss_tokens: Count
    reductions: dict[OperationName, Count]
    environment: Environment
    wall_seconds: Seconds


@dataclass(frozen=True, slots=True)
class Learning:
    """How the training went, as its log says: exact traces among the first ``n`` validation rows of the task.

    ``correct`` by step: ``{"250": 3, "500": 251}``. What was learned is decided on test rows; this says when.
    """

    n: Positive
    correct: dict[Step, Count]
