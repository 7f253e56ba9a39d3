"""Which runs belong to which learning threshold, and how hard the tasks have proved.

An *arm* is a ladder of sizes on which one thing was done: one family, one curriculum, one task that is scored. The task
``sum``, scored after training on SUM, MAX and MED, is one arm, and stands beside the one that was trained on SUM alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from listops_bench.leaderboard.groups import Group, Setting
from listops_bench.result.learned import SEEN, UNSEEN, View
from listops_bench.stats.differences import Difference
from listops_bench.stats.survival import Survival, survival
from listops_bench.stats.threshold import (
    Outcome,
    Plateau,
    Ratio,
    Threshold,
    by_size,
    fit_threshold,
    plateau_gain,
    ratio,
)
from listops_bench.tasks.exposure import NEARLY
from listops_bench.tasks.task import task_order
from listops_bench.tasks.training_kinds import KINDS, plan_of


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their size and seeds only, and in their recipe where several were tried.

    Recipes of one size count together: the best of them, chosen by the runs that are counted, would be the luckiest. A
    sweep's ``select`` chooses on other seeds, and leaves results of the chosen recipe alone.

    Attributes:
        groups: by size, one for each recipe.
        recipes: the most recipes that were tried at one size.
        view: what counts as learned.
    """

    family: str
    track: str
    task: str
    kind: str
    curriculum: str
    budget: int
    groups: tuple[Group, ...]
    recipes: int
    view: View = SEEN

    def at(self, view: View) -> Arm:
        """The same runs, by another view of what they have learned."""
        return replace(self, view=view)

    @property
    def plan(self) -> str:
        return plan_of(self.curriculum)

    @cached_property
    def setting(self) -> Setting:
        return Setting.of(self.groups[0].first)

    @property
    def itself(self) -> bool:
        """Whether it was trained on the task that is scored, and on nothing else."""
        return self.plan == self.task

    @property
    def curricula(self) -> tuple[str, ...]:
        """What its runs were trained on; several where arms were pooled."""
        return tuple(dict.fromkeys(group.curriculum for group in self.groups))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(sorted({group.parameters for group in self.groups}))

    def outcomes(self, view: View) -> list[Outcome]:
        found = [(group, [run.verdicts[view] for run in group.runs if view in run.verdicts]) for group in self.groups]
        return [Outcome(group.parameters, sum(verdicts), len(verdicts)) for group, verdicts in found]

    @cached_property
    def tried(self) -> tuple[Outcome, ...]:
        """What its threshold is estimated from, by size: known without estimating it."""
        return by_size(self.outcomes(self.view))

    @property
    def runs(self) -> int:
        """How many its threshold counts."""
        return sum(outcome.runs for outcome in self.tried)

    @cached_property
    def threshold(self) -> Threshold:
        return fit_threshold(self.tried)

    @cached_property
    def unseen(self) -> Threshold:
        """The threshold on rows with unseen operands."""
        return fit_threshold(self.outcomes(UNSEEN))

    @cached_property
    def times(self) -> dict[int, Survival | None]:
        """By size, how long learning took; None where not all runs were validated on the way."""
        return {size: time_to_learn(g for g in self.groups if g.parameters == size) for size in self.sizes}

    def estimates(self) -> dict[str, Any]:
        """What is estimated once, by the name of its property."""
        _ = self.threshold.plateau, self.unseen.plateau
        return {"threshold": self.threshold, "unseen": self.unseen}

    @property
    def verified(self) -> int:
        """How many of the runs that its threshold counts are verified, with all results that decide."""
        return sum(
            run.is_decided_by_verified for group in self.groups for run in group.runs if self.view in run.verdicts
        )

    @property
    def is_ladder(self) -> bool:
        """Whether there are sizes enough to estimate a threshold from."""
        return len(self.tried) > 1

    @property
    def has_plateau(self) -> bool:
        """Whether its runs show a plateau at all."""
        return self.threshold.plateau.estimate is not None

    @property
    def exposure(self) -> float:
        """Reductions of the task's operations within a run's whole budget, the mean over the groups."""
        return sum(group.exposure for group in self.groups) / len(self.groups)


@dataclass(frozen=True)
class Comparison:
    """An arm against the one of the same family and track that was trained on the task alone.

    ``equal`` says what they share: ``steps``, or else ``exposure``, the number of the task's own operations seen.
    """

    arm: Arm
    alone: Arm
    equal: str
    ratio: Ratio
    unseen: Ratio

    @cached_property
    def gain(self) -> Difference | None:
        """How much higher its plateau is."""
        return plateau_gain(self.arm.threshold, self.alone.threshold)


def all_arms(groups: Iterable[Group]) -> list[Arm]:
    """The arms of trained models, those of one task together, in the order of all tables."""
    by_arm: dict[tuple[object, ...], list[Group]] = defaultdict(list)
    for group in groups:
        first = group.first
        if first.training is not None and first.track != "constructed" and group.kind != "other":
            by_arm[Setting.of(first), group.task, group.kind, group.curriculum].append(group)
    return sorted((_arm(of_arm) for of_arm in by_arm.values()), key=_arm_order)


def _arm(groups: Sequence[Group]) -> Arm:
    by_size: dict[int, list[Group]] = defaultdict(list)
    for group in groups:
        by_size[group.parameters].append(group)
    first = groups[0]
    return Arm(
        family=first.first.architecture.family,
        track=first.first.track,
        task=first.task,
        kind=first.kind,
        curriculum=first.curriculum,
        budget=first.budget,
        groups=tuple(group for size in sorted(by_size) for group in by_size[size]),
        recipes=max(map(len, by_size.values())),
    )


