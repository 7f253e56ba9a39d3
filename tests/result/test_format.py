"""Result files: what is written reads back, and nothing false, strange or misplaced is read."""

import dataclasses
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jsonschema
import pytest

from listops_bench._base import records
from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput
from listops_bench.result import checks
from listops_bench.result.checks import validate
from listops_bench.result.files import (
    MAX_FILE_BYTES,
    find_results,
    read_result,
    read_results,
    result_path,
    write_result,
)
from listops_bench.result.format import Architecture, Model, Result, json_schema
from listops_bench.runs.record import Parameters
from listops_bench.score.completion import ByForm, Limits
from tests.support.fake_results import Change, demo_results, learning, many_results, result, set_at, split_result

SHA = "0" * 64


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_result(tmp_path, result())


@pytest.mark.parametrize("field", ["dataset_version", "scorer_version"])
@pytest.mark.parametrize(
    "version", ["1.0.0+z", "1.0.00", "0.0.1", "1.00", "1.0+x", "1.0.0.0", "01.0", "1", "1.0.0-rc1", "v1.0", "\uff11.0"]
)
def test_versions_are_a_closed_list(written: Path, field: str, version: str) -> None:
    rewrite(written, set_at(field, to=version))
    with pytest.raises(InvalidInput, match=r"1\.0|form"):
        read_result(written)


def rewrite(path: Path, change: Change) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


# --- writing and reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("original", demo_results())
def test_what_is_written_reads_back(tmp_path: Path, original: Result) -> None:
    path = write_result(tmp_path, original)
    assert read_result(path, tmp_path) == original
    assert path == result_path(tmp_path, original)


def test_the_path_says_model_revision_and_task(tmp_path: Path) -> None:
    of_mine = result("sum_max_med", curriculum="sum_max_med:3000")
    assert result_path("results", of_mine) == Path(
        f"results/looped_d048-sum_max_med-3000/{of_mine.model.weights_sha256[:12]}/sum_max_med.json"
    )
    of_hub = result(model=Model("org/model.v1", "0123456789" * 4, SHA))
    assert result_path("results", of_hub) == Path("results/org__model.v1/" + "0123456789" * 4 + "/sum.json")
    assert read_result(write_result(tmp_path, of_hub), tmp_path) == of_hub


def test_the_same_result_gives_the_same_bytes_and_no_other_file(tmp_path: Path) -> None:
    path = write_result(tmp_path, result())
    before = path.read_bytes()
    assert write_result(tmp_path, result()) == path
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    (tmp_path / "ordinary").touch()
    assert stat.S_IMODE(path.stat().st_mode) & 0o044 == (tmp_path / "ordinary").stat().st_mode & 0o044


