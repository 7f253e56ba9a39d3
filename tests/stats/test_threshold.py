"""Learning thresholds: coverage on outcomes whose N50 is known, separation, censoring, quotients, and survival."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit
from scipy.stats import ecdf

from listops_bench.stats.threshold import Outcome, Threshold, fit_threshold, ratio, survival

SIZES = (1_500, 3_000, 5_500, 9_000, 15_000, 24_000, 35_000, 60_000, 90_000, 160_000)


def fit(counts: Sequence[int], seeds: int = 5, sizes: Sequence[int] = SIZES) -> Threshold:
    return fit_threshold(Outcome(size, k, seeds) for size, k in zip(sizes, counts, strict=False))


def covers(found: Threshold, truth: float) -> bool:
    return (found.low or 0) <= truth <= (found.high or math.inf)


# --- coverage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n50", "width"), [(17_000, 0.4), (11_000, 0.15)])
def test_the_interval_covers_a_known_n50_with_five_seeds_a_size(n50: float, width: float) -> None:
    """Two-humped accuracies, 200 draws; ``width`` is the logistic's scale in e-folds of size."""
    draw = np.random.default_rng(0)
    covered = bounded = 0
    for _ in range(200):
        lucky = draw.random((len(SIZES), 5)) < expit(np.log(np.array(SIZES) / n50) / width)[:, None]
        accuracy = np.where(lucky, draw.uniform(0.95, 1, lucky.shape), draw.uniform(0, 0.6, lucky.shape))
        found = fit([int(k) for k in (accuracy >= 0.95).sum(1)])
        covered += covers(found, n50)
        bounded += found.low is not None and found.high is not None
    assert covered >= 185  # 180 are asked for
    assert bounded >= 195


def test_the_quotients_interval_covers_a_known_quotient() -> None:
    draw = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        shares = [expit(np.log(np.array(SIZES) / n50) / 0.3) for n50 in (9_000, 31_500)]
        found = ratio(*(fit([int(draw.binomial(5, share)) for share in of]) for of in shares))
        covered += (found.low or 0) <= 9 / 31.5 <= (found.high or math.inf)
    assert covered >= 54


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


def test_learning_against_size_upside_down_is_the_mirror_image() -> None:
    """Turning sizes round and learned into not learned mirrors N50 and its interval."""
    counts = [0, 0, 1, 3, 4, 5, 5]
    sizes = [round(1000 * 2**k) for k in range(7)]
    found, mirrored = fit(counts, sizes=sizes), fit([5 - k for k in counts[::-1]], sizes=sizes)
    product = 1000 * 64_000
    assert mirrored.estimate == pytest.approx(product / found.estimate, rel=1e-3)
    assert mirrored.high == pytest.approx(product / found.low, rel=1e-3)


# --- quotients --------------------------------------------------------------------------------------------------------


def test_quotients() -> None:
    small, large, never = fit([0] * 2 + [5] * 8), fit([0] * 6 + [5] * 4), fit([0] * 10)
    found = ratio(small, large)
    assert found.kind == "number"
    assert found.low < (found.estimate or 0) < found.high < 0.2
    turned = ratio(large, small)
    assert turned.estimate == pytest.approx(1 / (found.estimate or 1))
    assert turned.high == pytest.approx(1 / found.low)
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


# --- time -------------------------------------------------------------------------------------------------------------


def test_kaplan_and_meier_by_hand() -> None:
    """Two of four learn at 900 and 1400; one was stopped at 1000: 1, 3/4, then 3/4 of 1/2."""
    found = survival([900, 1400], [1000, 3000])
    assert found.steps == (900, 1400)
    assert found.share == (0.75, 0.375)
    assert (found.median, found.learned, found.runs) == (1400, 2, 4)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_without_censoring_it_is_the_empirical_distribution(steps: list[int]) -> None:
    found = survival(steps, [])
    curve = ecdf(steps).sf
    assert found.steps == tuple(curve.quantiles)
    assert found.share == pytest.approx(list(curve.probabilities), abs=1e-6)
    assert sum(step > found.median for step in steps) * 2 <= len(steps)


def test_a_median_that_was_not_reached_is_none() -> None:
    found = survival([900], [3000, 3000])
    assert (found.median, found.median_high) == (None, None)
    assert survival([], [3000]).steps == ()
