"""The demo's sentence follows from the numbers, whatever they are."""

import pytest
from hypothesis import given, strategies as st

from listops_bench.demo._story import ARMS, Outcome, describe, effect, effects
from listops_bench.result.learned import LEARNED

N = 5000
A_LOT, NONE = "helped a lot", "made no clear difference"


def outcomes(n: int = N, **percentages: list[float]) -> list[Outcome]:
    """``outcomes(alone=[4, 5])``: the runs of each curriculum, with seeds 0, 1, ..."""
    return [
        Outcome(arm, seed, round(percent * n / 100), n)
        for arm, values in percentages.items()
        for seed, percent in enumerate(values)
    ]


def test_the_sentence() -> None:
    assert describe(outcomes(alone=[4.1, 5.2], joint=[62, 97.5], transfer=[98, 97])) == (
        "Trained before SUM and beside SUM, MAX and MED helped a lot with every seed: on the same 5,000 SUM test rows "
        "SUM alone got 4.1% and 5.2% exactly right (seeds 0 and 1), the mixture 62.0% and 97.5% and MAX+MED first "
        "98.0% and 97.0%; the 95% that count as learned were reached by the mixture (1 of 2 runs) and MAX+MED first "
        "(2 of 2 runs)."
    )


@pytest.mark.parametrize(
    ("runs", "alone", "expected"),
    [
        ([62, 1], [4, 5], {A_LOT: [0], "hurt": [1]}),
        ([8, 9], [4, 5], {"helped": [0, 1]}),  # a small gain is not called a lot
        ([30, 29], [97, 90], {"hurt a lot": [0, 1]}),
        ([50, 99], [97, 4], {NONE: [0], "helped": [1]}),  # one lucky run of SUM alone
        ([1, 1], [1, 1], {NONE: [0, 1]}),
        ([99, 55, 10], [50, 55, 60], {A_LOT: [0], NONE: [1], "hurt a lot": [2]}),
    ],
)
def test_effects_by_seed(runs: list[float], alone: list[float], expected: dict[str, list[int]]) -> None:
    assert effects(outcomes(joint=runs), outcomes(alone=alone)) == expected


def test_few_rows_separate_little() -> None:
    assert effects(outcomes(20, joint=[60, 70]), outcomes(20, alone=[40, 45])) == {NONE: [0, 1]}


HEADLINES = [
    (outcomes(alone=[4, 5], joint=[4.5, 5], transfer=[98, 97]),
     "Trained before SUM, MAX and MED helped a lot with every seed; trained beside SUM, MAX and MED made no clear "),
    (outcomes(alone=[97, 98], joint=[98, 97]), "SUM was learned without help; trained beside SUM, MAX and MED made no"),
    (outcomes(alone=[4], joint=[1], transfer=[40]), "Trained before SUM, MAX and MED helped a lot; trained beside SUM"),
    (outcomes(joint=[97, 5], transfer=[99, 98]), "SUM alone has no finished run to compare with:"),
    (outcomes(alone=[4, 5]), "Only SUM alone has finished runs:"),
    ([], "No run finished, so there is nothing to compare."),
]  # fmt: skip


@pytest.mark.parametrize(("runs", "headline"), HEADLINES)
def test_the_headline(runs: list[Outcome], headline: str) -> None:
    assert describe(runs).startswith(headline)


@pytest.mark.parametrize(
    ("percentages", "end"),
    [
        ({"alone": [94.98], "transfer": [90]}, "; none reached the 95% that count as learned."),
        ({"alone": [96, 5]}, "; the 95% that count as learned were reached by SUM alone (1 of 2 runs)."),
        ({"alone": [95]}, "; the 95% that count as learned were reached by SUM alone (1 of 1 runs)."),
    ],
)
def test_what_counts_as_learned(percentages: dict[str, list[float]], end: str) -> None:
    assert describe(outcomes(**percentages)).endswith(end)


def test_seeds_are_named_again_where_they_differ() -> None:
    text = describe([*outcomes(alone=[4, 5]), Outcome("transfer", 1, 4900, N)])
    assert "(seeds 0 and 1) and MAX+MED first 98.0% (seed 1);" in text


def test_unequal_test_sets_are_not_called_the_same() -> None:
    text = describe([Outcome("alone", 0, 10, 1000), Outcome("transfer", 0, 2000, 2000)])
    assert "on SUM test rows" in text


counts = st.integers(0, N)


@given(st.dictionaries(st.sampled_from(list(ARMS)), st.lists(counts, min_size=1, max_size=4), max_size=3))
def test_every_outcome_is_one_sentence_that_holds_its_figures(counts_of: dict[str, list[int]]) -> None:
    runs = [Outcome(arm, seed, c, N) for arm, values in counts_of.items() for seed, c in enumerate(values)]
    text = describe(reversed(runs))
    assert text == describe(runs), "the order of the runs does not matter"
    assert text[0].isupper()
    assert text.endswith(".")
    assert "\n" not in text
    assert all(f"{run.accuracy:.1%}" in text for run in runs)
    assert ("none reached" in text) == (bool(runs) and all(run.accuracy < LEARNED for run in runs))


@given(counts, st.lists(counts, min_size=1, max_size=3))
def test_help_and_harm_need_separate_intervals(count: int, others: list[int]) -> None:
    run = Outcome("joint", 0, count, N)
    baseline = [Outcome("alone", seed, c, N) for seed, c in enumerate(others)]
    verdict = effect(run, baseline)
    if verdict.startswith("helped"):
        assert all(run.interval[0] > other.interval[1] for other in baseline)
        assert effect(baseline[0], [run]).startswith("hurt")
    if "a lot" in verdict:
        assert all(abs(run.accuracy - other.accuracy) >= 0.3 for other in baseline)
    if count in others:
        assert verdict == NONE
