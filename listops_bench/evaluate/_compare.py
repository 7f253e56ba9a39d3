"""Two scores of one split: whether they may be of the same answers, and how many rows at least must differ."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from listops_bench._base import records
from listops_bench.result.format import SplitResult
from listops_bench.score.completion import METRICS, ByForm, Limits
from listops_bench.score.held_out import HeldOutSteps

MAX_SHARE_DIFFERING = 0.001
"""On other hardware a near tie between two tokens may fall otherwise: so many rows may, at most."""
_MAX_LINES = 64
"""Lines that one completion can have at most: it ends after half of 128 tokens."""
_MAX_SHIFT = 0.05
"""How far the ends of a clustered interval may move by that."""


@dataclass(frozen=True)
class Reproduction:
    """How well a measured split repeats a claimed one.

    Attributes:
        problem: what is wrong with the claim, on one line; None where both may be right.
        differing: the least number of rows whose scores differ.
        same_predictions: every completion is the same.
    """

    problem: str | None
    differing: int
    same_predictions: bool


def compare(claimed: SplitResult, measured: SplitResult, ties: int = 0) -> Reproduction:
    """Compares two scores of one split.

    The same predictions have the same scores, to the last count. Other predictions may differ in as many rows as have
    near ties, and in no more than `MAX_SHARE_DIFFERING`. How many rows do is not known without the claimed answers;
    what is known is how many at least must, for each row that is scored otherwise moves each count by one.

    Args:
        ties: rows of the split with a near tie, as the model measured has counted them (`_ties.near_ties`).
    """
    if not claimed.held_out:  # results that are older than a field lack it
        measured = dataclasses.replace(measured, held_out={})
    if claimed.by_form is None:
        measured = dataclasses.replace(measured, by_form=None)
    same = claimed.predictions_sha256 == measured.predictions_sha256
    differing = max(_least_differing(claimed, measured), int(not same))
    problem = None
    if (claimed.n, claimed.rows_sha256) != (measured.n, measured.rows_sha256):
        problem = "these are not the rows of this split"
    elif same and claimed != measured:
        problem = f"the answers are the same and their scores are not: {_first_difference(claimed, measured)}"
    elif differing > min(ties, claimed.n * MAX_SHARE_DIFFERING):
        problem = (
            f"{differing:,} of {claimed.n:,} rows or more differ, and {ties:,} of them have a near tie: "
            f"{_first_difference(claimed, measured)}"
        )
    elif not _held_out_agrees(claimed, measured):
        problem = "held_out: the intervals differ"
    elif not _by_form_agrees(claimed.by_form, measured.by_form):
        problem = "by_form: the intervals differ"
    return Reproduction(problem, differing, same)


_ROW_MOVES = {
    ("answer_accuracy", "correct"): 1,
    ("trace_accuracy", "correct"): 1,
    ("valid_step_rate", "n"): _MAX_LINES,
    ("valid_step_rate", "correct"): _MAX_LINES,
}
"""The counts of a group of a slice, and by how much one row can move them."""


def _least_differing(claimed: SplitResult, measured: SplitResult) -> int:
    """The least number of rows whose scores must differ for two results of a split to be what they are."""
    pair = (claimed, measured)
    # A row that goes wrong elsewhere leaves one bin for another; rows that never do are a bin too.
    bins = [{**split.first_wrong_step, "": split.n - sum(split.first_wrong_step.values())} for split in pair]
    steps, right = ([{op: getattr(s, key) for op, s in x.held_out.items()} for x in pair] for key in ("n", "correct"))
    held_out = map(max, _moved(*steps), _moved(*right))
    bounds = [sum(_moved(*bins)) / 2, sum(held_out) / _MAX_LINES]
    for name in {*claimed.slices, *measured.slices}:
        groups = [split.slices.get(name, {}) for split in pair]
        for (metric, field), most in _ROW_MOVES.items():
            counts = [{key: getattr(getattr(g, metric), field) for key, g in group.items()} for group in groups]
            bounds.append(sum(_moved(*counts)) / most)
    return math.ceil(max(bounds))


def _moved(first: Mapping[Any, int], second: Mapping[Any, int]) -> list[int]:
    """By how much each of some counts differs."""
    return [abs(first.get(key, 0) - second.get(key, 0)) for key in sorted({*first, *second})]


def _held_out_agrees(claimed: SplitResult, measured: SplitResult) -> bool:
    if claimed.held_out.keys() != measured.held_out.keys():
        return False
    pairs = ((first, measured.held_out[name]) for name, first in claimed.held_out.items())
    return all(a.steps == b.steps and _near(a, b) for a, b in pairs)


def _by_form_agrees(claimed: ByForm | None, measured: ByForm | None) -> bool:
    if claimed is None or measured is None:
        return claimed is measured
    pairs = [(getattr(claimed, name), getattr(measured, name)) for name in METRICS]
    return claimed.forms == measured.forms and all(_near(a, b) for a, b in pairs)


def _near(claimed: Limits | HeldOutSteps, measured: Limits | HeldOutSteps) -> bool:
    """Whether the ends of two intervals are the same but for near ties."""
    return max(abs(claimed.low - measured.low), abs(claimed.high - measured.high)) <= _MAX_SHIFT


def _first_difference(claimed: SplitResult, measured: SplitResult) -> str:
    """``metrics.trace_accuracy.correct is 4,999, measured 4,310``."""
    found = [each for each in differences(claimed, measured) if each[0] != "predictions_sha256"]
    if not found:
        return "only the answers do"
    name, first, second = min(found, key=lambda each: ("correct" not in each[0], each[0]))
    return f"{name} is {first}, measured {second}"


def differences(first: object, second: object) -> Iterator[tuple[str, Any, Any]]:
    """The fields in which two records differ: the path to each, and both values."""
    ours, theirs = (dict(_leaves(records.encode(record), "")) for record in (first, second))
    for path in dict.fromkeys([*ours, *theirs]):
        pair = ours.get(path, "not there"), theirs.get(path, "not there")
        if pair[0] != pair[1]:
            yield path.lstrip("."), *pair


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    else:
        yield path, value
