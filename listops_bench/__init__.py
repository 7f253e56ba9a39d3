"""listops_bench: which curriculum lets how small a model learn which task?

>>> import listops_bench
>>> from datasets import load_dataset
>>> rows = load_dataset("listops_bench", "sum_max_med")  # doctest: +SKIP

Importing the package loads neither torch nor datasets: the public names below are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench import _hook
from listops_bench._base.lazy import lazy_names
from listops_bench._base.version import __version__

if TYPE_CHECKING:
    from listops_bench.dataset.builder import load
    from listops_bench.errors import EnvironmentFailed, InvalidInput
    from listops_bench.harness import metric_path
    from listops_bench.score.row import score_answer

    # `listops_bench.evaluate` is the package that evaluates checkpoints.
    from listops_bench.tasks.expression import (
        Node,
        completion_text,
        evaluate as evaluate_expression,
        parse,
        prompt_text,
        render,
        trace,
    )
    from listops_bench.tasks.task import TaskSpec, curated_tasks, get_task

_PUBLIC = {
    "dataset.builder": "load",
    "errors": "EnvironmentFailed InvalidInput",
    "harness": "metric_path",
    "score.row": "score_answer",
    "tasks.expression": "Node completion_text evaluate_expression=evaluate parse prompt_text render trace",
    "tasks.task": "TaskSpec curated_tasks get_task",
}

__all__ = [
    "EnvironmentFailed",
    "InvalidInput",
    "Node",
    "TaskSpec",
    "__version__",
    "completion_text",
    "curated_tasks",
    "evaluate_expression",
    "get_task",
    "load",
    "metric_path",
    "parse",
    "prompt_text",
    "render",
    "score_answer",
    "trace",
]


__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)

_hook.install()
