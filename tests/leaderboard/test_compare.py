"""Two sets of results side by side: which cells are compared, by which tests, and what is said of them."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.compare import SideBySide, side_by_side
from listops_bench.result.format import Result
from listops_bench.stats.differences import fisher, stratified_fisher
from tests.support.fake_results import result, write


def runs(learned: int, failed: int, first_seed: int = 0, **options: Any) -> list[Result]:
    shares = [0.99] * learned + [0.2] * failed
    return [result(accuracy=share, seed=first_seed + place, **options) for place, share in enumerate(shares)]


def compared(first: list[Result], second: list[Result]) -> SideBySide:
    return side_by_side(boards(first), boards(second))


def ways(right: int, n: int, other_right: int, other_n: int) -> dict[int, Fraction]:
    """By how many right ones the first of two shares may have with both margins kept: its chance, exactly."""
    total = right + other_right
    return {
        x: Fraction(math.comb(n, x) * math.comb(other_n, total - x), math.comb(n + other_n, total))
        for x in range(max(0, total - other_n), min(n, total) + 1)
    }


shares = st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
tables = st.tuples(shares, shares).map(lambda pair: (*pair[0], *pair[1]))


@given(st.lists(tables, min_size=1, max_size=3))
def test_the_test_of_all_cells_is_that_of_all_outcomes_counted_one_by_one(
    found: list[tuple[int, int, int, int]],
) -> None:
    chances: dict[int, Fraction] = {}
    for outcome in itertools.product(*(ways(*table).items() for table in found)):
        reached = sum(x for x, _ in outcome)
        chances[reached] = chances.get(reached, Fraction(0)) + math.prod(chance for _, chance in outcome)
    observed = chances[sum(table[0] for table in found)]
    assert stratified_fisher(found) == pytest.approx(float(sum(c for c in chances.values() if c <= observed)))


@given(tables)
def test_of_one_cell_it_is_fishers(table: tuple[int, int, int, int]) -> None:
    assert stratified_fisher([table]) == pytest.approx(fisher(*table))


def test_cells_are_told_apart_by_fishers_test_adjusted_by_holm() -> None:
    """0 of 5 beside 5 of 5 has p = 2 / C(10, 5) = 1/126; 1 of 5 beside 4 of 5 has 2 (1 + 25) / 252 = 52/252."""
    found = compared(
        [*runs(0, 5), *runs(1, 4, width=64), *runs(3, 0, width=96)],
        [
            *runs(5, 0, 9),
            *runs(4, 1, 9, width=64),
            *runs(3, 0, 9, width=96),
            *runs(2, 0, task="max", curriculum="max:3000"),
        ],
    )
    assert [cell.counts for cell in found.cells] == [(0, 5, 5, 5), (1, 5, 4, 5), (3, 3, 3, 3)]
    assert [cell.p for cell in found.cells] == pytest.approx([1 / 126, 52 / 252, 1])
    assert found.adjusted == pytest.approx((2 / 126, 52 / 252, None))  # what cannot be told apart is no third test
    assert (found.cells[0].points, found.cells[0].exact_points) == pytest.approx((-100, -79))
    assert (found.num_different, found.first_alone, found.second_alone, found.differs) == (1, 0, 1, True)
    assert found.verdict[0].startswith("3 cells in both: 1 different, 1 not told apart, 1 that so few runs")
    assert found.p == pytest.approx(2 * (1 + 25 + 25) / 252**2)  # 0 and 1, as it is, or 1 and 0, and the reverse
    assert found.verdict[1].startswith("all together: different, 4 of 13 runs learned beside 12 of 13 (p = 0.002")


def test_cells_too_small_to_tell_apart_are_told_apart_together() -> None:
    """Each of 0 of 2 beside 2 of 2 has p = 1/3; four of them, all the one way, 2 / 6^4."""
    widths = (32, 48, 64, 96)
    found = compared(
        [one for width in widths for one in runs(0, 2, width=width)],
        [one for width in widths for one in runs(2, 0, 9, width=width)],
    )
    assert (found.adjusted, found.num_different) == ((None,) * 4, 0)
    assert found.p == pytest.approx(2 / 6**4)
    assert found.differs


def test_a_cell_is_the_same_by_another_recipe_and_track_and_another_by_what_decides_it() -> None:
    own = runs(3, 0, track="open")
    other = [*runs(2, 0, 7), *runs(1, 0, 7, curriculum="sum:6000"), *runs(1, 0, 7, family="gpt2")]
    for one in own:
        object.__setattr__(one.recipe, "id", "my-own-code")
    found = compared(own, other)
    assert [cell.counts for cell in found.cells] == [(3, 3, 2, 2)]
    assert (found.first_alone, found.second_alone) == (0, 2)


def test_runs_of_the_same_weights_are_counted() -> None:
    found = compared(runs(3, 0), runs(4, 0, 1))
    assert found.cells[0].num_identical == 2
    assert not found.differs


def test_a_task_of_which_it_is_not_known_who_learned_it_is_no_cell() -> None:
    """A joint task needs the results on its operations, too."""
    joint = runs(3, 0, task="sum_max", curriculum="sum_max:3000")
    assert compared(joint, joint) == SideBySide((), 0, 0)


def test_the_command_says_what_differs_and_ends_with_one_then(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    mine, theirs = write(tmp_path / "mine", runs(0, 5)), write(tmp_path / "theirs", runs(5, 0, 9))
    code, out, _ = command("leaderboard", "compare", str(mine), str(theirs))
    line = "sum looped_d048 sum:3000 0 of 5 5 of 5 -100 -79.0 0 0.008 0.008"
    assert code == 1
    assert line in [" ".join(one.split()) for one in out.splitlines()]
    assert command("leaderboard", "compare", str(mine), str(mine))[0] == 0
    other = write(tmp_path / "other", runs(1, 0, task="max", curriculum="max:3000"))
    code, _, error = command("leaderboard", "compare", str(mine), str(other))
    assert (code, error.count("\n")) == (2, 1)
    assert "have no cell in common" in error
