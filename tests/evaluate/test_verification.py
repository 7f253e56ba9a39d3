"""Submissions of strangers: honest ones are verified, forged ones caught with one line, and no code of theirs runs."""

import dataclasses
import hashlib
import json
import lzma
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from listops_bench._base import records
from listops_bench.evaluate import _ties, measuring
from listops_bench.evaluate._compare import Reproduction, compare
from listops_bench.evaluate._ties import near_ties
from listops_bench.evaluate.examiner import Examiner
from listops_bench.evaluate.measuring import Verdict
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.evaluate.verification import validate_files, verify_file, verify_files
from listops_bench.leaderboard.board import read_boards
from listops_bench.model import origin
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.result import checks
from listops_bench.result.files import MAX_FILE_BYTES, write_result
from listops_bench.result.format import Model, Result
from listops_bench.result.verified import read_verified, result_sha256
from listops_bench.tasks.generator import generate
from listops_bench.tasks.symbols import EOS_ID
from listops_bench.tasks.task import get_task
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record
from tests.support.fake_results import Change, metrics, result, set_at, split_result
from tests.support.hub_server import HubServer, Repo

SPLITS = ("validation", "test_unseen_operands")
NAME = "org/first"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checkpoints") / "of_a_sweep" / "first"
    return make_taciturn_checkpoint(place, run_record("sum:30"))


@pytest.fixture(scope="module")
def measured(folder: Path) -> Result:
    """An honest result of a folder."""
    return evaluate_checkpoint(folder, "sum", SPLITS)[0]


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def published(repo: Repo, folder: Path) -> str:
    """The checkpoint's commit in a repository whose main branch has gone on to other weights."""
    commit = repo.add(files_of(folder))
    repo.add({"model.safetensors": b"other weights"})
    return commit


@pytest.fixture(scope="module")
def submission(folder: Path, measured: Result) -> Result:
    """An honest result of a model on the Hub, at its commit."""
    commit = published(Repo("model", NAME), folder)
    return dataclasses.replace(measured, model=Model(NAME, commit, measured.model.weights_sha256))


@pytest.fixture
def hub(hub_server: HubServer, folder: Path) -> HubServer:
    published(hub_server.create("model", NAME), folder)
    return hub_server


# --- honest submissions -----------------------------------------------------------------------------------------------


def test_an_honest_submission_is_verified_at_its_commit(hub: HubServer, submission: Result, tmp_path: Path) -> None:
    path = write_result(tmp_path / "results", submission)
    (verdict,) = verify_files([path])
    assert verdict.status == "verified", verdict.reason
    record = read_verified(tmp_path / "results")[result_sha256(submission)]
    assert record == verdict.record
    assert (record.rows, record.differing, record.same_predictions) == (3000, 0, True)
    assert not [path for method, path, _ in hub.requests if path.endswith(".py")], "no code is fetched"


def test_a_folder_is_found_by_its_weights(folder: Path, measured: Result, tmp_path: Path) -> None:
    path = write_result(tmp_path / "results", measured)
    assert list(validate_files([path], Checkpoints(folder.parent))) == [(path, None)]
    assert verify_file(path, Checkpoints(folder.parent.parent)).status == "verified"
    assert verify_file(path, Checkpoints(tmp_path)).status == "unverifiable"


def test_without_a_connection_nothing_is_refuted(submission: Result, tmp_path: Path) -> None:
    verdict = verify_file(write_result(tmp_path / "results", submission), Checkpoints())
    assert (verdict.status, "the Hub cannot be reached" in verdict.reason) == ("unverifiable", True)


@pytest.mark.parametrize("name", ["org/a--b", "org/a.git", f"org/{'a' * 97}", "org/a+b"])
def test_a_name_that_the_hub_does_not_take_stops_nothing(
    name: str, measured: Result, submission: Result, hub: HubServer, tmp_path: Path
) -> None:
    impossible = dataclasses.replace(submission, model=dataclasses.replace(submission.model, id=name))
    paths = [write_result(tmp_path / "results", one) for one in (impossible, submission)]
    assert [verdict.status for verdict in verify_files(paths)] == ["unverifiable", "verified"]


