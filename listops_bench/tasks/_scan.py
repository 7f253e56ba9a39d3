# numba infers the types of its functions, and passes their arguments by position.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, allow-untyped-calls
"""The generator's compiled scanner: expressions as rows of token ids, read by a stack machine.

It does in one pass over the ids what `expression` and `split` say tree by tree, and tests hold the two together. All
arithmetic is on 64-bit integers, so rows do not depend on the machine or on numpy's version.
"""

from __future__ import annotations

import numpy as np

from listops_bench._base.compiling import njit
from listops_bench._base.hashing import GOLDEN
from listops_bench.tasks.operations import MAX_MODULUS
from listops_bench.tasks.regime import MAX_DEPTH, MAX_OPERANDS, MAX_TOKENS
from listops_bench.tasks.split import (
    CLOSE_KEY,
    EVEN_KEY,
    FACT_OPERANDS,
    HELD_OUT_KEY,
    ODD_KEY,
    TRAIN_BELOW,
    TRIPLE_KEY,
    TRIPLE_UNSEEN_BELOW,
    TRIPLE_VALIDATION_BELOW,
    UNSEEN_BELOW,
    VALIDATION_BELOW,
)
from listops_bench.tasks.symbols import EOS_ID, EQUALS_ID, FIRST_OPERATION_ID, MAX_OPERATIONS

u64 = np.uint64
MAX_ARITY = MAX_OPERANDS + 2  # MED's next odd count beyond the largest allowed one
MAX_LEVELS = MAX_DEPTH + 2
MAX_PATTERNS = 42  # partitions of MAX_ARITY
BAG, ALTERNATING, SEQUENCE, FOLD = FORMS = range(4)  # as operations.Form
NOWHERE, ANYWHERE, IN_FRONT = range(3)  # where a nested operation of the same name is flattened
MULTISETS, TRIPLES = 0, 1  # as regime.HoldOut

TRAIN, VALIDATION, TEST, UNSEEN = range(4)  # as split.HOMES
_M1, _M2 = u64(0xBF58476D1CE4E5B9), u64(0x94D049BB133111EB)
_S27, _S30, _S31 = u64(27), u64(30), u64(31)
_EVEN, _ODD, _HELD = u64(EVEN_KEY), u64(ODD_KEY), u64(HELD_OUT_KEY)
_UNSEEN_BELOW, _TRAIN_BELOW, _VALIDATION_BELOW = u64(UNSEEN_BELOW), u64(TRAIN_BELOW), u64(VALIDATION_BELOW)
_TRIPLE, _CLOSE = u64(TRIPLE_KEY), u64(CLOSE_KEY)
_TRIPLE_UNSEEN_BELOW, _TRIPLE_VALIDATION_BELOW = u64(TRIPLE_UNSEEN_BELOW), u64(TRIPLE_VALIDATION_BELOW)
GOLDEN_64 = u64(GOLDEN)
ONE, ZERO = u64(1), u64(0)


# One record each instead of many arrays: a kernel is compiled once for all tasks, and calls pass two pointers. Suffixes
# give the axes: A operations, n numbers, K operand counts or operands, P repeat patterns, L levels, T tokens.
_A, _N, _K, _P, _L, _T = MAX_OPERATIONS, MAX_MODULUS, MAX_ARITY + 1, MAX_PATTERNS, MAX_LEVELS, MAX_TOKENS + 8

TABLES = np.dtype(
    [
        ("modulus", np.int64),  # number of symbols
        ("first_number_id", np.int64),
        ("nest_below", np.int64),  # an operand is an expression if 53 random bits are below it
        ("max_tokens", np.int64),
        ("num_used", np.int64),
        ("used_A", np.int64, _A),  # the task's operations
        ("is_median_A", np.int64, _A),
        ("below_An", np.uint64, (_A, _N)),  # of a median: the symbols below each, as bits
        ("form_A", np.int64, _A),  # one of FORMS
        ("flattens_A", np.int64, _A),  # NOWHERE, ANYWHERE or IN_FRONT
        ("fold_step_A", np.uint64, _A),  # of a FOLD: what the hash of its left operand is multiplied by
        ("has_order", np.int64),  # whether the task has an operation of the form SEQUENCE or FOLD
        ("num_arities_A", np.int64, _A),
        ("arities_AK", np.int64, (_A, _K)),  # allowed operand counts
        ("widest_A", np.int64, _A),  # the operand count beyond the task's own, or 0
        ("operation_keys_A", np.uint64, _A),
        ("number_keys_n", np.uint64, _N),
        ("held_patterns_K", np.int64, _K),  # repeat patterns listed for a count; 0 where one cut-off stands for all
        ("held_codes_KP", np.uint64, (_K, _P)),
        ("held_cutoffs_KP", np.uint64, (_K, _P)),  # a multiset of the pattern is held out below it
        ("hold_out", np.int64),  # MULTISETS or TRIPLES
        ("triple_cutoff", np.uint64),  # an ordered triple is held out below it
        ("fold_A2nn", np.uint8, (_A, 2, _N, _N)),  # value of (a, b) where b stands at an even (0) or odd (1) position
    ],
    align=True,
)
"""A task as the kernels read it."""

