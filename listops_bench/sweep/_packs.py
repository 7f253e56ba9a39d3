"""What is done in one go: a run alone, or some runs packed. And in which order.

Units are a function of what is on the disk, so every process works them out for itself; a claim on each run sees to it
that two never do the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from listops_bench.errors import InvalidInput
from listops_bench.model.ladder import load_config
from listops_bench.runs.folder import working_files
from listops_bench.sweep._attempts import CRASHES_ALONE
from listops_bench.sweep._folder import SweepFolder
from listops_bench.sweep.job import Job, cost
from listops_bench.train.config import rows_per_step
from listops_bench.train.packed.run import MOST_ROWS, pack_key, why_not

Order = Literal["cost", "page"]

_UNITS_OF_WIDTH = 6144
_MOST_IN_A_PACK = 128


def pack_limit(asked: int | None, device_type: str) -> int | None:
    """Models in a pack at the most, as asked for; left open, a CPU trains each run alone, a GPU what fits."""
    return 1 if asked is None and device_type == "cpu" else asked


@dataclass(frozen=True)
class Unit:
    """Runs that are trained in one go; ``pack`` is the folder of a pack, None for a run alone, or for some that are
    trained and only to be scored."""

    jobs: tuple[Job, ...]
    pack: Path | None = None

    @property
    def cost(self) -> float:
        return sum(cost(job) for job in self.jobs)


def units_of(
    folder: SweepFolder, pack: int | None, size: int, *, order: Order = "cost", jobs: Sequence[Job] | None = None
) -> list[Unit]:
    """What is left to do, in its order; what a process has died under comes last.

    Args:
        pack: models in a pack at the most; 1 trains each alone, None as many as make a GPU busy.
        size: processes that share the work: packs are made small enough that all have some.
        order: the most expensive first, or as the page has the runs.
        jobs: instead of all that are known.
    """
    known = folder.jobs() if jobs is None else jobs
    left = [job for job in known if folder.is_left(job)]
    units = _packs_begun(folder, left)
    taken = {job.name for unit in units for job in unit.jobs}
    by_key: dict[tuple[object, ...], list[Job]] = defaultdict(list)
    for job in (job for job in left if job.name not in taken):
        is_trained = folder.record(job) is not None
        begun_alone = not is_trained and working_files(job.output_dir).state.exists()
        alone = pack == 1 or begun_alone or folder.attempts.crashes(job) >= CRASHES_ALONE
        if alone or not _can_be_packed(job):
            units.append(Unit((job,)))
        else:
            by_key[is_trained, *pack_key(job.config)].append(job)
    for key, same in by_key.items():
        grouped = _grouped(folder, same, pack, size)
        units += [replace(unit, pack=None) for unit in grouped] if key[0] else grouped  # trained ones are only scored
    places = {job.name: place for place, job in enumerate(known)} if order == "page" else {}

    def turn(unit: Unit) -> tuple[float, ...]:
        left = max(folder.attempts.turn(job) for job in unit.jobs)
        return left, min(places[job.name] for job in unit.jobs) if places else -unit.cost

    return sorted(units, key=turn)


def _can_be_packed(job: Job) -> bool:
    try:
        return why_not(job.config) is None
    except InvalidInput:  # its model is gone: training it will say so
        return False


def _packs_begun(folder: SweepFolder, left: Sequence[Job]) -> list[Unit]:
    """Packs whose state is on the disk go on with the members that they began with."""
    by_name = {job.name: job for job in folder.jobs()}
    waiting = {job.name for job in left}
    units = []
    for path in sorted(folder.packs.glob("*.json")):
        names = folder.notes.read(path, list[str]) or ()
        begun = working_files(path.with_suffix("")).state.exists()
        if begun and waiting & set(names) and set(names) <= set(by_name):
            units.append(Unit(tuple(by_name[name] for name in names), path.with_suffix("")))
    return units


def _grouped(folder: SweepFolder, jobs: Sequence[Job], pack: int | None, size: int) -> list[Unit]:
    """Runs of one kind, in packs of nearly equal size; those of equal length together, so that they end together."""
    width = load_config(jobs[0].config.fresh_model).hidden_size
    most = min(_UNITS_OF_WIDTH // width, _MOST_IN_A_PACK) if pack is None else pack
    most = max(1, min(most, MOST_ROWS // rows_per_step(jobs[0].config), -(-len(jobs) // size)))
    ordered = sorted(jobs, key=lambda job: (-job.steps, job.name))
    count = -(-len(jobs) // most)
    bounds = [round(i * len(ordered) / count) for i in range(count + 1)]
    return [_unit(folder, ordered[a:b]) for a, b in pairwise(bounds)]


def _unit(folder: SweepFolder, jobs: Sequence[Job]) -> Unit:
    if len(jobs) == 1:
        return Unit(tuple(jobs))
    names = json.dumps([job.name for job in jobs])
    return Unit(tuple(jobs), folder.packs / hashlib.sha256(names.encode()).hexdigest()[:12])
