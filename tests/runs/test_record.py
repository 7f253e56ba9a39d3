"""run.json: written and read in one place, and what files of other versions come to."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.runs.exposure import exposure_of_run
from listops_bench.runs.folder import RunFiles, working_files
from listops_bench.runs.record import RunRecord, decode_run, read_run, write_run
from listops_bench.runs.store import StoredRecipe, stored_recipes, stored_run

STORE = Path(__file__).resolve().parents[2] / "leaderboard" / "weights"


def written(folder: Path, value: Any) -> Path:
    RunFiles(folder).record.write_text(json.dumps(value))
    return folder


def test_the_text_of_a_record_is_that_of_its_file(tmp_path: Path) -> None:
    for recipe in stored_recipes(STORE)[::10]:
        runs = StoredRecipe(STORE, recipe)
        content = runs.read(min(runs.digests))["run.json"]
        record = decode_run(json.loads(content), recipe)
        write_run(tmp_path, record)
        assert RunFiles(tmp_path).record.read_bytes() == content


def test_a_checkpoint_before_the_first_step_has_no_loss_and_says_so(tmp_path: Path) -> None:
    write_run(
        tmp_path,
        replace(read_run(stored_run("looped_d032-sum-6000-6cc1f1bc#0")), loss=None, validation={}, packed_runs=None),
    )
    value = json.loads(RunFiles(tmp_path).record.read_text())
    assert (value["loss"], value["validation"], "packed_runs" in value) == (None, {}, False)


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, RunRecord(name="made by hand"))
    assert json.loads(RunFiles(tmp_path).record.read_text()) == {"name": "made by hand"}


def test_records_of_older_and_newer_versions_are_read(tmp_path: Path) -> None:
    assert read_run(tmp_path) is None
    older = read_run(written(tmp_path, {"curriculum": "sum:5", "seed": 1, "config": {"trace": "none"}}))
    assert older == RunRecord(curriculum="sum:5", seed=1, config={"trace": "none"})
    assert read_run(written(tmp_path, {"name": "x", "of_next_year": [1]})) == RunRecord(name="x")


@pytest.mark.parametrize(
    "value", [5, {"config": None}, {"config": 5}, {"config": "x"}, {"identity": 5}, {"seed": "x"}, {"training": {}}]
)
def test_what_is_no_record_is_one_line_that_names_the_file(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^[^\n]*run\.json[^\n]*$"):
        read_run(written(tmp_path, value))


def test_a_folder_that_was_never_trained_shows_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path / "none", written(tmp_path, {"name": "x"})):
        with pytest.raises(InvalidInput, match="holds no run"):
            exposure_of_run(folder)


def test_the_names_of_a_run(tmp_path: Path) -> None:
    files = working_files(tmp_path / "first")
    assert files.state == tmp_path / "first.training" / "state.pt"
    for step in (500, 0, 100_000):
        files.step_checkpoint(step).mkdir(parents=True)
    assert [step for step, _ in files.step_checkpoints()] == [0, 500, 100_000]