SCRATCH = np.dtype(
    [
        *((name, np.int64, _L) for name in ("operation_L", "count_L", "start_L", "nested_L")),
        *((name, np.int64, _L) for name in ("flat_count_L", "flat_numbers_L")),
        ("flat_values_LF", np.int64, (_L, FACT_OPERANDS)),
        ("values_LK", np.int64, (_L, _K)),
        ("sums_L2", np.uint64, (_L, 2)),  # of the hashes of the operands at even and at odd places
        ("keys_LK", np.uint64, (_L, _K)),  # the hashes themselves, where a task has an operation with an order
        ("powers_LK", np.uint64, (_L, _K)),  # what a SEQUENCE before an operand is multiplied by
        ("masks_LK", np.uint64, (_L, _K)),
        ("reductions_A", np.int64, _A),
        ("unseen_A", np.int64, _A),
        *((name, np.uint8, _T) for name in ("line_T", "next_T", "other_T", "parallel_T", "single_T")),
    ],
    align=True,
)
"""Stacks of the scanner and line buffers."""


@njit(cache=True)
def mix(x):
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@njit(cache=True)
def _is_held_out(tables, values, count):
    if count < FACT_OPERANDS:
        return False
    total = _HELD + u64(tables.modulus)
    for i in range(count):
        total += tables.number_keys_n[values[i]]
    if tables.held_patterns_K[count] == 0:
        return mix(total) < tables.held_cutoffs_KP[count, 0]
    code = ZERO
    for i in range(count):
        repeats = 0
        for j in range(count):
            repeats += values[j] == values[i]
        code += ONE << u64(4 * (repeats - 1))
    for p in range(tables.held_patterns_K[count]):
        if tables.held_codes_KP[count, p] == code:
            return mix(total) < tables.held_cutoffs_KP[count, p]
    return False


@njit(cache=True)
def _value(tables, operation, values, count):
    if tables.is_median_A[operation]:
        for i in range(count):
            lower, below, equal = tables.below_An[operation, values[i]], 0, 0
            for j in range(count):
                below += (lower >> u64(values[j])) & ONE == ONE
                equal += values[j] == values[i]
            if below <= count // 2 < below + equal:
                return values[i]
    result = values[0]
    for i in range(1, count):
        result = np.int64(tables.fold_A2nn[operation, i & 1, result, values[i]])
    return result


