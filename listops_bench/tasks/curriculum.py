"""Curricula: which rows a model is trained on, and for how many steps.

A curriculum is a list of stages, a stage a mixture of tasks. As text::

    max_med:1200,sum:1800                  first MAX+MED, then SUM alone
    sum*0.5+max_med*0.5:3000               every row is one of SUM's or one of MAX+MED's, with equal chances
    max_med:1200,sum:1800/keep-optimizer   the second stage goes on with the first one's optimizer and schedule
    max_med:1200,sum:1800/freeze=embeddings
    max_med:1200,sum:1800/init-parts=embeddings/freeze=embeddings    of MAX+MED's model the embeddings, the rest fresh
    max_med:1200,sum:1800/init-parts=attention/init-parts=feed_forward     all but the embeddings
    max_med:1200,sum:1800/init-parts=embeddings/init-axes=4      of the token table, its first 4 principal axes only
    max_med:3000/until=0.95,sum:1800       the first stage ends once MAX+MED is learned, after 3,000 steps at the latest

or, the same things spelt out, as a YAML file::

    stages:
      - tasks: {max_med: 1}
        steps: 1200
      - tasks: {sum: 1}
        steps: 1800
        reset_optimizer: false
        init_parts: [embeddings]
        init_axes: 4
        freeze: [embeddings]
        until: 0.95
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from listops_bench._base.files import read_yaml
from listops_bench.errors import InvalidInput, shortened, shown, unknown
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.symbols import Symbols
from listops_bench.tasks.task import get_task

_KEEP_OPTIMIZER, _FREEZE, _UNTIL = "keep-optimizer", "freeze", "until"
_INIT_PARTS, _INIT_AXES = "init-parts", "init-axes"
MAX_STEPS, MAX_WEIGHT, MAX_AXES = 10**12, 10**9, 10**6
_EXAMPLE = "'max_med:1200,sum:1800'"


@dataclass(frozen=True)
class Stage:
    """Steps on one mixture of tasks.

    Attributes:
        mixture: (task name, weight) pairs, kept in alphabetical order. Each row of a batch is drawn from a task with
            chance proportional to its weight, so batches are plain random samples of the mixture.
        steps: optimizer steps; with ``until`` the most there can be.
        reset_optimizer: start with a fresh optimizer, warm-up and schedule. Otherwise the stage goes on where the
            stage before it stopped, on one schedule that spans both.
        freeze: what is not trained: parts of the model (``"embeddings"``, ``"attention"``, ``"feed_forward"``), or
            patterns of parameter names such as ``"model.block.*"``.
        until: the validation trace accuracy at which the stage ends before its steps are used up: the lowest among its
            tasks and each of their operations alone. None: it runs for all its steps.
        init_parts: what the stage goes on with of the model of the stage before, or of the checkpoint that the run
            starts from, in the terms of ``freeze``; the rest is fresh, as if of another seed. Empty: all of it.
        init_axes: so many of the first principal axes of the token table are kept of it, and nothing outside of them.
            None: the whole table.
    """

    mixture: tuple[tuple[str, float], ...]
    steps: int
    reset_optimizer: bool = True
    freeze: tuple[str, ...] = ()
    until: float | None = None
    init_parts: tuple[str, ...] = ()
    init_axes: int | None = None

    def __post_init__(self) -> None:
        pairs = [(get_task(name).name, weight) for name, weight in self.mixture]
        mixture = sorted(pairs, key=lambda pair: pair[0])
        names = [name for name, _ in mixture]
        if not names or len(set(names)) != len(names):
            raise InvalidInput(f"a stage needs one or more different tasks, not {names}")
        for name, weight in mixture:
            if not _is_number(weight) or not 0 < weight <= MAX_WEIGHT:
                raise InvalidInput(
                    f"weight {weight!r} of task {name!r} is not a number above 0 and at most {MAX_WEIGHT}"
                )
        if not isinstance(self.steps, int) or isinstance(self.steps, bool) or not 1 <= self.steps <= MAX_STEPS:
            raise InvalidInput(f"steps {shown(self.steps)} is not a number of steps from 1 to {MAX_STEPS:,}")
        if not isinstance(self.reset_optimizer, bool):
            raise InvalidInput(f"reset_optimizer {shown(self.reset_optimizer)} is neither true nor false")
        if self.until is not None and not (_is_number(self.until) and 0 < self.until <= 1):
            raise InvalidInput(f"until {shown(self.until)} is not an accuracy above 0 and at most 1")
        for option, patterns in ((_INIT_PARTS, self.init_parts), (_FREEZE, self.freeze)):
            for pattern in patterns:
                if not isinstance(pattern, str) or not pattern or set(pattern) & set(",/+: "):
                    raise InvalidInput(f"{option} pattern {pattern!r} is not a parameter name or pattern")
        if self.init_parts and not self.reset_optimizer:
            raise InvalidInput("a stage with init-parts has fresh weights, so it cannot keep the optimizer")
        if self.init_axes is not None:
            if type(self.init_axes) is not int or not 1 <= self.init_axes <= MAX_AXES:
                raise InvalidInput(f"init-axes {shown(self.init_axes)} is not a number of axes from 1 to {MAX_AXES:,}")
            if "embeddings" not in self.init_parts:
                raise InvalidInput(f"init-axes={self.init_axes} is of the embeddings; give init-parts=embeddings too")
        if len(mixture) == 1:
            mixture = [(names[0], 1.0)]  # the weight of a single task means nothing
        object.__setattr__(self, "mixture", tuple((name, float(weight)) for name, weight in mixture))

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.mixture)

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, scaled to a sum of 1."""
        total = math.fsum(weight for _, weight in self.mixture)
        return tuple(weight / total for _, weight in self.mixture)

    @property
    def moves(self) -> str:
        """How it treats parts of the model, as its text form has it: ``/init-parts=embeddings/freeze=embeddings``."""
        words = [f"/{_INIT_PARTS}={pattern}" for pattern in self.init_parts]
        words += [] if self.init_axes is None else [f"/{_INIT_AXES}={self.init_axes}"]
        return "".join([*words, *(f"/{_FREEZE}={pattern}" for pattern in self.freeze)])

    def __str__(self) -> str:
        single = len(self.mixture) == 1
        words = [name if single else f"{name}*{_text(weight)}" for name, weight in self.mixture]
        options = [] if self.reset_optimizer else [_KEEP_OPTIMIZER]
        options += [] if self.until is None else [f"{_UNTIL}={_text(self.until)}"]
        return "/".join([f"{'+'.join(words)}:{self.steps}", *options]) + self.moves


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= MAX_WEIGHT


