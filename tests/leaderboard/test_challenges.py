"""Challenges: who is first and who shares the place, what enters, and the rule that a refusal names."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.challenges import (
    CHALLENGES,
    CURRICULUM_SIZE,
    CURRICULUM_STEPS,
    STEPS_SIZE,
    TOKENS_A_STEP,
    entries,
    get_challenge,
    place_of,
    standings,
    steps_of,
)
from listops_bench.leaderboard.groups import Group
from listops_bench.result.format import Result
from listops_bench.result.rules import ENTRY_RULES
from listops_bench.stats.differences import fewer, fisher
from tests.support.fake_results import result

SUBMITTING = Path(__file__).resolve().parents[2] / "leaderboard/SUBMITTING.md"


def seeds(accuracies: Sequence[float], steps: Sequence[int] = (), **about: Any) -> list[Result]:
    """Runs of a recipe; ``steps`` are those that each was trained, of a budget of 3,000."""
    found = [result("sum", accuracy, seed=seed, **({"width": 16} | about)) for seed, accuracy in enumerate(accuracies)]
    for place, taken in enumerate(steps):
        training = found[place].training
        assert training is not None
        changed = replace(training, steps=taken, tokens=taken * 2_000)
        found[place] = replace(found[place], training=changed)
    return found


def group(results: Sequence[Result]) -> Group:
    (found,) = boards(results)[0].groups
    return found


def altered(results: Sequence[Result], **changes: Any) -> list[Result]:
    """With changes to each one's training."""
    return [replace(r, training=replace(r.training, **changes)) for r in results if r.training]


def on(task: str, results: Sequence[Result]) -> list[Result]:
    """As if they were scored on another task."""
    return [replace(one, task=replace(one.task, name=task)) for one in results]


GOOD = [0.97] * 5
REFUSED: dict[str, tuple[str, list[Result], str]] = {
    "two seeds": ("smallest", seeds([0.97] * 2), "seeds-needed"),
    "one of three learned": ("smallest", seeds([0.97, 0.3, 0.2]), "learned"),
    "four seeds": ("steps", seeds([0.97] * 4), "seeds-needed"),
    "too large": ("steps", seeds(GOOD, width=64), "limits"),
    "another task": ("steps", on("max", seeds(GOOD)), "limits"),
    "other rows": ("steps", [replace(r, recipe=replace(r.recipe, dataset_seed=3)) for r in seeds(GOOD)], "limits"),
    "large batches": ("steps", altered(seeds(GOOD, [100] * 5), tokens=100 * (TOKENS_A_STEP + 1)), "limits"),
    "no record": ("steps", seeds(GOOD, curriculum=None), "limits"),
    "two of five learned": ("steps", seeds([0.97, 0.97, 0.1, 0.1, 0.1], [2000] * 5), "learned"),
    "too many steps": ("curriculum", altered(seeds(GOOD), budget=CURRICULUM_STEPS + 1), "limits"),
    "too large for it": ("curriculum", seeds(GOOD, width=48), "limits"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_its_rule(name: str) -> None:
    challenge, results, rule = REFUSED[name]
    with pytest.raises(InvalidInput, match=rf"^no entry of the challenge {challenge}: .* \(rule {rule}\)$"):
        entries(get_challenge(challenge), boards(results)[0].groups)


def test_every_rule_is_met_and_written_down() -> None:
    text = SUBMITTING.read_text()
    assert {rule for *_, rule in REFUSED.values()} == set(ENTRY_RULES)
    assert re.findall(r'^\| <a id="entry-([\w-]+)"></a>', text, re.MULTILINE) == list(ENTRY_RULES)
    for challenge in CHALLENGES:
        assert f"| `{challenge.name}` |" in text
    for limit in (STEPS_SIZE, TOKENS_A_STEP, CURRICULUM_SIZE, CURRICULUM_STEPS):
        assert f"{limit:,}" in text


def test_an_unknown_challenge_gets_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="unknown challenge 'step'; did you mean 'steps'"):
        get_challenge("step")


def test_a_result_that_decides_and_is_missing_is_refused() -> None:
    refusal = get_challenge("smallest").refusal(group(on("sum_max", seeds(GOOD))))
    assert refusal is not None
    assert refusal.endswith("(rule learned)")


def test_fewer_parameters_displace_and_as_many_share() -> None:
    large, same, small = (
        group(seeds(GOOD[:3], width=width, curriculum=f"sum:{steps}"))
        for width, steps in ((24, 3000), (24, 2000), (16, 3000))
    )
    smallest = get_challenge("smallest")
    assert smallest.best([large, small, same]) == [small]
    assert smallest.best([large, same]) == [large, same]
    assert "displaces looped_d024" in place_of(smallest, small, [large])
    assert "shares the first place" in place_of(smallest, same, [large])
    assert "behind" in place_of(smallest, large, [small])
    assert "first entry" in place_of(smallest, large, [])


def test_steps_are_told_apart_by_ranks_and_failures_are_last() -> None:
    steps = get_challenge("steps")
    fast, slow = (group(seeds(GOOD, taken, curriculum=f"sum:{budget}")) for taken, budget in (
        ([100, 200, 300, 400, 500], 3000), ([600, 700, 800, 900, 1000], 2000)))  # fmt: skip
    mixed = group(seeds([*GOOD[:3], 0.1, 0.1], [90, 95, 99, 2500, 2500], curriculum="sum:2500"))
    assert steps_of(mixed) == [90, 95, 99, math.inf, math.inf]
    assert steps.best([slow, fast]) == [fast]
    assert steps.best([fast, mixed]) == [mixed, fast]


def test_shares_are_told_apart_by_fisher() -> None:
    curriculum = get_challenge("curriculum")
    all_of_them, some, none = (
        group(seeds(shares, curriculum=f"sum:{steps}"))
        for shares, steps in ((GOOD, 3000), ([0.97, 0.97, 0.97, 0.1, 0.1], 2000), ([0.1] * 5, 1000))
    )
    assert curriculum.best([none, some, all_of_them]) == [all_of_them, some]


def test_weights_set_by_hand_need_no_seeds_and_stand_apart() -> None:
    by_hand = result("max", 1.0, curriculum=None, track="constructed", width=8)
    board = boards([by_hand, *seeds(GOOD)])[0]
    trained, constructed, *_ = standings(board)
    assert {task: [g.first for g in found] for task, found in constructed.first.items()} == {"max": [by_hand]}
    assert list(trained.first) == ["sum"]


def test_exact_tests_are_those_of_the_books() -> None:
    """All ten ways to deal 5 values out, 3 and 2; and Fisher's tea: 3 of 4 against 1 of 4 has p = 17/35."""
    assert fewer([1, 2, 3], [4, 5]) == pytest.approx(0.1)
    assert fewer([4, 5], [1, 2, 3]) == 1
    assert fewer([1, 1], [1, 1]) == 1
    assert fewer(range(60), range(60, 120)) < 1e-10
    assert fewer(range(10), range(10, 20)) == pytest.approx(1 / math.comb(20, 10))
    assert fisher(3, 4, 1, 4) == pytest.approx(17 / 35)
