"""What the claims rest on: one way of training against another, in one setting, and what the runs decide of it.

    SUM, trained on sum_max_med    N50 12,000 ─┐
                                               ├─ ratio 0.3, 95% interval 0.15 to 0.62   ->  "for"
    SUM, trained on sum            N50 40,000 ─┘

A *contrast* claims that its first arm learns more easily than its second. Where both were tried on at least two sizes,
the ratio of their thresholds decides; where they share a single size, the difference of the shares of seeds that
learned there. Contrasts of the same two ways of training within several budgets are pooled, too. Nothing is decided by
an estimate: only by an interval that has been widened for the number of contrasts.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from listops_bench.claims._specs import Decision, Equal, EvidenceSpec
from listops_bench.leaderboard.arms import Arm
from listops_bench.leaderboard.groups import Group, Setting
from listops_bench.result.learned import View
from listops_bench.result.plans import Plan
from listops_bench.stats.common_ratio import common_ratio
from listops_bench.stats.differences import Difference, difference, is_more
from listops_bench.stats.threshold import Outcome, Ratio, Threshold, fit_threshold, plateau_gain, ratio
from listops_bench.tasks.curriculum import recorded_curriculum
from listops_bench.tasks.exposure import NEARLY
from listops_bench.tasks.task import get_task, task_order

CONFIDENCE = 0.95
NO_SAVING = 0.8
"""An interval of a ratio that lies above it excludes that the first arm does with a fifth fewer parameters."""
NO_GAIN = 0.1
"""An interval of a difference that lies below it excludes that ten more seeds in a hundred learn."""
NO_RISE = 0.05
"""A difference of mean shares whose interval is below it is no rise."""
_MOST_MISSING = 20
NO_ORDER = 0.5
"""A rank correlation whose interval ends below it is no order."""
NO_WAVE = 3.0
"""A strongest wave is none where its mean lies fewer standard deviations above chance."""
SEPARATED = 0.75
"""Half the way from guessing even or odd to telling all numbers right."""


# --- which runs -------------------------------------------------------------------------------------------------------


def operations_of(task: str) -> frozenset[str]:
    return frozenset(get_task(task).operations)


@cache
def stages_of(curriculum: str) -> tuple[frozenset[str], ...]:
    """The operations of each stage, equal neighbours merged: ``max_med:9,sum:9`` is ``({max, med}, {sum})``.

    With them stands what a stage freezes or starts afresh, which no claim speaks of.
    """
    found: list[frozenset[str]] = []
    for stage in recorded_curriculum(curriculum).stages:
        operations = frozenset({stage.moves} - {""}).union(*map(operations_of, stage.tasks))
        if found[-1:] != [operations]:
            found.append(operations)
    return tuple(found)


@cache
def scheme_of(curriculum: str) -> str:
    """A curriculum without its steps: ``max_med, then sum/keep-optimizer``."""
    stages = recorded_curriculum(curriculum).stages
    words = [str(replace(stage, steps=1)).replace(":1", "", 1) for stage in stages]
    return ", then ".join(dict.fromkeys(words))


@cache
def side_of(text: str) -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
    """What was scored and trained, of ``sum after max_med, then sum``: ``({sum}, ({max, med}, {sum}))``."""
    scored, _, trained = text.partition(" after ")
    return operations_of(scored), tuple(map(operations_of, trained.split(", then ")))


@dataclass(frozen=True)
class Rung:
    """The runs of one arm at one size, those of which it is known whether they learned."""

    arm: Arm
    parameters: int
    learned: int
    runs: int

    @property
    def groups(self) -> list[Group]:
        return [group for group in self.arm.groups if group.parameters == self.parameters]

    @property
    def verified(self) -> int:
        """How many of the runs are verified."""
        runs = (run for group in self.groups for run in group.runs)
        return sum(run.is_decided_by_verified for run in runs if self.arm.view in run.verdicts)

    def accuracies(self, split: str = "test") -> list[float]:
        """Exact traces, by run."""
        return [summary.accuracy for group in self.groups for summary in group.summaries(split)]

    def __str__(self) -> str:
        """``3/5``: how many of the runs learned."""
        return f"{self.learned}/{self.runs}"

    @property
    def mostly(self) -> bool:
        """Whether at least half of the runs learned."""
        return 2 * self.learned >= self.runs

    def gain_over(self, other: Rung, confidence: float = CONFIDENCE) -> Difference:
        """How many more of the seeds learned, as a share."""
        return difference(self.learned, self.runs, other.learned, other.runs, confidence)

    def learns_more(self, other: Rung, confidence: float) -> bool:
        """Whether the interval of that lies above 0."""
        return is_more(self.learned, self.runs, other.learned, other.runs, confidence)


def rungs(arm: Arm) -> list[Rung]:
    """By size."""
    return [Rung(arm, one.parameters, one.learned, one.runs) for one in arm.tried]


class Ladders:
    """The arms of a board, to be asked for by what they were trained and scored on."""

    def __init__(self, arms: Iterable[Arm], plans: Sequence[Plan] = ()) -> None:
        self._all, self.plans = tuple(arms), tuple(plans)
        chosen = [plan for plan in plans if "learning_rate" in plan.chosen]
        parts = [_split(arm, chosen) for arm in self._all]
        self.arms = tuple(arm for arm, _ in parts if arm and rungs(arm))
        self._optimised = tuple(arm for _, arm in parts if arm)
        self.settings = tuple(dict.fromkeys(arm.setting for arm in self.arms))

    @cached_property
    def optimised(self) -> Ladders:
        """Those whose learning rate was chosen with other seeds, by a plan; they are not among the others."""
        return Ladders(self._optimised)

    def at(self, view: View) -> Ladders:
        """The same arms, by another view of what was learned."""
        return Ladders((arm.at(view) for arm in self._all), self.plans)

    def declared(self, arms: Iterable[Arm], claim: str) -> tuple[int, int]:
        """How many runs of some arms were declared for a claim, at this cut and so many of a size; and of how many."""
        found = []
        for arm in {id(arm): arm for arm in arms}.values():
            plans = [plan for plan in self.plans if claim in plan.claims and arm.view.cut in plan.cuts]
            for group in arm.groups:
                able = [plan for plan in plans if len(group.runs) in (plan.looks or [len(group.runs)])]
                runs = [run.result for run in group.runs if arm.view in run.verdicts]
                found += [any(plan.declares(result) for plan in able) for result in runs]
        return sum(found), len(found)

    def find(self, setting: Setting, side: str) -> list[Arm]:
        """Those of a side such as ``sum after max_med, then sum``."""
        own = (arm for arm in self.arms if arm.setting == setting)
        return [arm for arm in own if (operations_of(arm.task), stages_of(arm.curriculum)) == side_of(side)]

    def pooled(self, setting: Setting, side: str, same: str) -> list[Arm]:
        """Those of a side, with those of the same number of steps of another that is the same under other names."""
        found = self.find(setting, side)
        if not same:
            return found
        by_budget: dict[int, list[Arm]] = defaultdict(list)
        for arm in (*found, *self.find(setting, same)):
            by_budget[arm.budget].append(arm)
        return [_pooled(arms) for arms in by_budget.values()]

    def nested(self, setting: Setting) -> list[tuple[Arm, Arm]]:
        """A task and a task with its operations and more, each trained on itself.

        Without SSUM, whose numbers mean something else.
        """
        own = [arm for arm in self.arms if arm.setting == setting and arm.itself]
        pairs = itertools.permutations([arm for arm in own if "ssum" not in operations_of(arm.task)], 2)
        return [(one, two) for one, two in pairs if operations_of(one.task) < operations_of(two.task)]


def _split(arm: Arm, plans: Sequence[Plan]) -> tuple[Arm | None, Arm | None]:
    """The groups of an arm in two, those with a recipe of the plans second; None where there is none."""
    planned = [any(plan.has_recipe(group.first) for plan in plans) for group in arm.groups]
    if not any(planned):
        return arm, None
    without, within = (
        tuple(group for group, inside in zip(arm.groups, planned, strict=True) if inside is side)
        for side in (False, True)
    )
    return replace(arm, groups=without) if without else None, replace(arm, groups=within)


def _pooled(arms: Sequence[Arm]) -> Arm:
    """Arms as one, which bears the name of the first."""
    groups = sorted((group for arm in arms for group in arm.groups), key=lambda group: group.parameters)
    return replace(arms[0], groups=tuple(groups), recipes=max(arm.recipes for arm in arms))


# --- one against another ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """Claimed: ``first`` learns more easily than ``second``.

    Attributes:
        about: the kind of contrast, where a claim has several.
        pool: contrasts of the same two ways of training within several numbers of steps, of which this is the first:
            one ratio for all of them. Empty where it stands for itself.
    """

    first: Arm
    second: Arm
    equal: Equal = "steps"
    about: str = ""
    pool: tuple[Contrast, ...] = ()

    @property
    def runs(self) -> tuple[int, int]:
        """Those of the first arms and of the second."""
        own = self.pool or (self,)
        return sum(c.first.runs for c in own), sum(c.second.runs for c in own)

    @property
    def verified(self) -> tuple[int, int]:
        """How many of the `runs` are verified."""
        own = self.pool or (self,)
        return sum(c.first.verified for c in own), sum(c.second.verified for c in own)

    @cached_property
    def shared(self) -> tuple[tuple[Rung, Rung], ...]:
        """The sizes on which both were tried."""
        others = {rung.parameters: rung for rung in rungs(self.second)}
        return tuple((rung, others[rung.parameters]) for rung in rungs(self.first) if rung.parameters in others)

    @property
    def decidable(self) -> bool:
        """Whether both were given alike what they have to be, and there is anything to compare."""
        first, second = self.first, self.second
        alike = first.budget == second.budget
        if self.equal == "exposure":
            alike = not alike and abs(first.exposure - second.exposure) <= NEARLY * first.exposure
        return alike and (self.by_ratio or bool(self.shared))

    @property
    def by_ratio(self) -> bool:
        """Whether thresholds decide: both were tried on two sizes or more, whatever came of it."""
        return self.first.is_ladder and self.second.is_ladder

    def can_decide(self, confidence: float, more: int = 0) -> bool:
        """Whether any outcome of these runs, or of so many more of each size, would decide.

        The clearest are that all of the one learn and none of the other.
        """
        if self.by_ratio or self.pool:
            own = self.pool or (self,)
            return _can_decide(tuple((_runs_of(c.first), _runs_of(c.second)) for c in own), confidence, more)
        if len(self.shared) != 1:
            return False
        first, second = self.shared[0]
        return is_more(first.runs + more, first.runs + more, 0, second.runs + more, confidence)

    def most_looks(self, most: int) -> int:
        """With how many contrasts, of so many at the most, it could still be decided: the more, the less can be."""
        counts = range(1, most + 1)
        return bisect_left(counts, True, key=lambda looks: not self.can_decide(_allowing_for(looks)))

    def missing(self, confidence: float) -> int | None:
        """How many more runs of each size it would take to be able to decide; None above `_MOST_MISSING`."""
        found = bisect_left(range(_MOST_MISSING + 1), True, key=lambda more: self.can_decide(confidence, more))
        return found if found <= _MOST_MISSING else None

    def ratio(self, confidence: float = CONFIDENCE) -> Ratio | None:
        """N50 of the first over that of the second."""
        return self._ratio(confidence)

    @cached_property
    def _ratio(self) -> Callable[[float], Ratio | None]:
        return cache(self._ratio_at)

    def _ratio_at(self, confidence: float) -> Ratio | None:
        if self.pool:
            return common_ratio([(c.first.threshold, c.second.threshold) for c in self.pool], confidence)
        return ratio(self.first.threshold, self.second.threshold, confidence) if self.by_ratio else None

    @cached_property
    def plateau_gain(self) -> Difference | None:
        """How many more seeds learn with the first when size is no limit; decides nothing."""
        return plateau_gain(self.first.threshold, self.second.threshold)

    def gain(self, confidence: float = CONFIDENCE) -> Difference | None:
        """How many more seeds learn, as a share, at the one size that both share."""
        if self.by_ratio or len(self.shared) != 1:
            return None
        first, second = self.shared[0]
        return first.gain_over(second, confidence)

    def limits(self, confidence: float) -> tuple[float, float]:
        """Of the ratio: 0 and infinity where the runs set none, or a ratio does not decide."""
        found = self.ratio(confidence)
        if found is None:
            return 0.0, math.inf
        return found.low or 0.0, math.inf if found.high is None else found.high

    def decision(self, confidence: float) -> Decision:
        """For, where the interval is on the claim's side; against, where it excludes what could be called an effect."""
        low, high = self.limits(confidence)
        gain = self.gain(confidence)
        if high < 1 or (gain is not None and gain.low > 0):
            return "for"
        return "against" if low > NO_SAVING or (gain is not None and gain.high < NO_GAIN) else "open"

    def differs(self, confidence: float) -> bool:
        """Whether the two are told apart, in either direction."""
        low, high = self.limits(confidence)
        gain = self.gain(confidence)
        return not low <= 1 <= high or (gain is not None and not gain.low <= 0 <= gain.high)

    def is_equal(self, confidence: float) -> bool:
        """Whether it is excluded that either does with a fifth fewer parameters than the other."""
        low, high = self.limits(confidence)
        return NO_SAVING < low <= high < 1 / NO_SAVING


