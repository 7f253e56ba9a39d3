"""Differences of shares and means, and ratios of thresholds: honest intervals from few runs."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from listops_bench.stats.common_ratio import common_ratio
from listops_bench.stats.differences import difference, is_more
from listops_bench.stats.intervals import mean_difference, mean_interval
from listops_bench.stats.threshold import Outcome, Threshold, fit_threshold, ratio


@pytest.mark.parametrize(("runs", "others"), [(3, 3), (5, 3)])
def test_a_difference_of_shares_is_covered_whatever_the_true_shares(runs: int, others: int) -> None:
    shares = np.linspace(0, 1, 25)
    gaps = shares[:, None] - shares[None, :]
    covered = np.zeros_like(gaps)
    for i, j in itertools.product(range(runs + 1), range(others + 1)):
        found = difference(i, runs, j, others)
        chances = np.outer(binom.pmf(i, runs, shares), binom.pmf(j, others, shares))
        covered += np.where((found.low - 1e-6 <= gaps) & (gaps <= found.high + 1e-6), chances, 0)
    assert covered.min() >= 0.95


def test_what_few_runs_tell_apart() -> None:
    assert difference(3, 3, 0, 3).low > 0 > difference(2, 3, 0, 3).low
    assert difference(5, 5, 0, 3).low > 0.2
    assert (is_more(3, 3, 0, 3), is_more(2, 3, 0, 3), is_more(0, 3, 2, 3)) == (True, False, False)
    one, turned = difference(4, 5, 1, 3), difference(1, 3, 4, 5)
    assert (turned.low, turned.high) == pytest.approx((-one.high, -one.low), abs=1e-4)
    assert difference(4, 5, 1, 3, 0.99).low < one.low <= one.estimate <= one.high
    with pytest.raises(ValueError, match="no shares"):
        difference(4, 3, 0, 1)


def test_no_difference_below_the_interval_is_accepted() -> None:
    """Of this table the test accepts -0.118 and rejects -0.06, which is nearer to the estimate."""
    assert difference(4, 11, 0, 7).low == pytest.approx(-0.1187, abs=1e-4)


def test_means_of_one_run_or_of_equal_runs_have_no_interval() -> None:
    assert mean_difference([0.5], [0.1, 0.2]) is None
    assert mean_difference([0.5, 0.5], [0.1, 0.1]) is None
    assert mean_interval([0.5]) is None
    found = mean_difference([0.9, 0.8, 0.7], [0.1, 0.2, 0.4])
    assert 0 < found.low < found.estimate < found.high


SIZES = (10_728, 17_376, 35_376)


def fit(counts: Sequence[int]) -> Threshold:
    return fit_threshold(Outcome(size, k, 3) for size, k in zip(SIZES, counts, strict=True))


def test_the_ratio_of_two_thresholds_is_covered_on_three_sizes() -> None:
    """Every outcome of three seeds on three sizes, weighted by its chance, for ladders of many kinds."""
    outcomes = list(itertools.product(range(4), repeat=3))
    fits = {o: fit(o) for o in outcomes}
    limits = {}
    for a, b in itertools.combinations_with_replacement(outcomes, 2):
        found = ratio(fits[a], fits[b])
        low, high = found.low or 0.0, found.high or np.inf
        limits[a, b], limits[b, a] = (low, high), (1 / high, 1 / low if low else np.inf)

    def chances(n50: float, width: float) -> dict[tuple[int, ...], float]:
        shares = expit(np.log(np.array(SIZES) / n50) / width)
        return {o: float(np.prod(binom.pmf(o, 3, shares))) for o in outcomes}

    for n50, width, quotient in itertools.product((12_000, 20_000, 40_000), (0.15, 0.5), (1.0, 0.4)):
        first, second = chances(n50 * quotient, width), chances(n50, width)
        covered = sum(first[a] * second[b] for (a, b), (low, high) in limits.items() if low <= quotient <= high)
        assert covered >= 0.95, (n50, width, quotient)


def test_the_common_ratio_of_several_budgets_is_covered() -> None:
    """Ladders of three seeds on three sizes within two budgets, that differ in how far they get."""
    draw = np.random.default_rng(0)
    fits = {o: fit(o) for o in itertools.product(range(4), repeat=3)}

    def drawn(n50: float) -> Threshold:
        counts = draw.binomial(3, expit(np.log(np.array(SIZES) / n50) / 0.3))
        return fits[tuple(int(k) for k in counts)]

    for quotient in (1.0, 0.4):
        covered = 0
        for _ in range(200):
            found = common_ratio([(drawn(n50 * quotient), drawn(n50)) for n50 in (14_000, 30_000)])
            covered += (found.low or 0.0) <= quotient <= (found.high or np.inf)
        assert covered >= 190


def test_a_common_ratio_is_the_ratio_of_one_pair_and_sharper_with_more() -> None:
    first, second = fit((0, 3, 3)), fit((0, 0, 3))
    one, two = ratio(first, second), common_ratio([(first, second)])
    assert (two.kind, two.low) == (one.kind, one.low)
    assert (two.estimate, two.high) == pytest.approx((one.estimate, one.high), rel=0.03)
    more = common_ratio([(first, second)] * 3)
    assert more.high < two.high
    assert common_ratio([(fit((3, 3, 3)), fit((0, 0, 0)))]).kind == "below"
    assert common_ratio([(fit((0, 0, 0)), fit((3, 3, 3)))]).kind == "above"
    assert common_ratio([(fit((0, 0, 0)), fit((0, 0, 0)))]).kind == "unknown"
    assert common_ratio([]).kind == "unknown"


def test_a_wider_confidence_gives_a_wider_ratio() -> None:
    pair = [fit_threshold(Outcome(s, k, 20) for s, k in zip(SIZES, o, strict=True)) for o in ((8, 20, 20), (0, 4, 16))]
    found, wide = ratio(*pair), ratio(*pair, confidence=0.99)
    assert found.estimate == wide.estimate
    assert wide.low is None or (found.low is not None and wide.low < found.low)
    assert wide.high is None or (found.high is not None and found.high < wide.high)
