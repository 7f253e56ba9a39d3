"""Whether a model looks ahead: whether what it says at one place moves when what follows is taken away.

Feeding whole rows, answers included, is a fair question only to a model that cannot see the answer from where it is
asked. No configuration, model type or class vouches for that; it is shown, on the rows in question::

    read whole     [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 9 4 ] = 6
    read again     [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3                 the same logits up to here: the 9 was not seen

What follows is not replaced but absent, so there is nothing by which a model could tell a check from a question and
behave for as long as it takes. Where a row is cut is drawn anew each time and cannot be foreseen.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench.errors import InvalidInput
from listops_bench.tasks.generator import Rows
from listops_bench.tasks.symbols import PAD_ID

NEAR_TIE = 1e-4
"""Logits closer than this share of their size could change places by rounding (float32 keeps about 1e-6 of them)."""

Ids = npt.NDArray[np.int64]


def first_choices(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first choice at each place, and whether the second is so near that rounding could make it the first.

    ``argmax`` takes the first of equal logits, on every device.

    Raises:
        InvalidInput: logits that are no numbers.
    """
    choices, close, finite = choices_of(logits)
    if not bool(finite.all()):
        raise InvalidInput("the model's logits are not finite numbers; there is nothing to score")
    return choices, close


def choices_of(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As `first_choices`, and whether the logits of both are finite."""
    place = logits.argmax(-1, keepdim=True)
    first, second = logits.gather(-1, place)[..., 0], logits.scatter(-1, place, -torch.inf).amax(-1)
    close = first - second < NEAR_TIE * first.abs().clamp(min=1)
    return place[..., 0], close, first.isfinite() & second.isfinite()


def logits_of(model: PreTrainedModel, ids: torch.Tensor, **options: Any) -> torch.Tensor:
    """The logits [B, T, V] of ids [B, T] that begin where their rows do, and may be padded after them."""
    positions = torch.arange(ids.shape[1], device=model.device)[None]
    with _padding_is_meant(model):
        output = model(input_ids=ids.to(model.device), position_ids=positions, use_cache=False, **options)
    logits: torch.Tensor = output.logits
    return logits


@contextmanager
def _padding_is_meant(model: PreTrainedModel) -> Iterator[None]:
    """A causal model sees nothing of the padding after a row. transformers warns of it, and waits for the device."""
    body = model.base_model
    body.warn_if_padding_and_no_attention_mask = lambda *_: None
    try:
        yield
    finally:
        del body.warn_if_padding_and_no_attention_mask


def draw() -> np.random.Generator:
    """Random numbers that nobody can foresee."""
    return np.random.default_rng(secrets.randbits(128))


def draw_cuts(prompts: Ids, lengths: Ids, number: int) -> tuple[Ids, Ids]:
    """Some of B rows, int64 [S], and how many first tokens of each to read again, int64 [S].

    A row is cut after the prompt or later, and before the last token that is ever read (all but ``<eos>``).
    """
    random = draw()
    chosen = random.choice(len(lengths), min(number, len(lengths)), replace=False)
    return chosen, random.integers(prompts[chosen], lengths[chosen] - 1)


def have_moved(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether logits [S, V] differ by more than rounding does."""
    size = torch.maximum(before.abs(), before.amax(-1, keepdim=True).abs()).clamp(min=1)
    return not bool(((before - after).abs() <= NEAR_TIE * size).all())


@torch.no_grad()
def refuse_look_ahead(model: PreTrainedModel, rows: Rows, number: int = 16) -> None:
    """Reads some rows twice, whole and cut. Logits that are no numbers show nothing: a training fails by its loss.

    Raises:
        InvalidInput: the model looks ahead.
    """
    lengths = rows.num_tokens.astype(np.int64)
    chosen, cuts = draw_cuts(rows.prompt_lengths.astype(np.int64), lengths, number)
    place = np.arange(int(lengths[chosen].max()) - 1)
    source = np.minimum(rows.offsets[chosen][:, None] + place, len(rows.ids) - 1)

    def logits(ends: Ids) -> torch.Tensor:
        """At the cuts, of rows that are padded from ``ends`` on."""
        ids = np.where(place < ends[:, None], rows.ids[source], PAD_ID).astype(np.int64)
        return logits_of(model, torch.from_numpy(ids))[torch.arange(len(chosen)), torch.from_numpy(cuts - 1)]

    whole = logits(lengths[chosen] - 1)
    if whole.isfinite().all() and have_moved(whole, logits(cuts)):
        kind = model.config.model_type
        raise InvalidInput(
            f"the model ({kind}) looks ahead: what it says at one place depends on the tokens after it, which it will "
            "not have when it writes; use a causal model"
        )
