"""Tasks: what a task is, how its expressions are split, and how its rows are made. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.tasks.baselines import baselines as baselines
    from listops_bench.tasks.curriculum import Curriculum as Curriculum
    from listops_bench.tasks.curriculum import Stage as Stage
    from listops_bench.tasks.curriculum import parse_curriculum as parse_curriculum
    from listops_bench.tasks.expression import OPERATIONS as OPERATIONS
    from listops_bench.tasks.generator import Rows as Rows
    from listops_bench.tasks.generator import generate as generate
    from listops_bench.tasks.generator import rows_checksum as rows_checksum
    from listops_bench.tasks.split import SPLITS as SPLITS
    from listops_bench.tasks.task import DATASET_VERSION as DATASET_VERSION
    from listops_bench.tasks.task import TaskSpec as TaskSpec
    from listops_bench.tasks.task import curated_tasks as curated_tasks
    from listops_bench.tasks.task import get_task as get_task

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Curriculum": "curriculum",
        "DATASET_VERSION": "task",
        "OPERATIONS": "expression",
        "Rows": "generator",
        "SPLITS": "split",
        "Stage": "curriculum",
        "TaskSpec": "task",
        "baselines": "baselines",
        "curated_tasks": "task",
        "generate": "generator",
        "get_task": "task",
        "parse_curriculum": "curriculum",
        "rows_checksum": "generator",
    },
)
