"""N50 from few runs: the size of the next run is chosen by what the runs so far have shown.

    search = Search(sizes=(2_056, 3_660, 5_648, ...))
    search.next_batch([])                                  [5_648, 14_744, ...]: what to train first
    search.next_batch([Trial(5_648, False), ...])          ...
    search.threshold(trials)                               N50 with its interval, or a bound

Most runs of a grid stand where learning is hopeless or sure, and say next to nothing. Here a posterior over N50, the
width of the rise and the plateau says of every size how much one run of it is expected to reduce the variance of log
N50; the largest reduction is run next (Kontsevich and Tyler, Vision Research 39, 1999, do so for thresholds of seeing).
The next size depends on past outcomes alone, so the likelihood is that of a fixed design. A stopping rule that looks at
the width of the interval costs coverage, though, and most where few runs happen to agree. So the interval holds what a
deviance of 5.1, and 18 over the number of runs, does not reject, by simulation (`tests/support/adaptive_coverage.py`),
where 3.84 would do for a fixed number of runs.

A choice is a function of the sizes and outcomes of the runs before it, in the order in which they were chosen. The runs
of a batch are chosen without each other's outcomes: each takes one for the others that is drawn by the posterior, from
a hash of its place in that order.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from listops_bench._base.hashing import key64
from listops_bench.stats.differences import Floats
from listops_bench.stats.threshold import Kind, Outcome, Profile, Ratio, Threshold, quotient

Way = Literal["variance", "staircase"]

LOOK_LEVEL = 8.0
"""Of deviance, from which on a ratio is rejected: it is looked at three times, one of the arms with a plateau of .7."""
NO_EFFECT = 0.8
"""A ratio whose interval lies above is of no interest."""
_LEAST = 12  # runs before the interval's width may end a search
_MOST_AT_ONCE = 3  # times as many runs of one arm as of the other
_STEP = 0.03  # of log N50
_BEYOND = 0.3  # e-folds outside the sizes
_WIDTHS: Floats = np.array([0.04, 0.08, 0.15, 0.25, 0.4])  # e-folds of size in which the odds rise e-fold
_PLATEAUS: Floats = np.array([0.55, 0.65, 0.75, 0.85, 1.0])
_OF_PLATEAUS: Floats = np.array([1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 2])
_TYPICAL_WIDTH, _WIDTH_FACTOR = 0.15, 2.5
_CLIP = 0.002  # of a chance: no single run rules a curve out


@dataclass(frozen=True)
class Trial:
    """One run: the number of parameters, and whether it has learned."""

    size: int
    learned: bool


def level_after(runs: int) -> float:
    """The deviance from which on an N50 is rejected, where a search looks after every batch of its runs.

    With one level for all numbers of runs, most intervals that miss N50 are those of searches that ended within 80 runs
    of a wide rise.
    """
    return 5.1 + 18 / max(1, runs)


@dataclass(frozen=True)
class Search:
    """How sizes are chosen, and when there are runs enough.

    Attributes:
        sizes: numbers of parameters to choose from, ascending, at least two.
        costs: of a run of each; the reduction is then divided by them.
        way: ``staircase`` goes one size down after a run that learned and one up after one that did not, ``batch``
            times side by side.
        batch: runs that are chosen together.
        factor: stop where the interval's high end is less than this times its low end.
        max_runs: stop after so many.
        most_per_size: runs of one size at the most; sizes may differ by more than their runs' luck.
        seed: of what is drawn for runs that are under way.
    """

    sizes: tuple[int, ...]
    costs: tuple[float, ...] | None = None
    way: Way = "variance"
    batch: int = 2
    factor: float = 1.3
    max_runs: int = 160
    most_per_size: int | None = None
    seed: int = 0

    # --- what the runs say --------------------------------------------------------------------------------------------

    def threshold(self, trials: Sequence[Trial], level: float | None = None) -> Threshold:
        """N50 as far as some runs show it; where the interval ends at an end of the sizes, there is no limit.

        Args:
            trials: the runs.
            level: of deviance, from which on an N50 is rejected; the default is that of a search that ends where its
                interval is narrow.
        """
        learned, failed = self._counts(trials)
        values = self._log_weights(learned, failed)  # [N50, widths * plateaus]
        points, x, best = self._points, self._x, values.max(1)
        inside = (points >= x[0] - 1e-9) & (points <= x[-1] + 1e-9)
        profile = Profile.of(points[inside], best[inside], best[points < x[0]].max(), best[points > x[-1]].max())
        outcomes = tuple(
            Outcome(size, int(right), int(right + wrong))
            for size, right, wrong in zip(self.sizes, learned, failed, strict=True)
            if right + wrong
        )
        limits = profile.limits(level_after(len(trials)) if level is None else level)
        low, high = (None if limit is None else math.exp(limit) for limit in limits)
        place = int(profile.deviance.argmin())
        kind: Kind = "below" if place == 0 else "above" if place == len(profile.points) - 1 else "number"
        if low is None and high is None:
            return Threshold(outcomes, "unknown", None, None, None, None, profile)
        ends = {"below": float(self.sizes[0]), "above": float(self.sizes[-1])}
        estimate = ends.get(kind) or math.exp(profile.points[place])
        return Threshold(outcomes, kind, estimate, low, high, None, profile)

    def width(self, threshold: Threshold) -> float | None:
        """How many times the interval's low end its high end is; None where it lacks one of them."""
        low, high = threshold.low, threshold.high
        return None if low is None or high is None else high / low

    def is_over(self, trials: Sequence[Trial]) -> bool:
        """Whether the interval is narrow enough, N50 is known to lie outside the sizes, or there are no runs left."""
        if len(trials) >= self.max_runs or not self._open(trials).any():
            return True
        if len(trials) < _LEAST:
            return False
        found = self.threshold(trials)
        width, ends = self.width(found), (math.exp(self._x[-1]), math.exp(self._x[0]))
        return (found.low, found.high) in ((ends[0], None), (None, ends[1])) or (
            width is not None and width < self.factor
        )

    # --- what to run next ---------------------------------------------------------------------------------------------

    def next_batch(self, trials: Sequence[Trial]) -> list[int]:
        """The sizes of the runs to do next, the first of them chosen first; none where the search is over.

        Args:
            trials: all runs so far, in the order in which they were chosen.
        """
        return [] if self.is_over(trials) else self.choose(trials, self.max_runs - len(trials))

    def choose(self, trials: Sequence[Trial], most: int) -> list[int]:
        """The same, over or not, for so many runs at the most; none where no size may be run again."""
        wanted = min(max(self.batch, 3) if not trials else self.batch, most)
        done, chosen = list(trials), []
        for _ in range(wanted):
            place = self._place(done, len(trials), wanted)
            if place is None:
                break
            chosen.append(self.sizes[place])
            done.append(Trial(self.sizes[place], self._draw(done, place)))
        return chosen

    def reduction(self, trials: Sequence[Trial]) -> float:
        """By how much one run of the best size is expected to reduce the variance of log N50."""
        return float(self._reductions(trials).max(initial=0.0, where=self._open(trials)))

    def _place(self, done: Sequence[Trial], known: int, wanted: int) -> int | None:
        """Of the size to run next, the last of some runs being drawn."""
        able = np.flatnonzero(self._open(done))
        if not len(able):
            return None
        if not known:  # the first ones: spread evenly
            target = self._x[0] + (self._x[-1] - self._x[0]) * (len(done) + 1) / (wanted + 1)
            return int(able[np.abs(self._x[able] - target).argmin()])
        if self.way == "staircase":
            before = done[len(done) - min(self.batch, known)]
            target = self.sizes.index(before.size) + (-1 if before.learned else 1)
            return int(able[np.abs(able - target).argmin()])
        gains = self._reductions(done)[able]
        if self.costs is not None:
            gains = gains / np.array(self.costs)[able]
        return int(able[np.flatnonzero(gains >= gains.max() * (1 - 1e-9))[0]])  # machines round differently

    def _draw(self, done: Sequence[Trial], place: int) -> bool:
        """An outcome for a run that is under way."""
        chance = float(self._posterior(done).reshape(-1) @ self._chances[place])
        return key64(f"listops/adaptive/{self.seed}/{len(done)}") / 2**64 < chance

    def _reductions(self, trials: Sequence[Trial]) -> Floats:
        """Of the variance of log N50, as expected of one run of each size: [sizes]."""
        weights = self._posterior(trials)  # [N50, ...]
        mean = float(self._points @ weights.sum(1))
        x = self._points - mean
        right = self._chances @ weights.reshape(-1)
        moment = self._chances @ (x[:, None] * weights).reshape(-1)  # of those that learn; the others have the opposite
        found: Floats = moment**2 * (1 / right + 1 / (1 - right))
        return found

    def _posterior(self, trials: Sequence[Trial]) -> Floats:
        values = self._log_weights(*self._counts(trials))
        weights = np.exp(values - values.max())
        found: Floats = weights / weights.sum()
        return found

    def _open(self, trials: Sequence[Trial]) -> NDArray[np.bool_]:
        """Which sizes may be run again: [sizes]."""
        runs = Counter(trial.size for trial in trials)
        most = math.inf if self.most_per_size is None else self.most_per_size
        return np.array([runs[size] < most for size in self.sizes])

    # --- the model ----------------------------------------------------------------------------------------------------

    @cached_property
    def _x(self) -> Floats:
        return np.log(np.array(self.sizes, dtype=np.float64))

    @cached_property
    def _points(self) -> Floats:
        """Log N50: the ends of the sizes are among them."""
        x = self._x
        steps = max(2, math.ceil((x[-1] - x[0]) / _STEP))
        outside = _STEP * np.arange(1, round(_BEYOND / _STEP) + 1)
        return np.concatenate([x[0] - outside[::-1], np.linspace(x[0], x[-1], steps + 1), x[-1] + outside])

    @cached_property
    def _chances(self) -> Floats:
        """That a run learns: [sizes, N50 * widths * plateaus]."""
        from scipy.special import expit, logit

        z = (self._x[:, None, None, None] - self._points[:, None, None]) / _WIDTHS[:, None]
        found: Floats = (_PLATEAUS * expit(z + logit(0.5 / _PLATEAUS))).clip(_CLIP, 1 - _CLIP)
        return found.reshape(len(self.sizes), -1)

    @cached_property
    def _logs(self) -> tuple[Floats, Floats]:
        return np.log(self._chances), np.log1p(-self._chances)

    def _counts(self, trials: Sequence[Trial]) -> tuple[Floats, Floats]:
        """How many runs of each size learned, and how many did not."""
        found = Counter((trial.size, trial.learned) for trial in trials)
        right, wrong = (np.array([found[size, way] for size in self.sizes], dtype=np.float64) for way in (True, False))
        return right, wrong

    def _log_weights(self, learned: Floats, failed: Floats) -> Floats:
        """The log likelihood and prior weight: [N50, widths * plateaus]."""
        right, wrong = self._logs
        of_width = -0.5 * (np.log(_WIDTHS / _TYPICAL_WIDTH) / math.log(_WIDTH_FACTOR)) ** 2
        prior = (of_width[:, None] + np.log(_OF_PLATEAUS)).reshape(-1)
        found: Floats = (learned @ right + failed @ wrong).reshape(len(self._points), -1) + prior
        return found


