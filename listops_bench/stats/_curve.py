"""Curves of the share that learns over log sizes: a logistic that rises to a plateau, and profiles of its likelihood.

    share ^            . - - - -  plateau A         share(x) = A / (1 + exp(-s (x - m))),  x the log of the size
      0.5 |.........+                               N50 is where it reaches one half: m + logit(.5 / A) / s;
          |     . '                                 nowhere, where A is no more than that
        0 +- - '----|---------> x
                   N50

The likelihood is penalised twice. `FIRTH` times the log of the determinant of the information on intercept and slope
(of the logistic itself; Firth, Biometrika 80, 1993, has one half) gives it a maximum between a size at which no run
learns and one at which all do. And a plateau below 1 costs `PULL` times the log of it, so that few runs do not make
one out of a single failure. Both were chosen by simulation (`tests/support/threshold_coverage.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from listops_bench.stats.differences import Floats

PULL = 0.5
FIRTH = 0.2
_STEPS = 12  # of a profile between two neighbouring sizes, before it is made finer
_SLOPES: Floats = np.geomspace(0.05, 80, 22)  # per e-fold in size: half the way from 10% to 90% is 2.2 / slope
_PLATEAUS: Floats = np.array([0.505, 0.53, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0])
_LOW_PLATEAUS: Floats = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5])
_BEYOND: Floats = np.geomspace(0.02, 30, 14)  # e-folds outside the sizes tried
_FINE = 0.3  # of deviance between two neighbours of a profile
_NEAR = 16.0  # of deviance: how far up a profile is made fine
_KEPT = 32  # grids of the sizes and runs of an arm, 2 MB each
_TINY = 1e-300
_SIDE = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])

Ladder = tuple[tuple[float, ...], tuple[int, ...]]
"""The log sizes, and the runs of each."""


class Curves:
    """The penalised likelihood of curves for some runs.

    Args:
        x: log sizes, ascending, at least two.
        learned, runs: of each size.
    """

    def __init__(self, x: Sequence[float], learned: Sequence[int], runs: Sequence[int]) -> None:
        self.ladder: Ladder = tuple(x), tuple(runs)
        self.learned = np.array(learned, dtype=np.float64)
        self.failed = np.array(runs, dtype=np.float64) - self.learned
        self.rounds = 6 + round(math.log2(max(1.0, sum(runs) / 100)) / 2)

    def at(self, middle: Floats, slope: Floats, plateau: Floats) -> Floats:
        """The penalised log-likelihood; the arguments broadcast against each other."""
        return self._weigh(_curves(self.ladder, middle, slope, plateau))

    def _weigh(self, parts: tuple[Floats, Floats, Floats]) -> Floats:
        reached, missed, penalty = parts
        total: Floats = reached @ self.learned + missed @ self.failed + penalty
        return total

    # --- profiles -----------------------------------------------------------------------------------------------------

    def over_n50(self) -> tuple[Floats, Floats, float, float, Floats]:
        """The log likelihood of each log N50 within the sizes tried, with the slope and plateau that suit it best.

        Returns:
            points and values [points] between the smallest and the largest size; the best value of an N50 below these,
            and above these or nowhere; and the (middle, slope, plateau) that is best of all.
        """
        x = self.ladder[0]
        points, table = _n50_grid(self.ladder)
        values = self._weigh(table)  # [points, slopes, plateaus]
        flat = values.reshape(len(points), -1).argmax(1)
        slope, plateau = np.unravel_index(flat, values.shape[1:])
        state = np.stack([np.log(_SLOPES)[slope], _PLATEAUS[plateau]], 1)

        def value(points: Floats, log_slope: Floats, plateau: Floats) -> Floats:
            return self.at(*curve_of(points, np.exp(log_slope), plateau), plateau)

        bounds = np.array([[math.log(_SLOPES[0]), math.log(_SLOPES[-1])], [_PLATEAUS[0], 1.0]])
        steps = np.array([0.35, 0.1])
        best, state = self._climb(value, points, state, steps, bounds)
        inside = (points >= x[0]) & (points <= x[-1])
        ends = [np.flatnonzero(points < x[0]), np.flatnonzero(points > x[-1])]
        below, above = (place[best[place].argmax()] for place in ends)
        never, curve = self._never()
        found, values, states = self._finer(value, points[inside], best[inside], state[inside], steps, bounds)
        choices = [
            (float(values.max()), _whole(found[values.argmax()], states[values.argmax()])),
            (float(best[below]), _whole(points[below], state[below])),
            (float(best[above]), _whole(points[above], state[above])),
            (never, curve),
        ]
        return found, values, float(best[below]), max(float(best[above]), never), max(choices, key=lambda c: c[0])[1]

    def _never(self) -> tuple[float, Floats]:
        """The best curve that stays at or below one half, and its value."""
        values = self._weigh(_low_grid(self.ladder))
        place = np.unravel_index(int(values.argmax()), values.shape)
        middles = _outside(self.ladder[0])
        state = np.array([[middles[place[0]], math.log(_SLOPES[place[1]])]])
        best, where = -np.inf, np.zeros(3)
        for plateau in _near(_LOW_PLATEAUS, int(place[2])):
            found, end = self._climb_middle(np.array([plateau]), state)
            if found[0] > best:
                best, where = float(found[0]), np.array([end[0, 0], math.exp(end[0, 1]), plateau])
        return best, where

    def over_plateau(self) -> tuple[Floats, Floats]:
        """The log likelihood of each plateau, with the middle and slope that suit it best."""
        points: Floats = np.concatenate([_LOW_PLATEAUS[:-1], np.linspace(0.45, 1.0, 23)])
        middles = _outside(self.ladder[0])
        values = self._weigh(_plateau_grid(self.ladder, tuple(points)))  # [middles, slopes, plateaus]
        flat = values.reshape(-1, len(points)).argmax(0)
        middle, slope = np.unravel_index(flat, values.shape[:2])
        state = np.stack([middles[middle], np.log(_SLOPES)[slope]], 1)
        best, state = self._climb_middle(points, state)
        value, steps, bounds = self._of_middle()
        points, best, _ = self._finer(value, points, best, state, steps, bounds)
        return points, best

    def _of_middle(self) -> tuple[Callable[..., Floats], Floats, Floats]:
        x = self.ladder[0]
        bounds = np.array([[x[0] - 30, x[-1] + 30], [math.log(_SLOPES[0]), math.log(_SLOPES[-1])]])
        steps = np.array([(x[-1] - x[0]) / (len(x) - 1) / 2, 0.35])
        return (lambda plateau, middle, slope: self.at(middle, np.exp(slope), plateau)), steps, bounds

    def _climb_middle(self, plateau: Floats, state: Floats) -> tuple[Floats, Floats]:
        value, steps, bounds = self._of_middle()
        return self._climb(value, plateau, state, steps, bounds)

    def _climb(
        self, value: Callable[..., Floats], points: Floats, state: Floats, steps: Floats, bounds: Floats
    ) -> tuple[Floats, Floats]:
        """From a cell of a grid to the highest place near it, for each point: squares of 5 by 5, ever smaller."""
        one, two = (side.ravel() for side in np.meshgrid(_SIDE, _SIDE))
        square, rows = np.stack([one, two], 1), np.arange(len(points))
        best = np.full(len(points), -np.inf)
        for turn in range(self.rounds):
            tried = (state[:, None, :] + square * steps * 0.6**turn).clip(bounds[:, 0], bounds[:, 1])
            values = value(points[:, None], tried[..., 0], tried[..., 1])
            place = values.argmax(1)
            state, best = tried[rows, place], values[rows, place]
        return best, state

    def _finer(
        self, value: Callable[..., Floats], points: Floats, best: Floats, state: Floats, steps: Floats, bounds: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """A profile with points between where it changes much, up to well above what is rejected."""
        for _ in range(12):
            deviance = 2 * (best.max() - best)
            low = np.minimum(deviance[:-1], deviance[1:])
            gaps = np.flatnonzero((low < _NEAR) & (np.abs(np.diff(deviance)) > _FINE * (1 + low / 2)))
            if not len(gaps):
                break
            middle = (points[gaps] + points[gaps + 1]) / 2
            nearer = np.where(best[gaps] >= best[gaps + 1], gaps, gaps + 1)
            found, where = self._climb(value, middle, state[nearer], steps, bounds)
            points, best = np.insert(points, gaps + 1, middle), np.insert(best, gaps + 1, found)
            state = np.insert(state, gaps + 1, where, axis=0)
        return points, best, state


def curve_of(n50: Floats, slope: Floats, plateau: Floats) -> tuple[Floats, Floats]:
    """The middle and the slope of the curve that reaches one half at this log size."""
    half = 0.5 / plateau
    return n50 - np.log(half / np.maximum(1 - half, _TINY)) / slope, slope


def share_at(x: Floats, curve: Floats) -> Floats:
    """The share of a (middle, slope, plateau) at log sizes."""
    from scipy.special import expit

    found: Floats = curve[2] * expit(curve[1] * (x - curve[0]))
    return found


def _whole(n50: float, state: Floats) -> Floats:
    plateau = state[1:]
    middle, slope = curve_of(np.array([n50]), np.exp(state[:1]), plateau)
    return np.concatenate([middle, slope, plateau])


def _near(grid: Floats, place: int) -> Floats:
    found: Floats = np.linspace(grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)], 7)
    return found


def _curves(ladder: Ladder, middle: Floats, slope: Floats, plateau: Floats) -> tuple[Floats, Floats, Floats]:
    """The logs of the share that learns and of the rest [..., sizes], and the penalty [...]."""
    from scipy.special import expit

    x, runs = np.array(ladder[0]), np.array(ladder[1], dtype=np.float64)
    z = x - middle[..., None]
    share = expit(slope[..., None] * z)
    rest = expit(-slope[..., None] * z)
    top = plateau[..., None]
    missed = np.maximum((1 - top) + top * rest, _TINY)
    weight = runs * share * rest  # of the logistic itself: the curve's own would draw plateaus to 1
    s0, s1, s2 = weight.sum(-1), (weight * z).sum(-1), (weight * z * z).sum(-1)
    determinant = np.maximum(s0 * s2 - s1 * s1, _TINY)  # of the information on intercept and slope
    penalty = FIRTH * np.log(determinant) + PULL * np.log(plateau)
    return np.log(np.maximum(top * share, _TINY)), np.log(missed), penalty


def _outside(x: Sequence[float]) -> Floats:
    """The sizes tried, places between them and beyond them."""
    inner = np.unique(np.concatenate([np.linspace(a, b, _STEPS + 1) for a, b in itertools.pairwise(x)]))
    return np.concatenate([x[0] - _BEYOND[::-1], inner, x[-1] + _BEYOND])


@lru_cache(maxsize=_KEPT)
def _n50_grid(ladder: Ladder) -> tuple[Floats, tuple[Floats, Floats, Floats]]:
    points = _outside(ladder[0])
    slope, plateau = _SLOPES[None, :, None], _PLATEAUS[None, None, :]
    return points, _curves(ladder, *curve_of(points[:, None, None], slope, plateau), plateau)


@lru_cache(maxsize=2 * _KEPT)
def _plateau_grid(ladder: Ladder, plateaus: tuple[float, ...]) -> tuple[Floats, Floats, Floats]:
    middle, slope = _outside(ladder[0])[:, None, None], _SLOPES[None, :, None]
    return _curves(ladder, middle, slope, np.array(plateaus)[None, None, :])


def _low_grid(ladder: Ladder) -> tuple[Floats, Floats, Floats]:
    return _plateau_grid(ladder, tuple(_LOW_PLATEAUS))
