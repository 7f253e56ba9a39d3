"""What K packed models are trained on: rows that lie on the device, and which of them each step draws.

All train rows of all tasks are kept on the device, end to end, a few megabytes. A step then needs no more than K * B
row numbers, where each of those rows begins among its model's tokens, and a few figures a model; those of `STEPS` steps
are worked out on the CPU at once, ahead of time, and the tokens are looked up on the device::

    rows [K, B], starts [K, B + 1]     ->   ids       [K, N]   SUM 3 4 ] = 7  MAX 1 2 ] = 2  ...  and padding up to N
                                            positions [K, N]   0   1 2 3 4 5  0   1 2 3 4 5  ...  0 0 0
                                            targets   [K, N]   .   . . . 7 $  .   . . . 2 $  ...  . . .     . ignored

N is the number of tokens that the model with the most has, rounded up. A chunk of steps is a function of the pack's
members and its number alone, so a pack that is resumed in its middle does what it would have done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from listops_bench.tasks.generator import Rows
from listops_bench.tasks.symbols import PAD_ID
from listops_bench.train._batches import IGNORED, Ints, Pools, RowStore, rows_keys
from listops_bench.train._optimizer import learning_rate
from listops_bench.train._rows import send
from listops_bench.train._window_kernels import cut
from listops_bench.train._windows import longest_of
from listops_bench.train.config import WINDOW, TrainConfig, rows_per_step
from listops_bench.train.packed._draw_kernels import draw

STEPS = 64
"""Steps of a chunk."""

CAPACITY_MULTIPLE, FINE_MULTIPLE = 256, 16
"""Token counts of a step are rounded up to a multiple: those of a chunk for captured steps, which are then few, and
those of each step by itself for others."""


class Shape(NamedTuple):
    """Sizes of a step that its tensors do not tell.

    Attributes:
        tokens: N. kept: at least as many as any model has targets.
        width: tokens of the longest row, or more.
    """

    tokens: int
    kept: int
    width: int


@dataclass(frozen=True)
class FlatBatch:
    """The rows of a step, end to end for each model.

    Attributes:
        ids: int32 [K, N], `PAD_ID` after the last row.
        starts: int32 [K, B + 1], where each row begins, and where the last one ends.
        rows: int32 [K, N], which row of the batch a token is of; B after the last.
        positions: int32 [K, N], the place of each token in its row; 0 after the last.
        targets: int64 [K, N], the next token, `IGNORED` where it bears no loss.
    """

    ids: torch.Tensor
    starts: torch.Tensor
    rows: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    shape: Shape


class RowTable:
    """Rows of several kinds on a device, numbered through.

    Attributes:
        store: the same rows on the host.
        first: the number of the first row of each kind.
        ids: uint8, all tokens. offsets, prompt_lengths: int64 [R].
    """

    def __init__(self, rows: Mapping[Any, Rows], device: torch.device) -> None:
        self.store = store = RowStore(list(rows.values()))
        self.first = dict(zip(rows, store.first.tolist(), strict=True))
        host = (store.ids, store.offsets[:-1], store.prompt_lengths)
        self.ids, self.offsets, self.prompt_lengths = (torch.from_numpy(x).to(device) for x in host)

    def starts(self, rows: Ints) -> Ints:
        """Where each of some rows [..., B] begins when their tokens lie end to end, the last of each left out."""
        starts = np.zeros((*rows.shape[:-1], rows.shape[-1] + 1), np.int64)
        np.cumsum(self.store.lengths[rows] - 1, axis=-1, out=starts[..., 1:])
        return starts

    def batch(self, rows_KxB: torch.Tensor, starts: torch.Tensor, shape: Shape, on_all_Kx1: torch.Tensor) -> FlatBatch:
        """The tokens of some rows; ``on_all``: whether all of a model's tokens but the first bear loss."""
        k, b = rows_KxB.shape
        device, n = rows_KxB.device, shape.tokens
        begin = starts.long()
        counts = torch.cat([begin.diff(dim=1), n - begin[:, -1:]], dim=1)  # the padding is one more row
        row_KxN = (
            torch.arange(b + 1, device=device)
            .repeat(k)
            .repeat_interleave(counts.flatten(), output_size=k * n)
            .view(k, n)
        )
        inside = row_KxN < b
        place = torch.where(inside, torch.arange(n, device=device) - begin.gather(1, row_KxN), 0)
        number = rows_KxB.long().gather(1, row_KxN.clamp(max=b - 1))
        source = self.offsets[number] + place
        first = torch.where(on_all_Kx1, 0, self.prompt_lengths[number] - 1)
        return FlatBatch(
            ids=torch.where(inside, self.ids[source], PAD_ID).int(),
            starts=starts,
            rows=row_KxN.int(),
            positions=place.int(),
            targets=torch.where(inside & (place >= first), self.ids[source + 1].long(), IGNORED),
            shape=shape,
        )


