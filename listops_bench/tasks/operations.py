"""Operations: functions of two or more symbols, either built in or given by a table.

The built-in ones are about numbers modulo n. A table is used from left to right, ``f(a, b, c) = f(f(a, b), c)``, and
its properties (identity, commutative, associative) follow from it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Literal

from listops_bench.errors import InvalidInput, shown

MIN_MODULUS, MAX_MODULUS = 2, 64
"""Sets of possible values are 64-bit masks in the generator; nothing else bounds the modulus."""

Table = tuple[tuple[int, ...], ...]
Symmetry = Literal["all", "alternating", "pair", "none"]
Form = Literal["bag", "alternating", "sequence", "fold"]


@dataclass(frozen=True)
class Operation:
    """An n-ary function on the symbols ``0 .. size-1``.

    Attributes:
        name: lower-case name, as in task names.
        apply: ``apply(values, size)`` for two or more values.
        symmetry: which operands may change places without changing the value: ``"all"``, only those at positions
            of the same parity (``"alternating"``), the two of each step where it is a table used from left to right
            (``"pair"``), or ``"none"``.
        associative: ``f(f(a, b), c) == f(a, f(b, c)) == f(a, b, c)``, so that nested uses can be flattened.
        odd_operands_only: takes 3, 5, 7 ... operands.
        like: the built-in operation that it is, under whatever name; ``""`` for a table.
        permutation: of a built-in operation f the names p of its symbols, ``p^-1(f(p(a), p(b), ...))``; empty for none.
        table: ``table[a][b]`` is the value of two operands; more are taken from left to right.
        description: what it does, in a sentence.
    """

    name: str
    apply: Callable[[Sequence[int], int], int]
    symmetry: Symmetry = "all"
    associative: bool = True
    odd_operands_only: bool = False
    like: str = ""
    permutation: tuple[int, ...] = ()
    table: Table = ()
    description: str = ""

    @property
    def token(self) -> str:
        return "[" + self.name.upper()

    @property
    def form(self) -> Form:
        """What of its operands its canonical form keeps, see `split`."""
        if self.symmetry == "alternating":
            return "alternating"
        if self.table and not self.associative:
            return "fold"
        return "bag" if self.symmetry == "all" else "sequence"

    def takes(self, num_operands: int) -> bool:
        """Whether generated expressions use this operation with so many operands."""
        return num_operands >= 2 and (num_operands % 2 == 1 or not self.odd_operands_only)


def _nadd(values: Sequence[int], modulus: int) -> int:
    return (sum(values[0::2]) - sum(values[1::2])) % modulus


def _ssum(values: Sequence[int], modulus: int) -> int:
    permutation = ssum_permutation(modulus)
    return permutation.index(sum(permutation[value] for value in values) % modulus)


OPERATIONS: dict[str, Operation] = {
    op.name: op
    for op in (
        Operation("sum", lambda values, modulus: sum(values) % modulus, like="sum"),
        Operation("prod", lambda values, modulus: math.prod(values) % modulus, like="prod"),
        Operation("nadd", _nadd, symmetry="alternating", associative=False, like="nadd"),
        Operation("ssum", _ssum, like="ssum"),
        Operation("max", lambda values, modulus: max(values), like="max"),
        Operation("min", lambda values, modulus: min(values), like="min"),
        Operation(
            "med",
            lambda values, _: statistics.median_high(values),
            associative=False,
            odd_operands_only=True,
            like="med",
        ),
    )
}
"""The built-in operations, in the canonical order of task names, vocabularies and per-operation columns."""


def check_modulus(modulus: int) -> None:
    """Raises InvalidInput unless numbers modulo ``modulus`` make a task."""
    nearest = min(max(modulus, MIN_MODULUS), MAX_MODULUS) if type(modulus) is int else MIN_MODULUS
    if type(modulus) is not int or modulus != nearest:
        span = f"{MIN_MODULUS}..{MAX_MODULUS}"
        raise InvalidInput(f"modulus {shown(modulus)} is not in {span}; the nearest valid one is {nearest}")


def permuted(operation: Operation, permutation: tuple[int, ...]) -> Operation:
    """A built-in operation under other names of its symbols: ``p^-1(f(p(a), p(b), ...))``."""
    apply, back = operation.apply, inverse(permutation)
    return dataclasses.replace(
        operation,
        apply=lambda values, size: back[apply([permutation[value] for value in values], size)],
        permutation=permutation,
    )


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """The permutation that takes it back."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Properties:
    """What holds of a table: the symbol that changes no other, if there is one, and two laws."""

    identity: int | None
    commutative: bool
    associative: bool


def table_operation(name: str, table: Table, *, odd_operands_only: bool = False, description: str = "") -> Operation:
    """The operation of a table, with the properties that the table has."""
    found = properties(table)
    together: Symmetry = "all" if found.associative else "pair"
    return Operation(
        name,
        lambda values, _: reduce(lambda a, b: table[a][b], values),
        symmetry=together if found.commutative else "none",
        associative=found.associative,
        odd_operands_only=odd_operands_only,
        table=table,
        description=description,
    )


