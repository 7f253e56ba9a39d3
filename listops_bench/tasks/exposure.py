"""What a curriculum shows a model: steps, tokens and reductions by operation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from listops_bench.errors import InvalidInput, unknown
from listops_bench.tasks.curriculum import Curriculum
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.operations import OPERATIONS
from listops_bench.tasks.task import get_task

NEARLY = 0.1
"""Exposures that differ by less, as a share, count as equal."""


@dataclass(frozen=True)
class Exposure:
    """What a model is shown: tokens without padding, and reductions by operation, those in the completions."""

    steps: int
    tokens: float
    reductions: Mapping[str, float]

    def of(self, measure: str) -> float:
        """The ``steps``, the ``tokens``, or the reductions of an operation such as ``sum``.

        Raises:
            InvalidInput: no such measure.
        """
        known = {"steps": float(self.steps), "tokens": self.tokens, **dict.fromkeys(OPERATIONS, 0.0), **self.reductions}
        if measure not in known:
            raise unknown("measure", measure, known)
        return known[measure]


def exposure(
    curriculum: Curriculum, *, rows_per_step: int = 128, trace: TraceStyle | None = None, dataset_seed: int = 0
) -> Exposure:
    """What a curriculum shows on average, over the order of the rows, if all its stages use up their steps.

    Without a ``trace``, completions are in the style of their task.
    """
    tokens, reductions = 0.0, dict.fromkeys(curriculum.symbol_set.operations, 0.0)
    for stage in curriculum.stages:
        for name, share in zip(stage.tasks, stage.shares, strict=True):
            rows = share * stage.steps * rows_per_step
            row = _mean_row(name, trace, dataset_seed)
            tokens += rows * row.tokens
            reductions |= {operation: reductions[operation] + rows * n for operation, n in row.reductions.items()}
    return Exposure(curriculum.steps, tokens, {operation: n for operation, n in reductions.items() if n})


@lru_cache(maxsize=256)
def _mean_row(task: str, trace: TraceStyle | None, dataset_seed: int) -> Exposure:
    """What one of a task's train rows shows on average."""
    from listops_bench.tasks.generator import generate

    spec = get_task(task)
    rows = generate(spec, "train", seed=dataset_seed, trace=trace)
    # A row's last token is predicted and never an input.
    means = dict(zip(spec.symbol_set.operations, rows.reductions.mean(0).tolist(), strict=True))
    return Exposure(0, len(rows.ids) / len(rows) - 1, means)


@lru_cache(maxsize=256)
def distinct_forms(tasks: frozenset[str], dataset_seed: int = 0) -> int:
    """Canonical forms among the train rows of some tasks: what remains of them up to operand order and grouping."""
    import numpy as np

    from listops_bench.tasks.generator import generate

    drawn = [generate(get_task(name), "train", seed=dataset_seed).forms() for name in sorted(tasks)]
    return len(np.unique(np.concatenate(drawn)))


def match(curriculum: Curriculum, like: Exposure, by: str, *, stage: int | None = None, **options: Any) -> Curriculum:
    """The curriculum with its steps scaled so that a measure is that of another one, up to half a step's worth.

    ``match(sum_alone, exposure(joint), "sum")`` gives SUM alone as many reductions of SUM as joint training has;
    ``"tokens"`` gives both the same total.

    Args:
        by: ``steps``, ``tokens`` or an operation.
        stage: the index of the only stage to scale; by default all are scaled alike.
        options: of `exposure`.

    Raises:
        InvalidInput: the measure cannot be reached by scaling, or a stage ends at an accuracy.
    """
    if any(s.until is not None for s in curriculum.stages):
        raise InvalidInput(f"what {str(curriculum)!r} shows is not known beforehand: a stage ends at an accuracy")
    if stage is not None and not 0 <= stage < len(curriculum.stages):
        raise InvalidInput(f"{str(curriculum)!r} has no stage {stage + 1}")
    scaled = [stage is None or i == stage for i in range(len(curriculum.stages))]
    alone = [Curriculum((dataclasses.replace(s, reset_optimizer=True),)) for s in curriculum.stages]
    parts = [exposure(each, **options).of(by) for each in alone]
    fixed = math.fsum(part for part, moves in zip(parts, scaled, strict=True) if not moves)
    movable = math.fsum(part for part, moves in zip(parts, scaled, strict=True) if moves)
    factor = (like.of(by) - fixed) / movable if movable else 0.0
    if factor <= 0:
        unit = by if by in ("steps", "tokens") else f"reductions of {by.upper()}"
        raise InvalidInput(f"no number of steps gives {str(curriculum)!r} {like.of(by):,.0f} {unit}")
    before, stages, rounded = 0.0, [], 0
    for s, moves in zip(curriculum.stages, scaled, strict=True):
        before += s.steps * (factor if moves else 1)
        stages.append(dataclasses.replace(s, steps=max(1, round(before) - rounded)))
        rounded += stages[-1].steps
    return Curriculum(tuple(stages))
