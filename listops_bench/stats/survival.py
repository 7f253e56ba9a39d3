"""How long learning takes: the share of runs that have not learned yet, over steps.

survival([900, 1400], [3000])   two runs that learned, and one that had not when its training ended
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np


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
    return _survival(tuple(sorted(learned_at)), tuple(sorted(censored_at)))


@cache
def _survival(learned_at: tuple[int, ...], censored_at: tuple[int, ...]) -> Survival:
    runs = len(learned_at) + len(censored_at)
    if not learned_at:
        return Survival((), (), (), (), None, None, None, 0, runs)
    from scipy.stats import CensoredData, ecdf

    curve = ecdf(CensoredData(uncensored=learned_at, right=censored_at)).sf
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
