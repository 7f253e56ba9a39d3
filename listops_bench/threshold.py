"""Learned or not: the rule that boards and learning thresholds share."""

from __future__ import annotations

from collections.abc import Mapping

from listops_bench.result import Result, single_tasks

LEARNED = 0.95
"""The share of exact traces on a task's test rows from which on the task counts as learned."""


def learned(results: Mapping[str, Result], task: str) -> bool | None:
    """Whether one model has learned a task, as its results by task name show.

    Learned is a trace accuracy of at least 95% on the task's test rows, and for a joint task also on those of each of
    its operations alone: a mixture can pass while its hardest operation fails. None where a result that decides is
    missing.
    """
    decisive = [_passes(results.get(name)) for name in (task, *single_tasks(task))]
    if False in decisive:
        return False
    return None if None in decisive else True


def _passes(result: Result | None) -> bool | None:
    if result is None or "test" not in result.splits:
        return None
    accuracy = result.splits["test"].metrics.trace_accuracy
    return accuracy.n > 0 and accuracy.correct / accuracy.n >= LEARNED