@njit(cache=True)
def scan(tables, scratch, line, length, out, parallel, counting):
    """One pass over a line: writes the next line of its trace to ``out``.

    Returns (length of the next line, home, whether an operation has held-out operands, hash of the canonical form).
    With ``counting``, also counts operations and held-out ones.
    """
    s, first_number = scratch, tables.first_number_id
    top, o, held_anywhere, reduced, home, form = -1, 0, False, False, TRAIN, ZERO
    for i in range(length):
        token = np.int64(line[i])
        out[o] = line[i]
        o += 1
        if token >= first_number:
            value = token - first_number
            count = s.count_L[top]
            s.values_LK[top, count] = value
            s.sums_L2[top, count & 1] += tables.number_keys_n[value]
            s.count_L[top] = count + 1
            if s.flat_count_L[top] < FACT_OPERANDS:
                s.flat_values_LF[top, s.flat_count_L[top]] = value
            s.flat_count_L[top] += 1
        elif token >= FIRST_OPERATION_ID:
            top += 1
            s.operation_L[top] = token - FIRST_OPERATION_ID
            s.count_L[top] = 0
            s.sums_L2[top, 0] = ZERO
            s.sums_L2[top, 1] = ZERO
            s.start_L[top] = o - 1
            s.nested_L[top] = 0
            s.flat_count_L[top] = 0
            s.flat_numbers_L[top] = 1
        else:
            operation, count = s.operation_L[top], s.count_L[top]
            value = _value(tables, operation, s.values_LK[top], count)
            held = _is_held_out(tables, s.values_LK[top], count)
            held_anywhere = held_anywhere or held
            if counting:
                s.reductions_A[operation] += 1
                s.unseen_A[operation] += held
            operand_hash = s.sums_L2[top, 0] + s.sums_L2[top, 1]
            if tables.form_A[operation] == ALTERNATING:
                operand_hash = mix(_EVEN + s.sums_L2[top, 0]) + mix(_ODD + s.sums_L2[top, 1])
            form = mix(tables.operation_keys_A[operation] + operand_hash)
            if s.nested_L[top] == 0 and (parallel or not reduced):
                o = s.start_L[top]
                out[o] = first_number + value
                o += 1
                reduced = True
            if top == 0:
                if tables.has_order:
                    form = _form_with_order(tables, s, line, length)
                home = _home(tables, s, form)
                break
            _close(tables, s, top, operation, operand_hash, form, value)
            top -= 1
    return o, home, held_anywhere, form


@njit(cache=True)
def _form_with_order(tables, s, line, length):
    """The hash of the canonical form of a task that has an operation with an order.

    A pass of its own beside `scan`, which would be slower for all other tasks. It leaves the flat operands of `scan`.
    """
    first_number, top, form = tables.first_number_id, -1, ZERO
    for i in range(length):
        token = np.int64(line[i])
        if FIRST_OPERATION_ID <= token < first_number:
            top += 1
            s.operation_L[top] = token - FIRST_OPERATION_ID
            s.count_L[top] = 0
            continue
        if token >= first_number:
            key, power = tables.number_keys_n[token - first_number], GOLDEN_64
        else:
            operation = s.operation_L[top]
            operand_hash, inner_power = _operand_hash(tables, s, top, operation, s.count_L[top])
            form = mix(tables.operation_keys_A[operation] + operand_hash)
            if top == 0:
                break
            top -= 1
            key, power = form, GOLDEN_64
            if _is_flattened(tables, s, top, operation):
                key = form if tables.form_A[operation] == FOLD else operand_hash
                power = inner_power
        count = s.count_L[top]
        s.keys_LK[top, count] = key
        s.powers_LK[top, count] = power
        s.count_L[top] = count + 1
    return form


@njit(cache=True)
def _operand_hash(tables, s, top, operation, count):
    """What an operation hands to one around it that flattens it, and the power that it takes there.

    See `split._operand_hash`; of a FOLD what its last step adds to the operation's key.
    """
    form, keys, total = tables.form_A[operation], s.keys_LK[top], ZERO
    if form == BAG:
        for i in range(count):
            total += keys[i]
        return total, GOLDEN_64
    if form == ALTERNATING:
        odd = ZERO
        for i in range(count):
            total += ZERO if i & 1 else keys[i]
            odd += keys[i] if i & 1 else ZERO
        return mix(_EVEN + total) + mix(_ODD + odd), GOLDEN_64
    if form == FOLD:
        total, step = keys[0], tables.fold_step_A[operation]
        for i in range(1, count):
            if i > 1:
                total = mix(tables.operation_keys_A[operation] + total)
            total = total * step + keys[i]
        return total, GOLDEN_64
    power = ONE
    for i in range(count):
        total, power = total * s.powers_LK[top, i] + keys[i], power * s.powers_LK[top, i]
    return total, power


@njit(cache=True)
def _is_flattened(tables, s, up, operation):
    """Whether the operation that comes next below level ``up`` is flattened there."""
    if operation != s.operation_L[up]:
        return False
    flattens = tables.flattens_A[operation]
    return flattens == ANYWHERE or (flattens == IN_FRONT and s.count_L[up] == 0)


