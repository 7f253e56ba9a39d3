"""Which split an expression belongs to: a property of the expression, not of the sampling.

The *canonical form* of an expression is what stays the same under associativity and operand order: nested identical
associative operations are flattened, operands that may change places are sorted::

    [SUM 3 [SUM 2 1 ] ]   ->  [SUM 1 2 3 ]          [NADD 3 9 1 ]  ->  [NADD 1 9 3 ]
    [PERM 3 [PERM 2 1 ] ] ->  [PERM 3 2 1 ]         [RSUM 3 2 1 ]  ->  [RSUM 1 [RSUM 2 3 ] ]

A product of permutations is associative and keeps its order. A table that is not associative is used from left to
right, ``f(3, 2, 1) = f(f(3, 2), 1)``, so its form has two operands everywhere, sorted where it is commutative.

A canonical form has one *home*, and an expression may appear nowhere else. So two expressions that are the same up to
order or associativity never stand on two sides, whatever the task, seed or size:

- One operation on at most three numbers is a fact. Facts are learned: home ``train``. But a tenth of the multisets of
  operand values is held out, the same for all operations: home ``test_unseen_operands``.
- 5% of the other forms have the home ``test_unseen_operands``, too; of the rest, 80% have ``train``, 5% ``validation``
  and 15% ``test``, by a hash.

An expression that evaluates an operation on a held-out multiset, anywhere in its tree, appears only if its home is
``test_unseen_operands``; one that does not appears only if its home is another. (Two expressions of one form can differ
in this, ``[SUM 1 2 [SUM 4 9 ] ]`` and ``[SUM [SUM 1 2 ] 4 9 ]``: hence a share of homes for these forms instead of all
of their expressions.) A train expression must moreover have every line of its traces at home in train.

That is the rule ``multisets``. A `regime` may have the other one, ``triples``, that of the pipeline NRGPT: held out are
ordered triples of numbers without a repeated one, 49 modulo 10. Where one of them stands anywhere in a row as three
tokens in a row (which is to say: among the values that an operation is evaluated on), the row is held out, and all
other rows are train's. Held-out rows have their homes by a hash: five eighths ``test``, a quarter
``test_unseen_operands``, an eighth ``validation``. The canonical form is the text itself, so this rule holds out
neither another order of the same operands nor another grouping.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeGuard, get_args

from listops_bench._base.hashing import GOLDEN, MASK64, key64, mix64
from listops_bench.errors import InvalidInput
from listops_bench.tasks.expression import Expression, Node, evaluate, render, trace
from listops_bench.tasks.operations import Operation
from listops_bench.tasks.regime import HoldOut
from listops_bench.tasks.symbols import Symbols, symbols_of

Home = Literal["train", "validation", "test", "test_unseen_operands"]
HOMES: tuple[Home, ...] = get_args(Home)

SPLITS = (*HOMES, "test_deeper", "test_wider")
"""All splits; ``test_deeper`` and ``test_wider`` hold expressions whose home is ``test``."""
EVALUATION_SPLITS = SPLITS[1:]

FACT_OPERANDS = 3
HELD_OUT_SHARE = 0.10
UNSEEN_HOME_SHARE = 0.05
TRAIN_SHARE, VALIDATION_SHARE = 0.80, 0.05

# Above this many multisets of one size they are held out by hash alone, a tenth on average instead of exactly.
_MAX_RANKED = 300_000


def home_of(split: str) -> Home:
    """The home of the expressions of a split."""
    return "test" if split in ("test_deeper", "test_wider") else split  # type: ignore[return-value]


# --- stable hashing ---------------------------------------------------------------------------------------------------

EVEN_KEY, ODD_KEY, HELD_OUT_KEY = (key64(f"listops/{name}") for name in ("even", "odd", "held-out"))


@lru_cache
def operation_key(name: str) -> int:
    return key64(f"listops/operation/{name}")


@lru_cache
def number_key(number: int) -> int:
    return key64(f"listops/number/{number}")


def form_hash(expression: Expression, modulus: Symbols | int = 10) -> int:
    """A 64-bit hash that two expressions share exactly when (but for chance) they share the canonical form.

    The hash of an operation is made from the *sum* of its operands' hashes where their order does not count, and from a
    polynomial of them, ``h1 g^2 + h2 g + h3``, where it does. A nested operation that is to be flattened hands its own
    sum or polynomial to its parent.
    """
    return _form(expression, symbols_of(modulus).operations)


def _form(expression: Expression, operations: Mapping[str, Operation]) -> int:
    if isinstance(expression, int):
        return number_key(expression)
    operation, key = operations[expression.operation], operation_key(expression.operation)
    if operation.form != "fold":
        return mix64(key + _operand_hash(expression, operations)[0] & MASK64)
    place, *others = (_form(operand, operations) for operand in expression.operands)
    for other in others:
        place = mix64(key + place * (1 if operation.symmetry == "pair" else GOLDEN) + other & MASK64)
    return place


def _operand_hash(node: Node, operations: Mapping[str, Operation]) -> tuple[int, int]:
    """What a node hands to a parent that flattens it, and the power of g that it takes there."""
    form = operations[node.operation].form
    if form == "alternating":
        even, odd = (sum(_form(x, operations) for x in node.operands[i::2]) & MASK64 for i in (0, 1))
        return mix64(EVEN_KEY + even & MASK64) + mix64(ODD_KEY + odd & MASK64) & MASK64, GOLDEN
    parts = [
        _operand_hash(x, operations) if _flattens(x, node, place, operations) else (_form(x, operations), GOLDEN)
        for place, x in enumerate(node.operands)
    ]
    if form == "bag":
        return sum(key for key, _ in parts) & MASK64, GOLDEN
    total, power = 0, 1
    for key, of_key in parts:
        total, power = total * of_key + key & MASK64, power * of_key & MASK64
    return total, power


def _flattens(operand: Expression, parent: Node, place: int, operations: Mapping[str, Operation]) -> TypeGuard[Node]:
    if isinstance(operand, int) or operand.operation != parent.operation:
        return False
    operation = operations[parent.operation]
    # f(f(a, b), c) is f(a, b, c) for every table, and f(c, f(a, b)) where the two may change places.
    return operation.associative or (operation.form == "fold" and (place == 0 or operation.symmetry == "pair"))


def _flat_operands(node: Node, operations: Mapping[str, Operation]) -> list[Expression]:
    parts = (
        _flat_operands(x, operations) if _flattens(x, node, place, operations) else [x]
        for place, x in enumerate(node.operands)
    )
    return [operand for part in parts for operand in part]


def canonical(expression: Expression, modulus: Symbols | int = 10) -> Expression:
    """The canonical form, as an expression: flattened, and every operand sorted (by text) that may change its place."""
    if isinstance(expression, int):
        return expression
    operations = symbols_of(modulus).operations
    operation, name = operations[expression.operation], expression.operation
    if operation.form == "fold":
        first, *others = (canonical(x, modulus) for x in expression.operands)
        for other in others:
            pair = (first, other)
            first = Node(name, tuple(sorted(pair, key=render)) if operation.symmetry == "pair" else pair)
        return first
    flat = [canonical(x, modulus) for x in _flat_operands(expression, operations)]
    if operation.symmetry == "all":
        flat.sort(key=render)
    elif operation.symmetry == "alternating":
        flat[0::2], flat[1::2] = sorted(flat[0::2], key=render), sorted(flat[1::2], key=render)
    return Node(name, tuple(flat))


# --- held-out operand multisets ---------------------------------------------------------------------------------------


def repeat_pattern(values: tuple[int, ...]) -> int:
    """A number for how often values repeat: digit m of base 16 counts the operands whose value occurs m+1 times."""
    return sum(16 ** (values.count(value) - 1) for value in values)


@lru_cache
def held_out_cutoffs(modulus: int, size: int) -> dict[int, int]:
    """For each repeat pattern of multisets of a size, the hash below which a multiset is held out.

    Exactly a tenth of the multisets of the size (rounded, at least one) is held out, and of each pattern as near to a
    tenth as that allows. Where there are too many multisets to rank, a single cut-off stands under pattern 0.
    """
    count = math.comb(modulus + size - 1, size)
    if count > _MAX_RANKED:
        return {0: int(HELD_OUT_SHARE * 2**64)}
    by_pattern: defaultdict[int, list[int]] = defaultdict(list)
    for values in itertools.combinations_with_replacement(range(modulus), size):
        by_pattern[repeat_pattern(values)].append(_multiset_hash(values, modulus))
    quotas = _quotas({pattern: len(hashes) for pattern, hashes in by_pattern.items()}, max(1, round(count / 10)))
    # One above the last hash that is held out; hashes are distinct, so "below" then means "held out".
    return {p: sorted(hashes)[quotas[p] - 1] + 1 if quotas[p] else 0 for p, hashes in by_pattern.items()}


def _quotas(sizes: dict[int, int], total: int) -> dict[int, int]:
    """``total`` shared out over strata in proportion to their sizes, by largest remainder."""
    exact = {pattern: total * size / sum(sizes.values()) for pattern, size in sizes.items()}
    quotas = {pattern: int(share) for pattern, share in exact.items()}
    by_remainder = sorted(exact, key=lambda pattern: (quotas[pattern] - exact[pattern], pattern))
    for pattern in by_remainder[: total - sum(quotas.values())]:
        quotas[pattern] += 1
    return quotas


def _multiset_hash(values: tuple[int, ...], modulus: int) -> int:
    return mix64(HELD_OUT_KEY + modulus + sum(map(number_key, values)) & MASK64)


def is_held_out(values: tuple[int, ...], modulus: int) -> bool:
    """Whether an operation on these values, in any order, is kept out of training: three or more values only."""
    if len(values) < FACT_OPERANDS:
        return False
    cutoffs = held_out_cutoffs(modulus, len(values))
    pattern = 0 if 0 in cutoffs else repeat_pattern(values)
    return _multiset_hash(values, modulus) < cutoffs[pattern]


def held_out_multisets(modulus: int, size: int = FACT_OPERANDS) -> list[tuple[int, ...]]:
    """The held-out multisets of a size, sorted: 22 of 220 for three operands modulo 10."""
    if math.comb(modulus + size - 1, size) > _MAX_RANKED:
        raise InvalidInput(
            f"modulus {modulus} has more than {_MAX_RANKED} multisets of {size} operands: too many to list"
        )
    every = itertools.combinations_with_replacement(range(modulus), size)
    return [values for values in every if is_held_out(values, modulus)]


# --- homes and splits -------------------------------------------------------------------------------------------------

UNSEEN_BELOW = int(UNSEEN_HOME_SHARE * 2**64)
_REST = 2**64 - UNSEEN_BELOW
TRAIN_BELOW = UNSEEN_BELOW + int(TRAIN_SHARE * _REST)
VALIDATION_BELOW = TRAIN_BELOW + int(VALIDATION_SHARE * _REST)


def home(expression: Expression, modulus: Symbols | int = 10) -> Home:
    """The only split (of the four homes) in which the expression's canonical form may appear."""
    if isinstance(expression, int):
        return "train"
    symbols = symbols_of(modulus)
    flat = _flat_operands(expression, symbols.operations)
    numbers = tuple(operand for operand in flat if isinstance(operand, int))
    if len(numbers) == len(flat) <= FACT_OPERANDS:
        return "test_unseen_operands" if is_held_out(numbers, symbols.size) else "train"
    place = form_hash(expression, symbols)
    if place < UNSEEN_BELOW:
        return "test_unseen_operands"
    return "train" if place < TRAIN_BELOW else "validation" if place < VALIDATION_BELOW else "test"


