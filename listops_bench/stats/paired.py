"""Two answers to each of the same rows: how many more does the one get right?

    paired(50, 12, 3, 35)    50 rows that both get right, 12 the first alone, 3 the second alone, 35 neither

Only rows that one of the two gets right tell them apart: McNemar's test in its exact form asks whether they are shared
as by a fair coin (Psychometrika 12, 1947). The interval of the difference is Newcombe's, which joins the Wilson
intervals of the two shares by how alike the answers are (Statistics in Medicine 17, 1998, p. 2635, method 10).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from listops_bench.stats.differences import Difference
from listops_bench.stats.intervals import wilson_interval


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
    right = both + first, both + second
    p1, p2 = (count / n for count in right)
    (low1, high1), (low2, high2) = (wilson_interval(count, n, confidence) for count in right)
    alike = _correlation(both, first, second, neither)
    low = math.sqrt((p1 - low1) ** 2 - 2 * alike * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2)
    high = math.sqrt((high1 - p1) ** 2 - 2 * alike * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2)
    return Paired(
        both, first, second, neither, Difference(p1 - p2, p1 - p2 - low, p1 - p2 + high), _mcnemar(first, second)
    )


def _correlation(both: int, first: int, second: int, neither: int) -> float:
    """Phi with Newcombe's correction: half a row less where it is above 0, but not below 0."""
    n = both + first + second + neither
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    product = both * neither - first * second
    if product > 0:
        product = max(product - n / 2, 0)  # type: ignore[assignment]
    return product / math.sqrt(margins) if margins else 0.0


def _mcnemar(first: int, second: int) -> float:
    """Twice the smaller tail of a fair coin, 1 at the most."""
    from scipy.stats import binomtest

    return float(binomtest(first, first + second).pvalue) if first + second else 1.0