def _text(value: float) -> str:
    return repr(value).removesuffix(".0")


@dataclass(frozen=True)
class Curriculum:
    """Stages, one after the other. ``str()`` is the canonical text form; `parse_curriculum` reads it back."""

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not self.stages:
            raise InvalidInput(f"a curriculum needs a stage, such as {_EXAMPLE}")
        if not self.stages[0].reset_optimizer:
            raise InvalidInput("the first stage has no optimizer to keep; leave its keep-optimizer out")
        found = {name: get_task(name).symbol_set for name in self.tasks}
        if len(set(found.values())) > 1:
            said = ", ".join(f"{name} has {symbols}" for name, symbols in found.items())
            raise InvalidInput(f"a curriculum has one vocabulary, so its tasks need the same symbols: {said}")

    @staticmethod
    def from_task(task: str, steps: int, *, init_parts: Sequence[str] = (), freeze: Sequence[str] = ()) -> Curriculum:
        """One stage on one task."""
        return Curriculum((Stage(((task, 1.0),), steps, init_parts=tuple(init_parts), freeze=tuple(freeze)),))

    @property
    def steps(self) -> int:
        """Steps in all: a budget, where a stage may end early."""
        return sum(stage.steps for stage in self.stages)

    @property
    def tasks(self) -> tuple[str, ...]:
        """All task names, in the order of their first use."""
        return tuple(dict.fromkeys(name for stage in self.stages for name in stage.tasks))

    @property
    def symbol_set(self) -> Symbols:
        return get_task(self.tasks[0]).symbol_set

    @property
    def trace(self) -> TraceStyle:
        """The style of completions that its tasks have.

        Raises:
            InvalidInput: they have not the same.
        """
        styles = {name: get_task(name).trace for name in self.tasks}
        if len(set(styles.values())) > 1:
            raise InvalidInput(f"tasks of a curriculum have one trace style, and here {styles}; give --trace")
        return styles[self.tasks[0]]

    def start(self, index: int) -> int:
        """Steps before a stage, if those before it use up theirs."""
        return sum(stage.steps for stage in self.stages[:index])

    def stage_of(self, step: int) -> int:
        """The index of the stage that a step, counted from 0, belongs to, if all stages use up their steps."""
        return max(i for i in range(len(self.stages)) if self.start(i) <= step)

    def schedule(self, index: int) -> tuple[int, int]:
        """The steps (first, end) over which one optimizer and its schedule run, for the stage of an index."""
        first = max(i for i in range(index + 1) if self.stages[i].reset_optimizer)
        later = [i for i in range(index + 1, len(self.stages)) if self.stages[i].reset_optimizer]
        return self.start(first), self.start(later[0]) if later else self.steps

    @property
    def refreezes(self) -> bool:
        """Whether a stage freezes other parameters than the one before, whose optimizer it keeps."""
        return any(not now.reset_optimizer and now.freeze != before.freeze for before, now in pairwise(self.stages))

    def __str__(self) -> str:
        return ",".join(map(str, self.stages))


