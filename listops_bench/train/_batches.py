"""Batches for training: which rows a step sees, and how their tokens are laid out.

The rows of step t are a pure function of (curriculum, seeds, t): every process can work out the whole batch without
talking to the others, and a run that is resumed at step t needs nothing but t.

Two layouts, with the loss at the positions whose next token belongs to the completion (K of them in all)::

    rows     [1, N]   [SUM 3 4 ] = | [MAX [SUM 1 2 ] 5 ] =    [MAX 3 5 ] = 5     | ...   sorted by length
    targets  [K]                 7                       [MAX 3    5 ] = 5 <eos>


    padded   [B, T]   the same rows one below the other, padded on the right

``<eos>`` is predicted and never an input: nothing comes after it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from listops_bench._base.hashing import GOLDEN, key64, mix64
from listops_bench.tasks.curriculum import Stage
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.symbols import PAD_ID
from listops_bench.tasks.task import get_task
from listops_bench.train._linear import TOKEN_MULTIPLE
from listops_bench.train._rows import RowLayout, send
from listops_bench.train.config import TrainRecipe

Ints = npt.NDArray[np.int64]
LossOn = Literal["completion", "all"]
IGNORED = -100
"""The target of a position that bears no loss."""


# --- which rows -------------------------------------------------------------------------------------------------------


class RowStore:
    """Rows of several tasks, end to end and numbered through.

    Attributes:
        ids: all tokens. offsets: int64 [R + 1], where each row begins among them.
        lengths, prompt_lengths: int64 [R]. reductions: [R, A].
        first, sizes: of each part, the number of its first row, and its rows.
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.sizes = np.array([len(part) for part in parts])
        self.first = np.cumsum(self.sizes) - self.sizes
        tokens = np.array([len(part.ids) for part in parts])
        starts = [part.offsets[:-1] + before for part, before in zip(parts, np.cumsum(tokens) - tokens, strict=True)]
        self.ids = np.concatenate([part.ids for part in parts])
        self.offsets = np.concatenate([*starts, [tokens.sum()]])
        self.prompt_lengths = np.concatenate([part.prompt_lengths for part in parts]).astype(np.int64)
        self.lengths = np.diff(self.offsets)
        self.reductions = np.concatenate([part.reductions for part in parts])


class Pool(RowStore):
    """The train rows of a stage's tasks, and which of them each step draws.

    Attributes:
        bounds: where the share of each task ends, but the last one's, which is 1.
        token_bounds: the same for their tokens, where as many rows as the shares say lie end to end.
        key: names the order.
    """

    def __init__(self, rows: Sequence[Rows], shares: Sequence[float], key: str, batch_size: int) -> None:
        super().__init__(rows)
        tokens = np.cumsum(shares * np.add.reduceat(self.lengths, self.first) / self.sizes)
        self.bounds, self.token_bounds = np.cumsum(shares)[:-1], tokens[:-1] / tokens[-1]
        self.key, self.batch_size = key, batch_size

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """Of the draws of tasks, and of the draws of rows."""
        return np.array([key64(f"{self.key}/task"), key64(f"{self.key}/row")], np.uint64)

    def rows_of_step(self, step: int, steps: int = 1) -> Ints:
        """int64 [batch size]: the rows of a step of this stage, which counts from 0; or of several, one after another.

        Every row of a batch is drawn by itself, with replacement: first its task, with the mixture's chances, then one
        of the task's rows. Going through all rows in turn, epoch by epoch, would be another recipe, and what is learned
        depends on the recipe.
        """
        slots = np.arange(step * self.batch_size, (step + steps) * self.batch_size, dtype=np.uint64)
        of_task, of_row = self.keys
        task = np.searchsorted(self.bounds, _chances(of_task, slots), side="right")
        place = (_chances(of_row, slots) * self.sizes[task]).astype(np.int64)
        rows: Ints = self.first[task] + place
        return rows


