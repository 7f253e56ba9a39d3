"""Learning thresholds: coverage on outcomes whose N50 is known, separation, censoring, quotients, and time to learn."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit
from scipy.stats import ecdf

from listops_bench.cli.command import main
from listops_bench.leaderboard.arms import Arm, all_arms, comparisons, spell_limits, spell_threshold, time_to_learn
from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.groups import Group, groups
from listops_bench.result.format import Recipe, Result
from listops_bench.result.learned import learned
from listops_bench.stats.threshold import Outcome, Threshold, fit_threshold, ratio, survival
from tests.support.fake_results import N50, ladder_results, learning, result, split_result, write

SIZES = (1_500, 3_000, 5_500, 9_000, 15_000, 24_000, 35_000, 60_000, 90_000, 160_000)


def arms(found: Iterable[Group]) -> list[Arm]:
    """The arms that a threshold is estimated from."""
    return [arm for arm in all_arms(found) if arm.is_ladder]


def fit(counts: Sequence[int], seeds: int = 5, sizes: Sequence[int] = SIZES) -> Threshold:
    return fit_threshold(Outcome(size, k, seeds) for size, k in zip(sizes, counts, strict=False))


def covers(found: Threshold, truth: float) -> bool:
    return (found.low or 0) <= truth <= (found.high or math.inf)


# --- coverage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n50", "width"), [(17_000, 0.4), (11_000, 0.15)])
def test_the_interval_covers_a_known_n50_with_five_seeds_a_size(n50: float, width: float) -> None:
    """Two-humped accuracies, 200 draws; ``width`` is the logistic's scale in e-folds of size."""
    draw = np.random.default_rng(0)
    covered = bounded = 0
    for _ in range(200):
        lucky = draw.random((len(SIZES), 5)) < expit(np.log(np.array(SIZES) / n50) / width)[:, None]
        accuracy = np.where(lucky, draw.uniform(0.95, 1, lucky.shape), draw.uniform(0, 0.6, lucky.shape))
        found = fit([int(k) for k in (accuracy >= 0.95).sum(1)])
        covered += covers(found, n50)
        bounded += found.low is not None and found.high is not None
    assert covered >= 185  # 180 are asked for
    assert bounded >= 195


def test_the_quotients_interval_covers_a_known_quotient() -> None:
    draw = np.random.default_rng(0)
    sizes = np.array(SIZES)
    covered = 0
    for _ in range(60):
        pair = [
            fit([int(draw.binomial(5, share)) for share in expit(np.log(sizes / n50) / 0.3)]) for n50 in (9_000, 31_500)
        ]
        found = ratio(*pair)
        covered += (found.low or 0) <= 9 / 31.5 <= (found.high or math.inf)
    assert covered >= 54


# --- separation and censoring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "seeds"), [*((p, 5) for p in range(1, 10)), *((p, 3) for p in range(2, 9))])
def test_fully_separated_runs_give_a_bounded_interval(place: int, seeds: int) -> None:
    found = fit([0] * place + [seeds] * (10 - place), seeds)
    assert found.kind == "number"
    fails, learns = SIZES[place - 1], SIZES[place]
    assert fails < found.estimate < learns
    assert fails / 3 < found.low < found.estimate < found.high < learns * 3


def test_three_failures_at_the_smallest_size_alone_set_no_lower_limit() -> None:
    found = fit([0] + [3] * 9, seeds=3)
    assert (found.kind, found.low) == ("number", None)
    assert spell_limits(found).startswith("up to ")


@pytest.mark.parametrize(
    ("counts", "kind", "bound", "limit"),
    [
        ([0] * 10, "above", 160_000, "high"),
        ([0] * 9 + [1], "above", 160_000, "high"),  # not extrapolated beyond the sizes
        ([5] * 10, "below", 1_500, "low"),
        ([4] + [5] * 9, "below", 1_500, "low"),
    ],
)
def test_beyond_the_sizes_n50_is_a_bound(counts: list[int], kind: str, bound: int, limit: str) -> None:
    found = fit(counts)
    assert (found.kind, found.estimate, getattr(found, limit)) == (kind, bound, None)
    assert spell_threshold(found) == f"{'>' if kind == 'above' else '<'} {bound:,}"


