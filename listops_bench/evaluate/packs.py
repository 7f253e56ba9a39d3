"""Predictions of models of one shape on the same rows, computed as one: those of `predict`, in a part of the time.

What is shared: the forward passes (`PackedLooped`: on a GPU all members at once), the rows, and what a model remembers
of the reference. A row that goes wrong is written on from the keys and values of what came before::

    with the reference   [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 9 4 ] = 6        read once, keys and values kept
    going on             [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 8                from those of "[SUM 3 [MAX 2 9 ] 4 ] = [SUM 3"

A member has to show what `predict` asks of every model, no less. The cut rows are read by the model itself, by which
they also show that the pack computes what the model does; near ties are the model's own to decide; and some rows are
written from the prompt on. A member of which something does not hold is predicted by itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench.errors import InvalidInput
from listops_bench.evaluate import decoding
from listops_bench.evaluate._kernels import attend_on
from listops_bench.evaluate._reading import reader_of
from listops_bench.evaluate.decoding import (
    Decoder,
    Ids,
    NotShownError,
    Predictions,
    check,
    limits_of,
    predict,
    rechecked,
)
from listops_bench.model.causality import choices_of, draw_cuts, have_moved
from listops_bench.model.modeling_looped import LoopedForCausalLM
from listops_bench.model.packed import PackedLooped, shape_of
from listops_bench.tasks.generator import Rows
from listops_bench.tasks.symbols import EOS_ID, PAD_ID

MOST_MEMBERS = {"cpu": 1, "cuda": 64}
"""Models that are asked at once, by the device's type; a CPU is busy with one, as any other is taken to be."""
_CPU_PARTS = 4
"""A CPU reads in smaller batches than `predict`: what is kept of them stays in its cache until it is used."""
_SPARE = 16
"""Places for keys and values that are made beyond the longest row."""

