"""Whether a model has learned a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from listops_bench.result.format import Result
from listops_bench.tasks.task import single_tasks

LEARNED = 0.95
"""The share of exact traces on a task's test rows from which on the task counts as learned; of its rows with unseen
operands, from which on it counts as learned there."""

ThresholdSplit = Literal["test", "test_unseen_operands"]
THRESHOLD_SPLITS: tuple[ThresholdSplit, ...] = get_args(ThresholdSplit)


def learned(
    results: Mapping[str, Result], task: str, split: ThresholdSplit = "test", cut: float = LEARNED
) -> bool | None:
    """Whether one model has learned a task, as its results by task name show.

    Learned is a trace accuracy of at least ``cut`` on the task's test rows, and for a joint task also on those of each
    of its operations alone: a mixture can pass while its hardest operation fails. None where a result that decides is
    missing.
    """
    decisive = [_passes(results.get(name), split, cut) for name in (task, *single_tasks(task))]
    if False in decisive:
        return False
    return None if None in decisive else True


def _passes(result: Result | None, split: ThresholdSplit, cut: float) -> bool | None:
    if result is None or split not in result.splits:
        return None
    accuracy = result.splits[split].metrics.trace_accuracy
    return accuracy.n > 0 and accuracy.correct / accuracy.n >= cut
