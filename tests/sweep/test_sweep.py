"""Sweeps: who does what, what counts as done, what is on the disk when a process dies, and what failures do."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from listops_bench._base.stopping import StopRequest
from listops_bench.cli import command as cli
from listops_bench.evaluate.packs import MOST_MEMBERS
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.pages.tables import to_records
from listops_bench.result.files import find_results, read_results
from listops_bench.runs.folder import RunFiles, working_dir
from listops_bench.sweep import _folder, _worker, run
from listops_bench.sweep._cost import makespan, spell_time
from listops_bench.sweep._folder import Status, SweepFolder
from listops_bench.sweep._live import Display, print_summary, summary_table
from listops_bench.sweep._packs import units_of
from listops_bench.sweep._worker import Worker
from listops_bench.sweep.command import main
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep
from tests.support.processes import eventually, forks
from tests.support.restarts import run_sweeps
from tests.support.runs import EXAMPLES, environment
from tests.support.sweeps import TINY, TWELVE, hashes, page, predictions, tiny


def test_places_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(page(tmp_path, TINY))
    for verb, words, message in (
        (cli.main, ["sweep", file, "--output-dir", f"{file}/out"], f"cannot write '{file}/out'"),
        (main, [file, "--output-dir", f"{file}/out"], f"cannot write '{file}/out'"),
        (main, [str(tmp_path / "nowhere.yaml")], "cannot read"),
        (main, [file, "--shard", "3/2"], "'3/2' is not I/N"),
        (main, [file, "--worker-s", "1"], "unknown option '--worker-s'; did you mean"),
    ):
        assert verb(words) == 2
        assert message in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("visible", "number", "count", "left"),
    [({}, 1, 2, "1"), ({}, 3, 2, "1"), ({"CUDA_VISIBLE_DEVICES": "4,7"}, 1, 2, "7"), ({}, 0, 1, "0")],
)
def test_a_process_keeps_one_gpu(visible: dict[str, str], number: int, count: int, left: str) -> None:
    variables = dict(visible)
    run._take_gpu(variables, number, count)
    assert variables == {"CUDA_VISIBLE_DEVICES": left}


def test_a_rank_leaves_its_launcher() -> None:
    variables = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "host"}
    variables |= {"TORCHELASTIC_RUN_ID": "x", "HOME": "/home"}
    assert run._leave_launcher(variables) == (3, 4)
    assert variables == {"HOME": "/home", "CUDA_VISIBLE_DEVICES": "1"}
    assert run._leave_launcher({}) == (0, 1)


@pytest.mark.parametrize(("gpus", "cpu", "expected"), [(0, "", 3), (2, "", 2), (2, "true", 3), (2, "false", 2)])
def test_a_process_for_each_gpu_or_core(gpus: int, cpu: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(run, "usable_cores", lambda: 3)
    assert run._devices({"ACCELERATE_USE_CPU": cpu}) == expected


def test_the_time_that_devices_take() -> None:
    assert makespan([3, 3, 2, 2, 2], 2) == 7
    assert makespan([5, 1], 4) == 5


@pytest.mark.parametrize(
    ("seconds", "spelt"),
    [(0.42, "0.42 seconds"), (59.96, "60 seconds"), (252, "4.2 minutes"), (3600, "1 hours"), (107_100, "29.8 hours")],
)
def test_a_time_is_spelt_in_a_unit_that_shows_it(seconds: float, spelt: str) -> None:
    assert spell_time(seconds) == spelt


# --- what is shown ----------------------------------------------------------------------------------------------------


def drawn(folder: SweepFolder, *, terminal: bool = True) -> str:
    text = io.StringIO()
    console = Console(file=text, width=160, force_terminal=terminal, color_system=None)
    with Display(console, folder) as display:
        display.show()
    return text.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_shows_what_each_worker_does(tmp_path: Path, terminal: bool) -> None:
    folder = tiny(tmp_path, seeds=[0, 1, 2])
    first, second, _ = (job.name for job in folder.jobs())
    status = Status([first, second], "training", 3, 6, 2.5)
    folder.write_heartbeat(1, status)
    assert folder.heartbeats() == {1: status}
    shown = drawn(folder, terminal=terminal)
    assert f"{first} and 1 more" in shown
    assert "0 of 3 runs done, 2 running, 1 left" in shown
    assert ("2.500" if terminal else "training 3/6") in shown
    folder.remove_heartbeat(1)
    assert folder.heartbeats() == {}


def test_the_summary_has_a_row_for_each_run(tmp_path: Path) -> None:
    folder = tiny(tmp_path, seeds=[0, 1])
    first, second = folder.jobs()
    folder.note_failure(second, _folder.Failure("no room", final=True))
    Worker(folder).run()
    rows = to_records(summary_table(folder))
    assert [row["run"] for row in rows] == [first.name, second.name]
    (result,) = read_results(folder.results)
    accuracy = result.splits["test"].metrics.trace_accuracy.accuracy
    assert (rows[0]["steps"], rows[0]["exact traces on test rows"]) == ("6", f"max {accuracy:.1%} of 8")
    assert (rows[1]["steps"], rows[1]["exact traces on test rows"]) == ("", "failed")


# --- what counts as done ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"scorer_version": "0.1"}, {"dataset_version": "0.1"}, {"splits": {}}],
    ids=["another scorer", "another dataset", "damaged"],
)
def test_results_that_do_not_count_are_made_again(tmp_path: Path, change: dict[str, Any]) -> None:
    Worker(tiny(tmp_path)).run()
    (path,) = find_results(tmp_path / "out" / "results")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    folder = tiny(tmp_path)
    (job,) = folder.jobs()
    assert folder.tasks_to_score(job) == ["max"]
    evaluate_checkpoint(job.output_dir, "max", "test", num_rows=8, results_dir=folder.results)
    assert folder.is_done(job)


@pytest.mark.parametrize(
    ("asked", "done"),
    [
        ({"eval_num_rows": 4}, True),
        ({"eval_num_rows": 9}, False),
        ({"eval_splits": ["test", "test_unseen_operands"]}, False),
        ({"eval_tasks": ["max", "min"]}, False),
        ({"track": "reference"}, False),
    ],
)
def test_done_is_as_asked_now(tmp_path: Path, asked: dict[str, Any], done: bool) -> None:
    Worker(tiny(tmp_path)).run()
    folder = tiny(tmp_path, **asked)
    (job,) = folder.jobs()
    assert folder.is_done(job) == done
    Worker(folder).run()
    assert folder.is_done(job)


def test_results_that_never_count_do_not_keep_a_sweep_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the scorer wrote another version than it is asked for."""
    folder = tiny(tmp_path)
    (job,) = folder.jobs()
    monkeypatch.setattr(_folder, "SCORER_VERSION", "99")
    Worker(folder).run()
    assert "results on max were written and do not count" in folder.failures()[job.name].reason


