"""Learning thresholds: coverage on outcomes whose N50 is known, separation, censoring, plateaus, and quotients."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit

from listops_bench.stats.threshold import Outcome, Threshold, fit_threshold, plateau_gain, ratio
from tests.support.threshold_coverage import PLATEAUS, SEEDS, WIDTHS, coverage

SIZES = (1_500, 3_000, 5_500, 9_000, 15_000, 24_000, 35_000, 60_000, 90_000, 160_000)


def fit(counts: Sequence[int], seeds: int = 5, sizes: Sequence[int] = SIZES) -> Threshold:
    return fit_threshold(Outcome(size, k, seeds) for size, k in zip(sizes, counts, strict=False))


def covers(found: Threshold, truth: float) -> bool:
    return (found.low or 0) <= truth <= (found.high or math.inf)


# --- coverage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n50", "width"), [(17_000, 0.4), (11_000, 0.15)])
def test_the_interval_covers_a_known_n50_with_five_seeds_a_size(n50: float, width: float) -> None:
    """60 draws; ``width`` is the logistic's scale in e-folds of size."""
    draw = np.random.default_rng(0)
    covered = bounded = 0
    for _ in range(60):
        found = fit([int(k) for k in draw.binomial(5, expit(np.log(np.array(SIZES) / n50) / width))])
        covered += covers(found, n50)
        bounded += found.low is not None and found.high is not None
    assert covered >= 56
    assert bounded >= 58


@pytest.mark.parametrize(
    ("plateau", "width", "seeds", "quotient"), [(0.8, 0.1, 20, 1.0), (0.7, 0.3, 5, 1.0), (0.7, 0.1, 5, 0.6)]
)
def test_intervals_hold_where_the_curve_does_not_reach_one(
    plateau: float, width: float, seeds: int, quotient: float
) -> None:
    found = coverage(plateau, width, seeds, 60, quotient)
    assert found.n50 >= 0.93
    assert found.smaller <= 0.04 or (quotient < 1 and found.smaller >= 0.75)
    assert min(found.plateau, found.ratio, found.gain) >= 0.9


@pytest.mark.check_all
@pytest.mark.parametrize("quotient", [1.0, 0.6])
@pytest.mark.parametrize(("plateau", "width", "seeds"), itertools.product(PLATEAUS, WIDTHS, SEEDS))
def test_intervals_hold_at_all_settings(plateau: float, width: float, seeds: int, quotient: float) -> None:
    found = coverage(plateau, width, seeds, 500, quotient)
    assert min(found.n50, found.ratio) >= 0.93 - 0.02  # within two standard errors of 500 draws
    assert min(found.plateau, found.gain) >= 0.9
    assert quotient < 1 or found.smaller <= 0.04 + 0.02


# --- plateaus ---------------------------------------------------------------------------------------------------------


def test_a_plateau_is_told_apart_from_n50() -> None:
    """Of the runs at the largest sizes seven in ten learn: half of all do from where they first learn at all."""
    some, all_of_them = fit([0, 0, 0, 14, 14, 14, 14, 14, 14, 14], 20), fit([0, 0, 0] + [20] * 7, 20)
    assert SIZES[2] < some.estimate < SIZES[3]
    assert (some.plateau.low < 0.7 < some.plateau.high, some.plateau.high < 0.85) == (True, True)
    assert all_of_them.plateau.estimate == 1
    assert all_of_them.plateau.low > 0.95
    gain = plateau_gain(all_of_them, some)
    assert 0.1 < gain.low < gain.estimate < gain.high < 0.5
    assert some.shares([1, 1e9]) == pytest.approx([0, some.curve[2]], abs=1e-6)
    assert plateau_gain(some, fit([0] * 10)) is None


def test_half_is_never_reached_below_a_plateau_of_a_third() -> None:
    found = fit([0, 0, 0, 10, 10, 10, 10, 10, 10, 10], 30)
    assert (found.kind, found.estimate, found.high) == ("above", 160_000, None)
    assert found.plateau.high < 0.5


@pytest.mark.parametrize("counts", [(0, 900, 2000), (0, 1, 3000), (3000, 0, 3000)])
def test_thousands_of_runs_have_an_interval(counts: tuple[int, ...]) -> None:
    found = fit(counts, max(counts), (1000, 2000, 4000))
    itself = ratio(found, found)
    if found.kind == "number":
        assert 0.8 * found.estimate < found.low < found.estimate < found.high < 1.2 * found.estimate
        assert 0.7 < itself.low < 1 < itself.high < 1.4