def window_batch(tokens_KxBxT: torch.Tensor, starts: torch.Tensor, shape: Shape) -> FlatBatch:
    """Windows, with their last token only as a target; ``starts`` as for rows."""
    k, b, _ = tokens_KxBxT.shape
    rows_BxT, places_BxT = torch.meshgrid(*(torch.arange(n, device=starts.device) for n in (b, WINDOW)), indexing="ij")
    return FlatBatch(
        ids=tokens_KxBxT[..., :-1].flatten(1).int(),
        starts=starts,
        rows=rows_BxT.flatten().int().repeat(k, 1),
        positions=places_BxT.flatten().int().repeat(k, 1),
        targets=tokens_KxBxT[..., 1:].flatten(1).long(),
        shape=shape,
    )


class Drawn(NamedTuple):
    """What K models draw in n steps.

    Attributes:
        rows: int32 [n, K, B], numbers in the table, or uint8 [n, K, B, WINDOW + 1], the tokens of windows.
        starts: int32 [n, K, B + 1].
        loss_tokens: int64 [n, K]. reductions: int64 [n, K, A].
    """

    rows: npt.NDArray[Any]
    starts: npt.NDArray[np.int32]
    loss_tokens: Ints
    reductions: Ints

    @classmethod
    def room(cls, steps: int, models: int, config: TrainConfig, operations: int) -> Drawn:
        """To write into; what is the same for all windows stands in it."""
        shape, b, windows = (steps, models), rows_per_step(config), config.batching == "windows"
        rows = np.empty((*shape, b, WINDOW + 1), np.uint8) if windows else np.empty((*shape, b), np.int32)
        starts = np.tile(np.arange(b + 1, dtype=np.int32) * WINDOW, (*shape, 1))
        loss_tokens = np.full(shape, b * WINDOW if windows else 0)
        return cls(rows, starts, loss_tokens, np.zeros((*shape, operations), np.int64))


