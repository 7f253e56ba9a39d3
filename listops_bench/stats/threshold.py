"""Learned or not, the size from which a task is learned, and how long that takes.

    learned(results, "sum")                    True, False, or None where a result that decides is missing
    fit_threshold([Outcome(8_000, 0, 5), ...]) N50 with its interval, or a bound
    ratio(joint, single)                       how many times smaller, with its interval, or a bound
    survival([900, 1400], [3000])              the share of runs that still have not learned, over steps

The run is the unit: leaving the plateau is a random event, so a run has learned or it has not, and what lies between is
no half success. **N50** is the size at which half of the seeds learn: logistic regression of learned or not in the log
of the parameter count.

Between a size at which no seed learns and one at which all do, the likelihood has no maximum (Albert and Anderson,
Biometrika 71, 1984). So the fit maximises Firth's penalised likelihood (Biometrika 80, 1993), which adds Jeffreys'
prior, half the log of the information's determinant: that exists always, and it takes away the first-order bias. The
interval holds every N50 that the profile of that likelihood does not reject at 5% (Heinze and Schemper, Statistics in
Medicine 21, 2002; for doses: Williams, Biometrics 42, 1986). A seed bootstrap would cover far too seldom with 3 to 5
seeds a size. That more parameters make learning likelier is assumed: slopes below zero are none.

What the sizes tried do not show is not extrapolated: an N50 or a limit beyond them is reported as a bound.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np

from listops_bench.stats.differences import Floats
from listops_bench.stats.intervals import normal_quantile

Kind = Literal["number", "above", "below", "unknown"]
"""Whether there is an estimate, it lies above or below a bound, or the data do not say."""


_STEPS = 24  # of the profile between two neighbouring sizes
_SLOPES: Floats = np.geomspace(0.05, 80, 48)  # per e-fold in size: half the way from 10% to 90% is 2.2 / slope
_PRECISE = {"xatol": 1e-4, "fatol": 1e-6}
_BEYOND: Floats = np.geomspace(0.02, 30, 24)  # e-folds outside the sizes tried


# --- the size from which on -------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Outcome:
    """Of ``runs`` seeds of a model with so many parameters, ``learned`` have learned the task."""

    parameters: int
    learned: int
    runs: int


@dataclass(frozen=True)
class Profile:
    """The deviance of each log N50 from the best one, over the sizes tried and at their two outsides.

    ``points`` begins and ends with the extreme sizes once more: what stands there is the least deviance of all that
    lies beyond them.
    """

    points: Floats
    deviance: Floats


@dataclass(frozen=True)
class Threshold:
    """N50, the number of parameters with which half of the seeds learn.

    Attributes:
        outcomes: what it is estimated from, by size.
        kind: ``number``; ``above`` or ``below`` the largest or smallest size tried, given as ``estimate``; ``unknown``.
        estimate: the number, or the bound. None where the kind is unknown.
        low, high: the 95% interval; None where the sizes tried set no limit.
    """

    outcomes: tuple[Outcome, ...]
    kind: Kind
    estimate: float | None
    low: float | None
    high: float | None
    profile: Profile | None = field(default=None, compare=False, repr=False)

    @property
    def runs(self) -> int:
        return sum(outcome.runs for outcome in self.outcomes)


@dataclass(frozen=True)
class Ratio:
    """The quotient of two thresholds; the fields are those of `Threshold`."""

    kind: Kind
    estimate: float | None
    low: float | None
    high: float | None


def fit_threshold(outcomes: Iterable[Outcome]) -> Threshold:
    """N50 of outcomes over a ladder of sizes; those of one size are added up."""
    learned, runs = Counter[int](), Counter[int]()
    for one in outcomes:
        learned[one.parameters] += one.learned
        runs[one.parameters] += one.runs
    return _fit(tuple(Outcome(size, learned[size], runs[size]) for size in sorted(runs) if runs[size]))


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
    fit = _PenalisedFit(outcomes)
    best, profile = fit.profile()
    low, high = _limits(profile)
    kind: Kind = always or ("above" if best > fit.x[-1] else "below" if best < fit.x[0] else "number")
    if low is None and high is None and not always:
        return Threshold(outcomes, "unknown", None, None, None, profile)
    estimate = {"above": float(largest), "below": float(smallest)}.get(kind) or math.exp(best)
    return Threshold(outcomes, kind, estimate, low, high, profile)


class _PenalisedFit:
    """Firth's penalised likelihood of (log N50, slope) for some outcomes."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.x: Floats = np.log([float(o.parameters) for o in outcomes])
        self.learned: Floats = np.array([float(o.learned) for o in outcomes])
        self.runs: Floats = np.array([float(o.runs) for o in outcomes])

    def likelihood(self, middle: Floats, slope: Floats) -> Floats:
        """The penalised log-likelihood; the arguments broadcast against each other."""
        from scipy.special import log_expit

        z = self.x - middle[..., None]
        eta = slope[..., None] * z
        log_chance = log_expit(eta)
        chance = np.exp(log_chance)
        likelihood = (self.runs * log_chance - (self.runs - self.learned) * eta).sum(-1)
        weight = self.runs * chance * (1 - chance)
        s0, s1, s2 = weight.sum(-1), (weight * z).sum(-1), (weight * z * z).sum(-1)
        determinant = np.maximum(s0 * s2 - s1 * s1, 1e-300)  # of the information on intercept and slope
        return np.asarray(likelihood + 0.5 * np.log(determinant))

    def profile(self) -> tuple[float, Profile]:
        """The best log N50, and the deviance of the others, each with the slope that suits it best."""
        inner = np.unique(np.concatenate([np.linspace(a, b, _STEPS + 1) for a, b in zip(self.x, self.x[1:])]))  # noqa: B905
        below, above = self.x[0] - _BEYOND, self.x[-1] + _BEYOND
        points = np.concatenate([below, inner, above])
        table = self.likelihood(points[:, None], _SLOPES[None, :])
        best, peak = self._maximum(points, table)
        deviance = 2 * (peak - _tops(table))
        sides = len(_BEYOND)
        ends = deviance[:sides].min(), deviance[-sides:].min()
        whole = np.concatenate([ends[:1], deviance[sides:-sides], ends[1:]])
        return best, Profile(np.concatenate([inner[:1], inner, inner[-1:]]), np.maximum(whole, 0.0))

    def _maximum(self, points: Floats, table: Floats) -> tuple[float, float]:
        from scipy.optimize import minimize

        place, slope = np.unravel_index(int(table.argmax()), table.shape)
        start = np.array([points[place], math.log(_SLOPES[slope])])
        found = minimize(
            lambda p: -float(self.likelihood(p[0], np.exp(p[1]))), start, method="Nelder-Mead", options=_PRECISE
        )
        return float(found.x[0]), max(-float(found.fun), float(table.max()))