# --- what it decides --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """The contrasts of one setting, decided at a confidence that allows for the number of those that could be decided.

    A look that no outcome of its runs could decide costs the others nothing (Tarone, Biometrics 46, 1990).
    """

    setting: Setting
    contrasts: tuple[Contrast, ...]

    @cached_property
    def pools(self) -> tuple[Contrast, ...]:
        """Those of the same two ways of training, where several numbers of steps were tried; no arm stands in two."""
        found: dict[tuple[str, ...], list[Contrast]] = defaultdict(list)
        for one in self.contrasts:
            first, second = one.first, one.second
            own = found[one.about, first.task, scheme_of(first.curriculum), second.task, scheme_of(second.curriculum)]
            is_used = any(first is other.first or second is other.second for other in own)
            if one.equal == "steps" and one.by_ratio and not is_used:
                own.append(one)
        return tuple(replace(own[0], pool=tuple(own)) for own in found.values() if len(own) > 1)

    @property
    def all_contrasts(self) -> tuple[Contrast, ...]:
        """The pooled ones and the single ones; each is a test."""
        return (*self.pools, *self.contrasts)

    @cached_property
    def confidence(self) -> float:
        return _allowing_for(self.looks)

    @cached_property
    def looks(self) -> int:
        """How many contrasts count: the least number for which no more than that could be decided."""
        every = self.all_contrasts
        most = [one.most_looks(len(every)) for one in every]
        able = (sum(own >= k for own in most) <= k for k in range(1, len(every)))
        return next((k for k, fits in enumerate(able, 1) if fits), max(1, len(every)))

    @cached_property
    def decided(self) -> tuple[tuple[Contrast, Decision], ...]:
        at = self.confidence
        return tuple((one, one.decision(at) if one.can_decide(at) else "open") for one in self.all_contrasts)

    @property
    def by_weight(self) -> list[Contrast]:
        """All contrasts, those that are decided first."""
        return [one for one, _ in sorted(self.decided, key=lambda pair: pair[1] == "open")]

    @cached_property
    def short(self) -> list[tuple[Contrast, int | None]]:
        """Contrasts that cannot be decided with their runs, and how many more of each size are missing."""
        at = self.confidence
        return [(one, one.missing(at)) for one in self.contrasts if not one.can_decide(at)]

    def decisions(self, about: str | None = None) -> tuple[Decision, ...]:
        """Of all contrasts, or of those of one kind."""
        return tuple(decision for contrast, decision in self.decided if about in (None, contrast.about))

    @property
    def decision(self) -> Decision:
        return any_for(self.decisions())

    @property
    def by_kind(self) -> dict[str, Decision]:
        """What is decided of each kind of contrast."""
        return {one.about: none_against(self.decisions(one.about)) for one in self.contrasts}

    def undecided(self, by_ratio: bool) -> list[str]:
        """The curricula of contrasts that are open, of those that ratios decide or of the others."""
        own = [one for one, decision in self.decided if decision == "open" and not one.pool]
        arms = [arm for one in own if one.by_ratio == by_ratio for arm in (one.first, one.second)]
        return list(dict.fromkeys(curriculum for arm in arms for curriculum in arm.curricula))

    @property
    def where_second_fails(self) -> list[tuple[Rung, Rung]]:
        """Sizes on which both arms of a contrast were tried, and no seed of the second learned."""
        return [pair for contrast in self.contrasts for pair in contrast.shared if pair[1].learned == 0]

    @property
    def arms(self) -> list[Arm]:
        """Each once, by task, budget and curriculum."""
        arms = {id(arm): arm for contrast in self.contrasts for arm in (contrast.first, contrast.second)}
        return sorted(arms.values(), key=lambda arm: (task_order(arm.task), arm.budget, arm.kind, arm.curriculum))

    @property
    def runs(self) -> int:
        return sum(arm.runs for arm in self.arms)


_Runs = tuple[tuple[int, int], ...]
"""Sizes, and how many runs of each."""


def _runs_of(arm: Arm) -> _Runs:
    return tuple((one.parameters, one.runs) for one in arm.tried)


@cache
def _can_decide(pairs: tuple[tuple[_Runs, _Runs], ...], confidence: float, more: int) -> bool:
    """Whether all of the first learning and none of the second would decide for, or the other way round against."""

    def extreme(share: int) -> Ratio:
        """Where a share of 0 or 1 of the first learn, and the others of the second."""
        return common_ratio([(_alike(a, share, more), _alike(b, 1 - share, more)) for a, b in pairs], confidence)

    return (extreme(1).high or math.inf) < 1 or (extreme(0).low or 0.0) > NO_SAVING


@cache
def _alike(runs: _Runs, share: int, more: int) -> Threshold:
    return fit_threshold(Outcome(size, share * (number + more), number + more) for size, number in runs)


def _allowing_for(looks: int) -> float:
    return 1 - (1 - CONFIDENCE) / looks


def gather(spec: EvidenceSpec, ladders: Ladders) -> tuple[Evidence, ...]:
    """The contrasts of a set that a board holds, by setting; the one with the most runs comes first, and decides."""
    found = []
    ladders = ladders.optimised if spec.equal == "optimisation" else ladders
    for setting in ladders.settings:
        pairs = [(one, two, "") for one, two in ladders.nested(setting)] if spec.nested_tasks else []
        for pair in spec.pairs:
            firsts, seconds = ladders.pooled(setting, pair.first, pair.same), ladders.find(setting, pair.second)
            pairs += [(one, two, pair.about) for one, two in itertools.product(firsts, seconds)]
        able = [Contrast(one, two, spec.equal, about) for one, two, about in pairs]
        able = [one for one in able if one.decidable and (one.by_ratio or not spec.nested_tasks)]
        if able:
            found.append(Evidence(setting, tuple(sorted(able, key=_order))))
    return tuple(sorted(found, key=lambda one: -one.runs))  # stable: the reference family's board order between equals


def _order(contrast: Contrast) -> tuple[object, ...]:
    first = contrast.first
    return contrast.about, task_order(first.task), first.budget, first.curriculum, contrast.second.curriculum


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
    return "for" if set(decisions) == {"for"} else "open"
