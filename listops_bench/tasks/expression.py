"""ListOps expressions: the reference semantics, in plain Python.

Everything else in the package (the fast generator, the scorer, the harness plug-ins) is tested against this page.

An expression is a number, or an operation applied to two or more operands, each itself an expression::

    [SUM 3 [MAX 2 9 ] 4 ]          Node("sum", (3, Node("max", (2, 9)), 4))

Its *trace* rewrites the whole expression, line by line, until a number stands alone. As a row, with modulus 10::

    prompt                      completion
    [SUM 3 [MAX 2 9 ] 4 ] =     [SUM 3 9 4 ] = 6

The notation is that of ListOps (Nangia and Bowman, 2018, arXiv:1804.06028).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from listops_bench.errors import InvalidInput, shortened, shown, unknown

MIN_MODULUS, MAX_MODULUS = 2, 64
"""Sets of possible values are 64-bit masks in the generator; nothing else bounds the modulus."""

MAX_PARSED_DEPTH = 101
"""The other functions recurse: far below Python's limit, far above any data set's depth."""

Symmetry = Literal["all", "alternating"]
MedianRule = Literal["upper", "floor_mean"]
TraceStyle = Literal["parallel", "single", "none"]
TRACE_STYLES: tuple[TraceStyle, ...] = get_args(TraceStyle)


@dataclass(frozen=True)
class Operation:
    """An n-ary function on the symbols ``0 .. modulus-1``.

    Attributes:
        name: lower-case name, as in task names.
        apply: ``apply(values, modulus)`` for two or more values.
        symmetry: which operands may change places without changing the value: ``"all"``, or only those at positions
            of the same parity (``"alternating"``).
        associative: ``f(f(a, b), c) == f(a, f(b, c)) == f(a, b, c)``, so that nested uses can be flattened.
        odd_operands_only: takes 3, 5, 7 ... operands.
    """

    name: str
    apply: Callable[[Sequence[int], int], int]
    symmetry: Symmetry = "all"
    associative: bool = True
    odd_operands_only: bool = False

    @property
    def token(self) -> str:
        return "[" + self.name.upper()

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
        Operation("sum", lambda values, modulus: sum(values) % modulus),
        Operation("prod", lambda values, modulus: math.prod(values) % modulus),
        Operation("nadd", _nadd, symmetry="alternating", associative=False),
        Operation("ssum", _ssum),
        Operation("max", lambda values, modulus: max(values)),
        Operation("min", lambda values, modulus: min(values)),
        Operation("med", lambda values, _: statistics.median_high(values), associative=False, odd_operands_only=True),
    )
}
"""All operations, in the canonical order of task names, vocabularies and per-operation columns."""


@dataclass(frozen=True, slots=True)
class Node:
    """An operation and its operands. A number stands for itself, as an ``int``."""

    operation: str
    operands: tuple[Expression, ...]


Expression = int | Node


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


# --- text -------------------------------------------------------------------------------------------------------------

SPECIAL_TOKENS = ("<pad>", "<eos>", "<unk>")
"""No ``<bos>``: a row begins with its first word, as in the paper's pipeline, so no harness can forget or repeat it."""
PAD_ID, EOS_ID = 0, 1
EQUALS_ID, CLOSE_ID, FIRST_OPERATION_ID = 3, 4, 5
FIRST_NUMBER_ID = FIRST_OPERATION_ID + len(OPERATIONS)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
# NYU's and LRA's files write SM for SUM.
_BY_TOKEN = {op.token: op.name for op in OPERATIONS.values()} | {"[SM": "sum", "[MEDIAN": "med"}


def vocabulary(modulus: int) -> tuple[str, ...]:
    """All tokens of a modulus, the id of each being its index; every task of the modulus shares them.

    >>> " ".join(vocabulary(3))
    '<pad> <eos> <unk> = ] [SUM [PROD [NADD [SSUM [MAX [MIN [MED 0 1 2'
    """
    check_modulus(modulus)
    return (*SPECIAL_TOKENS, "=", "]", *(op.token for op in OPERATIONS.values()), *map(str, range(modulus)))


def check_modulus(modulus: int) -> None:
    """Raises InvalidInput unless numbers modulo ``modulus`` make a task."""
    nearest = min(max(modulus, MIN_MODULUS), MAX_MODULUS) if type(modulus) is int else MIN_MODULUS
    if type(modulus) is not int or modulus != nearest:
        span = f"{MIN_MODULUS}..{MAX_MODULUS}"
        raise InvalidInput(f"modulus {shown(modulus)} is not in {span}; the nearest valid one is {nearest}")


