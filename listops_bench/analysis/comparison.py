"""Checkpoints side by side: single, joint and transferred models, of one size or of many.

Two tests were chosen before any checkpoint was looked at: whether the embedding follows the order of the numbers
(`Order.regression`), and whether it tells even from odd (parity). They are made for each checkpoint, and once more for
the seeds of a curriculum together. With ten numbers the smallest p that a perfect parity can have is 1/126, so one
model says little by itself, and the seeds together are what counts. Everything else in an analysis is exploratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listops_bench.analysis.embedding import Statistic, mean_over
from listops_bench.analysis.study import Analysis
from listops_bench.stats.intervals import Summary, holm
from listops_bench.tasks.training_kinds import KINDS, training_kind


@dataclass(frozen=True)
class Line:
    """One checkpoint of a comparison.

    Attributes:
        kind: what its training is to the operation compared on: ``alone``, ``joint``, ``transfer`` or ``other``.
        exact: exact traces on the test rows of that operation, and ``unseen`` on those with held-out operands.
        facts: multisets of three held-out operands known, of the same operation.
        attention_share: see `Reliance`.
    """

    analysis: Analysis
    kind: str
    exact: Summary
    unseen: Summary
    facts: Summary | None
    order: Statistic
    parity: Statistic
    attention_share: float


@dataclass(frozen=True)
class Group:
    """The checkpoints of one curriculum and architecture, one for each seed; statistics are means over them."""

    plan: str
    kind: str
    architecture: str
    lines: tuple[Line, ...]
    order: Statistic
    parity: Statistic
    order_p: float
    parity_p: float


@dataclass(frozen=True)
class Comparison:
    """Checkpoints compared on one operation.

    Attributes:
        groups: ``order_p`` and ``parity_p`` in them are adjusted (Holm) over all tests of all groups.
    """

    operation: str
    groups: tuple[Group, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for group in self.groups for line in group.lines)


def compare_checkpoints(analyses: Sequence[Analysis]) -> Comparison:
    """The comparison on the first operation that all were trained on, or where there is none on each one's first."""
    shared = [op for op in analyses[0].asked if all(op in analysis.operations for analysis in analyses)]
    lines = [_line(analysis, shared[0] if shared else analysis.operations[0]) for analysis in analyses]
    members: dict[tuple[str, str, int], list[Line]] = {}
    for line in lines:
        of = line.analysis
        members.setdefault((of.plan, of.architecture, of.modulus), []).append(line)
    found = [(key, sorted(group, key=_seed_order)) for key, group in members.items()]
    means = [(mean_over([x.order for x in group]), mean_over([x.parity for x in group])) for _, group in found]
    adjusted = holm([statistic.p for pair in means for statistic in pair])
    groups = [
        Group(plan, group[0].kind, architecture, tuple(group), order, parity, *adjusted[2 * i : 2 * i + 2])
        for i, (((plan, architecture, _), group), (order, parity)) in enumerate(zip(found, means, strict=True))
    ]
    return Comparison(shared[0] if shared else "", tuple(sorted(groups, key=_group_order)))


def _line(analysis: Analysis, operation: str) -> Line:
    table = next(table for table in analysis.tables if table.operation == operation)
    return Line(
        analysis,
        training_kind(analysis.curriculum, operation),
        analysis.seen[operation].exact,
        analysis.unseen[operation].exact,
        table.triples.known(held_out=True) if table.triples else None,
        analysis.embedding.order.regression,
        analysis.embedding.parity,
        analysis.reliance.attention_share,
    )


def _seed_order(line: Line) -> tuple[object, ...]:
    seed = line.analysis.seed
    return seed is None, seed or 0, line.analysis.name


def _group_order(group: Group) -> tuple[object, ...]:
    return list(KINDS).index(group.kind), group.lines[0].analysis.parameters, group.architecture, group.plan
