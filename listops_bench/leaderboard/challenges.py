"""Challenges: what anyone may try to do better, with a rule, the current best as the results have it, and one command.

    smallest      the smallest model that learns a task; trained, and set by hand, are two tracks
    steps         the fewest steps in which a model of a fixed size learns SUM, on the published rows
    curriculum    what lets a model learn SUM at a size at which SUM alone fails

An entry is a group: the seeds of one recipe. What is not told apart from the best by an exact test shares its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from listops_bench.errors import InvalidInput, unknown
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import RANKED_SEEDS, Group
from listops_bench.result.rules import against
from listops_bench.stats.differences import SIGNIFICANT, fewer, fisher

TASK = "sum"
"""Of the challenges that are about one task."""
STEPS_SIZE, TOKENS_A_STEP = 35_376, 2_500
"""Of the challenge *steps*: parameters at the most, and tokens that a step may have seen on average."""
CURRICULUM_SIZE, CURRICULUM_STEPS = 21_348, 6_000
"""Of the challenge *curriculum*: at this size none of ten seeds learns SUM alone in so many steps."""


@dataclass(frozen=True)
class Challenge:
    """One of them.

    Attributes:
        rule: what an entry must be, in a sentence.
        displaces: what an entry must show to take the first place for itself.
        limits: why a group is no entry, though its seeds are enough; None where it is one.
        order: of entries, the best first.
        told_apart: whether the first of two entries is better by more than luck.
        figure: what it is ranked by, as text.
        seeds: that an entry has at least; weights set by hand have none.
        needs_learned: whether half of its seeds must have learned.
    """

    name: str
    title: str
    rule: str
    displaces: str
    limits: Callable[[Group], str | None]
    order: Callable[[Group], float]
    told_apart: Callable[[Group, Group], bool]
    figure: Callable[[Group], str]
    seeds: int = 5
    needs_learned: bool = True

    @property
    def command(self) -> str:
        """With which it is entered."""
        return f"listops-bench submit ORG/NAME... --challenge {self.name} --output-dir leaderboard/results"

    def refusal(self, group: Group) -> str | None:
        """Why a group is no entry, with the name of the rule; None where it is one."""
        name = f"{group.first.recipe.id} on {group.task}"
        if group.first.track != "constructed" and len(group.runs) < self.seeds:
            return against("seeds-needed", f"{name}: {len(group.runs)} of {self.seeds} seeds")
        limits = self.limits(group)
        if limits is not None:
            return against("limits", f"{name}: {limits}")
        if any(run.learned is None for run in group.runs):
            return against("learned", f"{name}: results that decide whether it has learned are missing")
        if self.needs_learned and not group.has_learned:
            return against("learned", f"{name}: {group.learned} seeds have learned, half of them must")
        return None

    def best(self, groups: Sequence[Group]) -> list[Group]:
        """Of the entries among some groups, the first, and those that share its place."""
        entries = sorted((group for group in groups if self.refusal(group) is None), key=self.order)
        return [group for group in entries if group is entries[0] or not self.told_apart(entries[0], group)]


# --- the three --------------------------------------------------------------------------------------------------------


def _any_size(group: Group) -> None:
    return None


def _smaller(first: Group, second: Group) -> bool:
    return first.parameters < second.parameters


def _size(group: Group) -> str:
    return f"{group.parameters:,} parameters"


def steps_of(group: Group) -> list[float]:
    """The steps that each run was trained; infinite where it has not learned."""
    return [run.result.training.steps if run.learned and run.result.training else math.inf for run in group.runs]


def _steps_limits(group: Group) -> str | None:
    trained = [run.result.training for run in group.runs]
    if group.task != TASK:
        return f"the task is {TASK}"
    if group.parameters > STEPS_SIZE:
        return f"{group.parameters:,} parameters are more than {STEPS_SIZE:,}"
    if None in trained:
        return "no record says how many steps it was trained"
    if any(run.result.recipe.dataset_seed for run in group.runs):
        return "it was trained on another draw of the rows than the published one"
    dearest = max(of.tokens / of.steps for of in trained if of)
    return None if dearest <= TOKENS_A_STEP else f"{dearest:,.0f} tokens a step are more than {TOKENS_A_STEP:,}"


def _faster(first: Group, second: Group) -> bool:
    return fewer(steps_of(first), steps_of(second)) < SIGNIFICANT


def _median_steps(group: Group) -> float:
    return float(median(steps_of(group)))


def _steps(group: Group) -> str:
    return f"{_median_steps(group):,.0f} steps (median)"


def _curriculum_limits(group: Group) -> str | None:
    trained = [run.result.training for run in group.runs]
    if group.task != TASK:
        return f"the task is {TASK}"
    if group.parameters > CURRICULUM_SIZE:
        return f"{group.parameters:,} parameters are more than {CURRICULUM_SIZE:,}"
    if None in trained:
        return "no record says on what it was trained"
    longest = max(of.budget for of in trained if of)
    return None if longest <= CURRICULUM_STEPS else f"{longest:,} steps are more than {CURRICULUM_STEPS:,}"


def _learns_more_often(first: Group, second: Group) -> bool:
    counts = (first.num_learned, len(first.runs)), (second.num_learned, len(second.runs))
    return fisher(*counts[0], *counts[1]) < SIGNIFICANT


def _share(group: Group) -> float:
    return -group.num_learned / len(group.runs)


def _seeds(group: Group) -> str:
    return f"{group.learned} seeds learned"


CHALLENGES = (
    Challenge(
        "smallest",
        "Smallest model for a task",
        f"Any task of the board. Half of the seeds or more have learned it, of {RANKED_SEEDS} or more; in the track "
        "constructed, where weights are set by hand, there is one model and no seed.",
        "fewer parameters: they are counted, and need no test",
        _any_size, lambda group: float(group.parameters), _smaller, _size, seeds=RANKED_SEEDS,
    ),
    Challenge(
        "steps",
        "Fewest steps to learn SUM",
        f"At most {STEPS_SIZE:,} parameters, the published train rows, at most {TOKENS_A_STEP:,} tokens a step, five "
        "seeds or more, of which half have learned. All stages count; a seed that has not learned never does.",
        "fewer steps than the best by the exact rank test (Mann and Whitney), one-sided, p < .05",
        _steps_limits, _median_steps, _faster, _steps,
    ),
    Challenge(
        "curriculum",
        "Best curriculum where SUM alone fails",
        f"At most {CURRICULUM_SIZE:,} parameters and a budget of {CURRICULUM_STEPS:,} steps in all, with which none of "
        "ten seeds learns SUM alone; five seeds or more.",
        "a larger share of seeds that learn, by Fisher's exact test, p < .05",
        _curriculum_limits, _share, _learns_more_often, _seeds, needs_learned=False,
    ),
)  # fmt: skip


def get_challenge(name: str) -> Challenge:
    """By name.

    Raises:
        InvalidInput: there is none of that name.
    """
    found = {challenge.name: challenge for challenge in CHALLENGES}
    if name not in found:
        raise unknown("challenge", name, found)
    return found[name]


def entries(challenge: Challenge, groups: Sequence[Group]) -> list[Group]:
    """Those of some groups that enter a challenge.

    Raises:
        InvalidInput: none does; it says which rule the first breaks.
    """
    fitting = [group for group in groups if challenge.name == "smallest" or group.task == TASK] or groups
    refusals = {group.anchor: challenge.refusal(group) for group in fitting}
    found = [group for group in fitting if refusals[group.anchor] is None]
    if not found:
        raise InvalidInput(f"no entry of the challenge {challenge.name}: {next(iter(refusals.values()))}")
    return found


def place_of(challenge: Challenge, group: Group, others: Sequence[Group]) -> str:
    """Where an entry stands among others, in words."""
    rivals = challenge.best([other for other in others if other.task == group.task])
    words = f"{challenge.name}, {group.task}: {challenge.figure(group)}"
    if not rivals:
        return f"{words}: the first entry"
    best = f"{rivals[0].model}, {rivals[0].plan} ({challenge.figure(rivals[0])})"
    if challenge.told_apart(group, rivals[0]):
        return f"{words}: displaces {best}"
    apart = challenge.told_apart(rivals[0], group)
    return f"{words}: {'behind' if apart else 'shares the first place with'} {best}"


# --- on a board -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """Who is first in a challenge: by task, the best entry and those that share its place; none where nobody is.

    ``constructed``: among weights set by hand, and not among those that were trained.
    """

    challenge: Challenge
    constructed: bool
    first: Mapping[str, Sequence[Group]]


def standings(board: Board) -> list[Standing]:
    """Of every challenge, and of weights set by hand where nothing else is asked than a size."""
    sides = [(challenge, False) for challenge in CHALLENGES]
    sides.insert(1, (CHALLENGES[0], True))
    found = []
    for challenge, constructed in sides:
        among = [group for group in board.groups if (group.first.track == "constructed") == constructed]
        best = {task: challenge.best([group for group in among if group.task == task]) for task in board.tasks}
        found.append(Standing(challenge, constructed, {task: groups for task, groups in best.items() if groups}))
    return found
