"""Runs that an adaptive search takes, and how often its interval holds: `python -m tests.support.adaptive_coverage`.

Runs are drawn from curves with a plateau, and sizes chosen by the product's own code, until the interval's ends differ
by a factor of 1.3. A line for each plateau and width of the rise, and then one for each pair of arms; minutes in all.
``400 100000`` draws 400 searches a line, from seed 100,000 on.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from listops_bench.stats.adaptive import Duel, Search, Trial
from listops_bench.stats.threshold import Threshold

SIZES = tuple(12 * width**2 + 161 * width for width in range(8, 81, 4))
GRID = tuple(12 * width**2 + 161 * width for width in (24, 32, 36, 40, 48, 64))
SETTINGS = (
    *((1.0, width) for width in (0.05, 0.1, 0.2, 0.3)),
    *((0.8, width) for width in (0.05, 0.1, 0.2)),
    (0.7, 0.1),
)
DUELS = ((0.78, 0.7, 0.1), (0.57, 0.8, 0.1), (1.0, 0.7, 0.1), (1.0, 1.0, 0.1), (1.0, 1.0, 0.3))
"""N50 of the second arm over that of the first; the plateau of the first, that of the second being 1; the width."""


@dataclass(frozen=True)
class Found:
    """Of many searches: median and ninth decile of their runs, and the shares whose interval held, and got narrow."""

    runs: float
    most: float
    held: float
    narrow: float


@dataclass(frozen=True)
class Decided:
    """Of many pairs of arms: the median of their runs, and the shares that ended with each verdict."""

    runs: float
    smaller: float
    no_smaller: float


class Runs:
    """Draws runs of a curve, ``width`` being the logistic's scale in e-folds of size."""

    def __init__(self, draw: np.random.Generator, n50: float, plateau: float, width: float) -> None:
        self.draw, self.n50, self.plateau, self.width = draw, n50, plateau, width

    def __call__(self, sizes: Sequence[int]) -> list[Trial]:
        half = 0.5 / self.plateau
        shift = math.log(half / (1 - half)) if half < 1 else 0.0
        z = np.log(np.array(sizes) / self.n50) / self.width + shift
        learned = self.draw.random(len(sizes)) < self.plateau / (1 + np.exp(-z))
        return [Trial(size, bool(one)) for size, one in zip(sizes, learned, strict=True)]


def searched(plateau: float, width: float, times: int, first: int = 0, **options: Any) -> Found:
    draw, found = np.random.default_rng(first), []
    for seed in range(first, first + times):
        search, trials = Search(SIZES, seed=seed, **options), list[Trial]()
        runs = Runs(draw, math.exp(draw.uniform(math.log(14_000), math.log(34_000))), plateau, width)
        while chosen := search.next_batch(trials):
            trials += runs(chosen)
        end = search.threshold(trials)
        held = (end.low or 0) <= runs.n50 <= (end.high or math.inf)
        found.append((len(trials), held, (search.width(end) or math.inf) < search.factor))
    runs_taken, held_all, narrow = np.array(found).T
    return Found(float(np.median(runs_taken)), float(np.quantile(runs_taken, 0.9)), held_all.mean(), narrow.mean())


def gridded(plateau: float, width: float, times: int) -> Found:
    """The same for one more run of each size of a grid after another, up to 360."""
    draw, found, search = np.random.default_rng(0), [], Search(GRID)
    for _ in range(times):
        runs = Runs(draw, math.exp(draw.uniform(math.log(14_000), math.log(34_000))), plateau, width)
        trials, end = runs(GRID), Threshold((), "unknown", None, None, None)
        while len(trials) < 360 and (search.width(end) or math.inf) >= search.factor:
            trials += runs(GRID)
            end = search.threshold(trials)
        held = (end.low or 0) <= runs.n50 <= (end.high or math.inf)
        found.append((len(trials), held, (search.width(end) or math.inf) < search.factor))
    runs_taken, held_all, narrow = np.array(found).T
    return Found(float(np.median(runs_taken)), float(np.quantile(runs_taken, 0.9)), held_all.mean(), narrow.mean())


def compared(ratio: float, plateau: float, width: float, pairs: Iterable[int]) -> Decided:
    """Pairs of arms by their numbers, each drawn by itself."""
    found = []
    for seed in pairs:
        draw = np.random.default_rng(seed)
        duel = Duel(Search(SIZES, seed=2 * seed), Search(SIZES, seed=2 * seed + 1))
        n50 = math.exp(draw.uniform(math.log(18_000), math.log(34_000)))
        arms, trials = (Runs(draw, n50, plateau, width), Runs(draw, n50 * ratio, 1.0, width)), ([], [])
        while (step := duel.next_batch(*trials))[1]:
            trials[step[0]].extend(arms[step[0]](step[1]))
        found.append((sum(map(len, trials)), *(duel.verdict(*trials) == word for word in ("smaller", "no smaller"))))
    runs_taken, smaller, no_smaller = np.array(found).T
    return Decided(float(np.median(runs_taken)), smaller.mean(), no_smaller.mean())


def show(*numbers: float | str) -> None:
    print("".join(f"{n:>10}" if isinstance(n, str) else f"{n:10.3g}" for n in numbers), flush=True)


if __name__ == "__main__":
    times, first = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 600), (2, 0)))
    show("choose", "plateau", "width", "runs", "(90%)", "held", "narrow")
    for way in ("variance", "staircase"):
        for setting in SETTINGS:
            show(way, *setting, *vars(searched(*setting, times, first, way=way)).values())
    for setting in SETTINGS:
        show("grid", *setting, *vars(gridded(*setting, times)).values())
    show("ratio", "plateau", "width", "runs", "smaller", "no less")
    for pair in DUELS:
        show(*pair, *vars(compared(*pair, range(times // 2))).values())
