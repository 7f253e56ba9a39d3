"""Two scores of one split: whether they may be of the same answers, and how many rows at least must differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from listops_bench._base import records
from listops_bench.result.format import SplitResult
from listops_bench.score.completion import Metrics

MAX_SHARE_DIFFERING = 0.001
"""On other hardware a tie between two tokens may fall otherwise: so many rows may."""
_MAX_LINES = 64
"""Lines that one completion can have at most: it ends after half of 128 tokens."""
_MAX_SHIFT = 0.05
"""How far the ends of an interval clustered by multiset may move by that."""


@dataclass(frozen=True)
class Comparison:
    """What comparing a claimed with a measured split gave; ``problem`` is None where both may be right."""

    problem: str | None
    differing: int
    same_predictions: bool


def compare(claimed: SplitResult, measured: SplitResult) -> Comparison:
    """Compares two scores of one split.

    The same predictions have the same scores, to the last count. Other predictions may differ in `MAX_SHARE_DIFFERING`
    of the rows. How many rows do is not known without the claimed answers; what is known is how many at least must, for
    each row that is scored otherwise moves each count by one.
    """
    if not claimed.held_out:  # results that are older than this field lack it
        measured = dataclasses.replace(measured, held_out={})
    same = claimed.predictions_sha256 == measured.predictions_sha256
    differing = least_differing(claimed, measured)
    if (claimed.n, claimed.rows_sha256) != (measured.n, measured.rows_sha256):
        problem = "these are not the rows of this split"
    elif same and claimed != measured:
        problem = f"the answers are the same and their scores are not: {_first_difference(claimed, measured)}"
    elif differing > claimed.n * MAX_SHARE_DIFFERING:
        problem = f"{differing:,} of {claimed.n:,} rows or more differ: {_first_difference(claimed, measured)}"
    elif not _held_out_agrees(claimed, measured):
        problem = "held_out: the intervals differ"
    else:
        problem = None
    return Comparison(problem, differing, same)


def least_differing(claimed: SplitResult, measured: SplitResult) -> int:
    """The least number of rows whose scores must differ for two results of a split to be what they are."""
    bounds = [0, _steps_bound(claimed, measured), _held_out_bound(claimed, measured)]
    for name in {*claimed.slices, *measured.slices}:
        bounds += _slice_bounds(claimed.slices.get(name, {}), measured.slices.get(name, {}))
    return max(bounds)


def _slice_bounds(claimed: Mapping[str, Metrics], measured: Mapping[str, Metrics]) -> Iterator[int]:
    groups = {*claimed, *measured}
    for metric in ("answer_accuracy", "trace_accuracy"):
        yield sum(abs(_count(claimed, key, metric)[1] - _count(measured, key, metric)[1]) for key in groups)
    for place in (0, 1):
        name = "valid_step_rate"
        moved = sum(abs(_count(claimed, key, name)[place] - _count(measured, key, name)[place]) for key in groups)
        yield math.ceil(moved / _MAX_LINES)


def _count(groups: Mapping[str, Metrics], key: str, metric: str) -> tuple[int, int]:
    summary = getattr(groups[key], metric) if key in groups else None
    return (0, 0) if summary is None else (summary.n, summary.correct)


def _steps_bound(claimed: SplitResult, measured: SplitResult) -> int:
    """A row that goes wrong elsewhere leaves one bin for another; rows that never do are a bin too."""
    first, second = ({**s.first_wrong_step, "": s.n - sum(s.first_wrong_step.values())} for s in (claimed, measured))
    return math.ceil(sum(abs(first.get(key, 0) - second.get(key, 0)) for key in {*first, *second}) / 2)


def _held_out_bound(claimed: SplitResult, measured: SplitResult) -> int:
    moved = 0
    for name in {*claimed.held_out, *measured.held_out}:
        first, second = claimed.held_out.get(name), measured.held_out.get(name)
        moved += max(
            abs((first.n if first else 0) - (second.n if second else 0)),
            abs((first.correct if first else 0) - (second.correct if second else 0)),
        )
    return math.ceil(moved / _MAX_LINES)


def _held_out_agrees(claimed: SplitResult, measured: SplitResult) -> bool:
    if claimed.held_out.keys() != measured.held_out.keys():
        return False
    pairs = [(first, measured.held_out[name]) for name, first in claimed.held_out.items()]
    return all(
        first.steps == second.steps and max(abs(first.low - second.low), abs(first.high - second.high)) <= _MAX_SHIFT
        for first, second in pairs
    )


def _first_difference(claimed: SplitResult, measured: SplitResult) -> str:
    """``metrics.trace_accuracy.correct is 4,999, measured 4,310``."""
    first, second = dict(_leaves(records.encode(claimed), "")), dict(_leaves(records.encode(measured), ""))
    order = sorted({*first, *second} - {".predictions_sha256"}, key=lambda key: ("correct" not in key, key))
    for key in order:
        if first.get(key) != second.get(key):
            return f"{key.lstrip('.')} is {first.get(key, 'not there')}, measured {second.get(key, 'not there')}"
    return "only the answers do"


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    else:
        yield path, value
