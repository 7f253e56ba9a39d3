"""Attention over rows that lie end to end, without padding and without a mask.

A batch of B rows with N tokens in all goes through a model as one sequence [1, N]. Everything but attention works token
by token, so it neither knows nor cares; attention is done row by row (on a CPU, by compiled loops; elsewhere by way of
a padded view)::

    lengths     8 8 | 17 17 17 | 22 22 ...          groups ((2, 8), (3, 17), (2, 22), ...)
    q [1,H,N,K] |--|--|----|----|----|-- ...         causal attention inside each row

Any model that takes its attention from `transformers`' table can be trained so (`attention_by_rows` says which we have
tested): the layout is passed as the keyword argument ``rows`` through the model's forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from listops_bench.model.ladder import MODEL_TYPES
from listops_bench.train._rows_kernels import attend, attend_backward

NAME = "listops_rows"


@dataclass(frozen=True)
class RowLayout:
    """How N tokens divide into rows.

    Attributes:
        groups: (rows, length) of each run of rows of equal length, in the order of the tokens.
        padded_index: int64 [N], where each token stands in a padded [B, T] view, flat; kept on the accelerator that
            uses it.
    """

    groups: tuple[tuple[int, int], ...]
    padded_index: torch.Tensor | None = None

    @property
    def padded_shape(self) -> tuple[int, int]:
        return sum(rows for rows, _ in self.groups), max(length for _, length in self.groups)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64 [B]: the length of each row."""
        rows, lengths = np.array(self.groups, np.int64).T
        return np.repeat(lengths, rows)

    @cached_property
    def places(self) -> torch.Tensor:
        """int64 [N]: where each token stands in the padded view."""
        lengths = self.lengths
        shift = np.arange(len(lengths)) * lengths.max() - (lengths.cumsum() - lengths)
        return torch.from_numpy(np.arange(lengths.sum()) + np.repeat(shift, lengths))

    def to(self, device: torch.device) -> RowLayout:
        """The layout for a device; a CPU needs no index."""
        if device.type == "cpu":
            return self
        return RowLayout(self.groups, send(self.places, device))


def send(x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy on a device, without waiting for it where that can be."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def rows_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    rows: RowLayout,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each row: queries [1, H, N, K] (keys, values may have fewer heads) to [1, N, H, K]."""
    heads = query.shape[1]
    q, k, v = (
        x[0].repeat_interleave(heads // x.shape[1], 0) if x.shape[1] < heads else x[0] for x in (query, key, value)
    )
    dropout = dropout if module.training else 0.0
    compiled = q.device.type == "cpu" and q.dtype in (torch.float32, torch.float64) and not dropout
    if compiled and rows.padded_index is None:
        scaling = q.shape[-1] ** -0.5 if scaling is None else scaling
        q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        return compiled_attention(q, k, v, rows.lengths, scaling)[None], None
    return _padded(q, k, v, rows, {"is_causal": True, "scale": scaling, "dropout_p": dropout})[None], None


def compiled_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: npt.NDArray[np.int64], scale: float
) -> torch.Tensor:
    """Queries, keys and values [N, H, K] to [N, H, K], on a CPU, for rows of the ``lengths`` [B]."""
    y: torch.Tensor = _Compiled.apply(q.contiguous(), k.contiguous(), v.contiguous(), lengths, scale)
    return y


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: npt.NDArray[np.int64], scale: float
    ) -> torch.Tensor:
        y, p = torch.empty_like(q), q.new_empty(q.shape[1] * int((lengths * (lengths + 1) // 2).sum()))
        ctx.save_for_backward(q, k, v, y, p)
        ctx.lengths, ctx.scale = lengths, y.numpy().dtype.type(scale)
        attend(q.numpy(), k.numpy(), v.numpy(), ctx.lengths, ctx.scale, y.numpy(), p.numpy())
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        tensors = [x.numpy() for x in (grads[0].contiguous(), *ctx.saved_tensors)]
        results = [torch.zeros_like(x) for x in ctx.saved_tensors[:3]]
        attend_backward(*tensors, ctx.lengths, ctx.scale, *(x.numpy() for x in results))
        return *results, None, None


def _padded(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: RowLayout, options: dict[str, Any]
) -> torch.Tensor:
    """[H, N, K] to [N, H, K] by way of [B, H, T, K], padded on the right, where a causal row does not look."""
    shape = rows.padded_shape
    index = rows.places if rows.padded_index is None else rows.padded_index

    def pad(x: torch.Tensor) -> torch.Tensor:
        padded = x.new_zeros(shape[0] * shape[1], x.shape[0], x.shape[2])
        return padded.index_copy(0, index, x.transpose(0, 1)).unflatten(0, shape).transpose(1, 2)

    y_BxHxTxK = scaled_dot_product_attention(pad(q), pad(k), pad(v), **options)
    return y_BxHxTxK.transpose(1, 2).flatten(0, 1).index_select(0, index)


AttentionInterface.register(NAME, rows_attention)


def attention_by_rows(model: PreTrainedModel) -> bool:
    """Whether a model is known to pass ``rows`` through and to attend causally; others are trained padded."""
    return model.config.model_type in MODEL_TYPES


@contextmanager
def using_attention(model: PreTrainedModel, name: str) -> Iterator[None]:
    """Inside, the model has the attention of a name; after it, the one that it had."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


using_rows = partial(using_attention, name=NAME)
"""Inside, the model attends row by row, and expects ``rows`` with every forward."""