# --- held-out ordered triples -----------------------------------------------------------------------------------------

TRIPLE_SHARE = 0.049
TRIPLE_KEY, CLOSE_KEY = key64("listops/held-out triple"), key64("listops/close")
TRIPLE_UNSEEN_BELOW, TRIPLE_VALIDATION_BELOW = 2**62, 3 * 2**61


@lru_cache
def triple_cutoff(modulus: int) -> int:
    """The hash below which an ordered triple without a repeated number is held out: of n^3 triples 4.9%."""
    hashes = sorted(_triple_hash(triple, modulus) for triple in itertools.permutations(range(modulus), 3))
    return hashes[max(1, round(TRIPLE_SHARE * modulus**3)) - 1] + 1


def held_out_triples(modulus: int) -> list[tuple[int, ...]]:
    """The held-out triples, sorted: 49 modulo 10."""
    return [triple for triple in itertools.permutations(range(modulus), 3) if _held_triple(triple, modulus)]


def _triple_hash(triple: tuple[int, ...], modulus: int) -> int:
    place = TRIPLE_KEY + modulus & MASK64
    for number in triple:
        place = mix64(place + number_key(number) & MASK64)
    return place


def _held_triple(values: tuple[int, ...], modulus: int) -> tuple[int, ...] | None:
    """The first held-out triple that stands in a row among some values."""
    for triple in zip(values, values[1:], values[2:], strict=False):
        if len(set(triple)) == 3 and _triple_hash(triple, modulus) < triple_cutoff(modulus):
            return triple
    return None