def properties(table: Table) -> Properties:
    """The properties that a table has."""
    symbols = range(len(table))
    identity = next((e for e in symbols if all(table[e][a] == a == table[a][e] for a in symbols)), None)
    return Properties(identity, not _not_commutative(table), not _not_associative(table))


def laws(operation: Operation) -> str:
    """What holds of an operation, in words: ``"commutative, associative, identity 0"``."""
    identity = properties(operation.table).identity if operation.table else None
    holds = {
        "commutative": operation.symmetry in ("all", "pair"),
        "associative": operation.associative,
        f"identity {identity}": identity is not None,
    }
    return ", ".join(law for law, does in holds.items() if does) or "neither commutative nor associative"


def check_properties(
    name: str, table: Table, *, identity: int | None, commutative: bool | None, associative: bool | None
) -> None:
    """Checks what is declared of a table; None is declared of nothing.

    Raises:
        InvalidInput: something is declared that the table is not, with an example.
    """
    symbols = range(len(table))
    if identity is not None:
        for a in symbols:
            for left, right in ((identity, a), (a, identity)):
                if identity not in symbols or table[left][right] != a:
                    why = f"{left} . {right} is not {a}"
                    raise InvalidInput(f"operation {name!r} is declared to have the identity {identity}, and {why}")
    laws = (("commutative", commutative, _not_commutative), ("associative", associative, _not_associative))
    for law, declared, find in laws:
        against = None if declared is None else find(table)
        if declared and against:
            raise InvalidInput(f"operation {name!r} is declared {law}, and {against}")
        if declared is False and not against:
            raise InvalidInput(f"operation {name!r} is declared not to be {law}, and it is")


def _not_commutative(table: Table) -> str:
    """Two operands whose order matters, in words."""
    symbols = range(len(table))
    pairs = ((a, b) for a in symbols for b in symbols if table[a][b] != table[b][a])
    return next((f"{a} . {b} is not {b} . {a}" for a, b in pairs), "")


def _not_associative(table: Table) -> str:
    """Three operands whose grouping matters, in words."""
    import numpy as np  # here alone: names of tasks can be read without it

    t = np.array(table)
    different = np.argwhere(t[t] != t[:, t])  # [a, b, c]: (a . b) . c against a . (b . c)
    if not len(different):
        return ""
    a, b, c = map(int, different[0])
    return f"({a} . {b}) . {c} is not {a} . ({b} . {c})"


# --- SSUM's pinned permutation ----------------------------------------------------------------------------------------

_SSUM_CANDIDATES = 1000


@lru_cache
def ssum_permutation(modulus: int) -> tuple[int, ...]:
    """The permutation p behind SSUM: ``ssum(a, b, ...) = p^-1(p(a) + p(b) + ... mod n)``.

    SSUM has SUM's structure (it is the same group) under other names of the numbers, so a partner task in which the
    numbers mean what they say cannot help it. The permutation is the one of 1,000 hashed random ones whose rank
    correlation with the numbers is nearest to zero and whose parity agreement is nearest to chance, leaving out those
    under which SSUM would equal SUM. See `ssum_statistics`.
    """
    permutations = (_hashed_permutation(modulus, draw) for draw in range(_SSUM_CANDIDATES))
    return min((p for p in permutations if modulus == 2 or not _is_sum(p)), key=_deviation)


def ssum_statistics(modulus: int) -> dict[str, float]:
    """What SSUM's permutation shares with the numbers: ``rank_correlation`` (chance 0), ``parity_agreement`` (0.5)."""
    rank_correlation, parity_agreement = _likeness(ssum_permutation(modulus))
    return {"rank_correlation": rank_correlation, "parity_agreement": parity_agreement}


def _hashed_permutation(modulus: int, draw: int) -> tuple[int, ...]:
    key = [hashlib.sha256(f"listops/ssum/{modulus}/{draw}/{i}".encode()).digest() for i in range(modulus)]
    return tuple(sorted(range(modulus), key=key.__getitem__))


def _likeness(permutation: tuple[int, ...]) -> tuple[float, float]:
    """Spearman's rank correlation with the numbers, and the share of numbers that keep their parity."""
    n = len(permutation)
    rank_correlation = 1 - 6 * sum((i - p) ** 2 for i, p in enumerate(permutation)) / (n * (n * n - 1))
    return rank_correlation, sum((i - p) % 2 == 0 for i, p in enumerate(permutation)) / n


def _deviation(permutation: tuple[int, ...]) -> float:
    rank_correlation, parity_agreement = _likeness(permutation)
    return abs(rank_correlation) + abs(parity_agreement - 0.5)


def _is_sum(permutation: tuple[int, ...]) -> bool:
    n = len(permutation)
    return all(permutation[(a + b) % n] == (permutation[a] + permutation[b]) % n for a in range(n) for b in range(n))
