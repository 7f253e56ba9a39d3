"""What the demo saw, as one sentence made from its numbers, whatever they are.

A curriculum *helped* with a seed when the 95% interval of its accuracy lies above the intervals of SUM alone with every
seed: runs of one recipe differ a lot, so being above one lucky or unlucky run says little. It *hurt* when it lies below
all of them. Anything else is no clear difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from listops_bench.result.learned import LEARNED
from listops_bench.stats.intervals import wilson_interval

A_LOT = 0.30
"""A difference of so much is called a lot."""

BASELINE = "alone"
ARMS = {"alone": "SUM alone", "joint": "SUM+MAX+MED", "transfer": "MAX+MED, then SUM"}
"""The three curricula, in the order of all tables."""

_SHORT = {"alone": "SUM alone", "joint": "the mixture", "transfer": "MAX+MED first"}
_PLACES = {"transfer": "before SUM", "joint": "beside SUM"}

Effect = Literal["helped a lot", "helped", "hurt a lot", "hurt", "made no clear difference"]


@dataclass(frozen=True)
class Outcome:
    """How many of n SUM test rows one run got exactly right, with the 95% interval where rows are not independent."""

    arm: str
    seed: int
    correct: int
    n: int
    limits: tuple[float, float] | None = None

    @property
    def accuracy(self) -> float:
        return self.correct / self.n

    @property
    def learned(self) -> bool:
        return self.accuracy >= LEARNED

    @property
    def interval(self) -> tuple[float, float]:
        """``limits``, or Wilson's 95% interval of rows that are independent."""
        return self.limits or wilson_interval(self.correct, self.n)


def describe(outcomes: Iterable[Outcome]) -> str:
    """One sentence on what the finished runs show; a run that failed is not among them."""
    runs = sorted(outcomes, key=lambda run: run.seed)
    by_arm = {arm: found for arm in ARMS if (found := [run for run in runs if run.arm == arm])}
    if not by_arm:
        return "No run finished, so there is nothing to compare."
    return f"{_headline(by_arm)}: {_figures(by_arm)}; {_learned(by_arm)}."


def effect(run: Outcome, baseline: Sequence[Outcome]) -> Effect:
    """What a curriculum did, as its run with one seed shows against all runs of SUM alone."""
    low, high = run.interval
    size = " a lot" if min(abs(run.accuracy - other.accuracy) for other in baseline) >= A_LOT else ""
    if all(low > other.interval[1] for other in baseline):
        return "helped a lot" if size else "helped"
    if all(high < other.interval[0] for other in baseline):
        return "hurt a lot" if size else "hurt"
    return "made no clear difference"


def effects(runs: Sequence[Outcome], baseline: Sequence[Outcome]) -> dict[Effect, list[int]]:
    """The seeds with which a curriculum had each effect, in the order of its runs."""
    seeds: dict[Effect, list[int]] = {}
    for run in runs:
        seeds.setdefault(effect(run, baseline), []).append(run.seed)
    return seeds


def _headline(by_arm: dict[str, list[Outcome]]) -> str:
    if BASELINE not in by_arm:
        return "SUM alone has no finished run to compare with"
    baseline = by_arm[BASELINE]
    texts = {arm: _effects_text(effects(by_arm[arm], baseline)) for arm in _PLACES if arm in by_arm}
    if not texts:
        return "Only SUM alone has finished runs"
    if len(set(texts.values())) == 1:
        places = " and ".join(_PLACES[arm] for arm in texts)
        clauses = [f"trained {places}, MAX and MED {next(iter(texts.values()))}"]
    else:
        clauses = [f"trained {_PLACES[arm]}, MAX and MED {text}" for arm, text in texts.items()]
    if all(run.learned for run in baseline):
        clauses.insert(0, "SUM was learned without help")
    text = "; ".join(clauses)
    return text[0].upper() + text[1:]


def _effects_text(seeds: dict[Effect, list[int]]) -> str:
    """``helped a lot with every seed``, ``helped with seed 0 and hurt with seed 1``."""
    if len(seeds) > 1:
        return _join([f"{kind} with {_seed_list(of_kind)}" for kind, of_kind in seeds.items()])
    ((only, of_only),) = seeds.items()
    return only if len(of_only) == 1 or only == "made no clear difference" else f"{only} with every seed"


def _figures(by_arm: dict[str, list[Outcome]]) -> str:
    """``on the same 5,000 SUM test rows SUM alone got 4.1% and 5.0% exactly right (seeds 0 and 1) and ...``."""
    parts: list[str] = []
    named: list[int] = []
    for arm, runs in by_arm.items():
        accuracies = _join([f"{run.accuracy:.1%}" for run in runs])
        text = f"{_SHORT[arm]} {accuracies}" if parts else f"{_SHORT[arm]} got {accuracies} exactly right"
        seeds = [run.seed for run in runs]
        if seeds != named:  # said once where all curricula have the same ones
            text += f" ({_seed_list(seeds)})"
            named = named or seeds
        parts.append(text)
    sizes = {run.n for runs in by_arm.values() for run in runs}
    rows = f"the same {sizes.pop():,} SUM test rows" if len(sizes) == 1 else "SUM test rows"
    return f"on {rows} {_join(parts)}"


def _learned(by_arm: dict[str, list[Outcome]]) -> str:
    """Which curricula crossed the line that the suite calls learned."""
    line = f"the {LEARNED:.0%} that count as learned"
    learned = {arm: sum(run.learned for run in runs) for arm, runs in by_arm.items()}
    if not any(learned.values()):
        return f"none reached {line}"
    names = [f"{_SHORT[arm]} ({count} of {len(by_arm[arm])} runs)" for arm, count in learned.items() if count]
    return f"{line} were reached by {_join(names)}"


def _seed_list(seeds: Sequence[int]) -> str:
    return ("seed " if len(seeds) == 1 else "seeds ") + _join([str(seed) for seed in seeds])


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