def _text_hash(expression: Expression, modulus: Symbols | int = 10) -> int:
    place = 0
    for key in _token_keys(expression):
        place = mix64(place * GOLDEN + key & MASK64)
    return place


def _token_keys(expression: Expression) -> Iterator[int]:
    if isinstance(expression, int):
        yield number_key(expression)
    else:
        yield operation_key(expression.operation)
        for operand in expression.operands:
            yield from _token_keys(operand)
        yield CLOSE_KEY


def _home_by_triples(expression: Expression, modulus: Symbols | int) -> Home:
    if not held_out_operations(expression, modulus, "triples"):
        return "train"
    place = _text_hash(expression)
    if place < TRIPLE_UNSEEN_BELOW:
        return "test_unseen_operands"
    return "validation" if place < TRIPLE_VALIDATION_BELOW else "test"


# --- rules ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """What keeps test rows out of train.

    Attributes:
        held_out: what of the values of an operation, of so many symbols, is kept out of train; None where nothing is.
        canonical: what of an expression decides its home, and ``form_hash`` its 64-bit hash.
        home: the only split (of the four homes) in which an expression's canonical form may appear.
        unseen_apart: only ``test_unseen_operands`` holds operations on held-out values.
    """

    held_out: Callable[[tuple[int, ...], int], tuple[int, ...] | None]
    canonical: Callable[[Expression, Symbols | int], Expression]
    form_hash: Callable[[Expression, Symbols | int], int]
    home: Callable[[Expression, Symbols | int], Home]
    unseen_apart: bool


RULES: dict[HoldOut, Rule] = {
    "multisets": Rule(
        lambda values, size: tuple(sorted(values)) if is_held_out(values, size) else None,
        *(canonical, form_hash, home, True),
    ),
    "triples": Rule(_held_triple, lambda expression, _: expression, _text_hash, _home_by_triples, False),
}


def held_out_operations(
    expression: Expression, modulus: Symbols | int = 10, hold_out: HoldOut = "multisets"
) -> list[str]:
    """The operations, root first, that the expression evaluates on held-out values."""
    if isinstance(expression, int):
        return []
    values = tuple(evaluate(operand, modulus) for operand in expression.operands)
    own = [] if RULES[hold_out].held_out(values, symbols_of(modulus).size) is None else [expression.operation]
    return own + [name for operand in expression.operands for name in held_out_operations(operand, modulus, hold_out)]


def assign(expression: Expression, modulus: Symbols | int = 10, hold_out: HoldOut = "multisets") -> Home | None:
    """The home of an expression that may appear there, or None for one that appears nowhere."""
    rule = RULES[hold_out]
    place = rule.home(expression, modulus)
    has_unseen = bool(held_out_operations(expression, modulus, hold_out))
    if rule.unseen_apart and has_unseen != (place == "test_unseen_operands"):
        return None
    if place == "train":
        lines = [*trace(expression, modulus, "parallel"), *trace(expression, modulus, "single")]
        if any(rule.home(line, modulus) != "train" for line in lines):
            return None
    return place
