"""listops_bench: which curriculum lets how small a model learn which task?

>>> import listops_bench
>>> from datasets import load_dataset
>>> rows = load_dataset("listops_bench", "sum_max_med")  # doctest: +SKIP

Importing the package loads neither torch nor datasets: the public names below are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from listops_bench import _hook

if TYPE_CHECKING:
    from listops_bench.dataset import load
    from listops_bench.errors import InvalidInput
    from listops_bench.expression import Node, completion_text, parse, prompt_text, render, trace
    from listops_bench.expression import evaluate as evaluate_expression
    from listops_bench.harness import metric_path
    from listops_bench.task import TaskSpec, curated_tasks, get_task

__version__ = "0.1.0"

_PUBLIC = {
    "load": "dataset.load",
    "metric_path": "harness.metric_path",
    "get_task": "task.get_task",
    "curated_tasks": "task.curated_tasks",
    "TaskSpec": "task.TaskSpec",
    "parse": "expression.parse",
    "render": "expression.render",
    "prompt_text": "expression.prompt_text",
    "completion_text": "expression.completion_text",
    "trace": "expression.trace",
    "evaluate_expression": "expression.evaluate",  # `evaluate` is the module that evaluates checkpoints
    "Node": "expression.Node",
    "InvalidInput": "errors.InvalidInput",
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


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(".")
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


_hook.install()
