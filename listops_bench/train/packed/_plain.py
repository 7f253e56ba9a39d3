"""The arithmetic of a packed step in torch: on a CPU, and on a GPU wherever our own kernels are not made for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from listops_bench.model.packed import Attend, PackedLooped
from listops_bench.train._batches import IGNORED
from listops_bench.train._precision import autocast
from listops_bench.train._rows import compiled_attention
from listops_bench.train.config import TrainRecipe
from listops_bench.train.packed._data import FlatBatch


def loss_and_gradient(
    model: PackedLooped, weights_KxP: torch.Tensor, batch: FlatBatch, scale_K: torch.Tensor, precision: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every model's cross entropy [K], summed over its targets and multiplied by its scale, and its gradient [K, P]."""
    weights = weights_KxP.detach().requires_grad_()
    keep_KxM, targets_KxM = compact(batch.targets, batch.shape.kept)
    with torch.enable_grad():
        with autocast(precision, weights.device, cache_weights=False):
            logits = model.logits(weights, batch.ids, batch.positions, attention(batch), keep_KxM)
        if logits.dtype != torch.float64:
            logits = logits.float()
        each = cross_entropy(logits.flatten(0, 1), targets_KxM.flatten(), ignore_index=IGNORED, reduction="none")
        losses = each.view_as(targets_KxM).sum(1) * scale_K
        (gradient,) = torch.autograd.grad(losses.sum(), weights)
    return losses.detach(), gradient


def compact(targets_KxN: torch.Tensor, kept: int) -> tuple[torch.Tensor, torch.Tensor]:
    """int64 [K, M] each: the positions of targets that count, in their order, and those targets; `IGNORED` fills up."""
    counts = targets_KxN != IGNORED
    k, n = targets_KxN.shape
    place_KxN = torch.where(counts, counts.cumsum(1) - 1, kept)  # all others meet in a place that is cut off
    positions = torch.arange(n, device=targets_KxN.device).expand(k, n)
    keep = positions.new_zeros(k, kept + 1).scatter_(1, place_KxN, positions)
    targets = positions.new_full((k, kept + 1), IGNORED).scatter_(1, place_KxN, targets_KxN)
    return keep[:, :kept], targets[:, :kept]


def attention(batch: FlatBatch) -> Attend:
    """Causal attention inside each row: by compiled loops on a CPU, elsewhere by way of a padded view."""
    k, n = batch.ids.shape
    b, t = batch.starts.shape[1] - 1, batch.shape.width
    lengths = _lengths(batch) if batch.ids.device.type == "cpu" else None
    models = torch.arange(k, device=batch.ids.device)[:, None]
    inside = batch.rows < b  # what is after the last row meets in a place that is cut off
    place_KxN = torch.where(inside, (models * b + batch.rows) * t + batch.positions, k * b * t)
    index = place_KxN.flatten()

    def attend(qkv_KxNx3xHxS: torch.Tensor, scale: float) -> torch.Tensor:
        q, key, value = qkv_KxNx3xHxS.unbind(2)
        if lengths is not None and q.dtype in (torch.float32, torch.float64):
            flat = compiled_attention(q.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), lengths, scale)
            return flat.unflatten(0, (k, n))

        def pad(x_KxNxHxS: torch.Tensor) -> torch.Tensor:
            padded = x_KxNxHxS.new_zeros(k * b * t + 1, *x_KxNxHxS.shape[2:])
            return padded.index_copy(0, index, x_KxNxHxS.flatten(0, 1))[:-1].unflatten(0, (k * b, t)).transpose(1, 2)

        y_RxHxTxS = scaled_dot_product_attention(pad(q), pad(key), pad(value), is_causal=True, scale=scale)
        y = y_RxHxTxS.transpose(1, 2).flatten(0, 1)
        return torch.cat([y, y.new_zeros(1, *y.shape[1:])]).index_select(0, index).unflatten(0, (k, n))

    return attend


def _lengths(batch: FlatBatch) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The length of every row of every model; what is after a model's last row counts as rows of one token."""
    lengths = []
    for starts in batch.starts.numpy().astype(np.int64):
        lengths += [np.diff(starts), np.ones(batch.shape.tokens - starts[-1], np.int64)]
    return np.concatenate(lengths)


@dataclass(frozen=True)
class Adam:
    """What of AdamW is the same in every step: [K, 1] each.

    Attributes:
        rest1, beta2, rest2: the decay rates, and what they leave of one.
    """

    rest1: torch.Tensor
    beta2: torch.Tensor
    rest2: torch.Tensor
    epsilon: torch.Tensor
    max_norm: torch.Tensor

    @classmethod
    def of(cls, configs: Sequence[TrainRecipe], like: torch.Tensor) -> Adam:
        """Of every model's recipe; dtype and device of a tensor."""
        columns = (
            [1 - c.adam_beta1 for c in configs],
            [c.adam_beta2 for c in configs],
            [1 - c.adam_beta2 for c in configs],
            [c.adam_epsilon for c in configs],
            [c.max_grad_norm or float("inf") for c in configs],
        )
        return cls(*(torch.tensor(values, dtype=torch.float64)[:, None].to(like) for values in columns))


def update(
    state: Mapping[str, torch.Tensor],
    gradient: torch.Tensor,
    adam: Adam,
    scalars_Kx4: torch.Tensor,
) -> torch.Tensor:
    """Clipping and AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), as torch computes them, in place.

    Args:
        state: `PackedStep.tensors`. gradient: [K, P]; it is spoilt.
        scalars_Kx4: of `Chunk`.

    Returns:
        The gradients' norms [K] before they were clipped.
    """
    weights, first_moments, second_moments = (state[name] for name in ("weights", "first_moments", "second_moments"))
    decay, step_size, root_of_correction, _ = scalars_Kx4.split(1, dim=1)
    norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    gradient.mul_((adam.max_norm / (norms + 1e-6)).clamp(max=1.0))
    weights.mul_(decay)
    first_moments.lerp_(gradient, adam.rest1.expand_as(gradient))
    second_moments.mul_(adam.beta2).addcmul_(gradient, gradient * adam.rest2)
    size = second_moments.sqrt().div_(root_of_correction).add_(adam.epsilon)
    weights.sub_((first_moments * step_size).div_(size))
    return norms[:, 0]
