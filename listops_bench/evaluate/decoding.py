"""Exact greedy answers, fast: what ``generate(do_sample=False)`` would write, row for row, without decoding most rows.

A row's greedy completion equals the reference exactly when, with the reference as input, every next token of it (the
``<eos>`` included) is the model's first choice. One pass over all rows decides that. Only the rest is decoded, from the
first token on which model and reference differ::

    row         [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 9 4 ] = 6 <eos>
    choices                                   [SUM 3 8 4 ] = 6 <eos>
    same?                                       y  y n              keep "[SUM 3 8", decode on

All arithmetic is float32 (or float64). Which of two almost equal logits is larger depends on how rows were batched and
padded, so near ties are decided on the row alone, and the answers do not depend on the batch size.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from listops_bench.errors import InvalidInput
from listops_bench.tasks.expression import EOS_ID, FIRST_NUMBER_ID, PAD_ID, SPECIAL_TOKENS, vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from listops_bench.tasks.generator import Rows

NEAR_TIE = 1e-4
"""Logits closer than this share of their size could change places by rounding (float32 keeps about 1e-6 of them)."""

# Tokens of one batch: enough to keep the arithmetic units busy, few enough to stay in a CPU's cache.
_CPU_BATCH_TOKENS, _GPU_BATCH_TOKENS = 32_768, 1_048_576
_PARAMETERS_PER_THREAD = 100_000

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """The greedy completions of n rows.

    Attributes:
        completions: n texts as `Rows.completions` has them, special tokens left out.
        exact: bool [n], the greedy completion is the reference, ``<eos>`` included.
        stopped: bool [n], it ended with ``<eos>``, not at the limit.
    """

    completions: list[str]
    exact: Flags
    stopped: Flags


def predict(
    model: PreTrainedModel,
    rows: Rows,
    *,
    max_new_tokens: int | None = None,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
) -> Predictions:
    """Greedy completions of any causal language model with our vocabulary.

    A completion is cut at `TaskSpec.completion_limit`, or at the length of its reference where that is longer;
    ``max_new_tokens`` sets another limit, for all rows alike. None goes beyond the context.

    Args:
        model: weights in float32 or float64. It is left in the mode (train or eval) it was in.
        rows: of the model's modulus.
        batch_size: rows of one batch, instead of a number chosen by their length. Halved where memory runs out.
        device: moves the model there first.

    Raises:
        InvalidInput: another vocabulary, half-precision weights, or a row longer than the model's context.
    """
    _check(model, rows)
    limits = _limits(model, rows, max_new_tokens)
    if device is not None:
        model.to(device)
    with exact_arithmetic(model):
        decoder = _Decoder(model, rows, limits, batch_size)
        decoder.verify()
        return decoder.predictions(decoder.decode())


def context_length(model: PreTrainedModel) -> int | None:
    """The longest row the model can read, in tokens; None where its config names no limit."""
    length = getattr(model.config, "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def _check(model: PreTrainedModel, rows: Rows) -> None:
    size = model.get_input_embeddings().weight.shape[0]
    if size != len(vocabulary(rows.task.modulus)):
        raise InvalidInput(
            f"task {rows.task.name!r} has modulus {rows.task.modulus}, and the model's vocabulary of {size} tokens is "
            f"that of modulus {size - FIRST_NUMBER_ID}"
        )
    for parameter in model.parameters():
        if parameter.is_floating_point() and parameter.dtype not in (torch.float32, torch.float64):
            kind = str(parameter.dtype).removeprefix("torch.")
            raise InvalidInput(
                f"scores are defined in float32, and the model's weights are {kind}; call model.float() first"
            )


def _limits(model: PreTrainedModel, rows: Rows, max_new_tokens: int | None) -> Ids:
    """int64 [n]: how many tokens each row may get."""
    if max_new_tokens is not None and max_new_tokens < 1:
        raise InvalidInput(f"max_new_tokens {max_new_tokens} is not a number of tokens; the least is 1")
    context = context_length(model)
    prompts, lengths = rows.prompt_lengths.astype(np.int64), rows.num_tokens.astype(np.int64)
    limits = np.maximum(lengths - prompts, rows.task.completion_limit)
    if max_new_tokens is not None:
        limits = np.full(len(rows), max_new_tokens)
    if context is None:
        return limits
    needed = np.minimum(lengths, prompts + limits)
    if (needed > context).any():
        worst = int((needed > context).argmax())
        raise InvalidInput(
            f"row {rows.row_ids()[worst]} needs {needed[worst]} tokens (its prompt has {prompts[worst]}), "
            f"and the model's context is {context}"
        )
    return np.minimum(context - prompts, limits)


@contextmanager
def exact_arithmetic(model: PreTrainedModel) -> Iterator[None]:
    """No gradients, dropout, autocast or TF32; what was set before is set again afterwards."""
    was_training, precision, threads = model.training, torch.get_float32_matmul_precision(), torch.get_num_threads()
    size = sum(parameter.numel() for parameter in model.parameters())
    model.eval()
    torch.set_float32_matmul_precision("highest")
    # The threads of a small product wait for each other longer than they work, the more so on a busy machine.
    torch.set_num_threads(min(threads, 1 + size // _PARAMETERS_PER_THREAD))
    try:
        with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        model.train(was_training)


class _Decoder:
    """One model on one set of rows.

    Attributes:
        limits: int64 [n], how many tokens each row may get.
        proven: int64 [n], how many first ids of each row, the prompt's among them, are also the model's; all but
            ``<eos>`` where the row is exact. Known after `verify`.
        choice: int64 [n], the id that the model puts after those; ``<eos>`` where the row is exact.
    """

    def __init__(self, model: PreTrainedModel, rows: Rows, limits: Ids, batch_size: int | None) -> None:
        self.model, self.rows, self.limits, self.batch_size = model, rows, limits, batch_size
        self.device = model.device
        self.lengths = rows.num_tokens.astype(np.int64)
        self.prompts = rows.prompt_lengths.astype(np.int64)
        self.proven, self.choice = np.zeros_like(self.lengths), np.zeros_like(self.lengths)

    # --- with the reference as input ----------------------------------------------------------------------------------

    def verify(self) -> None:
        """Compares the model's choices with the reference, all rows."""

        def one_batch(batch: Ids) -> None:
            for row in batch[self._compare(batch)]:
                self._compare(np.array([row]))

        # Longest first: where memory runs out, it does so at once. Prompts of one length stand together.
        self._in_batches(np.lexsort((self.prompts, -self.lengths)), self.lengths, one_batch)
        # A limit can lie within the reference: no row is proven, or written, beyond it.
        self.proven = np.minimum(self.proven, self.prompts + self.limits)

    def _compare(self, batch: Ids) -> Flags:
        """Sets ``proven`` and ``choice`` of some rows; bool [B]: which of them hang on a near tie."""
        # Padded at the right end, where a causal model's real tokens do not see it: no mask is needed.
        ids_BxT, _ = self._gather(batch, self.lengths)
        first = int(self.prompts[batch].min()) - 1  # before it, all rows are prompt
        place_T = np.arange(first, ids_BxT.shape[1] - 1)
        asked = {"logits_to_keep": len(place_T)} if _takes(self.model, "logits_to_keep") else {}
        logits = self._logits(torch.from_numpy(ids_BxT[:, :-1]), **asked)
        choices, close = _first_choices(logits[:, -len(place_T) :])
        choices_BxT, close_BxT = choices.cpu().numpy(), close.cpu().numpy()
        answered_BxT = (place_T >= self.prompts[batch][:, None] - 1) & (place_T < self.lengths[batch][:, None] - 1)
        differs = answered_BxT & (choices_BxT != ids_BxT[:, first + 1 :])
        end = np.where(differs.any(axis=1), first + differs.argmax(axis=1), self.lengths[batch] - 2)
        self.proven[batch], self.choice[batch] = end + 1, choices_BxT[np.arange(len(batch)), end - first]
        return np.any(close_BxT & answered_BxT & (place_T <= end[:, None]), axis=1)

    def _logits(self, ids: torch.Tensor, **options: int) -> torch.Tensor:
        """The logits [B, T, V] of ids [B, T] that begin where their rows do."""
        positions = torch.arange(ids.shape[1], device=self.device)[None]
        output = self.model(input_ids=ids.to(self.device), position_ids=positions, use_cache=False, **options)
        logits: torch.Tensor = output.logits
        return logits

    def _gather(self, batch: Ids, lengths: Ids, *, left: bool = False) -> tuple[Ids, Flags]:
        """int64 [B, T]: the first ids of rows, padded at the right or the left end; bool [B, T]: which are real."""
        lengths = lengths[batch][:, None]
        width = int(lengths.max())
        place = np.arange(width) - (width - lengths if left else 0)
        real = (place >= 0) & (place < lengths)
        ids = self.rows.ids[np.where(real, self.rows.offsets[batch][:, None] + place, 0)]
        return np.where(real, ids, PAD_ID).astype(np.int64), real

    # --- on its own ---------------------------------------------------------------------------------------------------

    def decode(self) -> dict[int, list[int]]:
        """The ids after the proven part of each row, ``choice`` included."""
        room = self.limits - (self.proven - self.prompts)
        written = {row: [int(self.choice[row])][: room[row]] for row in range(len(self.rows))}
        going_on = np.flatnonzero((self.choice != EOS_ID) & (room > 1))
        order = going_on[np.argsort(-self.proven[going_on], kind="stable")]

        def one_batch(batch: Ids) -> None:
            written.update(zip(batch.tolist(), self._continue(batch, room[batch]), strict=True))

        # Rows may grow to the full context, which is what their cache then holds.
        if _takes(self.model, "past_key_values"):
            self._in_batches(order, self.proven + room, one_batch)
        else:
            written |= {int(row): self._continue_alone(int(row), int(room[row])) for row in order}
        return written

    def _continue(self, batch: Ids, room: Ids) -> list[list[int]]:
        """Decodes a batch, left-padded, until every row has stopped or used its room."""
        from transformers import DynamicCache

        tails = [[int(token)] for token in self.choice[batch]]
        prefixes, real = self._gather(batch, self.proven + 1, left=True)
        prefixes[:, -1] = self.choice[batch]
        ids = torch.from_numpy(prefixes).to(self.device)
        mask = torch.from_numpy(real.astype(np.int64)).to(self.device)
        cache = DynamicCache(config=self.model.config)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        active = np.arange(len(batch))
        while True:
            output = self.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
            choices, close = _first_choices(output.logits[:, -1])
            tokens, near_tie = choices.cpu().numpy(), close.cpu().numpy()
            for place in np.flatnonzero(near_tie):
                tokens[place] = self._next_alone(int(batch[active[place]]), tails[active[place]])
            for i, token in zip(active, tokens, strict=True):
                tails[i].append(int(token))
            goes_on = np.array([tails[i][-1] != EOS_ID and len(tails[i]) < room[i] for i in active])
            if not goes_on.any():
                return tails
            ids, positions = torch.from_numpy(tokens).to(self.device)[:, None], positions[:, -1:] + 1
            if not goes_on.all():
                keep = torch.from_numpy(np.flatnonzero(goes_on)).to(self.device)
                active, ids, mask, positions = active[goes_on], ids[keep], mask[keep], positions[keep]
                cache.batch_select_indices(keep)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)

    def _continue_alone(self, row: int, room: int) -> list[int]:
        """Decodes one row without a cache."""
        tail = [int(self.choice[row])]
        while tail[-1] != EOS_ID and len(tail) < room:
            tail.append(self._next_alone(row, tail))
        return tail

    def _next_alone(self, row: int, tail: list[int]) -> int:
        """The first choice after the proven part of a row and a tail."""
        begin = int(self.rows.offsets[row])
        ids = self.rows.ids[begin : begin + self.proven[row]].tolist() + tail
        return int(self._logits(torch.tensor([ids]))[0, -1].argmax())

    def _in_batches(self, order: Ids, lengths: Ids, work: Callable[[Ids], None]) -> None:
        """Calls ``work`` with consecutive parts of ``order``, smaller ones from where memory runs out."""
        budget = _CPU_BATCH_TOKENS if self.device.type == "cpu" else _GPU_BATCH_TOKENS
        start, most = 0, self.batch_size
        while start < len(order):
            size = most or max(1, budget // int(lengths[order[start]]))
            try:
                work(order[start : start + size])
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if size == 1 or not _is_out_of_memory(error):
                    raise
                most = min(size, len(order) - start) // 2 or 1
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            start += size

    def predictions(self, written: dict[int, list[int]]) -> Predictions:
        """The completions, given what `decode` has written."""
        words = vocabulary(self.rows.task.modulus)
        completions = self.rows.completions()
        exact, stopped = np.ones(len(self.rows), np.bool_), np.ones(len(self.rows), np.bool_)
        for row, tail in written.items():
            if self.proven[row] == self.lengths[row] - 1 and tail == [EOS_ID]:
                continue
            begin = int(self.rows.offsets[row])
            ids = self.rows.ids[begin + self.prompts[row] : begin + self.proven[row]].tolist() + tail
            exact[row], stopped[row] = False, ids[-1] == EOS_ID
            completions[row] = "".join(" " + words[token] for token in ids if token >= len(SPECIAL_TOKENS))
        return Predictions(completions, exact, stopped)


def _takes(model: PreTrainedModel, name: str) -> bool:
    """Whether the model's forward pass has an argument of a name; others it may ignore in silence, such as the keys and
    values of earlier tokens where its memory is of another kind."""
    return name in inspect.signature(model.forward).parameters


def _first_choices(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The first choice at each place, and whether the second is so near that rounding could make it the first.

    ``argmax`` takes the first of equal logits, on every device.
    """
    two = logits.topk(2, dim=-1).values
    scale = two[..., 0].abs().clamp(min=1)
    return logits.argmax(-1), two[..., 0] - two[..., 1] < NEAR_TIE * scale


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