def test_the_record_follows_the_result(measured: Result, folder: Path, tmp_path: Path) -> None:
    results_dir = tmp_path / "results"
    path = write_result(results_dir, measured)
    places = Checkpoints(folder.parent)
    verify_files([path], places)
    forged = dataclasses.replace(measured, recipe=dataclasses.replace(measured.recipe, seed=9))
    write_result(results_dir, forged)
    assert result_sha256(forged) not in read_verified(results_dir)
    verify_files([path])  # its checkpoint is nowhere: what was found before stays
    assert len(read_verified(results_dir)) == 1
    verify_files([path], places, write=False)
    assert len(read_verified(results_dir)) == 1
    (verdict,) = verify_files([path], places)
    assert (verdict.status, read_verified(results_dir)) == ("refuted", {})


def test_weights_set_by_hand_are_verified_like_any(tmp_path: Path) -> None:
    folder = make_taciturn_checkpoint(tmp_path / "checkpoints" / "by_hand", {"name": "by hand"})
    (found,) = evaluate_checkpoint(folder, "sum", "validation", track="constructed")
    assert (found.training, found.recipe.seed) == (None, None)
    verdict = verify_file(write_result(tmp_path / "results", found), Checkpoints(tmp_path / "checkpoints"))
    assert verdict.status == "verified", verdict.reason


def test_of_another_harness_or_version_there_is_nothing_to_compare(
    measured: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "DATASET_VERSIONS", ("0.9.0", "1.0.0"))
    imported = {"model": Model(NAME, "0" * 40, None)}
    for changes, reason in ((imported, "imported from"), ({"dataset_version": "0.9.0"}, "dataset version 0.9.0")):
        verdict = verify_file(write_result(tmp_path, dataclasses.replace(measured, **changes)), Checkpoints())
        assert (verdict.status, reason in verdict.reason) == ("unverifiable", True)


# --- forged submissions: the result -----------------------------------------------------------------------------------


def better(content: dict[str, Any], rows: int = 100) -> None:
    """So many answers more than there were, in the whole and in every slice."""
    split = content["splits"]["validation"]
    largest = [max(g.values(), key=lambda group: group["answer_accuracy"]["n"]) for g in split["slices"].values()]
    for place in (split["metrics"], *largest):
        summary = place["answer_accuracy"]
        place["answer_accuracy"] = records.encode(metrics(summary["correct"] + rows, 0, summary["n"]).answer_accuracy)
    del split["by_form"]  # as in results from before it was there


def between_rungs(content: dict[str, Any]) -> None:
    content["architecture"] |= {"name": "looped_d010", "hidden_size": 10}


def better_elsewhere(content: dict[str, Any]) -> None:
    better(content)
    content["splits"]["validation"]["predictions_sha256"] = "0" * 64


def smaller(content: dict[str, Any]) -> None:
    for key in ("total", "non_embedding"):
        content["parameters"][key] -= 100


def off_the_ladder(content: dict[str, Any]) -> None:
    smaller(content)
    content["architecture"] |= {"name": "mine_d008", "family": "mine"}


def all_rows_of_another(content: dict[str, Any]) -> None:
    content["splits"]["validation"]["rows_sha256"] = content["splits"]["test_unseen_operands"]["rows_sha256"]


