"""K looped decoders of one shape, computed as one.

All weights of all models lie in one tensor [K, P]: a row is a model. It is split into the models' parameters, each
[K, ...], on every forward pass; the gradient comes back as one tensor [K, P], and an optimizer step is a dozen
operations on it, however many models and parameters there are.

Shapes in names: K models, B rows of T tokens each, N = B * T, D width, H heads, M kept positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import layer_norm, scaled_dot_product_attention
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from listops_bench.model.configuration_looped import LoopedConfig
from listops_bench.model.modeling_looped import rotate, rotation_angles

Weights = Mapping[str, torch.Tensor]


class PackedLooped:
    """The forward pass of K `LoopedForCausalLM` at once; ``template`` is one of them, or one like them."""

    def __init__(self, template: PreTrainedModel) -> None:
        config = template.config
        assert isinstance(config, LoopedConfig)
        self.config = config
        self.activation = ACT2FN[config.hidden_act]
        self.shapes = {name: tuple(parameter.shape) for name, parameter in template.named_parameters()}
        self.sizes = [parameter.numel() for parameter in template.parameters()]

    def flatten(self, models: Sequence[PreTrainedModel]) -> torch.Tensor:
        """The weights [K, P] of some models, on the CPU."""
        rows = [torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models]
        return torch.stack(rows)

    @torch.no_grad()
    def write_into(self, model: PreTrainedModel, weights_P: torch.Tensor) -> None:
        """Gives a model the weights of one row."""
        for parameter, values in zip(model.parameters(), weights_P.cpu().split(self.sizes), strict=True):
            parameter.copy_(values.view_as(parameter))

    def logits(
        self, weights_KxP: torch.Tensor, ids_KxBxT: torch.Tensor, keep_KxM: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Logits [K, N, V], or [K, M, V] at the flat positions to keep.

        Rows are padded on the right, where a causal row does not look, and positions count from 0.
        """
        w = self._parameters(weights_KxP)
        k, b, t = ids_KxBxT.shape
        x_KxNxD = self._embed(w, ids_KxBxT)
        rotation = None
        if self.config.positions == "rotary":
            places = torch.arange(t, device=x_KxNxD.device)[None]
            rotation = rotation_angles(places, self.config.head_dim, self.config.rotary_base)
        for loop in range(self.config.n_loop):
            attended_KxNxD = self._attention(w, x_KxNxD, (k * b, t), rotation)
            if keep_KxM is not None and loop == self.config.n_loop - 1:
                x_KxNxD, attended_KxNxD = _take(x_KxNxD, keep_KxM), _take(attended_KxNxD, keep_KxM)
            x_KxNxD = x_KxNxD + torch.bmm(attended_KxNxD, w["model.block.out.weight"].mT)
            hidden = self.activation(
                _linear(w, "model.block.up", self._norm(w, "model.block.ln_feed_forward", x_KxNxD))
            )
            x_KxNxD = x_KxNxD + _linear(w, "model.block.down", hidden)
        return torch.bmm(self._norm(w, "model.ln", x_KxNxD), w["model.embedding.weight"].mT)

    def _parameters(self, weights_KxP: torch.Tensor) -> Weights:
        parts = weights_KxP.split(self.sizes, dim=1)
        shapes = self.shapes.items()
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes, parts, strict=True)}

    def _embed(self, w: Weights, ids_KxBxT: torch.Tensor) -> torch.Tensor:
        # A product with one-hot rows, not a look-up: the look-up's gradient is thousands of additions into each of some
        # twenty rows, which on a GPU wait for each other and come in any order.
        table_KxVxD = w["model.embedding.weight"]
        words = torch.arange(table_KxVxD.shape[1], device=ids_KxBxT.device)
        one_hot_KxNxV = (ids_KxBxT.flatten(1)[:, :, None] == words).to(table_KxVxD.dtype)
        with torch.autocast(ids_KxBxT.device.type, enabled=False):  # exact, as a look-up is
            x_KxNxD = torch.bmm(one_hot_KxNxV, table_KxVxD)
        if self.config.positions == "learned":
            places_KxTxD = w["model.position_embedding.weight"][:, : ids_KxBxT.shape[2]]
            x_KxNxD = (x_KxNxD.unflatten(1, ids_KxBxT.shape[1:]) + places_KxTxD[:, None]).flatten(1, 2)
        return x_KxNxD

    def _attention(
        self,
        w: Weights,
        x_KxNxD: torch.Tensor,
        rows: tuple[int, int],
        rotation: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> torch.Tensor:
        qkv = torch.bmm(self._norm(w, "model.block.ln_attention", x_KxNxD), w["model.block.qkv.weight"].mT)
        heads = (*rows, 3, -1, self.config.head_dim)
        q_BxHxTxK, k, v = qkv.view(heads).permute(2, 0, 3, 1, 4)
        if rotation is not None:
            q_BxHxTxK, k = rotate(q_BxHxTxK, *rotation), rotate(k, *rotation)
        y = scaled_dot_product_attention(q_BxHxTxK, k, v, is_causal=True, scale=self.config.head_dim**-0.5)
        return y.transpose(1, 2).reshape(x_KxNxD.shape)

    def _norm(self, w: Weights, name: str, x_KxNxD: torch.Tensor) -> torch.Tensor:
        normal = layer_norm(x_KxNxD, x_KxNxD.shape[-1:], eps=self.config.layer_norm_eps)
        return torch.addcmul(w[f"{name}.bias"][:, None], normal, w[f"{name}.weight"][:, None])


def _linear(w: Weights, name: str, x_KxNxD: torch.Tensor) -> torch.Tensor:
    return torch.baddbmm(w[f"{name}.bias"][:, None], x_KxNxD, w[f"{name}.weight"].mT)


def _take(x_KxNxD: torch.Tensor, keep_KxM: torch.Tensor) -> torch.Tensor:
    """[K, M, D]: some positions of every model."""
    k, n, _ = x_KxNxD.shape
    flat = keep_KxM + torch.arange(k, device=x_KxNxD.device)[:, None] * n
    return x_KxNxD.flatten(0, 1).index_select(0, flat.flatten()).unflatten(0, keep_KxM.shape)


def shape_of(config: Any) -> str | None:
    """What models must have in common to be packed, as one text; None where a family cannot be."""
    if not isinstance(config, LoopedConfig):
        return None
    names = ("vocab_size", "hidden_size", "num_attention_heads", "n_loop", "feed_forward_ratio", "hidden_act")
    more = ("positions", "rotary_base", "max_position_embeddings", "layer_norm_eps")
    return " ".join(f"{name}={getattr(config, name)}" for name in (*names, *more))
