"""Intervals of shares and means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, variance

from listops_bench._base.records import Count, Share
from listops_bench.stats.differences import Difference


def wilson_interval(correct: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion, which keeps its coverage near 0 and 1 and for small n.

        (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n),  p = correct/n

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212. It is
    the interval for independent rows: where rows share what decides them (the lines of one trace), it is too narrow.
    Counts need not be whole: `clustered_interval` asks for an effective number of rows.

    >>> [round(bound, 4) for bound in wilson_interval(9, 10)]
    [0.5958, 0.9821]
    """
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} correct of {n} rows")
    if n == 0:
        return 0.0, 1.0
    z2 = normal_quantile(confidence) ** 2
    p = correct / n
    scale = 1 / (1 + z2 / n)
    centre = p + z2 / (2 * n)
    half = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
    # At the ends the formula gives 0 and 1 exactly; rounding must not take the point out of its own interval.
    low = 0.0 if correct == 0 else scale * (centre - half)
    high = 1.0 if correct == n else scale * (centre + half)
    return low, high


@lru_cache
def normal_quantile(confidence: float) -> float:
    """What a normal variable stays below in size with this probability."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def t_quantile(freedom: float, confidence: float) -> float:
    """What a variable of Student's t distribution stays below in size with this probability."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


@dataclass(frozen=True, slots=True)
class Summary:
    """A proportion that is never without its n: ``correct`` of ``n``, and the 95% Wilson interval ``low`` to ``high``.

    Rounded to six decimals, so that files stay readable. Without rows (a valid_step_rate where nothing was emitted) the
    accuracy is 0 and the interval everything.
    """

    n: Count
    correct: Count
    accuracy: Share
    low: Share
    high: Share

    def __str__(self) -> str:
        """``97.8% (95% interval 97.4 to 98.2%), n = 5,000``."""
        return f"{self.accuracy:.1%} (95% interval {100 * self.low:.1f} to {self.high:.1%}), n = {self.n:,}"

    @classmethod
    def of(cls, correct: int, n: int) -> Summary:
        low, high = wilson_interval(correct, n)
        return cls(n, correct, round(correct / n if n else 0.0, 6), round(low, 6), round(high, 6))


def mean_difference(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Difference | None:
    """The difference of two means with Welch's interval (Biometrika 34, 1947).

    None where a group has fewer than two values, or no group's values differ.
    """
    if len(first) < 2 or len(second) < 2:
        return None
    parts = [variance(values) / len(values) for values in (first, second)]
    spread = math.fsum(parts)
    if spread <= 0:
        return None
    freedom = spread**2 / math.fsum(p**2 / (len(v) - 1) for p, v in zip(parts, (first, second), strict=True))
    half = t_quantile(freedom, confidence) * math.sqrt(spread)
    estimate = fmean(first) - fmean(second)
    return Difference(estimate, estimate - half, estimate + half)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of a mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    half = t_quantile(len(values) - 1, confidence) * math.sqrt(variance(values) / len(values))
    return fmean(values) - half, fmean(values) + half


def clustered_interval(clusters: Sequence[tuple[int, int]], confidence: float = 0.95) -> tuple[float, float]:
    """An interval for a proportion whose observations come in clusters of ``(correct, n)``.

    Wilson's interval for the effective number of observations: n divided by the design effect (the variance of the
    proportion between clusters, over that of n independent observations), and by the square of the t quantile for
    their number over the normal one. E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data, Survey Methodology 24 (1998) 193-201, with Wilson's
    interval in place of Clopper and Pearson's. Where every observation is right, or every one wrong, nothing shows how
    far clusters differ, and each counts as one observation.

    >>> clustered_interval([(30, 30)] * 9 + [(0, 30)])[0] < 0.62 < wilson_interval(270, 300)[0]
    True
    """
    total = sum(n for _, n in clusters)
    correct = sum(right for right, _ in clusters)
    count = len(clusters)
    if count < 2:  # one cluster says as much as one observation, and nothing where it disagrees with itself
        return wilson_interval(correct / total, 1, confidence) if total and correct in (0, total) else (0.0, 1.0)
    p = correct / total
    if correct in (0, total):
        effective = float(count)
    else:
        between = count / (count - 1) * sum((right - p * n) ** 2 for right, n in clusters) / total**2
        effective = total / max(1.0, between / (p * (1 - p) / total))
    z = normal_quantile(confidence)
    effective *= (z / _t_series(z, count - 1)) ** 2
    return wilson_interval(p * effective, effective, confidence)


def interval_by_cluster(clusters: Sequence[tuple[int, int]], confidence: float = 0.95) -> tuple[float, float]:
    """The same; of clusters that have one observation each, Wilson's interval, since these are independent.

    >>> interval_by_cluster([(1, 1)] * 9 + [(0, 1)]) == wilson_interval(9, 10)
    True
    """
    if all(n == 1 for _, n in clusters):
        return wilson_interval(sum(right for right, _ in clusters), len(clusters), confidence)
    return clustered_interval(clusters, confidence)


def _t_series(z: float, freedom: int) -> float:
    """Student's t quantile from the normal one: M. Abramowitz and I. Stegun (1964), 26.7.5; exact for 1 and 2.

    Not `t_quantile`, whose last digits are others: results hold these, and repeating a checkpoint must give the same.
    """
    p = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979, Scandinavian Journal of Statistics 6:65-70)."""
    adjusted, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = floor
    return adjusted
