"""Validation of a pack: exact traces on validation rows, all members at once, each on tasks of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from listops_bench.model.packed import PackedLooped
from listops_bench.tasks.generator import Rows
from listops_bench.tasks.task import get_task, with_single_tasks
from listops_bench.train._batches import IGNORED
from listops_bench.train._validation import validation_figures, validation_rows
from listops_bench.train.packed._data import RowTable, Shape
from listops_bench.train.packed._members import Member
from listops_bench.train.packed._plain import attention, compact

_ROWS_AT_ONCE = 128

Key = tuple[str, str, int]
"""Task, trace style and number of rows."""


class PackedValidation:
    """The figures of `TeacherForced`, for every member of a pack.

    Nobody has to show here that it is causal: members are weights, and what is computed with them is `PackedLooped`
    with a causal attention of ours, which no configuration reaches.
    """

    def __init__(self, members: Sequence[Member], device: torch.device) -> None:
        rows: dict[Key, Rows] = {}
        for member in members:
            for key in _keys(member):
                if key not in rows:
                    rows[key] = validation_rows(get_task(key[0]), member.config.eval_rows, member.config.trace)
        self._table = RowTable(rows, device) if rows else None
        self._counts = {key: len(r) for key, r in rows.items()}
        self._width = max((int(r.num_tokens.max()) for r in rows.values()), default=1) - 1

    @torch.no_grad()
    def __call__(
        self, model: PackedLooped, weights_KxP: torch.Tensor, due: Mapping[int, Member]
    ) -> dict[int, dict[str, float]]:
        """The figures of the members that are due, by slot."""
        keys = {slot: _keys(member) for slot, member in due.items()}
        weights = weights_KxP[torch.tensor(list(due), device=weights_KxP.device)]
        scores: dict[int, dict[str, float]] = {slot: {} for slot in due}
        for turn in range(max(map(len, keys.values()))):
            own = [keys[slot][min(turn, len(keys[slot]) - 1)] for slot in due]
            for slot, key, score in zip(due, own, self._accuracy(model, weights, own), strict=True):
                scores[slot][key[0]] = score
        return {slot: validation_figures(scores[slot], member.position.stage) for slot, member in due.items()}

    def _accuracy(self, model: PackedLooped, weights_KxP: torch.Tensor, keys: Sequence[Key]) -> list[float]:
        """Every member's share of exact rows on a task of its own."""
        table, device = self._table, weights_KxP.device
        assert table is not None
        first, count = (np.array([[known[key]] for key in keys]) for known in (table.first, self._counts))
        completion_only = torch.zeros(len(keys), 1, dtype=torch.bool, device=device)
        exact = torch.zeros(len(keys), dtype=torch.int64, device=device)
        for start in range(0, int(count.max()), _ROWS_AT_ONCE):
            place_KxB = np.arange(start, start + _ROWS_AT_ONCE)[None]
            rows = first + np.minimum(place_KxB, count - 1)  # members with fewer rows repeat their last one
            starts = table.starts(rows)
            asked = (table.store.lengths[rows] - table.store.prompt_lengths[rows]).sum(1)
            shape = Shape(int(starts[:, -1].max()), int(asked.max()), self._width)
            rows_KxB, starts_KxB1, counted = (
                torch.from_numpy(x).to(device) for x in (rows, starts, np.ascontiguousarray(place_KxB < count))
            )
            batch = table.batch(rows_KxB, starts_KxB1, shape, completion_only)
            keep_KxM, targets_KxM = compact(batch.targets, shape.kept)
            logits = model.logits(weights_KxP, batch.ids, batch.positions, attention(batch), keep_KxM)
            wrong = (logits.argmax(-1) != targets_KxM) & (targets_KxM != IGNORED)
            row_of_target = batch.rows.long().gather(1, keep_KxM)
            errors = wrong.new_zeros(rows.shape, dtype=torch.int64).scatter_add(1, row_of_target, wrong.long())
            exact += ((errors == 0) & counted).sum(1)
        return (exact.cpu().numpy() / count[:, 0]).tolist()


def _keys(member: Member) -> list[Key]:
    """The validation rows that a member is measured on; none where it never is."""
    config = member.config
    tasks = with_single_tasks(member.curriculum.tasks) if config.eval_steps else []
    return [(name, config.trace, config.eval_rows) for name in tasks]
