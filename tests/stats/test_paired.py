"""Paired shares: published figures, and what must hold for any counts."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, strategies as st

from listops_bench.stats.paired import paired, paired_by_cluster


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


# --- rows in clusters -------------------------------------------------------------------------------------------------

few = st.integers(0, 30)


@given(few, few, few, few, st.randoms(use_true_random=False))
def test_clusters_of_one_row_are_rows(both: int, first: int, second: int, neither: int, shuffle: object) -> None:
    rows = [(1, 0, 0, 0)] * both + [(0, 1, 0, 0)] * first + [(0, 0, 1, 0)] * second + [(0, 0, 0, 1)] * neither
    if not rows:
        return
    shuffle.shuffle(rows)  # type: ignore[attr-defined]
    assert paired_by_cluster(rows) == paired(both, first, second, neither)


clusters = st.lists(st.tuples(*[st.integers(0, 4)] * 4), min_size=1, max_size=8).filter(lambda c: sum(map(sum, c)) > 0)


@given(clusters)
def test_the_coin_is_thrown_once_for_each_cluster(tables: list[tuple[int, int, int, int]]) -> None:
    more = [first - second for _, first, second, _ in tables]
    thrown = [abs(sum(map(math.prod, zip(more, signs, strict=True)))) for signs in product((1, -1), repeat=len(more))]
    found = paired_by_cluster(tables)
    if max(map(sum, tables)) > 1:
        assert found.p == pytest.approx(sum(one >= abs(sum(more)) for one in thrown) / len(thrown))
    assert (found.both, found.first, found.second, found.neither) == tuple(map(sum, zip(*tables, strict=True)))
    assert -1 <= found.difference.low <= found.difference.estimate <= found.difference.high <= 1


def test_two_models_are_told_apart_as_seldom_as_they_should_be() -> None:
    """300 pairs on 250 forms of 1 to 6 rows, the first 4 points better or not; a form is known, nine in ten, or not."""
    draw = np.random.default_rng(0)
    sizes = draw.integers(1, 7, 250)
    held, wrong, plainly = 0, 0, 0
    for k in range(300):
        gap, hard = 0.04 * (k % 2), draw.random(250)  # what is hard for the one is half the time for the other
        knows = (np.where(draw.random(250) < 0.5, hard, draw.random(250)) < share for share in (0.8 + gap, 0.8))
        one, two = (known * 0.9 + 0.1 * share for known, share in zip(knows, (0.8 + gap, 0.8), strict=True))
        chances = np.stack([one * two, one * (1 - two), (1 - one) * two, (1 - one) * (1 - two)], 1)
        tables = draw.multinomial(sizes, chances)
        found = paired_by_cluster(list(map(tuple, tables.tolist())))
        held += found.difference.low <= gap <= found.difference.high
        if not gap:
            wrong += found.p < 0.05
            plainly += paired(*tables.sum(0).tolist()).p < 0.05
    assert held / 300 >= 0.93
    assert wrong / 150 <= 0.08
    assert plainly / 150 >= 0.2
