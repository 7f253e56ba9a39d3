"""Two groups of a few runs each: did more of the one learn, and how far apart are their means?

    difference(5, 5, 0, 3)              5 of 5 against 0 of 3: 100 points more, at least 22
    mean_difference([.9, .8], [.1, 0])  the difference of two means, with Welch's interval

Runs are few, so the interval of a difference of shares is exact: it holds every difference that neither of two
one-sided tests rejects, and a test's p is the largest that any pair of true shares so far apart gives (Chan and Zhang,
Biometrics 55, 1999). Tables are ordered by the score statistic (Miettinen and Nurminen, Statistics in Medicine 4, 1985;
its restricted estimate in closed form: Farrington and Manning, Statistics in Medicine 9, 1990). With three runs each,
it takes three against none to be told apart at 95%.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


_NUISANCE = 201  # true shares tried for each difference


_HALVINGS = 20


_TIE = 1e-9


@dataclass(frozen=True)
class Difference:
    """First minus second, with its interval."""

    estimate: float
    low: float
    high: float


@cache
def difference(learned: int, runs: int, other_learned: int, other_runs: int, confidence: float = 0.95) -> Difference:
    """The difference of two shares of runs that learned, with its exact interval.

    Raises:
        ValueError: no runs, or more that learned than there are.
    """
    if not (0 <= learned <= runs > 0 and 0 <= other_learned <= other_runs > 0):
        raise ValueError(f"{learned} of {runs} and {other_learned} of {other_runs} are no shares")
    estimate = learned / runs - other_learned / other_runs
    alpha = (1 - confidence) / 2
    tables = _Tables(runs, other_runs)

    def too_low(delta: float) -> bool:
        return tables.tail(learned, other_learned, delta) <= alpha

    mirrored = _Tables(other_runs, runs)

    def too_high(delta: float) -> bool:
        return mirrored.tail(other_learned, learned, -delta) <= alpha

    low = -1.0 if not too_low(-1.0) else _boundary(too_low, -1.0, estimate)
    high = 1.0 if not too_high(1.0) else _boundary(too_high, 1.0, estimate)
    return Difference(estimate, low, high)


def _boundary(rejected: Callable[[float], bool], outside: float, inside: float) -> float:
    """Between a difference that is rejected and one that is not: the last rejected one, up to rounding."""
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if rejected(middle) else (outside, middle)
    return outside


class _Tables:
    """All outcomes of two groups of runs."""

    def __init__(self, runs: int, other_runs: int) -> None:
        self.runs, self.other_runs = runs, other_runs
        self.first: Floats = np.arange(runs + 1)[:, None] / runs
        self.second: Floats = np.arange(other_runs + 1)[None, :] / other_runs

    def tail(self, learned: int, other_learned: int, delta: float) -> float:
        """The largest chance of an outcome at least as far above ``delta``, if that is the true difference."""
        statistic = self._statistic(delta)
        extreme = statistic >= statistic[learned, other_learned] - _TIE
        second = np.linspace(max(0.0, -delta), min(1.0, 1.0 - delta), _NUISANCE)
        first = np.clip(second + delta, 0.0, 1.0)
        chances = ((_binomial(self.runs, first) @ extreme) * _binomial(self.other_runs, second)).sum(1)
        return float(chances.max())

    def _statistic(self, delta: float) -> Floats:
        """The score statistic of every outcome: [runs + 1, other_runs + 1]."""
        p, q, n, m = self.first, self.second, self.runs, self.other_runs
        ratio = m / n
        a = 1 + ratio
        b = -(1 + ratio + p + ratio * q + delta * (ratio + 2))
        c = delta**2 + delta * (2 * p + ratio + 1) + p + ratio * q
        d = -p * delta * (1 + delta)
        v = b**3 / (27 * a**3) - b * c / (6 * a**2) + d / (2 * a)
        u = np.where(v > 0, 1, -1) * np.sqrt(np.maximum(b**2 / (9 * a**2) - c / (3 * a), 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            angle = np.where(u == 0, 0.0, v / u**3)
        w = (math.pi + np.arccos(np.clip(np.nan_to_num(angle), -1, 1))) / 3
        first = np.clip(2 * u * np.cos(w) - b / (3 * a), max(0.0, delta), min(1.0, 1.0 + delta))
        second = np.clip(first - delta, 0.0, 1.0)
        spread = np.sqrt(first * (1 - first) / n + second * (1 - second) / m)
        distance = p - q - delta
        certain = np.where(np.abs(distance) < _TIE, 0.0, np.sign(distance) * 1e9)
        return np.where(spread > _TIE, distance / np.maximum(spread, _TIE), certain)


def _binomial(runs: int, shares: Floats) -> Floats:
    """The chance of 0, 1, ... of some runs, for each true share: [shares, runs + 1]."""
    counts = np.arange(runs + 1)
    ways = np.array([math.comb(runs, int(count)) for count in counts], dtype=np.float64)
    found: Floats = ways * shares[:, None] ** counts * (1 - shares[:, None]) ** (runs - counts)
    return found
