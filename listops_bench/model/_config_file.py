"""What a config.json may say: the model types that are read, and for each of their keys the values.

A key is one that the configuration class of `transformers` declares, with a value of the declared type in a range that
a small model needs; what could fetch, import or switch on other code, or let a position see what follows it, is no key
here. So whatever a stranger writes is either a plain configuration or one line that names the rule.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from transformers import CONFIG_MAPPING, PreTrainedConfig

from listops_bench._base import records
from listops_bench._base.files import read_json
from listops_bench._base.records import Range, Text
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput, unknown

READABLE_TYPES = (
    "listops_looped", "gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon", "llama", "mistral", "qwen2",
    "qwen3", "gemma", "gemma2", "gemma3_text", "olmo", "olmo2", "phi", "phi3", "stablelm", "starcoder2", "cohere",
    "granite", "smollm3", "mamba", "mamba2", "rwkv",
)  # fmt: skip
"""Those that a test saves, reads and scores: each the same to the last bit as `transformers` loads it."""

MAX_CONFIG_BYTES = 100_000
MAX_LAYERS = 256
"""What a configuration may ask for, loops of a shared block included."""

_Dimension = Annotated[int, Range(1, 65_536)]
_FromZero = Annotated[int, Range(0, 65_536)]
_Layers = Annotated[int, Range(1, MAX_LAYERS)]
_Tokens = Annotated[int, Range(1, 1_048_576)]
_Number = Annotated[float, Range(-1e9, 1e9)]
_TOKEN_ID = r"(pad|bos|eos)_token_id"
_Word = Annotated[str, Text(r"[^\x00-\x1f\x7f]*", 300)]
_Activation = Literal[
    "gelu", "gelu_fast", "gelu_new", "gelu_pytorch_tanh", "leaky_relu", "linear", "mish", "quick_gelu", "relu",
    "relu2", "relu6", "sigmoid", "silu", "swish", "tanh",
]  # fmt: skip
_DType = Literal["float32", "float16", "bfloat16"]

# By the first pattern that matches the whole of a key; the other keys follow from their declared types.
_BY_NAME: dict[str, Any] = {
    r"num_hidden_layers|num_layers|n_layer|n_loop": _Layers,
    r"(original_)?max_position_embeddings|n_positions|context_length|window_size|vocab_size": _Tokens,
    r"sliding_window": _Tokens | None,
    r"rescale_every|max_window_layers|no_rope_layer_interval|rotary_dim": _FromZero,
    r"hidden_act|activation_function|hidden_activation": _Activation,
    r"activation": _Activation | None,
    _TOKEN_ID: Annotated[int, Range(-1, 1_048_576)] | None,
    r"layer_types": list[Literal["full_attention", "sliding_attention"]] | None,
    r"no_rope_layers": list[Literal[0, 1]] | None,
    r"attention_types": list[list[Any]],
    r"positions": Literal["learned", "rotary"],
    r"time_step_init_scheme": Literal["random", "constant"],
    r"time_step_rank": _Dimension | None,
}

# What may only be what it is where nothing is said: it decides nothing here, or lets in what no rule has looked at.
_AS_IT_IS = re.compile(
    r"summary_.*|add_cross_attention|use_bidirectional_attention|is_decoder|pretraining_tp|slow_but_exact|layerdrop"
    r"|classifier_dropout|use_mambapy|use_associative_scan|time_step_limit|output_hidden_states|return_dict"
    r"|chunk_size_feed_forward|is_encoder_decoder|id2label|label2id|problem_type"
)

# What says who wrote a file, and not what the model is. It is looked at and left out.
_LEFT_OUT: dict[str, Any] = {
    "model_type": _Word,
    "architectures": list[_Word] | None,
    "transformers_version": _Word | None,
    "_name_or_path": _Word,
    "dtype": _DType | None,  # scores are float32
    "torch_dtype": _DType | None,
    "use_cache": bool,
}

_OUR_CODE = {
    "AutoConfig": "configuration_looped.LoopedConfig",
    "AutoModelForCausalLM": "modeling_looped.LoopedForCausalLM",
}
"""What a looped model's auto_map says. It is not read here, but by others who are told to trust the folder."""

_ROPE: dict[str, Any] = (
    {
        # "dynamic" and "longrope" turn by the length of the whole row: a position would be told what follows.
        "rope_type": Literal["default", "linear", "llama3", "yarn"],
        "rope_theta": Annotated[float, Range(1e-3, 1e9)],
        "partial_rotary_factor": Annotated[float, Range(1e-3, 1)],
        "factor": Annotated[float, Range(1, 1e6)],
        "original_max_position_embeddings": _Tokens,
        "truncate": bool,
    }
    | dict.fromkeys(
        ("low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow"), Annotated[float, Range(1e-3, 1e6)]
    )
    | dict.fromkeys(("attention_factor", "mscale", "mscale_all_dim"), Annotated[float, Range(-1e6, 1e6)] | None)
)
_OLDER_ROPE = {
    "rope_theta": "rope_theta",
    "rotary_emb_base": "rope_theta",
    "partial_rotary_factor": "partial_rotary_factor",
    "rotary_pct": "partial_rotary_factor",
}
"""What releases of `transformers` before 5 have beside `rope_scaling`, by what it is now."""


def read_config(path: Path) -> PreTrainedConfig:
    """The configuration in a config.json that anybody may have written. Nothing else is read, and nothing fetched.

    Raises:
        InvalidInput: naming the file, the key and the rule.
    """
    return config_of(read_json(path, max_bytes=MAX_CONFIG_BYTES, within=path.parent), str(path))


