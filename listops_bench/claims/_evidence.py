"""What the claims rest on: one way of training against another, in one setting, and what the runs decide of it.

    SUM, trained on sum_max_med    N50 12,000 ─┐
                                               ├─ ratio 0.3, 95% interval 0.15 to 0.62   ->  "for"
    SUM, trained on sum            N50 40,000 ─┘

A *contrast* claims that its first arm learns more easily than its second. Where both were tried on at least two sizes,
the ratio of their thresholds decides; where they share a single size, the difference of the shares of seeds that
learned there. Contrasts of the same two ways of training within several budgets are pooled, too. Nothing is decided by
an estimate: only by an interval that has been widened for the number of looks.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from listops_bench.leaderboard.arms import Arm
from listops_bench.leaderboard.groups import Group, Setting
from listops_bench.stats.common_ratio import common_ratio
from listops_bench.stats.differences import Difference, difference
from listops_bench.stats.threshold import Ratio, ratio
from listops_bench.tasks.curriculum import parse_curriculum
from listops_bench.tasks.exposure import NEARLY
from listops_bench.tasks.task import get_task, task_order

CONFIDENCE = 0.95
NO_SAVING = 0.8
"""An interval of a ratio that lies above it excludes that the first arm does with a fifth fewer parameters."""
NO_GAIN = 0.1
"""An interval of a difference that lies below it excludes that ten more seeds in a hundred learn."""

Decision = Literal["for", "against", "open"]


# --- which runs -------------------------------------------------------------------------------------------------------


@cache
def stages_of(curriculum: str) -> tuple[frozenset[str], ...]:
    """The operations of each stage, equal neighbours merged: ``max_med:9,sum:9`` is ``({max, med}, {sum})``."""
    found: list[frozenset[str]] = []
    for stage in parse_curriculum(curriculum).stages:
        operations = frozenset(name for task in stage.tasks for name in get_task(task).operations)
        if found[-1:] != [operations]:
            found.append(operations)
    return tuple(found)


@cache
def scheme_of(curriculum: str) -> str:
    """A curriculum without its steps: ``max_med, then sum/keep-optimizer``."""
    stages = parse_curriculum(curriculum).stages
    words = [str(dataclasses.replace(stage, steps=1)).replace(":1", "", 1) for stage in stages]
    return ", then ".join(dict.fromkeys(words))


@dataclass(frozen=True)
class Rung:
    """The runs of one arm at one size."""

    arm: Arm
    parameters: int

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        return tuple(group for group in self.arm.groups if group.parameters == self.parameters)

    @cached_property
    def verdicts(self) -> tuple[bool, ...]:
        """Learned or not, of the runs of which that is known."""
        return tuple(run.verdicts["test"] for group in self.groups for run in group.runs if "test" in run.verdicts)

    @property
    def learned(self) -> int:
        return sum(self.verdicts)

    @property
    def runs(self) -> int:
        return len(self.verdicts)

    def accuracies(self, split: str = "test") -> list[float]:
        """Exact traces, by run."""
        return [summary.accuracy for group in self.groups for summary in group.summaries(split)]

    @property
    def mostly(self) -> bool:
        """Whether at least half of the runs learned."""
        return self.runs > 0 and 2 * self.learned >= self.runs


def rungs(arm: Arm) -> list[Rung]:
    """By size; those of which no run's outcome is known are left out."""
    return [rung for size in arm.sizes if (rung := Rung(arm, size)).runs]


