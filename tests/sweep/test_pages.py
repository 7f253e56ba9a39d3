"""The committed sweeps: each can be planned, and a small part of each trained and scored."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from listops_bench.sweep import _cost
from listops_bench.sweep._cost import Estimate, estimate, shards_within
from listops_bench.sweep._folder import SweepFolder
from listops_bench.sweep.grid import Sweep, read_sweep
from listops_bench.tasks.curriculum import Curriculum
from listops_bench.train.packed.run import this_engine
from listops_bench.train.run import train
from tests.support.runs import ROOT, cached_rows

__all__ = ["cached_rows"]

SWEEPS = ROOT / "leaderboard" / "sweeps"
PARTS = sorted(SWEEPS.glob("reference_*.yaml"))
PAGES = sorted({*SWEEPS.glob("*.yaml")} - {*PARTS})
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
    first = sum(search.rule.batch for search in sweep.adaptive)  # of an adaptive sweep, what it begins with
    assert sum(len(one.jobs) for one in found) == len(sweep) + first
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


def runs_of(sweep: Sweep) -> tuple[Counter[str], Counter[str]]:
    """The names of the runs that choose, and of those that are reported."""
    choosing, reported = Counter[str](), Counter[str]()
    for selection in sweep.selections:
        choosing.update(job.name for jobs in selection.choosing.values() for job in jobs)
        reported.update(job.name for jobs in selection.reported.values() for job in jobs)
    return choosing, reported


@pytest.mark.check_all
def test_the_parts_of_the_reference_are_the_whole_and_fit_ten_minutes(tmp_path: Path) -> None:
    """No run is reported twice; and each page says in how many calls ``--plan --time-limit 10m`` has it."""
    parts = [read_sweep(page, tmp_path) for page in PARTS]
    whole = runs_of(read_sweep(SWEEPS / "reference.yaml", tmp_path))
    found = [runs_of(part) for part in parts]
    assert set().union(*(choosing for choosing, _ in found)) == set(whole[0])
    assert sum((reported for _, reported in found), Counter()) == whole[1]
    for page, part in zip(PARTS, parts, strict=True):
        count, longest = shards_within(SweepFolder(tmp_path, part), None, 600)
        assert longest <= 600, page.stem
        assert f"; calls of ten minutes: {count}\n" in page.read_text(), page.stem


def test_shards_are_as_many_as_a_time_asks_for(tmp_path: Path) -> None:
    sweep = read_sweep(PARTS[0], tmp_path)
    folder = SweepFolder(tmp_path, sweep)
    count, longest = shards_within(folder, None, 60)
    assert longest <= 60 < shards_within(SweepFolder(tmp_path, sweep.shard(0, 1)), None, 600)[1]
    shards = [sweep.shard(index, count) for index in range(count)]
    assert sum((Counter(runs_of(shard)[1]) for shard in shards), Counter()) == runs_of(sweep)[1]
    assert shards_within(folder, None, 1)[0] == len(sweep.selections)  # a choice stays in one piece
