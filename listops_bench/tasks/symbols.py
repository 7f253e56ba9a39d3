"""Symbol sets: what operations are about, written as the numbers ``0 .. size-1``, with one vocabulary for all tasks.

The numbers modulo n are the symbols of a task whose name does not say otherwise, with the built-in operations. Any
other set is one word of a task's name, ``perm_sign_s3``. Those that ship are pages, ``tasks/symbols/NAME.yaml``::

    title: ...
    description: ...
    size: 6
    symbols: ["123", "132", ...]        what each symbol stands for, if it is more than a number
    operations:
      perm:
        description: ...
        table: [0 1 2 3 4 5, ...]       a row for each first operand, as text or as a list
        associative: true               what is declared is checked; what is not is found out
      top: {like: max}                  a built-in operation
      twist: {like: max, permutation: 3 5 0 1 2 4}      the same under other names of the symbols
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from listops_bench._base.files import read_yaml
from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput, shortened, unknown
from listops_bench.tasks._own import DIGEST, OWN_NAME, kept, not_read
from listops_bench.tasks.operations import (
    MAX_MODULUS,
    MIN_MODULUS,
    OPERATIONS,
    Operation,
    Table,
    check_modulus,
    check_properties,
    permuted,
    table_operation,
)

MAX_OPERATIONS = 16
"""Of one set: the generator's arrays have a place for each."""

OPERATION_NAME = r"[a-z][a-z0-9]{0,11}"

SPECIAL_TOKENS = ("<pad>", "<eos>", "<unk>")
"""No ``<bos>``: a row begins with its first word, as in the paper's pipeline, so no harness can forget or repeat it."""
PAD_ID, EOS_ID = 0, 1
EQUALS_ID, CLOSE_ID, FIRST_OPERATION_ID = 3, 4, 5
FIRST_NUMBER_ID = FIRST_OPERATION_ID + len(OPERATIONS)
"""Of the numbers modulo n; of any other set see `Symbols.first_number_id`."""


@dataclass(frozen=True)
class Symbols:
    """A set of symbols ``0 .. size-1`` with its operations, in the canonical order of names and vocabularies.

    Attributes:
        word: the set's word in names of tasks; ``""`` for the numbers modulo ``size``.
        labels: what each symbol stands for; empty for plain numbers.
    """

    word: str
    size: int
    operations: Mapping[str, Operation] = field(compare=False, repr=False)
    labels: tuple[str, ...] = field(default=(), compare=False, repr=False)
    title: str = field(default="", compare=False, repr=False)
    description: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"symbols {self.word!r}" if self.word else f"modulus {self.size}"

    @property
    def first_number_id(self) -> int:
        """The token id of the symbol 0."""
        return FIRST_OPERATION_ID + len(self.operations)

    def changes(self) -> dict[str, Any]:
        """The values that decide what it is, from which `parse_symbols` makes it again."""
        return {"size": self.size, "operations": {name: _values(op) for name, op in self.operations.items()}}


def _values(operation: Operation) -> dict[str, Any]:
    if operation.like:
        names = {"permutation": " ".join(map(str, operation.permutation))} if operation.permutation else {}
        return {"like": operation.like, **names}
    odd = {"operands": "odd"} if operation.odd_operands_only else {}
    return {"table": [" ".join(map(str, row)) for row in operation.table], **odd}


def symbols_of(modulus: Symbols | int) -> Symbols:
    """A symbol set, or the numbers modulo n. Raises InvalidInput unless they make a task."""
    if isinstance(modulus, Symbols):
        return modulus
    check_modulus(modulus)
    return _numbers(modulus)


@lru_cache(maxsize=256)
def _numbers(modulus: int) -> Symbols:
    return Symbols("", modulus, OPERATIONS)


