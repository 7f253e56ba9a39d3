"""Tasks: a named set of operations with its parameters.

A task's name is its operations in canonical order, with the modulus and depth where they are not the defaults, the
symbol set where it is not that of numbers (`symbols`), and the `regime` that its rows are drawn in::

    sum            sum_max_med_mod20            sum_mod11_depth3            sum_mod11_nrgpt            perm_sign_s3

A regime or a symbol set of one's own stands at the end behind an @, ``sum_max_med@pages/dense.yaml``, see `pages`. Any
subset of the operations is a task, in any order of the words. The curated ones are described in ``tasks/*.yaml``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Any, Literal

import yaml

from listops_bench._base.records import Range
from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput, unknown
from listops_bench.tasks._own import DIGEST, kept, not_read
from listops_bench.tasks.operations import MAX_MODULUS, MIN_MODULUS, OPERATIONS, Operation
from listops_bench.tasks.pages import is_page, read_own
from listops_bench.tasks.regime import MAX_DEPTH, Regime, find_regime, regimes
from listops_bench.tasks.symbols import Symbols, find_symbols, symbol_sets, symbols_of

DATASET_VERSIONS = ("1.0.0",)
"""All that there have been, the newest last. Results of an older one stand on a board of their own, where nothing is
generated or evaluated again; a result of any other is refused."""
DATASET_VERSION = DATASET_VERSIONS[-1]
"""Raised, by a new entry, whenever any row of any task changes."""

NumRows = Annotated[int, Range(1, 2**31 - 1)]


@dataclass(frozen=True)
class TaskSpec(Regime):
    """What decides a task's rows, besides the dataset version, the split and the seed: a `Regime`, and what follows.

    Attributes:
        operations: names, in canonical order.
        symbols: the word of the symbol set in the task's name; ``""`` for the numbers modulo ``modulus``.
        modulus: symbols are ``0 .. modulus-1``.
        max_depth: nesting; 1 is an operation on numbers.
        regime: the word that the regime has in the task's name; ``""`` for what holds everywhere.
        num_train, num_validation, num_test: rows of these splits; ``num_extra``: rows of the other evaluation splits.
    """

    operations: tuple[str, ...]
    modulus: Annotated[int, Range(MIN_MODULUS, MAX_MODULUS)] = 10
    max_depth: Annotated[int, Range(1, MAX_DEPTH)] = 2
    symbols: str = ""
    regime: str = ""
    num_train: NumRows = 50_000
    num_validation: NumRows = 1_000
    num_test: NumRows = 5_000
    num_extra: NumRows = 2_000

    def __post_init__(self) -> None:
        if self.symbols:
            object.__setattr__(self, "modulus", find_symbols(self.symbols).size)
        known = self.symbol_set.operations if self.symbols else OPERATIONS
        object.__setattr__(self, "operations", _canonical_operations(self.operations, known))
        super().__post_init__()
        if self.max_depth > 1 and self.nest_probability == 0:
            raise InvalidInput("nest_probability 0 never nests, so max_depth must be 1")
        if not any(self.depth_weights[: self.max_depth]):
            raise InvalidInput(f"depth_weights {list(self.depth_weights)} leave no rows for depth 1..{self.max_depth}")
        if self.hold_out == "triples" and (self.modulus < 3 or self.max_operands < 3):
            short = f"modulus {self.modulus}" if self.modulus < 3 else f"max_operands {self.max_operands}"
            raise InvalidInput(f"hold_out 'triples' needs three different operands, and {short} is below 3")
        for name in self.operations:
            if not self.operand_counts(name):
                span = f"{self.min_operands}..{self.max_operands}"
                raise InvalidInput(f"operation {name!r} takes odd operand counts only and none is in {span}; use 3..3")

    @property
    def name(self) -> str:
        """The canonical name; parameters outside the name grammar do not show in it."""
        words = [*self.operations]
        if self.symbols:
            words.append(self.symbols)
        elif self.modulus != 10:
            words.append(f"mod{self.modulus}")
        if self.max_depth != 2:
            words.append(f"depth{self.max_depth}")
        words += [self.regime] if self.regime else []
        return "_".join(words)

    @property
    def symbol_set(self) -> Symbols:
        return find_symbols(self.symbols) if self.symbols else symbols_of(self.modulus)

    @property
    def page_words(self) -> tuple[str, str]:
        """The words of its name that may be somebody's own pages, see `pages.own_pages`."""
        return self.symbols, self.regime

    def operand_counts(self, operation: str, *, wider: bool = False) -> tuple[int, ...]:
        """The operand counts an operation may have; ``wider`` appends the next one that it can take."""
        of = self.symbol_set.operations[operation]
        counts = [k for k in range(self.min_operands, self.max_operands + 1) if self.takes(of, k)]
        if wider:
            more = range(self.max_operands + 1, self.max_operands + 3)
            counts.append(next(k for k in more if self.takes(of, k)))
        return tuple(counts)

    def num_rows(self, split: str) -> int:
        """The task's rows in a split."""
        own = {"train": self.num_train, "validation": self.num_validation, "test": self.num_test}
        return own.get(split, self.num_extra)

    @property
    def completion_limit(self) -> int:
        """Tokens, ``<eos>`` included, after which a completion is cut, in every harness: half of the longest row.

        A row whose own reference is longer may be as long as that. Among the curated tasks only single-step traces of
        deep or wide expressions are (of up to 101 tokens); the longest parallel trace has 44.
        """
        return self.max_tokens // 2

    def fingerprint(self) -> str:
        """Canonical JSON of what decides which expressions are drawn: neither row counts nor the trace style do."""
        fields = dataclasses.asdict(self)
        for field in _NOT_DRAWN:
            del fields[field]
        for field in (
            "med_operands",
            "hold_out",
            "symbols",
        ):  # newer than the rows: their usual values are not part of the key
            if fields[field] == getattr(TaskSpec, field):
                del fields[field]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"))


