"""Learned or not: the size from which half of the runs learn a task, and the share that learns when size is no limit.

    fit_threshold([Outcome(8_000, 0, 5), ...]) N50 and the plateau, with their intervals, or bounds
    ratio(joint, single)                       how many times smaller, with its interval, or a bound
    plateau_gain(joint, single)                how many more of the runs learn, size being no limit

A run has learned where it reaches a cut, which is a convention: what lies on either side of it is not all alike.
**N50** is the size at which half of the runs learn. The **plateau** is the share that learns however large the model
is. They are two figures: a way of training may need fewer parameters, or be more reliable, or both. A curve that must
rise to 1 would put what is a plateau below it into N50, and the more runs there are, the more surely.

The curve and its penalties are those of `_curve`. Intervals hold what the profile of that likelihood does not reject at
5% (Heinze and Schemper, Statistics in Medicine 21, 2002; for doses: Williams, Biometrics 42, 1986), by the bound of its
deviance that simulated ladders with plateaus asked for: 5.4 in place of 3.84. A seed bootstrap would cover far too
seldom with 3 to 5 seeds a size. That more parameters make learning likelier is assumed: slopes below zero are none. The
runs of one size are taken as independent; `scatter` says whether sizes differ by more than that.

What the sizes tried do not show is not extrapolated: an N50 or a limit beyond them is reported as a bound. A plateau of
one half or less has no N50, which counts as one above all sizes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

import numpy as np

from listops_bench.stats._curve import Curves, share_at
from listops_bench.stats.differences import Difference, Floats
from listops_bench.stats.intervals import normal_quantile

Kind = Literal["number", "above", "below", "unknown"]
"""Whether there is an estimate, it lies above or below a bound, or the data do not say."""

_WIDER = 1.4  # with few sizes about N50, a plateau and a slope take so much more: by simulation
_DRAWS = 2000  # of runs from the fitted curve, for `scatter`


@dataclass(frozen=True, order=True)
class Outcome:
    """Of ``runs`` seeds of a model with so many parameters, ``learned`` have learned the task."""

    parameters: int
    learned: int
    runs: int


@dataclass(frozen=True)
class Profile:
    """The deviance of each log N50 (or plateau) from the best one, over the sizes tried and at their two outsides.

    ``points`` begins and ends with the extremes once more: what stands there is the least deviance of all that lies
    beyond them. The best is one of them, and what stands between two of them may be interpolated.
    """

    points: Floats
    deviance: Floats

    @staticmethod
    def of(points: Floats, values: Floats, below: float = -math.inf, above: float = -math.inf) -> Profile:
        """From log likelihoods; the highest within is raised to the vertex of the parabola through its neighbours."""
        place = int(values.argmax())
        if 0 < place < len(points) - 1:
            x, y = points[place - 1 : place + 2], values[place - 1 : place + 2]
            a, b, c = np.polyfit(x - x[1], y - y[1], 2)
            vertex = float(x[1] - b / (2 * a)) if a < 0 else float(x[1])
            top = float(y[1] + c - b * b / (4 * a)) if a < 0 else float(y[1])
            if x[0] < vertex < x[2] and vertex != x[1] and top > y[1]:
                at = place + (vertex > x[1])
                points, values = np.insert(points, at, vertex), np.insert(values, at, top)
        whole = np.concatenate([[below], values, [above]])
        with np.errstate(invalid="ignore"):
            deviance = 2 * (whole.max() - whole)
        return Profile(np.concatenate([points[:1], points, points[-1:]]), deviance)

    def lowest(self, levels: Floats) -> Floats:
        """The lowest point whose deviance is within each level; minus infinity beyond the points, nan where none is."""
        points, deviance = self.points[1:-1], self.deviance[1:-1]
        within = deviance[:, None] <= levels
        first = within.argmax(0)
        before = np.maximum(first - 1, 0)
        with np.errstate(all="ignore"):
            part = (levels - deviance[first]) / (deviance[before] - deviance[first])
            found = np.where(first > 0, points[first] - part * (points[first] - points[before]), points[0])
        found = np.where(within.any(0), found, np.nan)
        found = np.where(self.deviance[-1] <= levels, np.fmin(found, points[-1]), found)
        return np.where(self.deviance[0] <= levels, -np.inf, found)

    def highest(self, levels: Floats) -> Floats:
        """The highest one."""
        return -Profile(-self.points[::-1], self.deviance[::-1]).lowest(levels)

    def limits(self, level: float) -> tuple[float | None, float | None]:
        """Where the deviance crosses a level, from which on it is rejected; None where no point is."""
        low, high = self.lowest(np.array([level]))[0], self.highest(np.array([level]))[0]
        return float(low) if math.isfinite(low) else None, float(high) if math.isfinite(high) else None

    def minus(self, other: Profile, level: float) -> tuple[float | None, float | None]:
        """The limits of a point of this minus one of the other; None where one lies beyond all points.

        Both are of runs of their own, so deviances add up: a difference is accepted where that of some pair is.
        """
        spare = level - other.deviance
        low, high = self.lowest(spare) - other.points, self.highest(spare) - other.points
        falls = np.nanmin(low) == -np.inf or bool((self.deviance <= spare[-1]).any())
        rises = np.nanmax(high) == np.inf or bool((self.deviance <= spare[0]).any())
        return None if falls else float(np.nanmin(low)), None if rises else float(np.nanmax(high))


@dataclass(frozen=True)
class Plateau:
    """The share of runs that learns when size is no limit, with its 95% interval; None where nothing shows it."""

    estimate: float | None
    low: float
    high: float
    profile: Profile | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Threshold:
    """N50, the number of parameters with which half of the runs learn, and the plateau.

    Attributes:
        outcomes: what it is estimated from, by size.
        kind: ``number``; ``above`` or ``below`` the largest or smallest size tried, given as ``estimate``; ``unknown``.
        estimate: the number, or the bound. None where the kind is unknown.
        low, high: the 95% interval; None where the sizes tried set no limit.
        curve: middle in log parameters, slope and plateau of the fitted curve; None for a single size.
    """

    outcomes: tuple[Outcome, ...]
    kind: Kind
    estimate: float | None
    low: float | None
    high: float | None
    curve: tuple[float, float, float] | None = field(default=None, compare=False, repr=False)
    profile: Profile | None = field(default=None, compare=False, repr=False)

    @property
    def runs(self) -> int:
        return sum(outcome.runs for outcome in self.outcomes)

    @cached_property
    def plateau(self) -> Plateau:
        """The share that learns when size is no limit."""
        return _plateau(self.outcomes)

    @cached_property
    def scatter(self) -> float | None:
        """How often runs drawn from the fitted curve would scatter about it as far as these do, or farther.

        Below .05, sizes differ by more than their runs' luck, and the intervals are too narrow. None for one size.
        """
        return None if self.curve is None else _scatter(self.outcomes, self.curve)

    def shares(self, sizes: Iterable[float]) -> list[float]:
        """The fitted curve at some numbers of parameters; empty without one."""
        if self.curve is None:
            return []
        return [float(share) for share in share_at(np.log(np.array(list(sizes))), np.array(self.curve))]


@dataclass(frozen=True)
class Ratio:
    """The quotient of two thresholds; the fields are those of `Threshold`."""

    kind: Kind
    estimate: float | None
    low: float | None
    high: float | None


def fit_threshold(outcomes: Iterable[Outcome]) -> Threshold:
    """N50 and plateau of outcomes over a ladder of sizes; those of one size are added up."""
    return _fit(by_size(outcomes))


def by_size(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Outcomes by size, those of one size added up; sizes without runs are none."""
    learned, runs = Counter[int](), Counter[int]()
    for one in outcomes:
        learned[one.parameters] += one.learned
        runs[one.parameters] += one.runs
    return tuple(Outcome(size, learned[size], runs[size]) for size in sorted(runs) if runs[size])


