"""ListOps expressions: the reference semantics, in plain Python.

Everything else in the package (the fast generator, the scorer, the harness plug-ins) is tested against this page.

An expression is a number, or an operation applied to two or more operands, each itself an expression::

    [SUM 3 [MAX 2 9 ] 4 ]          Node("sum", (3, Node("max", (2, 9)), 4))

Its *trace* rewrites the whole expression, line by line, until a number stands alone. As a row, with modulus 10::

    prompt                      completion
    [SUM 3 [MAX 2 9 ] 4 ] =     [SUM 3 9 4 ] = 6

The notation is that of ListOps (Nangia and Bowman, 2018, arXiv:1804.06028). Where a ``modulus`` is asked for, another
symbol set (`symbols.Symbols`) with operations of its own can be given.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from listops_bench.errors import InvalidInput, shortened, shown, unknown
from listops_bench.tasks.operations import OPERATIONS, Operation, inverse
from listops_bench.tasks.symbols import Symbols, symbols_of

MAX_PARSED_DEPTH = 101
"""The other functions recurse: far below Python's limit, far above any data set's depth."""

MedianRule = Literal["upper", "floor_mean"]
TraceStyle = Literal["parallel", "single", "none"]
TRACE_STYLES: tuple[TraceStyle, ...] = get_args(TraceStyle)


@dataclass(frozen=True, slots=True)
class Node:
    """An operation and its operands. A number stands for itself, as an ``int``."""

    operation: str
    operands: tuple[Expression, ...]


Expression = int | Node


# --- text -------------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@lru_cache(maxsize=256)
def _names(symbols: Symbols) -> Mapping[str, str]:
    """The operations by token."""
    found = {op.token: name for name, op in symbols.operations.items()}
    # NYU's and LRA's files write SM for SUM.
    return found if symbols.word else found | {"[SM": "sum", "[MEDIAN": "med"}


def parse(text: str, modulus: Symbols | int | None = None) -> Expression:
    """Reads an expression in our notation, NYU's or LRA's (parentheses carry no meaning, ``SM`` is SUM).

    A trailing ``=`` is allowed, so a prompt can be parsed as it stands.

    Raises:
        InvalidInput: not one well-formed expression, a number outside ``0 .. modulus-1``, or a modulus of no task.
    """
    symbols = symbols_of(10 if modulus is None else modulus)
    names, size = _names(symbols), None if modulus is None else symbols.size
    words = text.replace("(", " ").replace(")", " ").split()
    if words and words[-1] == "=":
        words.pop()
    stack: list[tuple[str, list[Expression]]] = [("", [])]
    for position, word in enumerate(words):
        if word.startswith("["):
            if word.upper() not in names:
                raise unknown("operation", word, [op.token for op in symbols.operations.values()])
            stack.append((names[word.upper()], []))
            if len(stack) > MAX_PARSED_DEPTH:
                raise InvalidInput(f"expression is nested deeper than {MAX_PARSED_DEPTH - 1}, the deepest that is read")
        elif word == "]":
            name, operands = stack.pop()
            if not stack or not operands:
                raise _malformed(f"']' at token {position + 1} closes nothing in {shortened(text.strip())!r}")
            stack[-1][1].append(Node(name, tuple(operands)))
        else:
            stack[-1][1].append(_parse_number(word, size))
    if len(stack) > 1:
        raise _malformed(f"{'[' + stack[-1][0].upper()!r} is never closed in {shortened(text.strip())!r}")
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
    return " ".join(["[" + expression.operation.upper(), *map(render, expression.operands), "]"])


def prompt_text(expression: Expression) -> str:
    """What a model is given: ``"[SUM 3 [MAX 2 9 ] 4 ] ="``."""
    return render(expression) + " ="


def completion_text(expression: Expression, modulus: Symbols | int = 10, style: TraceStyle = "parallel") -> str:
    """What a model should answer: the lines of the trace, ``" [SUM 3 9 4 ] = 6"``."""
    return " " + " = ".join(render(line) for line in trace(expression, modulus, style))


# --- meaning ----------------------------------------------------------------------------------------------------------


def evaluate(expression: Expression, modulus: Symbols | int = 10, median: MedianRule = "upper") -> int:
    """The value of an expression. ``median`` only matters for MED of an even number of operands, in foreign data.

    Raises:
        InvalidInput: a number outside ``0 .. modulus-1``.
    """
    return _value(expression, symbols_of(modulus), median)


def _value(expression: Expression, symbols: Symbols, median: MedianRule) -> int:
    if isinstance(expression, int):
        if not 0 <= expression < symbols.size:
            raise _outside(expression, symbols.size)
        return expression
    values = [_value(operand, symbols, median) for operand in expression.operands]
    operation = symbols.operations[expression.operation]
    if median == "floor_mean" and operation.like == "med" and not operation.permutation:
        return math.floor(statistics.median(values))  # the mean of the middle two, rounded down: NYU's and LRA's rule
    return operation.apply(values, symbols.size)


def is_innermost(expression: Expression) -> bool:
    """An operation on numbers only: the next to be reduced."""
    return isinstance(expression, Node) and all(isinstance(operand, int) for operand in expression.operands)


def reduce_parallel(expression: Node, modulus: Symbols | int) -> Expression:
    """Replaces every innermost operation by its value."""
    if is_innermost(expression):
        return evaluate(expression, modulus)
    operands = (x if isinstance(x, int) else reduce_parallel(x, modulus) for x in expression.operands)
    return Node(expression.operation, tuple(operands))


def reduce_first(expression: Node, modulus: Symbols | int) -> Expression:
    """Replaces the leftmost innermost operation by its value."""
    if is_innermost(expression):
        return evaluate(expression, modulus)
    operands = list(expression.operands)
    for i, operand in enumerate(operands):
        if isinstance(operand, Node):
            operands[i] = reduce_first(operand, modulus)
            break
    return Node(expression.operation, tuple(operands))


def trace(expression: Expression, modulus: Symbols | int = 10, style: TraceStyle = "parallel") -> list[Expression]:
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


def is_reduction(before: Expression, after: Expression, modulus: Symbols | int = 10) -> bool:
    """Whether ``after`` is ``before`` with one or more innermost operations replaced by their values."""
    return after != before and _reduces(before, after, modulus)


def _reduces(before: Expression, after: Expression, modulus: Symbols | int) -> bool:
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


def decisive_depth(expression: Expression, modulus: Symbols | int = 10) -> int:
    """The smallest depth d such that the value is the same whatever stands deeper than d.

    ``[MAX 9 [SUM 1 2 ] ]`` has 1 modulo 10: no operand can beat the 9. Exact, since each operand occurs once, so that
    the set of possible values of a node follows from the sets of its operands.
    """
    symbols = symbols_of(modulus)
    return next(d for d in itertools.count() if len(_possible_values(expression, d, symbols)) == 1)


def _possible_values(expression: Expression, levels: int, symbols: Symbols) -> set[int]:
    if isinstance(expression, int):
        return {evaluate(expression, symbols)}
    if levels == 0:
        return set(range(symbols.size))
    operands = [_possible_values(operand, levels - 1, symbols) for operand in expression.operands]
    return _image(symbols.operations[expression.operation], operands, symbols.size)


def _image(operation: Operation, operands: list[set[int]], size: int) -> set[int]:
    """All values that an operation takes when each operand ranges over its set."""
    if p := operation.permutation:
        named = _image(OPERATIONS[operation.like], [{p[v] for v in values} for values in operands], size)
        return {inverse(p)[v] for v in named}
    if operation.like == "med":
        return {v for v in range(size) if _can_be_median(v, operands)}
    if operation.like == "nadd":  # a - b + c - ...: the sum of a, -b, c, ...
        operands = [{-v for v in values} if i % 2 else values for i, values in enumerate(operands)]
        operation = OPERATIONS["sum"]
    values = operands[0]
    for operand in operands[1:]:
        values = {operation.apply((a, b), size) for a in values for b in operand}
    return values


def _can_be_median(value: int, operands: list[set[int]]) -> bool:
    # The median is the operand at place n // 2 (from 0) by size. With one operand fixed at the value, the others can be
    # arranged around it exactly when at most n // 2 of them are bound to lie below it and at most the rest above it.
    most_below, most_above = len(operands) // 2, (len(operands) - 1) // 2
    bound_below = sum(max(operand) < value for operand in operands)
    bound_above = sum(min(operand) > value for operand in operands)
    fits = bound_below <= most_below and bound_above <= most_above
    return fits and any(value in operand for operand in operands)
