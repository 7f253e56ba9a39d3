"""Validation of a pack: exact traces on validation rows, all members at once, each on tasks of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from listops_bench.model.packed import PackedLooped
from listops_bench.tasks.generator import Rows
from listops_bench.tasks.task import get_task, with_single_tasks
from listops_bench.train._validation import validation_figures, validation_rows
from listops_bench.train.packed._data import RowTable
from listops_bench.train.packed._members import Member

_ROWS_AT_ONCE = 128

Key = tuple[str, str, int]
"""Task, trace style and number of rows."""


class PackedValidation:
    """The figures of `TeacherForced`, for every member of a pack."""

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
        assert self._table is not None
        first = torch.tensor([[self._table.first[key]] for key in keys], device=weights_KxP.device)
        count = torch.tensor([[self._counts[key]] for key in keys], device=weights_KxP.device)
        exact = torch.zeros(len(keys), dtype=torch.int64, device=weights_KxP.device)
        completion_only = torch.zeros(len(keys), 1, dtype=torch.bool, device=weights_KxP.device)
        for start in range(0, int(count.max()), _ROWS_AT_ONCE):
            place = torch.arange(start, start + _ROWS_AT_ONCE, device=weights_KxP.device)[None]
            rows_KxB = first + torch.minimum(place, count - 1)  # members with fewer rows repeat their last one
            tokens = self._table.tokens(rows_KxB, self._width)
            asked = self._table.bears_loss(rows_KxB, self._width, completion_only)
            choice = model.logits(weights_KxP, tokens[..., :-1]).argmax(-1).view_as(asked)
            right = ((choice == tokens[..., 1:]) | ~asked).all(-1)
            exact += (right & (place < count)).sum(1)
        return (exact / count[:, 0]).tolist()


def _keys(member: Member) -> list[Key]:
    """The validation rows that a member is measured on; none where it never is."""
    config = member.config
    tasks = with_single_tasks(member.curriculum.tasks) if config.eval_steps else []
    return [(name, config.trace, config.eval_rows) for name in tasks]