@pytest.mark.parametrize("change", [{"dataset_version": "0.9.0"}, {"curriculum": "min:6"}, {"n": 3}])
def test_a_run_that_was_trained_otherwise_is_not_done(tmp_path: Path, change: dict[str, Any]) -> None:
    """On the rows of an earlier dataset, or another run in its place: that is said, however long the path, and it stops
    no other."""
    place = tmp_path / ("folder" * 30)
    place.mkdir()
    Worker(tiny(place)).run()
    folder = tiny(place, seeds=[0, 1])
    first, second = folder.jobs()
    path = Path(first.output_dir) / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "identity": {**record["identity"], **change}}))
    Worker(folder).run()
    assert not folder.is_done(first)
    assert folder.is_done(second)
    assert f"its {next(iter(change))} is" in folder.failures()[first.name].reason


DAMAGED = ["", '{"final": 3}', "[" * 5000]
MORE_DAMAGED = ["[]", "\0" * 9, '{"runs": 7}', '{"a": 1, "a": 1}']


@pytest.mark.parametrize(
    "text", [*DAMAGED, *(pytest.param(text, marks=pytest.mark.check_all) for text in MORE_DAMAGED)]
)
def test_damaged_files_are_named_and_the_rest_goes_on(tmp_path: Path, text: str) -> None:
    folder = tiny(tmp_path, seeds=[0, 1, 2, 3])
    first, second, third, fourth = folder.jobs()
    damaged = [folder.path / name for name in (f"failed/{second.name}.json", "packs/x.json", "workers/7.json")]
    damaged += [Path(first.output_dir) / "run.json", folder.path / "attempts" / f"{third.name}.json"]
    for path in damaged:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    Worker(folder, pack=2).run()
    assert [folder.is_done(job) for job in folder.jobs()] == [False, False, True, True]
    (result,) = find_results(folder.results, folder.record(fourth).weights_sha256)  # type: ignore[union-attr]
    result.write_text(text)
    text_of = io.StringIO()
    print_summary(Console(file=text_of, width=500), tiny(tmp_path, seeds=[0, 1, 2, 3]))
    for path in (result, damaged[0], damaged[3].parent):
        assert str(path) in text_of.getvalue()
    folder = tiny(tmp_path, seeds=[0, 1, 2, 3])
    folder.forget_failures()
    Worker(folder, pack=2).run()
    assert [folder.is_done(job) for job in folder.jobs()] == [False, True, True, True]