@njit(cache=True)
def _close(tables, s, top, operation, operand_hash, form, value):
    """Hands a finished operation to the one around it."""
    up = top - 1
    count = s.count_L[up]
    s.nested_L[up] = 1
    s.values_LK[up, count] = value
    if _is_flattened(tables, s, up, operation):
        s.sums_L2[up, 0] += operand_hash
        s.flat_numbers_L[up] &= s.flat_numbers_L[top]
        have = s.flat_count_L[up]
        for j in range(min(s.flat_count_L[top], FACT_OPERANDS)):
            if have + j < FACT_OPERANDS:
                s.flat_values_LF[up, have + j] = s.flat_values_LF[top, j]
        s.flat_count_L[up] = have + s.flat_count_L[top]
    else:
        s.sums_L2[up, count & 1] += form
        s.flat_numbers_L[up] = 0
        s.flat_count_L[up] += 1
    s.count_L[up] = count + 1


@njit(cache=True)
def _home(tables, s, form):
    if s.flat_numbers_L[0] == 1 and s.flat_count_L[0] <= FACT_OPERANDS:
        return UNSEEN if _is_held_out(tables, s.flat_values_LF[0], s.flat_count_L[0]) else TRAIN
    if form < _UNSEEN_BELOW:
        return UNSEEN
    if form < _TRAIN_BELOW:
        return TRAIN
    return VALIDATION if form < _VALIDATION_BELOW else TEST


@njit(cache=True)
def _has_held_triple(tables, values, count):
    for i in range(count - 2):
        a, b, c = values[i], values[i + 1], values[i + 2]
        if a not in (b, c) and b != c:
            place = mix(_TRIPLE + u64(tables.modulus) + tables.number_keys_n[a])
            place = mix(mix(place + tables.number_keys_n[b]) + tables.number_keys_n[c])
            if place < tables.triple_cutoff:
                return True
    return False


@njit(cache=True)
def home_by_triples(tables, scratch, line, length):
    """The home of a line where triples are held out; counts the operations that are evaluated on one.

    A pass of its own beside `scan`, which would be slower for all other tasks if it looked for triples, too.
    """
    s, first_number = scratch, tables.first_number_id
    top, held_anywhere = -1, False
    for i in range(length):
        token = np.int64(line[i])
        if FIRST_OPERATION_ID <= token < first_number:
            top += 1
            s.operation_L[top] = token - FIRST_OPERATION_ID
            s.count_L[top] = 0
            continue
        value = token - first_number
        if value < 0:
            operation, count = s.operation_L[top], s.count_L[top]
            if _has_held_triple(tables, s.values_LK[top], count):
                held_anywhere = True
                s.unseen_A[operation] += 1
            if top == 0:
                break
            value = _value(tables, operation, s.values_LK[top], count)
            top -= 1
        s.values_LK[top, s.count_L[top]] = value
        s.count_L[top] += 1
    if not held_anywhere:
        return TRAIN
    form = text_hash(tables, line, length)
    if form < _TRIPLE_UNSEEN_BELOW:
        return UNSEEN
    return VALIDATION if form < _TRIPLE_VALIDATION_BELOW else TEST


@njit(cache=True)
def text_hash(tables, line, length):
    """`split.Rule.form_hash` of the rule ``triples``."""
    place, first_number = ZERO, tables.first_number_id
    for i in range(length):
        token = np.int64(line[i])
        if token >= first_number:
            key = tables.number_keys_n[token - first_number]
        elif token >= FIRST_OPERATION_ID:
            key = tables.operation_keys_A[token - FIRST_OPERATION_ID]
        else:
            key = _CLOSE
        place = mix(place * GOLDEN_64 + key)
    return place


@njit(cache=True)
def copy(source, count, target, at):
    # A loop, since slices compile to ten times as much code (they format their errors), and this runs no faster.
    for i in range(count):
        target[at + i] = source[i]


@njit(cache=True)
def write_trace(tables, scratch, length, row, parallel, in_train):
    """Writes ``prompt completion <eos>`` of ``line_T`` to ``row``.

    Returns the number of ids; 0 if there are too many, -1 if ``in_train`` and a line of the trace is not at home there.
    """
    line, spare = scratch.next_T, scratch.other_T
    copy(scratch.line_T, length, line, 0)
    copy(line, length, row, 0)
    size = length
    while length > 1:
        next_length, home, _, _ = scan(tables, scratch, line, length, spare, parallel, False)
        if in_train and home != TRAIN:
            return -1
        if size + 1 + next_length + 1 > tables.max_tokens:
            return 0
        row[size] = EQUALS_ID
        copy(spare, next_length, row, size + 1)
        size += 1 + next_length
        line, spare, length = spare, line, next_length
    row[size] = EOS_ID
    return size + 1
