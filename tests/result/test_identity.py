"""One set of weights has one name, and one seed of a recipe one set of weights; first is who was verified first."""

import dataclasses
from pathlib import Path

import pytest

from listops_bench.result.format import Model, Recipe, Result
from listops_bench.result.identity import FEW_WRONG, conflicts
from listops_bench.result.verified import Verification
from tests.support.fake_results import environment, result, sha256, split_result

MINE, OTHER = Path("b/mine.json"), Path("a/other.json")


def record(day: int, tensors: str | None = None) -> Verification:
    return Verification("", 11_000, 0, True, f"2026-11-{day:02d}T12:00:00Z", environment(), tensors)


def answering(correct: int, predictions: str) -> Result:
    split = dataclasses.replace(split_result(correct / 5000), predictions_sha256=sha256(predictions))
    made = result(model=Model("org/name", None, sha256(f"{correct} {predictions}")))
    return dataclasses.replace(made, splits={"test": split})


def under(name: str, one: Result, weights: str | None = None, **recipe: object) -> Result:
    model = Model(name, "0" * 40, weights or one.model.weights_sha256)
    return dataclasses.replace(one, model=model, recipe=dataclasses.replace(one.recipe, **recipe))


HONEST = result("sum", 0.97)
FORGED = {
    "the same file": ("weights", under("org/other", HONEST, seed=5)),
    "the same file, on another task": (
        "weights", under("org/other", result("max", 0.9), HONEST.model.weights_sha256, seed=5),
    ),
    "the same file, at another revision": ("weights", under(HONEST.model.id, HONEST, seed=5)),
    "the same answers of another file": ("weights", under("org/other", HONEST, "1" * 64, seed=5)),
    "the same seed": ("seeds", under("org/other", result("sum", 0.5), "1" * 64)),
    "the same seed of the same rows, numbered": (
        "seeds", under("org/other", result("sum", 0.5), "1" * 64, dataset_seed=0),
    ),
    "the same seed on another track": (
        "seeds", under("org/other", dataclasses.replace(result("sum", 0.5), track="open"), "1" * 64),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "forged"), FORGED.values(), ids=FORGED)
def test_who_was_verified_first_stays(rule: str, forged: Result) -> None:
    files = {OTHER: forged, MINE: HONEST}
    found = conflicts(files, {MINE: record(3)})
    assert list(found) == [OTHER]
    assert found[OTHER].is_settled
    assert found[OTHER].problem.endswith(f"{MINE}, which was verified first (rule {rule})")
    assert list(conflicts(files, {MINE: record(3), OTHER: record(4)})) == [OTHER]
    assert list(conflicts(files, {MINE: record(4), OTHER: record(3)})) == [MINE]


def test_a_seed_of_other_rows_is_another_run() -> None:
    assert conflicts({OTHER: under("org/other", result("sum", 0.3), "1" * 64, dataset_seed=1), MINE: HONEST}, {}) == {}


@pytest.mark.parametrize(("rule", "forged"), FORGED.values(), ids=FORGED)
def test_where_nobody_was_verified_nobody_is_first(rule: str, forged: Result) -> None:
    found = conflicts({OTHER: forged, MINE: HONEST}, {})
    assert set(found) == {OTHER, MINE}
    assert not any(one.is_settled for one in found.values())
    assert all(one.problem.endswith(f"and neither has been verified (rule {rule})") for one in found.values())


def test_tensors_tell_what_a_header_hides() -> None:
    first, second = result(seed=0), result(seed=1)
    files = {MINE: first, OTHER: second}
    assert conflicts(files, {}) == {}
    digest = {one.model.weights_sha256: "f" * 64 for one in (first, second)}
    assert set(conflicts(files, {}, digest)) == {MINE, OTHER}
    assert set(conflicts(files, {MINE: record(3, "f" * 64)}, {second.model.weights_sha256: "f" * 64})) == {OTHER}
    assert conflicts(files, {MINE: record(3, "f" * 64), OTHER: record(4, "e" * 64)}) == {}


@pytest.mark.parametrize(
    ("correct", "alike"), [(4_000, True), (5_000 - FEW_WRONG, True), (5_000 - FEW_WRONG + 1, False), (2_000, False)]
)
def test_models_that_do_well_share_no_mistakes(correct: int, alike: bool) -> None:
    """Nearly perfect ones may share a few, and those that learned nothing all."""
    one = answering(correct, "same")
    other = under("org/other", one, "1" * 64, id="another")
    assert bool(conflicts({MINE: one, OTHER: other}, {})) == alike
    elsewhere = under("org/other", answering(correct, "others"), "1" * 64, id="another")
    assert conflicts({MINE: one, OTHER: elsewhere}, {}) == {}


def test_honest_seeds_sizes_tasks_and_models_without_a_seed_stand_beside_each_other() -> None:
    unseeded = [
        result("sum", 0.9, model=Model(f"org/m{i}", "0" * 40, str(i) * 64), recipe=Recipe("r", None)) for i in (1, 2)
    ]
    found = [*(result(seed=seed) for seed in range(3)), result(width=64), result("max"), *unseeded]
    assert conflicts({Path(str(place)): one for place, one in enumerate(found)}, {}) == {}