def test_runs_that_are_trained_are_scored_together_to_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for side, pack in (("alone", 1), ("together", 3)):
        (tmp_path / side).mkdir()
        made = tiny(tmp_path / side, seeds=[0, 1, 2])
        Worker(SweepFolder(made.path, made.sweep, "train"), pack=1).run()
        folder = SweepFolder(made.path, made.sweep, "score")
        units = units_of(folder, pack, 1)
        assert [(len(unit.jobs), unit.pack) for unit in units] == [(pack, None)] * (3 // pack)
        monkeypatch.setitem(MOST_MEMBERS, "cpu", pack)
        Worker(folder, pack=pack).run()
        assert all(folder.is_done(job) for job in folder.jobs())
    assert predictions(tmp_path / "alone" / "out") == predictions(tmp_path / "together" / "out")


def test_results_are_read_by_one_thread_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Worker(tiny(tmp_path)).run()
    folder, original, locked = tiny(tmp_path), _folder.read_result, []

    def read_result(path: Path) -> Any:
        locked.append(folder._lock.locked())
        return original(path)

    monkeypatch.setattr(_folder, "read_result", read_result)
    assert folder.is_done(*folder.jobs())
    assert locked == [True]


# --- killed, and started again ----------------------------------------------------------------------------------------


@forks
def test_a_killed_sweep_ends_with_the_weights_of_one_never_stopped(tmp_path: Path) -> None:
    """Two packs and a run alone, killed while they write states, checkpoints, results and the sweep's own files."""
    page(tmp_path, {**TINY, "models": ["looped_d008", "gpt2_d016"], "seeds": [0, 1]})
    moments = ".pt=2 SIGTERM=1 checkpoint=1 .json=3 SIGHUP=2 .pt=1 checkpoint=1 .json=2"
    run_sweeps(tmp_path, "whole", f"killed {moments}")
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")
    assert len(hashes(tmp_path / "whole")) == 4
    assert predictions(tmp_path / "killed") == predictions(tmp_path / "whole")
    assert len(predictions(tmp_path / "whole")) == 4
    left = {path.name for path in (tmp_path / "killed").rglob("*") if path.suffix in (".training", ".tmp", ".pt")}
    assert not left


@pytest.mark.check_all
@pytest.mark.slow
@forks
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
    assert eventually(lambda: len([*checkpoints.glob("looped*/run.json")]) >= 3)
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


@pytest.mark.check_all
@forks
def test_a_run_that_kills_its_process_stops_no_other(tmp_path: Path) -> None:
    """It would be taken first, as the most expensive: once it was left in the middle, it is taken last."""
    page(tmp_path, {**TINY, "models": ["looped_d008", "gpt2_d016"]})
    run_sweeps(tmp_path, "out gpt2_d016=1 gpt2_d016=1")


def test_a_run_has_failed_after_some_crashes(tmp_path: Path) -> None:
    """Those that the command counts, which lives; one that has saved a state meanwhile begins to count anew."""
    folder = tiny(tmp_path, seeds=[0, 1])
    first, second = folder.jobs()
    for crashes in range(3):
        assert folder.attempts.crashes(first) == crashes
        assert [unit.jobs for unit in units_of(folder, 1, 1)] == [(first,), (second,)][:: -1 if crashes else 1]
        folder.attempts.begin(first, None)
        run._count_crashes(folder)
    Worker(folder).run()
    assert folder.is_done(second)
    assert "died 3 times" in folder.failures()[first.name].reason
    folder.forget_failures()
    folder.attempts.begin(first, None)
    state = RunFiles(working_dir(first.output_dir)).state
    state.parent.mkdir()
    state.write_bytes(b"")
    run._count_crashes(folder)
    assert folder.attempts.crashes(first) == 1
    state.unlink()
    Worker(folder).run()
    assert folder.is_done(first)
    assert not [*(folder.path / "attempts").iterdir()]


def test_a_pack_that_fails_is_trained_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is too large for the device, or one of its runs is a defect."""

    def too_large(*_: Any, **__: Any) -> None:
        raise MemoryError("too large")

    folder = tiny(tmp_path, seeds=[0, 1])
    lines: list[str] = []
    monkeypatch.setattr(_worker, "train_packed", too_large)
    Worker(folder, pack=2, on_event=lines.append).run()
    assert "its runs are trained alone: MemoryError: too large" in lines[0]
    assert all(folder.is_done(job) for job in folder.jobs())


def test_what_another_process_held_and_left_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the workers of a command that was killed a moment ago."""
    folder = tiny(tmp_path)
    claims = folder.claim(folder.jobs())
    monkeypatch.setattr(run.time, "sleep", lambda _: [lock.release() for lock in claims.values()])
    assert run._wait_for_others(folder, StopRequest())
    assert not run._wait_for_others(folder, StopRequest())


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
    def no_room(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    folder = tiny(tmp_path)
    (job,) = folder.jobs()
    with monkeypatch.context() as patch:
        patch.setattr(_worker, "train", no_room)
        Worker(folder).run()
    failure = folder.failures()[job.name]
    assert failure.reason == "OSError: [Errno 28] No space left on device: 'somewhere'"
    assert "in no_room" in failure.traceback
    assert not failure.final
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
    assert folder.choices() == [None]
    Worker(folder).run()
    reported = [job for job in folder.jobs() if job.scored]
    assert [(job.config.seed, job.config.learning_rate) for job in reported] == [(0, 1e-2), (1, 1e-2)]
    assert len(read_results(folder.results)) == 2
    (choice,) = json.loads((folder.path / "selection.json").read_text())
    assert choice["chosen"] == 1e-2
    assert choice["steps_spent"] == 40
    assert [c["runs"] for c in choice["candidates"]] == [1, 1, 1]


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.check_all
def test_the_command_starts_processes_and_prints_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = page(tmp_path, {**TINY, "seeds": [0, 1]})
    command = ["sweep", str(file), "--output-dir", str(tmp_path / "out"), "--workers", "1"]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"sweep of {file}, in {tmp_path / 'out'}\n")
    assert "2 runs, 2 to do, 1 at a time" in shown
    assert "2 of 2 runs done, 2 result files" in shown
    assert cli.main(command) == 0
    assert "to do" not in capsys.readouterr().out


def test_a_plan_says_what_a_sweep_would_cost_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = {**TINY["recipe"], "freeze": "embeddings"}
    values = {**TINY, "models": ["looped_d008"], "seeds": [0, 1, 2], "tasks": ["max", "sum"], "recipe": recipe}
    file = page(tmp_path, values)
    command = ["sweep", str(file), "--output-dir", str(tmp_path / "out"), "--plan", "--devices", "2", "--pack", "3"]
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    assert "6 runs to do in 2 units, 36 steps" in shown
    assert re.search(
        r"tokens: [\d.]+ (seconds|minutes) of one device, about [\d.]+ (seconds|minutes) on 2 devices", shown
    )
    assert re.search(r"On one GPU, about [\d.]+ seconds: an estimate", shown)
    assert not (tmp_path / "out" / "runs").exists()
