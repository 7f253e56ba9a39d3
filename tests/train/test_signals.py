"""Training that is asked to end at random moments, on one and two processes, packed and in sweeps (make check-all)."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.restarts import assert_same_curve, outcome, run_sweeps
from tests.support.runs import SMALL, environment
from tests.support.sweeps import TINY, hashes, page, predictions

pytestmark = pytest.mark.check_all

MOMENTS = 10


def signals(last: int, seed: int) -> list[tuple[str, int]]:
    """Ten signals at steps that only grow: every one of them is lived to see."""
    draw = random.Random(seed)
    return [(draw.choice(["SIGTERM", "SIGHUP"]), step) for step in sorted(draw.sample(range(1, last), MOMENTS))]


@pytest.mark.parametrize("processes", [1, 2])
def test_ten_signals_lose_nothing(tmp_path: Path, processes: int) -> None:
    options = {**SMALL, "curriculum": "max:13,sum*0.5+med*0.5:12/keep-optimizer", "eval_steps": 6, "eval_rows": 16}
    options |= {"num_processes": processes, "logging_steps": 4}
    cases = [{"name": "whole", "options": options, "processes": processes}]
    cases += [{**cases[0], "name": "stopped", "moments": signals(25, processes)}]
    found = outcome(tmp_path, *cases)
    assert found["stopped"][0] == signals(25, processes)[-1][1]
    assert found["whole"][1] == found["stopped"][1]
    assert_same_curve(tmp_path / "whole", tmp_path / "stopped")


def test_ten_signals_to_a_pack_lose_nothing(tmp_path: Path) -> None:
    options = {"per_device_train_batch_size": 4, "save_steps": 50, "eval_steps": 6, "eval_rows": 5}
    pack: dict[str, Any] = {"options": options, "packed": 18}
    found = outcome(tmp_path, {"name": "whole", **pack}, {"name": "stopped", "moments": signals(18, 3), **pack})
    assert found["whole"][1] == found["stopped"][1]
    for i in range(4):
        assert_same_curve(tmp_path / "whole" / str(i), tmp_path / "stopped" / str(i))


def test_ten_signals_to_a_sweep_lose_nothing(tmp_path: Path) -> None:
    """At steps and splits of packs and runs alone; fewer than there are left each time."""
    page(tmp_path, {**TINY, "models": ["looped_d008", "gpt2_d016"], "seeds": [0, 1]})
    draw = random.Random(4)
    moments = [f"{draw.choice(['SIGTERM', 'SIGHUP'])}={draw.randint(1, 2)}" for _ in range(MOMENTS)]
    run_sweeps(tmp_path, "whole", " ".join(["stopped", *moments]))
    assert hashes(tmp_path / "stopped") == hashes(tmp_path / "whole")
    assert predictions(tmp_path / "stopped") == predictions(tmp_path / "whole")


ACCELERATE = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.mark.parametrize("launcher", [[], ACCELERATE, TORCHRUN], ids=["alone", "accelerate", "torchrun"])
def test_commands_that_are_stopped_at_random_times_go_on(tmp_path: Path, launcher: list[str]) -> None:
    """Real commands and times: while they import, train and save. They end by themselves, and go on."""
    own = environment(ACCELERATE_USE_CPU="true")
    command = [sys.executable, *launcher, "-m", "listops_bench.train", "--task", "max", "--model", "looped_d008"]
    command += ["--steps", "60", "--eval-steps", "20", "--report-to", "none", "--output-dir"]

    def run(name: str) -> str:
        done = subprocess.run([*command, name], cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        record: dict[str, str] = json.loads((tmp_path / name / "run.json").read_text())
        return record["weights_sha256"]

    draw, whole = random.Random(5), run("whole")
    for _ in range(MOMENTS):
        process = subprocess.Popen([*command, "stopped"], cwd=tmp_path, env=own, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(draw.uniform(1, 15))
        except subprocess.TimeoutExpired:
            process.send_signal(draw.choice([15, 1]))
        _, error = process.communicate(timeout=60)
        assert launcher or "Traceback" not in error
    assert run("stopped") == whole
