"""Attention over rows that lie end to end, without padding and without a mask.

A batch of B rows with N tokens in all goes through a model as one sequence [1, N]. Everything but attention works token
by token, so it neither knows nor cares; attention is done row by row, rows of equal length together. With the batch
sorted by length those lie side by side, and no copy is made::

    lengths     8 8 | 17 17 17 | 22 22 ...          groups ((2, 8), (3, 17), (2, 22), ...)
    q [1,H,N,K] |------|--------------|-------- ...  each group viewed as [rows, H, length, K], causal attention

Any model that takes its attention from `transformers`' table can be trained so (`attention_by_rows` says which we have
tested): the layout is passed as the keyword argument ``rows`` through the model's forward.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

NAME = "listops_rows"
FAMILIES = ("listops_looped", "gpt2", "llama")
"""Model types known to pass ``rows`` through and to attend causally over the whole row; others are trained padded."""


@dataclass(frozen=True)
class RowLayout:
    """How N tokens divide into rows.

    Attributes:
        groups: (rows, length) of each run of rows of equal length, in the order of the tokens.
        padded_index: int64 [N], where each token stands in a padded [B, T] view, flat. Accelerators use it: there a
            few large kernels beat many small ones.
    """

    groups: tuple[tuple[int, int], ...]
    padded_index: torch.Tensor | None = None

    @property
    def padded_shape(self) -> tuple[int, int]:
        return sum(rows for rows, _ in self.groups), max(length for _, length in self.groups)

    def to(self, device: torch.device) -> RowLayout:
        """The layout for a device; on a CPU no index is needed."""
        if device.type == "cpu":
            return self
        _, width = self.padded_shape
        rows = torch.tensor([n for n, _ in self.groups])
        lengths = torch.tensor([length for _, length in self.groups]).repeat_interleave(rows)
        starts = lengths.cumsum(0) - lengths
        shift = (torch.arange(len(lengths)) * width - starts).repeat_interleave(lengths)
        index = torch.arange(len(shift)) + shift
        index = index.pin_memory() if device.type == "cuda" else index
        return RowLayout(self.groups, index.to(device, non_blocking=True))


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
    options: dict[str, Any] = {"is_causal": True, "scale": scaling, "dropout_p": dropout if module.training else 0.0}
    if rows.padded_index is not None:
        return _padded(q, k, v, rows.padded_index, rows.padded_shape, options)[None], None
    sizes = [n * length for n, length in rows.groups]
    parts = []
    for (n, _), *group in zip(rows.groups, q.split(sizes, 1), k.split(sizes, 1), v.split(sizes, 1), strict=True):
        q_nxHxTxK, k_nxHxTxK, v_nxHxTxK = (x.unflatten(1, (n, -1)).transpose(0, 1) for x in group)
        y = scaled_dot_product_attention(q_nxHxTxK, k_nxHxTxK, v_nxHxTxK, **options)
        parts.append(y.transpose(1, 2).flatten(0, 1))
    return torch.cat(parts)[None], None


def _padded(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    index: torch.Tensor,
    shape: tuple[int, int],
    options: dict[str, Any],
) -> torch.Tensor:
    """[H, N, K] to [N, H, K] by way of [B, H, T, K], padded on the right, where a causal row does not look."""

    def pad(x: torch.Tensor) -> torch.Tensor:
        padded = x.new_zeros(shape[0] * shape[1], x.shape[0], x.shape[2])
        return padded.index_copy(0, index, x.transpose(0, 1)).unflatten(0, shape).transpose(1, 2)

    y_BxHxTxK = scaled_dot_product_attention(pad(q), pad(k), pad(v), **options)
    return y_BxHxTxK.transpose(1, 2).flatten(0, 1).index_select(0, index)


def _no_mask(*args: Any, **kwargs: Any) -> None:
    return None


AttentionInterface.register(NAME, rows_attention)
AttentionMaskInterface.register(NAME, _no_mask)


def attention_by_rows(model: PreTrainedModel) -> bool:
    """Whether a model can be trained on rows laid end to end."""
    return model.config.model_type in FAMILIES


@contextmanager
def using_rows(model: PreTrainedModel) -> Iterator[None]:
    """Inside, the model expects ``rows`` with every forward; after it, its attention is what it was."""
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
