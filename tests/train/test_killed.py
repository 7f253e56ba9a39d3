"""Runs that are killed (SIGKILL), on one and two processes, end with the weights of a run never stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.runs import SMALL, environment, kept_weights

# Trains in processes of its own, kills them at chosen moments, and starts again each time with the same configuration.
# The processes are forked, so that torch is imported once; several of a run form a process group of their own.
KILLED = """
import functools, gc, os, signal, socket
from pathlib import Path
from listops_bench.train import _batches
from listops_bench.train import TrainConfig, train

_batches.generate = functools.cache(_batches.generate)

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def counted(function, number, counts):
    \"\"\"The function, but for its call of a number, which kills.\"\"\"
    calls = 0
    def call(source, target):
        nonlocal calls
        calls += counts(str(target))
        die() if calls == number else function(source, target)
    return call

def learned_at_9(model, step):
    return {"trace_accuracy": float(step >= 9)}

def session(config, moment, until):
    kind, number = moment
    on_step = None
    if kind == "step":
        on_step = lambda progress: die() if progress.step == number else None
    if kind == "state":
        os.replace = counted(os.replace, number, lambda target: target.endswith("state.pt"))
    if kind == "checkpoint":
        Path.rename = counted(Path.rename, number, lambda target: True)
    result = train(config, learned_at_9 if until else None, on_step=on_step)
    if os.environ.get("RANK", "0") == "0":
        print(config.output_dir, result.resumed_at, result.weights_sha256, flush=True)

def start(config, moment, processes):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        children.append(os.fork())
        if children[-1] == 0:
            if processes > 1:
                os.environ |= dict(
                    RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes), LOCAL_WORLD_SIZE=str(processes),
                    MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), ACCELERATE_USE_CPU="true",
                )
            session(config, moment, "until" in config.curriculum)
            os._exit(0)
    status = os.waitpid(children[0], 0)[1]
    for child in children[1:]:
        if status:
            os.kill(child, signal.SIGKILL)
        assert (os.waitpid(child, 0)[1] == 0) == (status == 0)
    return status

def run(output_dir, options, moments, processes=1):
    config = TrainConfig(output_dir=output_dir, **options)
    for i, stage in enumerate(config.plan().stages):  # rows are made here, once, for all children
        _batches.make_pool(
            stage, i, data_seed=0, dataset_seed=0, trace=config.trace, batch_size=1, cache={}
        )
    gc.freeze()  # the children need not look through what is imported
    for moment in moments:
        status = start(config, moment, processes)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (moment, status)
        assert not os.path.exists(output_dir), moment
    assert start(config, ("never", 0), processes) == 0
"""


def outcome(folder: Path, calls: list[str]) -> dict[str, tuple[int, str]]:
    """What runs came to, by folder: the step they were resumed at the last time, and the hash of their weights."""
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([KILLED, *calls])],
        capture_output=True, text=True, cwd=folder, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[0]: (int(line[1]), line[2]) for line in lines if len(line) == 3}


def log_of(folder: Path) -> dict[int, dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    by_step = {line["step"]: line for line in lines}
    assert len(by_step) == len(lines)  # no step is told twice
    return by_step


def assert_same_curve(whole: Path, killed: Path) -> None:
    ours, theirs = log_of(whole), log_of(killed)
    for step, line in ours.items():
        for key in ("tokens", "loss_tokens", "reductions", "learning_rate", "stage", "validation"):
            assert line.get(key) == theirs[step].get(key), (step, key)


def test_a_killed_run_ends_with_the_weights_of_one_never_stopped(tmp_path: Path) -> None:
    options = {**SMALL, "curriculum": "max:7,sum*0.5+med*0.5:6,sum:5/keep-optimizer", "eval_steps": 6, "eval_rows": 16}
    # With states every 3 steps and, elsewhere, exactly at the end of a stage.
    moments = [("step", 2), ("step", 4), ("state", 2), ("step", 11), ("step", 15), ("state", 1), ("checkpoint", 1)]
    at_boundaries = [("step", 8), ("step", 14)]
    found = outcome(
        tmp_path,
        [
            f"options = {options!r}",
            "run('whole', options, [])",
            f"run('killed', options | dict(save_steps=3), {moments!r})",
            f"run('between', options | dict(save_steps=7), {at_boundaries!r})",
        ],
    )
    assert found["killed"][0] == 18  # the state at the end was there; only the checkpoint was missing
    assert found["between"][0] == 14
    assert found["whole"][1] == found["killed"][1] == found["between"][1]
    assert_same_curve(tmp_path / "whole", tmp_path / "killed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["between", "killed", "whole"]


def test_two_killed_processes_end_alike_too(tmp_path: Path) -> None:
    """In both stages, while the state is written and while a checkpoint is, along the way and at the end."""
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("torch was built without gloo")
    options = {
        **SMALL, "curriculum": "max*0.5+med*0.5:30/until=0.5,sum:8", "eval_steps": 3, "per_device_train_batch_size": 8,
        "num_processes": 2, "checkpoint_steps": 5,
    }  # fmt: skip
    # The first stage is learned at step 9, so the run has 17 steps. Checkpoints are renamed after 0, 5, 10 and 15.
    moments = [("step", 6), ("checkpoint", 1), ("state", 2), ("step", 13), ("checkpoint", 1), ("checkpoint", 2)]
    found = outcome(
        tmp_path,
        [
            f"options = {options!r}",
            "run('whole', options, [], processes=2)",
            f"run('killed', options | dict(save_steps=4), {moments!r}, processes=2)",
        ],
    )
    assert found["killed"][0] == 17
    assert found["whole"][1] == found["killed"][1]
    assert_same_curve(tmp_path / "whole", tmp_path / "killed")
    kept = [kept_weights(tmp_path / run) for run in ("whole", "killed")]
    assert [step for step, _ in kept[0]] == [0, 5, 10, 15]
    assert kept[0] == kept[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
