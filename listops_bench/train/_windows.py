"""What a step draws and how it is laid out: rows, or windows cut at random places from a stream of rows.

The stream of a stage has no end: its rows are drawn as those of a batch are, each by itself, and lie end to end. A
window is a place of it where nobody has looked before, so it begins somewhere in a row, in a long one sooner::

    9 ] = 9 <eos> [SUM 3 4 ] = 7 <eos> [MAX [SUM 1 2 ] 5 ] = [MAX 3 5
    |------------------------------- inputs -------------------------|
      |----------------------------- targets -------------------------|

Nothing separates the rows of a window but ``<eos>``: attention goes back to its first token. The windows of step t are
a pure function of (curriculum, seeds, t), as the rows of a batch are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from listops_bench.train._batches import Batch, Ints, Pool, lay_out, loss_tokens
from listops_bench.train._rows import RowLayout
from listops_bench.train._window_kernels import cut
from listops_bench.train.config import WINDOW, TrainRecipe

Tokens = npt.NDArray[np.uint8]


class StepRows(NamedTuple):
    """What a step trains on, over all processes.

    Attributes:
        items: int64 [B], numbers of rows, or uint8 [B, WINDOW + 1], the tokens of windows; to be shared out.
        tokens, loss_tokens: of all. reductions: int64 [A], of rows whose end is predicted.
        lay_out: makes the batch of some items, ``padded`` or not.
    """

    items: Ints | Tokens
    tokens: int
    loss_tokens: int
    reductions: Ints
    lay_out: Callable[..., Batch]


def draw_step(pool: Pool, recipe: TrainRecipe, step: int) -> StepRows:
    """What a step of the pool's stage, which counts from 0, trains on."""
    if recipe.batching == "windows":
        tokens, reductions = windows_of_step(pool, step)
        read = len(tokens) * WINDOW
        return StepRows(tokens, read, read, reductions, lay_out_windows)
    rows = pool.rows_of_step(step)
    return StepRows(
        rows,
        int(pool.lengths[rows].sum()) - len(rows),
        int(loss_tokens(pool.lengths[rows], pool.prompt_lengths[rows], recipe.loss_on)),
        pool.reductions[rows].sum(0, dtype=np.int64),
        partial(lay_out, pool, loss_on=recipe.loss_on),
    )


def longest_of(pool: Pool, recipe: TrainRecipe) -> int:
    """Tokens of the longest row, or window, that a pool gives."""
    return WINDOW + 1 if recipe.batching == "windows" else int(pool.lengths.max())


def windows_of_step(pool: Pool, step: int) -> tuple[Tokens, Ints]:
    """The windows of a step, uint8 [batch size, WINDOW + 1], and int64 [A], the reductions of rows that end in them."""
    tokens = np.empty((1, 1, pool.batch_size, WINDOW + 1), np.uint8)
    reductions = np.zeros((1, 1, pool.reductions.shape[1]), np.int64)
    store = (pool.ids, pool.offsets, pool.reductions)
    parts = (pool.bounds, pool.token_bounds, pool.sizes, pool.first)
    cut(pool.keys, *parts, store, step * pool.batch_size, 0, 0, 1, (tokens, reductions))
    return tokens[0, 0], reductions[0, 0]


def lay_out_windows(tokens: Tokens, *, padded: bool = False) -> Batch:
    """Windows [B, WINDOW + 1] in one of the two layouts of `Batch`."""
    ids = torch.from_numpy(tokens.astype(np.int64))
    inputs, b = ids[:, :-1].contiguous(), len(ids)
    if padded:
        ready = {"input_ids": inputs, "attention_mask": torch.ones_like(inputs)}
    else:
        ready = {"input_ids": inputs.view(1, -1), "position_ids": torch.arange(WINDOW).repeat(b)[None]}
    layout = None if padded else RowLayout(((b, WINDOW),))
    return Batch(ready, torch.arange(b * WINDOW), ids[:, 1:].flatten(), layout)
