"""The committed sweeps: each can be planned, and a small part of each trained and scored."""

import dataclasses
from pathlib import Path

import pytest

from listops_bench.sweep import _cost
from listops_bench.sweep._cost import Estimate, estimate
from listops_bench.sweep._folder import SweepFolder
from listops_bench.sweep.grid import read_sweep
from listops_bench.tasks.curriculum import Curriculum
from listops_bench.train.packed.run import this_engine
from listops_bench.train.run import train
from tests.support.runs import ROOT, cached_rows

__all__ = ["cached_rows"]

PAGES = sorted((ROOT / "leaderboard" / "sweeps").glob("*.yaml"))
LONG = (
    "controls",
    "demo",
    "optimised",
    "permutations",
    "pocket",
    "reference",
)  # read in other tests, too, or of a kind with another


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem, marks=pytest.mark.check_all if page.stem in LONG else ()) for page in PAGES],
)
def test_a_committed_sweep_can_be_planned_and_begun(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan, no step being timed; and its last run, two steps of each stage."""
    monkeypatch.setattr(_cost, "_timed", lambda units, engine: Estimate(units, step=0.036, row=1e-4))
    sweep = read_sweep(page, tmp_path)
    found = estimate(SweepFolder(tmp_path, sweep), None, 1, this_engine())
    assert sum(len(one.jobs) for one in found) == len(sweep)
    assert 0 < found[0].gpu_seconds < 0.036 * found[0].steps

    job = found[-1].jobs[-1]
    stages = [dataclasses.replace(stage, steps=2) for stage in job.config.plan().stages]
    config = dataclasses.replace(
        job.config, task=None, max_steps=None, curriculum=str(Curriculum(tuple(stages))), init_parts=None, freeze=None,
        eval_steps=2, eval_rows=8, early_stop=None, save_steps=0, per_device_train_batch_size=8,
    )  # fmt: skip
    result = train(config)
    assert result.steps == 2 * len(stages)
    assert set(result.validation) >= {f"{task}/trace_accuracy" for task in stages[-1].tasks}
