"""One optimizer step of K models: forward, backward, clipping and AdamW, every model with figures of its own.

On a GPU the step is captured as a CUDA graph, one for each pair of shapes that chunks come in, and replayed: one launch
in place of some hundreds, which for models so small take longer to launch than to run. All that changes from step to
step is copied into the same few buffers before it. Nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from listops_bench.model.packed import PackedLooped
from listops_bench.train._batches import IGNORED
from listops_bench.train.config import TrainRecipe, rows_per_step
from listops_bench.train.packed._data import Chunk, RowTable, compact

WARM_UP_STEPS = 3
"""Steps on a side stream before a capture, as torch asks for (they are undone)."""


@dataclass(frozen=True)
class Engine:
    """How a pack is computed.

    Attributes:
        bf16: compute products in bfloat16 (autocast).
        graph: capture the step as a CUDA graph.
    """

    device: torch.device
    bf16: bool
    graph: bool

    @property
    def mixed_precision(self) -> str:
        return "bf16" if self.bf16 else "no"


class PackedStep:
    """Weights and moments [K, P] of K models, and the step that trains them.

    Args:
        weights: [K, P], as `PackedLooped.flatten` makes them; copied to the device.
        table: the rows that chunks speak of.
    """

    def __init__(
        self,
        model: PackedLooped,
        weights: torch.Tensor,
        configs: Sequence[TrainRecipe],
        table: RowTable,
        engine: Engine,
    ) -> None:
        device, dtype = engine.device, weights.dtype
        self.model, self.table, self.engine = model, table, engine
        self.weights = weights.to(device, copy=True).requires_grad_()
        self.first_moments, self.second_moments = (torch.zeros_like(self.weights) for _ in range(2))

        def column(values: Sequence[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64)[:, None].to(device, dtype)

        self._rest1 = column([1 - c.adam_beta1 for c in configs])
        self._beta2 = column([c.adam_beta2 for c in configs])
        self._rest2 = column([1 - c.adam_beta2 for c in configs])
        self._epsilon = column([c.adam_epsilon for c in configs])
        self._max_norm = column([c.max_grad_norm or float("inf") for c in configs])
        self._on_all = torch.tensor([[c.loss_on == "all"] for c in configs], device=device)
        k = len(configs)
        self._rows = torch.zeros(k, rows_per_step(configs[0]), dtype=torch.int64, device=device)
        self._scalars = torch.zeros(k, 4, dtype=dtype, device=device)
        self._figures = torch.zeros(k, 2, dtype=dtype, device=device)
        self._graphs: dict[tuple[int, int], Any] = {}
        self._memory: Any = None

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        """What a state to resume from consists of, each [K, P]."""
        return {
            "weights": self.weights.detach(),
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
        self._rows.copy_(chunk.rows[i])
        self._scalars.copy_(chunk.scalars[i])
        shape = (chunk.width, chunk.kept)
        if not self.engine.graph:
            self._step(*shape)
        else:
            if shape not in self._graphs:
                self._graphs[shape] = self._capture(*shape)
            self._graphs[shape].replay()
        return self._figures.clone()

    def _step(self, width: int, kept: int) -> None:
        with torch.autocast(self.weights.device.type, torch.bfloat16, enabled=self.engine.bf16, cache_enabled=False):
            losses = self._losses(width, kept)
        (gradient,) = torch.autograd.grad(losses.sum(), self.weights)
        with torch.no_grad():
            self._update(losses, gradient)

    def _losses(self, width: int, kept: int) -> torch.Tensor:
        """[K]: the mean cross entropy of every model over its loss-bearing tokens."""
        tokens = self.table.tokens(self._rows, width)
        bears_loss = self.table.bears_loss(self._rows, width, self._on_all)
        keep_KxM, targets_KxM = compact(bears_loss, tokens[..., 1:], kept)
        logits = self.model.logits(self.weights, tokens[..., :-1], keep_KxM)
        if logits.dtype != torch.float64:
            logits = logits.float()
        each = cross_entropy(logits.flatten(0, 1), targets_KxM.flatten(), ignore_index=IGNORED, reduction="none")
        return each.view_as(targets_KxM).sum(1) * self._scalars[:, 3]

    def _update(self, losses: torch.Tensor, gradient: torch.Tensor) -> None:
        """Clipping and AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), as torch computes them."""
        decay, step_size, root_of_correction, _ = self._scalars.split(1, dim=1)
        norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        self._figures.copy_(torch.cat([losses.detach()[:, None], norms], dim=1))
        gradient.mul_((self._max_norm / (norms + 1e-6)).clamp(max=1.0))
        self.weights.mul_(decay)
        self.first_moments.lerp_(gradient, self._rest1.expand_as(gradient))
        self.second_moments.mul_(self._beta2).addcmul_(gradient, gradient * self._rest2)
        size = self.second_moments.sqrt().div_(root_of_correction).add_(self._epsilon)
        self.weights.sub_((self.first_moments * step_size).div_(size))

    def _capture(self, width: int, kept: int) -> Any:
        before = {name: tensor.clone() for name, tensor in self.tensors.items()}
        side, here = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                self._step(width, kept)
        here.wait_stream(side)
        self.restore(before)
        graph = torch.cuda.CUDAGraph()
        # The graphs never run at once, and what they leave lies in buffers of ours: they can share their memory. Other
        # threads may use the device meanwhile.
        with torch.cuda.graph(graph, pool=self._memory, capture_error_mode="thread_local"):
            self._step(width, kept)
        self._memory = self._memory or graph.pool()
        return graph
