"""What a report says in words: sentences made from the numbers, that claim nothing beyond them.

"Found" means p < 0.05. Order and parity of an embedding are two planned tests, adjusted for being two; what is said of
anything else is marked as exploratory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from listops_bench._base.text import count
from listops_bench.analysis.comparison import Comparison, Group, Line
from listops_bench.analysis.embedding import Representation, Statistic
from listops_bench.analysis.findings import SIGNIFICANT
from listops_bench.analysis.memorisation import OperationTable
from listops_bench.analysis.reliance import Reliance
from listops_bench.analysis.report._compare import group_name
from listops_bench.analysis.report._layers import SUBLAYER_NAMES
from listops_bench.analysis.report._style import p_text
from listops_bench.analysis.study import Analysis, Moment
from listops_bench.stats.intervals import Summary, holm

LEAST_TO_LOSE = 0.30
"""Below such an accuracy, ablations have little to take away, and the text says so."""

KNOWN = 0.95
"""From such an accuracy on, a saved step is said to have an operation."""


# --- one checkpoint ---------------------------------------------------------------------------------------------------


def representation(analysis: Analysis) -> list[str]:
    """Order, parity and waves of the embedding, and what is left of them in the residual stream."""
    of, n = analysis.embedding, analysis.modulus
    order_p, parity_p = holm([of.order.regression.p, of.parity.p])
    words = [_order(of, order_p), _parity(of, parity_p, n), _waves(of)]
    last = analysis.places[-1]
    if last.probe is not None:
        probe = last.probe.parity_of_numbers
        words.append(
            f"Exploratory: a linear probe of single states {last.name} tells even from odd in {probe.value:.0%} of the "
            f"states of numbers that it was not trained on ({probe.chance:.0%} for arbitrary halves of the numbers, "
            f"{p_text(probe.p)})."
        )
    if analysis.output is None:
        words.append("The output side is the same matrix (tied weights), so nothing is said of it apart.")
    else:
        output = analysis.output
        words.append(
            f"The output side has weights of its own: order {signed(output.order.regression.value)} "
            f"({p_text(output.order.regression.p)}), parity {output.parity.value:.0%} ({p_text(output.parity.p)})."
        )
    return words


def _order(of: Representation, p: float) -> str:
    regression = of.order.regression
    found = "follows the order of the numbers" if p < SIGNIFICANT else "shows no order of the numbers beyond chance"
    return (
        f"The embedding {found}: each number predicted from the others, predictions and numbers correlate at "
        f"{signed(regression.value)} ({p_text(p)} adjusted for two tests; exchanged names give "
        f"{signed(regression.chance)} on average)."
    )


def _parity(of: Representation, p: float, n: int) -> str:
    parity = of.parity
    found = "tells even from odd" if p < SIGNIFICANT else "does not tell even from odd beyond chance"
    return (
        f"It {found}: {round(parity.value * n)} of {n} numbers are told right from the others ({p_text(p)} "
        f"adjusted for two tests; exchanged names give {parity.chance:.0%} on average)."
    )


def _waves(of: Representation) -> str:
    waves = of.waves
    place = waves.strongest_frequency - 1
    found = "stands out" if waves.strongest.p < SIGNIFICANT else "is the strongest without standing out"
    return (
        f"Exploratory: of the waves over the numbers, frequency {place + 1} {found}, with {waves.shares[place]:.0%} of "
        f"the variance where {waves.expected[place]:.0%} is expected ({p_text(waves.strongest.p)}; a straight row of "
        f"numbers has {waves.line[place]:.0%} there)."
    )


def reliance(analysis: Analysis) -> list[str]:
    """How attention and feed-forward layers share the writing, and which sublayers are missed most."""
    of = analysis.reliance
    share = of.attention_share
    words = [
        f"By median norms, attention writes {share:.0%} of what is added to the residual stream and feed-forward "
        f"{1 - share:.0%}."
    ]
    return words + [_missed(of, operation) for operation in of.intact]


def _missed(of: Reliance, operation: str) -> str:
    before, name = of.intact[operation].last_step.accuracy, operation.upper()
    if before < LEAST_TO_LOSE:
        return f"{name}: only {before:.0%} of last steps are right as it is, so ablations have little to take away."
    left = {
        f"{SUBLAYER_NAMES[a.kind]} of {of.layer_word} {a.layer + 1}": a.accuracy[operation].last_step.accuracy
        for a in of.ablations
        if a.method == "mean" and a.layer is not None
    }
    worst, least = min(left, key=lambda key: left[key]), max(left, key=lambda key: left[key])
    return (
        f"{name}: {before:.0%} of last steps are right. Putting a sublayer's mean in its place costs most for {worst} "
        f"({left[worst]:.0%} are left) and least for {least} ({left[least]:.0%})."
    )


def memorisation(analysis: Analysis) -> list[str]:
    """Facts seen and held out, by operation."""
    words = [text for table in analysis.tables if (text := _facts(table))]
    for operation in analysis.operations:
        seen, unseen = analysis.seen[operation].exact, analysis.unseen[operation].exact
        words.append(
            f"{operation.upper()} in whole expressions: {seen.accuracy:.1%} of {seen.n} test traces are exact, and "
            f"{unseen.accuracy:.1%} of {unseen.n} that need a held-out fact."
        )
    return words


def _facts(table: OperationTable) -> str:
    parts = []
    if table.pairs is not None:
        parts.append(f"{table.pairs.right.correct} of {table.pairs.right.n} pairs (all of them seen) are right")
    if table.triples is not None:
        seen, out = table.triples.known(held_out=False), table.triples.known(held_out=True)
        p = table.triples.p
        apart = "a difference" if p < SIGNIFICANT else "no difference beyond chance"
        parts.append(
            f"of the multisets of three, {seen.correct} of {seen.n} seen ones and {out.correct} of {out.n} held-out "
            f"ones are right in every order ({apart}: {p_text(p)})"
        )
    return f"{table.operation.upper()}: {'; '.join(parts)}." if parts else ""


def dynamics(moments: Sequence[Moment]) -> list[str]:
    """From which saved step on each operation, order and parity are there to stay."""
    if len(moments) < 2:
        return []
    words = []
    for operation in moments[0].accuracy:
        step = _stays(moments, lambda m, op=operation: m.accuracy[op].exact.accuracy >= KNOWN)  # type: ignore[misc]
        when = f"from step {step:,} on" if step is not None else "at no step to stay"
        words.append(f"{operation.upper()} reaches {KNOWN:.0%} exact traces {when}.")
    for name, p_of in _TESTS.items():
        step = _stays(moments, lambda m, p_of=p_of: p_of(m.embedding) < SIGNIFICANT)  # type: ignore[misc]
        when = f"is there from step {step:,} on" if step is not None else "is at no step there to stay"
        words.append(f"{name} of the embedding {when} (p < {SIGNIFICANT}, each step by itself).")
    words.append(f"Only the {count(len(moments), 'saved step')} were looked at.")
    return words


_TESTS: dict[str, Callable[[Representation], float]] = {
    "Order": lambda of: of.order.regression.p,
    "Parity": lambda of: of.parity.p,
}


def _stays(moments: Sequence[Moment], holds: Callable[[Moment], bool]) -> int | None:
    """The first step from which on it holds at all that follow."""
    first = None
    for moment in moments:
        if not holds(moment):
            first = None
        elif first is None:
            first = moment.step
    return first


# --- several ----------------------------------------------------------------------------------------------------------


def comparison(of: Comparison) -> list[str]:
    """Order and parity over the seeds of each curriculum."""
    tests = 2 * len(of.groups)
    words = [_of_groups(of.groups, "order"), _of_groups(of.groups, "parity")]
    most = max(len(group.lines) for group in of.groups)
    words.append(
        f"p-values are of means over seeds and adjusted for {tests} tests (Holm). They ask whether each curriculum's "
        "embeddings have the structure, not whether curricula differ"
        + (f"; {count(most, 'seed')} each could not decide the latter." if most < 4 else ".")
    )
    return words


def _of_groups(groups: Sequence[Group], field: str) -> str:
    def spell(group: Group) -> str:
        values = [getattr(line, field).value for line in group.lines]
        number = signed if field == "order" else percent
        spread = f"; {number(min(values))} to {number(max(values))}" if len(values) > 1 else ""
        p = getattr(group, f"{field}_p")
        return f"{group_name(group, groups)} ({number(float(np.mean(values)))}{spread}; {p_text(p)})"

    found = [spell(group) for group in groups if getattr(group, f"{field}_p") < SIGNIFICANT]
    missing = [spell(group) for group in groups if getattr(group, f"{field}_p") >= SIGNIFICANT]
    what = {"order": "Order of the numbers", "parity": "Parity"}[field]
    parts = [f"found after {_join(found)}"] if found else []
    parts += [f"not found beyond chance after {_join(missing)}"] if missing else []
    return f"{what} was {'; '.join(parts)}."


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


_TABLE_HEAD = (
    "curriculum", "model", "seed", "exact traces", "unseen operands", "order", "order, random vectors", "parity",
    "parity, random vectors", "attention share",
)  # fmt: skip


Rows = list[tuple[bool, tuple[str, ...]]]


def comparison_table(of: Comparison) -> tuple[tuple[str, ...], Rows]:
    """The table's head, and its lines, each with whether it is a mean over seeds. One model for all is no column."""
    rows: Rows = []
    for group in of.groups:
        rows += [(False, _row(group, line)) for line in group.lines]
        if len(group.lines) > 1:
            rows.append((True, _mean_row(group)))
    if len({group.architecture for group in of.groups}) > 1:
        return _TABLE_HEAD, rows
    place = _TABLE_HEAD.index("model")
    without = [(is_mean, (*row[:place], *row[place + 1 :])) for is_mean, row in rows]
    return (*_TABLE_HEAD[:place], *_TABLE_HEAD[place + 1 :]), without


