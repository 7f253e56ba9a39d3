# numba infers the types of its functions, and passes their arguments by position.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, allow-untyped-calls
"""Windows cut from a stream of rows: compiled, one pass over steps, windows and the rows in each."""

from __future__ import annotations

import numpy as np

from listops_bench._base.compiling import njit
from listops_bench._base.hashing import GOLDEN, mix64

_mixed = njit(mix64)


@njit(cache=True, nogil=True)
def chance(key, number):
    """A random-looking number in [0, 1), as `_batches.Pool` draws them."""
    return (_mixed(number * np.uint64(GOLDEN) + key) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def part_of(bounds, drawn):
    """The part that a number in [0, 1) falls into; ``bounds``: where each part ends, the last one left out."""
    part = 0
    while part < len(bounds) and bounds[part] <= drawn:
        part += 1
    return part


@njit(cache=True, nogil=True)
def cut(keys, bounds, token_bounds, sizes, first, store, window, member, begin, stop, out):
    """Writes the windows of one member's steps ``begin .. stop``, and what they count.

    Args:
        keys: uint64 [2], of the draws of a task and of a row or token.
        bounds, token_bounds, sizes, first: of each task, where its share of the rows and of the tokens ends (the last
            one left out), its rows, and the number of its first one in the store.
        store: ids, offsets and reductions of all rows.
        window: the number of the first window, counted from the stage's first.
        out: uint8 [n, K, B, T], and int64 [n, K, A] to add to.
    """
    ids, offsets, reductions = store
    tokens, counts = out
    length = tokens.shape[3]
    for step in range(begin, stop):
        for b in range(tokens.shape[2]):
            at = 0
            while at < length:
                number = np.uint64(window * length + at)
                drawn = chance(keys[1], number)
                task = part_of(bounds if at else token_bounds, chance(keys[0], number))
                if at:
                    row = first[task] + np.int64(drawn * sizes[task])
                    source = offsets[row]
                else:  # a random place of the stream is a random token of a row, and long rows have more of them
                    begins, ends = offsets[first[task]], offsets[first[task] + sizes[task]]
                    source = begins + np.int64(drawn * (ends - begins))
                    row = np.searchsorted(offsets, source, side="right") - 1
                end = min(offsets[row + 1], source + length - at)
                for i in range(source, end):
                    tokens[step, member, b, at + i - source] = ids[i]
                at += end - source
                if end == offsets[row + 1] and at > 1:  # a window's first token is not predicted
                    for operation in range(reductions.shape[1]):
                        counts[step, member, operation] += reductions[row, operation]
            window += 1
