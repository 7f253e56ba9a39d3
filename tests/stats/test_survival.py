"""Time to learn."""

import pytest
from hypothesis import given, strategies as st
from scipy.stats import ecdf

from listops_bench.stats.survival import survival


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