def _tops(table: Floats) -> Floats:
    """The highest value of each row, between the slopes tried too: the vertex of the parabola through three points."""
    place = table.argmax(1).clip(1, table.shape[1] - 2)
    rows = np.arange(len(table))
    left, middle, right = (table[rows, place + shift] for shift in (-1, 0, 1))
    bend = left - 2 * middle + right
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = middle - np.where(bend < 0, (left - right) ** 2 / (8 * bend), 0.0)
    inside = (middle >= left) & (middle >= right)
    return np.where(inside, vertex, table.max(1))


def _limits(profile: Profile) -> tuple[float | None, float | None]:
    """Where the deviance crosses what is rejected; None where it does not, within the sizes."""
    points, deviance, limit = profile.points, profile.deviance, rejected_from(0.95)
    kept = np.flatnonzero(deviance <= limit)

    def crossing(inside: int, outside: int) -> float | None:
        if not 0 <= outside < len(points):
            return None
        pair = [inside, outside]
        return math.exp(np.interp(limit, deviance[pair], points[pair]))

    return crossing(kept[0], kept[0] - 1), crossing(kept[-1], kept[-1] + 1)


# --- one threshold against another ------------------------------------------------------------------------------------


def ratio(first: Threshold, second: Threshold, confidence: float = 0.95) -> Ratio:
    """How many times larger the first threshold is; smaller than 1 where the first needs fewer parameters.

    The interval holds every quotient that some pair of thresholds with it makes acceptable: both sets of runs are
    independent, so their deviances add up, and the profile of the quotient is the least sum among its pairs. With a
    threshold that is only bounded, so is the quotient.
    """
    kind, estimate = _quotient(first, second)
    if first.profile is None or second.profile is None:
        return Ratio(kind, estimate, None, None)
    a, b = first.profile, second.profile
    accepted = a.deviance[:, None] + b.deviance[None, :] <= rejected_from(confidence)
    if not accepted.any():  # the best pair lies between two points of both profiles
        return Ratio(kind, estimate, estimate, estimate)
    quotients = (a.points[:, None] - b.points[None, :])[accepted]
    falls = accepted[0].any() or accepted[:, -1].any()  # the first may lie below all sizes, or the second above them
    rises = accepted[-1].any() or accepted[:, 0].any()
    low = None if falls else math.exp(quotients.min())
    high = None if rises else math.exp(quotients.max())
    if low is None and high is None and kind == "number":
        kind, estimate = "unknown", None
    return Ratio(kind, estimate, low, high)


