"""Exact greedy answers, fast: what ``generate(do_sample=False)`` would write, row for row, without decoding most rows.

A causal model's greedy completion of a row equals the reference exactly when, with the reference as input, every next
token of it (the ``<eos>`` included) is the model's first choice. One pass over all rows decides that. Only the rest is
decoded, from the first token on which model and reference differ::

    row         [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 9 4 ] = 6 <eos>
    choices                                   [SUM 3 8 4 ] = 6 <eos>
    same?                                       y  y n              keep "[SUM 3 8", decode on

A model that looks ahead would copy the reference. So nothing counts that a model could not have when it answers: it has
to show, on the very rows, that it is causal (`model.causality`), and answers to rows that nobody could foresee are
written from the prompt on, and must be the same. Where either fails, all rows are decoded by ``generate`` itself. The
standard is the greedy choice given the tokens so far, as ``generate`` makes it with its cache; it is only for models
that are not causal that the cache makes a difference.

A model that gains on a share f of a split's rows by anything but the tokens so far is found out with a probability of
at least 1 - (1 - f)^128: 72% at f = 1%, 99.8% at 5%; for a result of four splits 99.4% at 1%. That holds for any model
whatever. One that looks ahead at all, to its use or not, is found out by the cuts as well: at p of the L places of
every row, with 1 - (1 - p / L)^(n / 8) over n rows.

All arithmetic is float32 (or float64). Which of two almost equal logits is larger depends on how rows were batched and
padded, so near ties are decided on the tokens so far alone, and the answers do not depend on the batch size. A model
that has near ties everywhere (all weights zero, say) is one for ``generate`` too, which bounds what they cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from listops_bench.errors import InvalidInput
from listops_bench.evaluate._generating import generate_all
from listops_bench.evaluate._reading import reader_of, takes
from listops_bench.model.causality import draw, draw_cuts, first_choices, have_moved, logits_of
from listops_bench.model.threads import limit_threads, threads_kept
from listops_bench.tasks.symbols import EOS_ID, PAD_ID, SPECIAL_TOKENS, vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from listops_bench.tasks.generator import Rows

RECHECKED_SHARE = 1 / 8
LEAST_RECHECKED = 8
"""Of the rows of every batch, those that are read a second time, cut; and how many at the least."""
AUDITED_ROWS = 128
"""Rows of a split that are written from the prompt on in any case."""

# Tokens of one batch: enough to keep the arithmetic units busy, few enough to stay in a CPU's cache.
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 32_768, 1_048_576

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """The greedy completions of n rows.

    Attributes:
        completions: n texts as `Rows.completions` has them, special tokens left out.
        exact: bool [n], the greedy completion is the reference, ``<eos>`` included.
        stopped: bool [n], it ended with ``<eos>``, not at the limit.
        causal: whether the model was shown to choose by the tokens so far, so that most rows needed no decoding.
    """

    completions: list[str]
    exact: Flags
    stopped: Flags
    causal: bool = True


def predict(
    model: PreTrainedModel,
    rows: Rows,
    *,
    max_new_tokens: int | None = None,
    batch_size: int | None = None,
    device: str | torch.device | None = None,
) -> Predictions:
    """Greedy completions of any language model with our vocabulary, as ``generate`` would write them.

    A completion is cut at `TaskSpec.completion_limit`, or at the length of its reference where that is longer;
    ``max_new_tokens`` sets another limit, for all rows alike. None goes beyond the context.

    Args:
        model: weights in float32 or float64. It is left in the mode (train or eval) it was in.
        rows: of the model's symbols.
        batch_size: rows of one batch, instead of a number chosen by their length. Halved where memory runs out.
        device: moves the model there first.

    Raises:
        InvalidInput: another vocabulary, weights in half precision or that are no numbers, or a row longer than the
            model's context.
    """
    check(model, rows)
    limits = limits_of(model, rows, max_new_tokens)
    if device is not None:
        model.to(device)
    with exact_arithmetic(model):
        decoder = Decoder(model, rows, limits, batch_size)
        try:
            decoder.verify()
            return predictions_of(rows, decoder.decode(), causal=True)
        except NotShownError:
            written = generate_all(model, rows, limits, _allowed_ties(rows))
            return predictions_of(rows, dict(enumerate(written)), causal=False)


def context_length(model: PreTrainedModel) -> int | None:
    """The longest row the model can read, in tokens; None where its config names no limit."""
    length = getattr(model.config, "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def check(model: PreTrainedModel, rows: Rows) -> None:
    size, due = model.get_input_embeddings().weight.shape[0], len(vocabulary(rows.task.symbol_set))
    if size != due:
        raise InvalidInput(
            f"task {rows.task.name!r} has {rows.task.symbol_set}, a vocabulary of {due} tokens; the model has {size}"
        )
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise InvalidInput(f"the model's weights are not finite: {name} holds NaN or infinity; it cannot be scored")
        if parameter.is_floating_point() and parameter.dtype not in (torch.float32, torch.float64):
            kind = str(parameter.dtype).removeprefix("torch.")
            raise InvalidInput(
                f"scores are defined in float32, and the model's weights are {kind}; call model.float() first"
            )


def limits_of(model: PreTrainedModel, rows: Rows, max_new_tokens: int | None) -> Ids:
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
    was_training, precision = model.training, torch.get_float32_matmul_precision()
    model.eval()
    torch.set_float32_matmul_precision("highest")
    try:
        with threads_kept(), torch.no_grad(), torch.autocast(model.device.type, enabled=False):
            limit_threads(model)
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
        model.train(was_training)


class NotShownError(Exception):
    """The model is not shown to be one that the fast way is right for."""


class Decoder:
    """One model on one set of rows, the fast way.

    Attributes:
        limits: int64 [n], how many tokens each row may get.
        proven: int64 [n], how many first ids of each row, the prompt's among them, are also the model's; all but
            ``<eos>`` where the row is exact. Known after `verify`.
        choice: int64 [n], the id that the model puts after those; ``<eos>`` where the row is exact.
        ties: near ties that may still be decided alone.
    """

    def __init__(self, model: PreTrainedModel, rows: Rows, limits: Ids, batch_size: int | None) -> None:
        self.model, self.rows, self.limits, self.batch_size = model, rows, limits, batch_size
        self.device = model.device
        self.lengths = rows.num_tokens.astype(np.int64)
        self.prompts = rows.prompt_lengths.astype(np.int64)
        self.proven, self.choice = np.zeros_like(self.lengths), np.zeros_like(self.lengths)
        self.ties = _allowed_ties(rows)

    # --- with the reference as input ----------------------------------------------------------------------------------

    def verify(self) -> None:
        """Compares the model's choices with the reference, all rows.

        Raises:
            NotShownError: the model looks ahead, or has near ties everywhere.
        """
        self._in_batches(self.order(), self.lengths, self._compare)

    def order(self) -> Ids:
        """All rows, the longest first: where memory runs out, it does so at once. Prompts of one length stand
        together."""
        return np.lexsort((self.prompts, -self.lengths))

    def _compare(self, batch: Ids) -> None:
        """Sets ``proven`` and ``choice`` of some rows."""
        # Padded at the right end, where a causal model's real tokens do not see it: no mask is needed.
        ids_BxT = gather(self.rows, batch, self.lengths[batch])
        first = int(self.prompts[batch].min()) - 1  # before it, all rows are prompt
        place_T = np.arange(first, ids_BxT.shape[1] - 1)
        asked = {"logits_to_keep": len(place_T)} if takes(self.model, "logits_to_keep") else {}
        logits = logits_of(self.model, torch.from_numpy(ids_BxT[:, :-1]), **asked)[:, -len(place_T) :]
        choices, close = first_choices(logits)
        self._check_causal(batch, logits, first)
        self.judge(batch, ids_BxT, choices.cpu().numpy(), close.cpu().numpy())

    def judge(self, batch: Ids, ids_BxT: Ids, choices_BxT: Ids, close_BxT: Flags) -> None:
        """Sets ``proven`` and ``choice`` of some rows, by the choices and near ties at their last places but one."""
        first = ids_BxT.shape[1] - 1 - choices_BxT.shape[1]
        place_T = np.arange(first, ids_BxT.shape[1] - 1)
        answered_BxT = (place_T >= self.prompts[batch][:, None] - 1) & (place_T < self.lengths[batch][:, None] - 1)
        tied_BxT = answered_BxT & close_BxT
        differs = answered_BxT & ~tied_BxT & (choices_BxT != ids_BxT[:, first + 1 :])
        end = np.where(differs.any(axis=1), first + differs.argmax(axis=1), self.lengths[batch] - 2)
        self.proven[batch], self.choice[batch] = end + 1, choices_BxT[np.arange(len(batch)), end - first]
        for b, t in np.argwhere(tied_BxT & (place_T <= end[:, None])):  # row by row, in the order of their places
            row, place = int(batch[b]), int(place_T[t])
            if self.proven[row] > place:
                token = self.next_alone(row, ids_BxT[b, self.prompts[row] : place + 1].tolist())
                if token != ids_BxT[b, place + 1] or place == end[b]:
                    self.proven[row], self.choice[row] = place + 1, token
        # A limit can lie within the reference: no row is proven, or written, beyond it.
        self.proven[batch] = np.minimum(self.proven[batch], self.prompts[batch] + self.limits[batch])

    def _check_causal(self, batch: Ids, logits: torch.Tensor, first: int) -> None:
        """Reads some rows of a batch again as they are decoded, up to a place that nobody could foresee."""
        chosen, ends = draw_cuts(self.prompts[batch], self.lengths[batch], rechecked(len(batch)))
        cut = zip(batch[chosen], ends, strict=True)
        again = reader_of(self.model, [self.first_ids(row, end) for row, end in cut]).next_logits()
        rows, places = (torch.from_numpy(x).to(self.device) for x in (chosen, ends - 1 - first))
        if have_moved(logits[rows, places], again):
            raise NotShownError

    # --- on its own ---------------------------------------------------------------------------------------------------

    def decode(self) -> dict[int, list[int]]:
        """The ids that the model writes, of all rows that are not exact.

        Raises:
            NotShownError: the model writes something else when asked in another way, or has near ties everywhere.
        """
        wrong, going_on = self.wrong(np.arange(len(self.rows)))
        written = {int(row): self.completion(int(row)) for row in wrong}
        # Some rows are written from the prompt on, whatever has been proven of them, in one go with the others.
        audited = draw_audited(self.rows)
        rows = np.concatenate([going_on, audited])
        tails: list[list[int]] = [*([*written[row]] for row in going_on.tolist()), *([] for _ in audited)]
        # Rows may grow to their limit, which is what a cache then holds.
        self._in_batches(
            np.argsort([-self.prompts[row] - len(tail) for row, tail in zip(rows, tails, strict=True)], kind="stable"),
            self.prompts[rows] + self.limits[rows],
            lambda batch: self._continue(rows[batch], [tails[job] for job in batch]),
        )
        written |= dict(zip(going_on.tolist(), tails[: len(going_on)], strict=True))
        self.audit(written, dict(zip(audited.tolist(), tails[len(going_on) :], strict=True)))
        return written

    def wrong(self, rows: Ids) -> tuple[Ids, Ids]:
        """Which of some rows are not exact, and which of these go on after the first id that is not the reference's."""
        room = self.limits - (self.proven - self.prompts)
        wrong = rows[(self.proven[rows] < self.lengths[rows] - 1) | (self.choice[rows] != EOS_ID) | (room[rows] < 1)]
        return wrong, wrong[(self.choice[wrong] != EOS_ID) & (room[wrong] > 1)]

    def audit(self, written: dict[int, list[int]], from_prompts: dict[int, list[int]]) -> None:
        """Compares what was written from the prompts of some rows on.

        Raises:
            NotShownError: it is something else.
        """
        for row, tail in from_prompts.items():
            if tail != (written[row] if row in written else self.completion(row)):
                raise NotShownError

    def completion(self, row: int) -> list[int]:
        """What is proven of a completion, and the model's own choice after it."""
        begin = int(self.rows.offsets[row])
        ids = self.rows.ids[begin + self.prompts[row] : begin + self.proven[row]].tolist()
        return [*ids, int(self.choice[row])][: self.limits[row]]

    def _continue(self, rows: Ids, tails: list[list[int]]) -> None:
        """Lets parts of completions grow until each has stopped or reached its limit."""
        reader = reader_of(self.model, [self._so_far(row, tail) for row, tail in zip(rows, tails, strict=True)])
        used, goes_on = np.array([len(tail) for tail in tails]), np.ones(len(rows), np.bool_)
        active = np.arange(len(rows))
        while True:
            choices, close = first_choices(reader.next_logits())
            tokens, near_tie = choices.cpu().numpy(), close.cpu().numpy()
            for place in np.flatnonzero(near_tie & goes_on[active]):
                tokens[place] = self.next_alone(rows[active[place]], tails[active[place]])
            for place in np.flatnonzero(goes_on[active]):
                tails[active[place]].append(int(tokens[place]))
            used[active] += 1
            has_room = used[active] < self.limits[rows[active]]
            goes_on[active] &= has_room & (tokens != EOS_ID)
            if not goes_on.any():
                return
            # To drop a row, what is remembered of all others is copied: so it is done for many at once.
            stays = has_room if goes_on[active].mean() > 7 / 8 else goes_on[active]
            reader.append(tokens, stays)
            active = active[stays]

    def _so_far(self, row: int, tail: list[int]) -> Ids:
        """A prompt and the first ids of its completion."""
        return np.concatenate([self.first_ids(row, self.prompts[row]), np.array(tail, np.int64)])

    def first_ids(self, row: int, number: int) -> Ids:
        begin = int(self.rows.offsets[row])
        ids: Ids = self.rows.ids[begin : begin + number].astype(np.int64)
        return ids

    def next_alone(self, row: int, tail: list[int]) -> int:
        """The first choice after a prompt and the first ids of its completion."""
        self.ties -= 1
        if self.ties < 0:
            raise NotShownError
        return int(logits_of(self.model, torch.from_numpy(self._so_far(row, tail))[None])[0, -1].argmax())

    def _in_batches(self, order: Ids, lengths: Ids, work: Callable[[Ids], None]) -> None:
        """Calls ``work`` with consecutive parts of ``order``, smaller ones from where memory runs out."""
        budget = CPU_BATCH_TOKENS if self.device.type == "cpu" else GPU_BATCH_TOKENS
        start, most = 0, self.batch_size
        while start < len(order):
            size = most or max(1, budget // int(lengths[order[start]]))
            try:
                work(order[start : start + size])
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
                most = min(size, len(order) - start) // 2 or 1
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            start += size


def gather(rows: Rows, batch: Ids, lengths: Ids) -> Ids:
    """int64 [B, T]: the first ids of some rows, filled up at the right end."""
    place, lengths = np.arange(int(lengths.max())), lengths[:, None]
    real = place < lengths
    ids = rows.ids[np.where(real, rows.offsets[batch][:, None] + place, 0)]
    return np.where(real, ids, PAD_ID).astype(np.int64)


def predictions_of(rows: Rows, written: dict[int, list[int]], *, causal: bool) -> Predictions:
    """The completions, of which those that are not written are the references."""
    words, completions = vocabulary(rows.task.symbol_set), rows.completions()
    exact, stopped = np.ones(len(rows), np.bool_), np.ones(len(rows), np.bool_)
    for row, ids in written.items():
        begin, end = int(rows.offsets[row]), int(rows.offsets[row + 1])
        if ids != rows.ids[begin + int(rows.prompt_lengths[row]) : end].tolist():
            exact[row], stopped[row] = False, ids[-1] == EOS_ID
            completions[row] = "".join(" " + words[token] for token in ids if token >= len(SPECIAL_TOKENS))
    return Predictions(completions, exact, stopped, causal)


def rechecked(rows: int) -> int:
    """How many rows of a batch are read a second time, cut."""
    return max(LEAST_RECHECKED, math.ceil(rows * RECHECKED_SHARE))


def draw_audited(rows: Rows) -> Ids:
    """Rows of a split that are written from the prompt on in any case."""
    return draw().choice(len(rows), min(AUDITED_ROWS, len(rows)), replace=False)


def _allowed_ties(rows: Rows) -> int:
    """Near ties that are decided one by one, each on a row alone; a trained model has a tenth as many."""
    return 64 + len(rows) // 25


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
