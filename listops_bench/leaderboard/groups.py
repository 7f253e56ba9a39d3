"""Results grouped over seeds: the rows of the board."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from statistics import fmean

from listops_bench._base.text import slug
from listops_bench.errors import InvalidInput
from listops_bench.result.format import Model, Result
from listops_bench.result.learned import LEARNED, VIEWS, View, learned
from listops_bench.result.verified import Verification
from listops_bench.runs.record import Training
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.curriculum import recorded_curriculum
from listops_bench.tasks.task import get_task, single_tasks, task_order
from listops_bench.tasks.training_kinds import KINDS, plan_of, training_kind

NONE: Mapping[tuple[Model, str], Verification] = {}
"""Nothing was verified."""

RANKED_SEEDS = 3
"""With so many seeds, a recipe is ranked: with fewer, luck decides too much."""


@dataclass(frozen=True)
class Setting:
    """All that runs must share before anything else about them is compared.

    ``depth`` is the deepest expression's; ``symbols`` is the word of the symbol set, ``""`` for numbers;
    ``regime`` is how rows are drawn, ``""`` where they are drawn as usual.
    """

    family: str
    layers: int | None
    heads: int | None
    modulus: int
    symbols: str
    depth: int
    trace: str
    track: str
    regime: str

    @staticmethod
    def of(result: Result) -> Setting:
        of, task = result.architecture, result.task
        shape, spec = (of.family, of.num_layers, of.num_heads), get_task(task.name)
        return Setting(*shape, task.modulus, spec.symbols, spec.max_depth, task.trace, result.track, spec.regime)


@dataclass(frozen=True)
class Run:
    """One model on one task.

    Attributes:
        result: its file.
        learned: on the test rows; None where a result that decides is missing.
        verdicts: the same for each view on whose split every result that decides is there. A failure may be known
            without all of them and a success never is, so only these may be counted for a threshold.
        watched_until: the last step of its training that was validated; None where nothing was.
        learned_at: the step of the first validation that passed and so did the next; None where none did. Of many
            looks at few rows, one may pass by luck.
        verification: of the checkpoint, which was evaluated again and gave the figures.
        is_decided_by_verified: so it was on every task that decides whether this one was learned.
    """

    result: Result
    learned: bool | None
    verdicts: Mapping[View, bool] = field(default_factory=dict)
    watched_until: int | None = None
    learned_at: int | None = None
    verification: Verification | None = None
    is_decided_by_verified: bool = False

    @property
    def seed(self) -> str:
        """``seed 3``, ``seed 3, rows 1`` where the train rows are not the published ones, or ``no seed``."""
        of = self.result.recipe
        words = "no seed" if of.seed is None else f"seed {of.seed}"
        return words if of.dataset_seed is None else f"{words}, rows {of.dataset_seed}"

    @property
    def verified(self) -> bool:
        return self.verification is not None

    @property
    def verified_when(self) -> str:
        """``verified 2026-11-27 at 5904ea81``, by the code of that commit; empty where it was not."""
        if self.verification is None:
            return ""
        commit = self.verification.environment.commit
        return f"verified {self.verification.created[:10]}{f' at {commit[:8]}' if commit else ''}"

    def summary(self, split: str = "test", metric: str = "trace_accuracy") -> Summary | None:
        scored = self.result.splits.get(split)
        return None if scored is None else scored.summary(metric)


@dataclass(frozen=True)
class Group:
    """The runs of one recipe on one task, one for each seed and draw of the train rows, in the order of the seeds."""

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
        if self.first.training:
            return self.first.training.curriculum
        return "set by hand" if self.first.track == "constructed" else "not stated"

    @cached_property
    def plan(self) -> str:
        """The curriculum in words, its steps left out: ``max_med, then sum``."""
        return plan_of(self.curriculum)

    @property
    def origin(self) -> str:
        """Where its weights come from: ``trained on max_med, then sum (6,000 steps)``, or ``set by hand``."""
        if self.first.track == "constructed":
            return self.plan
        return f"trained on {self.plan}" + (f" ({self.budget:,} steps)" if self.budget else "")

    @cached_property
    def kind(self) -> str:
        return training_kind(self.curriculum, self.task)

    @property
    def anchor(self) -> str:
        """Its place on its model's page, the same for ever."""
        first = self.first
        key = f"{first.recipe.id} {first.track} {first.task.trace} {first.dataset_version} {first.scorer_version}"
        return f"{slug(self.task, max_length=60)}-{sha256(key.encode()).hexdigest()[:8]}"

    @property
    def scored(self) -> list[tuple[Run, Summary]]:
        """The runs that were scored on test rows, with their exact traces."""
        return [(run, summary) for run in self.runs if (summary := run.summary()) is not None]

    def summaries(self, split: str = "test", metric: str = "trace_accuracy") -> list[Summary]:
        return [summary for run in self.runs if (summary := run.summary(split, metric)) is not None]

    def mean(self, split: str = "test", metric: str = "trace_accuracy") -> float | None:
        """The mean over seeds; None where none was scored there."""
        found = self.summaries(split, metric)
        return fmean(summary.accuracy for summary in found) if found else None

    @property
    def budget(self) -> int:
        """Steps that each run was allowed; 0 where that is not known."""
        return self.first.training.budget if self.first.training else 0

    @cached_property
    def exposure(self) -> float:
        """Reductions of the task's operations within a run's whole budget, the mean over the runs."""
        counts = [_exposure(run.result.training, self.task) for run in self.runs if run.result.training]
        return fmean(counts) if counts else 0.0

    @property
    def rows(self) -> str:
        """Seeds and test rows of each: ``2 × 5,000``."""
        sizes = sorted({summary.n for summary in self.summaries()})
        return f"{len(self.summaries())} × {' or '.join(f'{n:,}' for n in sizes)}" if sizes else ""

    @property
    def num_learned(self) -> int:
        return sum(run.learned is True for run in self.runs)

    @property
    def verified(self) -> str:
        """``yes``, ``no``, or how many of the seeds: ``2/3``."""
        number = sum(run.verified for run in self.runs)
        return "yes" if number == len(self.runs) else f"{number}/{len(self.runs)}" if number else "no"

    @property
    def verified_when(self) -> str:
        """`verified`, and when the last of them was, and by which commit."""
        return ": ".join([self.verified, *sorted({when for run in self.runs if (when := run.verified_when)})[-1:]])

    @property
    def has_learned(self) -> bool:
        """Whether at least half of its seeds have."""
        return 2 * self.num_learned >= len(self.runs)

    @property
    def ranked(self) -> bool:
        """Whether there are seeds enough for a place among the smallest; weights set by hand have no seeds."""
        return self.first.track == "constructed" or len(self.runs) >= RANKED_SEEDS

    @property
    def learned(self) -> str:
        """With how many seeds the task was learned: ``1/2``, or ``0–1/2`` where that is not decided for one of them."""
        sure = self.num_learned
        possible = sure + sum(run.learned is None for run in self.runs)
        return f"{sure}/{len(self.runs)}" if possible == sure else f"{sure}–{possible}/{len(self.runs)}"