IN_VALIDATION = ("splits", "validation", "metrics", "answer_accuracy")
FORGED: dict[str, tuple[Change, str]] = {
    "accuracy": (set_at(*IN_VALIDATION, "accuracy", to=0.99), "does not follow from"),
    "interval": (set_at(*IN_VALIDATION, "high", to=0.9), "does not follow from"),
    "all counts alike": (better, "the answers are the same and their scores are not: metrics.answer_accuracy.correct"),
    "all counts alike, of other answers": (better_elsewhere, "100 of 1,000 rows or more differ"),
    "parameter count": (set_at("parameters", "total", to=100), "total is not embedding"),
    "parameter counts alike": (smaller, "parameters.total: .*, and the weights' is"),
    "parameter counts off the ladder": (off_the_ladder, "parameters.total: .*, and the weights' is"),
    "a size between rungs": (between_rungs, "parameters.total: 2056, and"),
    "another shape": (set_at("architecture", "num_layers", to=1), "architecture.num_layers: 1, and the weights' is 3"),
    "another revision": (set_at("model", "revision", to="OTHER WEIGHTS"), "the weights are .*, and the result is"),
    "a revision that is none": (set_at("model", "revision", to="0" * 40), "the Hub says"),
    "a branch": (set_at("model", "revision", to="main"), "model.revision: \"main\" is not a text of the form"),
    "another model": (set_at("model", "id", to="org/second"), "the Hub says"),
    "another dataset version": (set_at("dataset_version", to="1.0.1"), "version .1.0.1.; did you mean .1.0.0."),
    "an older dataset version": (set_at("dataset_version", to="0.9.0"), "unknown dataset version .0.9.0."),
    "another scorer version": (set_at("scorer_version", to="99"), "unknown scorer version .99.; known: 1.0"),
    "wrong n": (set_at("splits", "validation", "n", to=2000), "the split has 1000"),
    "rows of another split": (all_rows_of_another, "rows_sha256: not the rows of sum, validation"),
    "another task's name": (set_at("task", "name", to="max"), "rows_sha256: not the rows of max|not those of the rows"),
    "another seed": (set_at("recipe", "seed", to=4), "recipe.seed: 4, and the weights' is 3"),
    "another training": (set_at("training", "steps", to=29), "not what the checkpoint's run.json says"),
    "no training on the reference track": (lambda c: c.update(track="reference", training=None), "a reference result"),
    "more steps than allowed": (set_at("training", "steps", to=31), "more steps than were allowed"),
    "script tags in a name": (set_at("model", "id", to="<script>alert(1)</script>"), "is not a text of the form"),
    "script tags in a shape": (set_at("architecture", "name", to="<script>alert(1)</script>"), "is no plain name"),
    "a climbing id": (set_at("model", "id", to="../../../etc/x"), "is not a text of the form"),
    "a climbing revision": (set_at("model", "revision", to="../.."), "is not a text of the form"),
}  # fmt: skip


def verdict_of(path: Path) -> Verdict:
    (verdict,) = verify_files([path])
    assert read_verified(path.parents[2]) == {}
    assert "\n" not in verdict.reason
    assert len(verdict.reason) < 600
    return verdict


@pytest.mark.parametrize(("change", "reason"), FORGED.values(), ids=FORGED)
def test_a_forged_result_is_caught(
    change: Change, reason: str, hub: HubServer, submission: Result, tmp_path: Path
) -> None:
    path = write_result(tmp_path / "results", submission)
    content = json.loads(path.read_text())
    change(content)
    if content["model"]["revision"] == "OTHER WEIGHTS":
        content["model"]["revision"] = hub.repo("model", NAME).refs["refs/heads/main"]
    path = place_of(tmp_path / "results", content)
    path.write_text(json.dumps(content))
    verdict = verdict_of(path)
    assert verdict.status != "verified"
    assert re.search(reason, verdict.reason), verdict.reason


def place_of(results_dir: Path, content: dict[str, Any]) -> Path:
    """Where a forger puts a file so that its place looks right; ids that climb stay where they were."""
    model, task = content["model"], content["task"]["name"]
    names = [model["id"].replace("/", "__"), str(model["revision"]), f"{task}.json"]
    path = results_dir.joinpath(*(name if ".." not in name and "<" not in name else "x" for name in names))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


