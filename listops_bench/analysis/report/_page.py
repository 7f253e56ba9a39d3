"""The page of a report: its tables, and the numbers that its sentences are made from. Words are in ``_template``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from listops_bench._base.text import count, p_text
from listops_bench._base.version import __version__
from listops_bench.analysis.embedding import NUM_PERMUTATIONS
from listops_bench.analysis.findings import CheckpointFindings, Findings, GroupFindings, Statistic
from listops_bench.analysis.reliance import Reliance
from listops_bench.analysis.report._style import SUBLAYER_NAMES, group_name, percent, signed
from listops_bench.analysis.study import Analysis, SavedStep
from listops_bench.pages.chart import Figure
from listops_bench.pages.html import render
from listops_bench.pages.tables import Cell, Column, Row, Table, row
from listops_bench.result.learned import LEARNED
from listops_bench.stats.differences import SIGNIFICANT
from listops_bench.stats.intervals import Summary, holm

PACKAGE = "listops_bench.analysis.report"

LEAST_TO_LOSE = 0.30
"""Below such an accuracy, ablations have little to take away, and the page says so."""


def page(
    analyses: Sequence[Analysis],
    drawn: Sequence[Sequence[Figure]],
    findings: Findings | None,
    beside: Sequence[Figure],
) -> str:
    """The page as HTML.

    Args:
        analyses: of the checkpoints that it is about.
        drawn: the figures of each of them.
        findings: of the checkpoints side by side, where they are several.
        beside: the figures that set them side by side.
    """
    return render(
        PACKAGE,
        "page.html",
        version=__version__,
        checkpoints=list(zip(analyses, drawn, map(all_tests, analyses), strict=True)),
        findings=findings,
        table=findings and comparison_table(findings),
        beside=beside,
        moduli=sorted({analysis.modulus for analysis in analyses}),
        permutations=NUM_PERMUTATIONS,
        significant=SIGNIFICANT,
        learned=LEARNED,
        count=count,
        group_name=group_name,
        holm=holm,
        kept_from=kept_from,
        most_missed=most_missed,
        p_text=p_text,
        percent=percent,
        signed=signed,
    )


# --- what sentences are made from -------------------------------------------------------------------------------------


class Missed(NamedTuple):
    """The sublayers whose mean in their place costs most and least, and the share of last steps then left right."""

    most: str
    most_left: float
    least: str
    least_left: float


def most_missed(of: Reliance, operation: str) -> Missed | None:
    """None where there is little to lose."""
    if of.intact[operation].last_step.accuracy < LEAST_TO_LOSE:
        return None
    left = {
        f"{SUBLAYER_NAMES[a.kind]} of {of.layer_word} {a.layer + 1}": a.accuracy[operation].last_step.accuracy
        for a in of.ablations
        if a.method == "mean" and a.layer is not None
    }
    most, least = min(left, key=left.__getitem__), max(left, key=left.__getitem__)
    return Missed(most, left[most], least, left[least])


class Kept(NamedTuple):
    """The step from which on all saved ones have an operation learned, an order and a parity of the embedding."""

    operations: dict[str, int | None]
    order: int | None
    parity: int | None


def kept_from(steps: Sequence[SavedStep]) -> Kept:
    """None for what the last saved step does not have."""

    def after_last_failure(holds: Sequence[bool]) -> int | None:
        place = max((i + 1 for i, held in enumerate(holds) if not held), default=0)
        return steps[place].step if place < len(steps) else None

    return Kept(
        {
            name: after_last_failure([saved.accuracy[name].exact.accuracy >= LEARNED for saved in steps])
            for name in steps[0].accuracy
        },
        after_last_failure([saved.embedding.order.regression.p < SIGNIFICANT for saved in steps]),
        after_last_failure([saved.embedding.parity.p < SIGNIFICANT for saved in steps]),
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def comparison_table(findings: Findings) -> Table:
    """A row for each checkpoint, and one for the means of each group of seeds. One model for all is no column."""
    numbers = (
        "exact traces", "unseen operands", "order", "order, random vectors", "parity", "parity, random vectors",
        "parity beyond order", "parity beyond order, random vectors",
        "strongest wave", "strongest wave, random vectors", "attention share",
    )  # fmt: skip
    columns = (Column("curriculum"), Column("model"), Column("seed"), *(Column(title, "right") for title in numbers))
    rows = []
    for group in findings.groups:
        rows += [_checkpoint_row(group, one) for one in group.checkpoints]
        if len(group.checkpoints) > 1:
            rows.append(_mean_row(group))
    sizes = sorted({summary.n for one in findings.checkpoints for summary in (one.exact, one.unseen)})
    note = " ".join(render(PACKAGE, "note.txt", findings=findings, numbers=sizes).split())
    table = Table(columns, tuple(rows), notes=(note,))
    if len({group.architecture for group in findings.groups}) > 1:
        return table
    return table.pick(*(column.name for column in columns if column.name != "model"))


def _checkpoint_row(group: GroupFindings, of: CheckpointFindings) -> Row:
    def cell(summary: Summary) -> Cell:
        return Cell(f"{summary.accuracy:.1%}", f"{100 * summary.low:.0f}–{100 * summary.high:.0f}")

    return row(
        group.plan, group.architecture, "–" if of.seed is None else str(of.seed), cell(of.exact), cell(of.unseen),
        *_with_control(of.order, signed, of.order.p), *_with_control(of.parity, percent, of.parity.p),
        *_with_own_p(of.parity_beyond_order), *_with_own_p(of.waves), percent(of.attention_share),
    )  # fmt: skip


def _mean_row(group: GroupFindings) -> Row:
    exact, unseen, attention = np.mean(
        [(one.exact.accuracy, one.unseen.accuracy, one.attention_share) for one in group.checkpoints], axis=0
    )
    return row(
        group.plan, group.architecture, f"mean of {len(group.checkpoints)}", percent(exact, 1), percent(unseen, 1),
        *_with_control(group.order_mean, signed, group.order_p_adjusted),
        *_with_control(group.parity_mean, percent, group.parity_p_adjusted),
        *_with_control(group.beyond_mean, signed, group.beyond_p_adjusted),
        *_with_control(group.waves_mean, signed, group.waves_p_adjusted), percent(attention),
        strong=True,
    )  # fmt: skip


def _with_own_p(of: Statistic | None) -> tuple[Cell, Cell]:
    return _with_control(of, signed, None if of is None else of.p)


def _with_control(of: Statistic | None, spell: Callable[[float], str], p: float | None) -> tuple[Cell, Cell]:
    if of is None or p is None:
        return Cell("–"), Cell("–")
    return Cell(spell(of.value), p_text(p)), Cell("–" if of.control is None else spell(of.control))


def all_tests(analysis: Analysis) -> Table:
    """All tests of a checkpoint, layer by layer."""
    titles = ("value", "exchanged names", "p", "random vectors", "their 95th percentile")
    columns = (Column("of"), Column("question"), *(Column(title, "right") for title in titles))
    rows = []
    for layer in analysis.layers:
        of = layer.numbers
        tests: dict[str, Statistic] = {"order": of.order.regression, "order, axis": of.order.axis}
        tests["parity beyond order: share predicted"] = of.parity_beyond_order
        tests |= {"parity" if m == 2 else f"classes mod {m}": statistic for m, statistic in of.residues.items()}
        tests[f"waves (frequency {of.waves.strongest_frequency})"] = of.waves.strongest
        if layer.probe is not None:
            tests["states: parity, held-out prompts"] = layer.probe.parity_in_contexts
            tests["states: parity, held-out numbers"] = layer.probe.parity_of_numbers
            tests["states: order, held-out numbers"] = layer.probe.order_of_numbers
        for i, (question, test) in enumerate(tests.items()):
            value, chance, control, high = (
                "–" if x is None else signed(x) for x in (test.value, test.chance, test.control, test.control_high)
            )
            p = p_text(test.p).removeprefix("p = ").removeprefix("p ")
            rows.append(row("" if i else layer.name, question, value, chance, p, control, high))
    return Table(columns, tuple(rows))
