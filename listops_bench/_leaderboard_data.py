"""What the board shows, before it is drawn: results grouped over seeds, and a matrix of sizes and tasks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from listops_bench.curriculum import parse_curriculum
from listops_bench.errors import InvalidInput
from listops_bench.expression import OPERATIONS
from listops_bench.result import Result
from listops_bench.score import Summary
from listops_bench.task import TaskSpec, get_task
from listops_bench.threshold import learned

KINDS = {
    "alone": "on one operation",
    "joint": "on a mixture",
    "transfer": "in stages",
    "other": "otherwise",
}
"""How a model was trained, as seen from the task it is scored on, in the order of all tables."""


@dataclass(frozen=True)
class Run:
    """One model on one task. ``learned`` is None where results that decide are missing."""

    result: Result
    learned: bool | None

    def summary(self, split: str = "test", metric: str = "trace_accuracy") -> Summary | None:
        scored = self.result.splits.get(split)  # type: ignore[call-overload]
        return None if scored is None else getattr(scored.metrics, metric)


@dataclass(frozen=True)
class Group:
    """The runs of one recipe on one task, one for each seed, in the order of the seeds."""

    runs: tuple[Run, ...]

    @property
    def first(self) -> Result:
        return self.runs[0].result

    @property
    def model(self) -> str:
        """A ladder name such as ``looped_d048``, or the model's id."""
        return self.first.architecture.name or self.first.model.id

    @property
    def parameters(self) -> int:
        return self.first.parameters.total

    @property
    def task(self) -> str:
        return self.first.task.name

    @property
    def curriculum(self) -> str:
        return self.first.training.curriculum if self.first.training else "not stated"

    @cached_property
    def plan(self) -> str:
        """The curriculum in words, its steps left out: ``max_med, then sum``."""
        return plan_of(self.curriculum)

    @cached_property
    def kind(self) -> str:
        return training_kind(self.curriculum, self.task)

    def summaries(self, split: str = "test", metric: str = "trace_accuracy") -> list[Summary]:
        return [summary for run in self.runs if (summary := run.summary(split, metric)) is not None]

    def mean(self, split: str = "test", metric: str = "trace_accuracy") -> float | None:
        """The mean over seeds; None where none was scored there."""
        found = self.summaries(split, metric)
        return fmean(summary.accuracy for summary in found) if found else None

    @property
    def rows(self) -> str:
        """Seeds and test rows of each: ``2 × 5,000``."""
        sizes = sorted({summary.n for summary in self.summaries()})
        return f"{len(self.summaries())} × {' or '.join(f'{n:,}' for n in sizes)}" if sizes else ""

    @property
    def num_learned(self) -> int:
        return sum(run.learned is True for run in self.runs)

    @property
    def learned(self) -> str:
        """With how many seeds the task was learned: ``1/2``, or ``0–1/2`` where that is not decided for one of them."""
        sure = self.num_learned
        possible = sure + sum(run.learned is None for run in self.runs)
        return f"{sure}/{len(self.runs)}" if possible == sure else f"{sure}–{possible}/{len(self.runs)}"


@dataclass(frozen=True)
class Size:
    """A row of the matrix: one model of one size, trained in one way."""

    family: str
    model: str
    parameters: int
    kind: str


@dataclass(frozen=True)
class Board:
    """The results of one dataset version and one scorer version, which alone may be compared."""

    dataset_version: str
    scorer_version: str
    groups: tuple[Group, ...]

    @property
    def version(self) -> str:
        return f"dataset {self.dataset_version}, scorer {self.scorer_version}"

    @property
    def summary(self) -> str:
        """``8 results of 6 models on 2 tasks``."""
        models, results = count(self.num_models, "model"), count(self.num_results, "result")
        return f"{results} of {models} on {count(len(self.tasks), 'task')}"

    @property
    def num_rows(self) -> tuple[int, ...]:
        """The numbers of test rows that occur."""
        return tuple(sorted({summary.n for group in self.groups for summary in group.summaries()}))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        return tuple(sorted({group.task for group in self.groups}, key=task_order))

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The matrix's rows: by family, size, and kind of training."""
        return tuple(sorted({_size(group) for group in self.groups}, key=_size_order))

    @cached_property
    def cells(self) -> dict[tuple[Size, str], tuple[Group, ...]]:
        """The matrix: the groups of each size and task, the best mean first."""
        cells: dict[tuple[Size, str], list[Group]] = defaultdict(list)
        for group in self.groups:
            if group.mean() is not None:
                cells[_size(group), group.task].append(group)
        return {key: tuple(sorted(found, key=lambda g: -(g.mean() or 0.0))) for key, found in cells.items()}

    @property
    def num_models(self) -> int:
        return len({run.result.model.weights_sha256 for group in self.groups for run in group.runs})

    @property
    def num_results(self) -> int:
        return sum(len(group.runs) for group in self.groups)


