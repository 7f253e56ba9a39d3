# numba infers the types of its functions, and passes their arguments by position.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, allow-untyped-calls
"""The generator's compiled kernels: drawing expressions, and filling the rows of a split."""

from __future__ import annotations

import numpy as np

from listops_bench._base.compiling import njit
from listops_bench.tasks._scan import (
    GOLDEN_64,
    ONE,
    TRAIN,
    TRIPLES,
    UNSEEN,
    ZERO,
    copy,
    home_by_triples,
    mix,
    scan,
    text_hash,
    u64,
    write_trace,
)
from listops_bench.tasks.symbols import CLOSE_ID, EOS_ID, FIRST_OPERATION_ID

_, SINGLE, ANSWER_ONLY = range(3)  # as expression.TRACE_STYLES

OUTCOMES = ("accepted", "wrong_depth", "too_long", "wrong_split", "duplicate")
"""What becomes of a drawn candidate."""
ACCEPTED, WRONG_DEPTH, TOO_LONG, WRONG_SPLIT, DUPLICATE = range(len(OUTCOMES))

ROW = np.dtype(
    [
        ("prompt_lengths", np.int32),
        ("answer", np.int32),
        ("root_operation", np.int8),
        ("depth", np.int32),
        ("decisive_depth", np.int32),
    ],
    align=True,
)
"""The columns of `generator.Rows` for one row."""

_S11, _S32 = u64(11), u64(32)


@njit(cache=True)
def _random(state):
    state[0] += GOLDEN_64
    return mix(state[0])


@njit(cache=True)
def _below(state, n):
    return np.int64(((_random(state) >> _S32) * u64(n)) >> _S32)


@njit(cache=True)
def _draw(tables, scratch, state, deepest):
    """Draws an expression into ``line_T``; returns (length, depth, whether an operation has its widest count).

    Length is -1 where the prompt alone would be too long.
    """
    line, left, level, depth, wide = scratch.line_T, scratch.count_L, 0, 0, False
    length, limit = 0, tables.max_tokens - 3  # "=", one answer, <eos>
    first_number = tables.first_number_id
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
            line[length] = first_number + _below(state, tables.modulus)
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
def _candidate(tables, scratch, state, shallowest, deepest, wanted_home, need_wide):
    """Draws one candidate; returns (outcome, prompt length in ids without "=", depth, row lengths).

    The row lengths are those of the parallel and the single trace, which lie in ``parallel_T`` and ``single_T``.
    """
    length, depth, wide = _draw(tables, scratch, state, deepest)
    if depth < shallowest or (need_wide and not wide):
        return WRONG_DEPTH, 0, 0, 0, 0
    if length < 0:
        return TOO_LONG, 0, 0, 0, 0
    s = scratch
    for i in range(tables.num_used):
        s.reductions_A[tables.used_A[i]] = 0
        s.unseen_A[tables.used_A[i]] = 0
    _, home, held, _ = scan(tables, s, s.line_T, length, s.next_T, True, True)
    by_triples = tables.hold_out == TRIPLES
    if by_triples:  # the lines of a trace evaluate nothing that the prompt does not
        home = home_by_triples(tables, s, s.line_T, length)
    if home != wanted_home or not (by_triples or held == (home == UNSEEN)):
        return WRONG_SPLIT, 0, 0, 0, 0
    check = home == TRAIN and not by_triples
    single = write_trace(tables, s, length, s.single_T, False, check)
    if single <= 0:
        return TOO_LONG if single == 0 else WRONG_SPLIT, 0, 0, 0, 0
    parallel = write_trace(tables, s, length, s.parallel_T, True, check)
    if parallel <= 0:
        return TOO_LONG if parallel == 0 else WRONG_SPLIT, 0, 0, 0, 0
    return ACCEPTED, length, depth, parallel, single


@njit(cache=True)
def _fold_masks(tables, operation, position, left, right):
    out = ZERO
    for a in range(tables.modulus):
        if (left >> u64(a)) & ONE:
            for b in range(tables.modulus):
                if (right >> u64(b)) & ONE:
                    out |= ONE << u64(tables.fold_A2nn[operation, position & 1, a, b])
    return out


@njit(cache=True)
def _median_mask(tables, operation, masks, count):
    """The possible medians; see `expression._can_be_median`."""
    out, most_below, most_above = ZERO, count // 2, (count - 1) // 2
    for v in range(tables.modulus):
        low = tables.below_An[operation, v]  # the numbers below v
        high = ~(low | (ONE << u64(v)))
        holds, below, above = False, 0, 0
        for j in range(count):
            holds = holds or ((masks[j] >> u64(v)) & ONE) == ONE
            below += (masks[j] & ~low) == ZERO
            above += (masks[j] & ~high) == ZERO
        if holds and below <= most_below and above <= most_above:
            out |= ONE << u64(v)
    return out