@cache
def _fit(outcomes: tuple[Outcome, ...]) -> Threshold:
    total, successes = sum(o.runs for o in outcomes), sum(o.learned for o in outcomes)
    if not total:
        return Threshold(outcomes, "unknown", None, None, None)
    smallest, largest = outcomes[0].parameters, outcomes[-1].parameters
    always: Kind | None = "above" if successes == 0 else "below" if successes == total else None
    if len(outcomes) == 1:  # no slope: one size can only be a bound
        bound = float(largest) if always else None
        return Threshold(outcomes, always or "unknown", bound, None, None)
    points, values, below, above, best = _curves(outcomes).over_n50()
    profile, curve = Profile.of(points, values, below, above), (float(best[0]), float(best[1]), float(best[2]))
    low, high = (None if limit is None else math.exp(limit) for limit in profile.limits(rejected_from(0.95)))
    place = int(profile.deviance.argmin())
    kind: Kind = always or ("below" if place == 0 else "above" if place == len(profile.points) - 1 else "number")
    if low is None and high is None and not always:
        return Threshold(outcomes, "unknown", None, None, None, curve, profile)
    estimate = {"above": float(largest), "below": float(smallest)}.get(kind) or math.exp(profile.points[place])
    return Threshold(outcomes, kind, estimate, low, high, curve, profile)