def vocabulary(modulus: Symbols | int) -> tuple[str, ...]:
    """All tokens of a modulus or another symbol set, the id of each being its index; all its tasks share them.

    >>> " ".join(vocabulary(3))
    '<pad> <eos> <unk> = ] [SUM [PROD [NADD [SSUM [MAX [MIN [MED 0 1 2'
    """
    symbols = symbols_of(modulus)
    operations = (op.token for op in symbols.operations.values())
    return (*SPECIAL_TOKENS, "=", "]", *operations, *map(str, range(symbols.size)))


# --- by word ----------------------------------------------------------------------------------------------------------


@cache
def symbol_sets() -> tuple[str, ...]:
    """Words of the symbol sets that ship, the numbers modulo n left out."""
    return tuple(sorted(path.stem for path in resource_path("tasks", "symbols").glob("*.yaml")))


def find_symbols(word: str) -> Symbols:
    """The symbol set of a word of a task's name.

    Raises:
        InvalidInput: no such set, or a page of somebody's own that was not read yet.
    """
    if found := kept(word, Symbols):
        return found
    if not isinstance(word, str):
        raise unknown("symbol set", word, symbol_sets())
    if re.fullmatch(OWN_NAME, word):
        raise not_read(word)
    if word not in symbol_sets():
        raise unknown("symbol set", word, symbol_sets())
    return _shipped(word)


@cache
def _shipped(word: str) -> Symbols:
    path = resource_path("tasks", "symbols", f"{word}.yaml")
    return parse_symbols(read_yaml(path, kind="page"), word, f"page {str(path)!r}")


# --- pages ------------------------------------------------------------------------------------------------------------

_KEYS = ("title", "description", "size", "symbols", "operations")
_LAWS = ("identity", "commutative", "associative")
_OPERATION_KEYS = ("description", "table", "like", "permutation", "operands", *_LAWS)


def parse_symbols(page: Any, word: str, where: str) -> Symbols:
    """The symbol set that the values of a page describe; ``where`` stands in front of errors.

    Raises:
        InvalidInput: an unknown key (the nearest known one is named), a table of another size or with an entry that is
            no symbol, or a property that it has not.
    """
    try:
        return _parse(_mapping(page, "it", _KEYS), word)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None


def _parse(page: Mapping[str, Any], word: str) -> Symbols:
    size, pages, labels = page.get("size"), page.get("operations"), page.get("symbols", [])
    if type(size) is not int or not MIN_MODULUS <= size <= MAX_MODULUS:
        raise InvalidInput(f"size {_said(size)} is not a number of symbols in {MIN_MODULUS}..{MAX_MODULUS}")
    if not isinstance(pages, Mapping) or not 1 <= len(pages) <= MAX_OPERATIONS:
        raise InvalidInput(f"operations must be a mapping of 1 to {MAX_OPERATIONS} names")
    operations = [
        _operation(name, _mapping(pages[name], f"operation {_said(name)}", _OPERATION_KEYS), size) for name in pages
    ]
    if not isinstance(labels, list) or len(labels) not in (0, size):
        raise InvalidInput(f"symbols must be a list of {size} texts, one for each")
    places = list(OPERATIONS)
    operations.sort(key=lambda op: (places.index(op.name), "") if op.name in places else (-1, op.name))
    return Symbols(
        word,
        size,
        {op.name: op for op in operations},
        tuple(map(str, labels)),
        _text(page, "title"),
        _text(page, "description"),
    )