def test_sizes_that_scatter_are_told() -> None:
    assert fit([0, 20, 0, 20, 0, 20, 0, 20, 0, 20], 20).scatter < 0.01
    assert fit([0, 0, 0, 1, 2, 4, 5, 5, 5, 5]).scatter > 0.3


# --- separation and censoring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "seeds"), [*((p, 5) for p in range(1, 10)), *((p, 3) for p in range(2, 9))])
def test_fully_separated_runs_give_a_bounded_interval(place: int, seeds: int) -> None:
    found = fit([0] * place + [seeds] * (10 - place), seeds)
    assert found.kind == "number"
    fails, learns = SIZES[place - 1], SIZES[place]
    assert fails < found.estimate < learns
    assert fails / 3 < found.low < found.estimate < found.high < learns * 3


def test_three_failures_at_the_smallest_size_alone_set_no_lower_limit() -> None:
    found = fit([0] + [3] * 9, seeds=3)
    assert (found.kind, found.low) == ("number", None)


@pytest.mark.parametrize(
    ("counts", "kind", "bound", "limit"),
    [
        ([0] * 10, "above", 160_000, "high"),
        ([0] * 9 + [1], "above", 160_000, "high"),  # not extrapolated beyond the sizes
        ([5] * 10, "below", 1_500, "low"),
        ([4] + [5] * 9, "below", 1_500, "low"),
    ],
)
def test_beyond_the_sizes_n50_is_a_bound(counts: list[int], kind: str, bound: int, limit: str) -> None:
    found = fit(counts)
    assert (found.kind, found.estimate, getattr(found, limit)) == (kind, bound, None)


def test_with_one_seed_a_size_a_bound_is_weaker_than_the_largest_size() -> None:
    found = fit([0] * 10, seeds=1)
    assert found.estimate == 160_000
    assert found.low < 150_000


def test_what_does_not_rise_with_size_is_not_determined() -> None:
    found = fit([5, 5, 4, 4, 3, 2, 1, 1, 0, 0])
    assert (found.kind, found.estimate, found.low, found.high) == ("unknown", None, None, None)
    assert fit_threshold([]).kind == "unknown"


def test_one_size_is_no_ladder() -> None:
    assert fit([0], sizes=[9_000]) == Threshold((Outcome(9_000, 0, 5),), "above", 9_000, None, None)
    assert fit([5], sizes=[9_000]).kind == "below"
    assert fit([2], sizes=[9_000]).kind == "unknown"


@given(st.lists(st.integers(0, 4), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_neither_order_nor_splitting_of_the_runs_matters(counts: list[int], shuffle: object) -> None:
    together = [Outcome(size, k, 4) for size, k in zip(SIZES, counts, strict=False)]
    apart = [Outcome(o.parameters, int(i < o.learned), 1) for o in together for i in range(4)]
    shuffle.shuffle(apart)  # type: ignore[attr-defined]
    found = fit_threshold(together)
    assert found == fit_threshold(apart)
    if found.kind == "number":
        assert together[0].parameters <= found.estimate <= together[-1].parameters
        assert (found.low or 0) <= found.estimate * 1.001
        assert found.estimate <= (found.high or math.inf) * 1.001


# --- quotients --------------------------------------------------------------------------------------------------------


def test_quotients() -> None:
    small, large, never = fit([0] * 2 + [5] * 8), fit([0] * 6 + [5] * 4), fit([0] * 10)
    found = ratio(small, large)
    assert found.kind == "number"
    assert found.low < (found.estimate or 0) < found.high < 0.25
    turned = ratio(large, small)
    assert turned.estimate == pytest.approx(1 / (found.estimate or 1))
    assert turned.high == pytest.approx(1 / found.low, rel=0.01)
    itself = ratio(small, small)
    assert itself.estimate == 1
    bound = ratio(small, never)
    assert (bound.kind, bound.low) == ("below", None)
    assert bound.estimate == pytest.approx((small.estimate or 0) / 160_000)
    assert bound.estimate < bound.high < 0.1
    assert ratio(never, small).kind == "above"
    assert ratio(never, small).high is None
    assert ratio(never, never).kind == "unknown"
    assert ratio(fit([5] * 10), never).kind == "below"
    assert ratio(fit([2], sizes=[9_000]), small).kind == "unknown"