# --- two arms ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Duel:
    """Two arms whose N50 are compared, the second with the first, at looks that were declared.

    Attributes:
        first, second: how the sizes of each are chosen.
        looks: numbers of runs, of both arms together, at which the ratio is looked at; the last ends the search.
    """

    first: Search
    second: Search
    looks: tuple[int, ...] = (32, 64, 128)

    def ratio(self, first: Sequence[Trial], second: Sequence[Trial]) -> Ratio:
        """N50 of the second over that of the first, with the interval that decides."""
        return quotient(self.second.threshold(second), self.first.threshold(first), LOOK_LEVEL)

    def verdict(self, first: Sequence[Trial], second: Sequence[Trial]) -> Literal["smaller", "no smaller", "open"]:
        """Whether the second needs fewer parameters, as a look says."""
        found = self.ratio(first, second)
        if found.high is not None and found.high < 1:
            return "smaller"
        return "no smaller" if found.low is not None and found.low > NO_EFFECT else "open"

    def next_batch(self, first: Sequence[Trial], second: Sequence[Trial]) -> tuple[int, list[int]]:
        """The arm (0 or 1) to go on with, and the sizes; none where a look has decided, the last has been, or no size
        may be run again."""
        runs = len(first) + len(second)
        to_come = [look for look in self.looks if look > runs]
        if not to_come or (runs in self.looks and self.verdict(first, second) != "open"):
            return 0, []
        arms, trials = (self.first, self.second), (first, second)
        gains = [arm.reduction(own) for arm, own in zip(arms, trials, strict=True)]
        place = int(gains[1] > gains[0]) if all(trials) else int(bool(first))
        if len(trials[place]) + 1 > _MOST_AT_ONCE * max(1, len(trials[1 - place])) and all(trials):
            place = 1 - place
        if not arms[place]._open(trials[place]).any():  # the other goes on alone to the next look
            place = 1 - place
        return place, arms[place].choose(trials[place], to_come[0] - runs)
