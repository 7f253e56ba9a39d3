"""One ratio of thresholds from several pairs of ladders: the same two ways of training within different budgets.

Every pair of ladders says how well each ratio suits it (the profile of its deviance, over all pairs of N50 that are so
far apart); pairs of their own runs are independent, so these add up. What comes out is the ratio that suits all of them
best, and the interval of those that suit them well enough. With one pair, it is `threshold.ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from listops_bench.stats.differences import Floats
from listops_bench.stats.threshold import Kind, Profile, Ratio, Threshold, ratio, rejected_from

_STEP = 0.01  # of the log ratio, between two of which a limit is bisected
_FLAT = 1e-6
_PRECISION = 1e-7


def common_ratio(pairs: Sequence[tuple[Threshold, Threshold]], confidence: float = 0.95) -> Ratio:
    """The ratio of the first threshold of each pair to its second.

    Args:
        pairs: no threshold may stand in two of them. Those of one size have no profile and say nothing.
    """
    able = [(a, b) for a, b in pairs if a.profile is not None and b.profile is not None]
    if not able:
        return Ratio("unknown", None, None, None)
    if len(able) == 1:
        return ratio(*able[0], confidence)
    profiles = [(a.profile, b.profile) for a, b in able if a.profile is not None and b.profile is not None]

    def total(ratios: Floats) -> Floats:
        return np.sum([_least(a, b, ratios) for a, b in profiles], axis=0)

    reach = max(max(a.points[-1] - b.points[0], b.points[-1] - a.points[0]) for a, b in profiles)
    half = math.ceil(reach / _STEP) + 2
    grid: Floats = np.arange(-half, half + 1) * _STEP
    values = total(grid)
    best = values.min()
    kept = np.flatnonzero(values - best <= rejected_from(confidence))
    low, high = kept[0], kept[-1]

    def limit(outside: int, inside: int) -> float:
        return math.exp(
            _crossing(lambda x: float(total(np.array([x]))[0]) - best, grid[outside], grid[inside], confidence)
        )

    kind, place = _best(grid, values - best)
    if kind == "number" and place is not None:
        near = place + np.linspace(-_STEP, _STEP, 201)
        place = float(near[total(near).argmin()])
    if low == 0 and high == len(grid) - 1:
        return Ratio("unknown", None, None, None)
    return Ratio(
        kind,
        None if place is None else math.exp(place),
        None if low == 0 else limit(low - 1, low),
        None if high == len(grid) - 1 else limit(high + 1, high),
    )


def _crossing(deviance: Callable[[float], float], outside: float, inside: float, confidence: float) -> float:
    """Where the deviance is what is rejected; it is more at the one and less at the other."""
    from scipy.optimize import bisect

    return float(bisect(lambda x: deviance(x) - rejected_from(confidence), outside, inside, xtol=_PRECISION))


def _least(first: Profile, second: Profile, ratios: Floats) -> Floats:
    """The least deviance of each log ratio, over all pairs of N50 that are so far apart: [ratios].

    Profiles are straight between their points, so the least is found where one of the two N50 is a point. The first and
    last points stand for all that lies beyond.
    """
    one = _interpolated(first, second.points + ratios[:, None]) + second.deviance
    two = _interpolated(second, first.points - ratios[:, None]) + first.deviance
    found: Floats = np.minimum(one.min(1), two.min(1))
    return found


def _interpolated(profile: Profile, x: Floats) -> Floats:
    inner, deviance = profile.points[1:-1], profile.deviance
    found: Floats = np.interp(x, inner, deviance[1:-1])
    return np.where(x > inner[-1], deviance[-1], np.where(x < inner[0], deviance[0], found))


def _best(grid: Floats, deviance: Floats) -> tuple[Kind, float | None]:
    """The log ratio that suits best; a bound where all beyond it suit as well."""
    flat = np.flatnonzero(deviance <= _FLAT)
    below, above = flat[0] == 0, flat[-1] == len(grid) - 1
    if below and above:
        return "unknown", None
    if below:
        return "below", float(grid[flat[-1]])
    if above:
        return "above", float(grid[flat[0]])
    return "number", float(grid[flat].mean())