def _row(group: Group, line: Line) -> tuple[str, ...]:
    seed = line.analysis.seed
    return (
        group.plan, group.architecture, "–" if seed is None else str(seed), _summary(line.exact), _summary(line.unseen),
        *_cells(line.order, signed, line.order.p), *_cells(line.parity, percent, line.parity.p),
        percent(line.attention_share),
    )  # fmt: skip


def _mean_row(group: Group) -> tuple[str, ...]:
    lines = group.lines
    return (
        group.plan, group.architecture, f"mean of {len(lines)}",
        f"{np.mean([line.exact.accuracy for line in lines]):.1%}",
        f"{np.mean([line.unseen.accuracy for line in lines]):.1%}",
        *_cells(group.order, signed, group.order_p), *_cells(group.parity, percent, group.parity_p),
        percent(float(np.mean([line.attention_share for line in lines]))),
    )  # fmt: skip


def _cells(statistic: Statistic, spell: Callable[[float], str], p: float) -> tuple[str, str]:
    return f"{spell(statistic.value)} ({p_text(p)})", spell(statistic.control)


def _summary(summary: Summary) -> str:
    return f"{summary.accuracy:.1%} ({100 * summary.low:.0f}–{100 * summary.high:.0f})"


def markdown(of: Comparison) -> str:
    """The comparison as Markdown: the table, and below it what its columns are."""
    head, rows = comparison_table(of)
    amounts = len(head) - head.index("seed") - 1
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * (len(head) - amounts) + "---:|" * amounts]
    for is_mean, row in rows:
        lines.append("| " + " | ".join(f"**{cell}**" if is_mean else cell for cell in row) + " |")
    return "\n".join([*lines, "", table_note(of), ""])


def table_note(of: Comparison) -> str:
    """What the table's columns are."""
    numbers = sorted({line.exact.n for line in of.lines} | {line.unseen.n for line in of.lines})
    rows = f"{of.operation.upper()} rows" if of.operation else "rows of each checkpoint's first operation"
    return (
        f"Exact traces and unseen operands: test {rows}, and those that need held-out facts, teacher-forced, with 95% "
        f"Wilson intervals, n = {' or '.join(map(str, numbers))} each. Order: rank correlation of the numbers with "
        "predictions of each from the other numbers' embeddings. Parity: numbers told to be even or odd rightly from "
        "the others. p: label permutations; for means over seeds, adjusted for all tests of means in the table (Holm). "
        "Random vectors: the same figure for random vectors of the embedding's covariance spectrum, mean of 1,000. "
        "Attention share: attention's part of the sum of the median norms of what sublayers add, relative to the "
        "residual stream."
    )


def signed(value: float) -> str:
    """``−0.38``: with a minus as wide as a digit."""
    return f"{value:.2f}".replace("-", "−")


def percent(value: float) -> str:
    """``53%``."""
    return f"{value:.0%}"
