"""Arms: which runs make one ladder, what they are compared with, and when they learn."""

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path

import pytest

from listops_bench.leaderboard.arms import Arm, all_arms, comparisons, spell_limits, spell_threshold, time_to_learn
from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.groups import Group, groups
from listops_bench.result.format import Recipe, Result
from listops_bench.result.learned import SEEN, learned
from listops_bench.stats.threshold import Outcome, Threshold, fit_threshold
from tests.support.commands import Run
from tests.support.fake_results import N50, ladder_results, learning, result, split_result, write


def arms(found: Iterable[Result]) -> list[Arm]:
    """The arms that a threshold is estimated from."""
    return [arm for arm in all_arms(groups(found)) if arm.is_ladder]


@pytest.fixture(scope="module")
def ladder() -> list[Result]:
    return ladder_results()


def test_every_task_and_curriculum_has_its_threshold(ladder: list[Result]) -> None:
    found = {(arm.task, arm.curriculum): arm for arm in arms(ladder)}
    assert set(found) == set(N50)
    assert {arm.kind for arm in found.values()} == {"alone", "joint", "transfer"}
    limits = {key: (arm.threshold.low or 0, arm.threshold.high or math.inf) for key, arm in found.items()}
    assert sum(limits[key][0] <= N50[key] <= limits[key][1] for key in N50) >= 10
    assert found["nadd", "nadd:6000"].threshold.kind == "above"
    whole = found["sum_max_med", "sum_max_med:6000"]
    # learning the mixture takes learning each of its operations
    parts = [found[task, "sum_max_med:6000"] for task in ("sum", "max", "med")]
    assert all(
        min(outcome.learned for outcome in outcomes) >= mixed.learned
        for mixed, *outcomes in zip(whole.outcomes(SEEN), *(part.outcomes(SEEN) for part in parts), strict=True)
    )
    unseen = found["sum", "sum:6000"].unseen
    assert unseen.kind == "above" or (unseen.estimate or 0) > 75_000


def test_a_mixture_is_compared_with_the_task_alone_at_equal_steps(ladder: list[Result]) -> None:
    compared = {(c.arm.task, c.arm.curriculum): c for c in comparisons(arms(ladder))}
    assert set(compared) == {key for key in N50 if key[1] not in (f"{key[0]}:6000",)}
    found = compared["sum", "sum_max_med:6000"]
    assert found.equal == "steps"
    assert found.alone.curriculum == "sum:6000"
    assert found.ratio.kind == "number"
    assert (found.ratio.low or 0) <= 22 / 75 <= (found.ratio.high or 9)
    assert found.ratio.high < 1


def test_other_steps_are_compared_where_the_operation_was_seen_as_often(ladder: list[Result]) -> None:
    def longer(reductions: int) -> list[Result]:
        runs = [result("sum", curriculum="sum_max_med:9000", seed=s, width=w) for s in range(3) for w in (16, 64)]
        trained = dataclasses.replace(runs[0].training, budget=9000, reductions={"sum": reductions})
        return [dataclasses.replace(one, training=trained) for one in runs]

    alone = [one for one in ladder if (one.task.name, one.training.curriculum) == ("sum", "sum:6000")]
    (found,) = comparisons(arms([*alone, *longer(1_050_000)]))
    assert found.equal == "exposure"
    assert comparisons(arms([*alone, *longer(2_000_000)])) == []


def test_a_joint_run_counts_only_where_each_operation_was_scored() -> None:
    """A failure is known without them and a success is not: counting both would make learning look rarer."""
    mixture = "sum_max_med:6000"
    bare = [result("sum_max_med", 0.5 if w < 20 else 0.97, curriculum=mixture, width=w) for w in (8, 16, 32, 64)]
    assert arms(bare) == []
    singles = [result(task, 0.97, curriculum=mixture, width=w) for task in ("sum", "max", "med") for w in (8, 64)]
    (whole,) = [arm for arm in arms([*bare, *singles]) if arm.task == "sum_max_med"]
    assert [(o.learned, o.runs) for o in whole.outcomes(SEEN)] == [(0, 1), (0, 0), (0, 0), (1, 1)]


def test_recipes_of_one_size_count_together() -> None:
    """Whichever did best on any rows: the best of several would be the luckiest."""
    tried = [
        result("sum", accuracy, seed=seed, width=width, recipe=Recipe(recipe, 0))
        for seed, (recipe, accuracy, width) in enumerate((("slow", 0.97, 16), ("fast", 0.3, 16), ("fast", 0.99, 64)))
    ]
    (arm,) = arms(tried)
    assert [(o.learned, o.runs) for o in arm.threshold.outcomes] == [(1, 2), (1, 1)]
    assert arm.recipes == 2


def test_other_draws_of_the_rows_are_runs_of_the_recipe() -> None:
    learned_by_rows = {0: 3, 1: 0, 2: 1}
    tried = [
        result("sum", 0.97 if seed < learned else 0.2, seed=10 * rows + seed, recipe=Recipe("one", seed, rows or None))
        for rows, learned in learned_by_rows.items()
        for seed in range(3)
    ]
    (arm,) = all_arms(groups(tried))
    assert [(o.learned, o.runs) for o in arm.threshold.outcomes] == [(4, 9)]
    (group,) = arm.groups
    assert (group.learned, arm.recipes) == ("4/9", 1)
    assert [run.seed for run in group.runs][:3] == ["seed 0", "seed 0, rows 1", "seed 0, rows 2"]


