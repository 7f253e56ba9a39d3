"""The score at the held-out step, and intervals for observations that come in clusters."""

import random

import pytest
from hypothesis import given, strategies as st
from scipy import stats

from listops_bench.score.held_out import held_out_steps
from listops_bench.stats.intervals import _t_series, clustered_interval, wilson_interval
from listops_bench.tasks.expression import completion_text, parse
from listops_bench.tasks.generator import generate
from listops_bench.tasks.split import held_out_multisets, held_out_operations
from listops_bench.tasks.task import get_task

HELD_OUT = held_out_multisets(10)
A, B, C = next(values for values in HELD_OUT if len(set(values)) == 3)
TOTAL = (A + B + C) % 10
PROMPT = f"[SUM {A} [MAX {B} 0 ] {C} ] ="  # SUM meets a held-out multiset; MAX has two operands, which none is
LINE = f" [SUM {A} {B} {C} ]"


@pytest.mark.parametrize(
    ("completion", "reached", "right"),
    [
        (f"{LINE} = {TOTAL}", 1, 1),
        (f"{LINE} = {TOTAL} = {TOTAL}", 1, 1),  # what comes after the step does not count
        (f"{LINE} = {(TOTAL + 1) % 10}", 1, 0),
        (f"{LINE} = 0{TOTAL}", 1, 0),
        (f"{LINE} = ]", 1, 0),
        (LINE, 1, 0),  # stops before it
        (f"{LINE} ={LINE} = {TOTAL}", 1, 1),  # says the line twice
        (f" [SUM {A} {(B + 1) % 10} {C} ] = {(TOTAL + 1) % 10}", 0, 0),  # other operands
        (f" [SUM {A} {C} {B} ] = {TOTAL}", 0, 0),
        (f" {TOTAL}", 0, 0),  # never wrote the step
        (f" ] = {TOTAL}", 0, 0),
        ("", 0, 0),
    ],
)
def test_the_step_counts_where_it_is_reached(completion: str, reached: int, right: int) -> None:
    found = held_out_steps([PROMPT], [completion])["sum"]
    assert (found.steps, found.n, found.correct, found.multisets) == (1, reached, right, reached)


def test_a_step_may_wait_for_others_and_be_in_any_place() -> None:
    prompt = f"[MAX [SUM {A} {B} {C} ] [MIN 1 2 ] ] ="
    late = f" [MAX [SUM {A} {B} {C} ] 1 ] = [MAX {TOTAL} 1 ] = {max(TOTAL, 1)}"
    at_once = f" [MAX {TOTAL} 1 ] = {max(TOTAL, 1)}"
    wrong = f" [MAX {(TOTAL + 1) % 10} 1 ] = 5"
    found = held_out_steps([prompt] * 3, [late, at_once, wrong])
    assert (found["sum"].n, found["sum"].correct, found["sum"].multisets) == (3, 2, 1)


@pytest.mark.parametrize("style", ["parallel", "single"])
def test_of_right_traces_every_step_is_reached_and_right(style: str) -> None:
    rows = generate(get_task("sum_max_med"), "test_unseen_operands", num_rows=200)
    references = [completion_text(parse(prompt), 10, style) for prompt in rows.prompts()]  # type: ignore[arg-type]
    found = held_out_steps(rows.prompts(), references)
    unseen = [name for prompt in rows.prompts() for name in held_out_operations(parse(prompt))]
    assert {name: steps.steps for name, steps in found.items()} == {name: unseen.count(name) for name in set(unseen)}
    for steps in found.values():
        assert steps.steps == steps.n == steps.correct
        assert 1 < steps.multisets <= len(HELD_OUT)
        assert steps.low < steps.accuracy == steps.high == 1
    # Rows of the other splits have no such step.
    test = generate(get_task("sum_max_med"), "test", num_rows=50)
    assert held_out_steps(test.prompts(), test.completions()) == {}


def test_where_triples_are_held_out_a_step_is_one_on_a_triple() -> None:
    rows = generate(get_task("sum_max_med_nrgpt"), "test_unseen_operands", num_rows=200)
    found = held_out_steps(rows.prompts(), rows.completions(), hold_out="triples")
    assert sum(steps.steps for steps in found.values()) == rows.unseen.sum()
    assert all(steps.steps == steps.correct and 1 < steps.multisets <= 49 for steps in found.values())


# --- intervals --------------------------------------------------------------------------------------------------------

clusters = st.lists(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=25)


@given(clusters)
def test_the_interval_holds_the_proportion_and_is_never_narrower_than_wilsons(found: list[tuple[int, int]]) -> None:
    low, high = clustered_interval(found)
    correct, n = sum(c for c, _ in found), sum(n for _, n in found)
    assert 0 <= low <= high <= 1
    if n:
        assert low - 1e-12 <= correct / n <= high + 1e-12
    plain = wilson_interval(correct, n)
    assert high - low >= plain[1] - plain[0] - 1e-12


def test_clusters_that_agree_with_themselves_count_as_one_observation_each() -> None:
    low, high = clustered_interval([(50, 50)] * 10 + [(0, 50)] * 10)
    wide, narrow = wilson_interval(10, 20), wilson_interval(500, 1000)
    assert high - low == pytest.approx(wide[1] - wide[0], rel=0.1)
    assert high - low > 5 * (narrow[1] - narrow[0])
    assert clustered_interval([(30, 30)]) == wilson_interval(1, 1)
    assert clustered_interval([(0, 30)]) == wilson_interval(0, 1)
    assert clustered_interval([(10, 30)]) == clustered_interval([]) == (0, 1)


@pytest.mark.parametrize("mean", [0.5, 0.9])
def test_it_covers_the_truth_where_rows_of_a_multiset_go_together(mean: float) -> None:
    """22 multisets of 30 rows; whether the model knows one varies (beta, intra-class correlation a half)."""
    draw, covered, naive = random.Random(0), 0, 0
    for _ in range(400):
        shares = [draw.betavariate(mean, 1 - mean) for _ in range(22)]
        found = [(sum(draw.random() < share for _ in range(30)), 30) for share in shares]
        low, high = clustered_interval(found)
        covered += low <= mean <= high
        low, high = wilson_interval(sum(c for c, _ in found), 660)
        naive += low <= mean <= high
    assert covered >= 0.92 * 400
    assert naive < 0.6 * 400


def test_the_t_quantile_of_results_is_students() -> None:
    z = stats.norm.ppf(0.975)
    found = [_t_series(z, freedom) for freedom in range(1, 60)]
    assert found == pytest.approx(stats.t.ppf(0.975, range(1, 60)), rel=0.0013)
    assert found == sorted(found, reverse=True)


def test_intervals_keep_the_digits_that_results_hold() -> None:
    clusters = [(3, 40), (0, 55), (9, 31), (20, 48), (1, 60), (2, 22)]
    assert [round(end, 6) for end in clustered_interval(clusters)] == [0.033648, 0.418716]
