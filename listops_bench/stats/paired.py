"""Two answers to each of the same rows: how many more does the one get right?

    paired(50, 12, 3, 35)    50 rows that both get right, 12 the first alone, 3 the second alone, 35 neither
    paired_by_cluster([(2, 0, 0, 0), (0, 3, 0, 1), ...])    the same of rows that come in clusters

Only rows that one of the two gets right tell them apart: McNemar's test in its exact form asks whether they are shared
as by a fair coin (Psychometrika 12, 1947). The interval of the difference is Newcombe's, which joins the Wilson
intervals of the two shares by how alike the answers are (Statistics in Medicine 17, 1998, p. 2635, method 10).

Rows of one cluster are answered alike, and are no independent evidence. There the coin is thrown once for each cluster,
for all that one of the two has more right of it; the intervals of the shares are clustered, and how alike the answers
are is the correlation of the clusters' counts. Of clusters of one row each, both are the above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from listops_bench.stats.differences import Difference
from listops_bench.stats.intervals import clustered_interval, wilson_interval

Counts = tuple[int, int, int, int]
"""Rows that both get right, the first alone, the second alone, and neither."""


@dataclass(frozen=True)
class Paired:
    """The counts of rows, and what follows: ``difference`` is first minus second, ``p`` two-sided."""

    both: int
    first: int
    second: int
    neither: int
    difference: Difference
    p: float

    @property
    def n(self) -> int:
        return self.both + self.first + self.second + self.neither


def paired(both: int, first: int, second: int, neither: int, confidence: float = 0.95) -> Paired:
    """Compares two shares of the same rows.

    Args:
        both, first, second, neither: rows that both get right, the first alone, the second alone, and neither.

    Raises:
        ValueError: no rows, or a negative count.
    """
    n = both + first + second + neither
    if n <= 0 or min(both, first, second, neither) < 0:
        raise ValueError(f"{both}, {first}, {second} and {neither} are no counts of rows")
    intervals = [wilson_interval(count, n, confidence) for count in (both + first, both + second)]
    counts = both, first, second, neither
    return Paired(*counts, _difference(counts, intervals, _correlation(*counts)), _mcnemar(first, second))


def paired_by_cluster(clusters: Sequence[Counts], confidence: float = 0.95) -> Paired:
    """The same of rows in clusters, each with its counts.

    Raises:
        ValueError: no rows.
    """
    table = np.array(clusters, dtype=np.int64).reshape(-1, 4)
    both, first, second, neither = table.sum(0).tolist()
    counts = both, first, second, neither
    sizes = table.sum(1)
    if (sizes <= 1).all():
        return paired(*counts, confidence)
    right = table[:, :1] + table[:, 1:3]  # of the first, and of the second
    intervals = [
        clustered_interval(list(zip(own.tolist(), sizes.tolist(), strict=True)), confidence) for own in right.T
    ]
    rest = right - sizes[:, None] * right.sum(0) / sizes.sum()
    spread = math.sqrt(math.prod((rest**2).sum(0)))
    alike = float(np.clip(rest.prod(1).sum() / spread, -1, 1)) if spread else 0.0
    return Paired(*counts, _difference(counts, intervals, alike), _coins((table[:, 1] - table[:, 2]).tolist()))


def _difference(counts: Counts, intervals: Sequence[tuple[float, float]], alike: float) -> Difference:
    """Newcombe's interval from those of the two shares, and the correlation of the answers."""
    both, first, second, _ = counts
    p1, p2 = ((both + alone) / sum(counts) for alone in (first, second))
    (low1, high1), (low2, high2) = intervals
    low, high = (
        math.sqrt(max(0.0, own**2 - 2 * alike * own * other + other**2))
        for own, other in ((p1 - low1, high2 - p2), (high1 - p1, p2 - low2))
    )
    return Difference(p1 - p2, max(-1.0, p1 - p2 - low), min(1.0, p1 - p2 + high))


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Phi with Newcombe's correction: half a row less where it is above 0, but not below 0."""
    n = both + first + second + neither
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    product = both * neither - first * second
    if product > 0:
        product = max(product - n / 2, 0)  # type: ignore[assignment]
    return product / math.sqrt(margins) if margins else 0.0


def _coins(more: Sequence[int]) -> float:
    """How often fair coins for the signs of some numbers make a sum as far from 0 as theirs, or farther."""
    sizes = [abs(one) for one in more if one]
    chances = np.ones(1)  # of what those with heads add up to
    for size in sizes:
        tails, heads = np.pad(chances, (0, size)), np.pad(chances, (size, 0))
        chances = (tails + heads) / 2
    return min(1.0, 2 * float(chances[: (sum(sizes) - abs(sum(more))) // 2 + 1].sum()))


def _mcnemar(first: int, second: int) -> float:
    """Twice the smaller tail of a fair coin, 1 at the most."""
    from scipy.stats import binomtest

    return float(binomtest(first, first + second).pvalue) if first + second else 1.0
