"""Paired shares: published figures, and what must hold for any counts."""

import pytest
from hypothesis import given, strategies as st

from listops_bench.stats.paired import paired


def test_a_published_example() -> None:
    """Fagerland, Lydersen and Laake, Statistics in Medicine 33, 2014: 21 children before and after a transplant."""
    found = paired(1, 1, 7, 12)
    assert (found.n, found.difference.estimate) == (21, pytest.approx(-0.286, abs=5e-4))
    assert (found.difference.low, found.difference.high) == (
        pytest.approx(-0.507, abs=5e-4),
        pytest.approx(-0.026, abs=5e-4),
    )
    assert found.p == pytest.approx(0.0703, abs=5e-5)


counts = st.integers(0, 3000)


@given(counts, counts, counts, counts)
def test_the_second_minus_the_first_is_the_same_with_other_signs(
    both: int, first: int, second: int, neither: int
) -> None:
    if not both + first + second + neither:
        with pytest.raises(ValueError, match="no counts"):
            paired(both, first, second, neither)
        return
    one, other = paired(both, first, second, neither), paired(both, second, first, neither)
    assert one.difference.estimate == pytest.approx(-other.difference.estimate)
    assert (one.difference.low, one.difference.high) == pytest.approx((-other.difference.high, -other.difference.low))
    assert -1 <= one.difference.low <= one.difference.estimate <= one.difference.high <= 1
    assert one.p == other.p
    assert first != second or one.p == 1


def test_the_less_alike_the_answers_the_wider_the_interval() -> None:
    widths = [(d := paired(50 - k, 10 + k, k, 40 - k).difference).high - d.low for k in (0, 10, 30)]
    assert widths == sorted(widths)
