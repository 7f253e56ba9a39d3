"""Where a model's sublayers write into the residual stream, and where the stream can be read.

All our families are pre-LN decoders of the same anatomy, for layers (or loops) l = 0 .. L-1::

    read 2l            -> attention of layer l     -> what its output matrix gives is added to the stream
    read 2l+1          -> feed-forward of layer l  -> what its output matrix gives is added to the stream
    read 2L            the stream before the last norm

A looped model calls the same modules once a loop; which loop it is follows from counting calls since the forward began.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench.errors import InvalidInput
from listops_bench.model.ladder import MODEL_TYPES
from listops_bench.tasks.generator import Rows

Kind = Literal["attention", "feed_forward"]
KINDS: tuple[Kind, ...] = ("attention", "feed_forward")

Read = Callable[[int, torch.Tensor], None]
Write = Callable[[int, torch.Tensor], torch.Tensor | None]

BATCH_TOKENS = 16_384


@dataclass(frozen=True)
class Sublayer:
    """One addition to the residual stream.

    Attributes:
        layer: or loop, from 0.
        norm: the module whose input is the stream before.
        output: the module whose output is added to it.
    """

    kind: Kind
    layer: int
    norm: torch.nn.Module
    output: torch.nn.Module


@dataclass(frozen=True)
class Anatomy:
    """The sublayers in their order of use: attention and feed-forward of layer 0, of layer 1 and so on."""

    sublayers: tuple[Sublayer, ...]
    last_norm: torch.nn.Module
    shared: bool

    @property
    def num_layers(self) -> int:
        return len(self.sublayers) // 2

    @property
    def layer_word(self) -> str:
        """What its layers are called."""
        return "loop" if self.shared else "layer"


def anatomy_of(model: PreTrainedModel) -> Anatomy:
    """The anatomy of a model.

    Raises:
        InvalidInput: a family whose modules we do not know.
    """
    parts: Any = model
    kind = model.config.model_type
    if kind == "listops_looped":
        block = parts.model.block
        layers = [(block.ln_attention, block.out, block.ln_feed_forward, block.down)] * model.config.n_loop
        return Anatomy(_sublayers(layers), parts.model.ln, shared=True)
    if kind == "gpt2":
        layers = [(b.ln_1, b.attn.c_proj, b.ln_2, b.mlp.c_proj) for b in parts.transformer.h]
        return Anatomy(_sublayers(layers), parts.transformer.ln_f, shared=False)
    if kind == "llama":
        layers = [
            (b.input_layernorm, b.self_attn.o_proj, b.post_attention_layernorm, b.mlp.down_proj)
            for b in parts.model.layers
        ]
        return Anatomy(_sublayers(layers), parts.model.norm, shared=False)
    raise InvalidInput(f"models of type {kind!r} cannot be analysed yet; the families are {', '.join(MODEL_TYPES)}")


def _sublayers(layers: Sequence[tuple[torch.nn.Module, ...]]) -> tuple[Sublayer, ...]:
    found = []
    for layer, (norm_a, output_a, norm_f, output_f) in enumerate(layers):
        found += [Sublayer("attention", layer, norm_a, output_a), Sublayer("feed_forward", layer, norm_f, output_f)]
    return tuple(found)


@contextmanager
def hooks(model: PreTrainedModel, *, read: Read | None = None, write: Write | None = None) -> Iterator[None]:
    """While open, every forward of the model calls back.

    Args:
        read: gets each place (see the module's drawing) and the residual stream there, [B, T, D].
        write: gets the number of each sublayer and its output [B, T, D]; what it returns, unless None, takes its place.
    """
    anatomy = anatomy_of(model)
    calls: dict[torch.nn.Module, int] = defaultdict(int)
    places: dict[torch.nn.Module, list[int]] = defaultdict(list)
    for number, sublayer in enumerate(anatomy.sublayers):
        places[sublayer.norm].append(number)
        places[sublayer.output].append(number)
    places[anatomy.last_norm].append(len(anatomy.sublayers))

    def place_of(module: torch.nn.Module) -> int:
        place = places[module][calls[module]]
        calls[module] += 1
        return place

    def on_read(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        place = place_of(module)
        if read is not None:
            read(place, inputs[0])

    def on_write(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        place = place_of(module)
        return None if write is None else write(place, output)

    handles = [model.register_forward_pre_hook(lambda *_: calls.clear())]
    for module in {anatomy.last_norm, *(sublayer.norm for sublayer in anatomy.sublayers)}:
        handles.append(module.register_forward_pre_hook(on_read))
    for module in {sublayer.output for sublayer in anatomy.sublayers}:
        handles.append(module.register_forward_hook(on_write))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# --- teacher-forced passes --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Rows of equal length, so that there is no padding.

    Attributes:
        rows: int64 [B], which rows of those given.
        ids: int64 [B, T], whole rows; the last id, ``<eos>``, is predicted and no input.
        answers: bool [B, T-1], the inputs whose next token belongs to the completion.
    """

    rows: npt.NDArray[np.int64]
    ids: torch.Tensor
    answers: torch.Tensor

    def logits(self, model: PreTrainedModel) -> torch.Tensor:
        """The model's logits [B, T-1, V]."""
        inputs = self.ids[:, :-1].to(model.device)
        positions = torch.arange(inputs.shape[1], device=model.device)[None]
        with torch.no_grad():
            logits: torch.Tensor = model(input_ids=inputs, position_ids=positions, use_cache=False).logits
        return logits


def batches(rows: Rows) -> Iterator[Batch]:
    """All rows, by length."""
    lengths = rows.num_tokens.astype(np.int64)
    for length in np.unique(lengths):
        of_length, size = np.flatnonzero(lengths == length), max(1, BATCH_TOKENS // int(length))
        for start in range(0, len(of_length), size):
            chosen = of_length[start : start + size]
            ids = rows.ids[rows.offsets[chosen][:, None] + np.arange(length)].astype(np.int64)
            answers = np.arange(length - 1) >= rows.prompt_lengths[chosen][:, None] - 1
            yield Batch(chosen, torch.from_numpy(ids), torch.from_numpy(answers))


def residuals(model: PreTrainedModel, batch: Batch) -> list[torch.Tensor]:
    """The residual stream [B, T-1, D] at every place, 2L + 1 of them."""
    stream: dict[int, torch.Tensor] = {}
    with hooks(model, read=stream.__setitem__):
        batch.logits(model)
    return [stream[place] for place in sorted(stream)]