STRANGE_TEXTS: dict[str, tuple[Callable[[str], str], str]] = {
    "duplicate keys": (lambda text: text.replace('"track"', '"track": "open", "track"', 1), "stands twice"),
    "NaN": (lambda text: text.replace('"accuracy": ', '"accuracy": NaN, "x": ', 1), "NaN is not a number"),
    "oversized": (lambda text: text + " " * MAX_FILE_BYTES, "larger than"),
    "deeply nested": (lambda text: '{"a":' * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("change", "reason"), STRANGE_TEXTS.values(), ids=STRANGE_TEXTS)
def test_strange_json_is_caught(change: Callable[[str], str], reason: str, submission: Result, tmp_path: Path) -> None:
    path = write_result(tmp_path / "results", submission)
    path.write_text(change(path.read_text()))
    verdict = verdict_of(path)
    assert (verdict.status, reason in verdict.reason) == ("refuted", True), verdict.reason


def test_a_file_in_another_place_is_caught(submission: Result, tmp_path: Path) -> None:
    results_dir = tmp_path / "results"
    path = write_result(results_dir, submission)
    moved = results_dir / "org__second" / path.parent.name / path.name
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    assert f"belongs at {NAME.replace('/', '__')}/" in verdict_of(moved).reason
    path.symlink_to(moved)
    assert "is a link to another place" in verdict_of(path).reason


def test_a_part_of_a_split_is_no_split(folder: Path, tmp_path: Path) -> None:
    (part,) = evaluate_checkpoint(folder, "sum", "validation", num_rows=20)
    verdict = verdict_of(write_result(tmp_path / "results", part))
    assert "20 rows were scored, and the split has 1000" in verdict.reason


def test_one_model_under_two_names_is_caught(submission: Result, tmp_path: Path) -> None:
    copied = dataclasses.replace(submission, model=dataclasses.replace(submission.model, id="org/second"))
    first, second = (write_result(tmp_path, one) for one in (submission, copied))
    problem = "{}: has the weights of {}, and neither has been verified (rule weights)"
    assert dict(validate_files([first, second])) == {
        first: problem.format(first, second), second: problem.format(second, first),
    }  # fmt: skip


# --- forged submissions: the checkpoint -------------------------------------------------------------------------------


def config(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files["config.json"] = json.dumps(json.loads(files["config.json"]) | changes).encode()

    return change


def as_pickle(files: dict[str, bytes]) -> None:
    files["pytorch_model.bin"] = files.pop("model.safetensors")


CODE = "from pathlib import Path\nPath({place!r}).write_text('run')\n"
WANTS_CODE = {"AutoConfig": "mine.MyConfig", "AutoModelForCausalLM": "mine.MyModel"}
STRANGE_CHECKPOINTS: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "a pickle": (as_pickle, "has pickled weights, which may run code"),
    "code of its own": (config(model_type="mine", auto_map=WANTS_CODE), "needs code of its own"),
    "code under a known name": (config(auto_map=WANTS_CODE, hidden_size=16), "names other code"),
    "a huge shape": (config(hidden_size=10_000_000), "'hidden_size': 10000000 is not in"),
    "endless loops": (config(n_loop=10**9), "'n_loop': 1000000000 is not in"),
    "a nested config": (lambda files: files.update({"config.json": b'{"a":' * 10_000}), "nested too deeply"),
    "a nested run.json": (lambda files: files.update({"run.json": b'{"a":' * 100_000}), "run.json"),
    "no weights": (lambda files: files.pop("model.safetensors"), "has no model.safetensors"),
    "broken weights": (lambda files: files.update({"model.safetensors": b"\xff" * 100}), "a header of"),
    "a strange run.json": (lambda files: files.update({"run.json": b'{"training": 5}'}), "training"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE_CHECKPOINTS)
def test_a_strange_checkpoint_is_caught(
    name: str, hub_server: HubServer, folder: Path, submission: Result, tmp_path: Path
) -> None:
    change, reason = STRANGE_CHECKPOINTS[name]
    files = files_of(folder) | {"mine.py": CODE.format(place=str(tmp_path / "run")).encode()}
    files["modeling_looped.py"] = files["configuration_looped.py"] = files["mine.py"]
    change(files)
    commit = hub_server.create("model", NAME).add(files)
    weights = hashlib.sha256(files.get("model.safetensors", b"")).hexdigest()
    strange = dataclasses.replace(submission, model=Model(NAME, commit, weights))
    verdict = verdict_of(write_result(tmp_path / "results", strange))
    assert verdict.status != "verified"
    assert re.search(reason, verdict.reason), verdict.reason
    assert not (tmp_path / "run").exists()


def test_nothing_large_is_fetched(
    hub: HubServer, submission: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "MAX_CHECKPOINT_BYTES", 1000)
    verdict = verdict_of(write_result(tmp_path / "results", submission))
    assert "the most that is fetched is 1,000" in verdict.reason
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


# --- tolerance --------------------------------------------------------------------------------------------------------


def test_one_row_in_a_thousand_may_differ() -> None:
    claimed = split_result(0.9)  # of 5,000 rows
    for more, ties, allowed in (
        (0, 1, True),
        (0, 0, False),
        (5, 5, True),
        (5, 4, False),
        (1, 0, False),
        (6, 99, False),
    ):
        other = split_result(0.9 - more / 5000)
        found = compare(dataclasses.replace(claimed, predictions_sha256="0" * 64), other, ties)
        assert (found.problem is None, found.differing, found.same_predictions) == (allowed, max(more, 1), False)
    assert compare(claimed, claimed) == Reproduction(None, 0, same_predictions=True)
    assert compare(claimed, dataclasses.replace(claimed, rows_sha256="0" * 64)).problem is not None


def test_ties_are_counted_row_by_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = load_checkpoint(folder)[0], generate(get_task("sum"), "validation", num_rows=200)
    assert near_ties(model, rows) == 0

    def in_three_rows(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        near = torch.zeros(logits.shape[:2], dtype=torch.bool)
        for row, place in enumerate((0, -1, 1)):  # where the answer begins, within the prompt, after the answer
            near[row, len(rows.prompts()[row].split()) - 1 + place] = True
        return logits.argmax(-1), near

    monkeypatch.setattr(_ties, "first_choices", in_three_rows)
    assert near_ties(model, rows) == 1
    with torch.no_grad():
        model.get_input_embeddings().weight[5] = model.get_input_embeddings().weight[EOS_ID]  # [SUM, or the end
    assert near_ties(model, rows) == 0  # it has ties everywhere, and `generate` alone answers for it


def one_more(content: dict[str, Any]) -> None:
    """One row in a thousand more than there was: within the share that may differ."""
    better(content, rows=1)
    content["splits"]["validation"]["predictions_sha256"] = "0" * 64


@pytest.mark.parametrize("ties", [0, 1])
def test_the_tolerance_is_for_ties_and_the_figures_are_the_verifiers(
    ties: int, measured: Result, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_result(tmp_path / "results", measured)
    content = json.loads(path.read_text())
    one_more(content)
    path.write_text(json.dumps(content))
    if ties:
        monkeypatch.setattr(Examiner, "ties", lambda *_, **__: {"validation": ties})
    (verdict,) = verify_files([path], Checkpoints(folder.parent))
    assert verdict.status == ("verified" if ties else "refuted"), verdict.reason
    assert ties or "1 of 1,000 rows or more differ, and 0 of them have a near tie" in verdict.reason
    (board,) = read_boards(tmp_path / "results")
    ((run,),) = (group.runs for group in board.groups)
    shown = run.result.splits["validation"] == measured.splits["validation"]
    assert (run.verified, shown) == (bool(ties), bool(ties))


def test_rows_that_change_places_are_counted() -> None:
    """As many right as before, but not the same ones: every slice tells."""
    claimed, other = split_result(0.9), dataclasses.replace(split_result(0.9), predictions_sha256="0" * 64)
    depth = dict(other.slices["depth"])
    depth["1"], depth["2"] = metrics(2273, 2260, 2500), metrics(2277, 2240, 2500)
    assert compare(claimed, dataclasses.replace(other, slices={**other.slices, "depth": depth})).differing == 20


# --- the command, and what is committed -------------------------------------------------------------------------------


def test_the_commands_over_a_folder(folder: Path, measured: Result, tmp_path: Path, command: Run) -> None:
    results_dir = tmp_path / "results"
    path = write_result(results_dir, measured)
    code, out, _ = command("leaderboard", "validate", str(results_dir), "--checkpoints", str(folder.parent))
    assert (code, out) == (0, "1 of 1 result files are valid\n")
    code, out, _ = command("leaderboard", "verify", str(results_dir), "--checkpoints", str(folder.parent))
    verified = f"verified: {path} (3,000 rows evaluated again: the same answers)"
    assert (code, out.splitlines()) == (0, [verified, "1 of 1 result files are verified"])
    assert len(read_verified(results_dir)) == 1
    bad = write_result(results_dir, result())
    code, out, err = command("leaderboard", "verify", str(results_dir), "--dry-run")
    assert (code, out) == (2, "0 of 2 result files are verified\n")
    assert [line.partition(": ")[0] for line in sorted(err.splitlines())] == ["refuted", "unverifiable"]
    assert f"refuted: {bad}: " in err
    code, out, err = command("leaderboard", "validate", str(results_dir))
    assert (code, out, len(err.splitlines())) == (2, "1 of 2 result files are valid\n", 1)


def test_links_to_checkpoints_are_not_followed(folder: Path, measured: Result, tmp_path: Path) -> None:
    place, sha256 = tmp_path / "first", measured.model.weights_sha256
    place.symlink_to(folder)
    assert Checkpoints(tmp_path).local(sha256) == []
    place.unlink()
    shutil.copytree(folder, place)
    assert Checkpoints(tmp_path).local(sha256) == [place]


def copies(folder: Path, measured: Result, below: Path) -> None:
    """What somebody puts beside a checkpoint to have its result refuted: its weights, and something else."""
    sha256 = str(measured.model.weights_sha256)
    for name, changes in {"a": {"n_loop": 1}, "b": {"hidden_act": "sine"}, "z": {"model_type": "mine"}}.items():
        shutil.copytree(folder, below / name)
        path = below / name / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    write_index = {"weights_sha256": {"3": sha256}, "stacks": [{"runs": ["3"], "header": "{}", "floats": True}]}
    for recipe, index in {"mine": json.dumps(write_index), "none": "[", "x" * 240: json.dumps(write_index)}.items():
        (below / f"{recipe}.json").write_text(index)
        (below / f"{recipe}.runs.xz").write_bytes(lzma.compress(b'{"3": {}}'))
        save_file({"weights": torch.zeros(1, 4)}, below / f"{recipe}.safetensors")


def test_copies_of_the_weights_refute_no_honest_result(folder: Path, measured: Result, tmp_path: Path) -> None:
    path = write_result(tmp_path / "results", measured)
    (tmp_path / "checkpoints").mkdir()
    copies(folder, measured, tmp_path / "checkpoints")
    assert verify_file(path, Checkpoints(tmp_path / "checkpoints")).status != "verified"
    shutil.copytree(folder, tmp_path / "checkpoints" / "y")
    assert list(validate_files([path], Checkpoints(tmp_path / "checkpoints"))) == [(path, None)]
    assert verify_file(path, Checkpoints(tmp_path / "checkpoints")).status == "verified"


def test_one_that_answers_as_the_result_says_is_enough(
    folder: Path, measured: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration may differ in what no result tells, such as an activation."""
    path = write_result(tmp_path / "results", measured)
    for name in "ab":
        shutil.copytree(folder, tmp_path / "checkpoints" / name)
    judged = measuring._judged

    def another_activation(one: Any, place: Path, *rest: Any) -> Verdict:
        return Verdict(path, "refuted", "other answers") if place.name == "a" else judged(one, place, *rest)

    monkeypatch.setattr(measuring, "_judged", another_activation)
    assert verify_file(path, Checkpoints(tmp_path / "checkpoints")).status == "verified"
    shutil.rmtree(tmp_path / "checkpoints" / "b")
    assert verify_file(path, Checkpoints(tmp_path / "checkpoints")).status == "refuted"