def config_of(values: Any, where: str) -> PreTrainedConfig:
    """The configuration that the JSON value of a config.json describes; ``where`` stands in front of errors."""
    if not isinstance(values, dict):
        raise InvalidInput(f"{where}: a config.json that is no object")
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in READABLE_TYPES:
        raise InvalidInput(f"{where}: {_unreadable(kind, values)}")
    kept = {key: value for key, value in values.items() if _is_kept(kind, key, value, where)}
    try:
        config: PreTrainedConfig = CONFIG_MAPPING[kind](**kept)
        said = json.loads(config.to_json_string(use_diff=False))
    except Exception as error:  # every class checks its values in its own way
        raise InvalidInput(f"{where}: fits no {kind}: {one_line(error)}") from None
    for key, value in values.items():
        left_out = key in _LEFT_OUT or key == "auto_map" or re.fullmatch(_TOKEN_ID, key)
        if key not in kept and not left_out and value not in (None, said.get(key)):
            raise InvalidInput(f"{where}: {key!r} may only be {str(said.get(key))[:60]}, or left away")
    return config


def _unreadable(kind: Any, values: Mapping[str, Any]) -> str:
    if not isinstance(kind, str):
        return "model_type is not a text"
    hint = _near(kind, READABLE_TYPES) or "; SUBMITTING.md lists those that are read"
    own = "; it needs code of its own, which is not run" if "auto_map" in values or kind not in CONFIG_MAPPING else ""
    return f"unknown model_type {kind[:80]!r}{hint}{own} (only `evaluate --trust-remote-code` does)"


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word[:80], known, n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""


@cache
def _fields(kind: str) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(CONFIG_MAPPING[kind])}


@cache
def _derived(kind: str) -> frozenset[str]:
    """What the class itself computes from what is declared, and writes down too."""
    return frozenset(json.loads(CONFIG_MAPPING[kind]().to_json_string(use_diff=False)))


def _is_kept(kind: str, key: str, value: Any, where: str) -> bool:
    """Whether a key goes into the configuration, or is left out: what it says there must then be what comes out.

    Raises:
        InvalidInput: it is not allowed there, or its value is not.
    """
    fields, place = _fields(kind), f"{where}: {key[:80]!r}"
    name = CONFIG_MAPPING[kind].attribute_map.get(key, key)
    if key == "auto_map" and kind == "listops_looped":
        if value != _OUR_CODE:
            raise InvalidInput(f"{place} names other code than that of this package")
        kept = False
    elif key in _LEFT_OUT:
        records.decode(_LEFT_OUT[key], value, place)
        kept = False
    elif "rope_parameters" in fields and (key in ("rope_parameters", "rope_scaling") or key in _OLDER_ROPE):
        older = _OLDER_ROPE.get(key)
        _check_rope({older: value} if older else value, place)
        kept = True
    elif name in fields and not _AS_IT_IS.fullmatch(name):
        kept = _check(kind, name, value, place)
    elif name in fields or key in _derived(kind):
        kept = False
    elif re.fullmatch(_TOKEN_ID, key):  # which some classes do not declare
        kept = _check(kind, key, value, place) and False
    else:
        allowed = [name for name in fields if not _AS_IT_IS.fullmatch(name)]
        raise InvalidInput(f"{place} is no key that is read of a {kind}{_near(key, allowed)}")
    return kept


def _check(kind: str, key: str, value: Any, where: str) -> bool:
    """Whether the value of a declared key is kept. Raises InvalidInput where it breaks the key's rule."""
    if key == "eos_token_id" and isinstance(value, list):  # ours is used in its place
        records.decode(list[_FromZero], value[:16], where)
        return False
    if key == "time_step_rank" and value == "auto":
        return True
    records.decode(_rule(kind, key), value, where)
    if key == "attention_types":
        _check_attention_types(value, where)
    if isinstance(value, list) and len(value) > MAX_LAYERS:
        raise InvalidInput(f"{where} is a list of {len(value):,}, and the most is {MAX_LAYERS}")
    return True


@cache
def _rule(kind: str, key: str) -> Any:
    """The type that the value of a declared key must have."""
    for pattern, rule in _BY_NAME.items():
        if re.fullmatch(pattern, key):
            return rule
    declared = _fields(kind)[key].type
    words = re.findall(r"\w+", declared if isinstance(declared, str) else str(declared))
    rules = (("bool", bool), ("float", _Number), ("int", _Dimension))
    # A type that is none of these has no rule yet, and no value passes.
    rule = next((rule for word, rule in rules if word in words), Literal["nothing"])
    return rule | None if "None" in words and rule != Literal["nothing"] else rule


def _check_rope(value: Any, where: str) -> None:
    """``{"rope_type": "default", "rope_theta": 10000.0}``, or one such object for each type of layer."""
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} is not an object")
    for key, one in value.items():
        if key in ("full_attention", "sliding_attention") and "attention" not in where.rpartition(".")[2]:
            _check_rope(one, f"{where}.{key}")
        elif key == "type" or key in _ROPE:  # "type" is the older name
            records.decode(_ROPE["rope_type" if key == "type" else key], one, f"{where}.{key}")
        else:
            raise InvalidInput(f"{where}: {unknown('key', key[:80], _ROPE)}")


def _check_attention_types(value: list[list[Any]], where: str) -> None:
    """``[[["global", "local"], 12]]``: kinds of layers, and how often they are repeated."""
    layers = 0
    for pair in value[:MAX_LAYERS]:
        kinds, times = pair if len(pair) == 2 else ([], 0)
        records.decode(list[Literal["global", "local"]], kinds, where)
        layers += len(kinds) * int(records.decode(_Layers, times, where))
    if layers > MAX_LAYERS:
        raise InvalidInput(f"{where} asks for {layers:,} layers, and the most is {MAX_LAYERS}")