def parse(text: str, modulus: int | None = None) -> Expression:
    """Reads an expression in our notation, NYU's or LRA's (parentheses carry no meaning, ``SM`` is SUM).

    A trailing ``=`` is allowed, so a prompt can be parsed as it stands.

    Raises:
        InvalidInput: not one well-formed expression, a number outside ``0 .. modulus-1``, or a modulus of no task.
    """
    if modulus is not None:
        check_modulus(modulus)
    words = text.replace("(", " ").replace(")", " ").split()
    if words and words[-1] == "=":
        words.pop()
    stack: list[tuple[str, list[Expression]]] = [("", [])]
    for position, word in enumerate(words):
        if word.startswith("["):
            if word.upper() not in _BY_TOKEN:
                raise unknown("operation", word, [op.token for op in OPERATIONS.values()])
            stack.append((_BY_TOKEN[word.upper()], []))
            if len(stack) > MAX_PARSED_DEPTH:
                raise InvalidInput(f"expression is nested deeper than {MAX_PARSED_DEPTH - 1}, the deepest that is read")
        elif word == "]":
            name, operands = stack.pop()
            if not stack or not operands:
                raise _malformed(f"']' at token {position + 1} closes nothing in {shortened(text.strip())!r}")
            stack[-1][1].append(Node(name, tuple(operands)))
        else:
            stack[-1][1].append(_parse_number(word, modulus))
    if len(stack) > 1:
        raise _malformed(f"{OPERATIONS[stack[-1][0]].token!r} is never closed in {shortened(text.strip())!r}")
    if len(stack[0][1]) != 1:
        raise _malformed(f"{shortened(text.strip())!r} holds {len(stack[0][1])} expressions, not one")
    return stack[0][1][0]


def _malformed(why: str) -> InvalidInput:
    return InvalidInput(f"not a ListOps expression: {why}")


def _parse_number(word: str, modulus: int | None) -> int:
    # "06" is no token of ours, and int() would also take "1_0" and other scripts' digits, but not thousands of them.
    if not _NUMBER.fullmatch(word):
        raise _malformed(f"{shortened(word)!r} is neither a number, an operation nor ']'")
    if modulus is not None and int(word) >= modulus:
        raise _outside(int(word), modulus)
    return int(word)


def _outside(number: int, modulus: int) -> InvalidInput:
    span, nearest = f"0..{shown(modulus - 1)}", shown(min(max(number, 0), modulus - 1))
    return InvalidInput(f"number {shown(number)} is outside {span}; the nearest valid one is {nearest}")


def render(expression: Expression) -> str:
    """The expression's text, tokens separated by one space; `parse` reads it back."""
    if isinstance(expression, int):
        return str(expression)
    return " ".join([OPERATIONS[expression.operation].token, *map(render, expression.operands), "]"])


def prompt_text(expression: Expression) -> str:
    """What a model is given: ``"[SUM 3 [MAX 2 9 ] 4 ] ="``."""
    return render(expression) + " ="


def completion_text(expression: Expression, modulus: int = 10, style: TraceStyle = "parallel") -> str:
    """What a model should answer: the lines of the trace, ``" [SUM 3 9 4 ] = 6"``."""
    return " " + " = ".join(render(line) for line in trace(expression, modulus, style))


# --- meaning ----------------------------------------------------------------------------------------------------------


def evaluate(expression: Expression, modulus: int = 10, median: MedianRule = "upper") -> int:
    """The value of an expression. ``median`` only matters for MED of an even number of operands, in foreign data.

    Raises:
        InvalidInput: a number outside ``0 .. modulus-1``.
    """
    if isinstance(expression, int):
        if not 0 <= expression < modulus:
            raise _outside(expression, modulus)
        return expression
    values = [evaluate(operand, modulus, median) for operand in expression.operands]
    if expression.operation == "med" and median == "floor_mean":
        return math.floor(statistics.median(values))  # the mean of the middle two, rounded down: NYU's and LRA's rule
    return OPERATIONS[expression.operation].apply(values, modulus)


def is_innermost(expression: Expression) -> bool:
    """An operation on numbers only: the next to be reduced."""
    return isinstance(expression, Node) and all(isinstance(operand, int) for operand in expression.operands)


