"""The ladder: model configurations by size, in families. ``model_configs/NAME/config.json`` holds `config_text`,
``model_configs/sizes.json`` the `parameter_counts` of all.

One dial, the width, makes a rung::

    looped_d048        one block applied 3 times, one head, learned positions: the reference family
    looped_rope_d048   the same with rotary positions
    gpt2_d048          GPT-2, 3 separate layers, one head
    llama_d048         Llama, 3 separate layers, one head
    nrgpt_d032         the recurrent GPT of a recipe: one block applied 5 times, one head, learned positions, ReLU,
                       an output layer of its own, and no biases in the block's linear layers

All others have tied embeddings, and all a context of 128 tokens and no dropout. The numbers in a config are those of
modulus 10.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedConfig, PreTrainedModel

from listops_bench._base.hashing import key64
from listops_bench._base.options import check_number
from listops_bench._base.resources import resource_path
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput, unknown
from listops_bench.model._config_file import read_config
from listops_bench.model._weights_file import stored_tensors
from listops_bench.model.configuration_looped import LoopedConfig
from listops_bench.runs.record import Parameters
from listops_bench.tasks.operations import MAX_MODULUS
from listops_bench.tasks.symbols import EOS_ID, FIRST_NUMBER_ID, PAD_ID, Symbols, find_symbols, symbols_of, vocabulary

CONTEXT = 128
LAYERS = 3
FLOPS_CONTEXT = 32
"""Tokens of the row on which FLOPs per token are counted; a typical row has 20, the longest of depth 2 has 27."""

_WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_FEW_WIDTHS = (16, 32, 48, 64, 128)
_NRGPT_WIDTHS = (8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 101, 128, 161, 203, 256)  # int(2**linspace(3, 8, 16))
_SHARED: dict[str, Any] = {
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 1,
    "max_position_embeddings": CONTEXT,
    "vocab_size": len(vocabulary(10)),
    "bos_token_id": None,
    "eos_token_id": EOS_ID,
    "pad_token_id": PAD_ID,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class _Family:
    """A kind of model, its widths, and what its rungs say beside `_SHARED`."""

    config: type[PreTrainedConfig]
    widths: tuple[int, ...]
    values: dict[str, Any] = field(default_factory=dict)

    def at(self, width: int) -> PreTrainedConfig:
        own = {**_SHARED, **self.values}
        if self.config is LlamaConfig:  # three matrices instead of two: as many parameters as a ratio of 4
            own["intermediate_size"] = 8 * width // 3 // 8 * 8
        return self.config(hidden_size=width, **own)


_FAMILIES = {
    "looped": _Family(LoopedConfig, _WIDTHS),
    "looped_rope": _Family(LoopedConfig, _WIDTHS, {"positions": "rotary"}),
    # GPT-2's defaults drop 10% of everything.
    "gpt2": _Family(GPT2Config, _FEW_WIDTHS, {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}),
    "llama": _Family(LlamaConfig, _FEW_WIDTHS, {"num_key_value_heads": 1}),
    "nrgpt": _Family(
        LoopedConfig,
        _NRGPT_WIDTHS,
        {"num_hidden_layers": 5, "hidden_act": "relu", "feed_forward_bias": False, "tie_word_embeddings": False},
    ),
}


FAMILIES = tuple(_FAMILIES)
MODEL_TYPES = tuple(dict.fromkeys(family.config.model_type for family in _FAMILIES.values()))
"""The families as `transformers` has them, where positions make no difference."""


def model_names() -> tuple[str, ...]:
    """The names of all rungs, family by family, by size."""
    return tuple(f"{family}_d{width:03d}" for family, kind in _FAMILIES.items() for width in kind.widths)


def make_config(name: str) -> PreTrainedConfig:
    """The configuration that a rung's file holds, made from its name.

    Raises:
        InvalidInput: no such rung.
    """
    if name not in model_names():
        raise _unknown_model(name)
    family, _, width = name.rpartition("_d")
    return _FAMILIES[family].at(int(width))


def config_at(family: str, width: int | None) -> PreTrainedConfig | None:
    """What a rung of a family would be at a width from its smallest to its largest; None for all else."""
    found = _FAMILIES.get(family)
    if found is None or width is None or not min(found.widths) <= width <= max(found.widths):
        return None
    try:
        return found.at(width)
    except Exception:  # rotary positions have no odd width; every class says so in its own way
        return None


def find_family(config: PreTrainedConfig) -> str | None:
    """The family whose rung a configuration is, or would be between two rungs."""
    width, text = getattr(config, "hidden_size", None), _model_text(config)
    rungs = {family: config_at(family, width) for family in _FAMILIES}
    return next((family for family, rung in rungs.items() if rung is not None and _model_text(rung) == text), None)


def config_text(name: str) -> str:
    """What the config.json of a rung holds."""
    values = make_config(name).to_diff_dict()
    values.pop("transformers_version", None)  # says who wrote the file, not what the model is
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def load_config(name_or_path: str | os.PathLike[str], modulus: Symbols | int | None = 10) -> PreTrainedConfig:
    """The configuration of a rung, or of a config file or model folder of your own.

    Args:
        modulus: or another symbol set, whose vocabulary the model gets; None leaves the configuration's own.

    Raises:
        InvalidInput: no such rung or file (the nearest rung is named), or a configuration that fits no model.
    """
    path = Path(name_or_path)
    if str(name_or_path) in model_names():
        path = resource_path("model_configs", str(name_or_path))
    elif not path.exists():
        raise _unknown_model(str(name_or_path))
    folder = path.parent if path.is_file() else path
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"model {str(name_or_path)!r} has no config.json")
    config = read_config(folder / "config.json")
    if modulus is not None:
        use_our_vocabulary(config, modulus, str(name_or_path))
    return config


def use_our_vocabulary(config: PreTrainedConfig, modulus: Symbols | int, where: str) -> None:
    """Sets the vocabulary of a modulus, or of another symbol set, and its special tokens.

    Raises:
        InvalidInput: there is no such modulus; ``where`` stands in front.
    """
    try:
        size = len(vocabulary(modulus))
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
    config.vocab_size = size
    config.pad_token_id, config.bos_token_id, config.eos_token_id = PAD_ID, None, EOS_ID


_NOT_THE_MODEL = frozenset(
    {"vocab_size", "transformers_version", "dtype", "architectures", "auto_map", "_name_or_path", "use_cache"}
)
"""What a config.json says beside the model: its vocabulary, which follows the modulus, and who wrote and reads it."""


def _model_text(config: PreTrainedConfig) -> str:
    """Equal for configurations of one architecture and size, whatever their vocabularies."""
    values = {key: value for key, value in config.to_diff_dict().items() if key not in _NOT_THE_MODEL}
    return json.dumps(values, sort_keys=True)


def model_identity(name_or_path: str | os.PathLike[str]) -> str:
    """What tells a model from others wherever its config.json lies: a rung's name, or else a digest of what it says.

    A configuration of your own that describes a rung is that rung.

    Raises:
        InvalidInput: as `load_config`.
    """
    if str(name_or_path) in model_names():
        return str(name_or_path)
    config = load_config(name_or_path)
    values = _model_text(config)
    return _rungs().get(values) or f"{config.model_type}-{hashlib.sha256(values.encode()).hexdigest()[:16]}"


@lru_cache
def _rungs() -> dict[str, str]:
    return {_model_text(make_config(name)): name for name in model_names()}


def _unknown_model(name: str) -> InvalidInput:
    family, _, width = name.rpartition("_d")
    if family in _FAMILIES and width.isdecimal():
        near = min(_FAMILIES[family].widths, key=lambda w: abs(w - int(width)))
        return InvalidInput(f"unknown model {name!r}; did you mean '{family}_d{near:03d}'?")
    return unknown("model", name, model_names())


def model_symbols(config: PreTrainedConfig, word: str | None = None) -> Symbols:
    """The symbols of a model's vocabulary: those of the word that its record has, or else numbers modulo n.

    Raises:
        InvalidInput: no such set, or one with a vocabulary of another size.
    """
    if not word:
        size = int(config.vocab_size)
        if size > FIRST_NUMBER_ID + MAX_MODULUS:
            raise InvalidInput(
                f"a vocabulary of {size} tokens is larger than any of ours: a model with a tokenizer of its own goes "
                "through lm-eval (tasks listops_..._few_shot, then `listops-bench import-lm-eval`)"
            )
        return symbols_of(size - FIRST_NUMBER_ID)
    found = find_symbols(word)
    if (size := len(vocabulary(found))) != config.vocab_size:
        raise InvalidInput(f"a vocabulary of {config.vocab_size} tokens is not that of {found}, which has {size}")
    return found


def build_model(
    name: str | os.PathLike[str] | PreTrainedConfig, modulus: Symbols | int | None = 10, seed: int = 0
) -> PreTrainedModel:
    """A model with fresh float32 weights that depend on the seed alone; torch's global random state stays as it is.

    Raises:
        InvalidInput: as `load_config`, no causal language model can be made from the configuration, or no such seed.
    """
    check_number("seed", seed, 0)
    config = copy.deepcopy(name) if isinstance(name, PreTrainedConfig) else load_config(name, modulus)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key64(f"listops/init/{seed}") >> 1)
        try:
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        except Exception as error:  # every class checks its values in its own way
            reason = f"no language model can be made from {config.model_type!r}: {one_line(error)}"
            raise InvalidInput(reason) from None
    return model


def parameter_counts(model: PreTrainedModel) -> Parameters:
    """Sizes computed from the weights.

    ``total`` counts everything that the model stores once, however often it is used, buffers that training or a hand
    could set among it; ``embedding`` are those of token and position tables and of the output layer, ``non_embedding``
    the rest. ``flops_per_token`` are the floating-point operations
    of the forward pass's matrix products (a multiply-add counts as two, a block applied three times three times), per
    token of a row of `FLOPS_CONTEXT` tokens.
    """
    tables = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    output = model.get_output_embeddings()
    if output is not None:
        tables.append(output.weight)
    total, embedding = sum(tensor.numel() for _, tensor in stored_tensors(model)), _count(tables)
    return Parameters(total, embedding, total - embedding, _flops_per_token(model))


def _count(parameters: Iterable[torch.Tensor]) -> int:
    return sum(parameter.numel() for parameter in {id(p): p for p in parameters}.values())


def _flops_per_token(model: PreTrainedModel) -> int:
    """Two per weight of every matrix, each time it is applied, and four per place, layer and unit of attention."""
    flops = 0

    def count(module: torch.nn.Module, *_: Any) -> None:
        nonlocal flops
        flops += 2 * module.get_parameter("weight").numel()

    matrices = [module for module in model.modules() if _is_matrix(module)]
    hooks = [matrix.register_forward_hook(count) for matrix in matrices]
    ids = torch.full((1, 1), EOS_ID, device=model.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(input_ids=ids, position_ids=torch.zeros_like(ids), use_cache=False)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return flops + 4 * model.config.hidden_size * model.config.num_hidden_layers * FLOPS_CONTEXT


def _is_matrix(module: torch.nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.nn.Parameter) and weight.ndim == 2 and not isinstance(module, torch.nn.Embedding)