def comparisons(found: Sequence[Arm]) -> list[Comparison]:
    """Every arm of a task beside the one that was trained on the task alone, where there is one like it."""
    compared, alone = [], [arm for arm in found if arm.itself]
    for arm in found:
        if arm.itself:
            continue
        others = [other for other in alone if (other.setting, other.task) == (arm.setting, arm.task)]
        if partner := _partner(arm, others):
            other, equal = partner
            one, two = ratio(arm.threshold, other.threshold), ratio(arm.unseen, other.unseen)
            compared.append(Comparison(arm, other, equal, one, two))
    return compared


def _partner(arm: Arm, others: Sequence[Arm]) -> tuple[Arm, str] | None:
    """The one with as many steps, or else the one with the nearest exposure; and which of these they share."""
    for other in others:
        if other.budget == arm.budget:
            return other, "steps"
    near = [other for other in others if abs(other.exposure - arm.exposure) <= NEARLY * arm.exposure]
    return (min(near, key=lambda other: abs(other.exposure - arm.exposure)), "exposure") if near else None


# --- how hard the tasks are -------------------------------------------------------------------------------------------


def difficulty(found: Sequence[Arm]) -> dict[str, Arm]:
    """Which arm says how hard a task is: the reference family's, trained on the task itself.

    On the reference track, or where a board has none, on any. Where several budgets were tried, the one with most runs.
    """
    able = [arm for arm in found if arm.itself and arm.family == "looped" and arm.threshold.kind != "unknown"]
    declared = [arm for arm in able if arm.track == "reference"]
    measured: dict[str, Arm] = {}
    for arm in declared or able:
        best = measured.get(arm.task)
        if best is None or (arm.runs, arm.budget) > (best.runs, best.budget):
            measured[arm.task] = arm
    return measured


def by_difficulty(tasks: Iterable[str], measured: dict[str, Arm]) -> list[str]:
    """The easiest task first, one that the smallest size tried has learned at that size; then those that none has, and
    those that were not measured, in the order of their names' grammar."""

    def order(task: str) -> tuple[object, ...]:
        if task not in measured:
            return 2, 0.0, task_order(task)
        threshold = measured[task].threshold
        return threshold.kind == "above", threshold.estimate, task_order(task)

    return sorted(tasks, key=order)


# --- time -------------------------------------------------------------------------------------------------------------


def time_to_learn(groups: Iterable[Group]) -> Survival | None:
    """Over the runs of some groups; None where not all of them were validated on the way."""
    runs = [run for group in groups for run in group.runs]
    ends = [run.watched_until for run in runs]
    if not runs or None in ends:
        return None
    learned_at = [run.learned_at for run in runs if run.learned_at is not None]
    ended = [end for run, end in zip(runs, ends, strict=True) if run.learned_at is None and end is not None]
    return survival(learned_at, ended)


# --- in words ---------------------------------------------------------------------------------------------------------


def spell_threshold(threshold: Threshold | Ratio, digits: int = 0) -> str:
    """``24,100``, ``> 34,560``, ``< 1,230``, or ``not determined``."""
    if threshold.estimate is None:
        return "not determined"
    sign = {"number": "", "above": "> ", "below": "< "}[threshold.kind]
    return f"{sign}{_round(threshold, threshold.estimate, digits)}"


def spell_limits(threshold: Threshold | Ratio, digits: int = 0) -> str:
    """``18,000 to 31,000``, ``from 30,100``, ``up to 5,000``; empty where none is, or only the bound itself."""
    low = None if threshold.low is None else _round(threshold, threshold.low, digits)
    high = None if threshold.high is None else _round(threshold, threshold.high, digits)
    if low is not None and high is not None:
        return f"{low} to {high}"
    one_sided = f"from {low}" if low is not None else f"up to {high}" if high is not None else ""
    is_bound = threshold.kind != "number" and (low or high) == spell_threshold(threshold, digits)[2:]
    return "" if is_bound else one_sided


def spell_plateau(plateau: Plateau) -> tuple[str, str]:
    """``72%`` and ``54 to 100%``; both empty where nothing shows it."""
    if plateau.estimate is None:
        return "", ""
    return f"{plateau.estimate:.0%}", f"{100 * plateau.low:.0f} to {plateau.high:.0%}"


def spell_gain(gain: Difference | None) -> tuple[str, str]:
    """``+28 points`` and ``-2 to +44``; both empty where nothing shows it."""
    if gain is None:
        return "", ""
    estimate, low, high = (f"{round(100 * value) or 0:+d}" for value in (gain.estimate, gain.low, gain.high))
    return f"{estimate} points", f"{low} to {high}"


def _round(threshold: Threshold | Ratio, value: float, digits: int) -> str:
    """A bound is a size that was tried, and stays exact; an estimate has three digits that mean something."""
    if isinstance(threshold, Ratio):
        return f"{value:.2f}" if value < 10 else f"{value:.1f}"
    tried = next((o.parameters for o in threshold.outcomes if abs(o.parameters / value - 1) < 1e-6), None)
    return f"{tried or float(f'{value:.3g}'):,.{digits}f}"


def spell_budget(arm: Arm) -> str:
    """``3,000 steps``, and how many recipes were tried at a size where there were several."""
    steps = f"{arm.budget:,} steps"
    if arm.recipes == 1:
        return steps
    return f"{steps}, {arm.recipes} recipes together"


def _arm_order(arm: Arm) -> tuple[object, ...]:
    family, kind = (arm.family != "looped", arm.family), list(KINDS).index(arm.kind)
    return task_order(arm.task), family, arm.track, kind, arm.budget, arm.curriculum
