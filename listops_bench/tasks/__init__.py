"""Tasks: what a task is, how its expressions are split, and how its rows are made. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.tasks.baselines import baselines as baselines
    from listops_bench.tasks.curriculum import (
        Curriculum as Curriculum,
        Stage as Stage,
        parse_curriculum as parse_curriculum,
    )
    from listops_bench.tasks.generator import Rows as Rows, generate as generate, rows_checksum as rows_checksum
    from listops_bench.tasks.operations import OPERATIONS as OPERATIONS
    from listops_bench.tasks.split import SPLITS as SPLITS
    from listops_bench.tasks.task import (
        DATASET_VERSION as DATASET_VERSION,
        TaskSpec as TaskSpec,
        curated_tasks as curated_tasks,
        get_task as get_task,
    )

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "curriculum": "Curriculum Stage parse_curriculum",
        "task": "DATASET_VERSION TaskSpec curated_tasks get_task",
        "expression": "OPERATIONS",
        "generator": "Rows generate rows_checksum",
        "split": "SPLITS",
        "baselines": "baselines",
    },
)