def test_with_one_seed_a_size_a_bound_is_weaker_than_the_largest_size() -> None:
    found = fit([0] * 10, seeds=1)
    assert found.estimate == 160_000
    assert found.low < 150_000


def test_what_does_not_rise_with_size_is_not_determined() -> None:
    found = fit([5, 5, 4, 4, 3, 2, 1, 1, 0, 0])
    assert (found.kind, found.estimate, found.low, found.high) == ("unknown", None, None, None)
    assert spell_threshold(found) == "not determined"
    assert fit_threshold([]).kind == "unknown"


def test_one_size_is_no_ladder() -> None:
    assert fit([0], sizes=[9_000]) == Threshold((Outcome(9_000, 0, 5),), "above", 9_000, None, None)
    assert fit([5], sizes=[9_000]).kind == "below"
    assert fit([2], sizes=[9_000]).kind == "unknown"


@given(st.lists(st.integers(0, 4), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_neither_order_nor_splitting_of_the_runs_matters(counts: list[int], shuffle: object) -> None:
    together = [Outcome(size, k, 4) for size, k in zip(SIZES, counts, strict=False)]
    apart = [Outcome(o.parameters, int(i < o.learned), 1) for o in together for i in range(4)]
    shuffle.shuffle(apart)  # type: ignore[attr-defined]
    found = fit_threshold(together)
    assert found == fit_threshold(apart)
    if found.kind == "number":
        assert together[0].parameters <= found.estimate <= together[-1].parameters
        assert (found.low or 0) <= found.estimate * 1.001
        assert found.estimate <= (found.high or math.inf) * 1.001


def test_learning_against_size_upside_down_is_the_mirror_image() -> None:
    """Turning sizes round and learned into not learned mirrors N50 and its interval."""
    counts = [0, 0, 1, 3, 4, 5, 5]
    sizes = [round(1000 * 2**k) for k in range(7)]
    found, mirrored = fit(counts, sizes=sizes), fit([5 - k for k in counts[::-1]], sizes=sizes)
    product = 1000 * 64_000
    assert mirrored.estimate == pytest.approx(product / found.estimate, rel=1e-3)
    assert mirrored.high == pytest.approx(product / found.low, rel=1e-3)


# --- quotients --------------------------------------------------------------------------------------------------------


def test_quotients() -> None:
    small, large, never = fit([0] * 2 + [5] * 8), fit([0] * 6 + [5] * 4), fit([0] * 10)
    found = ratio(small, large)
    assert found.kind == "number"
    assert found.low < (found.estimate or 0) < found.high < 0.2
    turned = ratio(large, small)
    assert turned.estimate == pytest.approx(1 / (found.estimate or 1))
    assert turned.high == pytest.approx(1 / found.low)
    itself = ratio(small, small)
    assert itself.estimate == 1
    bound = ratio(small, never)
    assert (bound.kind, bound.low) == ("below", None)
    assert bound.estimate == pytest.approx((small.estimate or 0) / 160_000)
    assert bound.estimate < bound.high < 0.1
    assert ratio(never, small).kind == "above"
    assert ratio(never, small).high is None
    assert ratio(never, never).kind == "unknown"
    assert ratio(fit([5] * 10), never).kind == "below"
    assert ratio(fit([2], sizes=[9_000]), small).kind == "unknown"


# --- which runs belong together ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ladder() -> list[Result]:
    return ladder_results()


def arm_of(results: Sequence[Result], task: str, curriculum: str) -> Arm:
    (found,) = [arm for arm in arms(groups(results)) if (arm.task, arm.curriculum) == (task, curriculum)]
    return found


def test_every_task_and_curriculum_has_its_threshold(ladder: list[Result]) -> None:
    found = {(arm.task, arm.curriculum): arm for arm in arms(groups(ladder))}
    assert set(found) == set(N50)
    assert {arm.kind for arm in found.values()} == {"alone", "joint", "transfer"}
    assert sum(covers(found[key].threshold, N50[key]) for key in N50) >= 10
    assert found["nadd", "nadd:6000"].threshold.kind == "above"
    whole = found["sum_max_med", "sum_max_med:6000"]
    # learning the mixture takes learning each of its operations
    parts = [found[task, "sum_max_med:6000"] for task in ("sum", "max", "med")]
    assert all(
        min(outcome.learned for outcome in outcomes) >= mixed.learned
        for mixed, *outcomes in zip(whole.outcomes("test"), *(part.outcomes("test") for part in parts), strict=True)
    )
    unseen = found["sum", "sum:6000"].unseen
    assert unseen.kind == "above" or (unseen.estimate or 0) > 75_000


def test_a_mixture_is_compared_with_the_task_alone_at_equal_steps(ladder: list[Result]) -> None:
    compared = {(c.arm.task, c.arm.curriculum): c for c in comparisons(arms(groups(ladder)))}
    assert set(compared) == {key for key in N50 if key[1] not in (f"{key[0]}:6000",)}
    found = compared["sum", "sum_max_med:6000"]
    assert found.equal == "steps"
    assert found.alone.curriculum == "sum:6000"
    assert found.ratio.kind == "number"
    assert (found.ratio.low or 0) <= 22 / 75 <= (found.ratio.high or 9)
    assert found.ratio.high < 1


def test_other_steps_are_compared_where_the_operation_was_seen_as_often(ladder: list[Result]) -> None:
    longer = [
        result("sum", 0.97, curriculum="sum_max_med:9000", seed=seed, width=width)
        for seed in range(3)
        for width in (16, 64)
    ]
    longer = [_with_training(one, budget=9000, reductions={"sum": 1_050_000}) for one in longer]
    alone = [one for one in ladder if (one.task.name, one.training and one.training.curriculum) == ("sum", "sum:6000")]
    alone = [_with_training(one, budget=6000) for one in alone]
    (found,) = comparisons(arms(groups([*alone, *longer])))
    assert found.equal == "exposure"
    longer = [_with_training(one, budget=9000, reductions={"sum": 2_000_000}) for one in longer]
    assert comparisons(arms(groups([*alone, *longer]))) == []


def _with_training(one: Result, **changes: object) -> Result:
    import dataclasses

    return dataclasses.replace(one, training=dataclasses.replace(one.training, **changes))  # type: ignore[arg-type]


def test_a_joint_run_counts_only_where_each_operation_was_scored() -> None:
    """A failure is known without them and a success is not: counting both would make learning look rarer."""
    mixture = "sum_max_med:6000"
    bare = [result("sum_max_med", 0.5 if w < 20 else 0.97, curriculum=mixture, width=w) for w in (8, 16, 32, 64)]
    assert arms(groups(bare)) == []
    singles = [result(task, 0.97, curriculum=mixture, width=w) for task in ("sum", "max", "med") for w in (8, 64)]
    whole = arm_of([*bare, *singles], "sum_max_med", mixture)
    assert [(o.learned, o.runs) for o in whole.outcomes("test")] == [(0, 1), (0, 0), (0, 0), (1, 1)]


def test_of_several_recipes_the_one_best_on_validation_rows_is_taken() -> None:
    def tried(recipe: str, test: float, validation: float | None, width: int) -> Result:
        splits = {"test": split_result(test)}
        if validation is not None:
            splits["validation"] = split_result(validation, 1000)
        seed = ["slow", "fast"].index(recipe)  # so that the weights differ
        return result("sum", test, seed=seed, width=width, recipe=Recipe(recipe, 0), splits=splits)

    pair = [tried("slow", 0.97, 0.5, 16), tried("fast", 0.3, 0.9, 16), tried("fast", 0.99, 0.9, 64)]
    (arm,) = arms(groups(pair))
    assert [o.learned for o in arm.outcomes("test")] == [0, 1]  # by validation, though the other did better on test
    assert (arm.recipes, arm.chosen) == (2, True)
    unknown = [tried("slow", 0.97, None, 16), tried("fast", 0.3, 0.9, 16), tried("fast", 0.99, 0.9, 64)]
    (arm,) = arms(groups(unknown))
    assert [(o.learned, o.runs) for o in arm.threshold.outcomes] == [(1, 2), (1, 1)]
    assert (arm.recipes, arm.chosen) == (2, False)


def test_what_was_not_trained_has_no_threshold() -> None:
    sizes = [8, 64]
    assert arms(groups([result(curriculum=None, width=w) for w in sizes])) == []
    assert arms(groups([result(track="constructed", width=w) for w in sizes])) == []
    assert arms(groups([result(curriculum="max:3000", width=w) for w in sizes])) == []
    assert len(arms(groups([result(width=w) for w in sizes]))) == 1


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
        found.setdefault((one.track, one.task), []).append(one.group)
    assert [(group.parameters, group.ranked) for group in found["open", "sum"]] == [(lucky.parameters.total, False)]
    reference = found["reference", "sum"]
    assert [group.plan for group in reference] == ["sum_max_med", "max_med, then sum"]  # of one size, in one place
    assert all(group.ranked and group.parameters == reference[0].parameters for group in reference)
    assert ("reference", "nadd") not in found


# --- time -------------------------------------------------------------------------------------------------------------


def test_kaplan_and_meier_by_hand() -> None:
    """Two of four learn at 900 and 1400; one was stopped at 1000: 1, 3/4, then 3/4 of 1/2."""
    found = survival([900, 1400], [1000, 3000])
    assert found.steps == (900, 1400)
    assert found.share == (0.75, 0.375)
    assert (found.median, found.learned, found.runs) == (1400, 2, 4)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_without_censoring_it_is_the_empirical_distribution(steps: list[int]) -> None:
    found = survival(steps, [])
    curve = ecdf(steps).sf
    assert found.steps == tuple(curve.quantiles)
    assert found.share == pytest.approx(list(curve.probabilities), abs=1e-6)
    assert sum(step > found.median for step in steps) * 2 <= len(steps)


def test_a_median_that_was_not_reached_is_none() -> None:
    found = survival([900], [3000, 3000])
    assert (found.median, found.median_high) == (None, None)
    assert survival([], [3000]).steps == ()


def test_time_to_learn_is_the_first_validation_that_passed() -> None:
    def run(seed: int, *points: tuple[int, float]) -> Result:
        return result(seed=seed, learning=learning(*points))

    found = groups([run(0, (100, 0.1), (200, 0.97), (300, 0.9)), run(1, (100, 0.2), (300, 0.4))])
    time = time_to_learn(found)
    assert (time.steps, time.share, time.runs) == ((200,), (0.5,), 2)
    assert time_to_learn(groups([result()])) is None
    assert time_to_learn([]) is None


def test_a_mixture_is_learned_when_each_operation_passes_at_one_validation() -> None:
    def run(task: str, *points: tuple[int, float]) -> Result:
        return result(task, curriculum="sum_max:300", learning=learning(*points))

    whole = run("sum_max", (100, 0.96), (200, 0.97), (300, 0.98))
    found = groups([whole, run("sum", (100, 0.9), (200, 0.94), (300, 0.96)), run("max", (100, 1), (200, 1), (300, 1))])
    (mixture,) = [group for group in found if group.task == "sum_max"]
    assert mixture.runs[0].learned_at == 300
    (alone,) = groups([whole])
    assert alone.runs[0].watched_until is None


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_thresholds_as_table_and_json(
    tmp_path: Path, ladder: list[Result], capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [one for one in ladder if one.task.name == "sum"]
    folder = write(tmp_path / "results", chosen)
    assert main(["leaderboard", "thresholds", str(folder), "--times"]) == 0
    text = capsys.readouterr().out
    assert "max_med, then sum" in text
    assert "Steps to learn" in text
    assert main(["leaderboard", "thresholds", str(folder), "--json"]) == 0
    (board,) = json.loads(capsys.readouterr().out)
    assert [one["curriculum"] for one in board["thresholds"]] == [
        "sum:6000", "sum_max_med:6000", "max_med:2000,sum:4000",
    ]  # fmt: skip
    joint = board["thresholds"][1]
    assert joint["against_alone"]["test"]["kind"] == "number"
    assert joint["test"]["parameters_learned_runs"][0][1:] == [0, 5]
    assert {"median_steps", "low", "high"} < set(joint["time_to_learn"][-1])
    assert main(["leaderboard", "thresholds", str(write(tmp_path / "other", [result()]))]) == 2
    assert "two sizes" in capsys.readouterr().err
