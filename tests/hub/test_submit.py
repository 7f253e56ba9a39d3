"""Submitting: what is handed over passes the verifier's own checks, and says what happens next."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.examiner import Examiner
from listops_bench.evaluate.verification import verify_files
from listops_bench.hub.submission import RESULTS_REPO, submit, summary
from listops_bench.result.files import find_results, read_result
from listops_bench.runs.store import stored_run
from listops_bench.tasks.split import EVALUATION_SPLITS
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record
from tests.support.fake_results import result
from tests.support.hub_server import HubServer

RESULTS = "org/results"
WEIGHTS = Path(__file__).resolve().parents[2] / "leaderboard/weights"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_taciturn_checkpoint(tmp_path_factory.mktemp("checkpoints") / "first", run_record("sum:30"))


@pytest.fixture
def hub(hub_server: HubServer, folder: Path) -> HubServer:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub_server.create("model", "org/first").add(files)
    hub_server.create("dataset", RESULTS)
    return hub_server


def test_a_pull_request_whose_file_is_verified(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Run
) -> None:
    commit = hub.repo("model", "org/first").refs["refs/heads/main"]
    code, out, _ = command("submit", "org/first", "--repo", RESULTS)
    assert code == 0
    assert "seeds 3; one row, ranked from 3 seeds" in out
    assert f"opened {hub.url}/datasets/{RESULTS}/discussions/1" in out
    files = hub.repo("dataset", RESULTS).files("refs/pr/1")
    assert list(files) == [f"results/org__first/{commit}/sum.json"]
    assert hub.repo("dataset", RESULTS).pulls[1].title.startswith(f"org/first@{commit[:12]}: sum (open, dataset ")

    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(content)
    assert command("leaderboard", "validate", str(tmp_path / "results"))[0] == 0
    (verdict,) = verify_files(find_results(tmp_path / "results"))
    assert verdict.status == "verified", verdict.reason
    found = read_result(find_results(tmp_path / "results")[0])
    assert set(found.splits) == set(EVALUATION_SPLITS)

    def score(*arguments: object, **options: object) -> None:
        raise AssertionError("it is open, and was scored again")

    monkeypatch.setattr(Examiner, "score", score)
    monkeypatch.setenv(RESULTS_REPO, RESULTS)
    assert f"open already: {hub.url}" in command("submit", f"org/first@{commit}")[1]
    assert len(hub.repo("dataset", RESULTS).pulls) == 1


def test_files_for_a_git_pull_request(folder: Path, tmp_path: Path, command: Run) -> None:
    code, out, _ = command("submit", str(folder), "--task", "sum", "--output-dir", str(tmp_path / "results"))
    assert code == 0
    (path,) = find_results(tmp_path / "results")
    assert str(path) in out
    assert "let verifiers have the weights" in out
    assert read_result(path, tmp_path / "results").track == "open"


def test_what_enters_no_challenge_is_not_handed_over(hub: HubServer, command: Run) -> None:
    words = ("submit", "org/first", "--task", "sum", "--repo", RESULTS)
    code, _, error = command(*words, "--challenge", "smallest")
    assert (code, error.strip()[-19:]) == (2, "(rule seeds-needed)")
    code, _, error = command(*words, "--challenge", "smalest")
    assert (code, "did you mean 'smallest'" in error) == (2, True)
    assert hub.repo("dataset", RESULTS).pulls == {}


@pytest.mark.check_all
def test_a_challenge_is_entered_from_the_hub(hub: HubServer, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seeds, two of which have learned MAX; without them the board's best is larger. Another has not, alone."""
    ids = [f"org/max-{seed}" for seed in range(3)]
    names = [f"looped_d016-max_med-6000-91ad04df#{seed}" for seed in range(3)]
    for one, name in [*zip(ids, names, strict=True), ("org/small", "looped_d012-max-6000-f0dcdde6#0")]:
        folder = stored_run(f"{WEIGHTS}/{name}")
        hub.create("model", one).add({path.name: path.read_bytes() for path in folder.iterdir()})
    monkeypatch.chdir(WEIGHTS.parents[1])
    words = ("submit", "--task", "max", "--challenge", "smallest", "--repo", RESULTS)
    code, _, error = command(*words, *ids[:2])
    assert (code, error.strip()[-19:]) == (2, "(rule seeds-needed)")
    code, out, _ = command(*words, "org/small", *ids)
    assert code == 0
    assert hub.repo("dataset", RESULTS).pulls[1].title.startswith("org/max-0@")
    assert "smallest, max: 5,648 parameters: shares the first place with looped_d016" in out
    assert f"opened {hub.url}/datasets/{RESULTS}/discussions/1" in out
    assert len(hub.repo("dataset", RESULTS).files("refs/pr/1")) == 3


def test_three_seeds_make_one_ranked_row() -> None:
    results = [result(task, seed=seed) for seed in (0, 1, 2) for task in ("sum", "max")]
    (line,) = summary(results)
    assert line.endswith("seeds 0, 1, 2; one ranked row")
    (line,) = summary(results[:4])
    assert line.endswith("seeds 0, 1; one row, ranked from 3 seeds of this recipe on")


def test_what_cannot_be_submitted_is_one_line(
    hub: HubServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RESULTS_REPO, raising=False)
    untrained = make_taciturn_checkpoint(tmp_path / "untrained", {})
    results = {"output_dir": tmp_path / "results"}
    asked: list[tuple[str | Path, dict[str, Any], str]] = [
        ("org/first", {}, "say where to: --output-dir leaderboard/results"),
        (folder, {"repo_id": RESULTS}, "on this machine only, where no verifier can fetch it"),
        (f"{WEIGHTS}/looped_d016-max_med-6000-91ad04df#0", {"repo_id": RESULTS}, "on this machine only"),
        (folder, {"track": "opne", **results}, "unknown track 'opne'; did you mean 'open'"),
        ("org/first", {"repo_id": "results"}, "no repository id"),
        ("org/first@v9", results, "the Hub says"),
        (untrained, {"track": "reference", "tasks": ["sum"], **results}, "not be accepted: .*says how it was trained"),
    ]

    def score(*arguments: object, **options: object) -> None:
        raise AssertionError("it was scored, and refused only then")

    monkeypatch.setattr(Examiner, "score", score)
    for checkpoint, options, message in asked:
        with pytest.raises(InvalidInput, match=message):
            submit([checkpoint], **options)
    again = shutil.copytree(folder, tmp_path / "again")
    with pytest.raises(InvalidInput, match=r"again: has the weights of .*\(rule weights\)"):
        submit([folder, again], **results)
    assert not (tmp_path / "results").exists()