def groups(results: Sequence[Result], verified: Mapping[tuple[Model, str], Verification] = NONE) -> tuple[Group, ...]:
    """Results grouped over seeds, sorted by task, kind of training, size and recipe.

    ``verified`` holds, by model and task, the records of those that evaluating the checkpoint again has confirmed.
    """
    of_model: dict[Model, dict[str, Result]] = defaultdict(dict)
    for result in results:
        of_model[result.model][result.task.name] = result
    by_recipe: dict[tuple[object, ...], list[Run]] = defaultdict(list)
    for result in results:
        task, size = result.task, (result.architecture.name, result.parameters.total)
        # A Hub model without a recipe of ours is a group of its own, as is every size and track.
        run = _run(result, of_model[result.model], verified)
        by_recipe[result.recipe.id, result.track, size, task.name, task.trace].append(run)
    found = [Group(tuple(sorted(runs, key=_run_order))) for runs in by_recipe.values()]
    return tuple(sorted(found, key=_group_order))


def _run(result: Result, of_model: Mapping[str, Result], verified: Mapping[tuple[Model, str], Verification]) -> Run:
    task = result.task.name
    deciding = [of_model.get(name) for name in (task, *single_tasks(task))]
    verdicts = {
        view: bool(learned(of_model, task, *view))
        for view in VIEWS
        if all(found is not None and view.split in found.splits for found in deciding)
    }
    records = [None if found is None else verified.get((found.model, found.task.name)) for found in deciding]
    return Run(result, learned(of_model, task), verdicts, *_watched(deciding), records[0], all(records))


def _watched(deciding: Sequence[Result | None]) -> tuple[int | None, int | None]:
    """The last step that was validated, and the first at which the task and each of its operations alone passed, and at
    the next one again."""
    logs = [result.learning for result in deciding if result and result.learning and result.learning.correct]
    if len(logs) < len(deciding):
        return None, None
    passed = [{int(step) for step, right in log.correct.items() if right >= LEARNED * log.n} for log in logs]
    steps, both = sorted(int(step) for step in logs[0].correct), set.intersection(*passed)
    until = min(max(map(int, log.correct)) for log in logs)
    return until, next((one for one, two in itertools.pairwise(steps) if {one, two} <= both), None)


def _exposure(training: Training, task: str) -> float:
    """The reductions counted, as many more as the steps that an early stop has saved would have shown."""
    operations = get_task(task).operations
    seen = sum(training.reductions.get(name, 0) for name in operations)
    try:
        plan = recorded_curriculum(training.curriculum)
    except InvalidInput:
        return float(seen)
    if any(stage.until is not None for stage in plan.stages):  # when it ended is not known
        return float(seen)
    allowed = taken = 0
    for index, stage in enumerate(plan.stages):
        if any(name in get_task(trained).operations for trained in stage.tasks for name in operations):
            allowed += stage.steps
            taken += min(max(training.steps - plan.start(index), 0), stage.steps)
    return seen * allowed / taken if taken else float(seen)


def _run_order(run: Run) -> tuple[object, ...]:
    of = run.result.recipe
    return (
        of.seed is None,
        of.seed or 0,
        of.dataset_seed or 0,
        run.result.model.id,
        run.result.model.weights_sha256 or "",
    )


def _group_order(group: Group) -> tuple[object, ...]:
    kind, first = list(KINDS).index(group.kind), group.first
    return task_order(group.task), kind, group.parameters, first.recipe.id, first.track
