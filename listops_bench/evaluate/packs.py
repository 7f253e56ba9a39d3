"""Predictions of models of one shape on the same rows, computed as one: those of `predict`, in a part of the time.

What is shared: the rows, as trees of their prefixes (`_trees`); the forward passes (`PackedLooped`: on a GPU all
members at once); and what a model remembers of the reference (`_memory`). A row that goes wrong is written on from the
keys and values of what came before::

    with the reference   [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 9 4 ] = 6        read once, keys and values kept
    going on             [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 8                from those of "[SUM 3 [MAX 2 9 ] 4 ] = [SUM 3"

A member has to show what `predict` asks of every model, no less. The cut rows are read by the model itself, by which
they also show that the pack computes what the model does; near ties are the model's own to decide; and some rows are
written from the prompt on. A member of which something does not hold is predicted by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench.errors import InvalidInput
from listops_bench.evaluate import decoding
from listops_bench.evaluate._memory import Memory
from listops_bench.evaluate._reading import reader_of
from listops_bench.evaluate._trees import Tree, trees
from listops_bench.evaluate.decoding import (
    Decoder,
    Ids,
    NotShownError,
    Predictions,
    check,
    gather,
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
_CPU_PARTS = 16
"""A CPU reads in smaller batches than `predict`: what is computed of them stays in its cache until it is used."""


@dataclass(frozen=True)
class _Batch:
    """Some rows with their references, and what is asked of those who read them.

    Attributes:
        ids: int64 [B, T], whole rows, ``<eos>`` included.
        tree: of all ids but those.
        asked: int64 [M], the nodes after which a token of an answer is due.
        first: the first place of any row that is asked.
        places: int64 [B, T - 1 - first], where in ``asked`` those of each row are, from there on.
    """

    ids: Ids
    tree: Tree
    asked: Ids
    first: int
    places: Ids


def _batches(rows: Rows, most: int) -> list[_Batch]:
    """All rows in batches of so many nodes at the most."""
    lengths, prompts = rows.num_tokens.astype(np.int64), rows.prompt_lengths.astype(np.int64)
    found = []
    for tree in trees(rows, np.arange(len(rows)), lengths - 1, most):
        first = int(prompts[tree.rows].min()) - 1
        is_asked = tree.places >= prompts[tree.rows][tree.owners] - 1
        places = (is_asked.cumsum() - 1)[tree.nodes[:, first:]]
        found.append(_Batch(gather(rows, tree.rows, lengths[tree.rows]), tree, np.flatnonzero(is_asked), first, places))
    return found


@dataclass(frozen=True)
class _Tail:
    """What a member has written of a row so far."""

    member: int
    row: int
    ids: list[int]


def predict_many(
    models: Sequence[PreTrainedModel], rows: Rows, batch_size: int | None = None
) -> list[Predictions | InvalidInput]:
    """The predictions of each model, or why it cannot be asked: what `predict` returns or raises.

    Models of one shape are asked together; those of other families one by one, and all with a ``batch_size``. They are
    on one device.
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
            if shape is not None and batch_size is None:
                groups[f"{shape} {model.dtype}"].append(i)
    batches = cache(lambda most: _batches(rows, most))
    for members in groups.values():
        most = MOST_MEMBERS.get(models[members[0]].device.type, 1)
        memory = Memory(compiled=most == 1 and models[members[0]].device.type == "cpu")
        for start in range(0, len(members), most):
            part = members[start : start + most]
            shown = _predict_as_one([models[i] for i in part], rows, batches, memory)
            found |= {i: one for i, one in zip(part, shown, strict=True) if one is not None}
    return [found[i] if i in found else _by_itself(model, rows, batch_size) for i, model in enumerate(models)]


def _by_itself(model: PreTrainedModel, rows: Rows, batch_size: int | None) -> Predictions | InvalidInput:
    try:
        return predict(model, rows, batch_size=batch_size)
    except InvalidInput as error:
        return error


def _predict_as_one(
    models: Sequence[PreTrainedModel], rows: Rows, batches: Callable[[int], Sequence[_Batch]], memory: Memory
) -> list[Predictions | None]:
    """None of a member that has not shown what it has to, or of all where memory runs out."""
    share = 1
    with ExitStack() as stack:
        for model in models:
            stack.enter_context(decoding.exact_arithmetic(model))
        while True:
            try:
                return _Pack(models, rows, batches, memory, share).predictions()
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not decoding.is_out_of_memory(error):
                    raise
                share *= 4
                memory.clear()
                if share > 64:
                    return [None] * len(models)
                if models[0].device.type == "cuda":
                    torch.cuda.empty_cache()


