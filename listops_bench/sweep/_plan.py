"""What a page declares before its first run (``plan:``), and the record of it that the page of the claims reads.

The sizes and seeds of a plan are those of the page. It adds which claims its runs are for, from which shares of exact
traces on a task counts as learned, and at how many runs of a size the claims are looked at::

    plan: {claims: [R4, R7], cuts: [0.9, 0.95, 0.99], looks: [5, 10]}
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from listops_bench._base import records
from listops_bench._base.files import read_bytes, write_atomic
from listops_bench._base.options import check
from listops_bench.errors import InvalidInput
from listops_bench.result.plans import Plan
from listops_bench.runs.record import recipe_digest

if TYPE_CHECKING:
    from listops_bench.sweep.job import Job

ClaimName = Literal["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9"]


@dataclass(frozen=True)
class Declared:
    """What a page says under ``plan``.

    Attributes:
        claims: that its runs are for.
        cuts: shares of exact traces from which on a task counts as learned.
        looks: numbers of runs of one size at which is looked, the last being all of its seeds; none where only the end
            is.
    """

    claims: tuple[ClaimName, ...]
    cuts: tuple[float, ...] = (0.9, 0.95, 0.99)
    looks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(self)
        if not self.claims:
            raise InvalidInput("plan: claims names none")
        for cut in self.cuts:
            if not 0 < cut <= 1:
                raise InvalidInput(f"plan: cut {cut} is not above 0 and at most 1")
        if list(self.looks) != sorted({look for look in self.looks if look > 0}):
            raise InvalidInput(f"plan: looks {list(self.looks)} are not numbers of runs that rise")


def declare(page: Path, plan: Declared | None, jobs: Iterable[Job], chosen: Iterable[str], folder: Path) -> Path:
    """Writes the record of a page's plan, before its first run, and returns its path.

    Args:
        jobs: all runs that may be reported.
        chosen: options that are chosen for each arm.

    Raises:
        InvalidInput: the page has no plan, or the plan was declared before: a second date would say nothing.
        EnvironmentFailed: the folder cannot be written.
    """
    import torch

    from listops_bench.runs.provenance import environment

    if plan is None:
        raise InvalidInput(f"{str(page)!r} has no plan to declare; give it one: plan: {{claims: [R4]}}")
    path = folder / f"{page.stem}.json"
    if path.exists():
        raise InvalidInput(f"{path} is there: a plan is declared once; name another page for another plan")
    runs: dict[str, set[int]] = {}
    for job in jobs:
        runs.setdefault(recipe_digest(job.config.identity())[0], set()).add(job.config.seed)
    here = environment(torch.device("cpu"))
    record = Plan(
        schema_version=1,
        page=page.name,
        page_sha256=hashlib.sha256(read_bytes(page)).hexdigest(),
        declared=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        commit=here.commit,
        dirty=here.dirty,
        claims=list(plan.claims),
        cuts=list(plan.cuts),
        looks=list(plan.looks),
        chosen=sorted(set(chosen)),
        runs={digest: sorted(seeds) for digest, seeds in sorted(runs.items())},
    )
    write_atomic(path, records.dumps(record))
    return path
