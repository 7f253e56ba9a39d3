"""The looped decoder. This file travels with every checkpoint: it imports torch, `transformers` and its configuration.

    tokens -> embedding (+ learned positions) -> block -> block -> ... -> norm -> the embedding, transposed -> logits
                                                 ^ one set of weights          ^ or weights of its own, untied
                                                   applied n_loop times

Shapes in names: B sequences, T tokens each, D width, H heads, K head size, V vocabulary.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_looped import LoopedConfig

Positions = torch.Tensor | slice | None
"""Which positions of a sequence to keep: an index, a slice, or None for all."""

CACHE = "cache" if "cache" in inspect.signature(create_causal_mask).parameters else "past_key_values"
"""What `transformers` calls the keys and values of earlier tokens: the former from 5.24 on. Models here take both."""


class LoopedBlock(GradientCheckpointingLayer):
    """Pre-LN attention and feed-forward layer (GPT-2's order, without attention biases)."""

    def __init__(self, config: LoopedConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.head_dim = config.head_dim
        self.scaling = config.head_dim**-0.5
        self.is_causal = True
        self.ln_attention = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.ln_feed_forward = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.up = nn.Linear(width, config.intermediate_size, bias=config.feed_forward_bias)
        self.down = nn.Linear(config.intermediate_size, width, bias=config.feed_forward_bias)
        self.activation = ACT2FN[config.hidden_act]

    def forward(
        self,
        x_BxTxD: torch.Tensor,
        attention_mask: torch.Tensor | None,
        rotation: tuple[torch.Tensor, torch.Tensor] | None,
        past_key_values: Cache | None,
        loop: int,
        keep: Positions = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        attended = self.attention(self.ln_attention(x_BxTxD), attention_mask, rotation, past_key_values, loop, **kwargs)
        if keep is not None:  # nobody looks at the other positions any more: spare them the feed-forward layer
            x_BxTxD, attended = x_BxTxD[:, keep], attended[:, keep]
        x_BxTxD = x_BxTxD + self.out(attended)
        return x_BxTxD + self.down(self.activation(self.up(self.ln_feed_forward(x_BxTxD))))

    def attention(
        self,
        x_BxTxD: torch.Tensor,
        attention_mask: torch.Tensor | None,
        rotation: tuple[torch.Tensor, torch.Tensor] | None,
        past_key_values: Cache | None,
        loop: int,
        **kwargs: Any,
    ) -> torch.Tensor:
        b, t, d = x_BxTxD.shape
        q_BxHxTxK, k, v = (y.view(b, t, -1, self.head_dim).transpose(1, 2) for y in self.qkv(x_BxTxD).chunk(3, dim=-1))
        if rotation is not None:
            q_BxHxTxK, k = rotate(q_BxHxTxK, *rotation), rotate(k, *rotation)
        if past_key_values is not None:
            k, v = past_key_values.update(k, v, loop)
        attend: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention
        )
        y_BxTxHxK, _ = attend(self, q_BxHxTxK, k, v, attention_mask, dropout=0.0, scaling=self.scaling, **kwargs)
        return y_BxTxHxK.reshape(b, t, d)


def eager_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention spelt out: output [B, T, H, K] and weights [B, H, T, S]."""
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=-1)
    return (weights @ value).transpose(1, 2), weights


def rotation_angles(position_ids: torch.Tensor, head_dim: int, base: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [B, 1, T, K/2] of rotary positions (Su et al. 2021, arXiv:2104.09864)."""
    pairs = torch.arange(0, head_dim, 2, dtype=torch.float32, device=position_ids.device)
    angles = position_ids[:, None, :, None].float() * base ** (-pairs / head_dim)
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turns each pair (x[i], x[i + K/2]) of a [B, H, T, K] tensor by its angle."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class LoopedPreTrainedModel(PreTrainedModel):
    config_class = LoopedConfig
    base_model_prefix = "model"
    _no_split_modules = ["LoopedBlock"]
    _skip_keys_device_placement = ["past_key_values", "cache"]
    _supports_sdpa = True
    _supports_attention_backend = True
    supports_gradient_checkpointing = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # transformers' default (everything normal with one standard deviation, 0.02) leaves tiny models on their
        # plateau for longer. Here: torch's own linear layers, and embeddings of unit expected norm.
        if isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                bound = 1 / math.sqrt(module.in_features)
                nn.init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=1 / math.sqrt(module.embedding_dim))
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


class LoopedModel(LoopedPreTrainedModel):
    """The decoder without its output layer."""

    def __init__(self, config: LoopedConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        if config.positions == "learned":
            self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.block = LoopedBlock(config)
        self.ln = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embedding = value

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        keep: Positions = None,
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Hidden states [B, T, D], or those of the positions in ``keep``.

        Without ``position_ids`` they follow from the attention mask, so padding on either side is right. Position ids
        that begin again inside a sequence mark packed rows: no row then sees another (pass no attention mask).

        Raises:
            TypeError: keys and values of earlier tokens under a name that is not known, which would be overlooked.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if unknown := [name for name, value in kwargs.items() if isinstance(value, Cache)]:
            raise TypeError(f"{unknown[0]} is no name here for the keys and values of earlier tokens; {CACHE} is")
        past_key_values = cache if past_key_values is None else past_key_values
        x_BxTxD = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = positions_of(attention_mask, past_key_values, x_BxTxD)
        # Before an empty cache is made: with one, transformers does not look for packed rows.
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=x_BxTxD,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **{CACHE: past_key_values},
        )
        use_cache = self.config.use_cache and not self.training if use_cache is None else use_cache
        if self.training and self.block.gradient_checkpointing:  # the block runs twice, and would fill a cache twice
            use_cache, past_key_values = False, None
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        rotation = None
        if self.config.positions == "learned":
            x_BxTxD = x_BxTxD + self.position_embedding(position_ids)
        else:
            rotation = rotation_angles(position_ids, self.config.head_dim, self.config.rotary_base)
        for loop in range(self.config.n_loop):
            last = loop == self.config.n_loop - 1
            x_BxTxD = self.block(x_BxTxD, mask, rotation, past_key_values, loop, keep=keep if last else None, **kwargs)
        return BaseModelOutputWithPast(
            last_hidden_state=self.ln(x_BxTxD), **{CACHE: past_key_values if use_cache else None}
        )


def positions_of(
    attention_mask: torch.Tensor | None, past_key_values: Cache | None, x_BxTxD: torch.Tensor
) -> torch.Tensor:
    """Position ids [B, T] (or [1, T]): each token's place among the unmasked tokens of its sequence."""
    t = x_BxTxD.shape[1]
    if attention_mask is not None and attention_mask.ndim == 2:
        places: torch.Tensor = (attention_mask.long().cumsum(dim=-1) - 1).clamp(min=0)
        return places[:, -t:]
    seen = past_key_values.get_seq_length() if past_key_values is not None else 0
    return torch.arange(seen, seen + t, device=x_BxTxD.device)[None]


class LoopedForCausalLM(LoopedPreTrainedModel, GenerationMixin):
    """The decoder with its output layer: the embedding, transposed, unless they are untied."""

    _tied_weights_keys = {"lm_head.weight": "model.embedding.weight"}

    def __init__(self, config: LoopedConfig) -> None:
        super().__init__(config)
        self.model = LoopedModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        cache: Cache | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [B, T, V], or those of ``logits_to_keep``: the last so many positions, or an index of positions.

        With ``labels`` [B, T] (-100 where nothing is to be learned) also the loss, the next tokens' mean cross entropy.
        """
        keep: Positions = logits_to_keep if isinstance(logits_to_keep, torch.Tensor) else None
        if isinstance(logits_to_keep, int) and logits_to_keep > 0:
            keep = slice(-logits_to_keep, None)
        loss_kwargs = {key: kwargs.pop(key) for key in ("num_items_in_batch", "shift_labels") if key in kwargs}
        output = self.model(
            input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache, keep, cache, **kwargs
        )
        logits = self.lm_head(output.last_hidden_state)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **loss_kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE: getattr(output, CACHE)})


LoopedForCausalLM.register_for_auto_class("AutoModelForCausalLM")