def rejected_from(confidence: float) -> float:
    """The deviance from which on a value is rejected: chi-square with one degree of freedom."""
    return normal_quantile(confidence) ** 2


def _quotient(first: Threshold, second: Threshold) -> tuple[Kind, float | None]:
    if first.estimate is None or second.estimate is None:
        return "unknown", None
    turned: Kind = {"above": "below", "below": "above"}.get(second.kind, second.kind)  # type: ignore[assignment]
    kinds = {first.kind, turned} - {"number"}
    if len(kinds) > 1:  # such as both above all sizes
        return "unknown", None
    kind: Kind = kinds.pop() if kinds else "number"
    return kind, first.estimate / second.estimate


# --- time -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Survival:
    """Which share of the runs has not learned yet, over steps: Kaplan and Meier's estimate.

    Attributes:
        steps: at which runs learned, ascending.
        share: of runs that have not learned, from each of these steps on.
        low, high: 95% limits of the share, by Greenwood's formula on the log-log scale; None where there are none.
        median: steps after which half of the runs have learned, with its limits; None where so many have not.
        learned, runs: counts.
    """

    steps: tuple[int, ...]
    share: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    median: int | None
    median_low: int | None
    median_high: int | None
    learned: int
    runs: int


def survival(learned_at: Sequence[int], censored_at: Sequence[int]) -> Survival:
    """Time to learn, of runs that learned at some step and runs that had not when their training ended.

    The median's limits are those of Brookmeyer and Crowley (Biometrics 38, 1982): the steps at which the limits of the
    share fall to one half.
    """
    runs = len(learned_at) + len(censored_at)
    if not learned_at:
        return Survival((), (), (), (), None, None, None, 0, runs)
    from scipy.stats import CensoredData, ecdf

    curve = ecdf(CensoredData(uncensored=sorted(learned_at), right=sorted(censored_at))).sf
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that there is no limit where no run is left, which is so
        limits = curve.confidence_interval(method="log-log")
    happened = np.isin(curve.quantiles, learned_at)
    events = [int(step) for step in curve.quantiles[happened]]
    share, low, high = (at.probabilities[happened].tolist() for at in (curve, limits.low, limits.high))
    return Survival(
        steps=tuple(events),
        share=tuple(round(value, 6) for value in share),
        low=tuple(map(_finite, low)),
        high=tuple(map(_finite, high)),
        median=_first(events, share),
        median_low=_first(events, low),
        median_high=_first(events, high),
        learned=len(learned_at),
        runs=runs,
    )


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _first(steps: Sequence[int], shares: Sequence[float]) -> int | None:
    return next((step for step, share in zip(steps, shares, strict=True) if share <= 0.5), None)