def _curves(outcomes: tuple[Outcome, ...]) -> Curves:
    return Curves([math.log(o.parameters) for o in outcomes], [o.learned for o in outcomes], [o.runs for o in outcomes])


@cache
def _plateau(outcomes: tuple[Outcome, ...]) -> Plateau:
    if len(outcomes) < 2 or not any(o.learned for o in outcomes):
        return Plateau(None, 0.0, 1.0)
    profile = Profile.of(*_curves(outcomes).over_plateau())
    low, high = profile.limits(rejected_from(0.95))
    return Plateau(float(profile.points[profile.deviance.argmin()]), low or 0.0, 1.0 if high is None else high, profile)


@cache
def _scatter(outcomes: tuple[Outcome, ...], curve: tuple[float, float, float]) -> float:
    sizes, learned, runs = np.array([(o.parameters, o.learned, o.runs) for o in outcomes]).T
    expected = share_at(np.log(sizes), np.array(curve)).clip(1e-6, 1 - 1e-6)

    def distance(counts: Floats) -> Floats:
        """Pearson's, [...] of counts [..., sizes]."""
        found: Floats = ((counts - runs * expected) ** 2 / (runs * expected * (1 - expected))).sum(-1)
        return found

    drawn = distance(np.random.default_rng(0).binomial(runs, expected, (_DRAWS, len(runs))).astype(np.float64))
    return float((1 + (drawn >= distance(learned.astype(np.float64)) - 1e-9).sum()) / (1 + _DRAWS))


# --- one threshold against another ------------------------------------------------------------------------------------


def ratio(first: Threshold, second: Threshold, confidence: float = 0.95) -> Ratio:
    """How many times larger the first threshold is; smaller than 1 where the first needs fewer parameters.

    The interval holds every quotient that some pair of thresholds with it makes acceptable. With a threshold that is
    only bounded, so is the quotient.
    """
    return quotient(first, second, rejected_from(confidence))


def quotient(first: Threshold, second: Threshold, level: float) -> Ratio:
    """The same for a bound of the deviance."""
    kind, estimate = _quotient(first, second)
    if first.profile is None or second.profile is None:
        return Ratio(kind, estimate, None, None)
    low, high = first.profile.minus(second.profile, level)
    if low is None and high is None and kind == "number":
        kind, estimate = "unknown", None
    return Ratio(kind, estimate, None if low is None else math.exp(low), None if high is None else math.exp(high))


def plateau_gain(first: Threshold, second: Threshold, confidence: float = 0.95) -> Difference | None:
    """How many more of the runs learn with the first when size is no limit; None where one of them does not show it."""
    one, two = first.plateau, second.plateau
    if one.estimate is None or two.estimate is None or one.profile is None or two.profile is None:
        return None
    low, high = one.profile.minus(two.profile, rejected_from(confidence))
    return Difference(one.estimate - two.estimate, -1.0 if low is None else low, 1.0 if high is None else high)


def rejected_from(confidence: float) -> float:
    """The deviance from which on a value is rejected: chi-square with one degree of freedom, times `_WIDER`."""
    return _WIDER * normal_quantile(confidence) ** 2


def _quotient(first: Threshold, second: Threshold) -> tuple[Kind, float | None]:
    if first.estimate is None or second.estimate is None:
        return "unknown", None
    turned: Kind = {"above": "below", "below": "above"}.get(second.kind, second.kind)  # type: ignore[assignment]
    kinds = {first.kind, turned} - {"number"}
    if len(kinds) > 1:  # such as both above all sizes
        return "unknown", None
    kind: Kind = kinds.pop() if kinds else "number"
    return kind, first.estimate / second.estimate
