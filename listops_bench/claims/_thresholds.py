"""What ladders of sizes show: from which size on a task is learned, and where the budget decides instead."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from listops_bench.claims._evidence import CONFIDENCE, Rung, rungs, scheme_of
from listops_bench.claims._specs import Decision
from listops_bench.leaderboard.arms import Arm
from listops_bench.leaderboard.groups import Setting
from listops_bench.stats.intervals import Summary


@dataclass(frozen=True)
class Thresholds:
    """What ladders show of a size from which on a task is learned."""

    ladders: tuple[Arm, ...]

    @cached_property
    def bracketed(self) -> list[Arm]:
        """Those with both limits of N50 within the sizes tried, and sizes from which on more than half learn."""
        found = ((arm, arm.threshold) for arm in self.ladders)
        limited = [arm for arm, n50 in found if n50.kind == "number" and None not in (n50.low, n50.high)]
        return [arm for arm in limited if _learned_from_some_size_on(arm)]

    @cached_property
    def reversals(self) -> list[tuple[Rung, Rung]]:
        """Sizes that learn more often than a larger one, at a confidence that allows for the number of pairs."""
        pairs = [pair for arm in self.ladders for pair in itertools.combinations(rungs(arm), 2)]
        found = [(a, b) for a, b in pairs if a.learned * b.runs > b.learned * a.runs]
        return [(a, b) for a, b in found if a.learns_more(b, 1 - 0.05 / len(pairs))]

    @cached_property
    def ends(self) -> tuple[Summary, Summary]:
        """Runs that learned at the smallest size of each ladder and at the largest, all ladders together."""
        small, large = ([rungs(arm)[place] for arm in self.ladders] for place in (0, -1))
        first, last = (Summary.of(sum(r.learned for r in end), sum(r.runs for r in end)) for end in (small, large))
        return first, last

    @property
    def turned(self) -> list[Arm]:
        return [small.arm for small, _ in self.reversals]

    @property
    def shown(self) -> list[Arm]:
        """Those on which nothing speaks against a threshold."""
        return [arm for arm in self.bracketed if arm not in self.turned]

    @property
    def unshown_tasks(self) -> list[str]:
        shown = {arm.task for arm in self.shown}
        return [task for task in dict.fromkeys(arm.task for arm in self.ladders) if task not in shown]

    @property
    def decided(self) -> bool:
        """A ladder shows a threshold, or fewer than half of all learn at the smallest sizes and more at the largest."""
        return bool(self.bracketed) or self.ends[0].high < 0.5 < self.ends[1].low

    @property
    def verdict(self) -> Decision:
        return "against" if self.reversals else "for" if self.decided else "open"


def _learned_from_some_size_on(arm: Arm) -> bool:
    """Whether there is a size from which on more than half of the runs are shown to learn, all larger ones together."""
    sizes = rungs(arm)
    ends = (sizes[place:] for place in range(len(sizes)))
    return any(Summary.of(sum(r.learned for r in end), sum(r.runs for r in end)).low > 0.5 for end in ends)


def budget_gains(arms: Iterable[Arm]) -> list[tuple[Rung, Rung, bool]]:
    """Sizes at which most seeds learned with more steps, and most did not with the next fewer ones.

    Each with whether it is decided: the interval of the gain, widened for the number of pairs looked at, is above 0.
    """
    by_scheme: dict[tuple[Setting, str, str, int], list[Rung]] = defaultdict(list)
    for arm in arms:
        for rung in rungs(arm):
            by_scheme[arm.setting, arm.task, scheme_of(arm.curriculum), rung.parameters].append(rung)
    pairs: list[tuple[Rung, Rung]] = []
    for found in by_scheme.values():
        ordered = sorted(found, key=lambda rung: rung.arm.budget)
        pairs += [(a, b) for a, b in itertools.pairwise(ordered) if a.arm.budget < b.arm.budget]
    chosen = [(less, more) for less, more in pairs if more.mostly and not less.mostly]
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(pairs))
    return [(less, more, more.learns_more(less, confidence)) for less, more in chosen]
