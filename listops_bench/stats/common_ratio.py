"""One ratio of thresholds from several pairs of ladders: the same two ways of training within different budgets.

Every pair of ladders says how well each ratio suits it (the profile of its deviance, over all pairs of N50 that are so
far apart); pairs of their own runs are independent, so these add up. What comes out is the ratio that suits all of them
best, and the interval of those that suit them well enough. With one pair, it is `threshold.ratio`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from listops_bench.stats.differences import Floats
from listops_bench.stats.threshold import Kind, Ratio, Threshold, rejected_from

_STEP = 0.01  # of the log ratio
_FLAT = 1e-6


def common_ratio(pairs: Sequence[tuple[Threshold, Threshold]], confidence: float = 0.95) -> Ratio:
    """The ratio of the first threshold of each pair to its second.

    Args:
        pairs: no threshold may stand in two of them. Those of one size have no profile and say nothing.
    """
    able = [(a.profile, b.profile) for a, b in pairs if a.profile is not None and b.profile is not None]
    if not able:
        return Ratio("unknown", None, None, None)
    reach = max(max(a.points[-1] - b.points[0], b.points[-1] - a.points[0]) for a, b in able)
    half = math.ceil(reach / _STEP) + 2
    grid: Floats = np.arange(-half, half + 1) * _STEP
    deviance = np.zeros_like(grid)
    for a, b in able:
        deviance += _over(grid, a.points, a.deviance, b.points, b.deviance)
    deviance -= deviance.min()
    kept = np.flatnonzero(deviance <= rejected_from(confidence))
    low = None if kept[0] == 0 else math.exp(grid[kept[0]])
    high = None if kept[-1] == len(grid) - 1 else math.exp(grid[kept[-1]])
    kind, estimate = _best(grid, deviance)
    if low is None and high is None:
        kind, estimate = "unknown", None
    return Ratio(kind, estimate, low, high)


def _over(grid: Floats, first: Floats, of_first: Floats, second: Floats, of_second: Floats) -> Floats:
    """The least deviance of each log ratio: [grid].

    The first and last points of a profile stand for all that lies beyond the sizes tried, so a pair with one of them
    reaches every ratio on that side.
    """
    total = of_first[:, None] + of_second[None, :]
    place = np.rint((first[:, None] - second[None, :] - grid[0]) / _STEP).astype(np.int64)
    least = np.full(len(grid), np.inf)
    np.minimum.at(least, place, total)
    falling, rising = np.full(len(grid), np.inf), np.full(len(grid), np.inf)
    for row, column in ((0, slice(None)), (slice(None), -1)):
        np.minimum.at(falling, place[row, column], total[row, column])
    for row, column in ((-1, slice(None)), (slice(None), 0)):
        np.minimum.at(rising, place[row, column], total[row, column])
    least = np.minimum(least, np.minimum.accumulate(falling[::-1])[::-1])
    least = np.minimum(least, np.minimum.accumulate(rising))
    known = np.isfinite(least)  # the others lie between the ratios that some pair of points has
    found: Floats = np.interp(grid, grid[known], least[known])
    return found


def _best(grid: Floats, deviance: Floats) -> tuple[Kind, float | None]:
    """The ratio that suits best; a bound where all beyond it suit as well."""
    flat = np.flatnonzero(deviance <= _FLAT)
    below, above = flat[0] == 0, flat[-1] == len(grid) - 1
    if below and above:
        return "unknown", None
    if below:
        return "below", math.exp(grid[flat[-1]])
    if above:
        return "above", math.exp(grid[flat[0]])
    return "number", math.exp(float(grid[flat].mean()))
