"""Compiled kernels of the generator: expressions as rows of token ids, scanned by a stack machine.

They do in one pass over the ids what `expression` and `split` say tree by tree, and tests hold the two together. All
arithmetic is on 64-bit integers, so rows do not depend on the machine or on numpy's version.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from listops_bench.expression import CLOSE_ID, EQUALS_ID, FIRST_NUMBER_ID, FIRST_OPERATION_ID, MAX_MODULUS, OPERATIONS
from listops_bench.expression import BOS_ID as _BOS
from listops_bench.expression import EOS_ID as _EOS
from listops_bench.split import (
    EVEN_KEY,
    FACT_OPERANDS,
    HELD_OUT_KEY,
    ODD_KEY,
    TRAIN_BELOW,
    UNSEEN_BELOW,
    VALIDATION_BELOW,
)
from listops_bench.task import MAX_DEPTH, MAX_OPERANDS, MAX_TOKENS

u64 = np.uint64
NUM_OPERATIONS = len(OPERATIONS)
MAX_ARITY = MAX_OPERANDS + 2  # MED's next odd count beyond the largest allowed one
MAX_LEVELS = MAX_DEPTH + 2
MAX_PATTERNS = 42  # partitions of MAX_ARITY
FOLD, ALTERNATING, MEDIAN = 0, 1, 2

TRAIN, VALIDATION, TEST, UNSEEN = range(4)  # as split.HOMES
PARALLEL, SINGLE, ANSWER_ONLY = range(3)  # as expression.TRACE_STYLES

# Why a drawn candidate is not a row, for the card.
ACCEPTED, WRONG_DEPTH, TOO_LONG, WRONG_SPLIT, DUPLICATE = range(5)
NUM_OUTCOMES = 5

_GOLDEN = u64(0x9E3779B97F4A7C15)
_M1, _M2 = u64(0xBF58476D1CE4E5B9), u64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32, _S11 = u64(27), u64(30), u64(31), u64(32), u64(11)
_EVEN, _ODD, _HELD = u64(EVEN_KEY), u64(ODD_KEY), u64(HELD_OUT_KEY)
_UNSEEN_BELOW, _TRAIN_BELOW, _VALIDATION_BELOW = u64(UNSEEN_BELOW), u64(TRAIN_BELOW), u64(VALIDATION_BELOW)
_ONE, _ZERO = u64(1), u64(0)


# One record each instead of many arrays: a kernel is compiled once for all tasks, and calls pass two pointers. Suffixes
# give the axes: A operations, n numbers, K operand counts or operands, P repeat patterns, L levels, T tokens.
_A, _N, _K, _P, _L, _T = NUM_OPERATIONS, MAX_MODULUS, MAX_ARITY + 1, MAX_PATTERNS, MAX_LEVELS, MAX_TOKENS + 8

TABLES = np.dtype(
    [
        ("modulus", np.int64),
        ("nest_below", np.int64),  # an operand is an expression if 53 random bits are below it
        ("max_tokens", np.int64),
        ("num_used", np.int64),
        ("used_A", np.int64, _A),  # the task's operations
        ("kind_A", np.int64, _A),  # FOLD, ALTERNATING or MEDIAN
        ("associative_A", np.int64, _A),
        ("num_arities_A", np.int64, _A),
        ("arities_AK", np.int64, (_A, _K)),  # allowed operand counts
        ("widest_A", np.int64, _A),  # the operand count beyond the task's own, or 0
        ("operation_keys_A", np.uint64, _A),
        ("number_keys_n", np.uint64, _N),
        ("held_patterns_K", np.int64, _K),  # repeat patterns listed for a count; 0 where one cut-off stands for all
        ("held_codes_KP", np.uint64, (_K, _P)),
        ("held_cutoffs_KP", np.uint64, (_K, _P)),  # a multiset of the pattern is held out below it
        ("fold_A2nn", np.uint8, (_A, 2, _N, _N)),  # value of (a, b) where b stands at an even (0) or odd (1) position
    ],
    align=True,
)
"""A task as the kernels read it."""

SCRATCH = np.dtype(
    [
        ("operation_L", np.int64, _L),
        ("count_L", np.int64, _L),
        ("start_L", np.int64, _L),
        ("nested_L", np.int64, _L),
        ("flat_count_L", np.int64, _L),
        ("flat_numbers_L", np.int64, _L),
        ("flat_values_LF", np.int64, (_L, FACT_OPERANDS)),
        ("values_LK", np.int64, (_L, _K)),
        ("sums_L2", np.uint64, (_L, 2)),
        ("masks_LK", np.uint64, (_L, _K)),
        ("reductions_A", np.int64, _A),
        ("unseen_A", np.int64, _A),
        ("line_T", np.uint8, _T),
        ("next_T", np.uint8, _T),
        ("other_T", np.uint8, _T),
        ("parallel_T", np.uint8, _T),
        ("single_T", np.uint8, _T),
    ],
    align=True,
)
"""Stacks of the scanner and line buffers."""


@njit(cache=True)
def _mix(x):
    x = (x ^ (x >> _S30)) * _M1
    x = (x ^ (x >> _S27)) * _M2
    return x ^ (x >> _S31)


@njit(cache=True)
def _random(state):
    state[0] += _GOLDEN
    return _mix(state[0])


@njit(cache=True)
def _below(state, n):
    return np.int64(((_random(state) >> _S32) * u64(n)) >> _S32)


@njit(cache=True)
def _draw(tables, scratch, state, deepest):
    """Draws an expression into ``line_T``; returns (length, depth, whether an operation has its widest count).

    Length is -1 where the prompt alone would be too long.
    """
    line, left, level, depth, wide = scratch.line_T, scratch.count_L, 0, 0, False
    length, limit = 0, tables.max_tokens - 4  # <bos>, "=", one answer, <eos>
    opens = True
    while True:
        if opens:
            operation = tables.used_A[_below(state, tables.num_used)]
            arity = tables.arities_AK[operation, _below(state, tables.num_arities_A[operation])]
            wide = wide or arity == tables.widest_A[operation]
            line[length] = FIRST_OPERATION_ID + operation
            left[level] = arity
            level += 1
            depth = max(depth, level)
        else:
            line[length] = FIRST_NUMBER_ID + _below(state, tables.modulus)
        length += 1
        if length + level > limit:
            return -1, depth, wide
        while level > 0 and left[level - 1] == 0:
            line[length] = CLOSE_ID
            length += 1
            level -= 1
        if level == 0:
            return length, depth, wide
        left[level - 1] -= 1
        opens = level < deepest and np.int64(_random(state) >> _S11) < tables.nest_below


@njit(cache=True)
def _is_held_out(tables, values, count):
    if count < FACT_OPERANDS:
        return False
    total = _HELD + u64(tables.modulus)
    for i in range(count):
        total += tables.number_keys_n[values[i]]
    if tables.held_patterns_K[count] == 0:
        return _mix(total) < tables.held_cutoffs_KP[count, 0]
    code = _ZERO
    for i in range(count):
        repeats = 0
        for j in range(count):
            repeats += values[j] == values[i]
        code += _ONE << u64(4 * (repeats - 1))
    for p in range(tables.held_patterns_K[count]):
        if tables.held_codes_KP[count, p] == code:
            return _mix(total) < tables.held_cutoffs_KP[count, p]
    return False


@njit(cache=True)
def _value(tables, operation, values, count):
    if tables.kind_A[operation] == MEDIAN:
        for i in range(count):
            below, equal = 0, 0
            for j in range(count):
                below += values[j] < values[i]
                equal += values[j] == values[i]
            if below <= count // 2 < below + equal:
                return values[i]
    result = values[0]
    for i in range(1, count):
        result = np.int64(tables.fold_A2nn[operation, i & 1, result, values[i]])
    return result


@njit(cache=True)
def _scan(tables, scratch, line, length, out, parallel, counting):
    """One pass over a line: writes the next line of its trace to ``out``.

    Returns (length of the next line, home, whether an operation has held-out operands, value). With ``counting``, also
    counts operations and held-out ones.
    """
    s = scratch
    top, o, held_anywhere, reduced, home, value = -1, 0, False, False, TRAIN, np.int64(0)
    for i in range(length):
        token = np.int64(line[i])
        out[o] = line[i]
        o += 1
        if token >= FIRST_NUMBER_ID:
            value = token - FIRST_NUMBER_ID
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
            s.sums_L2[top, 0] = _ZERO
            s.sums_L2[top, 1] = _ZERO
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
            if tables.kind_A[operation] == ALTERNATING:
                operand_sum = _mix(_EVEN + s.sums_L2[top, 0]) + _mix(_ODD + s.sums_L2[top, 1])
            else:
                operand_sum = s.sums_L2[top, 0] + s.sums_L2[top, 1]
            form = _mix(tables.operation_keys_A[operation] + operand_sum)
            if s.nested_L[top] == 0 and (parallel or not reduced):
                o = s.start_L[top]
                out[o] = FIRST_NUMBER_ID + value
                o += 1
                reduced = True
            if top == 0:
                home = _home(tables, s, form)
                break
            _close(tables, s, top, operation, operand_sum, form, value)
            top -= 1
    return o, home, held_anywhere, value


@njit(cache=True)
def _close(tables, s, top, operation, operand_sum, form, value):
    """Hands a finished operation to the one around it."""
    up = top - 1
    count = s.count_L[up]
    s.values_LK[up, count] = value
    s.count_L[up] = count + 1
    s.nested_L[up] = 1
    if operation == s.operation_L[up] and tables.associative_A[operation]:
        s.sums_L2[up, 0] += operand_sum
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
def _copy(source, count, target, at):
    # A loop, since slices compile to ten times as much code (they format their errors), and this runs no faster.
    for i in range(count):
        target[at + i] = source[i]


@njit(cache=True)
def _write_trace(tables, scratch, length, row, parallel, in_train):
    """Writes ``<bos> prompt completion <eos>`` of ``line_T`` to ``row``.

    Returns the number of ids; 0 if there are too many, -1 if ``in_train`` and a line of the trace is not at home there.
    """
    line, spare = scratch.next_T, scratch.other_T
    row[0] = _BOS
    _copy(scratch.line_T, length, line, 0)
    _copy(line, length, row, 1)
    size = length + 1
    while length > 1:
        next_length, home, _, _ = _scan(tables, scratch, line, length, spare, parallel, False)
        if in_train and home != TRAIN:
            return -1
        if size + 1 + next_length + 1 > tables.max_tokens:
            return 0
        row[size] = EQUALS_ID
        _copy(spare, next_length, row, size + 1)
        size += 1 + next_length
        line, spare, length = spare, line, next_length
    row[size] = _EOS
    return size + 1


@njit(cache=True)
def _candidate(tables, scratch, state, shallowest, deepest, wanted_home, need_wide):
    """Draws one candidate; returns (outcome, prompt length in ids without <bos> and "=", depth, row lengths).

    The row lengths are those of the parallel and the single trace, which lie in ``parallel_T`` and ``single_T``.
    """
    length, depth, wide = _draw(tables, scratch, state, deepest)
    if depth < shallowest or (need_wide and not wide):
        return WRONG_DEPTH, 0, 0, 0, 0
    if length < 0:
        return TOO_LONG, 0, 0, 0, 0
    s = scratch
    for a in range(NUM_OPERATIONS):
        s.reductions_A[a] = 0
        s.unseen_A[a] = 0
    _, home, held, _ = _scan(tables, s, s.line_T, length, s.next_T, True, True)
    if home != wanted_home or held != (home == UNSEEN):
        return WRONG_SPLIT, 0, 0, 0, 0
    single = _write_trace(tables, s, length, s.single_T, False, home == TRAIN)
    if single <= 0:
        return TOO_LONG if single == 0 else WRONG_SPLIT, 0, 0, 0, 0
    parallel = _write_trace(tables, s, length, s.parallel_T, True, home == TRAIN)
    if parallel <= 0:
        return TOO_LONG if parallel == 0 else WRONG_SPLIT, 0, 0, 0, 0
    return ACCEPTED, length, depth, parallel, single


@njit(cache=True)
def _full_mask(modulus):
    return u64(0xFFFFFFFFFFFFFFFF) >> u64(64 - modulus)


@njit(cache=True)
def _fold_masks(tables, operation, position, left, right):
    out = _ZERO
    for a in range(tables.modulus):
        if (left >> u64(a)) & _ONE:
            for b in range(tables.modulus):
                if (right >> u64(b)) & _ONE:
                    out |= _ONE << u64(tables.fold_A2nn[operation, position & 1, a, b])
    return out


@njit(cache=True)
def _median_mask(modulus, masks, count):
    """The possible medians; see `expression._can_be_median`."""
    out, half = _ZERO, count // 2
    for v in range(modulus):
        low = (_ONE << u64(v)) - _ONE  # the numbers below v
        high = ~(low | (_ONE << u64(v)))
        holds, below, above = False, 0, 0
        for j in range(count):
            holds = holds or ((masks[j] >> u64(v)) & _ONE) == _ONE
            below += (masks[j] & ~low) == _ZERO
            above += (masks[j] & ~high) == _ZERO
        if holds and below <= half and above <= half:
            out |= _ONE << u64(v)
    return out


@njit(cache=True)
def _decisive_depth(tables, s, length, depth):
    """The smallest d such that the value is the same whatever stands deeper than d, by sets of possible values."""
    full = _full_mask(tables.modulus)
    for d in range(1, depth):
        level, answer = 0, _ZERO
        for i in range(length):
            token = np.int64(s.line_T[i])
            if token >= FIRST_NUMBER_ID:
                if level <= d:
                    s.masks_LK[level - 1, s.count_L[level - 1]] = _ONE << u64(token - FIRST_NUMBER_ID)
                    s.count_L[level - 1] += 1
            elif token >= FIRST_OPERATION_ID:
                s.operation_L[level] = token - FIRST_OPERATION_ID
                s.count_L[level] = 0
                level += 1
            else:
                level -= 1
                if level > d:
                    continue
                mask = full if level == d else _node_mask(tables, s, level)
                if level == 0:
                    answer = mask
                else:
                    s.masks_LK[level - 1, s.count_L[level - 1]] = mask
                    s.count_L[level - 1] += 1
        if answer & (answer - _ONE) == _ZERO:
            return d
    return depth


@njit(cache=True)
def _node_mask(tables, s, level):
    operation, count = s.operation_L[level], s.count_L[level]
    if tables.kind_A[operation] == MEDIAN:
        return _median_mask(tables.modulus, s.masks_LK[level], count)
    mask = s.masks_LK[level, 0]
    for j in range(1, count):
        mask = _fold_masks(tables, operation, j, mask, s.masks_LK[level, j])
    return mask


@njit(cache=True)
def _add_new(seen, key):
    """Adds a key to an open-addressing set (0 = empty); False if it was there."""
    last = u64(len(seen) - 1)
    key = max(key, _ONE)
    place = key & last
    while seen[place] != _ZERO:
        if seen[place] == key:
            return False
        place = (place + _ONE) & last
    seen[place] = key
    return True


@njit(cache=True)
def _prompt_key(line, length):
    key = u64(length)
    for i in range(length):
        key = _mix(key * _GOLDEN + u64(line[i]))
    return key


@njit(cache=True)
def _depth_class(cutoffs, closed, bits):
    """The depth class of a slot, from 53 random bits; a closed class hands its slots to the next open one."""
    c = 0
    while c < len(cutoffs) - 1 and bits >= cutoffs[c]:
        c += 1
    for _ in range(len(cutoffs)):
        if not closed[c]:
            return c
        c = (c + 1) % len(cutoffs)
    return -1


@njit(cache=True)
def fill(
    tables, scratch, key, first_slot, num_slots, class_cutoffs, class_depths, closed, wanted_home, need_wide,
    style, max_attempts, unique, seen, emit_from, outcomes,
    ids, offsets, prompt_lengths, answer, root, depths, decisive, reductions, unseen,
):  # fmt: skip
    """Fills slots ``first_slot ..``; slot i draws from a random stream of its own, so any slot can be drawn alone.

    Slots before ``emit_from`` are only entered in ``seen``. Returns the number of slots filled: fewer than asked if a
    slot found no new row in ``max_attempts`` draws; the caller closes its class, or gives up.
    """
    state = np.empty(1, np.uint64)
    written, emitted = offsets[0], 0
    for slot in range(first_slot, first_slot + num_slots):
        state[0] = _mix(key + u64(slot) * _GOLDEN)
        c = _depth_class(class_cutoffs, closed, np.int64(_random(state) >> _S11))
        if c < 0:
            return slot - first_slot, -1
        found, length, depth, parallel, single = False, 0, 0, 0, 0
        for _ in range(max_attempts):
            outcome, length, depth, parallel, single = _candidate(
                tables, scratch, state, class_depths[c, 0], class_depths[c, 1], wanted_home, need_wide
            )
            if outcome == ACCEPTED and unique and not _add_new(seen, _prompt_key(scratch.line_T, length)):
                outcome = DUPLICATE
            outcomes[outcome] += 1
            if outcome == ACCEPTED:
                found = True
                break
        if not found:
            return slot - first_slot, c
        if slot < emit_from:
            continue
        row, size = scratch.parallel_T, parallel
        if style == SINGLE:
            row, size = scratch.single_T, single
        value = row[size - 2]
        _copy(row, size, ids, written)
        if style == ANSWER_ONLY:
            size = length + 4
            ids[written + size - 2] = value
            ids[written + size - 1] = _EOS
        written += size
        offsets[emitted + 1] = written
        prompt_lengths[emitted] = length + 2
        answer[emitted] = np.int64(value) - FIRST_NUMBER_ID
        root[emitted] = np.int64(scratch.line_T[0]) - FIRST_OPERATION_ID
        depths[emitted] = depth
        for a in range(NUM_OPERATIONS):
            reductions[emitted, a] = scratch.reductions_A[a]
            unseen[emitted, a] = scratch.unseen_A[a]
        decisive[emitted] = _decisive_depth(tables, scratch, length, depth)
        emitted += 1
    return num_slots, -1


@njit(cache=True)
def spell(ids, starts, stops, leading_space, token_bytes, token_lengths, offsets, out):
    """Writes the tokens ``starts[r] .. stops[r]`` of each row as text, separated by one space, back to back.

    ``offsets[r+1]`` becomes the end of row r in ``out``; with ``leading_space`` each row begins with a space.
    """
    written = offsets[0]
    for r in range(len(starts)):
        for i in range(starts[r], stops[r]):
            if leading_space or i > starts[r]:
                out[written] = 32
                written += 1
            token = ids[i]
            for j in range(token_lengths[token]):
                out[written] = token_bytes[token, j]
                written += 1
        offsets[r + 1] = written