def _chances(key: np.uint64, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """A random-looking number in [0, 1) for each number, the same on every machine.

    53 bits, the most that a float64 holds, of splitmix64 (Steele et al. 2014).
    """
    bits = mix64(numbers * np.uint64(GOLDEN) + key)
    chances: npt.NDArray[np.float64] = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return chances


RowsKey = tuple[str, str, int]
"""Task, trace style and dataset seed: what train rows depend on."""


class Pools:
    """Makes the pools of stages. Rows are generated once, and stages of one mixture have theirs in common.

    Attributes:
        rows: all train rows that were needed so far.
    """

    def __init__(self) -> None:
        self.rows: dict[RowsKey, Rows] = {}
        self._pools: dict[Any, Pool] = {}

    def of_stage(self, recipe: TrainRecipe, index: int, batch_size: int) -> Pool:
        """The pool of the stage of an index, which has an order of its own in every stage and data seed."""
        stage = recipe.plan().stages[index]
        keys = rows_keys(recipe, stage)
        for key in keys:
            if key not in self.rows:
                task = get_task(key[0])
                self.rows[key] = generate(task, "train", seed=recipe.dataset_seed, trace=recipe.trace)
        kind = (*keys, stage.shares, batch_size)
        if kind not in self._pools:
            self._pools[kind] = Pool([self.rows[key] for key in keys], stage.shares, "", batch_size)
        pool = copy.copy(self._pools[kind])
        pool.key = f"listops/train/{recipe.order_seed}/{index}"
        return pool


def rows_keys(recipe: TrainRecipe, stage: Stage) -> list[RowsKey]:
    """Which train rows a stage draws from, in the order of its tasks."""
    return [(name, recipe.trace, recipe.dataset_seed) for name in stage.tasks]


# --- how they are laid out --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Rows as a model takes them, on a CPU.

    Attributes:
        inputs: int64, ``input_ids`` and ``position_ids`` [1, N], or ``input_ids`` and ``attention_mask`` [B, T].
        keep: int64 [K], the flat positions that bear loss, and ``targets`` int64 [K] their next tokens. Both may be
            filled up with `IGNORED` targets, to keep shapes few.
        layout: how [1, N] divides into rows; None in the padded layout.
    """

    inputs: dict[str, torch.Tensor]
    keep: torch.Tensor
    targets: torch.Tensor
    layout: RowLayout | None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, copied without waiting for it."""
        if device.type == "cpu":
            return self
        return replace(
            self,
            inputs={name: send(x, device) for name, x in self.inputs.items()},
            keep=send(self.keep, device),
            targets=send(self.targets, device),
            layout=self.layout and self.layout.to(device),
        )

    def logits(self, model: Callable[..., Any]) -> torch.Tensor:
        """The model's logits [K, V] at the positions that bear loss."""
        if self.layout is None:
            logits: torch.Tensor = model(**self.inputs, use_cache=False).logits
            return logits.flatten(0, 1)[self.keep]
        # A mask of four dimensions is taken for a ready one. Without it transformers would look for rows and padding
        # among the inputs, and wait for the device to see them; the attention by rows looks at none.
        no_mask = torch.empty((1, 1, 1, 1), device=self.keep.device)
        output = model(
            **self.inputs, attention_mask=no_mask, use_cache=False, logits_to_keep=self.keep, rows=self.layout
        )
        return output.logits[0]

    def loss(self, model: Callable[..., Any]) -> torch.Tensor:
        """The cross entropy in float32 or better, summed over the positions that bear loss."""
        logits = self.logits(model)
        if logits.dtype != torch.float64:
            logits = logits.float()
        return cross_entropy(logits, self.targets, ignore_index=IGNORED, reduction="sum")


def loss_tokens(lengths: Ints, prompt_lengths: Ints, loss_on: LossOn) -> Ints:
    """Positions of rows [..., B] that bear loss, ``<eos>`` among the targets, summed over B."""
    count: Ints = (lengths - (1 if loss_on == "all" else prompt_lengths)).sum(-1)
    return count


def lay_out(store: RowStore, rows: Ints, loss_on: LossOn, *, padded: bool = False) -> Batch:
    """The tokens of some rows, in one of the two layouts."""
    rows = rows[np.argsort(store.lengths[rows], kind="stable")]
    lengths = store.lengths[rows] - 1
    starts = np.cumsum(lengths) - lengths
    place = np.arange(int(lengths.sum())) - np.repeat(starts, lengths)
    source = np.repeat(store.offsets[rows], lengths) + place
    first_loss = np.zeros_like(lengths) if loss_on == "all" else store.prompt_lengths[rows] - 1
    bears_loss = place >= np.repeat(first_loss, lengths)
    ids, targets = store.ids[source].astype(np.int64), store.ids[source[bears_loss] + 1].astype(np.int64)
    keep = np.flatnonzero(bears_loss)
    if padded:
        return _padded(ids, lengths, keep, targets)
    return _end_to_end(ids, lengths, place, keep, targets)


def _end_to_end(ids: Ints, lengths: Ints, place: Ints, keep: Ints, targets: Ints) -> Batch:
    # Token counts are rounded up (see TOKEN_MULTIPLE): by one more row, of padding, which bears no loss.
    groups = tuple(zip(*(x.tolist() for x in np.unique(lengths, return_counts=True)[::-1]), strict=True))
    extra, extra_keep = -len(ids) % TOKEN_MULTIPLE, -len(keep) % TOKEN_MULTIPLE
    return Batch(
        inputs={
            "input_ids": _tensor(np.pad(ids, (0, extra), constant_values=PAD_ID))[None],
            "position_ids": _tensor(np.concatenate([place, np.arange(extra)]))[None],
        },
        keep=_tensor(np.pad(keep, (0, extra_keep))),
        targets=_tensor(np.pad(targets, (0, extra_keep), constant_values=IGNORED)),
        layout=RowLayout((*groups, (1, extra)) if extra else groups),
    )


def padded_table(ids: npt.NDArray[Any], lengths: Ints, width: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """The ids [B, width] of rows that lie end to end, padded on the right; and bool [B, width]: which are real."""
    real = np.arange(width) < lengths[:, None]
    table = np.full(real.shape, PAD_ID, ids.dtype)
    table[real] = ids
    return table, real


def _padded(ids: Ints, lengths: Ints, keep: Ints, targets: Ints) -> Batch:
    table, real = padded_table(ids, lengths, int(lengths.max()))
    return Batch(
        inputs={"input_ids": _tensor(table), "attention_mask": _tensor(real)},
        keep=_tensor(np.flatnonzero(real)[keep]),
        targets=_tensor(targets),
        layout=None,
    )


def _tensor(x: npt.NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.int64))
