"""Results in the formats of others: every figure is there once, and the files say whose it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from listops_bench.errors import InvalidInput
from listops_bench.hub.formats import FORMATS, RANKED, export
from listops_bench.result.format import Result
from tests.support.fake_results import demo_results, result, write

DATASET = "org/listops_bench"
HUB = ("org/first", "0" * 40)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return demo_results()


def load(path: str, content: bytes) -> Any:
    return json.loads(content) if path.endswith(".json") else yaml.safe_load(content)


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_each_set_of_weights_has_a_file_and_the_same_results_give_the_same_bytes(
    results: list[Result], form: str
) -> None:
    files = export(results, form, DATASET)
    assert len(files) == len({one.model.weights_sha256 for one in results})
    assert files == export(results, form, DATASET)
    assert all(load(path, content) for path, content in files.items())


def test_every_eval_ever_holds_every_figure_with_its_interval(results: list[Result]) -> None:
    found = {
        (record["model_info"]["additional_details"]["weights_sha256"], entry["evaluation_result_id"]): entry
        for content in export(results, "every-eval-ever", DATASET).values()
        for record in [json.loads(content)]
        for entry in record["evaluation_results"]
    }
    assert len(found) == sum(2 * len(one.splits) for one in results)
    for one in results:
        for split, scored in one.splits.items():
            summary = scored.metrics.trace_accuracy
            entry = found[one.model.weights_sha256, f"{one.task.name}/{split}/trace_accuracy"]
            interval = entry["score_details"]["uncertainty"]["confidence_interval"]
            assert entry["score_details"]["score"] == summary.accuracy
            assert (interval["lower"], interval["upper"]) == (summary.low, summary.high)
            assert entry["source_data"]["samples_number"] == scored.n
            assert entry["source_data"]["hf_repo"] == DATASET


def test_a_record_of_every_eval_ever_has_what_its_schema_requires(results: list[Result]) -> None:
    """The required keys of its schema 0.3.0; that all published results pass the schema itself was checked by hand."""
    of_hub = result(model=type(results[0].model)(*HUB, None), curriculum=None)
    for path, content in export([*results, of_hub], "every-eval-ever", DATASET).items():
        record = json.loads(content)
        assert record["schema_version"] == "0.3.0"
        assert {"evaluation_id", "retrieved_timestamp", "eval_library"} <= record.keys()
        assert record["eval_library"]["version"] == results[0].evaluation.environment.packages["listops_bench"]
        assert record["source_metadata"].keys() >= {"source_type", "source_organization_name", "evaluator_relationship"}
        model = record["model_info"]
        assert {"deployment_type", "model_availability"} <= model["additional_details"].keys()
        assert all(isinstance(value, str) for value in model["additional_details"].values())
        assert path.split("/")[:-1] == ["data", "listops_bench", *model["id"].split("/")]
    assert model["id"] == HUB[0]


def test_the_hubs_formats_hold_the_ranked_splits(results: list[Result]) -> None:
    for content in export(results, "model-index", DATASET).values():
        (entry,) = yaml.safe_load(content)["model-index"]
        assert {one["dataset"]["split"] for one in entry["results"]} == set(RANKED)
    answers = [
        entry["value"] for file in export(results, "eval-results", DATASET).values() for entry in yaml.safe_load(file)
    ]
    assert answers == [one.splits["test"].metrics.answer_accuracy.accuracy for one in _by_model(results)]


def _by_model(results: list[Result]) -> list[Result]:
    first = {one.model: place for place, one in reversed(list(enumerate(results)))}
    return sorted(results, key=lambda one: first[one.model])


def test_an_unknown_format_gets_the_nearest(results: list[Result]) -> None:
    with pytest.raises(InvalidInput, match="unknown format 'model_index'; did you mean 'model-index'"):
        export(results, "model_index")


def test_the_command_writes_them(
    results: list[Result], tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    folder, out = write(tmp_path / "results", results[:2]), tmp_path / "out"
    words = ("--format", "every-eval-ever", "--output-dir", str(out), "--dataset-id", DATASET)
    assert command("leaderboard", "export", str(folder), *words)[0] == 0
    written = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.json")}
    assert written == export(results[:2], "every-eval-ever", DATASET)
