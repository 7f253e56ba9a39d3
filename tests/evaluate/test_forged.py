"""Forged submissions: each kind is refused by one line, which names the rule that SUBMITTING.md spells out."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listops_bench._base import records
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.evaluate.verification import verify_files
from listops_bench.result.files import MAX_FILE_BYTES, write_result
from listops_bench.result.format import Result
from listops_bench.result.rules import RULES
from listops_bench.result.verified import read_verified
from listops_bench.stats.intervals import Summary
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record
from tests.support.fake_results import Change, set_at

SUBMITTING = Path(__file__).resolve().parents[2] / "leaderboard" / "SUBMITTING.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_taciturn_checkpoint(tmp_path_factory.mktemp("checkpoints") / "first", run_record("sum:30"))


@pytest.fixture(scope="module")
def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder.parent)


@pytest.fixture(scope="module")
def honest(folder: Path) -> Result:
    return evaluate_checkpoint(folder, "sum", ("validation", "test_unseen_operands"))[0]


SPLIT = ("splits", "validation")
METRICS = (*SPLIT, "metrics")
HELD_OUT = ("splits", "test_unseen_operands", "held_out", "sum")


def summary(place: dict[str, Any], **more: int) -> None:
    """Counts that are higher, with the accuracy and interval that follow."""
    for metric, add in more.items():
        found = place[metric]
        place[metric] = records.encode(Summary.of(found["correct"] + add, found["n"]))


def better(rows: int, *metrics: str, others: bool = False) -> Change:
    """So many more right, in the whole and in every slice; ``others``: of other answers."""

    def change(content: dict[str, Any]) -> None:
        split = content["splits"]["validation"]
        largest = [
            max(group.values(), key=lambda one: one["answer_accuracy"]["n"]) for group in split["slices"].values()
        ]
        for place in (split["metrics"], *largest):
            summary(place, **dict.fromkeys(metrics, rows))
        wrong = split["first_wrong_step"]
        if "trace_accuracy" in metrics:
            wrong["1"] -= rows
        del split["by_form"]  # as in results from before it was there
        if others:
            split["predictions_sha256"] = "0" * 64

    return change


def replace(**values: Any) -> Change:
    return lambda content: content.update(values)


def within(*keys: str, **values: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        for key in keys:
            content = content[key]
        content.update(values)

    return change


def held_out(**values: Any) -> Change:
    return within(*HELD_OUT, **values)


def renamed_slices(content: dict[str, Any]) -> None:
    groups = content["splits"]["validation"]["slices"]["depth"]
    groups["9"] = groups.pop(min(groups))


def another_modulus(content: dict[str, Any]) -> None:
    content["task"] = {"name": "sum_mod20", "modulus": 10, "trace": "parallel"}


FORGED: dict[str, tuple[Change, str]] = {
    # a version that never was
    "dataset 1.0.0+z": (replace(dataset_version="1.0.0+z"), "versions"),
    "dataset 1.0.00": (replace(dataset_version="1.0.00"), "versions"),
    "dataset 0.0.1": (replace(dataset_version="0.0.1"), "versions"),
    "dataset 1.0.1": (replace(dataset_version="1.0.1"), "versions"),
    "scorer 1.00": (replace(scorer_version="1.00"), "versions"),
    "scorer 1.0+x": (replace(scorer_version="1.0+x"), "versions"),
    "scorer 99": (replace(scorer_version="99"), "versions"),
    # another format
    "a later format": (replace(schema_version=2), "format"),
    "a key more": (replace(verified=True), "format"),
    "a key less": (lambda content: content.pop("track"), "format"),
    "a key more inside": (within("recipe", rank=1), "format"),
    "an unknown track": (replace(track="best"), "format"),
    "a size of 10^309": (within("parameters", total=10**38), "format"),
    "endless tokens": (within("training", tokens=10**16), "format"),
    "a negative count": (within("parameters", embedding=-1), "format"),
    "true for a number": (within("recipe", seed=True), "format"),
    "a float for a count": (set_at(*SPLIT, "n", to=1000.5), "format"),
    "no rows": (set_at(*SPLIT, "n", to=0), "format"),
    "an accuracy above 1": (set_at(*METRICS, "trace_accuracy", "accuracy", to=1.01), "format"),
    "the train split": (lambda content: content["splits"].update(train=content["splits"]["validation"]), "format"),
    "a slice of its own": (lambda content: content["splits"]["validation"]["slices"].update(luck={}), "format"),
    "script tags as an id": (within("model", id="<script>alert(1)</script>"), "format"),
    "a climbing id": (within("model", id="../../../etc/x"), "format"),
    "a CI command as an id": (within("model", id="::error::x"), "format"),
    "a branch": (within("model", revision="main"), "format"),
    "script tags as a shape": (within("architecture", name="<script>alert(1)</script>"), "format"),
    "markdown as a family": (within("architecture", family="![x](http://y)"), "format"),
    "a name that turns around": (within("architecture", name="a\u202eb"), "format"),
    "a file as a curriculum": (within("training", curriculum="sum@/etc/secret.yaml:30"), "format"),
    "a time that is none": (within("evaluation", created="yesterday"), "format"),
    # another place
    "another id": (within("model", id="of_another"), "place"),
    "another task's file": (within("task", name="max"), "place"),
    "other weights' folder": (within("model", weights_sha256="0" * 64), "place"),
    # another task
    "a task that is none": (within("task", name="sun"), "task"),
    "another spelling": (within("task", name="sum_mod10"), "task"),
    "another modulus": (another_modulus, "task"),
    "a modulus of its own": (within("task", modulus=11), "task"),
    # other rows
    "no splits": (replace(splits={}), "rows"),
    "more rows than there are": (set_at(*SPLIT, "n", to=2000), "rows"),
    "rows of another split": (
        lambda content: content["splits"]["validation"].update(
            rows_sha256=content["splits"]["test_unseen_operands"]["rows_sha256"]
        ),
        "rows",
    ),
    "rows of another style": (within("task", trace="single"), "rows"),
    "slices of other rows": (renamed_slices, "rows"),
    # counts that do not agree
    "an accuracy alone": (set_at(*METRICS, "answer_accuracy", "accuracy", to=0.99), "counts"),
    "an interval alone": (set_at(*METRICS, "answer_accuracy", "high", to=0.9), "counts"),
    "more right than rows": (set_at(*METRICS, "answer_accuracy", "correct", to=1001), "counts"),
    "a count of the whole alone": (
        lambda content: summary(content["splits"]["validation"]["metrics"], answer_accuracy=5), "counts",
    ),
    "a slice dropped": (lambda content: content["splits"]["validation"]["slices"].pop("depth"), "counts"),
    "steps that never went wrong": (set_at(*SPLIT, "first_wrong_step", to={}), "counts"),
    "more reached than steps": (held_out(n=10**6), "counts"),
    "an interval by form that is too narrow": (within(*SPLIT, "by_form", "answer_accuracy", low=0.99), "counts"),
    "more forms than rows": (within(*SPLIT, "by_form", forms=2000), "counts"),
    "an interval by form of its own": (within(*SPLIT, "by_form", "answer_accuracy", low=0.0, high=1.0), "answers"),
    "held-out steps elsewhere": (
        lambda content: content["splits"]["validation"].update(
            held_out=content["splits"]["test_unseen_operands"]["held_out"]
        ),
        "counts",
    ),
    "validated more often right than asked": (replace(learning={"n": 1, "correct": {"10": 2}}), "counts"),
    # another size
    "a total alone": (within("parameters", total=100), "size"),
    "a smaller size": (within("parameters", total=1000, embedding=500, non_embedding=500), "size"),
    "fewer operations": (within("parameters", flops_per_token=1), "size"),
    "another shape": (within("architecture", num_layers=1), "size"),
    "another family": (within("architecture", family="mine", name="mine_d008"), "size"),
    "a size between rungs": (within("architecture", name="looped_d010", hidden_size=10), "size"),
    # another training
    "a reference run that does not say how": (replace(track="reference", training=None), "training"),
    "a reference run without a seed": (
        lambda c: (c.update(track="reference"), c["recipe"].update(seed=None)), "training",
    ),
    "more steps than allowed": (within("training", steps=31), "training"),
    "more tokens with loss than tokens": (within("training", loss_tokens=9001), "training"),
    "fewer steps": (within("training", steps=29), "training"),
    "another curriculum": (within("training", curriculum="max:30"), "training"),
    "cleaner code": (within("training", "environment", dirty=False, commit="0" * 40), "training"),
    "an earlier success": (replace(learning={"n": 256, "correct": {"10": 256}}), "training"),
    # another seed, other answers
    "another seed": (within("recipe", seed=4), "seeds"),
    "no seed": (within("recipe", seed=None), "seeds"),
    "another recipe": (within("recipe", id="looped_d008-better"), "seeds"),
    "better answers": (better(100, "answer_accuracy"), "answers"),
    "better and other answers": (better(100, "answer_accuracy", others=True), "answers"),
    "one row in a thousand": (better(1, "answer_accuracy", others=True), "answers"),
    "learned by one row": (better(1, "answer_accuracy", "trace_accuracy", others=True), "answers"),
    "other answers of the same score": (set_at(*SPLIT, "predictions_sha256", to="0" * 64), "answers"),
}  # fmt: skip


def assert_refused(path: Path, checkpoints: Checkpoints, rule: str) -> None:
    (verdict,) = verify_files([path], checkpoints)
    assert verdict.status != "verified"
    assert verdict.reason.endswith(f"(rule {rule})"), verdict.reason
    assert str(path) in verdict.reason
    assert "\n" not in verdict.reason
    assert len(verdict.reason) < 700
    assert read_verified(path.parents[2]) == {}


@pytest.mark.parametrize(("change", "rule"), FORGED.values(), ids=FORGED)
def test_a_forged_result_is_refused_by_its_rule(
    change: Change, rule: str, honest: Result, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    honest_path = write_result(tmp_path / "results", honest)
    content = json.loads(honest_path.read_text())
    change(content)
    honest_path.unlink()
    task = content.get("task", {}).get("name", "sum")
    path = honest_path if rule == "place" else honest_path.with_name(f"{task}.json")  # so that it looks right
    path.write_text(json.dumps(content))
    assert_refused(path, checkpoints, rule)


TEXTS: dict[str, Callable[[str], str]] = {
    "a key twice": lambda text: text.replace('"track"', '"track": "open", "track"', 1),
    "NaN": lambda text: text.replace('"accuracy": ', '"accuracy": NaN, "x": ', 1),
    "a number of 5,000 digits": lambda text: text.replace("9000", "9" * 5000, 1),
    "half a character": lambda text: text.replace("AMD", r"\ud800", 1),
    "deep nesting": lambda text: '{"a":' * 100_000,
    "nothing": lambda text: "",
    "a list": lambda text: f"[{text}]",
    "too large": lambda text: text + " " * MAX_FILE_BYTES,
}


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
def test_a_strange_text_is_refused_by_the_rule_of_format(
    change: Callable[[str], str], honest: Result, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    path = write_result(tmp_path / "results", honest)
    path.write_text(change(path.read_text()))
    assert_refused(path, checkpoints, "format")


def test_a_link_is_refused_by_the_rule_of_places(honest: Result, checkpoints: Checkpoints, tmp_path: Path) -> None:
    path = write_result(tmp_path / "results", honest)
    elsewhere = tmp_path / "elsewhere.json"
    os.replace(path, elsewhere)
    path.symlink_to(elsewhere)
    assert_refused(path, checkpoints, "place")


def test_the_honest_one_is_verified(honest: Result, checkpoints: Checkpoints, tmp_path: Path) -> None:
    (verdict,) = verify_files([write_result(tmp_path / "results", honest)], checkpoints)
    assert verdict.status == "verified", verdict.reason


def test_there_are_sixty_kinds_and_every_rule_stands_in_the_rules() -> None:
    assert len(FORGED) + len(TEXTS) >= 60
    assert {rule for _, rule in FORGED.values()} <= set(RULES)
    text = SUBMITTING.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| <a id=\"rule-(\w+)\"></a>`(?:\w+)` \|", text, re.MULTILINE)) == set(RULES)
    assert all(f'<a id="rule-{rule}"></a>`{rule}` |' in text for rule in RULES)
