"""Results as tables: n, metrics and intervals, with what shortcuts reach on the same rows beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from listops_bench.pages.console import print_tables
from listops_bench.pages.tables import Cell, Column, Table, from_records, row, to_console
from listops_bench.result.format import EvaluationSplit, Result
from listops_bench.score.held_out import HeldOutSteps
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.baselines import Baseline, score_shortcuts
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.task import get_task


def print_results(results: Sequence[Result]) -> None:
    """Prints the scores, the shortcuts, and the held-out steps where there are some."""
    tables = (score_table(results, best_shortcut=True), shortcut_table(results), held_out_table(results))
    print_tables(*(to_console(table) for table in tables if table.rows))


def score_table(results: Sequence[Result], *, best_shortcut: bool = False) -> Table:
    """A line for each task and split.

    Args:
        results: of any models and tasks.
        best_shortcut: with the best among those of `shortcut_table`, whose rows have to be generated.
    """
    rows = []
    for result, split in _splits(results):
        scored = result.splits[split]
        trace, answer, steps = map(scored.summary, ("trace_accuracy", "answer_accuracy", "valid_step_rate"))
        cells: list[Cell | str] = [result.task.name, split, f"{scored.n:,}", _share(trace), _share(answer)]
        if best_shortcut:
            best = max(_shortcuts(result.task.name, split, scored.n), key=lambda shortcut: shortcut.correct)
            cells.append(f"{best.accuracy:.1%}")
        rows.append(row(*cells, Cell(f"{steps.accuracy:.1%} of {steps.n:,}", _interval(steps))))
    columns = [Column("task"), Column("split"), Column("n", "right")]
    columns += [Column(name, "right", detail_title="95% interval") for name in ("trace accuracy", "answer accuracy")]
    columns += [Column(name, "right") for name in (*["best shortcut"] * best_shortcut, "valid steps")]
    note = (
        "trace: the whole completion is right; answer: it ends with the right number; valid steps: lines that are "
        "correct reductions of the line before"
    )
    if any(result.splits[split].by_form is not None for result, split in _splits(results)):
        note += "; intervals clustered by canonical form, since a model answers rows alike that differ in order alone"
    return Table(tuple(columns), tuple(rows), notes=(note,))


def shortcut_table(results: Sequence[Result]) -> Table:
    """The answer accuracies of shortcuts on the same rows."""
    places = dict.fromkeys((result.task.name, split, result.splits[split].n) for result, split in _splits(results))
    found = {place: _shortcuts(*place) for place in places}
    note = (
        "answers right without doing the task, fitted on its train rows; root_on_leaves is right by construction where "
        "one associative operation is nested in itself: there the operation is the difficulty, and depth is none"
    )
    records = (
        {"shortcuts on": task, "split": split} | {shortcut.name: f"{shortcut.accuracy:.1%}" for shortcut in shortcuts}
        for (task, split, _), shortcuts in found.items()
    )
    return replace(from_records(records, left=["split"]), notes=(note,))


def held_out_table(results: Sequence[Result]) -> Table:
    """The score at the held-out steps, a line for each task and operation."""
    rows = [
        row(result.task.name, operation, f"{steps.steps:,}", f"{steps.n:,}", str(steps.multisets), _share(steps))
        for result, split in _splits(results)
        for operation, steps in result.splits[split].held_out.items()
    ]
    columns = [Column("at the held-out step"), Column("operation")]
    columns += [Column(name, "right") for name in ("steps", "reached", "multisets")]
    note = (
        "test_unseen_operands: the operation on operands training never showed it, where the model reached it with the "
        "right ones; intervals clustered by operand multiset"
    )
    return Table((*columns, Column("right", "right", detail_title="95% interval")), tuple(rows), notes=(note,))


def _splits(results: Sequence[Result]) -> list[tuple[Result, EvaluationSplit]]:
    return [(result, split) for result in results for split in result.splits]


def _share(share: Summary | HeldOutSteps) -> Cell:
    return Cell(f"{share.accuracy:.1%}", _interval(share), value=share.accuracy)


def _interval(share: Summary | HeldOutSteps) -> str:
    return f"{100 * share.low:.1f} to {share.high:.1%}"


@lru_cache
def _shortcuts(task: str, split: str, num_rows: int) -> list[Baseline]:
    return score_shortcuts(_train_rows(task), generate(get_task(task), split, num_rows=num_rows))


@lru_cache(maxsize=1)
def _train_rows(task: str) -> Rows:
    return generate(get_task(task), "train")