class Ladders:
    """The arms of a board, to be asked for by what they were trained and scored on."""

    def __init__(self, arms: Iterable[Arm]) -> None:
        self.arms = tuple(arm for arm in arms if rungs(arm))

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        return tuple(dict.fromkeys(arm.setting for arm in self.arms))

    def find(self, setting: Setting, scored: frozenset[str], *stages: frozenset[str]) -> list[Arm]:
        """Those scored on the task of some operations, after these stages."""
        return [
            arm
            for arm in self.arms
            if arm.setting == setting
            and frozenset(get_task(arm.task).operations) == scored
            and stages_of(arm.curriculum) == stages
        ]

    def alone(self, setting: Setting, operation: str) -> list[Arm]:
        """Those of one operation, trained on nothing else."""
        return self.find(setting, frozenset({operation}), frozenset({operation}))

    def itself(self, setting: Setting) -> list[Arm]:
        """Those trained on the task that is scored, in one stage."""
        return [arm for arm in self.arms if arm.setting == setting and arm.itself]


# --- one against another ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """Claimed: ``first`` learns more easily than ``second``.

    Attributes:
        equal: what both were given alike: ``steps``, or ``exposure``, reductions of the operation that is scored.
        about: what the contrast is called where a claim has several kinds.
    """

    first: Arm
    second: Arm
    equal: Literal["steps", "exposure"] = "steps"
    about: str = ""

    @cached_property
    def shared(self) -> tuple[tuple[Rung, Rung], ...]:
        """The sizes on which both were tried."""
        others = {rung.parameters: rung for rung in rungs(self.second)}
        return tuple((rung, others[rung.parameters]) for rung in rungs(self.first) if rung.parameters in others)

    @property
    def decidable(self) -> bool:
        """Whether there is anything to compare."""
        return self._on_ladders or bool(self.shared)

    @property
    def _on_ladders(self) -> bool:
        return all(len(arm.threshold.outcomes) > 1 for arm in (self.first, self.second))

    @cached_property
    def by_ratio(self) -> bool:
        """Whether thresholds decide: both were tried on two sizes or more, and the runs set a limit to the ratio.

        Where they set none, a single size that both were tried on may still tell them apart.
        """
        if not self._on_ladders:
            return False
        found = ratio(self.first.threshold, self.second.threshold)
        return found.low is not None or found.high is not None or len(self.shared) != 1

    def ratio(self, confidence: float = CONFIDENCE) -> Ratio | None:
        """N50 of the first over that of the second."""
        return ratio(self.first.threshold, self.second.threshold, confidence) if self.by_ratio else None

    def gain(self, confidence: float = CONFIDENCE) -> Difference | None:
        """How many more seeds learn, as a share, at the one size that both share."""
        if self.by_ratio or len(self.shared) != 1:
            return None
        first, second = self.shared[0]
        return difference(first.learned, first.runs, second.learned, second.runs, confidence)


@dataclass(frozen=True)
class Pool:
    """Contrasts of the same two ways of training within several numbers of steps: one ratio for all of them."""

    contrasts: tuple[Contrast, ...]

    @property
    def about(self) -> str:
        return self.contrasts[0].about

    def ratio(self, confidence: float = CONFIDENCE) -> Ratio:
        return common_ratio([(c.first.threshold, c.second.threshold) for c in self.contrasts], confidence)

    def gain(self, confidence: float = CONFIDENCE) -> None:
        """Only ladders are pooled."""


Look = Contrast | Pool


def decision(look: Look, confidence: float = CONFIDENCE) -> Decision:
    """For, where the interval lies on the claim's side; against, where it excludes what could be called an effect."""
    number, gain = look.ratio(confidence), look.gain(confidence)
    if number is not None:
        if number.high is not None and number.high < 1:
            return "for"
        return "against" if number.low is not None and number.low > NO_SAVING else "open"
    if gain is not None:
        return "for" if gain.low > 0 else "against" if gain.high < NO_GAIN else "open"
    return "open"


def differs(look: Look, confidence: float = CONFIDENCE) -> bool:
    """Whether the two are told apart, in either direction."""
    number, gain = look.ratio(confidence), look.gain(confidence)
    if number is not None:
        return (number.high is not None and number.high < 1) or (number.low is not None and number.low > 1)
    return gain is not None and not gain.low <= 0 <= gain.high