@njit(cache=True)
def _decisive_depth(tables, s, length, depth):
    """The smallest d such that the value is the same whatever stands deeper than d, by sets of possible values."""
    full, first_number = u64(0xFFFFFFFFFFFFFFFF) >> u64(64 - tables.modulus), tables.first_number_id
    for d in range(1, depth):
        level, answer = 0, ZERO
        for i in range(length):
            token = np.int64(s.line_T[i])
            if token >= first_number:
                if level <= d:
                    s.masks_LK[level - 1, s.count_L[level - 1]] = ONE << u64(token - first_number)
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
        if answer & (answer - ONE) == ZERO:
            return d
    return depth


@njit(cache=True)
def _node_mask(tables, s, level):
    operation, count = s.operation_L[level], s.count_L[level]
    if tables.is_median_A[operation]:
        return _median_mask(tables, operation, s.masks_LK[level], count)
    mask = s.masks_LK[level, 0]
    for j in range(1, count):
        mask = _fold_masks(tables, operation, j, mask, s.masks_LK[level, j])
    return mask


@njit(cache=True)
def _add_new(seen, key):
    """Adds a key to an open-addressing set (0 = empty); False if it was there."""
    last = u64(len(seen) - 1)
    key = max(key, ONE)
    place = key & last
    while seen[place] != ZERO:
        if seen[place] == key:
            return False
        place = (place + ONE) & last
    seen[place] = key
    return True


@njit(cache=True)
def _prompt_key(line, length):
    key = u64(length)
    for i in range(length):
        key = mix(key * GOLDEN_64 + u64(line[i]))
    return key


@njit(cache=True)
def _depth_class(cutoffs, closed, bits):
    """The depth class of a slot, from 53 random bits; a closed class hands its slots to the next open one."""
    c = 0
    while c < len(cutoffs) - 1 and bits >= cutoffs[c]:
        c += 1
    while closed[c]:
        c = (c + 1) % len(cutoffs)
    return c


@njit(cache=True)
def fill(
    tables, scratch, key, slot, stop, first, class_cutoffs, class_depths,
    closed, wanted_home, need_wide, style, max_attempts,
    unique, seen, outcomes, ids, offsets, rows, reductions, unseen,
):  # fmt: skip
    """Fills the slots ``slot .. stop``; each draws from a random stream of its own, so any slot can be drawn alone.

    Row 0 of ``rows`` is that of slot ``first``; slots before it are only entered in ``seen``. Returns the first slot
    that is not filled, and the depth class that had no new row for it in ``max_attempts`` draws.
    """
    state = np.empty(1, np.uint64)
    for i in range(slot, stop):
        state[0] = mix(key + u64(i) * GOLDEN_64)
        c = _depth_class(class_cutoffs, closed, np.int64(_random(state) >> _S11))
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
            return i, c
        if i < first:
            continue
        row, size = scratch.parallel_T, parallel
        if style == SINGLE:
            row, size = scratch.single_T, single
        value = row[size - 2]
        written = offsets[i - first]
        copy(row, size, ids, written)
        if style == ANSWER_ONLY:
            size = length + 3
            ids[written + size - 2] = value
            ids[written + size - 1] = EOS_ID
        offsets[i - first + 1] = written + size
        columns = rows[i - first]
        columns.prompt_lengths = length + 1
        columns.answer = np.int64(value) - tables.first_number_id
        columns.root_operation = np.int64(scratch.line_T[0]) - FIRST_OPERATION_ID
        columns.depth = depth
        for j in range(tables.num_used):
            a = tables.used_A[j]
            reductions[i - first, a] = scratch.reductions_A[a]
            unseen[i - first, a] = scratch.unseen_A[a]
        columns.decisive_depth = _decisive_depth(tables, scratch, length, depth)
    return stop, -1


@njit(cache=True)
def hash_forms(tables, scratch, ids, starts, stops, forms):
    """Writes the hash of the canonical form of each line ``ids[starts[r] : stops[r]]`` to ``forms``."""
    for r in range(len(starts)):
        for i in range(starts[r], stops[r]):
            scratch.line_T[i - starts[r]] = ids[i]
        if tables.hold_out == TRIPLES:
            forms[r] = text_hash(tables, scratch.line_T, stops[r] - starts[r])
        else:
            _, _, _, forms[r] = scan(tables, scratch, scratch.line_T, stops[r] - starts[r], scratch.next_T, True, False)
