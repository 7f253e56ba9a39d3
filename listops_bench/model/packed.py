"""K looped decoders of one shape, computed as one.

All weights of all models lie in one tensor [K, P]: a row is a model. It is split into the models' parameters, each
[K, ...], on every forward pass; the gradient comes back as one tensor [K, P], and an optimizer step is a dozen
operations on it, however many models and parameters there are.

Everything but attention works token by token, so rows may lie padded or end to end; whoever calls brings the attention
that knows how they lie.

Shapes in names: K models, B rows of T tokens each, N tokens in all, D width, H heads of size S, M kept positions, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import embedding, layer_norm, linear
from transformers import PreTrainedModel
from transformers.activations import ACT2FN

from listops_bench.model.configuration_looped import LoopedConfig
from listops_bench.model.modeling_looped import rotate, rotation_angles

Weights = Mapping[str, torch.Tensor]
Attend = Callable[[torch.Tensor, float], torch.Tensor]
"""Queries, keys and values [K, N, 3, H, S], and the factor of the scores, to what tokens attended to [K, N, H, S]."""


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
        self,
        weights_KxP: torch.Tensor,
        ids_KxN: torch.Tensor,
        positions_KxN: torch.Tensor,
        attend: Attend,
        keep_KxM: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits [K, N, V], or [K, M, V] at the positions to keep, of tokens in any layout that ``attend`` knows."""
        w = self._parameters(weights_KxP)
        x_KxNxD = _look_up(w["model.embedding.weight"], ids_KxN)
        rotation = None
        if self.config.positions == "learned":
            x_KxNxD = x_KxNxD + _look_up(w["model.position_embedding.weight"], positions_KxN)
        else:
            angles = rotation_angles(positions_KxN, self.config.head_dim, self.config.rotary_base)
            rotation = angles[0].transpose(1, 2), angles[1].transpose(1, 2)
        for loop in range(self.config.n_loop):
            attended_KxNxD = self._attention(w, x_KxNxD, attend, rotation)
            if keep_KxM is not None and loop == self.config.n_loop - 1:
                x_KxNxD, attended_KxNxD = _take(x_KxNxD, keep_KxM), _take(attended_KxNxD, keep_KxM)
            x_KxNxD = x_KxNxD + _linear(w, "model.block.out", attended_KxNxD)
            hidden = self.activation(
                _linear(w, "model.block.up", self._norm(w, "model.block.ln_feed_forward", x_KxNxD))
            )
            x_KxNxD = x_KxNxD + _linear(w, "model.block.down", hidden)
        output = "lm_head" if "lm_head.weight" in w else "model.embedding"
        return _linear(w, output, self._norm(w, "model.ln", x_KxNxD))

    def _parameters(self, weights_KxP: torch.Tensor) -> Weights:
        parts = weights_KxP.split(self.sizes, dim=1)
        shapes = self.shapes.items()
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes, parts, strict=True)}

    def _attention(
        self,
        w: Weights,
        x_KxNxD: torch.Tensor,
        attend: Attend,
        rotation: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> torch.Tensor:
        qkv = _linear(w, "model.block.qkv", self._norm(w, "model.block.ln_attention", x_KxNxD))
        qkv_KxNx3xHxS = qkv.unflatten(2, (3, -1, self.config.head_dim))
        if rotation is not None:
            q_KxNxHxS, k, v = qkv_KxNx3xHxS.unbind(2)
            qkv_KxNx3xHxS = torch.stack([rotate(q_KxNxHxS, *rotation), rotate(k, *rotation), v], dim=2)
        return attend(qkv_KxNx3xHxS, self.config.head_dim**-0.5).flatten(2)

    def _norm(self, w: Weights, name: str, x_KxNxD: torch.Tensor) -> torch.Tensor:
        if _is_one_read(x_KxNxD):
            return layer_norm(
                x_KxNxD, x_KxNxD.shape[-1:], w[f"{name}.weight"][0], w[f"{name}.bias"][0], self.config.layer_norm_eps
            )
        normal = layer_norm(x_KxNxD, x_KxNxD.shape[-1:], eps=self.config.layer_norm_eps)
        return torch.addcmul(w[f"{name}.bias"][:, None], normal, w[f"{name}.weight"][:, None])


def _is_one_read(x_KxNxD: torch.Tensor) -> bool:
    """Whether this is one model, which nobody trains: operations on one model's tensors are quicker then."""
    return len(x_KxNxD) == 1 and not torch.is_grad_enabled()


def _linear(w: Weights, name: str, x_KxNxD: torch.Tensor) -> torch.Tensor:
    weight, bias = w[f"{name}.weight"], w.get(f"{name}.bias")
    if _is_one_read(x_KxNxD):
        return linear(x_KxNxD, weight[0], None if bias is None else bias[0])
    return torch.bmm(x_KxNxD, weight.mT) if bias is None else torch.baddbmm(bias[:, None], x_KxNxD, weight.mT)


def _look_up(table_KxVxD: torch.Tensor, index_KxN: torch.Tensor) -> torch.Tensor:
    """[K, N, D]: every model's rows of its own table."""
    k, v, _ = table_KxVxD.shape
    if table_KxVxD.is_cuda and table_KxVxD.requires_grad:
        # A product with one-hot rows: the gradient of a look-up is thousands of additions into each of some twenty
        # rows, which on a GPU wait for each other and come in any order.
        one_hot_KxNxV = (index_KxN[:, :, None] == torch.arange(v, device=index_KxN.device)).to(table_KxVxD.dtype)
        with torch.autocast("cuda", enabled=False):  # exact, as a look-up is
            return torch.bmm(one_hot_KxNxV, table_KxVxD)
    return embedding(index_KxN + torch.arange(0, k * v, v, device=index_KxN.device)[:, None], table_KxVxD.flatten(0, 1))


def _take(x_KxNxD: torch.Tensor, keep_KxM: torch.Tensor) -> torch.Tensor:
    """[K, M, D]: some positions of every model."""
    k, n, _ = x_KxNxD.shape
    flat = keep_KxM + torch.arange(k, device=x_KxNxD.device)[:, None] * n
    return x_KxNxD.flatten(0, 1).index_select(0, flat.flatten()).unflatten(0, keep_KxM.shape)


def shape_of(config: Any) -> str | None:
    """What models must have in common to be packed, as one text; None where a family cannot be."""
    if not isinstance(config, LoopedConfig):
        return None
    if getattr(config, "is_causal", True) is not True:  # by which its attention looks ahead, and a pack's does not
        return None
    names = ("vocab_size", "hidden_size", "num_attention_heads", "n_loop", "feed_forward_ratio", "hidden_act")
    more = ("positions", "rotary_base", "max_position_embeddings", "layer_norm_eps")
    own = ("feed_forward_bias", "tie_word_embeddings")
    return " ".join(f"{name}={getattr(config, name)}" for name in (*names, *more, *own))