_NOT_DRAWN = ("regime", "trace", "unique", "num_train", "num_validation", "num_test", "num_extra")


def _canonical_operations(operations: object, known: Mapping[str, Operation]) -> tuple[str, ...]:
    names = [operations] if isinstance(operations, str) else list(operations)  # type: ignore[call-overload]
    for name in names:
        if name not in known:
            raise unknown("operation", name, known)
    if not names or len(set(names)) != len(names):
        raise InvalidInput(f"operations {names!r} must be one or more different ones of: {', '.join(known)}")
    return tuple(name for name in known if name in names)


# --- by name ----------------------------------------------------------------------------------------------------------

PARAMETERS = tuple(field.name for field in dataclasses.fields(TaskSpec) if field.name != "operations")
_WORD_FIELDS = {"mod": "modulus", "depth": "max_depth"}


def get_task(name: str, **overrides: Any) -> TaskSpec:
    """The task of a name, with any parameter of `TaskSpec` overridden.

    >>> get_task("med_sum_max", modulus=20).name
    'sum_max_med_mod20'

    Raises:
        InvalidInput: an unknown word or parameter (the nearest known one is named), or a value out of range.
    """
    if not isinstance(name, str):
        raise unknown("task", name, curated_tasks())
    return _make_task(name, overrides) if overrides or "@" in name else _named_task(name)


@lru_cache(maxsize=4096)
def _named_task(name: str) -> TaskSpec:
    return _make_task(name, {})


