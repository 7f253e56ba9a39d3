"""The parts of a model: which of its parameters are embeddings, attention and feed-forward layers.

    embeddings      the token and position tables, and an output layer that is not the token table again
    attention       of every layer: the norm before it, and its matrices
    feed_forward    of every layer: the norm before it, and its matrices; and the norm after the last layer

Every parameter of our families is in one part. A norm goes with the sublayer that reads what it gives. The last one
goes with what wrote last before it, since tables are tables in every family, and it is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from listops_bench.errors import InvalidInput, unknown

PARTS = ("embeddings", "attention", "feed_forward")


class Names(NamedTuple):
    """Names of a family's modules.

    Attributes:
        layers: all layers, or the one that is used again.
        attention, feed_forward: of a layer; the norm is the first, the output matrix the last.
        last_norm: after the last layer.
    """

    layers: str
    attention: tuple[str, ...]
    feed_forward: tuple[str, ...]
    last_norm: str


NAMES = {
    "listops_looped": Names(
        "model.block", ("ln_attention", "qkv", "out"), ("ln_feed_forward", "up", "down"), "model.ln"
    ),
    "gpt2": Names(
        "transformer.h",
        ("ln_1", "attn.c_attn", "attn.c_proj"),
        ("ln_2", "mlp.c_fc", "mlp.c_proj"),
        "transformer.ln_f",
    ),
    "llama": Names(
        "model.layers",
        ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
        ("post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
        "model.norm",
    ),
}
"""By ``model_type`` of the configuration."""


def parameters_in(model: PreTrainedModel, patterns: Iterable[str]) -> frozenset[str]:
    """Names of the parameters that are in some parts, or whose names fit patterns such as ``model.block.*``.

    Raises:
        InvalidInput: a pattern that fits no parameter (the nearest name is given), or a family without such parts.
    """
    names = [name for name, _ in model.named_parameters()]
    found: set[str] = set()
    for pattern in patterns:
        own = _part(model, pattern) if pattern in PARTS else {name for name in names if fnmatchcase(name, pattern)}
        if not own:
            raise unknown("parameter", pattern, [*PARTS, *names])
        found |= own
    return frozenset(found)


def _part(model: PreTrainedModel, part: str) -> set[str]:
    if part == "embeddings":
        tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
        own = {id(p) for module in (*tables, model.get_output_embeddings()) if module for p in module.parameters()}
        return {name for name, parameter in model.named_parameters() if id(parameter) in own}
    kind = model.config.model_type
    if kind not in NAMES:
        raise InvalidInput(f"models of type {kind!r} have no part {part!r}; those that have are {', '.join(NAMES)}")
    names = NAMES[kind]
    modules = [rf"{re.escape(names.layers)}(\.\d+)?\.{re.escape(module)}" for module in getattr(names, part)]
    modules += [re.escape(names.last_norm)] if part == "feed_forward" else []
    own_name = re.compile(rf"({'|'.join(modules)})\.\w+")
    return {name for name, _ in model.named_parameters() if own_name.fullmatch(name)}


@torch.no_grad()
def copy_parameters(source: PreTrainedModel, target: PreTrainedModel, names: Iterable[str]) -> None:
    """Gives parameters of one model the values of another's. Both have them, of the same shapes."""
    for name in names:
        target.get_parameter(name).copy_(source.get_parameter(name))


@torch.no_grad()
def keep_axes(model: PreTrainedModel, count: int) -> None:
    """Leaves of the token table [V, D] what lies in its first principal axes, about the mean of its rows."""
    table = model.get_input_embeddings().weight
    mean = table.double().mean(0)
    axes = torch.linalg.svd(table.double() - mean, full_matrices=False).Vh[:count]
    table.copy_(mean + (table.double() - mean) @ axes.mT @ axes)


def matching_parameters(
    model: PreTrainedModel, source: PreTrainedModel, patterns: Iterable[str], where: str
) -> frozenset[str]:
    """`parameters_in` a model, which those of a checkpoint can take the place of.

    Raises:
        InvalidInput: as `parameters_in`; or the checkpoint, named ``where``, is of another family or shape.
    """
    patterns = tuple(patterns)
    ours, theirs = model.config.model_type, source.config.model_type
    if ours != theirs:
        raise InvalidInput(f"checkpoint {where!r} is of type {theirs!r}, and the model that takes parts of it {ours!r}")
    names = parameters_in(model, patterns)
    for name in sorted(names | parameters_in(source, patterns)):
        here, there = _shape(model, name), _shape(source, name)
        if here != there:
            raise InvalidInput(f"checkpoint {where!r} has {name} of shape {there}, and the model {here}")
    return names


def _shape(model: PreTrainedModel, name: str) -> str:
    own = dict(model.named_parameters()).get(name)
    return "none" if own is None else str(list(own.shape))
