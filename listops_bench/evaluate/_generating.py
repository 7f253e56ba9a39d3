"""What ``generate(do_sample=False)`` of `transformers` itself writes: for models that no short cut is open to.

Rows whose prompts are of one length are decoded together, so nothing is padded. A row that had a near tie on its way is
decoded again by itself, as far as the allowance for that goes. What stands beside a row must not matter to it either:
one row of each group is asked by itself, and where that makes a difference, all of the group are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from transformers import GenerationConfig, PreTrainedModel

from listops_bench.errors import InvalidInput
from listops_bench.model.causality import draw, first_choices, have_moved
from listops_bench.tasks.generator import Rows
from listops_bench.tasks.symbols import EOS_ID, PAD_ID

_GROUP_TOKENS = 32_768
"""Of a group, its rows grown to the limit. Never another number: what is decoded together depends on the rows alone."""

Ids = npt.NDArray[np.int64]


def generate_all(model: PreTrainedModel, rows: Rows, limits: Ids, allowance: int) -> list[list[int]]:
    """The ids that the model writes for each row, ``<eos>`` included where it comes to that.

    Args:
        limits: int64 [n], how many tokens each row may get.
        allowance: rows that may be decoded by themselves because of near ties.

    Raises:
        InvalidInput: the model cannot generate.
    """
    if not model.can_generate():
        raise InvalidInput(f"a model of type {model.config.model_type!r} has no generate(), so that it writes nothing")
    written: list[list[int]] = [[] for _ in range(len(rows))]
    with _our_settings(model):
        for group in _groups(rows, limits):
            limit = int(limits[group[0]])
            texts, ties, logits = _generate(model, _prompts(rows, group), limit)
            for row, text in zip(group, texts, strict=True):
                written[row] = text
            alone = group[ties][:allowance]
            allowance -= len(alone)
            one = int(draw().integers(len(group)))
            _, _, by_itself = _generate(model, _prompts(rows, group[[one]]), 1)
            for row in group if have_moved(logits[[one]], by_itself) else alone:
                ((written[row],), _, _) = _generate(model, _prompts(rows, np.array([row])), limit)
    return written


def _groups(rows: Rows, limits: Ids) -> Iterator[Ids]:
    """Rows of one prompt length and limit, in their order."""
    lengths = rows.prompt_lengths.astype(np.int64)
    for length, limit in np.unique(np.stack([lengths, limits], axis=1), axis=0).tolist():
        alike = np.flatnonzero((lengths == length) & (limits == limit))
        size = max(1, _GROUP_TOKENS // (length + limit))
        yield from np.split(alike, range(size, len(alike), size))


def _prompts(rows: Rows, chosen: Ids) -> torch.Tensor:
    starts, length = rows.offsets[chosen], int(rows.prompt_lengths[chosen[0]])
    return torch.from_numpy(rows.ids[starts[:, None] + np.arange(length)].astype(np.int64))


def _generate(
    model: PreTrainedModel, prompts: torch.Tensor, limit: int
) -> tuple[list[list[int]], npt.NDArray[np.bool_], torch.Tensor]:
    """What is written after some prompts [B, T]; which of it has a near tie, bool [B]; and the first logits [B, V]."""
    prompts = prompts.to(model.device)
    output = model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=limit)
    ids = output.sequences[:, prompts.shape[1] :].cpu().numpy()
    _, close = first_choices(torch.stack(output.logits, dim=1))
    ends = ids == EOS_ID
    lengths = np.where(ends.any(1), ends.argmax(1) + 1, ids.shape[1])
    ties = (close.cpu().numpy() & (np.arange(ids.shape[1]) < lengths[:, None])).any(1)
    return [text[:length].tolist() for text, length in zip(ids, lengths, strict=True)], ties, output.logits[0]


@contextmanager
def _our_settings(model: PreTrainedModel) -> Iterator[None]:
    """Inside, nothing that came with the model has a say in how it generates."""
    before = model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=EOS_ID, pad_token_id=PAD_ID, output_logits=True, return_dict_in_generate=True
    )
    try:
        yield
    finally:
        model.generation_config = before