def _operation(name: Any, page: Mapping[str, Any], size: int) -> Operation:
    if not isinstance(name, str) or not re.fullmatch(OPERATION_NAME, name) or re.fullmatch(_TAKEN, name):
        raise InvalidInput(
            f"operation {_said(name)}: its name becomes a word of task names, up to 12 small letters and digits, and "
            "none that means something else; call it for example 'tick'"
        )
    if ("table" in page) == ("like" in page):
        raise InvalidInput(
            f"operation {name!r} needs either a table or, under 'like', the name of a built-in operation"
        )
    if "like" in page:
        return _built_in(name, page, size)
    if name in OPERATIONS:
        raise InvalidInput(f"operation {name!r} is built in; write {{like: {name}}}, or give the table another name")
    declared: dict[str, Any] = {}
    for law in ("commutative", "associative"):
        declared[law] = page.get(law)
        if declared[law] not in (None, True, False):
            raise InvalidInput(f"operation {name!r}: {law} {_said(declared[law])} is neither true nor false")
    declared["identity"] = page.get("identity")
    if declared["identity"] is not None:
        _symbol(declared["identity"], size, f"operation {name!r}: identity")
    operands = page.get("operands", "any")
    if operands not in ("any", "odd"):
        raise unknown(f"operands of operation {name!r}", operands, ("any", "odd"))
    table = _table(name, page["table"], size)
    check_properties(name, table, **declared)
    return table_operation(name, table, odd_operands_only=operands == "odd", description=_text(page, "description"))


_TAKEN = rf"(?:mod|depth)[0-9]+|{DIGEST}"


def _built_in(name: str, page: Mapping[str, Any], size: int) -> Operation:
    like = page["like"]
    if like not in list(OPERATIONS):
        raise unknown(f"operation that {name!r} is like", like, OPERATIONS)
    if name in OPERATIONS and name != like:
        raise InvalidInput(f"operation {name!r} is a built-in one and cannot be like {like!r}; give it another name")
    if others := [key for key in page if key not in ("like", "permutation", "description")]:
        raise InvalidInput(f"operation {name!r} is {like!r}, so its {others[0]} is known; leave it out")
    operation = dataclasses.replace(OPERATIONS[like], name=name, description=_text(page, "description"))
    if "permutation" not in page:
        return operation
    if name in OPERATIONS:
        raise InvalidInput(f"operation {name!r} is a built-in one and has no permutation; give it another name")
    names = _symbols(page["permutation"], size, f"permutation of operation {name!r}")
    if repeated := [symbol for symbol in names if names.count(symbol) > 1]:
        raise InvalidInput(f"permutation of operation {name!r}: {repeated[0]} stands twice")
    return permuted(operation, names)


def _table(name: str, rows: Any, size: int) -> Table:
    if not isinstance(rows, list) or len(rows) != size:
        number = f"{len(rows)} rows" if isinstance(rows, list) else "no rows"
        raise InvalidInput(f"table of operation {name!r} has {number}, and there are {size} symbols")
    table = []
    for place, row in enumerate(rows):
        table.append(_symbols(row, size, f"table of operation {name!r}, row {place}"))
    return tuple(table)


def _symbols(row: Any, size: int, where: str) -> tuple[int, ...]:
    """``size`` symbols, from text or a list."""
    # More text than so many symbols can have is none of theirs.
    entries = _entries(row[: 4 * size]) if isinstance(row, str) else row
    if not isinstance(entries, list) or len(entries) != size:
        number = f"{len(entries)} entries" if isinstance(entries, list) else "no entries"
        raise InvalidInput(f"{where}: has {number}, and there are {size} symbols")
    return tuple(_symbol(entry, size, where) for entry in entries)


def _entries(row: str) -> list[Any]:
    return [int(word) if re.fullmatch("[0-9]{1,2}", word) else word for word in row.split()]


def _symbol(value: Any, size: int, where: str) -> int:
    if type(value) is not int or not 0 <= value < size:
        near = f"; the nearest valid one is {min(max(value, 0), size - 1)}" if type(value) is int else ""
        raise InvalidInput(f"{where}: {_said(value)} is not a symbol in 0..{size - 1}{near}")
    return value


def _mapping(page: Any, what: str, keys: Iterable[str]) -> Mapping[str, Any]:
    if not isinstance(page, Mapping):
        raise InvalidInput(f"{what} is not a mapping of {', '.join(keys)} to values")
    for key in page:
        if key not in keys:
            raise unknown("key", key, keys)
    return page


def _text(page: Mapping[str, Any], key: str) -> str:
    return " ".join(str(page.get(key, "")).split())


def _said(value: Any) -> str:
    return shortened(repr(value), 80)
