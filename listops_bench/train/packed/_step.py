"""One optimizer step of K models: forward, backward, clipping and AdamW, every model with figures of its own.

On a GPU the step is captured as a CUDA graph, one for each shape that chunks come in, and replayed: one launch in place
of some hundreds, which for models so small take longer to launch than to run. All that changes from step to
step is copied into the same few buffers before it. Nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

from listops_bench.model.packed import PackedLooped
from listops_bench.train._precision import precision_in_use
from listops_bench.train.config import WINDOW, TrainRecipe, rows_per_step
from listops_bench.train.packed._data import Chunk, RowTable, Shape, window_batch
from listops_bench.train.packed._fused import FusedLooped, supported
from listops_bench.train.packed._plain import Adam, loss_and_gradient, update
from listops_bench.train.packed._stages import Stages

WARM_UP_STEPS = 3
"""Steps on a side stream before a capture, as torch asks for (they are undone)."""


@dataclass(frozen=True)
class Engine:
    """How a pack is computed.

    Attributes:
        precision: what products are computed in, as `precision_in_use` names it.
        graph: capture the step as a CUDA graph.
    """

    device: torch.device
    precision: str
    graph: bool

    def of(self, recipe: TrainRecipe) -> Engine:
        """In the precision that a recipe declares.

        Raises:
            InvalidInput: as `precision_in_use`.
        """
        return replace(self, precision=precision_in_use(recipe.precision, self.precision, self.device))


class PackedStep:
    """Weights and moments [K, P] of K models, and the step that trains them.

    Args:
        weights: [K, P], as `PackedLooped.flatten` makes them; copied to the device.
        table: the rows that chunks speak of.
        template: one of the models, or one like them.
    """

    def __init__(
        self,
        model: PackedLooped,
        weights: torch.Tensor,
        configs: Sequence[TrainRecipe],
        table: RowTable,
        engine: Engine,
        template: PreTrainedModel,
    ) -> None:
        device = engine.device
        self._stages = Stages(configs, model, template, device)
        self.table, self.engine = table, engine
        self.weights = weights.to(device, copy=True)
        self.first_moments, self.second_moments = (torch.zeros_like(self.weights) for _ in range(2))
        windows = configs[0].batching == "windows"
        longest = WINDOW if windows else int(table.store.lengths.max()) - 1
        self._loss_and_gradient, self._update = _arithmetic(model, self.weights, longest, engine)
        self._adam = Adam.of(configs, self.weights)
        self._on_all = torch.tensor([[c.loss_on == "all"] for c in configs], device=device)
        k, b = len(configs), rows_per_step(configs[0])
        shape, kind = ((k, b, WINDOW + 1), torch.uint8) if windows else ((k, b), torch.int32)
        self._rows = torch.zeros(shape, dtype=kind, device=device)
        self._starts = torch.zeros(k, b + 1, dtype=torch.int32, device=device)
        self._scalars = self.weights.new_zeros(k, 4)
        self._figures = self.weights.new_zeros(k, 2)
        self._graphs: dict[Shape, Any] = {}
        self._memory: Any = None

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """What a state to resume from consists of, each [K, P]."""
        return {
            "weights": self.weights,
            "first_moments": self.first_moments,
            "second_moments": self.second_moments,
        }

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes weights and moments back from a state."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    def __call__(self, chunk: Chunk, i: int) -> torch.Tensor:
        """Trains step ``i`` of a chunk. Returns [K, 2] on the device: the loss, and the gradient's norm before it is
        clipped."""
        for step, k in chunk.resets:
            if step == i:
                self.first_moments[k].zero_()
                self.second_moments[k].zero_()
                self._stages.renew(self.weights[k], k, int(chunk.stages[i, k]))
        self._stages.enter(chunk.stages[i])
        self._rows.copy_(chunk.rows[i])
        self._starts.copy_(chunk.starts[i])
        self._scalars.copy_(chunk.scalars[i])
        if not self.engine.graph:
            self._step(chunk.shape(i))
        else:
            shape = chunk.shape()
            if shape not in self._graphs:
                self._graphs[shape] = self._capture(shape)
            self._graphs[shape].replay()
        return self._figures.clone()

    @torch.no_grad()
    def _step(self, shape: Shape) -> None:
        if self._rows.ndim == 3:
            batch = window_batch(self._rows, self._starts, shape)
        else:
            batch = self.table.batch(self._rows, self._starts, shape, self._on_all)
        scale = self._scalars[:, 3].clone()  # aligned like any tensor, also of one model: kernels are compiled for that
        losses, gradient = self._loss_and_gradient(self.weights, batch, scale)
        with self._stages.freezing(self.tensors, gradient):
            norms = self._update(self.tensors, gradient, self._adam, self._scalars)
        self._figures.copy_(torch.stack([losses, norms], dim=1))

    def _capture(self, shape: Shape) -> Any:
        before = {name: tensor.clone() for name, tensor in self.tensors.items()}
        side, here = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._step(shape)
        here.wait_stream(side)
        self.restore(before)
        graph = torch.cuda.CUDAGraph()
        # The graphs never run at once, and what they leave lies in buffers of ours: they can share their memory. Other
        # threads may use the device meanwhile.
        with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
            self._step(shape)
        self._memory = self._memory or graph.pool()
        return graph


def _arithmetic(
    model: PackedLooped, weights: torch.Tensor, longest: int, engine: Engine
) -> tuple[Callable[..., tuple[torch.Tensor, torch.Tensor]], Callable[..., torch.Tensor]]:
    """What computes losses and gradient, and what updates: our kernels where they are made for it, or else torch."""
    precision = "float32" if engine.precision == "no" else engine.precision
    if weights.dtype == torch.float32 and supported(model.config, precision, engine.device, longest):
        fused = FusedLooped(model, engine.device, precision)
        return fused.loss_and_gradient, fused.update
    return partial(loss_and_gradient, model, precision=engine.precision), update