def _make_task(name: str, overrides: dict[str, Any]) -> TaskSpec:
    for field in overrides:
        if field not in PARAMETERS:
            raise unknown("task parameter", field, PARAMETERS)
    found: dict[str, Any] = {}

    def set_once(field: str, value: object) -> None:
        if field in found or overrides.get(field, value) != value:
            raise InvalidInput(f"task {name!r} sets {field} to {value}, and it is given a second time")
        found[field] = value

    text, *own = name.split("@")
    for page in own:
        set_once(*read_own(page))
    for parameter in ("regime", "symbols"):
        if isinstance(given := overrides.get(parameter), (str, os.PathLike)) and is_page(path := str(given)):
            kind, overrides[parameter] = read_own(path)
            if kind != parameter:
                raise InvalidInput(f"{parameter} {path!r} is a page of another kind; give it as {kind}")
    others: list[str] = []
    for word in _words(text.lower()):
        if number := re.fullmatch(r"(mod|depth)([0-9]{1,9})", word):
            set_once(_WORD_FIELDS[number[1]], int(number[2]))
        elif kind_of_word := _field(word):
            set_once(kind_of_word, word)
        else:
            others.append(word)
    fields = found | overrides
    symbols = find_symbols(fields["symbols"]) if fields.get("symbols") else symbols_of(10)
    if symbols.word and fields.get("modulus", symbols.size) != symbols.size:
        raise InvalidInput(f"task {name!r} has modulus {fields['modulus']}, and {symbols} are {symbols.size}")
    if strange := [word for word in others if word not in symbols.operations]:
        raise _unknown_task(name, strange, symbols)
    return TaskSpec(tuple(others), **(_values(fields.get("regime", "")) | fields))


def _unknown_task(name: str, strange: Sequence[str], symbols: Symbols) -> InvalidInput:
    """The error for words that mean nothing, with the nearest name in which one of them is another."""
    near = [*symbols.operations, *(() if symbols.word else curated_tasks())]
    for word in strange:
        near += [name.lower().replace(word, known) for known in (*regimes(), *symbol_sets())]
        near += [f"{name}_{known}" for known in symbol_sets() if word in find_symbols(known).operations]
    return unknown("task", name, near)


def _words(text: str) -> list[str]:
    """The words of a name; that of a page of one's own has two halves."""
    words: list[str] = []
    for word in text.split("_"):
        if words and re.fullmatch(DIGEST, word):
            words[-1] += "_" + word
        else:
            words.append(word)
    return words


def _field(word: str) -> Literal["regime", "symbols"] | None:
    """The field that a word of a name belongs to; None for an operation, or a word that is not known."""
    if word in symbol_sets() or kept(word, Symbols) is not None:
        return "symbols"
    if word in regimes() or kept(word, Regime) is not None:
        return "regime"
    if "_" in word:
        raise not_read(word)
    return None


def _values(regime: str) -> dict[str, Any]:
    """The values that a regime gives a task."""
    found = find_regime(regime)
    return {field.name: getattr(found, field.name) for field in dataclasses.fields(Regime)}


@cache
def curated_tasks() -> tuple[str, ...]:
    """Names of the curated tasks, those of one operation first, then by number of operations."""
    return tuple(sorted((path.stem for path in resource_path("tasks").glob("*.yaml")), key=task_order))


@cache
def describe_task(name: str) -> Mapping[str, str]:
    """``title`` and ``description`` of a curated task; empty for any other."""
    file = resource_path("tasks") / f"{get_task(name).name}.yaml"
    if not file.is_file():
        return {}
    page = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {"title": page["title"], "description": " ".join(page["description"].split())}


@cache
def task_order(name: str) -> tuple[object, ...]:
    """Single operations first, then by number of operations; variants of modulus and depth after them."""
    task = get_task(name)
    places = [list(task.symbol_set.operations).index(operation) for operation in task.operations]
    shape = task.modulus != 10, task.max_depth != 2, len(places), places, task.modulus, task.max_depth
    return task.regime, task.symbols, *shape


@cache
def single_tasks(task: str) -> tuple[str, ...]:
    """The tasks of a joint task's operations alone: ``sum_max_mod20`` gives ``sum_mod20`` and ``max_mod20``.

    Nothing for a task of one operation.
    """
    spec = get_task(task)
    if len(spec.operations) == 1:
        return ()
    return tuple(dataclasses.replace(spec, operations=(name,)).name for name in spec.operations)


def with_single_tasks(names: Iterable[str]) -> list[str]:
    """Tasks and then each of their operations alone, every one once: what decides whether the tasks are learned.

    >>> with_single_tasks(["max_med", "sum"])
    ['max_med', 'sum', 'max', 'med']
    """
    names = list(names)
    return list(dict.fromkeys([*names, *(single for name in names for single in single_tasks(name))]))
