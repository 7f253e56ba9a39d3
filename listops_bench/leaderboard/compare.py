"""Two sets of results side by side: in which cells of the board do as many runs learn, and where do they differ?

A cell is a task, a model and what it was trained on, whatever the recipe and track: somebody who has trained with other
code has other recipes. Of one run of many that learned or failed, the runs decide, by Fisher's exact test in each cell.
Two tests may differ by luck, so the p of the cells are adjusted for their number (Holm); a cell that no outcome of its
runs could tell apart is never said to differ, and costs the others nothing. Few seeds decide little in any one cell:
all cells together are tested once more, by the same test stratified.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean

from listops_bench._base.text import count, p_text
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group, Run, Setting
from listops_bench.leaderboard.repeat import Shares
from listops_bench.stats.differences import SIGNIFICANT, fisher, stratified_fisher
from listops_bench.stats.intervals import holm
from listops_bench.tasks.task import task_order


@dataclass(frozen=True)
class Cell:
    """What two sets of results say of one cell.

    Attributes:
        first, second: the runs of each of which it is known whether they learned; one or more.
    """

    task: str
    model: str
    curriculum: str
    first: tuple[Run, ...]
    second: tuple[Run, ...]

    @cached_property
    def learned(self) -> Shares:
        """Runs that learned, of the first beside the second."""
        return Shares("runs", _learned(self.first), _learned(self.second))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Runs that learned and all runs of the first, and those of the second."""
        return *self.learned.here, *self.learned.board

    @property
    def points(self) -> float:
        """Percentage points of runs that learned, first minus second."""
        return self.learned.points

    @property
    def exact_points(self) -> float:
        """Percentage points between the means of exact traces on test rows, first minus second."""
        return 100 * (_mean_exact(self.first) - _mean_exact(self.second))

    @property
    def num_identical(self) -> int:
        """Runs of the first whose very weights are among the second's."""
        weights = {run.result.model.weights_sha256 for run in self.second} - {None}
        return sum(run.result.model.weights_sha256 in weights for run in self.first)

    @cached_property
    def p(self) -> float:
        return self.learned.p

    @property
    def lowest_p(self) -> float:
        """The lowest that ``p`` could have been with so many runs in each, and so many in both that learned."""
        right, n, other_right, other_n = self.counts
        total = right + other_right
        return min(fisher(at, n, total - at, other_n) for at in (max(0, total - other_n), min(n, total)))


@dataclass(frozen=True)
class SideBySide:
    """Two sets of results.

    Attributes:
        cells: those that both have.
        first_alone, second_alone: how many only the one has.
    """

    cells: tuple[Cell, ...]
    first_alone: int
    second_alone: int

    @cached_property
    def adjusted(self) -> tuple[float | None, ...]:
        """The p of each cell, adjusted for their number; None for cells that could not be told apart at all."""
        decidable = [cell.lowest_p < SIGNIFICANT for cell in self.cells]
        found = iter(holm([cell.p for cell, can in zip(self.cells, decidable, strict=True) if can]))
        return tuple(next(found) if can else None for can in decidable)

    @property
    def num_different(self) -> int:
        return sum(p is not None and p < SIGNIFICANT for p in self.adjusted)

    @cached_property
    def p(self) -> float:
        """Of all cells together."""
        return stratified_fisher([cell.counts for cell in self.cells])

    @property
    def differs(self) -> bool:
        """Whether any cell does, or all of them together."""
        return self.num_different > 0 or self.p < SIGNIFICANT

    @property
    def verdict(self) -> tuple[str, str]:
        """Two lines: on the cells, and on all of them together."""
        undecidable = self.adjusted.count(None)
        alike = len(self.cells) - self.num_different - undecidable
        right, n, other_right, other_n = map(sum, zip(*(cell.counts for cell in self.cells), strict=True))
        of_cells = (
            f"{count(len(self.cells), 'cell')} in both: {self.num_different} different, {alike} not told apart, "
            f"{undecidable} that so few runs or such outcomes could not tell apart; "
            f"{self.first_alone:,} in the first alone, {self.second_alone:,} in the second alone"
        )
        together = "different" if self.p < SIGNIFICANT else "not told apart"
        return of_cells, (
            f"all together: {together}, {right:,} of {count(n, 'run')} learned beside {other_right:,} of {other_n:,} "
            f"({p_text(self.p)}, within cells)"
        )


def side_by_side(first: Sequence[Board], second: Sequence[Board]) -> SideBySide:
    """Compares two sets of results, cell by cell; cells of other dataset and scorer versions are others."""
    found, other = _by_cell(first), _by_cell(second)
    cells = tuple(_cell(groups, other[key]) for key, groups in found.items() if key in other)
    return SideBySide(
        tuple(sorted(cells, key=lambda cell: (cell.p, task_order(cell.task), cell.model, cell.curriculum))),
        len(found) - len(cells),
        len(other) - len(cells),
    )


def _by_cell(boards: Sequence[Board]) -> Mapping[Hashable, list[Group]]:
    """The groups of each cell that has a run of which it is known whether it learned."""
    found = defaultdict[Hashable, list[Group]](list)
    for board in boards:
        for group in board.groups:
            if _known([group]):
                setting = replace(Setting.of(group.first), track="")
                found[board.version, setting, group.task, group.curriculum, group.model, group.parameters].append(group)
    return found


def _known(groups: Sequence[Group]) -> tuple[Run, ...]:
    return tuple(run for group in groups for run in group.runs if run.learned is not None)


def _cell(groups: Sequence[Group], others: Sequence[Group]) -> Cell:
    one = groups[0]
    return Cell(one.task, one.model, one.curriculum, _known(groups), _known(others))


def _mean_exact(runs: Sequence[Run]) -> float:
    """Exact traces on test rows, which each run has that is known to have learned or failed."""
    return fmean(found.accuracy for run in runs if (found := run.summary()) is not None)


def _learned(runs: Sequence[Run]) -> tuple[int, int]:
    return sum(run.learned is True for run in runs), len(runs)
