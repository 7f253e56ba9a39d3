"""The demo from end to end on tiny runs, and its parts on made-up ones."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from listops_bench._base.processes import Job
from listops_bench.cli import command as cli
from listops_bench.demo import _live, run as demo
from listops_bench.demo._page import Report, Run, write_page
from listops_bench.demo._story import ARMS
from listops_bench.demo.config import DemoConfig
from listops_bench.demo.run import plan_runs, run_demo
from listops_bench.errors import InvalidInput
from tests.support.fake_results import demo_results

ROOT = Path(__file__).resolve().parents[2]
STEPS = 6
WAIT_SECONDS = 120.0


# --- what is trained --------------------------------------------------------------------------------------------------


def test_all_curricula_have_the_same_model_and_number_of_steps() -> None:
    plans = plan_runs(DemoConfig())
    assert [(plan.arm, plan.seed) for plan in plans] == [(arm, seed) for seed in (0, 1) for arm in ARMS]
    assert {plan.training.plan().steps for plan in plans} == {DemoConfig().steps}
    assert {plan.training.model for plan in plans} == {"looped_d048"}
    assert len({plan.checkpoint for plan in plans}) == 6
    assert plans[2].training.curriculum == "max_med:400,sum:1300/keep-optimizer"


def test_runs_of_one_seed_differ_in_the_curriculum_alone() -> None:
    first = [plan.training.resolved() for plan in plan_runs(DemoConfig(seeds=(0,)))]
    for options in first:
        del options["curriculum"]
    assert first[0] == first[1] == first[2]


def test_the_command_line_means_the_plan() -> None:
    from listops_bench.train.config import read_config

    for plan in plan_runs(DemoConfig(seeds=(3,), steps=50, model="looped_d016")):
        words = demo._command(plan)
        assert words[:3] == [sys.executable, "-m", "listops_bench.train"]
        assert read_config(words[3:]) == plan.training


@pytest.mark.parametrize("steps", [2, 3, 10, 3000])
def test_the_transfer_has_two_stages(steps: int) -> None:
    first, second = plan_runs(DemoConfig(steps=steps, seeds=(0,)))[2].training.plan().stages
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
    assert not (tmp_path / "demo").exists()


# --- end to end -------------------------------------------------------------------------------------------------------


def small(folder: Path, **options: Any) -> DemoConfig:
    return DemoConfig(**{"output_dir": str(folder), "seeds": (0,), "steps": STEPS, "model": "looped_d008", **options})


def run(config: DemoConfig, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Runs a demo whose test sets are small: untrained models write long nonsense, which takes long to decode."""
    from listops_bench.evaluate import run as evaluate

    real = evaluate.evaluate_checkpoint
    monkeypatch.setattr(evaluate, "evaluate_checkpoint", lambda *a, **k: real(*a, **{**k, "num_rows": 20}))
    monkeypatch.setattr(demo, "_enough_rows", lambda result: result.splits["test"].n == 20)
    text = io.StringIO()
    code = run_demo(config, Console(file=text, width=200))
    return code, text.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished demo and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "runs" / "demo"
    with pytest.MonkeyPatch.context() as monkeypatch:
        code, text = run(small(folder), monkeypatch)
    assert code == 0, text
    return folder, text


@pytest.mark.slow
def test_the_demo_writes_what_it_says(finished: tuple[Path, str]) -> None:
    folder, text = finished
    figures = ("runs.svg", "runs.png", "curves.svg", "curves.png")
    for name in (
        "index.html",
        "board/README.md",
        "board/site/index.html",
        *(f"board/site/figures/{f}" for f in figures),
    ):
        assert (folder / name).stat().st_size > 500, name
    for arm in ARMS:
        assert (folder / "checkpoints" / f"{arm}-seed0" / "model.safetensors").exists()
    tasks = sorted(path.name for path in (folder / "results").rglob("*.json"))
    assert tasks == ["sum.json", "sum.json", "sum.json", "sum_max_med.json"]
    assert not list((folder / "checkpoints").glob("*.training"))
    assert all(title in text for title in ARMS.values())
    assert "on the same 20 SUM test rows" in text