def test_what_was_not_trained_has_no_threshold() -> None:
    for changes, count in (
        ({"curriculum": None}, 0),
        ({"track": "constructed"}, 0),
        ({"curriculum": "max:3000"}, 0),
        ({}, 1),
    ):
        assert len(arms([result(width=width, **changes) for width in (8, 64)])) == count


def test_tasks_stand_by_their_measured_difficulty(ladder: list[Result]) -> None:
    (board,) = boards([*ladder, result("ssum", 0.5)])
    tasks = board.tasks
    assert set(tasks[:2]) == {"max", "min"}
    assert tasks[2:4] == ("med", "sum_max_med")
    assert set(tasks[4:6]) == {"sum", "prod"}
    assert tasks[6:] == ("nadd", "ssum")
    assert [group.task for group in board.rows[:5]] == [tasks[0]] * 5


def test_without_a_reference_track_any_ladder_says_how_hard_a_task_is() -> None:
    ladder = [result(task, 0.97 if w >= size else 0.2, curriculum=f"{task}:9", width=w, seed=seed, track="open")
              for task, size in (("sum", 64), ("med", 16)) for w in (8, 16, 64) for seed in range(3)]  # fmt: skip
    (board,) = boards(ladder)
    assert board.tasks == ("med", "sum")
    (board,) = boards([*ladder, *(result("max", curriculum="max:9", width=w) for w in (8, 64))])
    assert board.tasks == ("max", "sum", "med")  # those that the reference track has not measured come last


def test_unseen_operands_are_learned_at_the_same_level() -> None:
    high = result("sum", 0.97, splits={"test": split_result(0.99), "test_unseen_operands": split_result(0.9, 2000)})
    assert learned({"sum": high}, "sum") is True
    assert learned({"sum": high}, "sum", "test_unseen_operands") is False


def test_the_smallest_model_that_learned_each_task_by_track(ladder: list[Result]) -> None:
    lucky = result("sum", 0.99, width=10, track="open")
    (board,) = boards([*ladder, lucky])
    found: dict[tuple[str, str], list[Group]] = {}
    for one in board.smallest:
        found.setdefault((one.first.track, one.task), []).append(one)
    assert [(group.parameters, group.ranked) for group in found["open", "sum"]] == [(lucky.parameters.total, False)]
    reference = found["reference", "sum"]
    assert [group.plan for group in reference] == ["sum_max_med", "max_med, then sum"]  # of one size, in one place
    assert all(group.ranked and group.parameters == reference[0].parameters for group in reference)
    assert ("reference", "nadd") not in found


def test_time_to_learn_is_the_first_of_two_validations_in_a_row_that_passed() -> None:
    def run(seed: int, *points: tuple[int, float]) -> Result:
        return result(seed=seed, learning=learning(*points))

    lucky = run(1, (100, 0.2), (200, 0.96), (300, 0.4), (400, 0.97))
    time = time_to_learn(groups([run(0, (100, 0.1), (200, 0.97), (300, 0.96), (400, 0.9)), lucky]))
    assert (time.steps, time.share, time.runs) == ((200,), (0.5,), 2)
    assert time_to_learn(groups([result()])) is None
    assert time_to_learn([]) is None


def test_a_mixture_is_learned_when_each_operation_passes_at_one_validation() -> None:
    def run(task: str, *points: tuple[int, float]) -> Result:
        return result(task, curriculum="sum_max:300", learning=learning(*points))

    whole = run("sum_max", (100, 0.96), (200, 0.97), (300, 0.98), (400, 0.98))
    part = run("sum", (100, 0.9), (200, 0.94), (300, 0.96), (400, 0.96))
    found = groups([whole, part, run("max", (100, 1), (200, 1), (300, 1), (400, 1))])
    (mixture,) = [group for group in found if group.task == "sum_max"]
    assert mixture.runs[0].learned_at == 300
    (alone,) = groups([whole])
    assert alone.runs[0].watched_until is None


def test_a_threshold_in_words() -> None:
    def fit(*learned: int) -> Threshold:
        return fit_threshold(Outcome(1000 * 2**i, count, 3) for i, count in enumerate(learned))

    assert spell_limits(fit(0, 3, 3, 3, 3, 3)).startswith("up to ")
    assert [spell_threshold(fit(*learned)) for learned in ((0, 0, 0), (3, 3, 3), (3, 2, 0))] == [
        "> 4,000", "< 1,000", "not determined",
    ]  # fmt: skip


def test_the_command_prints_thresholds_as_table_and_json(tmp_path: Path, ladder: list[Result], command: Run) -> None:
    folder = write(tmp_path / "results", [one for one in ladder if one.task.name == "sum"])
    code, text, _ = command("leaderboard", "thresholds", str(folder), "--times")
    assert (code, "max_med, then sum" in text, "Steps to learn" in text) == (0, True, True)
    code, text, _ = command("leaderboard", "thresholds", str(folder), "--json")
    assert code == 0
    (board,) = json.loads(text)
    assert [one["curriculum"] for one in board["thresholds"]] == [
        "sum:6000", "sum_max_med:6000", "max_med:2000,sum:4000",
    ]  # fmt: skip
    joint = board["thresholds"][1]
    assert joint["against_alone"]["test"]["kind"] == "number"
    assert joint["test"]["parameters_learned_runs"][0][1:] == [0, 5]
    assert {"median_steps", "low", "high"} < set(joint["time_to_learn"][-1])
    code, _, error = command("leaderboard", "thresholds", str(write(tmp_path / "other", [result()])))
    assert (code, "two sizes" in error) == (2, True)
