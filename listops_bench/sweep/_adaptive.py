"""Runs that are decided by what has been learned so far: sizes of an arm, chosen one batch after the other.

An arm is one thing that is done at several sizes (one family, one curriculum, one recipe). What is chosen next is a
function of the outcomes of the runs before it, in the order in which they were chosen, not in which they ended: a sweep
that is stopped and goes on, or that many processes share, makes the same choices. `adaptive/NAME.json` logs them; those
that it holds stand, whatever the page says by then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from listops_bench._base import records
from listops_bench._base.files import read_json, write_atomic
from listops_bench._base.options import Between, check
from listops_bench._base.records import Count, Line, Positive
from listops_bench.errors import InvalidInput, unknown
from listops_bench.result.learned import LEARNED
from listops_bench.stats.adaptive import LOOK_LEVEL, Duel, Search, Trial, Way
from listops_bench.stats.threshold import Ratio, Threshold
from listops_bench.sweep.job import Job, cost, parameters_of
from listops_bench.tasks.task import get_task, single_tasks

Ended = Literal["", "narrow", "max_runs", "outside", "smaller", "no smaller", "open"]


@dataclass(frozen=True)
class Rule:
    """What a page says under ``adaptive``.

    Attributes:
        task: what a run has learned or not (default: the task that it is scored on, or was trained on last).
        cut: the share of exact traces on its test rows from which on it has.
        factor: an arm ends where the interval of N50 is narrower.
        max_runs: of an arm.
        batch: runs that are chosen together: as many as train at a time.
        choose: by the expected reduction of the variance of log N50, or a staircase.
        by_cost: the reduction is divided by what a run costs.
        most_per_size: runs of one size at the most.
        looks: two arms are compared, when they have so many runs together.
        first_seed: of an arm; each of its runs has the next, for its weights and its train rows.
    """

    task: str | None = None
    cut: Annotated[float, Between(0, 1)] = LEARNED
    factor: Annotated[float, Between(1)] = 1.3
    max_runs: Positive = 160
    batch: Positive = 2
    choose: Way = "variance"
    by_cost: bool = False
    most_per_size: Positive | None = None
    looks: tuple[int, ...] = ()
    first_seed: Count = 0

    def __post_init__(self) -> None:
        check(self)
        if list(self.looks) != sorted({look for look in self.looks if look > 0}):
            raise InvalidInput(f"looks {list(self.looks)} are not numbers of runs that rise")


@dataclass(frozen=True)
class Candidate:
    """A model of an arm: its number of parameters, what a run of it costs, and its run with a seed."""

    model: str
    parameters: int
    cost: float
    job: Callable[[int], Job]


@dataclass(frozen=True)
class Arm:
    """The candidates of one arm, by size."""

    name: str
    task: str
    cut: float
    candidates: Mapping[int, Candidate]

    def search(self, rule: Rule) -> Search:
        sizes = tuple(sorted(self.candidates))
        costs = tuple(self.candidates[size].cost for size in sizes) if rule.by_cost else None
        batch = (rule.choose, rule.batch, rule.factor, rule.max_runs, rule.most_per_size, rule.first_seed)
        return Search(sizes, costs, *batch)


def make_arm(name: str, rule: Rule, runs: Sequence[Callable[[int], Job]]) -> Arm:
    """An arm of the runs with a seed of each of its models.

    Raises:
        InvalidInput: fewer than two sizes, or runs whose scores do not say what the rule goes by.
    """
    candidates: dict[int, Candidate] = {}
    for job in runs:
        config = job(0).config
        size = parameters_of(config.fresh_model, config.plan().symbol_set)
        if size in candidates:
            raise InvalidInput(f"{config.model_name} and {candidates[size].model} have {size:,} parameters")
        candidates[size] = Candidate(config.model_name, size, cost(job(0)), job)
    if len(candidates) < 2:
        raise InvalidInput(f"adaptive chooses among sizes; {name} has one")
    first = runs[0](0)
    if "test" not in (first.eval_splits or ("test",)):
        raise InvalidInput("adaptive goes by the test rows; eval_splits has no 'test'")
    one = first.eval_tasks is not None and len(first.eval_tasks) == 1
    last = first.tasks if one else first.config.plan().stages[-1].tasks
    if rule.task is None and len(last) > 1:
        raise InvalidInput(f"adaptive needs a task: {name} ends with {', '.join(last)}")
    task = last[0] if rule.task is None else get_task(rule.task).name
    for scored in (task, *single_tasks(task)):
        if scored not in first.tasks:
            raise unknown("task that the runs are scored on", scored, first.tasks)
    return Arm(name, task, rule.cut, candidates)


@dataclass(frozen=True)
class Adaptive:
    """What is decided together: an arm, or two that are compared, the second with the first."""

    rule: Rule
    arms: tuple[Arm, ...]

    @property
    def name(self) -> str:
        return "-against-".join(arm.name for arm in self.arms)


@dataclass(frozen=True)
class Choice:
    """A run that was chosen; ``learned`` is None where that was not known yet when this was written."""

    run: Line
    arm: Count
    parameters: Positive
    seed: Count
    batch: Count
    learned: bool | None = None


@dataclass(frozen=True)
class Interval:
    """Of an arm's N50, after so many of its runs; None where there is no limit."""

    arm: Count
    runs: Count
    estimate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Log:
    """Everything that was chosen, in its order, and what the intervals were after each batch."""

    arms: list[Line]
    choices: list[Choice]
    intervals: list[Interval] = field(default_factory=list)
    ended: Ended = ""


Outcome = Callable[[Arm, Job], bool | None]