def reduce_parallel(expression: Node, modulus: int) -> Expression:
    """Replaces every innermost operation by its value."""
    if is_innermost(expression):
        return evaluate(expression, modulus)
    operands = (x if isinstance(x, int) else reduce_parallel(x, modulus) for x in expression.operands)
    return Node(expression.operation, tuple(operands))


def reduce_first(expression: Node, modulus: int) -> Expression:
    """Replaces the leftmost innermost operation by its value."""
    if is_innermost(expression):
        return evaluate(expression, modulus)
    operands = list(expression.operands)
    for i, operand in enumerate(operands):
        if isinstance(operand, Node):
            operands[i] = reduce_first(operand, modulus)
            break
    return Node(expression.operation, tuple(operands))


def trace(expression: Expression, modulus: int = 10, style: TraceStyle = "parallel") -> list[Expression]:
    """The lines that lead from an expression to its value, the expression itself left out.

    ``parallel`` reduces every innermost operation in each line, so there are as many lines as the expression is deep;
    ``single`` makes one reduction per line, leftmost innermost first; ``none`` is the value alone. A number's trace
    is empty.
    """
    if style not in TRACE_STYLES:
        raise unknown("trace style", style, TRACE_STYLES)
    if style == "none":
        return [evaluate(expression, modulus)]
    step = reduce_parallel if style == "parallel" else reduce_first
    lines = []
    while isinstance(expression, Node):
        expression = step(expression, modulus)
        lines.append(expression)
    return lines


def is_reduction(before: Expression, after: Expression, modulus: int = 10) -> bool:
    """Whether ``after`` is ``before`` with one or more innermost operations replaced by their values."""
    return after != before and _reduces(before, after, modulus)


def _reduces(before: Expression, after: Expression, modulus: int) -> bool:
    if before == after:
        return True
    if isinstance(before, int):
        return False
    if isinstance(after, int):
        return is_innermost(before) and after == evaluate(before, modulus)
    same_shape = before.operation == after.operation and len(before.operands) == len(after.operands)
    return same_shape and all(_reduces(b, a, modulus) for b, a in zip(before.operands, after.operands, strict=True))


# --- measures ---------------------------------------------------------------------------------------------------------


def depth(expression: Expression) -> int:
    """0 for a number, 1 for an operation on numbers, and so on."""
    return 0 if isinstance(expression, int) else 1 + max(map(depth, expression.operands))


def operations_in(expression: Expression) -> list[str]:
    """The operation of every node, root first."""
    if isinstance(expression, int):
        return []
    return [expression.operation, *(name for operand in expression.operands for name in operations_in(operand))]


def decisive_depth(expression: Expression, modulus: int = 10) -> int:
    """The smallest depth d such that the value is the same whatever stands deeper than d.

    ``[MAX 9 [SUM 1 2 ] ]`` has 1 modulo 10: no operand can beat the 9. Exact, since each operand occurs once, so that
    the set of possible values of a node follows from the sets of its operands.
    """
    return next(d for d in itertools.count() if len(_possible_values(expression, d, modulus)) == 1)


def _possible_values(expression: Expression, levels: int, modulus: int) -> set[int]:
    if isinstance(expression, int):
        return {evaluate(expression, modulus)}
    if levels == 0:
        return set(range(modulus))
    operands = [_possible_values(operand, levels - 1, modulus) for operand in expression.operands]
    return _image(expression.operation, operands, modulus)


def _image(name: str, operands: list[set[int]], modulus: int) -> set[int]:
    """All values that an operation takes when each operand ranges over its set."""
    operation = OPERATIONS[name]
    if name == "med":
        return {v for v in range(modulus) if _can_be_median(v, operands)}
    if name == "nadd":  # a - b + c - ...: the sum of a, -b, c, ...
        operands = [{-v for v in values} if i % 2 else values for i, values in enumerate(operands)]
        operation = OPERATIONS["sum"]
    values = operands[0]
    for operand in operands[1:]:
        values = {operation.apply((a, b), modulus) for a in values for b in operand}
    return values


def _can_be_median(value: int, operands: list[set[int]]) -> bool:
    # The median is the operand at place n // 2 (from 0) by size. With one operand fixed at the value, the others can be
    # arranged around it exactly when at most n // 2 of them are bound to lie below it and at most the rest above it.
    most_below, most_above = len(operands) // 2, (len(operands) - 1) // 2
    bound_below = sum(max(operand) < value for operand in operands)
    bound_above = sum(min(operand) > value for operand in operands)
    fits = bound_below <= most_below and bound_above <= most_above
    return fits and any(value in operand for operand in operands)