def against(first: Iterable[Arm], second: Iterable[Arm], about: str = "") -> list[Contrast]:
    """Every first arm against the second arms with as many steps."""
    others = list(second)
    pairs = [Contrast(one, two, "steps", about) for one in first for two in others if one.budget == two.budget]
    return [pair for pair in pairs if pair.decidable]


def at_equal_exposure(first: Iterable[Arm], second: Iterable[Arm], about: str = "") -> list[Contrast]:
    """Every first arm against the second arms that saw as many reductions of the scored operation in other steps."""
    others = list(second)
    pairs = [
        Contrast(one, two, "exposure", about)
        for one in first
        for two in others
        if one.budget != two.budget and abs(one.exposure - two.exposure) <= NEARLY * one.exposure
    ]
    return [pair for pair in pairs if pair.decidable]


# --- what it decides --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """The contrasts of one setting. Each look is made at a confidence that allows for their number (Bonferroni)."""

    setting: Setting
    contrasts: tuple[Contrast, ...]

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        """Those of the same two ways of training, where several numbers of steps were tried; no arm stands in two."""
        found: dict[tuple[str, ...], list[Contrast]] = defaultdict(list)
        for contrast in self.contrasts:
            first, second = contrast.first, contrast.second
            schemes = first.task, scheme_of(first.curriculum), second.task, scheme_of(second.curriculum)
            own = found[(contrast.about, *schemes)]
            if contrast.equal == "steps" and contrast.by_ratio and not any(_share_an_arm(contrast, c) for c in own):
                own.append(contrast)
        return tuple(Pool(tuple(own)) for own in found.values() if len(own) > 1)

    @property
    def looks(self) -> tuple[Look, ...]:
        return (*self.pools, *self.contrasts)

    @property
    def confidence(self) -> float:
        return 1 - (1 - CONFIDENCE) / max(1, len(self.looks))

    @cached_property
    def decided(self) -> tuple[tuple[Look, Decision], ...]:
        return tuple((look, decision(look, self.confidence)) for look in self.looks)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(decision for _, decision in self.decided)

    def about(self, name: str) -> tuple[Decision, ...]:
        return tuple(decision for look, decision in self.decided if look.about == name)

    @property
    def runs(self) -> int:
        """Of all arms, each counted once."""
        arms = {id(arm): arm for contrast in self.contrasts for arm in (contrast.first, contrast.second)}
        return sum(arm.threshold.runs for arm in arms.values())


def _share_an_arm(one: Contrast, two: Contrast) -> bool:
    return one.first is two.first or one.second is two.second


def evidence(contrasts: Iterable[Contrast]) -> tuple[Evidence, ...]:
    """By setting; the one with the most runs comes first, and it is the one that decides."""
    by_setting: dict[Setting, list[Contrast]] = defaultdict(list)
    for contrast in contrasts:
        by_setting[contrast.first.setting].append(contrast)
    found = [Evidence(setting, tuple(sorted(own, key=_order))) for setting, own in by_setting.items()]
    return tuple(sorted(found, key=lambda one: -one.runs))  # stable: the reference family's board order between equals


def _order(contrast: Contrast) -> tuple[object, ...]:
    first = contrast.first
    return contrast.about, task_order(first.task), first.budget, first.curriculum, contrast.second.curriculum


Combine = Callable[[Sequence[Decision]], Decision]


def any_for(decisions: Sequence[Decision]) -> Decision:
    """For, where one is and none is against; the other way round; open where both are found."""
    found = set(decisions) - {"open"}
    return found.pop() if len(found) == 1 else "open"


def none_against(decisions: Sequence[Decision]) -> Decision:
    """For, where one is and none is against; one against refutes."""
    return "against" if "against" in decisions else any_for(decisions)


def all_for(decisions: Sequence[Decision]) -> Decision:
    """For, where all are; one against refutes."""
    if "against" in decisions:
        return "against"
    return "for" if decisions and set(decisions) == {"for"} else "open"