class _Pack:
    """K models on one set of rows.

    Args:
        batches: all rows, in batches of so many nodes at the most.
        share: a batch has so much less tokens than it may have.
    """

    def __init__(
        self,
        models: Sequence[PreTrainedModel],
        rows: Rows,
        batches: Callable[[int], Sequence[_Batch]],
        memory: Memory,
        share: int,
    ) -> None:
        self.network, self.device = PackedLooped(models[0]), models[0].device
        self.weights = self.network.flatten(models).to(self.device)
        limits = limits_of(models[0], rows, None)
        self.members = [Decoder(model, rows, limits, None) for model in models]
        self.any, self.rows = self.members[0], rows
        budget = decoding.CPU_BATCH_TOKENS if self.device.type == "cpu" else decoding.GPU_BATCH_TOKENS
        self.tokens = budget // share
        self.most = max(1, self.tokens // (_CPU_PARTS if memory.compiled else len(models)))
        self.batches, self.memory = batches, memory
        self.failed: set[int] = set()
        self.written: list[dict[int, list[int]]] = [{} for _ in models]
        self.from_prompts: list[dict[int, list[int]]] = [{} for _ in models]
        self.cuts: list[tuple[Ids, Ids, torch.Tensor]] = []
        self.waiting: list[tuple[list[_Tail], Ids]] = []

    def predictions(self) -> list[Predictions | None]:
        with torch.no_grad():
            self._read_prompts(decoding.draw_audited(self.rows))
            for batch in self.batches(self.most):
                self._compare(batch)
            self._go_on()
            self._check_cuts()
        return [self._of_member(k) for k in range(len(self.members))]

    def _of_member(self, k: int) -> Predictions | None:
        if k not in self.failed:
            try:
                self.members[k].audit(self.written[k], self.from_prompts[k])
                return decoding.predictions_of(self.rows, self.written[k], causal=True)
            except NotShownError:
                pass
        return None

    # --- with the reference as input ----------------------------------------------------------------------------------

    def _read(self, tree: Tree, asked_M: Ids) -> torch.Tensor:
        """Logits [K, M, V] at some nodes of a tree."""
        k, n = len(self.members), len(tree.ids)
        each = np.arange(k)[:, None]
        nodes = (n * each[:, None] + tree.nodes).reshape(-1, tree.nodes.shape[1])
        rows, places = (len(tree.rows) * each + tree.owners).ravel(), np.tile(tree.places, k)
        attend = self.memory.read(self._sent(nodes), self._sent(rows), self._sent(places))
        ids_KxN, places_KxN, asked_KxM = (self._sent(x).expand(k, -1) for x in (tree.ids, tree.places, asked_M))
        return self.network.logits(self.weights, ids_KxN, places_KxN, attend, asked_KxM)

    def _sent(self, x: Ids) -> torch.Tensor:
        return torch.from_numpy(x).to(self.device)

    def _compare(self, batch: _Batch) -> None:
        """Compares some rows of all members with the reference, and has those wait that go on otherwise."""
        rows = batch.tree.rows
        logits = self._read(batch.tree, batch.asked)
        chosen, ends = draw_cuts(self.any.prompts[rows], self.any.lengths[rows], rechecked(len(rows)))
        self.cuts.append((rows[chosen], ends, logits[:, batch.places[chosen, ends - 1 - batch.first]]))
        choices, close = self._choices(logits)
        tails, where = list[_Tail](), list[tuple[int, int]]()
        for k, member in enumerate(self.members):
            if k in self.failed:
                continue
            try:
                member.judge(rows, batch.ids, choices[k][batch.places], close[k][batch.places])
            except NotShownError:
                self.failed.add(k)
                continue
            wrong, goes_on = member.wrong(rows)
            self.written[k] |= {row: member.completion(row) for row in wrong.tolist()}
            tails += [_Tail(k, row, self.written[k][row]) for row in goes_on.tolist()]
            where += [(k, b) for b in np.flatnonzero(np.isin(rows, goes_on)).tolist()]
        self._wait(tails, where, batch.tree)

    def _read_prompts(self, chosen: Ids) -> None:
        """Begins to write some rows from the prompt on."""
        for tree in trees(self.rows, chosen, self.any.prompts[chosen], self.most):
            logits = self._read(tree, tree.nodes[np.arange(len(tree.rows)), self.any.prompts[tree.rows] - 1])
            choices, close = self._choices(logits)
            tails, where = list[_Tail](), list[tuple[int, int]]()
            for k, b in np.ndindex(*choices.shape):
                if k not in self.failed:
                    row = int(tree.rows[b])
                    token = self._own_choice(k, row, []) if close[k, b] else int(choices[k, b])
                    tail = self.from_prompts[k][row] = [token]
                    if token != EOS_ID and self.any.limits[row] > 1:
                        tails.append(_Tail(k, row, tail))
                        where.append((k, b))
            self._wait(tails, where, tree)

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
        rows, ends = (np.concatenate([cut[i] for cut in self.cuts]) for i in range(2))
        logits = torch.cat([cut[2] for cut in self.cuts], dim=1)
        order, start = np.argsort(-ends), 0
        while start < len(order):
            part = order[start : start + max(1, self.most // int(ends[order[start]]))]
            prefixes = [self.any.first_ids(row, end) for row, end in zip(rows[part], ends[part], strict=True)]
            for k, member in enumerate(self.members):
                if k not in self.failed and have_moved(
                    logits[k, part], reader_of(member.model, prefixes).next_logits()
                ):
                    self.failed.add(k)
            start += len(part)

    # --- on their own -------------------------------------------------------------------------------------------------

    def _wait(self, tails: list[_Tail], where: list[tuple[int, int]], tree: Tree) -> None:
        """Has rows of a tree that was just read, (member, place in it) each, wait until there are enough to go on."""
        if tails:
            k, b = np.array(where).T
            tokens, nodes = np.unique((k * len(tree.ids))[:, None] + tree.nodes[b], return_inverse=True)
            self.waiting.append((tails, self.memory.used + nodes.reshape(len(tails), -1)))
            self.memory.keep(self._sent(tokens))
        if self.memory.used > self.tokens:
            self._go_on()

    def _go_on(self) -> None:
        """Writes all that wait on, until each has stopped or reached its limit."""
        tails, k = [tail for tails, _ in self.waiting for tail in tails], len(self.members)
        members = np.array([tail.member for tail in tails], np.int64)
        begins = np.array([self.any.prompts[tail.row] for tail in tails], np.int64)
        stops = begins + [self.any.limits[tail.row] for tail in tails]
        # One row more, of nobody: it stands beside the rows of members that have less than others.
        ends = np.append(begins + [len(tail.ids) for tail in tails], 1)
        ids = np.array([*(tail.ids[-1] for tail in tails), PAD_ID])
        nodes, row = np.zeros((len(ends), int(stops.max(initial=1))), np.int64), 0
        for _, part in self.waiting:
            nodes[row : row + len(part), : part.shape[1]] = part[:, : nodes.shape[1]]
            row += len(part)
        own_nodes, active = self._sent(nodes), np.arange(len(tails))
        while len(active):
            sides, size = _side_by_side(members[active], k)
            jobs = np.full(k * size, len(tails))
            jobs[sides] = active
            logits = self._step(own_nodes, jobs, ids[jobs], ends[jobs] - 1)
            choices, close = (x.ravel()[sides] for x in self._choices(logits))
            for i in np.flatnonzero(close):
                tail = tails[active[i]]
                choices[i] = self._own_choice(tail.member, tail.row, tail.ids)
            for job, token in zip(active.tolist(), choices.tolist(), strict=True):
                tails[job].ids.append(token)
            ids[active] = choices
            ends[active] += 1
            active = active[(choices != EOS_ID) & (ends[active] < stops[active])]
            if self.failed:
                active = active[~np.isin(members[active], list(self.failed))]
        self.waiting, self.memory.used = [], 0

    def _step(self, nodes: torch.Tensor, rows: Ids, ids: Ids, places: Ids) -> torch.Tensor:
        """Logits [K, N, V] of one more token for some rows, of each member as many.

        Args:
            nodes: [R, T], in the memory, of all rows; those of the tokens are set.
            rows, ids, places: int64 [K * N], the tokens' rows, the tokens, and their places in the rows.
        """
        rows_KN, ids_KN, places_KN = (self._sent(x) for x in (rows, ids, places))
        attend = self.memory.go_on(nodes, rows_KN, places_KN)
        k = len(self.members)
        return self.network.logits(self.weights, ids_KN.view(k, -1), places_KN.view(k, -1), attend)


def _side_by_side(members: Ids, k: int) -> tuple[Ids, int]:
    """A place for each row among those of its member, int64 [R], and how many places each of the k members has."""
    counts, order = np.bincount(members, minlength=k), np.argsort(members, kind="stable")
    places = np.empty_like(members)
    places[order] = np.arange(len(members)) - (counts.cumsum() - counts)[members[order]]
    return members * counts.max() + places, int(counts.max())
