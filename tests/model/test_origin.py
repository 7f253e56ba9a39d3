"""Where a checkpoint comes from: a folder, or the Hub at one commit; one line for what cannot be had."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import RepositoryNotFoundError

from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.origin import Origin, resolve
from listops_bench.model.tokenizer import build_tokenizer
from tests.support.hub_server import HubServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "checkpoint"
    return save_checkpoint(folder, build_model("looped_d008", seed=1), build_tokenizer(10))


@pytest.fixture
def cached(checkpoint: Path) -> Callable[[str], Path]:
    """Puts a checkpoint where an earlier download would have put it."""

    def put(name: str) -> Path:
        repository = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
        snapshot = repository / "snapshots" / COMMIT
        shutil.copytree(checkpoint, snapshot, dirs_exist_ok=True)
        for ref in ("main", "v1.0"):
            (repository / "refs").mkdir(exist_ok=True)
            (repository / "refs" / ref).write_text(COMMIT)
        return snapshot

    return put


def refused(checkpoint: str | Path, kind: type[Exception] = InvalidInput, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        resolve(checkpoint, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_itself(checkpoint: Path) -> None:
    assert resolve(checkpoint) == resolve(str(checkpoint)) == Origin(checkpoint, None, None)
    assert "only a model on the Hub has revisions" in refused(checkpoint, revision="main")


def test_what_is_neither_is_one_line(tmp_path: Path) -> None:
    no_names = ("nowhere", "../org/name", "org/a..b", "org/a--b", "org/a.git", f"org/{'a' * 97}", "org/a\nb", "o-/a.")
    for place in (tmp_path / "nowhere", *no_names):
        assert "is not a folder, nor a model id such as 'org/name'" in refused(place)


def test_a_hub_id_where_there_is_no_connection_is_one_line() -> None:
    message = refused("nobody/nothing", EnvironmentFailed, revision="v1.0")
    assert "'nobody/nothing@v1.0' is no folder here, is not in the cache, and the Hub cannot be reached" in message


@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT])
def test_what_was_downloaded_before_is_found_without_a_connection(
    cached: Callable[[str], Path], revision: str | None
) -> None:
    snapshot = cached("org/tiny")
    found = resolve("org/tiny", revision)
    assert (found.folder.resolve(), found.id, found.revision) == (snapshot.resolve(), "org/tiny", COMMIT)


def test_a_model_of_the_hub_is_named_by_its_commit(cached: Callable[[str], Path], tmp_path: Path) -> None:
    cached("org/tiny")
    (found,) = evaluate_checkpoint("org/tiny", "sum", "test", revision="v1.0", num_rows=5, results_dir=tmp_path)
    assert (found.model.id, found.model.revision) == ("org/tiny", COMMIT)
    assert (tmp_path / "org__tiny" / COMMIT / "sum.json").is_file()


def test_pickled_weights_in_the_cache_are_refused(cached: Callable[[str], Path]) -> None:
    snapshot = cached("org/pickled")
    (snapshot / "model.safetensors").rename(snapshot / "pytorch_model.bin")
    assert "'org/pickled' has pickled weights" in refused("org/pickled")


# --- with a connection ------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A Hub of one repository: what the client is asked for, and what it answers."""
    seen: dict[str, Any] = {"files": ["config.json", "model.safetensors", "modeling.py"], "downloads": []}

    def model_info(self: Any, name: str, revision: str | None = None, files_metadata: bool = False) -> Any:
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file, size=1) for file in seen["files"]])

    def snapshot_download(name: str, **options: Any) -> str:
        seen["downloads"].append((name, options))
        folder = tmp_path / COMMIT
        folder.mkdir(exist_ok=True)
        return str(folder)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return seen


def test_a_branch_is_looked_up_once_and_its_commit_downloaded(hub: dict[str, Any]) -> None:
    found = resolve("org/name", "main")
    assert (found.id, found.revision, found.folder.name) == ("org/name", COMMIT, COMMIT)
    ((name, options),) = hub["downloads"]
    assert (name, options["revision"]) == ("org/name", COMMIT)


def test_code_is_downloaded_only_where_it_may_be_run(hub: dict[str, Any]) -> None:
    resolve("org/name")
    resolve("org/name", trust_remote_code=True)
    without, with_code = (options["allow_patterns"] for _, options in hub["downloads"])
    assert set(without) == {"config.json", "model.safetensors", "run.json", "train_log.jsonl"}
    assert "*.py" in with_code


def test_pickled_weights_on_the_hub_are_not_even_downloaded(hub: dict[str, Any]) -> None:
    hub["files"] = ["config.json", "pytorch_model.bin"]
    assert "has pickled weights, which may run code" in refused("org/name")
    hub["files"] = ["config.json"]
    assert "has no model.safetensors" in refused("org/name")
    assert hub["downloads"] == []


@pytest.mark.parametrize("answer", [{}, [1], {"id": "org/name", "siblings": [{"size": 1}]}, "no"])
def test_an_answer_that_is_not_a_hubs_is_one_line(answer: Any, hub_server: HubServer) -> None:
    hub_server.replies["models/org/name"] = (200, answer)
    assert f"cannot be reached at {hub_server.url}: " in refused("org/name", EnvironmentFailed)


def test_what_the_hub_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RepositoryNotFoundError("404: no such model\nask someone", response=Mock(headers={}))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", Mock(side_effect=error))
    assert "'org/nothing' is no folder here, and the Hub says: 404: no such model" in refused("org/nothing")
