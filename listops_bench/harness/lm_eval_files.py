"""The task files of lm-eval, made from the task registry: ``listops-bench lm-eval-path --write tasks/lm_eval``.

listops_sum_max_med                  the test split; ..._validation, ..._test_deeper and so on the others
listops_sum_max_med_few_shot         the test split as plain text, for models with another tokenizer
listops_sum_max_med_splits           group: all test splits of a task
listops, listops_mod20               groups: the test splits of all curated tasks of a modulus
listops_few_shot, ..._mod20_few_shot

Any other task has files of its own by ``listops-bench lm-eval-path --write DIR --task sum_max_med_nrgpt``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import yaml

from listops_bench._base.files import remove_others, write_atomic
from listops_bench._base.resources import resource_path
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.tasks.operations import OPERATIONS, Operation
from listops_bench.tasks.pages import own_pages
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.symbols import Symbols
from listops_bench.tasks.task import DATASET_VERSION, TaskSpec, curated_tasks, get_task

EXAMPLES = 4
"""Solved examples in a few-shot prompt."""

# A tokenizer that is not ours may need several tokens for one of our words.
_TOKENS_PER_WORD = 4
_HEADER = "# Made from the task registry: listops-bench lm-eval-path --write tasks/lm_eval\n"
_TEMPLATE, _FEW_SHOT_TEMPLATE = "_listops", "_listops_few_shot"  # not *.yaml, which lm-eval would take for tasks


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)


_Dumper.add_representer(str, _text)


def lm_eval_path() -> Path:
    """The folder to give lm-eval as ``--include_path``."""
    return resource_path("tasks", "lm_eval")


def write_files(folder: str | os.PathLike[str], tasks: Sequence[str] | None = None) -> list[Path]:
    """Writes the files of some tasks into a folder (by default, all that are curated), and deletes other task files
    there."""
    pages = {Path(folder) / name: text for name, text in task_files(tasks).items()}
    for path, text in pages.items():
        write_atomic(path, text)
    remove_others(Path(folder), ["*.yaml"], pages.keys())
    return list(pages)


def task_files(names: Sequence[str] | None = None) -> dict[str, str]:
    """The text of every task file, by name; without names, of the curated tasks, with groups of all of one modulus."""
    tasks = [get_task(name) for name in names or curated_tasks()]
    pages = {_TEMPLATE: _shared({"num_fewshot": 0}), _FEW_SHOT_TEMPLATE: _shared(_EXAMPLES)}
    for task in tasks:
        for split in SPLITS[1:]:
            pages[f"{task_name(task, split)}.yaml"] = _task(task, split)
        pages[f"{task_name(task, few_shot=True)}.yaml"] = _few_shot_task(task)
        group = f"{task_name(task)}_splits"
        pages[f"{group}.yaml"] = _group(group, [task_name(task, split) for split in SPLITS[2:]])
    for modulus in sorted({task.modulus for task in tasks}) if names is None else ():
        among = [task for task in tasks if task.modulus == modulus]
        group = "listops" if modulus == 10 else f"listops_mod{modulus}"
        pages[f"{group}.yaml"] = _group(group, [task_name(task) for task in among])
        few_shot = [task_name(task, few_shot=True) for task in among]
        pages[f"{group}_few_shot.yaml"] = _group(f"{group}_few_shot", few_shot)
    return pages


def task_name(task: TaskSpec, split: str = "test", *, few_shot: bool = False) -> str:
    """``listops_sum``, ``listops_sum_test_deeper``, ``listops_sum_few_shot``."""
    parts = ["listops", task.name, *([split] if split != "test" else []), *(["few_shot"] if few_shot else [])]
    return "_".join(parts)


def few_shot_limit(task: TaskSpec) -> int:
    """Tokens that an answer may have, of a tokenizer that is not ours."""
    return task.completion_limit * _TOKENS_PER_WORD


def description(task: TaskSpec) -> str:
    """What a model that has never seen the task is told before the examples."""
    operations = [task.symbol_set.operations[name] for name in task.operations]
    told = " ".join(_meaning(operation, task.symbol_set) for operation in operations)
    if task.med_operands == "any" and any(operation.like == "med" for operation in operations):
        told += " Of an even number of operands the middle one is the upper of the two in the middle."
    return (
        f"Evaluate nested expressions on the numbers 0 to {task.modulus - 1}. {told} {_STEPS[task.trace]} Separate "
        "tokens by one space and steps by ' = '.\n\n"
    )


_STEP = "In each step, copy the whole expression with {} replaced by its value; stop when a single number is left."
_STEPS = {
    "parallel": _STEP.format("every innermost operation"),
    "single": _STEP.format("the leftmost innermost operation"),
    "none": "Write the value alone.",
}


_OPERATIONS = {
    "sum": "{op} a b ... ] is the sum modulo {n}.",
    "prod": "{op} a b ... ] is the product modulo {n}.",
    "nadd": "{op} a b c ... ] is a - b + c - ... modulo {n}.",
    "ssum": "{op} a b ... ] is a sum modulo {n} under a fixed secret renaming of the numbers.",
    "max": "{op} a b ... ] is the largest operand.",
    "min": "{op} a b ... ] is the smallest operand.",
    "med": "{op} a b c ... ] is the middle operand by size.",
}
assert _OPERATIONS.keys() == OPERATIONS.keys()


def _meaning(operation: Operation, symbols: Symbols) -> str:
    if operation.like:
        told = _OPERATIONS[operation.like].format(op=operation.token, n=symbols.size)
        return f"{told[:-1]}, under a fixed secret renaming of the numbers." if operation.permutation else told
    told = f": {operation.description}" if operation.description else ""
    return f"{operation.token} a b ... ] is a fixed table of two operands, used from left to right{told}."


# --- the files --------------------------------------------------------------------------------------------------------


_ACCURACIES = ("answer_accuracy", "trace_accuracy")
_METADATA = {"version": f"{DATASET_VERSION}/{SCORER_VERSION}"}  # of the rows, and of the score
_EXAMPLES = {
    "fewshot_split": "train",
    "fewshot_config": {"sampler": "first_n"},
    "fewshot_delimiter": "\n",
    "num_fewshot": EXAMPLES,
}


def _shared(shots: dict[str, Any]) -> str:
    """What all task files include, with how many examples a prompt has."""
    page = files("listops_bench.harness").joinpath("lm_eval_shared.yaml").read_text(encoding="utf-8")
    _, _, shared = page.partition("\n")  # its first line is about itself
    return _HEADER + Template(shared).substitute(_METADATA) + _yaml(shots)


def _task(task: TaskSpec, split: str) -> str:
    return _HEADER + _yaml(
        {
            "include": _TEMPLATE,
            "task": task_name(task, split),
            "dataset_kwargs": {"task": task.name, "split": split, **_own(task)},
            # Nothing but <eos> ends an answer, which lm-eval adds by itself.
            "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": task.completion_limit},
        }
    )


def _few_shot_task(task: TaskSpec) -> str:
    return _HEADER + _yaml(
        {
            "include": _FEW_SHOT_TEMPLATE,
            "task": task_name(task, few_shot=True),
            "description": description(task),
            "dataset_kwargs": {"task": task.name, "split": "test", "few_shot": True, **_own(task)},
            "generation_kwargs": {"until": ["\n"], "do_sample": False, "max_gen_toks": few_shot_limit(task)},
        }
    )


def _own(task: TaskSpec) -> dict[str, Any]:
    """The values of pages of somebody's own in its name."""
    return {"pages": own} if (own := own_pages(task.page_words)) else {}


def _group(name: str, tasks: list[str]) -> str:
    """A group with the plain means of its tasks' accuracies: each task counts the same."""
    mean = {"aggregation": "mean", "weight_by_size": False, "filter_list": "none"}
    means = [{"metric": metric, **mean} for metric in _ACCURACIES]
    return _HEADER + _yaml({"group": name, "task": tasks, "aggregate_metric_list": means, "metadata": _METADATA})


def _yaml(content: dict[str, Any]) -> str:
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
