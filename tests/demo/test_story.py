"""The demo's sentence follows from the numbers, whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from listops_bench.demo._story import ARMS, Score, describe, effect
from listops_bench.result.learned import LEARNED

N = 5000


def scores(n: int = N, **percentages: list[float]) -> list[Score]:
    """``scores(alone=[4, 5])``: the runs of each curriculum, with seeds 0, 1, ..."""
    return [
        Score(arm, seed, round(percent * n / 100), n)
        for arm, values in percentages.items()
        for seed, percent in enumerate(values)
    ]


def test_the_expected_outcome() -> None:
    assert describe(scores(alone=[4.1, 5.2], joint=[62, 97.5], transfer=[98, 97])) == (
        "Trained before SUM and beside SUM, MAX and MED helped a lot with every seed: on the same 5,000 SUM test rows "
        "SUM alone got 4.1% and 5.2% exactly right (seeds 0 and 1), the mixture 62.0% and 97.5% and MAX+MED first "
        "98.0% and 97.0%; the 95% that count as learned were reached by the mixture (1 of 2 runs) and MAX+MED first "
        "(2 of 2 runs)."
    )


BEFORE, BESIDE = "Trained before SUM, MAX and MED", "trained beside SUM, MAX and MED"
BOTH = "Trained before SUM and beside SUM, MAX and MED"

HEADLINES = [
    ("helped before, no clear difference beside", scores(alone=[4, 5], joint=[4.5, 5], transfer=[98, 97]),
     f"{BEFORE} helped a lot with every seed; {BESIDE} made no clear difference:"),
    ("one seed of two", scores(alone=[4, 5], joint=[62, 1], transfer=[98, 97]),
     f"{BEFORE} helped a lot with every seed; {BESIDE} helped a lot with seed 0 and hurt with seed 1:"),
    ("a small gain is not called a lot", scores(alone=[4, 5], joint=[8, 9], transfer=[8, 9]),
     f"{BOTH} helped with every seed:"),
    ("the effect is the other way round", scores(alone=[97, 90], joint=[30, 29], transfer=[60, 55]),
     f"{BOTH} hurt a lot with every seed:"),
    ("a lucky run of SUM alone", scores(alone=[97, 4], joint=[50, 60], transfer=[90, 96]),
     f"{BOTH} made no clear difference:"),
    ("SUM needed no help", scores(alone=[97, 98], joint=[98, 97], transfer=[98, 97]),
     f"SUM was learned without help; t{BOTH[1:]} made no clear difference:"),
    ("nothing learned anything", scores(alone=[1, 1], joint=[1, 1], transfer=[1, 1]),
     f"{BOTH} made no clear difference:"),
    ("one seed", scores(alone=[4], joint=[1], transfer=[40]),
     f"{BEFORE} helped a lot; {BESIDE} hurt:"),
    ("three seeds, three outcomes", scores(alone=[50, 55, 60], joint=[99, 55, 10], transfer=[99, 98, 70]),
     f"{BEFORE} helped a lot with seeds 0 and 1 and helped with seed 2; {BESIDE} helped a lot with seed 0, "
     "made no clear difference with seed 1 and hurt a lot with seed 2:"),
    ("few rows separate little", scores(20, alone=[40, 45], joint=[60, 55], transfer=[65, 70]),
     f"{BOTH} made no clear difference:"),
    ("the mixture failed", scores(alone=[4, 5], transfer=[99, 98]),
     f"{BEFORE} helped a lot with every seed:"),
    ("SUM alone failed", scores(joint=[97, 5], transfer=[99, 98]), "SUM alone has no finished run to compare with:"),
    ("only SUM alone is left", scores(alone=[4, 5]), "Only SUM alone has finished runs:"),
]  # fmt: skip


@pytest.mark.parametrize(("runs", "headline"), [case[1:] for case in HEADLINES], ids=[case[0] for case in HEADLINES])
def test_the_headline(runs: list[Score], headline: str) -> None:
    assert describe(runs).startswith(headline)


def test_without_a_finished_run() -> None:
    assert describe([]) == "No run finished, so there is nothing to compare."


@pytest.mark.parametrize(
    ("percentages", "end"),
    [
        ({"alone": [4, 5], "transfer": [80, 90]}, "; none reached the 95% that count as learned."),
        ({"alone": [96, 5]}, "; the 95% that count as learned were reached by SUM alone (1 of 2 runs)."),
        ({"alone": [94.98]}, "; none reached the 95% that count as learned."),
        ({"alone": [95]}, "; the 95% that count as learned were reached by SUM alone (1 of 1 runs)."),
    ],
)
def test_what_counts_as_learned(percentages: dict[str, list[float]], end: str) -> None:
    assert describe(scores(**percentages)).endswith(end)


def test_seeds_are_named_again_where_they_differ() -> None:
    runs = [*scores(alone=[4, 5]), Score("transfer", 1, 4900, N)]
    assert "SUM alone got 4.0% and 5.0% exactly right (seeds 0 and 1) and MAX+MED first 98.0% (seed 1);" in describe(
        runs
    )


def test_unequal_test_sets_are_not_called_the_same() -> None:
    runs = [Score("alone", 0, 10, 1000), Score("transfer", 0, 2000, 2000)]
    assert "on SUM test rows" in describe(runs)
    assert "the same" not in describe(runs)


counts = st.integers(0, N)


@given(st.dictionaries(st.sampled_from(list(ARMS)), st.lists(counts, min_size=1, max_size=4), max_size=3))
def test_every_outcome_is_one_sentence_that_holds_its_figures(counts_of: dict[str, list[int]]) -> None:
    runs = [Score(arm, seed, c, N) for arm, values in counts_of.items() for seed, c in enumerate(values)]
    text = describe(reversed(runs))
    assert text == describe(runs), "the order of the runs does not matter"
    assert text[0].isupper()
    assert text.endswith(".")
    assert "\n" not in text
    assert all(f"{run.accuracy:.1%}" in text for run in runs)
    assert ("none reached" in text) == (bool(runs) and all(run.accuracy < LEARNED for run in runs))


@given(counts, st.lists(counts, min_size=1, max_size=3))
def test_help_and_harm_need_separate_intervals(count: int, others: list[int]) -> None:
    run = Score("joint", 0, count, N)
    baseline = [Score("alone", seed, c, N) for seed, c in enumerate(others)]
    verdict = effect(run, baseline)
    if verdict.startswith("helped"):
        assert all(run.interval[0] > other.interval[1] for other in baseline)
        assert effect(baseline[0], [run]).startswith("hurt")
    if "a lot" in verdict:
        assert all(abs(run.accuracy - other.accuracy) >= 0.3 for other in baseline)
    if count in others:
        assert verdict == "made no clear difference"