def boards(results: Iterable[Result]) -> list[Board]:
    """The boards of some results, the newest dataset and scorer first."""
    by_version: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        by_version[result.dataset_version, result.scorer_version].append(result)
    newest_first = sorted(by_version, key=lambda pair: [_version_order(text) for text in pair], reverse=True)
    return [Board(*version, groups(by_version[version])) for version in newest_first]


def groups(results: Sequence[Result]) -> tuple[Group, ...]:
    """Results grouped over seeds, sorted by task, kind of training, size and recipe."""
    of_model: dict[str, dict[str, Result]] = defaultdict(dict)
    for result in results:
        of_model[_model_key(result)][result.task.name] = result
    by_recipe: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for result in results:
        name = result.task.name
        by_recipe[_recipe_key(result)].append(Run(result, learned(of_model[_model_key(result)], name)))
    found = [Group(tuple(sorted(runs, key=_run_order))) for runs in by_recipe.values()]
    return tuple(sorted(found, key=_group_order))


def training_kind(curriculum: str, task: str) -> str:
    """One of `KINDS`: what a curriculum is to a task that is scored.

    Trained on its one operation only, it is ``alone``; on several operations together, ``joint``; on different things
    one after the other, ``transfer``. Anything else is ``other``: weights not trained here, or without the task's
    operations.
    """
    try:
        plan = parse_curriculum(curriculum)
    except InvalidInput:
        return "other"
    trained = {operation for name in plan.tasks for operation in get_task(name).operations}
    if not set(get_task(task).operations) <= trained:
        return "other"
    if len({frozenset(stage.mixture) for stage in plan.stages}) > 1:
        return "transfer"
    return "alone" if len(trained) == 1 else "joint"


def plan_of(curriculum: str) -> str:
    """A curriculum in words: ``"max_med:1200,sum:1800"`` is ``"max_med, then sum"``; anything else stays as it is."""
    try:
        stages = parse_curriculum(curriculum).stages
    except InvalidInput:
        return curriculum
    mixtures = (" + ".join(sorted(stage.tasks, key=task_order)) for stage in stages)
    return ", then ".join(dict.fromkeys(mixtures))


def count(number: int, noun: str) -> str:
    """``1 seed``, ``2,000 seeds``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def task_order(name: str) -> tuple[object, ...]:
    """Single operations first, then by number of operations; variants of modulus and depth after them."""
    task: TaskSpec = get_task(name)
    places = [list(OPERATIONS).index(operation) for operation in task.operations]
    return task.modulus != 10, task.max_depth != 2, len(places), places, task.modulus, task.max_depth


def _size(group: Group) -> Size:
    return Size(group.first.architecture.family, group.model, group.parameters, group.kind)


def _size_order(size: Size) -> tuple[object, ...]:
    # The reference family first, the families that vary it after it.
    return (
        size.family != "looped",
        not size.family.startswith("looped"),
        size.family,
        size.parameters,
        size.model,
        list(KINDS).index(size.kind),
    )


def _model_key(result: Result) -> str:
    return f"{result.model.id}@{result.model.revision}@{result.model.weights_sha256}"


def _recipe_key(result: Result) -> tuple[object, ...]:
    # Rows of a Hub model without a recipe of ours are a group of their own, as is every size and track.
    name = result.recipe.id
    return name, result.track, result.architecture.name, result.parameters.total, result.task.name, result.task.trace


def _run_order(run: Run) -> tuple[object, ...]:
    seed = run.result.recipe.seed
    return seed is None, seed or 0, run.result.model.id, run.result.model.weights_sha256


def _group_order(group: Group) -> tuple[object, ...]:
    return (
        task_order(group.task),
        list(KINDS).index(group.kind),
        group.parameters,
        group.first.recipe.id,
        group.first.track,
    )


def _version_order(text: str) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.split(r"[.+-]", text)]
