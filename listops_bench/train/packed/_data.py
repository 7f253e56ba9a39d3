"""What K packed models are trained on: rows that lie on the device, and which of them each step draws.

All train rows of all tasks are kept on the device as one padded table, a few megabytes. A step then needs no more than
K * B row numbers and a few figures a model; those of `STEPS` steps are worked out on the CPU at once, ahead of time,
by the same `Pool` that trains a model alone, and the tokens are looked up on the device::

    rows of a step [K, B]  ->  ids [K, B, T]  ->  keep, targets [K, M]: the positions that bear loss, those of each
                                                  model side by side and filled up to M with `IGNORED` ones

A chunk of steps is a function of the pack's members and its number alone, so a pack that is resumed in its middle does
what it would have done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from listops_bench.tasks.curriculum import Curriculum
from listops_bench.tasks.generator import Rows
from listops_bench.train._batches import IGNORED, Ints, Pools, RowStore, loss_tokens, padded_table, rows_keys
from listops_bench.train._optimizer import learning_rate
from listops_bench.train._rows import send
from listops_bench.train.config import TrainConfig, rows_per_step

STEPS = 64
"""Steps of a chunk."""

KEPT_MULTIPLE = 128
"""The number of kept positions is rounded up to a multiple, so that a captured step fits most chunks."""


class RowTable:
    """Rows of several kinds on a device, numbered through.

    Attributes:
        ids: uint8 [R, W], padded on the right.
        lengths, prompt_lengths: int64 [R].
        first: the number of the first row of each kind.
    """

    def __init__(self, rows: Mapping[Any, Rows], device: torch.device) -> None:
        store = RowStore(list(rows.values()))
        self.first = dict(zip(rows, store.first.tolist(), strict=True))
        ids, _ = padded_table(store.ids, store.lengths, int(store.lengths.max()))
        self.ids = torch.from_numpy(ids).to(device)
        self.lengths, self.prompt_lengths = (
            torch.from_numpy(x).to(device) for x in (store.lengths, store.prompt_lengths)
        )

    def tokens(self, rows_KxB: torch.Tensor, width: int) -> torch.Tensor:
        """int64 [K, B, T + 1]: the tokens of some rows, those to be predicted last included."""
        return self.ids[rows_KxB, : width + 1].long()

    def bears_loss(self, rows_KxB: torch.Tensor, width: int, on_all_Kx1: torch.Tensor) -> torch.Tensor:
        """bool [K, B, T]: positions whose next token is to be learned."""
        place = torch.arange(width, device=rows_KxB.device)
        first_KxB = torch.where(on_all_Kx1, 0, self.prompt_lengths[rows_KxB] - 1)
        return (place >= first_KxB[..., None]) & (place < self.lengths[rows_KxB][..., None] - 1)


def compact(
    bears_loss_KxBxT: torch.Tensor, targets_KxBxT: torch.Tensor, kept: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """int64 [K, M] each: the flat positions that bear loss, in their order, and their targets."""
    mask_KxN = bears_loss_KxBxT.flatten(1)
    k, n = mask_KxN.shape
    place_KxN = torch.where(mask_KxN, mask_KxN.cumsum(1) - 1, kept)  # all others meet in a place that is cut off
    positions = torch.arange(n, device=mask_KxN.device).expand(k, n)
    keep = positions.new_zeros(k, kept + 1).scatter_(1, place_KxN, positions)
    targets = positions.new_full((k, kept + 1), IGNORED).scatter_(1, place_KxN, targets_KxBxT.flatten(1))
    return keep[:, :kept], targets[:, :kept]


class Draws:
    """The rows that one member draws, by step, and what they count."""

    def __init__(self, config: TrainConfig, pools: Pools) -> None:
        self.config, self.curriculum = config, config.plan()
        batch_size = rows_per_step(config)
        self._pools = [pools.of_stage(config, i, batch_size) for i in range(len(self.curriculum.stages))]

    def longest(self, first: int, stop: int) -> int:
        """Tokens of the longest row that some steps could draw."""
        return max(int(self._pools[index].lengths.max()) for index, *_ in self._pieces(first, stop))

    def rows(self, first: int, stop: int, table: RowTable) -> tuple[Ints, Ints, Ints, Ints]:
        """Of every step: rows [n, B] of the table, tokens [n], tokens that bear loss [n], reductions [n, A]."""
        parts = []
        for index, start, steps in self._pieces(first, stop):
            pool, stage = self._pools[index], self.curriculum.stages[index]
            rows = pool.rows_of_step(start, steps).reshape(steps, -1)
            lengths, reductions = pool.lengths[rows], pool.reductions[rows].sum(1, dtype=np.int64)
            bear_loss = loss_tokens(lengths, pool.prompt_lengths[rows], self.config.loss_on)
            keys = rows_keys(self.config, stage)
            shift = np.array([table.first[key] for key in keys]) - pool.first
            in_table = rows + shift[np.searchsorted(pool.first, rows, side="right") - 1]
            parts.append((in_table, lengths.sum(1) - lengths.shape[1], bear_loss, reductions))
        in_table, tokens, bear_loss, reductions = (np.concatenate(column) for column in zip(*parts, strict=True))
        return in_table, tokens, bear_loss, reductions

    def _pieces(self, first: int, stop: int) -> Iterable[tuple[int, int, int]]:
        """(stage, its step to begin with, steps); the last stage goes on where the budget has ended."""
        step = first
        while step < stop:
            index = self.curriculum.stage_of(step)
            start, last = self.curriculum.start(index), index == len(self.curriculum.stages) - 1
            end = stop if last else min(stop, start + self.curriculum.stages[index].steps)
            yield index, step - start, end - step
            step = end


@dataclass(frozen=True)
class Chunk:
    """`STEPS` steps of K models.

    Attributes:
        first: the first of the steps.
        rows: int64 [n, K, B]. scalars: [n, K, 4], see `step_scalars`.
        width, kept: T and M.
        resets: int64 [.., 2], (step of the chunk, model) pairs: before that step that model gets a fresh optimizer.
        learning_rates, tokens, loss_tokens: [n, K], reductions: [n, K, A]; these stay on the host.
    """

    first: int
    rows: torch.Tensor
    scalars: torch.Tensor
    width: int
    kept: int
    resets: Sequence[tuple[int, int]]
    learning_rates: npt.NDArray[np.float64]
    tokens: Ints
    loss_tokens: Ints
    reductions: Ints

    @property
    def stop(self) -> int:
        return self.first + STEPS

    def to(self, device: torch.device) -> Chunk:
        """The chunk with its tensors on a device."""
        return replace(self, rows=send(self.rows, device), scalars=send(self.scalars, device))


def make_chunk(number: int, members: Sequence[Draws], table: RowTable, dtype: torch.dtype) -> Chunk:
    """The chunk of a number, for the members of a pack.

    On the CPU: it may be made on a thread of its own, and a call to CUDA from there would spoil a graph's capture.
    """
    first, stop = number * STEPS, (number + 1) * STEPS
    rows, tokens, bear_loss, reductions = (
        np.stack(column, axis=1) for column in zip(*(m.rows(first, stop, table) for m in members), strict=True)
    )
    rates = np.array([[_rate(m.config, m.curriculum, step) for m in members] for step in range(first, stop)])
    scalars = np.array(
        [
            [step_scalars(m.config, _age(m.curriculum, step), rate, n) for m, rate, n in zip(members, *at, strict=True)]
            for step, *at in zip(range(first, stop), rates, bear_loss, strict=True)
        ]
    )
    return Chunk(
        first=first,
        rows=torch.from_numpy(rows),
        scalars=torch.from_numpy(scalars).to(dtype),
        width=max(m.longest(first, stop) for m in members) - 1,
        kept=-(-int(bear_loss.max()) // KEPT_MULTIPLE) * KEPT_MULTIPLE,
        resets=[
            (step - first, k)
            for k, m in enumerate(members)
            for step in range(max(first, 1), stop)
            if step < m.curriculum.steps and _age(m.curriculum, step) == 1
        ],
        learning_rates=rates,
        tokens=tokens,
        loss_tokens=bear_loss,
        reductions=reductions,
    )


def step_scalars(config: TrainConfig, age: int, rate: float, loss_tokens: int) -> tuple[float, float, float, float]:
    """What of AdamW changes from step to step: the factor of decay, the step size, the root of the second bias
    correction, and beside them what to divide the summed loss by, inverted."""
    return (
        1 - rate * config.weight_decay,
        rate / (1 - config.adam_beta1**age),
        (1 - config.adam_beta2**age) ** 0.5,
        1 / loss_tokens,
    )


def _age(curriculum: Curriculum, step: int) -> int:
    """Steps that the optimizer has taken, this one included."""
    return step - curriculum.schedule(curriculum.stage_of(step))[0] + 1


def _rate(config: TrainConfig, curriculum: Curriculum, step: int) -> float:
    """The learning rate; 0 beyond the budget."""
    if step >= curriculum.steps:
        return 0.0
    return learning_rate(config, step, *curriculum.schedule(curriculum.stage_of(step)))
