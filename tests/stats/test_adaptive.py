"""Searches for N50: how many runs they take and whether their intervals hold, what they choose, and when they end."""

from collections.abc import Callable

import pytest

from listops_bench.stats.adaptive import Duel, Search, Trial, level_after
from tests.support.adaptive_coverage import SETTINGS, SIZES, compared, searched


def trials(search: Search, learns: Callable[[int], bool]) -> list[Trial]:
    """A search to its end, where every run of one size has one outcome."""
    found: list[Trial] = []
    while chosen := search.next_batch(found):
        found += [Trial(size, learns(size)) for size in chosen]
    return found


# --- runs and coverage ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["variance", "staircase"])
def test_an_interval_gets_narrow_with_few_runs_and_holds(way: str) -> None:
    """A grid of six widths takes a median of 66 runs."""
    found = searched(1.0, 0.1, 30, way=way)
    assert found.runs <= 44
    assert found.narrow == 1
    assert found.held >= 0.93


RUNS = dict(zip(SETTINGS, (23, 31, 61, 107, 35, 51, 105, 71), strict=True))
"""Medians of a reference simulation."""


@pytest.mark.check_all
@pytest.mark.parametrize("setting", SETTINGS)
def test_runs_and_coverage_at_all_settings(setting: tuple[float, float]) -> None:
    found = searched(*setting, 400)
    assert found.runs <= RUNS[setting] * 1.1 + 2  # a batch: the median of 400 searches is known no better
    assert found.held >= 0.93 - 0.025  # within two standard errors


def test_few_runs_reject_less_than_many() -> None:
    """The shares are the same; only the level differs, which else a fixed number of runs would have."""
    search = Search(SIZES)
    few = [Trial(size, size > 20_000) for size in SIZES]
    for times in (1, 2, 8):
        found = search.threshold(few * times)
        assert found == search.threshold(few * times, level_after(len(few) * times))
        assert found.low < search.threshold(few * times, 3.84).low
    assert level_after(12) > level_after(40) > level_after(160) > 3.84


@pytest.mark.check_all
def test_three_looks_find_a_difference_and_seldom_one_that_is_not_there() -> None:
    assert compared(0.57, 0.8, 0.1, range(50)).smaller >= 0.94
    assert compared(1.0, 0.7, 0.1, range(200)).smaller <= 0.04 + 0.028  # within two standard errors


# --- what is chosen ---------------------------------------------------------------------------------------------------


def test_choices_close_in_on_the_size_from_which_runs_learn() -> None:
    done = trials(Search(SIZES), lambda size: size >= 20_000)
    below, above = max(s for s in SIZES if s < 20_000), min(s for s in SIZES if s >= 20_000)
    assert below < Search(SIZES).threshold(done).estimate < above
    assert all(13_000 < trial.size < 30_000 for trial in done[-8:])
    assert len(done) < 24


def test_choices_are_a_function_of_what_was_chosen_before() -> None:
    done = trials(Search(SIZES, seed=5), lambda size: size * 7 % 5 > 1)
    for end in range(3, len(done), 2):
        assert Search(SIZES, seed=5).next_batch(done[:end]) == [trial.size for trial in done[end : end + 2]]
    assert trials(Search(SIZES, seed=6), lambda size: size * 7 % 5 > 1) != done


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_a_batch_is_as_large_as_asked_for(batch: int) -> None:
    search = Search(SIZES, batch=batch, max_runs=100)
    first = search.next_batch([])
    assert len(first) == max(batch, 3)
    assert first == sorted(first)
    second = search.next_batch([Trial(size, size > 20_000) for size in first])
    assert len(second) == min(batch, 100 - len(first))
    assert len(set(second)) > 1 or batch == 1  # not all on the size that would be best for one


def test_a_staircase_goes_down_after_success_and_up_after_failure() -> None:
    search = Search((1, 2, 3, 4, 5, 6, 7, 8), way="staircase", batch=2)
    assert search.next_batch([Trial(3, True), Trial(3, False)]) == [2, 4]
    assert search.next_batch([Trial(1, True), Trial(8, False)]) == [1, 8]


def test_dear_runs_are_chosen_for_more_only() -> None:
    done = [Trial(size, size > 20_000) for size in Search(SIZES).next_batch([])]
    free = Search(SIZES, batch=1).next_batch(done)
    dear = Search(SIZES, batch=1, costs=tuple(1e9 if size >= free[0] else 1.0 for size in SIZES)).next_batch(done)
    assert dear < free


def test_a_size_has_so_many_runs_at_the_most() -> None:
    done = trials(Search(SIZES, most_per_size=2, max_runs=200, factor=1.001), lambda size: size > 20_000)
    assert len(done) == 2 * len(SIZES)


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learns", [False, True])
def test_outside_the_sizes_n50_is_a_bound(learns: bool) -> None:
    search = Search(SIZES)
    done = trials(search, lambda size: learns)
    found = search.threshold(done)
    assert len(done) <= 16
    assert found.kind == ("below" if learns else "above")
    assert (found.low, found.high) == ((None, pytest.approx(SIZES[0])) if learns else (pytest.approx(SIZES[-1]), None))


def test_a_search_ends_with_its_runs_and_goes_on_with_more() -> None:
    few, more = Search(SIZES, max_runs=9), Search(SIZES, max_runs=14)
    done = trials(few, lambda size: size > 20_000)
    assert len(done) == 9
    assert len(more.next_batch(done)) == 2


def test_two_arms_are_looked_at_when_that_was_declared() -> None:
    duel = Duel(Search(SIZES), Search(SIZES), looks=(12, 30, 60))
    arms: tuple[list[Trial], list[Trial]] = ([], [])
    looked = []
    while (step := duel.next_batch(*arms))[1]:
        arms[step[0]].extend(Trial(size, size > (40_000, 10_000)[step[0]]) for size in step[1])
        looked.append(len(arms[0]) + len(arms[1]))
        if min(map(len, arms)) > 4:
            assert max(map(len, arms)) <= 3 * min(map(len, arms)) + 4
    assert duel.verdict(*arms) == "smaller"
    assert looked[-1] in duel.looks
    assert duel.ratio(*arms).high < 1
    assert duel.verdict(*arms[::-1]) == "no smaller"


def test_where_one_arm_has_all_its_runs_the_other_goes_on_to_the_look() -> None:
    duel = Duel(Search(SIZES[:2], most_per_size=2), Search(SIZES), looks=(30,))
    arms: tuple[list[Trial], list[Trial]] = ([], [])
    while (step := duel.next_batch(*arms))[1]:
        arms[step[0]].extend(Trial(size, size > 20_000) for size in step[1])
    assert [len(own) for own in arms] == [4, 26]
