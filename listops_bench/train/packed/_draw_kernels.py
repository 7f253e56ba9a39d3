# numba infers the types of its functions, and passes their arguments by position.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, allow-untyped-calls
"""Which rows the steps of a pack draw, and what they count: compiled, one pass over steps and slots of a batch.

`Pool.rows_of_step` is the plain reference, and the tests compare the two.
"""

from __future__ import annotations

import numpy as np

from listops_bench._base.compiling import njit
from listops_bench.train._window_kernels import chance, part_of


@njit(cache=True, nogil=True)
def draw(keys, bounds, sizes, first, on_all, table, slot, member, begin, stop, out):
    """Writes rows, starts, tokens that bear loss and reductions of one member's steps ``begin .. stop``.

    Args:
        keys: uint64 [2], of the draws of a task and of a row.
        bounds, sizes, first: of each task, where its share ends (the last one left out), its rows, and the number of
            its first one in the table.
        on_all: whether all tokens but a row's first bear loss.
        table: lengths, prompt lengths [R] and reductions [R, A] of all rows.
        slot: of the first row that is drawn, counted from the stage's first.
        out: `Drawn`'s arrays.
    """
    lengths, prompt_lengths, reductions = table
    rows, starts, loss_tokens, counts = out
    for step in range(begin, stop):
        at = 0
        for b in range(rows.shape[2]):
            number = np.uint64(slot)
            slot += 1
            task = part_of(bounds, chance(keys[0], number))
            row = first[task] + np.int64(chance(keys[1], number) * sizes[task])
            rows[step, member, b] = row
            starts[step, member, b] = at
            at += lengths[row] - 1
            loss_tokens[step, member] += lengths[row] - (1 if on_all else prompt_lengths[row])
            for operation in range(reductions.shape[1]):
                counts[step, member, operation] += reductions[row, operation]
        starts[step, member, rows.shape[2]] = at