class Course:
    """How far an adaptive part of a sweep has come. The display uses it from a thread of its own.

    Args:
        folder: for the log.

    Raises:
        InvalidInput: a log of other arms or models than the page has.
    """

    def __init__(self, adaptive: Adaptive, folder: Path) -> None:
        self.adaptive, self.path = adaptive, folder / f"{adaptive.name}.json"
        self.searches = tuple(arm.search(adaptive.rule) for arm in adaptive.arms)
        self.is_over = False
        self.intervals: list[Interval] = []
        self._trials: tuple[list[Trial], ...] = tuple([] for _ in adaptive.arms)
        self._batches: list[list[Choice]] = []
        self._known = 0  # batches whose outcomes are all known
        self._lock = threading.Lock()
        for choice in self._logged():
            self._batches += [[] for _ in range(choice.batch + 1 - len(self._batches))]
            self._batches[choice.batch].append(replace(choice, learned=None))

    def _logged(self) -> Sequence[Choice]:
        if not self.path.exists():
            return ()
        log: Log = records.decode(Log, read_json(self.path), str(self.path))
        if log.arms != [arm.name for arm in self.adaptive.arms]:
            raise InvalidInput(f"{self.path} has the arms {', '.join(log.arms)}: it is another page's")
        for choice in log.choices:
            if choice.arm >= len(log.arms) or choice.parameters not in self.adaptive.arms[choice.arm].candidates:
                raise InvalidInput(
                    f"{self.path} has chosen {choice.parameters:,} parameters, which are none of the page's models now"
                )
        return log.choices

    def write(self) -> None:
        """Logs what was chosen."""
        with self._lock:
            learned = [trial.learned for trial in self._in_order()]
            choices = [choice for batch in self._batches for choice in batch]
            known = [replace(c, learned=done) for c, done in zip(choices, learned, strict=False)]
            log = Log([a.name for a in self.adaptive.arms], known + choices[len(known) :], self.intervals, self.ended)
        if choices:
            write_atomic(self.path, records.dumps(log))

    def _in_order(self) -> list[Trial]:
        rest = [iter(trials) for trials in self._trials]
        return [next(rest[choice.arm]) for batch in self._batches[: self._known] for choice in batch]

    # --- what is chosen -----------------------------------------------------------------------------------------------

    def advance(self, outcome: Outcome) -> list[Job]:
        """Chooses as far as outcomes are known, and returns the runs chosen so far, in their order."""
        with self._lock:
            while not self.is_over and self._take_in(outcome):
                arm, sizes = self._next()
                self.is_over = not sizes
                if sizes:
                    self._batches.append(self._issue(arm, sizes))
            return [self._job(choice) for batch in self._batches for choice in batch]

    def _take_in(self, outcome: Outcome) -> bool:
        """Whether the outcomes of all runs that were chosen are known."""
        while self._known < len(self._batches):
            batch = self._batches[self._known]
            found = [outcome(self.adaptive.arms[choice.arm], self._job(choice)) for choice in batch]
            if None in found:
                return False
            for choice, learned in zip(batch, found, strict=True):
                self._trials[choice.arm].append(Trial(choice.parameters, bool(learned)))
            self._known += 1
            for arm in dict.fromkeys(choice.arm for choice in batch):
                now = self.threshold(arm)
                self.intervals.append(Interval(arm, len(self._trials[arm]), now.estimate, now.low, now.high))
        return True

    def _next(self) -> tuple[int, Sequence[int]]:
        if (duel := self._duel()) is not None:
            return duel.next_batch(*self._trials)
        return 0, self.searches[0].next_batch(self._trials[0])

    def _issue(self, arm: int, sizes: Sequence[int]) -> list[Choice]:
        first = self.adaptive.rule.first_seed + len(self._trials[arm])
        place = len(self._batches)
        chosen = []
        for seed, size in enumerate(sizes, first):
            job = self.adaptive.arms[arm].candidates[size].job(seed)
            chosen.append(Choice(job.name, arm, size, seed, place))
        return chosen

    def _job(self, choice: Choice) -> Job:
        return self.adaptive.arms[choice.arm].candidates[choice.parameters].job(choice.seed)

    # --- what it has come to ------------------------------------------------------------------------------------------

    def _duel(self) -> Duel | None:
        looks = self.adaptive.rule.looks
        return Duel(self.searches[0], self.searches[1], looks) if looks else None

    @property
    def num_chosen(self) -> int:
        return sum(map(len, self._batches))

    def threshold(self, arm: int) -> Threshold:
        """N50 as the outcomes taken in show it."""
        level = {"level": LOOK_LEVEL} if self.adaptive.rule.looks else {}
        return self.searches[arm].threshold(self._trials[arm], **level)

    @property
    def ratio(self) -> Ratio | None:
        """N50 of the second arm over that of the first, where two are compared."""
        duel = self._duel()
        return duel.ratio(*self._trials) if duel is not None and all(self._trials) else None

    def counts(self, arm: int) -> tuple[int, int]:
        """Runs whose outcome was taken in, and how many of them learned."""
        trials = self._trials[arm]
        return len(trials), sum(trial.learned for trial in trials)

    @property
    def ended(self) -> Ended:
        """Why no more runs are chosen; empty where more are."""
        if not self.is_over:
            return ""
        if (duel := self._duel()) is not None:
            return duel.verdict(*self._trials)
        width = self.searches[0].width(self.threshold(0))
        if width is not None and width < self.adaptive.rule.factor:
            return "narrow"
        return "max_runs" if len(self._trials[0]) >= self.adaptive.rule.max_runs else "outside"
