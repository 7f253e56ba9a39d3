"""What runs and sweeps came to that were stopped and started again, see `killed_runs` and `killed_sweep`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.runs import environment


def outcome(folder: Path, *cases: dict[str, Any]) -> dict[str, tuple[int, list[str]]]:
    """What cases came to, by name: the step they were resumed at the last time, and the digests of their weights."""
    output = _run(folder, "killed_runs", json.dumps(cases))
    names = {case["name"] for case in cases}  # other lines are those of libraries
    lines = [line.split() for line in output.splitlines() if line.partition(" ")[0] in names]
    return {name: (int(step), digests) for name, step, *digests in lines}


def run_sweeps(folder: Path, *sweeps: str) -> None:
    """Runs the folder's ``page.yaml`` for each, say ``"killed .pt=2 SIGTERM=1"``: a session a moment and one more."""
    _run(folder, "killed_sweep", *sweeps)


def _run(folder: Path, module: str, *words: str) -> str:
    command = [sys.executable, "-m", f"tests.support.{module}", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def log_of(folder: Path) -> dict[int, dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "train_log.jsonl").read_text().splitlines()]
    by_step = {line["step"]: line for line in lines}
    assert len(by_step) == len(lines)  # no step is told twice
    return by_step


def assert_same_curve(whole: Path, killed: Path) -> None:
    ours, theirs = log_of(whole), log_of(killed)
    assert ours.keys() == theirs.keys()
    for step, line in ours.items():
        for key in ("loss", "tokens", "loss_tokens", "reductions", "learning_rate", "stage", "validation"):
            assert line.get(key) == theirs[step].get(key), (step, key)
