"""Rows of one canonical form are answered alike: intervals that take them as one cluster hold what they should."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from listops_bench.score.completion import METRICS, ByForm, Limits, Score, summarise
from listops_bench.stats.intervals import interval_by_cluster, wilson_interval


def row(right: bool, answer: bool = False, steps: tuple[int, int] = (1, 2)) -> Score:
    return Score(right or answer, right, steps[1], steps[0], None if right else 1)


rows = st.lists(
    st.builds(row, st.booleans(), st.booleans(), st.tuples(st.integers(0, 2), st.integers(2, 4))),
    min_size=2,
    max_size=40,
)


@given(rows)
def test_where_each_row_has_a_form_of_its_own_the_intervals_are_wilsons(scores: list[Score]) -> None:
    found, plain = ByForm.of(scores, range(len(scores))), summarise(scores)
    assert found.forms == len(scores)
    for name in ("answer_accuracy", "trace_accuracy"):
        assert getattr(found, name) == Limits(getattr(plain, name).low, getattr(plain, name).high)


@given(rows, st.data())
def test_no_interval_is_narrower_than_that_of_independent_rows_whatever_the_order(
    scores: list[Score], data: st.DataObject
) -> None:
    forms = data.draw(st.lists(st.integers(0, 5), min_size=len(scores), max_size=len(scores)))
    found, plain = ByForm.of(scores, forms), summarise(scores)
    for name in METRICS:
        assert getattr(found, name).low <= getattr(plain, name).low
        assert getattr(found, name).high >= getattr(plain, name).high
    order = data.draw(st.permutations(range(len(scores))))
    assert ByForm.of([scores[i] for i in order], [forms[i] for i in order]) == found


def test_rows_that_all_stand_twice_say_as_much_as_half_of_them() -> None:
    scores = [row(i < 900) for i in range(1000)]
    twice = ByForm.of(scores * 2, [*range(1000)] * 2).trace_accuracy
    once = summarise(scores).trace_accuracy
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high), abs=3e-4)


@pytest.mark.parametrize(("accuracy", "alike"), [(0.9, 0.5), (0.95, 0.3), (0.6, 0.8), (0.9, 0.0)])
def test_the_interval_covers_where_rows_of_a_form_are_alike(accuracy: float, alike: float) -> None:
    """400 draws of 1,200 rows, 3.5 of a form as in the test rows of SUM; ``alike`` is the correlation within a form."""
    draw = np.random.default_rng(0)
    sizes, held, plainly = draw.integers(1, 7, 350), 0, 0
    for _ in range(400):
        spread = 1 / alike - 1 if alike else 1e9
        right = draw.binomial(sizes, draw.beta(accuracy * spread, (1 - accuracy) * spread, len(sizes)))
        low, high = interval_by_cluster(list(zip(right.tolist(), sizes.tolist(), strict=True)))
        held += low <= accuracy <= high
        low, high = wilson_interval(int(right.sum()), int(sizes.sum()))
        plainly += low <= accuracy <= high
    assert held / 400 >= 0.93
    assert plainly / 400 <= 0.87 or not alike
