"""Models that read rows on, one token a step: with their keys and values kept, or anew each time."""

from __future__ import annotations

import inspect
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache, PreTrainedModel

from listops_bench.model.causality import logits_of
from listops_bench.tasks.symbols import PAD_ID

Ids = npt.NDArray[np.int64]


def takes(model: PreTrainedModel, name: str) -> bool:
    """Whether the model's forward pass has an argument of a name; others it may ignore in silence, such as the keys and
    values of earlier tokens where its memory is of another kind."""
    return name in inspect.signature(model.forward).parameters


class Reader(Protocol):
    """Reads B rows on."""

    def next_logits(self) -> torch.Tensor:
        """The logits [B, V] after the last token of each row."""

    def append(self, tokens: Ids, goes_on: npt.NDArray[np.bool_]) -> None:
        """Adds a token to each row, and drops the rows that do not go on."""


def reader_of(model: PreTrainedModel, prefixes: list[Ids]) -> Reader:
    """A reader that has what the model remembers of earlier tokens, where it can be told to."""
    # From transformers 5.24 on both kinds of memory have the one name.
    name = next((name for name in ("past_key_values", "cache_params", "cache") if takes(model, name)), None)
    if name == "cache_params" or (name == "cache" and model._is_stateful):
        return _Recurrent(model, prefixes, name) if takes(model, "attention_mask") else _Rereading(model, prefixes)
    return _Rereading(model, prefixes) if name is None else _Remembering(model, prefixes, name)


def _padded_left(prefixes: list[Ids], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [B, T] of rows that all go on at the right end."""
    width = max(map(len, prefixes))
    ids, mask = (np.full((len(prefixes), width), value) for value in (PAD_ID, 0))
    for row, prefix in enumerate(prefixes):
        ids[row, width - len(prefix) :] = prefix
        mask[row, width - len(prefix) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


class _Remembering:
    """Keeps keys and values, which the model takes under a name."""

    def __init__(self, model: PreTrainedModel, prefixes: list[Ids], name: str) -> None:
        self.model, self.name = model, name
        self.ids, self.mask = _padded_left(prefixes, model.device)
        self.positions = (self.mask.cumsum(1) - 1).clamp(min=0)
        self.cache = DynamicCache(config=model.config)
        self.asked = {"logits_to_keep": 1} if takes(model, "logits_to_keep") else {}

    def next_logits(self) -> torch.Tensor:
        output = self.model(
            input_ids=self.ids,
            attention_mask=self.mask,
            position_ids=self.positions,
            use_cache=True,
            **{self.name: self.cache},
            **self.asked,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def append(self, tokens: Ids, goes_on: npt.NDArray[np.bool_]) -> None:
        self.ids, self.positions = torch.from_numpy(tokens).to(self.mask)[:, None], self.positions[:, -1:] + 1
        if not goes_on.all():
            keep = torch.from_numpy(np.flatnonzero(goes_on)).to(self.mask)
            self.ids, self.mask, self.positions = self.ids[keep], self.mask[keep], self.positions[keep]
            self.cache.batch_select_indices(keep)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)


class _Recurrent:
    """Keeps states of one size, as Mamba has them. A row that is dropped is read on, unheard."""

    def __init__(self, model: PreTrainedModel, prefixes: list[Ids], name: str) -> None:
        self.model, self.name = model, name
        self.ids, mask = _padded_left(prefixes, model.device)
        self.states: dict[str, object] = {"attention_mask": mask}
        self.heard = torch.arange(len(prefixes), device=model.device)

    def next_logits(self) -> torch.Tensor:
        output = self.model(input_ids=self.ids, use_cache=True, **self.states)
        self.states = {self.name: getattr(output, self.name)}
        logits: torch.Tensor = output.logits[self.heard, -1]
        return logits

    def append(self, tokens: Ids, goes_on: npt.NDArray[np.bool_]) -> None:
        self.ids = self.ids.new_full((len(self.ids), 1), PAD_ID)
        self.ids[self.heard, 0] = torch.from_numpy(tokens).to(self.ids)
        self.heard = self.heard[torch.from_numpy(goes_on).to(self.heard.device)]


class _Rereading:
    """Rows are padded on the right, where nothing is that they could see."""

    def __init__(self, model: PreTrainedModel, prefixes: list[Ids]) -> None:
        self.model, self.prefixes = model, prefixes

    def next_logits(self) -> torch.Tensor:
        lengths = np.array([len(prefix) for prefix in self.prefixes])
        ids = np.full((len(lengths), lengths.max()), PAD_ID)
        for row, prefix in enumerate(self.prefixes):
            ids[row, : len(prefix)] = prefix
        return logits_of(self.model, torch.from_numpy(ids))[torch.arange(len(lengths)), torch.from_numpy(lengths - 1)]

    def append(self, tokens: Ids, goes_on: npt.NDArray[np.bool_]) -> None:
        longer = zip(self.prefixes, tokens, goes_on, strict=True)
        self.prefixes = [np.append(prefix, token) for prefix, token, stays in longer if stays]
