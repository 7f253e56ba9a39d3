"""Sweeps: what a page means, who does what, what is on the disk when a process dies, and what failures do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from listops_bench.cli import command as cli
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.evaluate.verification import verify_file
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.result.files import find_results, read_results
from listops_bench.sweep._cost import makespan
from listops_bench.sweep._folder import Doing, SweepFolder
from listops_bench.sweep._packs import units_of
from listops_bench.sweep._worker import Worker
from listops_bench.sweep.command import main
from listops_bench.sweep.grid import read_sweep
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep
from tests.support.runs import EXAMPLES, ROOT, environment

SWEEPS = ROOT / "leaderboard" / "sweeps"
WAIT_SECONDS = 120.0

TINY: dict[str, Any] = {
    "models": ["looped_d008"],
    "tasks": ["max"],
    "seeds": [0],
    "recipe": {
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "warmup_steps": 2,
        "logging_steps": 2,
        "eval_steps": 3,
        "eval_rows": 5,
        "save_steps": 2,
    },
    "eval_splits": ["test"],
    "eval_num_rows": 8,
}
TWELVE: dict[str, Any] = {**TINY, "tasks": ["max", "med"], "curricula": ["max:2,sum:4"], "seeds": [0, 1, 2, 3]}


def page(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "page.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def tiny(tmp_path: Path, **values: Any) -> SweepFolder:
    """A sweep of a few steps, its folder beside its page."""
    recipe = {**TINY["recipe"], **values.pop("recipe", {})}
    file = page(tmp_path, {**TINY, **values, "recipe": recipe})
    return open_sweep(Options(str(file), str(tmp_path / "out")))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: weights_sha256(path) for path in (folder / "runs").iterdir() if (path / "run.json").exists()}


def predictions(folder: Path) -> list[str]:
    return sorted(str(result.splits["test"].predictions_sha256) for result in read_results(folder / "results"))


# --- what a page means ------------------------------------------------------------------------------------------------


def test_lists_are_crossed_and_equal_runs_are_one(tmp_path: Path) -> None:
    values = {
        "seeds": [0, 1],
        "recipe": {"max_steps": 5, "learning_rate": ["1e-3", 2e-3]},
        "grids": [
            {"models": ["looped_d008", "looped_d012"], "tasks": ["max", "med_max"]},
            {"models": ["looped_d008"], "curricula": ["max:2,sum:3"], "recipe": {"learning_rate": 2e-3}},
            {"models": ["looped_d008"], "tasks": ["max"], "seeds": [1, 2]},
        ],
    }
    sweep = read_sweep(page(tmp_path, values), tmp_path / "out")
    assert len(sweep) == 2 * 2 * 2 * 2 + 2 + 2
    assert len({job.config.output_dir for job in sweep.jobs}) == len(sweep)
    job = next(job for job in sweep.jobs if job.name.startswith("looped_d008-max-2-sum-3"))
    assert job.name.endswith("-seed0")
    assert (job.config.seed, job.config.learning_rate, job.steps) == (0, 2e-3, 5)
    assert all(job.config.report_to == "none" for job in sweep.jobs)


def test_a_run_has_one_name_wherever_it_is_asked_for(tmp_path: Path) -> None:
    (one,) = tiny(tmp_path).sweep.jobs
    others = tiny(tmp_path, seeds=[0, 3], tasks=["sum", "max"], models=["looped_d012", "looped_d008"]).sweep.jobs
    assert one.name in {job.name for job in others}
    (recipe,) = tiny(tmp_path, recipe={"weight_decay": 0.5}).sweep.jobs
    assert recipe.name != one.name
    (watching,) = tiny(tmp_path, recipe={"logging_steps": 1, "save_steps": 1, "eval_rows": 3}).sweep.jobs
    assert watching.name == one.name


def test_names_of_runs_stay_as_they_are(tmp_path: Path) -> None:
    """Runs of a sweep that has begun are found by their names: these were given by an earlier version."""
    folder = tiny(tmp_path, models=["looped_d048", "gpt2_d016"], curricula=["max_med:2,sum:4"])
    assert [job.name for job in folder.jobs()] == [
        "looped_d048-max-6-lr0.002-38d1b42c-seed0",
        "gpt2_d016-max-6-lr0.002-6f5747f9-seed0",
        "looped_d048-max_med-2-sum-4-lr0.002-c4103572-seed0",
        "gpt2_d016-max_med-2-sum-4-lr0.002-6def4bcb-seed0",
    ]


def test_a_rung_with_other_values_is_the_same_wherever_its_sweep_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and recipes tell overrides apart, and know no folder; `verify` takes the results."""
    overrides: list[dict[str, Any]] = [{"num_attention_heads": 4}, {"num_attention_heads": 2}, {"n_loop": 2}]
    models = ["looped_d008", *({"model": "looped_d008", **values} for values in overrides)]
    file = page(tmp_path, {**TINY, "models": models})
    monkeypatch.chdir(tmp_path)
    folders = [open_sweep(Options(str(file), out)) for out in (str(tmp_path / "one"), "elsewhere/two")]
    names = [[job.name for job in folder.jobs()] for folder in folders]
    assert names[0] == names[1]
    assert len(set(names[0])) == 4
    assert names[0][1].startswith("looped_d008-num_attention_heads4-max-6-lr0.002-")
    recipes = []
    for folder in folders:
        Worker(folder).run()
        found = read_results(folder.results)
        recipes.append({result.recipe.id for result in found})
        assert sorted((r.architecture.name, r.architecture.num_heads, r.architecture.num_layers) for r in found) == [
            ("listops_looped_d008_l2", 1, 2), ("listops_looped_d008_l3", 2, 3), ("listops_looped_d008_l3", 4, 3),
            ("looped_d008", 1, 3),
        ]  # fmt: skip
        assert {(r.parameters.total, r.architecture.hidden_size) for r in found} == {(2056, 8)}
    assert recipes[0] == recipes[1]
    assert len(recipes[0]) == 4
    runs = folders[1].path / "runs"
    evaluate_checkpoint(runs / names[1][1], "max", ["validation"], results_dir=tmp_path / "whole")
    (path,) = find_results(tmp_path / "whole")
    assert verify_file(path, Checkpoints(runs)).status == "verified"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modles": ["looped_d008"]}, "unknown key in page.yaml 'modles'; did you mean 'models'"),
        ({"models": ["looped_d09"]}, "unknown model 'looped_d09'; did you mean 'looped_d008'"),
        ({"models": [{"model": "looped_d008", "n_lop": 2}]}, "unknown model option in page.yaml 'n_lop'; did you mean"),
        ({"models": [{"n_loop": 2}]}, "names no model"),
        ({"tasks": ["sun"]}, "unknown task 'sun'; did you mean 'sum'"),
        ({"tasks": "sum"}, "tasks 'sum' is not a list"),
        ({"recipe": {"lerning_rate": 1}}, "unknown training option 'lerning_rate'; did you mean 'learning_rate'"),
        ({"recipe": {"seed": [1, 2]}}, "seed does not belong into the recipe"),
        ({"recipe": {"max_steps": [5, 0]}}, "max_steps 0 is not at least 1"),
        ({"eval_splits": ["tset"]}, "unknown split 'tset'; did you mean 'test'"),
        ({"eval_tasks": ["som"]}, "unknown task 'som'"),
        ({"track": "opened"}, "unknown track 'opened'; did you mean 'open'"),
        ({"seeds": []}, "has no run"),
        ({"grids": {}}, "grids is not a list"),
        ({"grids": [{"grids": []}]}, "unknown key in page.yaml 'grids'"),
        ({"select": {"over": "learning_rate"}}, "select has no 'by'"),
        ({"select": {"over": "learning_rate", "by": "test", "seeds": [9]}}, "unknown way to select 'test'"),
        ({"select": {"over": "learning_rate", "by": "validation", "seeds": [9]}}, "the recipe has no list of it"),
        ({"select": {"over": "learning_rate", "by": "validation", "seeds": [0]}}, "seed 0 would choose the recipe and"),
    ],
)
def test_bad_pages_are_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], values: dict[str, Any], message: str
) -> None:
    file = page(tmp_path, {**TINY, **values})
    assert cli.main(["sweep", str(file), "--output-dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_places_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = page(tmp_path, TINY)
    for verb, flags in ((cli.main, ["sweep"]), (main, [])):
        assert verb([*flags, str(file), "--output-dir", str(file / "out")]) == 2
        assert f"cannot write '{file}/out'" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere.yaml")]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert main([str(file), "--shard", "3/2"]) == 2
    assert "'3/2' is not I/N" in capsys.readouterr().err
    assert main([str(file), "--worker-s", "1"]) == 2
    assert "unknown option '--worker-s'; did you mean" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sweeps_that_we_bring_can_be_read(path: Path, tmp_path: Path) -> None:
    sweep = read_sweep(path, tmp_path)
    assert len(sweep) >= 12
    assert len({job.name for job in sweep.jobs}) == len(sweep.jobs)


# --- who does what ----------------------------------------------------------------------------------------------------


def test_shards_share_the_runs(tmp_path: Path) -> None:
    file = page(tmp_path, TWELVE)
    whole = open_sweep(Options(str(file))).sweep.jobs
    parts = [open_sweep(Options(str(file), shard=(i, 3))).sweep.jobs for i in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert sorted(job.name for part in parts for job in part) == sorted(job.name for job in whole)


def test_runs_of_one_shape_are_packed_and_others_are_not(tmp_path: Path) -> None:
    folder = tiny(tmp_path, models=["looped_d008", "looped_d012", "gpt2_d016"], seeds=[0, 1, 2, 3, 4])
    units = units_of(folder, 3, 1)
    assert sorted((unit.jobs[0].config.model, len(unit.jobs)) for unit in units) == [
        *[("gpt2_d016", 1)] * 5, ("looped_d008", 2), ("looped_d008", 3), ("looped_d012", 2), ("looped_d012", 3),
    ]  # fmt: skip
    assert [unit.cost for unit in units] == sorted((unit.cost for unit in units), reverse=True)
    assert all(len(unit.jobs) == 1 for unit in units_of(folder, 1, 1))
    spread = [unit for unit in units_of(folder, None, 5) if unit.jobs[0].config.model == "looped_d012"]
    assert len(spread) == 5  # five devices: none is left without work for the sake of a larger pack


def test_a_run_is_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tiny(tmp_path, seeds=[0, 1])
    first, second = folder.jobs()
    claims = folder.claim([first])
    others = folder.claim([first, second])
    assert list(others) == [second.name]
    others[second.name].release()
    Worker(folder).run()
    assert not folder.is_done(first)
    assert folder.is_done(second)
    claims[first.name].release()
    again = folder.claim([first])
    assert list(again) == [first.name]
    again[first.name].release()


def test_the_table_shows_who_is_at_what(tmp_path: Path) -> None:
    folder = tiny(tmp_path)
    doing = Doing(["a", "b"], "training", 3, 6, 2.5)
    folder.tell(1, doing)
    assert folder.workers() == {1: doing}
    folder.silence(1)
    assert folder.workers() == {}


def test_the_time_that_devices_take() -> None:
    assert makespan([3, 3, 2, 2, 2], 2) == 7
    assert makespan([5, 1], 4) == 5


# --- killed, and started again ----------------------------------------------------------------------------------------

KILLED = """
import functools, gc, os, signal, sys
from pathlib import Path
from listops_bench.evaluate import run as evaluate
from listops_bench.sweep._worker import Worker
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep
from listops_bench.train import _batches, _validation
from listops_bench.train.packed._data import Draws

for module in (_batches, _validation, evaluate):  # rows are made once, for all children
    module.generate = functools.cache(module.generate)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def session(folder, moment):
    name, number = moment
    seen = [0]

    def counting(original, end):
        def call(source, target, *rest):
            seen[0] += str(target).endswith(end)
            die() if seen[0] == number else original(source, target, *rest)
        return call

    if name in (".pt", ".json"):
        os.replace = counting(os.replace, name)
    if name == "checkpoint":
        Path.rename = counting(Path.rename, "")
    Worker(folder, pack=2).run()

def run(output_dir, moments):
    folder = open_sweep(Options("page.yaml", output_dir))
    for job in folder.jobs():
        Draws(job.config, {}, {})
    gc.freeze()  # the children need not look through what is imported
    for moment in [*moments, None]:
        child = os.fork()
        if child == 0:
            session(open_sweep(Options("page.yaml", output_dir)), moment or ("", 0))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == 0 if moment is None else os.WTERMSIG(status) == signal.SIGKILL, moment
"""


def test_a_killed_sweep_ends_with_the_weights_of_one_never_stopped(tmp_path: Path) -> None:
    """Two packs and a run alone, killed while they write states, checkpoints, results and the sweep's own files."""
    page(tmp_path, {**TINY, "models": ["looped_d008", "gpt2_d016"], "seeds": [0, 1]})
    moments = [(".pt", 2), ("checkpoint", 2), (".json", 4), (".pt", 1), ("checkpoint", 1), (".json", 6)]
    code = KILLED + f"run('whole', [])\nrun('killed', {moments!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")
    assert len(hashes(tmp_path / "whole")) == 4
    assert predictions(tmp_path / "killed") == predictions(tmp_path / "whole")
    assert len(predictions(tmp_path / "whole")) == 4
    left = {path.name for path in (tmp_path / "killed").rglob("*") if path.suffix in (".training", ".tmp", ".pt")}
    assert not left


@pytest.mark.slow
def test_twelve_runs_on_two_ranks_killed_and_gone_on(tmp_path: Path) -> None:
    """Begun under ``accelerate launch``, ended under ``torchrun``."""
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("torch was built without gloo")
    page(tmp_path, TWELVE)
    sweep = ["-m", "listops_bench.sweep", "page.yaml", "--output-dir", "out"]
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", "0", "--config_file"]
    accelerate += [str(EXAMPLES / "two_cpu_processes.yaml"), *sweep]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *sweep]
    own = environment(ACCELERATE_USE_CPU="true")
    first = subprocess.Popen(
        accelerate, cwd=tmp_path, env=own, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoints = tmp_path / "out" / "runs"
    deadline = time.monotonic() + WAIT_SECONDS
    while len([*checkpoints.glob("looped*/run.json")]) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    early = {path: weights_sha256(path.parent) for path in checkpoints.glob("looped*/run.json")}
    assert 3 <= len(early) < 12
    second = subprocess.run(torchrun, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert "12 of 12 runs done, 16 result files" in second.stdout  # those that end with SUM have two tasks
    assert second.stdout.count("exact traces on test rows") == 1
    assert len(hashes(tmp_path / "out")) == 12
    for path, digest in early.items():
        assert weights_sha256(path.parent) == digest
    assert len(predictions(tmp_path / "out")) == 16


# --- what failures do -------------------------------------------------------------------------------------------------


def test_a_run_that_fails_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Alone and packed: the loss that is no number is noted with its step, the others end, and the exit code is 1."""
    values = {**TINY, "recipe": {**TINY["recipe"], "learning_rate": [2e-3, 1e30], "max_grad_norm": 0}}
    file = page(tmp_path, values)
    for pack in ("1", "2"):
        command = [str(file), "--output-dir", str(tmp_path / pack), "--pack", pack]
        assert main(command) == 1
        shown = capsys.readouterr().out
        assert "1 of 2 runs done, 1 result files" in shown
        assert "lr1e+30" in shown.partition("failed: looped_d008")[2].splitlines()[0]
        (note,) = (tmp_path / pack / "failed").iterdir()
        assert "the loss at step" in json.loads(note.read_text())["reason"]
        assert main(command) == 1
        assert "failed: looped_d008" not in capsys.readouterr().out.partition("run ")[0]  # not tried again
    assert hashes(tmp_path / "1").keys() == hashes(tmp_path / "2").keys()


def test_what_may_have_gone_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from listops_bench.sweep import _worker

    def no_room(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    folder = tiny(tmp_path)
    (job,) = folder.jobs()
    with monkeypatch.context() as patch:
        patch.setattr(_worker, "train", no_room)
        Worker(folder).run()
    assert "No space left on device" in folder.failures()[job.name].reason
    assert not folder.failures()[job.name].final
    folder.forget_failures()
    Worker(folder).run()
    assert folder.is_done(job)


# --- choosing a recipe ------------------------------------------------------------------------------------------------


def test_a_recipe_is_chosen_before_the_runs_that_are_reported(tmp_path: Path) -> None:
    """The learning rate that learns most with the seeds that choose is reported, and what the choice cost is told."""
    select = {"over": "learning_rate", "by": "validation", "seeds": [7]}
    recipe = {"learning_rate": [1e-5, 1e-2, 1e30], "max_grad_norm": 0, "max_steps": 20}
    folder = tiny(tmp_path, select=select, recipe=recipe, seeds=[0, 1])
    assert len(folder.sweep) == 3 + 2
    assert len(folder.jobs()) == 3
    assert folder.undecided()
    Worker(folder).run()
    assert not folder.undecided()
    reported = [job for job in folder.jobs() if job.scored]
    assert [(job.config.seed, job.config.learning_rate) for job in reported] == [(0, 1e-2), (1, 1e-2)]
    assert len(read_results(folder.results)) == 2
    (choice,) = json.loads((folder.path / "selection.json").read_text())
    assert choice["chosen"] == 1e-2
    assert choice["steps_spent"] == 40
    assert [c["runs"] for c in choice["candidates"]] == [1, 1, 1]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_starts_processes_and_prints_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = page(tmp_path, {**TINY, "seeds": [0, 1]})
    command = ["sweep", str(file), "--output-dir", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    assert "2 runs, 2 to do, 1 at a time" in shown
    assert "2 of 2 runs done, 2 result files" in shown
    assert cli.main(command) == 0
    assert "to do" not in capsys.readouterr().out


def test_a_plan_says_what_a_sweep_would_cost_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = page(tmp_path, {**TINY, "models": ["looped_d008"], "seeds": [0, 1, 2], "tasks": ["max", "sum"]})
    command = ["sweep", str(file), "--output-dir", str(tmp_path / "out"), "--plan", "--devices", "2", "--pack", "3"]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    assert "6 runs to do in 2 units, 36 steps" in shown
    assert "hours on 2 devices" in shown
    assert not (tmp_path / "out" / "runs").exists()
