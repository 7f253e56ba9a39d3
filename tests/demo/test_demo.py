"""The demo from end to end on tiny runs."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from listops_bench.cli import command as cli
from listops_bench.demo._story import ARMS
from listops_bench.demo.config import DemoConfig
from listops_bench.demo.run import run_demo
from listops_bench.model.ladder import build_model, parameter_counts
from listops_bench.sweep.grid import Sweep, read_sweep
from listops_bench.tasks.training_kinds import training_kind
from tests.support.processes import WAIT_SECONDS, eventually
from tests.support.runs import environment


class Small(DemoConfig):
    """A demo of a few steps with few test rows: untrained models write long nonsense, which takes long to decode."""

    def sweep(self) -> dict[str, Any]:
        return {**super().sweep(), "eval_num_rows": 20}


def small(folder: Path, **options: Any) -> DemoConfig:
    return Small(**{"output_dir": str(folder), "seeds": (0,), "steps": 6, "model": "looped_d008", **options})


def run(config: DemoConfig) -> tuple[int, str]:
    """On one core: each process that trains imports torch, which takes longer than a few steps."""
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
        return run_demo(config, Console(file=text, width=200)), text.getvalue()


def jobs(config: DemoConfig, folder: Path) -> Sweep:
    (folder / "demo.yaml").write_text(yaml.safe_dump(config.sweep()))
    return read_sweep(folder / "demo.yaml", folder)


# --- what is trained --------------------------------------------------------------------------------------------------


def test_runs_of_one_seed_differ_in_the_curriculum_alone(tmp_path: Path) -> None:
    sweep = jobs(DemoConfig(seeds=(10, 11)), tmp_path)
    arms = [(training_kind(str(job.config.plan()), "sum"), job.config.seed) for job in sweep.jobs]
    assert sorted(arms) == sorted((arm, seed) for seed in (10, 11) for arm in ARMS)
    assert {job.steps for job in sweep.jobs} == {DemoConfig().steps}
    recipes = [job.config.resolved() for job in sweep.jobs if job.config.seed == 10]
    for recipe in recipes:
        del recipe["curriculum"]
    assert recipes[0] == recipes[1] == recipes[2]
    assert parameter_counts(build_model(sweep.jobs[0].config.fresh_model)).total == 21_348


@pytest.mark.parametrize("steps", [2, 3, 10, 6000])
def test_the_transfer_has_two_stages(steps: int, tmp_path: Path) -> None:
    first, second = jobs(DemoConfig(steps=steps), tmp_path).jobs[-1].config.plan().stages
    assert (first.tasks, second.tasks) == (("max_med",), ("sum",))
    assert first.steps + second.steps == steps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--steps 1", "steps 1 cannot be shared by two stages; the least is 2"),
        ("--seeds 0 0", "seeds [0, 0] are not one or more different numbers from 0 on"),
        ("--seeds -1", "seeds [-1] are not one or more different numbers from 0 on"),
        ("--model looped_d48", "unknown model 'looped_d48'; did you mean 'looped_d048'?"),
    ],
)
def test_bad_input(words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--output-dir", str(tmp_path / "demo"), *words.split()]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


# --- end to end -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished demo and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "runs" / "demo"
    code, text = run(small(folder))
    assert code == 0, text
    return folder, text


@pytest.fixture
def copy(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(finished[0], tmp_path / "demo"))


def sentence(text: str) -> str:
    return text.splitlines()[-3]


@pytest.mark.slow
def test_the_demo_writes_what_it_says(finished: tuple[Path, str]) -> None:
    folder, text = finished
    for name in ("README.md", "site/index.html", "site/figures/runs.svg", "site/figures/curves.svg"):
        assert (folder / "board" / name).stat().st_size > 500, name
    assert "board/site/index.html" in (folder / "index.html").read_text()
    assert sentence(text) in (folder / "board" / "README.md").read_text()
    assert len([*(folder / "runs").glob("*/model.safetensors")]) == 3
    tasks = sorted(path.name for path in (folder / "results").rglob("*.json"))
    assert tasks == ["max.json", "med.json", "sum.json", "sum.json", "sum.json", "sum_max_med.json"]
    assert all(title in text for title in ARMS.values())
    assert "on the same 20 SUM test rows" in text


@pytest.mark.slow
def test_a_second_demo_trains_and_scores_nothing(finished: tuple[Path, str]) -> None:
    folder, before = finished
    made = [*(folder / "runs").rglob("*.safetensors"), *(folder / "results").rglob("*.json")]
    times = {path: path.stat().st_mtime_ns for path in made}
    code, text = run(small(folder))
    assert code == 0
    assert "to do" not in text
    assert sentence(text) == sentence(before)
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.slow
def test_a_run_that_fails_is_reported_and_the_rest_is_shown(copy: Path) -> None:
    (joint,) = (copy / "runs").glob("*sum_max_med*")
    shutil.rmtree(joint)
    note = copy / "failed" / f"{joint.name}.json"
    note.parent.mkdir()
    note.write_text(json.dumps({"reason": "no disk left", "final": True}))
    code, text = run(small(copy))
    assert code == 1
    assert f"{joint.name} failed: no disk left" in text
    assert "SUM alone got" in text
    assert "no disk left" in (copy / "board" / "site" / "index.html").read_text()


@pytest.mark.slow
def test_fresh_deletes_what_was_made_and_nothing_else(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no run had finished."""
    monkeypatch.setattr("listops_bench.demo.run.work_side_by_side", lambda *_: None)
    (copy / "my notes.txt").write_text("mine")
    code, text = run(small(copy, fresh=True))
    assert code == 1
    assert "No run finished" in text
    assert (copy / "my notes.txt").read_text() == "mine"
    assert not list((copy / "runs").glob("*/model.safetensors"))


@pytest.mark.slow
@pytest.mark.check_all
def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "listops_bench", "demo", "--steps", "100000", "--model", "looped_d008"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    assert eventually(lambda: [*tmp_path.glob("runs/demo/runs/*.training/lock")])
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_SECONDS) == 130
    folders = (path.resolve() for path in Path("/proc").glob("[0-9]*/cwd") if path.exists())
    assert tmp_path not in folders
