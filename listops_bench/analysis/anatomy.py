"""Where a model's sublayers write into the residual stream, and where the stream can be read.

All our families are pre-LN decoders of the same anatomy, for layers (or loops) l = 0 .. L-1::

    read 2l            -> attention of layer l     -> what its output matrix gives is added to the stream
    read 2l+1          -> feed-forward of layer l  -> what its output matrix gives is added to the stream
    read 2L            the stream before the last norm

A looped model calls the same modules once a loop; which loop it is follows from counting calls since the forward began.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench.analysis.findings import SUBLAYER_KINDS, SublayerKind
from listops_bench.errors import InvalidInput
from listops_bench.model.parts import NAMES
from listops_bench.tasks.generator import Rows

Read = Callable[[int, torch.Tensor], None]
Write = Callable[[int, torch.Tensor], torch.Tensor | None]

BATCH_TOKENS = 16_384


@dataclass(frozen=True)
class Sublayer:
    """One addition to the residual stream.

    Attributes:
        kind: attention or feed-forward.
        layer: or loop, from 0.
        norm: the module whose input is the stream before.
        output: the module whose output is added to it.
    """

    kind: SublayerKind
    layer: int
    norm: torch.nn.Module
    output: torch.nn.Module


@dataclass(frozen=True)
class Anatomy:
    """A model's sublayers.

    Attributes:
        sublayers: in their order of use: attention and feed-forward of layer 0, of layer 1 and so on.
        last_norm: the module whose input is the stream after all of them.
        shared: whether its layers are loops over the same modules.
    """

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
        InvalidInput: a family whose modules are not known here.
    """
    name = model.config.model_type
    if name not in NAMES:
        raise InvalidInput(f"models of type {name!r} cannot be analysed yet; the families are {', '.join(NAMES)}")
    names, loops = NAMES[name], getattr(model.config, "n_loop", None)
    found: Any = model.get_submodule(names.layers)
    layers = [found] * loops if loops else list(found)
    sublayers = [
        Sublayer(kind, number, layer.get_submodule(own[0]), layer.get_submodule(own[-1]))
        for number, layer in enumerate(layers)
        for kind, own in zip(SUBLAYER_KINDS, (names.attention, names.feed_forward), strict=True)
    ]
    return Anatomy(tuple(sublayers), model.get_submodule(names.last_norm), shared=loops is not None)


@contextmanager
def hooks(model: PreTrainedModel, *, read: Read | None = None, write: Write | None = None) -> Iterator[None]:
    """While open, every forward of the model calls back.

    Args:
        model: of a family known here.
        read: gets the number of each read (see the module's drawing) and the residual stream there, [B, T, D].
        write: gets the number of each sublayer and its output [B, T, D]; what it returns, unless None, takes its place.
    """
    anatomy = anatomy_of(model)
    calls: dict[torch.nn.Module, int] = defaultdict(int)
    reads: dict[torch.nn.Module, list[int]] = defaultdict(list)
    writes: dict[torch.nn.Module, list[int]] = defaultdict(list)
    for number, sublayer in enumerate(anatomy.sublayers):
        reads[sublayer.norm].append(number)
        writes[sublayer.output].append(number)
    reads[anatomy.last_norm].append(len(anatomy.sublayers))

    def next_number(numbers: dict[torch.nn.Module, list[int]], module: torch.nn.Module) -> int:
        calls[module] += 1
        return numbers[module][calls[module] - 1]

    def on_read(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        number = next_number(reads, module)
        if read is not None:
            read(number, inputs[0])

    def on_write(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        number = next_number(writes, module)
        return None if write is None else write(number, output)

    handles = [
        model.register_forward_pre_hook(lambda *_: calls.clear()),
        *(module.register_forward_pre_hook(on_read) for module in reads),
        *(module.register_forward_hook(on_write) for module in writes),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# --- teacher-forced passes --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TeacherForcedBatch:
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
        return logits(model, self.ids[:, :-1])


def logits(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """The logits [B, T, V] after each of the ids [B, T], which have no padding."""
    positions = torch.arange(ids.shape[1], device=model.device)[None]
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids.to(model.device), position_ids=positions, use_cache=False).logits
    return found


def batches(rows: Rows) -> Iterator[TeacherForcedBatch]:
    """All rows, by length."""
    lengths = rows.num_tokens.astype(np.int64)
    for length in np.unique(lengths):
        of_length, size = np.flatnonzero(lengths == length), max(1, BATCH_TOKENS // int(length))
        for start in range(0, len(of_length), size):
            chosen = of_length[start : start + size]
            ids = rows.ids[rows.offsets[chosen][:, None] + np.arange(length)].astype(np.int64)
            answers = np.arange(length - 1) >= rows.prompt_lengths[chosen][:, None] - 1
            yield TeacherForcedBatch(chosen, torch.from_numpy(ids), torch.from_numpy(answers))


def residuals(model: PreTrainedModel, batch: TeacherForcedBatch) -> list[torch.Tensor]:
    """The residual stream [B, T-1, D] at every read, 2L + 1 of them."""
    stream: dict[int, torch.Tensor] = {}
    with hooks(model, read=stream.__setitem__):
        batch.logits(model)
    return [stream[number] for number in sorted(stream)]
