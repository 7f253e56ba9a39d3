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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGNIFICANT = 0.05
"""A p below is called a difference, or a structure, wherever one is."""

_NUISANCE = 201  # true shares tried for each difference
_SCANNED = 201  # differences
_AT_ONCE, _MOST_OUTCOMES = 25, 100_000  # differences that are computed together, and their tables
_PRECISION = 1e-6
_TIE = 1e-9
_MOST_RANKED = 100


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
    _check_shares(learned, runs, other_learned, other_runs)
    low = _lower_limit(learned, runs, other_learned, other_runs, confidence)
    high = -_lower_limit(other_learned, other_runs, learned, runs, confidence)
    return Difference(learned / runs - other_learned / other_runs, low, high)


def is_more(learned: int, runs: int, other_learned: int, other_runs: int, confidence: float = 0.95) -> bool:
    """Whether the interval of `difference` lies above 0; raises as it does."""
    _check_shares(learned, runs, other_learned, other_runs)
    return learned * other_runs > other_learned * runs and (
        _lower_limit(learned, runs, other_learned, other_runs, confidence) > 0
    )


def _check_shares(learned: int, runs: int, other_learned: int, other_runs: int) -> None:
    if not (0 <= learned <= runs > 0 and 0 <= other_learned <= other_runs > 0):
        raise ValueError(f"{learned} of {runs} and {other_learned} of {other_runs} are no shares")


def fisher(right: int, n: int, other_right: int, other_n: int) -> float:
    """The p of Fisher's exact test, two-sided: whether two shares differ by more than luck."""
    from scipy.stats import fisher_exact

    return float(fisher_exact([[right, n - right], [other_right, other_n - other_right]]).pvalue)


def stratified_fisher(tables: Sequence[tuple[int, int, int, int]]) -> float:
    """The p of the same test over several tables at once, two-sided: whether the first shares tend to one side.

    Given how many are right in each table, the number right in its first row is hypergeometric, and the sum over the
    tables is tested (Gart, Biometrika 57, 1970, p. 471). Sums no likelier than the one observed count as extreme.

    Args:
        tables: the arguments of `fisher`, of each.
    """
    from scipy.stats import hypergeom

    chances, observed = np.ones(1), 0  # of each sum, from the lowest that is possible on
    for right, n, other_right, other_n in tables:
        total = right + other_right
        lowest = max(0, total - other_n)
        own = hypergeom.pmf(np.arange(lowest, min(n, total) + 1), n + other_n, total, n)
        chances, observed = np.convolve(chances, own), observed + right - lowest
    return min(1.0, float(chances[chances <= chances[observed] * (1 + _TIE)].sum()))


def fewer(first: Sequence[float], second: Sequence[float]) -> float:
    """The p of the exact rank test of Mann and Whitney, one-sided: whether the first are smaller by more than luck.

    All ways to deal the values out to two groups of these sizes are counted, ties as they fall; of more than
    `_MOST_RANKED` values, the normal approximation decides.
    """
    _, places, times = np.unique([*first, *second], return_inverse=True, return_counts=True)
    ranks, n = (2 * times.cumsum() - times + 1)[places], len(first)  # twice the mean of those that are equal
    if len(ranks) > _MOST_RANKED:
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(ranks[:n], ranks[n:], alternative="less").pvalue)
    ways = np.zeros((n + 1, ranks.sum() + 1))  # to take so many of the values, by the sum of their ranks
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank]
    return float(ways[n, : ranks[:n].sum() + 1].sum() / ways[n].sum())


@cache
def _lower_limit(learned: int, runs: int, other_learned: int, other_runs: int, confidence: float) -> float:
    """The largest difference below which all are rejected as too low; -1 where none is.

    The tail does not rise everywhere with the difference, and jumps: it is scanned, then bisected.
    """
    from scipy.optimize import bisect

    counts = learned, runs, other_learned, other_runs

    def excess(deltas: Floats) -> Floats:
        return _tails(*counts, deltas) - (1 - confidence) / 2

    scanned = np.linspace(-1.0, learned / runs - other_learned / other_runs, _SCANNED)
    at_once = max(1, min(_AT_ONCE, _MOST_OUTCOMES // ((runs + 1) * (other_runs + 1))))
    first = _SCANNED - 1
    for start in range(0, _SCANNED, at_once):
        accepted = excess(scanned[start : start + at_once]) > 0
        if accepted.any():
            first = start + int(accepted.argmax())
            break
    if first == 0:
        return -1.0
    # What is found may lie on either side of a jump, and the limit is on the rejected one.
    limit = bisect(lambda delta: excess(np.array([delta]))[0], scanned[first - 1], scanned[first], xtol=_PRECISION)
    return float(limit) - _PRECISION


def _tails(learned: int, runs: int, other_learned: int, other_runs: int, deltas: Floats) -> Floats:
    """The largest chance of an outcome at least as far above each of ``deltas`` [D], if that is the true difference."""
    statistic = _statistic(runs, other_runs, deltas[:, None, None])
    extreme = statistic >= statistic[:, learned, other_learned, None, None] - _TIE
    second = np.linspace(np.maximum(0.0, -deltas), np.minimum(1.0, 1.0 - deltas), _NUISANCE, axis=-1)
    first = np.clip(second + deltas[:, None], 0.0, 1.0)
    chances = ((_binomial(runs, first) @ extreme.astype(np.float64)) * _binomial(other_runs, second)).sum(-1)
    largest: Floats = chances.max(-1)
    return largest


def _statistic(n: int, m: int, delta: Floats) -> Floats:
    """The score statistic of every outcome of n runs and of m others, for differences [D, 1, 1]: [D, n + 1, m + 1]."""
    p, q = np.arange(n + 1)[:, None] / n, np.arange(m + 1)[None, :] / m
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
    first = np.clip(2 * u * np.cos(w) - b / (3 * a), np.maximum(0.0, delta), np.minimum(1.0, 1.0 + delta))
    second = np.clip(first - delta, 0.0, 1.0)
    spread = np.sqrt(first * (1 - first) / n + second * (1 - second) / m)
    distance = p - q - delta
    certain = np.where(np.abs(distance) < _TIE, 0.0, np.sign(distance) * 1e9)
    return np.where(spread > _TIE, distance / np.maximum(spread, _TIE), certain)


def _binomial(runs: int, shares: Floats) -> Floats:
    """The chance of 0, 1, ... of some runs, for each true share of ``shares`` [...]: [..., runs + 1]."""
    ways = np.array([math.comb(runs, count) for count in range(runs + 1)], dtype=np.float64)
    found: Floats = ways * _powers(shares, runs) * _powers(1 - shares, runs)[..., ::-1]
    return found


def _powers(bases: Floats, most: int) -> Floats:
    """The powers 0, 1, ... ``most`` of ``bases`` [...]: [..., most + 1], each a whole array in memory."""
    found: Floats = np.empty((most + 1, *bases.shape))
    found[0] = 1.0
    for power in range(most):
        np.multiply(found[power], bases, out=found[power + 1])
    return np.moveaxis(found, 0, -1)
