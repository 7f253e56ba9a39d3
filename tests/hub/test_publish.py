"""Publishing, with the real client against a look-alike of the Hub: what arrives, twice, halfway, what is refused."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from listops_bench.dataset.release import export
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.hub._card import CURVE
from listops_bench.hub._kept import keep_additions
from listops_bench.hub.client import Publication, push
from listops_bench.hub.formats import EVAL_RESULTS
from listops_bench.hub.publish import prepare_dataset, prepare_model
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.ladder import build_model, parameter_counts
from listops_bench.tasks.split import SPLITS
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_checkpoint, run_record
from tests.support.hub_server import READER, HubServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = run_record("max_med:10,sum:20")
    run["name"] = "a run: `<script>` | [x](y) --- # é"
    run["rows_per_step"] = 128
    run["model"] = "/home/somebody/secret/wide/config.json"
    run["config"] |= {
        "output_dir": "/home/somebody/secret",
        "model": r"C:\Users\somebody\secret\wide",
        "init_from": "../somebody/runs/first/",
        "curriculum": "somebody/plan.yaml",
        "task": "sum@/home/somebody/secret/mine.yaml",
        "learning_rate": 0.002,
        "early_stop": 0.99,
        "further": [{"data": "~/somebody/data/rows.txt"}, "sum*0.5+max@somebody/pages/mine.yaml:30"],
    }
    folder = make_checkpoint(tmp_path_factory.mktemp("runs") / "first", run)
    validation = [
        {"step": s, "validation": {"max_med/trace_accuracy": s / 64, "sum/trace_accuracy": 0}} for s in (8, 16)
    ]
    (folder / "train_log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in validation))
    (folder / "optimizer.pt").write_bytes(b"not to be published")
    return folder


@pytest.fixture(scope="module")
def results_dir(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    evaluate_checkpoint(checkpoint, ["sum", "max_med"], num_rows=40, results_dir=folder)
    return folder


@pytest.fixture(scope="module")
def publication(checkpoint: Path, results_dir: Path) -> Publication:
    return prepare_model(checkpoint, "org/first", results_dir=results_dir)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    export(folder, ["sum_max_med"])
    return folder


def started(code: str, hub_server: HubServer, home: Path, *words: str) -> subprocess.Popen[str]:
    """A process of its own that talks to the look-alike."""
    environment = {**os.environ, **hub_server.environment(home), "PYTHONPATH": str(ROOT)}
    command, pipe = [sys.executable, "-c", code, *words], subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd=home, stdout=pipe, stderr=pipe, text=True)


# --- the card ---------------------------------------------------------------------------------------------------------


def test_the_card_says_everything(publication: Publication, checkpoint: Path) -> None:
    text = publication.files["README.md"]
    card = ModelCard(text.decode())
    assert {"listops", "listops_bench", "sum", "max_med"} <= set(card.data.tags)
    entries = {(e.dataset_config, e.dataset_split, e.metric_name): e for e in card.data.eval_results}
    trace = entries["sum", "test", "trace accuracy"]
    assert trace.dataset_type == "org/listops_bench"
    assert trace.dataset_args["n"] == 40
    assert trace.metric_args["low"] <= trace.metric_value <= trace.metric_args["high"]
    parts = ("| sum | test | 40 |", "## Training", "`max_med:10,sum:20`", f"]({CURVE})", 'from_pretrained("org/first"')
    parts += ("| learning rate | 0.002 |", "| early stop | 0.99 |", "| rows per step | 128 |")
    for part in (*parts, weights_sha256(checkpoint)):
        assert part in card.text, part


def test_a_name_in_the_card_is_text_and_no_markup(publication: Publication) -> None:
    text = publication.files["README.md"]
    assert "<script>" not in text.decode()
    assert yaml.safe_load(text.decode().split("---\n")[1])["model-index"][0]["name"] == "first"


def test_what_is_published_of_a_folder(publication: Publication) -> None:
    files = publication.files
    assert {"config.json", "model.safetensors", "tokenizer.json", "run.json", CURVE, EVAL_RESULTS} <= set(files)
    assert "optimizer.pt" not in files
    for content in files.values():
        data = content if isinstance(content, bytes) else content.read_bytes()
        assert b"somebody" not in data
    kept = json.loads(files["run.json"])
    assert (kept["model"], kept["curriculum"]) == ("config.json", "max_med:10,sum:20")
    names = {key: kept["config"][key] for key in ("model", "init_from", "curriculum", "task", "further")}
    assert names == {
        "model": "wide",
        "init_from": "first",
        "curriculum": "plan.yaml",
        "task": "sum@mine.yaml",
        "further": [{"data": "rows.txt"}, "sum*0.5+max@mine.yaml:30"],
    }
    assert files[CURVE].startswith(b"\x89PNG")
    (entry, *_) = yaml.safe_load(files[EVAL_RESULTS])
    assert entry["dataset"]["id"] == "org/listops_bench"


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja", "generation_config.json"])
def test_what_lies_elsewhere_is_not_published(name: str, checkpoint: Path, results_dir: Path, tmp_path: Path) -> None:
    """A folder of somebody else's may hold a link to what is the publisher's own."""
    (tmp_path / "id_ed25519").write_text("secret")
    folder = tmp_path / "theirs"
    shutil.copytree(checkpoint, folder)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "id_ed25519")
    with pytest.raises(InvalidInput, match=f"{name}: a link that leads out of"):
        prepare_model(folder, "org/first", results_dir=results_dir)


def test_code_is_that_of_this_package(checkpoint: Path, results_dir: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "theirs"))
    (folder / "modeling_looped.py").write_text("import evil")
    files = prepare_model(folder, "org/first", results_dir=results_dir).files
    content = files["modeling_looped.py"]
    assert isinstance(content, Path)
    assert content.read_bytes() == (checkpoint / "modeling_looped.py").read_bytes()


# --- pushing ----------------------------------------------------------------------------------------------------------


def test_a_second_push_makes_no_commit(hub_server: HubServer, checkpoint: Path, results_dir: Path) -> None:
    first = push(prepare_model(checkpoint, "org/first", results_dir=results_dir), private=True)
    assert first.changed
    repo = hub_server.repo("model", "org/first")
    assert repo.private
    assert repo.files()["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    uploads = hub_server.uploads()
    second = push(prepare_model(checkpoint, "org/first", results_dir=results_dir))
    assert (second.changed, second.commit) == (False, first.commit)
    assert len(repo.commits) == 2
    assert hub_server.uploads() == uploads


def test_a_collection_holds_each_repository_once(
    hub_server: HubServer, checkpoint: Path, results_dir: Path, dataset: Path, command: Run
) -> None:
    words = ("push", str(checkpoint), "org/first", "--results", str(results_dir), "--collection", "What learns SUM")
    for _ in range(2):
        code, out, _ = command(*words)
        assert (code, out.splitlines()[-1]) == (0, f"in {hub_server.url}/collections/org/what-learns-sum-{'0' * 24}")
    assert command("push", "--dataset", str(dataset), "org/rows", "--collection", "What learns SUM")[0] == 0
    (collection,) = hub_server.collections.values()
    assert [(item["type"], item["id"]) for item in collection["items"]] == [
        ("model", "org/first"),
        ("dataset", "org/rows"),
    ]
    assert (collection["title"], collection["private"]) == ("What learns SUM", False)
    code, _, error = command(*words, "--create-pr")
    assert (code, "--collection goes with a repository of your own" in error) == (2, True)


def test_a_changed_file_is_one_commit(hub_server: HubServer, publication: Publication) -> None:
    push(publication)
    uploads = hub_server.uploads()
    hub_server.repo("model", "org/first").add({"config.json": b"{}", "LICENSE": b"MIT"})
    assert push(publication).changed
    files = hub_server.repo("model", "org/first").files()
    assert files["config.json"] != b"{}"
    assert files["LICENSE"] == b"MIT"  # what others have added stays
    assert hub_server.uploads() == uploads


def test_what_somebody_wrote_into_a_card_stays(hub_server: HubServer, publication: Publication) -> None:
    """By hand, on the Hub: fields and tags of their own, notes below the mark; or a card before the first push."""
    repo = hub_server.create("model", "org/first")
    repo.add({"README.md": b"---\nlicense: mit\ntags: [mine]\n---\n# Notes\nMine.\n"})
    push(publication)
    first = repo.files()["README.md"].decode()
    repo.add({"README.md": first.replace("license: mit", "license: mit\nbase_model: org/other").encode() + b"More.\n"})
    changed = dataclasses.replace(publication, files={**publication.files, "more.json": b"{}"})
    assert push(changed).changed
    assert not push(changed).changed
    card = ModelCard(repo.files()["README.md"].decode())
    ours = ModelCard(publication.files["README.md"].decode())  # type: ignore[union-attr]
    assert (card.data.license, card.data.base_model) == ("mit", "org/other")
    assert card.data.tags == [*ours.data.tags, "mine"]
    assert card.data.eval_results == ours.data.eval_results
    assert card.text.strip().startswith(ours.text.strip())
    assert card.text.strip().endswith("# Notes\nMine.\nMore.")


def test_branches_and_pull_requests(hub_server: HubServer, publication: Publication) -> None:
    push(publication, revision="seed-1")
    repo = hub_server.repo("model", "org/first")
    assert "model.safetensors" in repo.files("seed-1")
    assert repo.files() == {}
    opened = push(publication, create_pr=True)
    assert opened.url == f"{hub_server.url}/org/first/discussions/1"
    assert "model.safetensors" in repo.files("refs/pr/1")
    assert repo.files() == {}
    # Of a repository of someone else, one may open a pull request only.
    hub_server.create("model", "stranger/first")
    theirs = Publication("model", "stranger/first", "message", publication.files)
    assert push(theirs, create_pr=True).url.endswith("/stranger/first/discussions/1")


def test_a_connection_lost_halfway_is_taken_up_again(hub_server: HubServer, publication: Publication) -> None:
    hub_server.drop_uploads = 1
    assert push(publication).changed
    assert hub_server.repo("model", "org/first").files()["model.safetensors"]
    assert [status for method, _, status in hub_server.requests if method == "PUT"].count(0) == 1


PUSH = """
import sys
from pathlib import Path
from listops_bench.hub.client import Publication, push
push(Publication("model", "org/first", "message", {name: Path(sys.argv[1], name) for name in sys.argv[2:]}))
"""


@pytest.mark.check_all
def test_a_client_killed_halfway_goes_on_where_it_was(hub_server: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    names = ("config.json", "model.safetensors", "run.json")
    hub_server.drop_uploads = 1
    client = started(PUSH, hub_server, tmp_path, str(checkpoint), *names)
    hub_server.on_half_upload = client.kill
    client.communicate()
    assert client.returncode == -signal.SIGKILL
    assert hub_server.repo("model", "org/first").files() == {}
    files: dict[str, Any] = {name: checkpoint / name for name in names}
    again = Publication("model", "org/first", "message", files)
    assert push(again).changed
    assert set(hub_server.repo("model", "org/first").files()) == set(names)


LOAD = """
import sys, listops_bench
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("org/first", revision=sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained("org/first", revision=sys.argv[1])
written = model.generate(**tokenizer("[SUM 1 2 ] =", return_tensors="pt"))
print(sum(p.numel() for p in model.parameters()), len(written))
from datasets import load_dataset
rows = load_dataset("org/listops_bench", "sum_max_med")
print(*rows, *(len(split) for split in rows.values()))
print(rows["test"][0]["id"], rows["test"][0]["prompt"] == listops_bench.load("sum_max_med", split="test")[0]["prompt"])
"""


@pytest.mark.check_all
def test_what_was_pushed_loads_as_anything_from_the_hub(
    hub_server: HubServer, publication: Publication, dataset: Path, tmp_path: Path
) -> None:
    commit = push(publication).commit
    hub_server.repo("model", "org/first").add({"model.safetensors": b"something else", "config.json": b"{}"})
    data = prepare_dataset(dataset, "org/listops_bench")
    assert push(data).changed
    assert not push(data).changed
    client = started(LOAD, hub_server, tmp_path, commit)
    out, err = client.communicate()
    assert client.returncode == 0, err
    assert out.splitlines() == [
        f"{parameter_counts(build_model('looped_d008')).total} 1",
        f"{' '.join(SPLITS)} 50000 1000 5000 2000 2000 2000",
        "sum_max_med/test/00000 True",
    ]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_pushes_and_says_where(
    hub_server: HubServer, checkpoint: Path, results_dir: Path, command: Run
) -> None:
    words = ("push", str(checkpoint), "org/first", "--results", str(results_dir))
    code, out, _ = command(*words)
    assert (code, out.startswith(f"{hub_server.url}/org/first at ")) == (0, True)
    assert "nothing has changed" in command(*words)[1]


def test_a_dry_run_shows_files_and_card_and_asks_nobody(
    hub_server: HubServer, checkpoint: Path, results_dir: Path, dataset: Path, command: Run
) -> None:
    code, out, _ = command("push", str(checkpoint), "org/first", "--results", str(results_dir), "--dry-run")
    assert code == 0
    assert "model.safetensors" in out
    assert "| sum | test | 40 |" in out
    code, out, _ = command("push", "--dataset", str(dataset), "org/data", "--dry-run")
    assert code == 0
    assert "data/sum_max_med/train.parquet" in out
    assert hub_server.requests == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HF_TOKEN", "", "no Hub token: run `hf auth login`"),
        ("HF_TOKEN", "somebody", "does not know the token"),
        ("HF_TOKEN", READER, "may not write to 'org/first'"),
        ("HF_HUB_OFFLINE", True, "HF_HUB_OFFLINE is set"),
        ("ENDPOINT", "http://127.0.0.1:9", "connection to .* failed .*run the same command again"),
    ],
)
def test_without_access_it_is_one_line(
    name: str, value: Any, message: str, hub_server: HubServer, publication: Publication, monkeypatch: Any
) -> None:
    if name == "HF_TOKEN":
        monkeypatch.setenv(name, value)
    else:
        monkeypatch.setattr(constants, name, value)
    with pytest.raises(EnvironmentFailed, match=message) as error:
        push(publication)
    assert "\n" not in str(error.value)


def test_access_is_asked_for_before_anything_is_scored(
    hub_server: HubServer, checkpoint: Path, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listops_bench.hub.submission.resolve", pytest.fail)
    monkeypatch.setattr("listops_bench.hub.publish.open_checkpoint", pytest.fail)
    submit = ["submit", "org/first", "--repo", "org/results"]
    assert command(*submit)[0] == 2  # no such repository
    monkeypatch.setenv("HF_TOKEN", "")
    for words in (submit, ["push", str(checkpoint), "org/first"]):
        code, _, error = command(*words)
        assert (code, "no Hub token" in error) == (3, True)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, _, error = command("push", str(checkpoint), "org/first")
    assert (code, "the connection to http://127.0.0.1:9" in error) == (3, True)


NO_ANSWERS = [
    *(("repos/create", status, value) for status in (200, 409) for value in ({}, [1], {"url": 5})),
    *(("models/org/first", 200, value) for value in ({}, [1], {"id": "org/first", "siblings": [5]}, "x")),
    *(("validate-yaml", status, value) for status, value in ((200, [1]), (200, {"warnings": 5}), (400, {"errors": 7}))),
    *(("preupload/main", 200, value) for value in ({"files": []}, [1], {"files": [{"path": 5}]}, None)),
    *(("commit/main", 200, value) for value in ({}, [1], {"commitUrl": []})),
]


@pytest.mark.parametrize(("end", "status", "value"), NO_ANSWERS)
def test_an_answer_that_is_not_a_hubs_is_one_line(
    end: str, status: int, value: Any, hub_server: HubServer, publication: Publication
) -> None:
    hub_server.create("model", "org/first")
    hub_server.replies[end] = (status, value)
    with pytest.raises(EnvironmentFailed, match=f"{hub_server.url} answers for 'org/first'") as error:
        push(publication)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [{}, [1], {"discussions": [{}], "count": 1, "start": 0}, {"discussions": 5}])
def test_pull_requests_that_are_none_are_one_line(value: Any, hub_server: HubServer, publication: Publication) -> None:
    hub_server.create("model", "org/first")
    hub_server.replies["/discussions"] = (200, value)
    with pytest.raises(EnvironmentFailed, match=f"{hub_server.url} answers"):
        push(publication, create_pr=True)


def test_a_pull_request_is_opened_once(hub_server: HubServer, publication: Publication, tmp_path: Path) -> None:
    pulls = hub_server.create("model", "org/first").pulls
    first, second = (push(publication, create_pr=True) for _ in range(2))
    assert (second.url, second.commit, second.changed) == (first.url, first.commit, False)
    changed = {**publication.files, "README.md": b"# another"}
    for other in (changed, {**publication.files, "more.json": b"{}"}, {**changed, "model.safetensors": b"other"}):
        assert push(dataclasses.replace(publication, files=other), create_pr=True).changed
    assert len(pulls) == 4
    assert not push(dataclasses.replace(publication, files=changed), create_pr=True).changed


NO_NAMES = ["first", "a/b/c", "org/has space", "org/..", "../x", "org/a..b", "org/a--b", "org/a.git", f"org/{'a' * 97}",
            "o--g/a", "org/a.", "-org/a", "org/", "/a", "org/a\n", "org/\u0430"]  # fmt: skip


@pytest.mark.parametrize("repo_id", NO_NAMES)
def test_a_name_that_the_hub_does_not_take(repo_id: str, checkpoint: Path) -> None:
    with pytest.raises(InvalidInput, match="is no repository id of the form ORG/NAME"):
        prepare_model(checkpoint, repo_id)


@pytest.mark.parametrize(
    ("repo_id", "options", "message"),
    [
        ("org/first", {"private": True}, "there already, and public"),
        ("org/first", {"revision": "x", "create_pr": True}, "either revision or create_pr"),
        ("org/nowhere", {"create_pr": True}, "no repository 'org/nowhere'"),
    ],
)
def test_what_cannot_be_pushed_is_one_line(
    repo_id: str, options: dict[str, Any], message: str, hub_server: HubServer, publication: Publication
) -> None:
    hub_server.create("model", "org/first")
    with pytest.raises(InvalidInput, match=message):
        push(dataclasses.replace(publication, repo_id=repo_id), **options)


def test_exit_codes(hub_server: HubServer, dataset: Path, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("push", "--dataset", str(dataset), "org/data", "--revision", "x", "--create-pr")[0] == 2
    monkeypatch.setenv("HF_TOKEN", "")
    assert command("push", "--dataset", str(dataset), "org/data")[0] == 3


def test_a_dataset_that_is_none_is_refused(tmp_path: Path, dataset: Path, command: Run) -> None:
    with pytest.raises(InvalidInput, match="is no dataset folder"):
        prepare_dataset(tmp_path, "org/data")
    with pytest.raises(InvalidInput, match="holds no result of the weights"):
        prepare_model(make_checkpoint(tmp_path / "c", run_record()), "org/x", results_dir=tmp_path)
    copied = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    for spoil, message in (
        (lambda card: card.unlink(), "it has no README.md"),
        (lambda card: card.symlink_to("/etc/hostname"), "README.md: a link that leads out of"),
    ):
        spoil(copied / "README.md")
        code, _, err = command("push", "--dataset", str(copied), "org/data", "--dry-run")
        assert (code, message in err) == (2, True)


def test_a_card_on_the_hub_that_is_no_text_is_named(hub_server: HubServer, publication: Publication) -> None:
    hub_server.create("model", "org/first").add({"README.md": b"\xff\xfe"})
    with pytest.raises(InvalidInput, match=r"README\.md that 'org/first' has is no text"):
        push(publication, create_pr=True)


FRONTS = {
    "deep": "a: " + "[" * 5000,
    "a bomb of merged keys": "a: &a {k: 1}\nb: &b {<<: [*a, *a, *a]}\nc: {<<: [*b, *b, *b]}",
    "a date that is none": "a: 2026-99-99",
    "a number of 5,000 digits": "a: " + "9" * 5000,
    "a tag": "a: !!python/object/apply:os.system [ls]",
    "a key that is a list": "? [1]\n: 2",
    "too large": "a: " + "x" * 1_000_000,
}


@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS)
def test_a_strange_front_matter_on_the_hub_is_one_line(front: str) -> None:
    with pytest.raises(InvalidInput, match=r"^org/first: the front matter of README\.md cannot be read: .+$"):
        keep_additions("# ours", f"---\n{front}\n---\n# theirs", "org/first")


# --- revisions --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_steps(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, with three along the way."""
    folder = tmp_path_factory.mktemp("steps") / "run"
    shutil.copytree(checkpoint, folder)
    for step in (0, 200, 400):
        run = run_record("max_med:10,sum:20") | {"seed": 3}
        make_checkpoint(folder / "checkpoints" / f"step-{step:05d}", run, seed=step)
    return folder


def test_checkpoints_along_the_way_are_revisions(
    hub_server: HubServer, with_steps: Path, results_dir: Path, command: Run
) -> None:
    words = ("push", str(with_steps), "org/steps", "--results", str(results_dir))
    code, printed, errors = command(*words)
    assert code == 0, errors
    repo = hub_server.repo("model", "org/steps")
    steps = ["step-00000", "step-00200", "step-00400"]
    assert [line.split()[1] for line in printed.splitlines()[1:]] == steps
    for name in steps:
        folder = with_steps / "checkpoints" / name
        model = AutoModelForCausalLM.from_pretrained("org/steps", revision=name)
        ours = load_file(folder / "model.safetensors")
        assert all(torch.equal(value, ours[key]) for key, value in model.state_dict().items() if key in ours)
        files = repo.files(name)
        assert {CURVE, EVAL_RESULTS}.isdisjoint(files)  # which are those of the last weights
        assert f'revision="{name}"' in files["README.md"].decode()
        assert weights_sha256(folder) in files["README.md"].decode()
    assert EVAL_RESULTS in repo.files()
    assert "`step-00200`" in repo.files()["README.md"].decode()
    commits = len(repo.commits)
    assert command(*words)[0] == 0
    assert len(repo.commits) == commits


def test_seeds_of_a_recipe_are_revisions(hub_server: HubServer, tmp_path: Path, command: Run) -> None:
    folders = []
    for seed in (1, 2):
        run = run_record("sum:20", seed)
        folders.append(str(make_checkpoint(tmp_path / f"seed{seed}", run, seed=seed)))
        evaluate_checkpoint(folders[-1], ["sum"], ["test"], num_rows=9, results_dir=tmp_path / "results")
    results = ("--results", str(tmp_path / "results"))
    assert command("push", *folders, "org/recipe", *results)[0] == 0
    repo = hub_server.repo("model", "org/recipe")
    weights = [(Path(folder) / "model.safetensors").read_bytes() for folder in folders]
    found = [repo.files(name)["model.safetensors"] for name in ("main", "seed-1", "seed-2")]
    assert found == [weights[0], *weights]
    assert command("push", *folders[::-1], "org/recipe", *results, "--revision", "trial")[0] == 0
    found = [repo.files(name)["model.safetensors"] for name in ("trial", "trial-seed-1", "trial-seed-2", "main")]
    assert found == [weights[1], *weights, weights[0]]
    code, _, errors = command("push", folders[0], folders[0], "org/recipe", *results, "--dry-run")
    assert (code, "each once" in errors) == (2, True)