# --- text -------------------------------------------------------------------------------------------------------------


def parse_curriculum(text: str) -> Curriculum:
    """Reads the text form, or a YAML file where the text ends in ``.yaml`` or ``.yml``.

    >>> parse_curriculum("med_max:1200, sum:1800")
    ... # doctest: +NORMALIZE_WHITESPACE
    Curriculum(stages=(Stage(mixture=(('max_med', 1.0),), steps=1200, reset_optimizer=True, freeze=(), until=None,
                             init_parts=(), init_axes=None),
                       Stage(mixture=(('sum', 1.0),), steps=1800, reset_optimizer=True, freeze=(), until=None,
                             init_parts=(), init_axes=None)))

    Raises:
        InvalidInput: unreadable, an unknown task or key (the nearest known one is named), or steps below 1.
    """
    if text.strip().endswith((".yaml", ".yml")):
        return _from_yaml(Path(text.strip()))
    return Curriculum(tuple(_parse_stage(part.strip()) for part in text.split(",")))


def recorded_curriculum(text: str) -> Curriculum:
    """As `parse_curriculum`, of what a record says: whoever wrote that names no file of ours to be read.

    Raises:
        InvalidInput: as `parse_curriculum`, or it names a file.
    """
    if "@" in text or text.strip().endswith((".yaml", ".yml")):
        raise InvalidInput(f"curriculum {shortened(text)!r} names a file; a record spells it out")
    return parse_curriculum(text)


def _parse_stage(text: str) -> Stage:
    mixture, _, rest = (part.strip() for part in text.rpartition(":"))  # a task may hold the path of a page
    steps, *options = (word.strip() for word in rest.split("/"))
    if not mixture:
        raise InvalidInput(f"stage {text!r} is not TASK:STEPS; a curriculum looks like {_EXAMPLE}")
    pairs = []
    for word in mixture.split("+"):
        name, star, weight = (part.strip() for part in word.partition("*"))
        pairs.append((name, _number(weight) if star else 1.0))
    init_parts, init_axes, freeze, until = [], None, [], None
    for option in options:
        key, _, value = option.partition("=")
        if key == _INIT_PARTS:
            init_parts.append(value)
        elif key == _INIT_AXES:
            init_axes = _whole_number(value)
        elif key == _FREEZE:
            freeze.append(value)
        elif key == _UNTIL:
            until = _number(value)
        elif option != _KEEP_OPTIMIZER:
            raise unknown("stage option", key, [_KEEP_OPTIMIZER, _INIT_PARTS, _INIT_AXES, _FREEZE, _UNTIL])
    own = (_KEEP_OPTIMIZER not in options, tuple(freeze), until, tuple(init_parts), init_axes)
    return Stage(tuple(pairs), _whole_number(steps), *own)


def _whole_number(text: str) -> Any:
    """As `_number`."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else shortened(text)


def _number(text: str) -> Any:
    """The number of a text, or the text where it is none, which `Stage` refuses by its name."""
    try:
        return float(text)
    except ValueError:
        return text


# --- YAML -------------------------------------------------------------------------------------------------------------


def _from_yaml(path: Path) -> Curriculum:
    where = f"curriculum file {str(path)!r}"
    page = _mapping(read_yaml(path, kind="curriculum file"), where, ["stages"])
    if not isinstance(page["stages"], list):
        raise InvalidInput(f"{where} has no list of stages")
    return Curriculum(tuple(map(_stage_from_yaml, page["stages"])))


def _stage_from_yaml(page: Any) -> Stage:
    fields = dict(
        _mapping(page, "a stage", ["tasks", "steps"], ["reset_optimizer", "init_parts", "init_axes", "freeze", "until"])
    )
    tasks = fields.pop("tasks")
    if isinstance(tasks, str):
        tasks = {tasks: 1.0}
    if not isinstance(tasks, Mapping):
        raise InvalidInput(f"tasks {tasks!r} is neither a name nor a mapping of names to weights")
    for key in ("init_parts", "freeze"):
        patterns = fields.get(key, [])
        patterns = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(patterns, list):
            raise InvalidInput(f"{key} {patterns!r} is not a list of patterns")
        fields[key] = tuple(patterns)
    return Stage(tuple((str(name), weight) for name, weight in tasks.items()), **fields)


def _mapping(page: Any, what: str, required: list[str], optional: Sequence[str] = ()) -> Mapping[str, Any]:
    """The page, if it is a mapping with these keys."""
    known = [*required, *optional]
    if not isinstance(page, Mapping):
        raise InvalidInput(f"{what} is not a mapping with the keys {', '.join(known)}")
    for key in page:
        if key not in known:
            raise unknown(f"key in {what}", key, known)
    for key in required:
        if key not in page:
            raise InvalidInput(f"{what} has no {key!r}: {page}")
    return page
