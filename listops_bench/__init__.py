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
    from listops_bench.errors import InvalidInput
    from listops_bench.harness import metric_path
    from listops_bench.tasks.expression import Node, completion_text, parse, prompt_text, render, trace
    from listops_bench.tasks.expression import evaluate as evaluate_expression
    from listops_bench.tasks.task import TaskSpec, curated_tasks, get_task

_PUBLIC = {
    "load": "dataset.builder",
    "metric_path": "harness",
    "get_task": "tasks.task",
    "curated_tasks": "tasks.task",
    "TaskSpec": "tasks.task",
    "parse": "tasks.expression",
    "render": "tasks.expression",
    "prompt_text": "tasks.expression",
    "completion_text": "tasks.expression",
    "trace": "tasks.expression",
    "evaluate_expression": "tasks.expression:evaluate",  # `evaluate` is the package that evaluates checkpoints
    "Node": "tasks.expression",
    "InvalidInput": "errors",
}

__all__ = [
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
    "trace",
]


__getattr__, __dir__ = lazy_names(__name__, _PUBLIC)

_hook.install()