class Draws:
    """The rows that one member draws, by step.

    Attributes:
        longest_rows: tokens of the longest row, or window, of each stage.
        timing: what its learning rate and optimizer depend on, the step apart.
        starts: the first step of every stage.
    """

    def __init__(self, config: TrainConfig, pools: Pools) -> None:
        self.config, self.curriculum = config, config.plan()
        stages = range(len(self.curriculum.stages))
        self.starts = [self.curriculum.start(i) for i in stages]
        self._pools = [pools.of_stage(config, i, rows_per_step(config)) for i in stages]
        self.longest_rows = [longest_of(pool, config) for pool in self._pools]
        names = ("warmup_steps", "lr_scheduler_type", "min_lr_ratio", "weight_decay", "adam_beta1", "adam_beta2")
        schedules = (self.curriculum.schedule(i) for i in stages)
        self.timing = (config.learning_rate, *(getattr(config, name) for name in names), *schedules)

    def longest(self, first: int, stop: int) -> int:
        """Tokens of the longest row, or window, that some steps could draw."""
        return max(self.longest_rows[index] for index, *_ in self._pieces(first, stop))

    def timed(self, first: int, stop: int) -> npt.NDArray[np.float64]:
        """[n, 5], what depends on `timing` alone: age of the optimizer, learning rate (0 beyond the budget), and
        `_scalars`."""
        figures = []
        for step in range(first, stop):
            schedule = self.curriculum.schedule(self.curriculum.stage_of(step))
            age = step - schedule[0] + 1
            rate = learning_rate(self.config, step, *schedule) if step < self.curriculum.steps else 0.0
            figures.append((age, rate, *_scalars(self.config, age, rate)))
        return np.array(figures)

    def draw(self, first: int, stop: int, table: RowTable, member: int, out: Drawn) -> None:
        """Writes what the steps ``first .. stop`` draw, as those of the ``member`` of an index."""
        store, done = table.store, 0
        for index, start, steps in self._pieces(first, stop):
            pool = self._pools[index]
            numbers = np.array([table.first[key] for key in rows_keys(self.config, self.curriculum.stages[index])])
            place = (start * pool.batch_size, member, done, done + steps)
            if self.config.batching == "windows":
                rows = (store.ids, store.offsets, store.reductions)
                parts = (pool.bounds, pool.token_bounds, pool.sizes, numbers)
                cut(pool.keys, *parts, rows, *place, (out.rows, out.reductions))
            else:
                on_all = self.config.loss_on == "all"
                figures = (store.lengths, store.prompt_lengths, store.reductions)
                draw(pool.keys, pool.bounds, pool.sizes, numbers, on_all, figures, *place, out)
            done += steps

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
        rows, starts: of `Drawn`.
        scalars: [n, K, 4], those of AdamW that change (decay, step size, root of the second bias correction), and what
            to multiply the summed loss by.
        width: tokens of the longest row that it could hold.
        resets: (step of the chunk, model) pairs: before that step that model gets a fresh optimizer.
        stages: int64 [n, K], the stage that each model is in. It stays on the host, as what follows does.
        learning_rates, tokens, loss_tokens: [n, K], reductions: [n, K, A].
    """

    first: int
    rows: torch.Tensor
    starts: torch.Tensor
    scalars: torch.Tensor
    width: int
    resets: Sequence[tuple[int, int]]
    stages: Ints
    learning_rates: npt.NDArray[np.float64]
    tokens: Ints
    loss_tokens: Ints
    reductions: Ints

    @property
    def stop(self) -> int:
        return self.first + STEPS

    def to(self, device: torch.device) -> Chunk:
        """The chunk with its tensors on a device."""
        rows, starts, scalars = (send(x, device) for x in (self.rows, self.starts, self.scalars))
        return replace(self, rows=rows, starts=starts, scalars=scalars)

    def shape(self, i: int | None = None) -> Shape:
        """Of a step by itself, or one that fits every step of the chunk."""
        steps, multiple = (slice(None), CAPACITY_MULTIPLE) if i is None else (slice(i, i + 1), FINE_MULTIPLE)
        tokens, kept = (-(-int(x[steps].max()) // multiple) * multiple for x in (self.tokens, self.loss_tokens))
        return Shape(tokens, kept, self.width)


def make_chunk(number: int, members: Sequence[Draws], table: RowTable, dtype: torch.dtype) -> Chunk:
    """The chunk of a number, for the members of a pack.

    On the CPU: it may be made on a thread of its own, and a call to CUDA from there would spoil a graph's capture.
    """
    first, stop = number * STEPS, (number + 1) * STEPS
    drawn = Drawn.room(STEPS, len(members), members[0].config, table.store.reductions.shape[1])
    for k, member in enumerate(members):
        member.draw(first, stop, table, k, drawn)
    known = {m.timing: m.timed(first, stop) for m in {m.timing: m for m in members}.values()}  # most have it in common
    timed = np.stack([known[m.timing] for m in members], axis=1)
    ends = np.array([m.curriculum.steps for m in members])
    steps = np.arange(first, stop)[:, None]
    begins = (timed[..., 0] == 1) & (steps > 0) & (steps < ends)
    scalars = np.concatenate([timed[..., 2:], 1 / drawn.loss_tokens[..., None]], axis=-1)
    return Chunk(
        first=first,
        rows=torch.from_numpy(drawn.rows),
        starts=torch.from_numpy(drawn.starts),
        scalars=torch.from_numpy(scalars).to(dtype),
        width=max(m.longest(first, stop) for m in members) - 1,
        resets=[(int(i), int(k)) for i, k in np.argwhere(begins)],
        stages=np.stack([np.searchsorted(m.starts, steps[:, 0], side="right") - 1 for m in members], axis=1),
        learning_rates=timed[..., 1],
        tokens=drawn.starts[..., -1].astype(np.int64),
        loss_tokens=drawn.loss_tokens,
        reductions=drawn.reductions,
    )


def _scalars(config: TrainConfig, age: int, rate: float) -> tuple[float, float, float]:
    """What of AdamW changes from step to step: the factor of decay, the step size, and the root of the second bias
    correction, after so many steps of the optimizer, this one included."""
    return (
        1 - rate * config.weight_decay,
        rate / (1 - config.adam_beta1**age),
        (1 - config.adam_beta2**age) ** 0.5,
    )