@pytest.mark.slow
def test_a_second_demo_trains_and_scores_nothing(finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, before = finished
    checkpoints = {path: path.stat().st_mtime_ns for path in (folder / "checkpoints").rglob("*.safetensors")}
    monkeypatch.setattr(demo, "run_jobs", None)  # neither may be called
    monkeypatch.setattr(demo, "_evaluate", None)
    monkeypatch.setattr(demo, "_enough_rows", lambda result: result.splits["test"].n == 20)
    text = io.StringIO()
    assert run_demo(small(folder), Console(file=text, width=200)) == 0
    assert "all 3 runs are there already" in text.getvalue()
    assert before.splitlines()[-3] == text.getvalue().splitlines()[-3], "the same sentence"
    assert {path: path.stat().st_mtime_ns for path in checkpoints} == checkpoints


@pytest.mark.slow
def test_damaged_results_are_made_again(
    finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(finished[0], folder)
    first = next((folder / "results").rglob("*.json"))
    first.write_text("{")
    code, text = run(small(folder), monkeypatch)
    assert code == 0
    assert text.count("scoring ") == 3
    assert first.stat().st_size > 100


@pytest.mark.slow
def test_another_demo_in_the_same_folder_is_an_error(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    with pytest.raises(
        InvalidInput, match=r"holds another run: its curriculum is 'sum:6', this one's 'sum:7'.*--fresh"
    ):
        run_demo(small(folder, steps=STEPS + 1), Console(file=io.StringIO()))


@pytest.mark.slow
def test_a_run_that_fails_is_reported_and_the_rest_is_shown(
    finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(finished[0], folder)
    shutil.rmtree(folder / "checkpoints" / "joint-seed0")
    monkeypatch.setattr(demo, "_command", lambda plan: [sys.executable, "-c", "raise SystemExit('no disk left')"])
    code, text = run(small(folder), monkeypatch)
    assert code == 1
    assert "SUM+MAX+MED, seed 0 failed: no disk left (see " in text
    assert "SUM alone got" in text
    assert "no disk left" in (folder / "index.html").read_text()


@pytest.mark.slow
def test_fresh_deletes_what_was_made_and_nothing_else(
    finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(finished[0], folder)
    (folder / "my notes.txt").write_text("mine")
    monkeypatch.setattr(demo, "_command", lambda plan: [sys.executable, "-c", "raise SystemExit('not again')"])
    code, text = run(small(folder, fresh=True), monkeypatch)
    assert code == 1
    assert text.count("failed: not again") == 3
    assert "No run finished" in text
    assert (folder / "my notes.txt").read_text() == "mine"
    assert not list((folder / "checkpoints").glob("*"))


@pytest.mark.slow
def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "listops_bench", "demo", "--seeds", "0", "--steps", "100000"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    lock = tmp_path / "runs" / "demo" / "checkpoints" / "alone-seed0.training" / "lock"
    deadline = time.monotonic() + WAIT_SECONDS
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lock.exists()
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_SECONDS) == 130
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline"))
    assert not [c for c in commands if b"100000" in c and b"listops_bench.train" in c]


# --- live progress ----------------------------------------------------------------------------------------------------


def line(step: int, **figures: Any) -> str:
    return json.dumps({"step": step, "loss": 2.5 - step / 1000, "tokens_per_second": 90_000, **figures}) + "\n"


def test_a_log_that_is_being_written_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "train_log.jsonl"
    assert _live.read_log(log) == []
    log.write_text(line(50, validation={"sum/trace_accuracy": 0.25}) + line(100) + '{"step": 15')
    now = _live.standing(_live.read_log(log))
    assert (now.step, now.loss, now.sum_accuracy, now.tokens_per_second) == (100, 2.4, 0.25, 90_000)


class FakeRun:
    def __init__(self, log: Path) -> None:
        self.log = log


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_every_run(tmp_path: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_live, "SECONDS_BETWEEN_LINES", 0.0)
    jobs = [
        Job(name, [], tmp_path / "x", status)
        for name, status in (("first", "done"), ("second", "running"), ("third", "waiting"))
    ]  # type: ignore[arg-type]
    runs = [FakeRun(tmp_path / f"{job.name}.jsonl") for job in jobs]
    runs[0].log.write_text(line(1000, validation={"sum/trace_accuracy": 0.98}))
    jobs[1].seconds = 10.0
    text = io.StringIO()
    console = Console(file=text, width=160, force_terminal=terminal, color_system=None)
    with _live.Display(console, jobs, runs, 1000, 1) as display:
        display.show()
        runs[1].log.write_text(line(250, validation={"sum/trace_accuracy": 0.5}))
        display.show()
    shown = text.getvalue()
    assert "1 of 3 runs done, about 1:10 of training left" in shown
    if terminal:
        assert all(
            word in shown
            for word in ("first", "98%", "second", "250", "2.250", "50%", "90,000", "0:30", "third", "waiting")
        )
    else:
        assert "second: step 250, loss 2.250, SUM 50%" in shown


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Report]:
    """A report of six made-up runs; ``report(model=...)`` replaces fields."""
    config = DemoConfig(output_dir=str(tmp_path))
    found = {(result.recipe.id, result.recipe.seed, result.task.name): result for result in demo_results()}
    recipes = dict(zip(ARMS, dict.fromkeys(recipe for recipe, _, _ in found), strict=True))
    runs = []
    for plan in plan_runs(config):
        of_run = {task: found.get((recipes[plan.arm], plan.seed, task)) for task in ("sum", "sum_max_med")}
        runs.append(Run(plan.arm, plan.seed, plan.checkpoint, of_run["sum"], of_run["sum_max_med"]))  # type: ignore[arg-type]
        plan.checkpoint.mkdir(parents=True)
        record = {"curriculum": plan.training.curriculum, "seed": plan.seed, "config": {"eval_rows": 256}}
        (plan.checkpoint / "run.json").write_text(json.dumps(record))
        lines = [line(step, validation={"sum/trace_accuracy": step / 4000}) for step in range(500, 3001, 500)]
        (plan.checkpoint / "train_log.jsonl").write_text("".join(lines))

    def make(**options: Any) -> Report:
        fields = {
            "runs": runs, "failed": [], "model": "looped_d048", "steps": 3000, "example": ("[SUM 1 2 ] =", " 3"),
            "command": "listops-bench demo",
        }  # fmt: skip
        return Report(**{**fields, **options})

    return make


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_opens_from_the_file_without_complaint(
    tmp_path: Path, report: Callable[..., Report], chromium: Any, console: Callable[[Any], list[str]], width: int
) -> None:
    page = write_page(report(), tmp_path)
    chromium.set_window_size(width, 900)
    chromium.get(page.as_uri())
    assert console(chromium) == []
    assert chromium.title == "listops_bench demo"
    assert sum(svg.is_displayed() for svg in chromium.find_elements("css selector", "figure svg")) == 2
    assert len(chromium.find_elements("css selector", "tr")) == 7
    body = chromium.find_element("tag name", "body").text
    assert report().sentence in body
    overflow = chromium.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, "the page scrolls sideways"


def test_the_page_holds_the_figures_and_fetches_nothing(tmp_path: Path, report: Callable[..., Report]) -> None:
    html = write_page(report(), tmp_path).read_text()
    for text in ("4.1%", "61.2%", "97.8%", "3.6% to 4.7%", "5,000", "87.4%", " parameters) reads", "EPYC, 2 threads"):
        assert text in html, text
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org/", "")


def test_text_from_outside_is_escaped(tmp_path: Path, report: Callable[..., Report]) -> None:
    html = write_page(report(model="<script>alert(1)</script>", failed=["<b>bad</b> disk"]), tmp_path).read_text()
    assert "<script" not in html
    assert "&lt;b&gt;bad&lt;/b&gt; disk" in html


def test_a_page_without_any_run(tmp_path: Path, report: Callable[..., Report]) -> None:
    html = write_page(report(runs=[], failed=["all failed"]), tmp_path).read_text()
    assert "No run finished" in html
