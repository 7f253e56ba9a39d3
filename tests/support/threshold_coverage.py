"""How often intervals of thresholds hold the truth they were drawn from: `python -m tests.support.threshold_coverage`.

Runs are drawn on six sizes from curves with a plateau, and estimated by the product's own code. A run of the script
takes minutes; it prints a line for each plateau, slope and number of seeds.
"""

import itertools
import math
import sys
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from listops_bench.stats.threshold import Outcome, Threshold, fit_threshold, plateau_gain, ratio

SIZES = (10_776, 14_432, 21_264, 25_640, 35_376, 59_456)
N50 = 22_000
PLATEAUS, WIDTHS, SEEDS = (1.0, 0.8, 0.7), (0.1, 0.3), (5, 20)


@dataclass(frozen=True)
class Coverage:
    """Shares of draws. The second arm has the plateau; the first reaches 1, at a threshold ``quotient`` times as large.

    Attributes:
        n50, plateau: that the second arm's interval holds the truth.
        ratio, gain: that the interval of the quotient, or of the difference of the plateaus, holds the truth.
        smaller: that the interval of the quotient says that the first needs fewer parameters.
    """

    n50: float
    plateau: float
    ratio: float
    gain: float
    smaller: float


def shares(n50: float, plateau: float, width: float) -> np.ndarray:
    """Of runs that learn, by size: one half at ``n50``; ``width`` is the logistic's scale in e-folds of size."""
    half = 0.5 / plateau
    return plateau * expit((np.log(np.array(SIZES) / n50)) / width + (math.log(half / (1 - half)) if half < 1 else 0))


def coverage(plateau: float, width: float, seeds: int, draws: int, quotient: float = 1.0) -> Coverage:
    draw = np.random.default_rng(0)

    def drawn(n50: float, plateau: float) -> Threshold:
        counts = draw.binomial(seeds, shares(n50, plateau, width))
        return fit_threshold(Outcome(size, int(k), seeds) for size, k in zip(SIZES, counts, strict=True))

    held = []
    for _ in range(draws):
        first, second = drawn(N50 * quotient, 1.0), drawn(N50, plateau)
        of, gain, top = ratio(first, second), plateau_gain(first, second), second.plateau
        held.append(
            (
                _holds(second.low, N50, second.high),
                top.low <= plateau <= top.high,
                _holds(of.low, quotient, of.high),
                gain is None or gain.low <= 1 - plateau <= gain.high,
                of.high is not None and of.high < 1,
            )
        )
    return Coverage(*np.mean(held, axis=0))


def _holds(low: float | None, truth: float, high: float | None) -> bool:
    return (low or 0.0) <= truth <= (math.inf if high is None else high)


if __name__ == "__main__":
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("quotient plateau width seeds      n50  plateau    ratio     gain  smaller")
    for quotient, plateau, width, seeds in itertools.product((1.0, 0.6), PLATEAUS, WIDTHS, SEEDS):
        found = coverage(plateau, width, seeds, draws, quotient)
        numbers = "".join(f"{value:9.3f}" for value in vars(found).values())
        print(f"{quotient:8} {plateau:7} {width:5} {seeds:5}{numbers}", flush=True)
