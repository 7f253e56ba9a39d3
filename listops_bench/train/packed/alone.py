"""One run on a GPU as a pack of one: its step is captured, since launched piece by piece it takes twenty times as long.

The trainer keeps its model and optimizer, which states and checkpoints are written from; while it trains, the weights
and moments are those of the step, and are given back when somebody looks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from listops_bench.model.packed import PackedLooped, shape_of
from listops_bench.train._batches import Ints, Pools
from listops_bench.train.config import TrainConfig, rows_per_step
from listops_bench.train.packed._data import STEPS, Chunk, Draws, RowTable, make_chunk
from listops_bench.train.packed._members import MOST_ROWS
from listops_bench.train.packed._step import Engine, PackedStep


class Taken(NamedTuple):
    """A step that was taken: its loss and its gradient's norm (0-d, on the device), learning rate and counts."""

    loss: torch.Tensor
    norm: torch.Tensor
    learning_rate: float
    tokens: int
    loss_tokens: int
    reductions: Ints


def can_be_captured(config: TrainConfig, model: PreTrainedModel, accelerator: Accelerator) -> bool:
    """Whether a run's steps can be those of a pack, and are the quicker for it."""
    alone_on_a_gpu = accelerator.device.type == "cuda" and accelerator.num_processes == 1
    plan = config.plan()
    return (
        alone_on_a_gpu
        and accelerator.mixed_precision in ("no", "bf16")
        and shape_of(model.config) is not None
        and config.optim == "adamw_torch"
        and rows_per_step(config) <= MOST_ROWS
        and not plan.refreezes
        and not any(stage.until is not None for stage in plan.stages)
    )


class CapturedRun:
    """The weights and moments of a run, and its steps, captured where the device is a GPU."""

    def __init__(self, config: TrainConfig, pools: Pools, model: PreTrainedModel, accelerator: Accelerator) -> None:
        device = accelerator.device
        engine = Engine(device, accelerator.mixed_precision, graph=device.type == "cuda").of(config)
        self._draws = Draws(config, pools)
        self._table = RowTable(pools.rows, device)
        self._packed = PackedLooped(model)
        self._step = PackedStep(self._packed, self._packed.flatten([model]), [config], self._table, engine, model)
        self._chunk: Chunk | None = None

    def __call__(self, step: int) -> Taken:
        """Trains a step, counted from 0. Nothing waits for the device."""
        if self._chunk is None or not self._chunk.first <= step < self._chunk.stop:
            dtype = self._step.weights.dtype
            self._chunk = make_chunk(step // STEPS, [self._draws], self._table, dtype).to(self._step.weights.device)
        chunk, i = self._chunk, step - self._chunk.first
        loss, norm = self._step(chunk, i)[0]
        counts = (int(chunk.tokens[i, 0]), int(chunk.loss_tokens[i, 0]), chunk.reductions[i, 0])
        return Taken(loss, norm, float(chunk.learning_rates[i, 0]), *counts)

    def take(self, model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> None:
        """Takes weights and moments over."""
        moments = [optimizer.state.get(parameter, {}) for parameter in model.parameters()]
        zeros = [torch.zeros_like(parameter) for parameter in model.parameters()]
        tensors = {
            "weights": list(model.parameters()),
            "first_moments": [own.get("exp_avg", zero) for own, zero in zip(moments, zeros, strict=True)],
            "second_moments": [own.get("exp_avg_sq", zero) for own, zero in zip(moments, zeros, strict=True)],
        }
        self._step.restore(
            {name: torch.cat([x.detach().flatten() for x in own])[None] for name, own in tensors.items()}
        )

    def give(self, model: PreTrainedModel, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """Gives weights and moments back, after so many steps of the optimizer."""
        tensors = {name: own[0].split(self._packed.sizes) for name, own in self._step.tensors.items()}
        for parameter, *own in zip(model.parameters(), *tensors.values(), strict=True):
            weights, first, second = (x.view_as(parameter) for x in own)
            parameter.data.copy_(weights)
            if steps:
                count = torch.tensor(float(steps), device=parameter.device)
                optimizer.state[parameter] = {"step": count, "exp_avg": first.clone(), "exp_avg_sq": second.clone()}