Kept = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values [R, H, T, S] of each loop."""


@dataclass(frozen=True)
class _Tail:
    """What a member has written of a row so far."""

    member: int
    row: int
    ids: list[int]


def predict_many(models: Sequence[PreTrainedModel], rows: Rows) -> list[Predictions | InvalidInput]:
    """The predictions of each model, or why it cannot be asked: what `predict` returns or raises.

    Models of one shape are asked together, those of other families one by one. All are on one device.
    """
    found: dict[int, Predictions | InvalidInput] = {}
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for i, model in enumerate(models):
        try:
            check(model, rows)
            limits_of(model, rows, None)
        except InvalidInput as error:
            found[i] = error
        else:
            shape = shape_of(model.config) if type(model) is LoopedForCausalLM else None
            if shape is not None:
                groups[f"{shape} {model.dtype}"].append(i)
    for members in groups.values():
        most = MOST_MEMBERS.get(models[members[0]].device.type, 1)
        for start in range(0, len(members), most):
            part = members[start : start + most]
            shown = _predict_as_one([models[i] for i in part], rows)
            found |= {i: one for i, one in zip(part, shown, strict=True) if one is not None}
    return [found[i] if i in found else _by_itself(model, rows) for i, model in enumerate(models)]


def _by_itself(model: PreTrainedModel, rows: Rows) -> Predictions | InvalidInput:
    try:
        return predict(model, rows)
    except InvalidInput as error:
        return error


def _predict_as_one(models: Sequence[PreTrainedModel], rows: Rows) -> list[Predictions | None]:
    """None of a member that has not shown what it has to, or of all where memory runs out."""
    share = 1
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(decoding.exact_arithmetic(model))
        while True:
            try:
                return _Pack(models, rows, share).predictions()
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not decoding.is_out_of_memory(error):
                    raise
                share *= 4
                if share > 64:
                    return [None] * len(models)
                if models[0].device.type == "cuda":
                    torch.cuda.empty_cache()


class _Pack:
    """K models on one set of rows. ``share``: a batch has so much less tokens than it may have."""

    def __init__(self, models: Sequence[PreTrainedModel], rows: Rows, share: int) -> None:
        self.network, self.device = PackedLooped(models[0]), models[0].device
        self.weights = self.network.flatten(models).to(self.device)
        limits = limits_of(models[0], rows, None)
        self.members = [Decoder(model, rows, limits, None) for model in models]
        self.any, self.rows = self.members[0], rows
        self.is_many = self.device.type != "cpu" or len(models) > 1
        budget = decoding.CPU_BATCH_TOKENS if self.device.type == "cpu" else decoding.GPU_BATCH_TOKENS
        self.tokens = budget // share
        self.failed: set[int] = set()
        self.written: list[dict[int, list[int]]] = [{} for _ in models]
        self.from_prompts: list[dict[int, list[int]]] = [{} for _ in models]
        self.cuts: list[tuple[Ids, Ids, torch.Tensor]] = []
        self.waiting: list[tuple[list[_Tail], Kept]] = []

    def predictions(self) -> list[Predictions | None]:
        with torch.no_grad():
            self._read_prompts(decoding.draw_audited(self.rows))
            order = self.any.order()
            for batch in self._batches(order):
                self._compare(batch)
            self._go_on()
            self._check_cuts()
        return [self._of_member(k) for k in range(len(self.members))]

    def _batches(self, order: Ids) -> Iterator[Ids]:
        start = 0
        while start < len(order):
            tokens = self.tokens // (len(self.members) if self.is_many else _CPU_PARTS)
            size = max(1, tokens // int(self.any.lengths[order[start]]))
            yield order[start : start + size]
            start += size

    def _of_member(self, k: int) -> Predictions | None:
        if k not in self.failed:
            try:
                self.members[k].audit(self.written[k], self.from_prompts[k])
                return decoding.predictions_of(self.rows, self.written[k], causal=True)
            except NotShownError:
                pass
        return None

    # --- with the reference as input ----------------------------------------------------------------------------------

    def _read(self, ids_BxT: Ids, keep_M: Ids) -> tuple[torch.Tensor, Kept]:
        """Logits [K, M, V] at flat places of some rows, and the keys and values of all places, [K * B, H, T, S]."""
        k, kept = len(self.members), Kept()
        ids, keep = (torch.from_numpy(x).to(self.device).expand(k, *x.shape) for x in (ids_BxT, keep_M))
        logits = self.network.logits(self.weights, ids, keep, kept)
        return logits, [
            (keys.flatten(0, 1).transpose(1, 2), values.flatten(0, 1).transpose(1, 2)) for keys, values in kept
        ]

    def _compare(self, batch: Ids) -> None:
        """Compares some rows of all members with the reference, and has those wait that go on otherwise."""
        lengths, prompts = self.any.lengths[batch], self.any.prompts[batch]
        ids_BxT = self.any.gather(batch, lengths)
        first, stop = int(prompts.min()) - 1, ids_BxT.shape[1] - 1
        shape = (len(self.members), len(batch), stop - first)
        keep_M = (np.arange(len(batch))[:, None] * stop + np.arange(first, stop)).ravel()
        flat_logits, kept = self._read(ids_BxT[:, :-1], keep_M)
        logits = flat_logits.view(*shape, -1)
        chosen, ends = draw_cuts(prompts, lengths, rechecked(len(batch)))
        self.cuts.append((batch[chosen], ends, logits[:, chosen, ends - 1 - first]))
        choices, close = self._choices(logits)
        going_on = []
        for k, member in enumerate(self.members):
            if k in self.failed:
                continue
            try:
                member.judge(batch, ids_BxT, choices[k], close[k])
            except NotShownError:
                self.failed.add(k)
                continue
            wrong, goes_on = member.wrong(batch)
            self.written[k] |= {int(row): member.completion(int(row)) for row in wrong}
            going_on += [(k, int(row)) for row in goes_on]
        place = {row: b for b, row in enumerate(batch.tolist())}
        tails = [_Tail(k, row, self.written[k][row]) for k, row in going_on]
        self._wait(tails, [k * len(batch) + place[row] for k, row in going_on], kept)

    def _read_prompts(self, chosen: Ids) -> None:
        """Begins to write some rows from the prompt on."""
        for batch in self._batches(chosen[np.argsort(-self.any.lengths[chosen])]):
            prompts = self.any.prompts[batch]
            ids_BxT = self.any.gather(batch, prompts)
            logits, kept = self._read(ids_BxT, np.arange(len(batch)) * ids_BxT.shape[1] + prompts - 1)
            choices, close = self._choices(logits)
            tails, places = [], []
            for k, b in np.ndindex(*choices.shape):
                if k not in self.failed:
                    row = int(batch[b])
                    token = self._own_choice(k, row, []) if close[k, b] else int(choices[k, b])
                    tail = self.from_prompts[k][row] = [token]
                    if token != EOS_ID and self.any.limits[row] > 1:
                        tails.append(_Tail(k, row, tail))
                        places.append(k * len(batch) + b)
            self._wait(tails, places, kept)

    def _choices(self, logits: torch.Tensor) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """First choices and near ties [K, ...] on the host. A member whose logits are no numbers has failed."""
        choices, close, finite = choices_of(logits)
        self.failed |= set(np.flatnonzero(~finite.flatten(1).all(1).cpu().numpy()).tolist())
        return choices.cpu().numpy(), close.cpu().numpy()

    def _own_choice(self, k: int, row: int, tail: list[int]) -> int:
        """The choice of a member itself; ``<eos>`` of one that has failed."""
        try:
            return EOS_ID if k in self.failed else self.members[k].next_alone(row, tail)
        except NotShownError:
            self.failed.add(k)
            return EOS_ID

    def _check_cuts(self) -> None:
        """Has each member itself read the cut rows, which is what they come to when they are written."""
        rows, ends = (np.concatenate([cut[i] for cut in self.cuts]).tolist() for i in range(2))
        logits = torch.cat([cut[2] for cut in self.cuts], dim=1)
        size = max(1, self.tokens // max(ends))
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            prefixes = [self.any.first_ids(row, end) for row, end in zip(rows[part], ends[part], strict=True)]
            for k, member in enumerate(self.members):
                if k not in self.failed:
                    again = reader_of(member.model, prefixes).next_logits()
                    if have_moved(logits[k, part], again):
                        self.failed.add(k)

    # --- on their own -------------------------------------------------------------------------------------------------

    def _wait(self, tails: list[_Tail], places: list[int], kept: Kept) -> None:
        """Has rows wait until there are enough to go on with, with what is kept of them, which lies at some places."""
        if tails:
            index = torch.tensor(places, device=self.device)
            end = max(self.any.prompts[tail.row] + len(tail.ids) for tail in tails) - 1
            self.waiting.append(
                (tails, [(keys[:, :, :end][index], values[:, :, :end][index]) for keys, values in kept])
            )
        counts = Counter(tail.member for tails, _ in self.waiting for tail in tails)
        longest = max((kept[0][0].shape[2] for _, kept in self.waiting), default=0)
        if max(counts.values(), default=0) * len(self.members) * (longest + _SPARE) > self.tokens:
            self._go_on()

    def _go_on(self) -> None:
        """Writes all that wait on, until each has stopped or reached its limit."""
        tails, pieces = [tail for tails, _ in self.waiting for tail in tails], [kept for _, kept in self.waiting]
        self.waiting, cache, held, width, k = [], Kept(), 0, 0, len(self.members)
        begins = np.array([self.any.prompts[tail.row] for tail in tails], np.int64)
        ends = begins + [len(tail.ids) for tail in tails]
        stops = begins + [self.any.limits[tail.row] for tail in tails]
        places = np.arange(len(tails))
        while tails:
            # What is remembered is copied to leave out the rows that have stopped: so it is done for many at once.
            if (self.is_many and len(tails) <= 3 / 4 * held) or ends.max() > width or pieces:
                if not pieces:
                    index = torch.from_numpy(places).to(self.device)
                    pieces = [[(keys[index], values[index]) for keys, values in cache]]
                places, size = _side_by_side(np.array([tail.member for tail in tails]), k)
                held, width = len(tails), int(ends.max()) + _SPARE
                cache, pieces = _arranged(pieces, places, k * size, width), []
            rows = np.arange(k * size) if self.is_many else places
            own = places if self.is_many else np.arange(len(tails))
            ids, at = np.full(len(rows), PAD_ID), np.zeros(len(rows), np.int64)
            ids[own], at[own] = [tail.ids[-1] for tail in tails], ends - 1
            choices, close = (x.ravel()[own] for x in self._choices(self._step(cache, ids, rows, at)))
            for job in np.flatnonzero(close):
                choices[job] = self._own_choice(tails[job].member, tails[job].row, tails[job].ids)
            for tail, token in zip(tails, choices.tolist(), strict=True):
                tail.ids.append(token)
            ends += 1
            stays = np.flatnonzero((choices != EOS_ID) & (ends < stops))
            stays = stays[[tails[job].member not in self.failed for job in stays]] if self.failed else stays
            tails = [tails[job] for job in stays]
            places, ends, stops = places[stays], ends[stays], stops[stays]

    def _step(self, cache: Kept, ids: Ids, rows: Ids, places: Ids) -> torch.Tensor:
        """Logits [K, N, V] of one more token for some rows, of each member as many.

        Args:
            cache: to which the tokens' keys and values are added.
            ids, rows, places: int64 [K * N], the tokens, their rows in the cache, and their places in the rows.
        """
        k, loops = len(self.members), iter(cache)
        ids_KxN, at_KxN = (torch.from_numpy(x).to(self.device).view(k, -1) for x in (ids, places))
        at, each = at_KxN.flatten(), torch.arange(at_KxN.numel(), device=self.device)
        later_NxT = torch.arange(int(places.max()) + 1, device=self.device) > at[:, None]

        def attend(q: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
            keys, values = next(loops)
            q_NxHxS, key, value = (x.flatten(0, 1) for x in (q, key, value))
            if not self.is_many:
                y = torch.empty_like(q_NxHxS)
                tensors = (x.numpy() for x in (q_NxHxS, key, value, keys, values))
                attend_on(*tensors, rows, places, y.numpy().dtype.type(scale), y.numpy())
                return y[None]
            keys[each, :, at], values[each, :, at] = key, value
            keys, values = (x[:, :, : later_NxT.shape[1]] for x in (keys, values))
            scores_NxHxT = (keys @ (q_NxHxS * scale)[..., None])[..., 0]
            weights = scores_NxHxT.masked_fill(later_NxT[:, None], -torch.inf).softmax(-1)
            return (weights[:, :, None] @ values)[:, :, 0].unflatten(0, (k, -1))

        return self.network.flat_logits(self.weights, ids_KxN, at_KxN, attend)


def _side_by_side(members: Ids, k: int) -> tuple[Ids, int]:
    """A place for each row among those of its member, int64 [R], and how many places each of the k members has."""
    counts, order = np.bincount(members, minlength=k), np.argsort(members, kind="stable")
    places = np.empty_like(members)
    places[order] = np.arange(len(members)) - (counts.cumsum() - counts)[members[order]]
    return members * counts.max() + places, int(counts.max())


def _arranged(pieces: Sequence[Kept], places: Ids, total: int, width: int) -> Kept:
    """Keys and values [total, H, width, S] of rows that come one piece after the other."""
    indices = torch.from_numpy(places).split([len(piece[0][0]) for piece in pieces])
    cache = []
    for loop in zip(*pieces, strict=True):
        both = []
        for parts in zip(*loop, strict=True):
            x = parts[0].new_zeros(total, parts[0].shape[1], width, parts[0].shape[3])
            for index, part in zip(indices, parts, strict=True):
                x[index.to(x.device), :, : part.shape[2]] = part[:, :, :width]
            both.append(x)
        cache.append((both[0], both[1]))
    return cache
