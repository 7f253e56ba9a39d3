"""Configuration of the looped decoder. This file travels with every checkpoint, so it imports `transformers` only."""

from typing import Any

try:
    from transformers import PreTrainedConfig
except ImportError:
    raise ImportError("this model needs transformers 5: pip install --upgrade transformers") from None


class LoopedConfig(PreTrainedConfig):
    """One pre-LN decoder block applied ``n_loop`` times, without dropout and without attention biases.

    Attributes:
        vocab_size: tokens; 13 words and special tokens, and one per number.
        hidden_size: width of the residual stream.
        num_attention_heads: heads; must divide ``hidden_size``.
        n_loop: how often the block is applied. More loops add computation, not parameters.
        feed_forward_ratio: hidden units of the feed-forward layer, in multiples of ``hidden_size``.
        feed_forward_bias: whether the feed-forward layer has biases.
        hidden_act: activation of the feed-forward layer, by its `transformers` name.
        positions: ``"learned"`` (a table added to the embeddings) or ``"rotary"`` (queries and keys turned).
        rotary_base: base of the rotary frequencies (RoFormer, Su et al. 2021, equation 15, has 10,000; contexts here
            are a hundred times shorter).
        max_position_embeddings: longest sequence, in tokens.
        tie_word_embeddings: whether the output layer is the embedding, transposed; or else it has weights of its own.

    Raises:
        ValueError: values that fit no model, such as heads that do not divide the width.
    """

    model_type = "listops_looped"
    keys_to_ignore_at_inference = ["past_key_values", "cache"]  # annotated, it would become a field
    attribute_map = {"num_hidden_layers": "n_loop"}  # one slot of key-value cache per loop

    vocab_size: int = 22
    hidden_size: int = 48
    num_attention_heads: int = 1
    n_loop: int = 3
    feed_forward_ratio: int = 4
    feed_forward_bias: bool = True
    hidden_act: str = "gelu"
    positions: str = "learned"
    rotary_base: float = 100.0
    max_position_embeddings: int = 128
    layer_norm_eps: float = 1e-5
    use_cache: bool = True
    tie_word_embeddings: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = 1

    def __post_init__(self, **kwargs: Any) -> None:
        for name in ("vocab_size", "hidden_size", "num_attention_heads", "n_loop", "feed_forward_ratio"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a positive integer, not {getattr(self, name)!r}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"{self.num_attention_heads} heads do not divide hidden_size {self.hidden_size}")
        if self.positions not in ("learned", "rotary"):
            raise ValueError(f"positions must be 'learned' or 'rotary', not {self.positions!r}")
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"rotary positions need an even head size, not {self.head_dim}")
        super().__post_init__(**kwargs)

    def to_diff_dict(self) -> dict[str, Any]:
        """What a config.json holds: without the biases where there are any, as all that was written before them."""
        values: dict[str, Any] = super().to_diff_dict()
        if self.feed_forward_bias:
            values.pop("feed_forward_bias", None)
        return values

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def intermediate_size(self) -> int:
        return self.hidden_size * self.feed_forward_ratio


LoopedConfig.register_for_auto_class()