def test_a_write_that_fails_leaves_the_old_file(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written.read_bytes()

    monkeypatch.setattr(os, "replace", Mock(side_effect=OSError(errno.ENOSPC, "disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_result(written.parents[2], result(accuracy=0.5))
    assert written.read_bytes() == before
    assert os.listdir(written.parent) == [written.name]


def test_an_invalid_result_is_not_written(tmp_path: Path) -> None:
    forged = dataclasses.replace(result(), dataset_version="../../etc")
    with pytest.raises(InvalidInput, match="dataset_version"):
        write_result(tmp_path, forged)
    assert not list(tmp_path.iterdir())


def test_all_results_of_a_folder(tmp_path: Path) -> None:
    for one in many_results(30):
        write_result(tmp_path, one)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / ".sum.json.half").write_text("{")
    assert len(read_results(tmp_path)) == len(find_results(tmp_path)) == 30
    with pytest.raises(InvalidInput, match="does not exist"):
        read_results(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="cannot read"):
        read_result(tmp_path / "sum.json")


def test_when_something_was_learned_is_kept_and_may_be_left_away(tmp_path: Path) -> None:
    original = result(learning=learning((250, 0.1), (500, 0.97)))
    path = write_result(tmp_path, original)
    assert read_result(path) == original
    assert '"correct": {"250": 26, "500": 248}' in path.read_text()
    rewrite(path, lambda content: content.pop("learning"))  # as a file from before the field was there
    older = read_result(path)
    assert older == dataclasses.replace(original, learning=None)
    jsonschema.validate(json.loads(path.read_text()), json_schema())
    for correct, message in (({"250": 257}, "257 correct of 256"), ({"-1": 3}, "form")):
        rewrite(path, set_at("learning", to={"n": 256, "correct": correct}))
        with pytest.raises(InvalidInput, match=message):
            read_result(path)


# --- the schema -------------------------------------------------------------------------------------------------------


def test_the_schema_file_is_made_from_the_classes() -> None:
    text = resource_path("leaderboard", "schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == json_schema(), "run: python -m listops_bench.result.format > leaderboard/schema.json"


def test_the_schema_is_a_schema_and_takes_our_files(written: Path) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(written.read_text()), schema)
    for one in many_results(40):
        jsonschema.validate(records.encode(one), schema)


WRONG_SHAPES: dict[str, Change] = {
    "unknown key": set_at("sede", to=1),
    "missing key": lambda content: content.pop("track"),
    "missing key inside": lambda content: content["model"].pop("revision"),
    "text for a number": set_at("parameters", "total", to="35328"),
    "true for a number": set_at("recipe", "seed", to=True),
    "a float for a count": set_at("parameters", "total", to=35328.5),
    "negative count": set_at("parameters", "embedding", to=-1),
    "no rows": set_at("splits", "test", "n", to=0),
    "accuracy above 1": set_at("splits", "test", "metrics", "trace_accuracy", "accuracy", to=1.01),
    "short checksum": set_at("model", "weights_sha256", to="abc"),
    "unknown track": set_at("track", to="best"),
    "unknown split": lambda content: content["splits"].update(train=content["splits"]["test"]),
    "unknown slice": lambda content: content["splits"]["test"]["slices"].update(luck={}),
    "strange operation": set_at("training", "reductions", to={"Add!": 1}),
    "schema version": set_at("schema_version", to=2),
    "list for an object": set_at("splits", "test", to=[]),
    "null for an object": set_at("evaluation", to=None),
    "script in a name": set_at("model", "id", to="<script>alert(1)</script>"),
    "climbing id": set_at("model", "id", to="../../../tmp/x"),
    "hidden id": set_at("model", "id", to=".ssh"),
    "slashes in an id": set_at("model", "id", to="a/b/c"),
    "climbing revision": set_at("model", "revision", to=".."),
    "climbing task": set_at("task", "name", to="../sum"),
    "many dashes in an id": set_at("model", "id", to="a" + "-" * 150 + "!"),
    "control character": set_at("architecture", "name", to="a\nb"),
    "a file to read": set_at("training", "curriculum", to="/etc/secret.yaml"),
    "endless text": set_at("training", "curriculum", to="x" * 5000),
    "a huge size": set_at("parameters", "total", to=10**16),
    "a size of 309 digits": set_at("parameters", "flops_per_token", to=10**309),
    "endless training": set_at("training", "tokens", to=2 * 10**15),
    "a negative seed": set_at("recipe", "seed", to=-1),
    "a huge seed": set_at("recipe", "seed", to=2**63),
    "a huge wall time": set_at("training", "wall_seconds", to=1e300),
    "huge counts": set_at("training", "reductions", "sum", to=10**300),
    "a huge modulus": set_at("task", "modulus", to=65),
    "a name that turns around": set_at("architecture", "name", to="a\u202eb"),
    "half a character": set_at("evaluation", "environment", "hardware", to="\ud800"),
    "a line separator": set_at("training", "curriculum", to="sum:1\u2028"),
    "a strange package": set_at("training", "environment", "packages", to={"a\nb": "1"}),
    "a strange slice": lambda content: content["splits"]["test"]["slices"]["depth"].update({"::error::": {}}),
    "dates": set_at("evaluation", "created", to="yesterday"),
}


@pytest.mark.parametrize("change", WRONG_SHAPES.values(), ids=WRONG_SHAPES)
def test_wrong_shapes_are_refused_by_reader_and_schema(written: Path, change: Change) -> None:
    rewrite(written, change)
    with pytest.raises(InvalidInput) as error:
        read_result(written)
    assert str(written) in str(error.value)
    assert "\n" not in str(error.value)
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(json.loads(written.read_text()))


# --- what JSON itself allows ------------------------------------------------------------------------------------------

WRONG_TEXTS = {
    "not JSON": (lambda text: text[:-20], "not valid JSON"),
    "not UTF-8": (lambda text: text.replace("looped", "\udcff", 1), "not valid JSON"),
    "a duplicate key": (lambda text: text.replace('"track"', '"track": "open", "track"', 1), "stands twice"),
    "NaN": (lambda text: text.replace('"wall_seconds": 110.5', '"wall_seconds": NaN'), "NaN"),
    "infinity": (lambda text: text.replace('"wall_seconds": 110.5', '"wall_seconds": 1e999'), "out of range"),
    "a huge integer": (lambda text: text.replace("7700000", "9" * 5000), "more than 40 digits"),
    "deep nesting": (lambda text: '{"a":' * 100_000, "nested too deeply"),
    "too large": (lambda text: text + " " * MAX_FILE_BYTES, "larger than"),
    "a list": (lambda text: "[]", "not an object"),
    "nothing": (lambda text: "", "not valid JSON"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_TEXTS.values(), ids=WRONG_TEXTS)
def test_strange_files_are_refused(written: Path, change: Callable[[str], str], message: str) -> None:
    written.write_bytes(change(written.read_text()).encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput, match=message) as error:
        read_result(written)
    assert len(str(error.value)) < 500


# --- consistency ------------------------------------------------------------------------------------------------------

METRICS_OF_TEST = ("splits", "test", "metrics")
HELD_OUT = ("splits", "test_unseen_operands", "held_out", "sum")
FORGED: dict[str, tuple[Change, str]] = {
    "a misspelt key": (set_at("recipe", "sede", to=1), r"recipe: unknown key 'sede'; did you mean 'seed'\?"),
    "altered accuracy": (set_at(*METRICS_OF_TEST, "trace_accuracy", "accuracy", to=0.99), "does not follow"),
    "altered interval": (set_at(*METRICS_OF_TEST, "trace_accuracy", "low", to=0.5), "does not follow"),
    "altered count": (set_at(*METRICS_OF_TEST, "answer_accuracy", "correct", to=4999), "does not follow"),
    "more than all": (set_at(*METRICS_OF_TEST, "answer_accuracy", "correct", to=5001), "5001 correct of 5000"),
    "wrong n": (set_at("splits", "test", "n", to=4000), "n is 4000"),
    "too many rows": (
        lambda content: content["splits"].update(test_deeper=records.encode(split_result(0.9, 5000))),
        "the split has 2000",
    ),
    "altered size": (set_at("parameters", "total", to=1000), "total is not embedding"),
    "another modulus": (set_at("task", "modulus", to=20), "not that of 'sum', 10"),
    "another spelling": (set_at("task", "name", to="max_sum"), "spelled 'sum_max'"),
    "unknown task": (set_at("task", "name", to="sun"), "unknown task"),
    "a task of a page": (set_at("task", "name", to="sum_mine_0123456789ab"), "somebody's own page"),
    "trained on an unknown operation": (set_at("training", "reductions", to={"add": 1}), "'add' is no operation"),
    "an unknown operation held out": (
        lambda content: content["splits"]["test_unseen_operands"]["held_out"].update(
            add=content["splits"]["test_unseen_operands"]["held_out"]["sum"]
        ),
        "'add' is no operation",
    ),
    "no splits": (set_at("splits", to={}), "there is none"),
    "no slices": (set_at("splits", "test", "slices", to={}), "slices: must be"),
    "a slice dropped": (lambda content: content["splits"]["test"]["slices"]["depth"].pop("1"), "do not add up"),
    "steps that never went wrong": (set_at("splits", "test", "first_wrong_step", to={}), "more rows without"),
    "steps that went wrong": (set_at("splits", "test", "first_wrong_step", to={"1": 4000}), "fewer rows without"),
    "step nought": (set_at("splits", "test", "first_wrong_step", to={"0": 150}), r"form \[1-9\]"),
    "no weights": (set_at("model", "weights_sha256", to=None), "neither a revision nor the weights' hash"),
    "steps never reached": (set_at(*HELD_OUT, "n", to=2000), "of 1320"),
    "too many multisets": (set_at(*HELD_OUT, "multisets", to=1300), "1300 multisets among 1188"),
    "altered held-out accuracy": (set_at(*HELD_OUT, "accuracy", to=0.9), "accuracy does not follow"),
    "altered held-out interval": (set_at(*HELD_OUT, "low", to=0.9), "outside its interval"),
    "held-out steps elsewhere": (
        lambda content: content["splits"]["test"].update(
            held_out=content["splits"]["test_unseen_operands"]["held_out"]
        ),
        "only test_unseen_operands has",
    ),
    "traces beat answers": (lambda content: swap(content["splits"]["test"]["metrics"]), "more exact traces than"),
}


def swap(metrics: dict[str, Any]) -> None:
    metrics.update(answer_accuracy=metrics["trace_accuracy"], trace_accuracy=metrics["answer_accuracy"])


@pytest.mark.parametrize(("change", "message"), FORGED.values(), ids=FORGED)
def test_numbers_that_disagree_are_refused(written: Path, change: Change, message: str) -> None:
    rewrite(written, change)
    with pytest.raises(InvalidInput, match=message):
        read_result(written)


def test_a_file_from_before_the_held_out_score_is_read_as_one_without_it(written: Path) -> None:
    rewrite(written, lambda content: content["splits"]["test_unseen_operands"].pop("held_out"))
    jsonschema.validate(json.loads(written.read_text()), json_schema())
    assert read_result(written).splits["test_unseen_operands"].held_out == {}


def test_intervals_by_form_are_shown_and_a_file_from_before_them_is_the_same_bytes_again(
    written: Path, tmp_path: Path
) -> None:
    before, old = written.read_bytes(), read_result(written).splits["test"]
    assert (b"by_form" in before, old.by_form, write_result(tmp_path, read_result(written)).read_bytes()) == (
        False, None, before,
    )  # fmt: skip
    assert old.summary("trace_accuracy") == old.metrics.trace_accuracy
    wide = Limits(0.5, 1.0)
    rewrite(written, set_at("splits", "test", "by_form", to=records.encode(ByForm(1346, wide, wide, wide))))
    jsonschema.validate(json.loads(written.read_text()), json_schema())
    found = read_result(written).splits["test"].summary("trace_accuracy")
    assert found == dataclasses.replace(old.metrics.trace_accuracy, low=0.5, high=1.0)


def test_a_model_that_another_harness_has_run_is_known_by_its_revision(tmp_path: Path) -> None:
    foreign = dataclasses.replace(
        result(training=None),
        model=Model("org/large", "f" * 40, None),
        parameters=Parameters(8_000_000_000, None, None, None),
        architecture=Architecture("prompted", "large", "unknown", None, None, None, None),
    )
    path = write_result(tmp_path, foreign)
    assert path == tmp_path / "org__large" / ("f" * 40) / "sum.json"
    assert read_result(path, tmp_path) == foreign


def test_rows_of_an_older_dataset_may_be_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "DATASET_VERSIONS", ("0.0.1", "1.0.0"))
    old = dataclasses.replace(result(), dataset_version="0.0.1", splits={"test_deeper": split_result(0.9, 5000)})
    validate(old)


def test_a_file_in_the_wrong_place_is_refused(written: Path) -> None:
    root = written.parents[2]
    moved = written.parents[1] / "elsewhere" / written.name
    moved.parent.mkdir()
    written.rename(moved)
    assert read_result(moved).task.name == "sum"
    with pytest.raises(InvalidInput, match="belongs at"):
        read_result(moved, root)
