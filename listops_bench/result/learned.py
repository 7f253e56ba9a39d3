"""Whether a model has learned a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from listops_bench.result.format import Result
from listops_bench.tasks.task import single_tasks

LEARNED = 0.95
"""The share of exact traces on a task's test rows from which on the task counts as learned; of its rows with unseen
operands, from which on it counts as learned there."""

ThresholdSplit = Literal["test", "test_unseen_operands"]


class View(NamedTuple):
    """What counts as learned: on which rows, and from which share of exact traces on."""

    split: ThresholdSplit
    cut: float = LEARNED

    def __str__(self) -> str:
        return f"{self.cut:.0%} on {'seen' if self.split == 'test' else 'unseen'} operands"


SEEN, UNSEEN = View("test"), View("test_unseen_operands")
VIEWS = (SEEN, View("test", 0.9), View("test", 0.99), UNSEEN)
"""What is looked at; the first is what *learned* means where nothing else is said."""


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
