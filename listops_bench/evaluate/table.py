"""Results as tables: n, metrics and intervals, with what shortcuts reach on the same rows beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from listops_bench.result.format import Result
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.baselines import Baseline, score_shortcuts
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.task import get_task

if TYPE_CHECKING:
    from rich.table import Table


def results_tables(results: Iterable[Result]) -> Iterator[Table]:
    """The scores, a line for each task and split; the shortcuts; and the held-out steps, where there are some."""
    results = list(results)
    yield _score_table(results)
    yield _shortcut_table(results)
    if any(split.held_out for result in results for split in result.splits.values()):
        yield _held_out_table(results)


def print_results(results: Iterable[Result]) -> None:
    """Prints `results_tables`; into a pipe or file without folding them."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    for table in results_tables(results):
        console.print(table)


def _score_table(results: list[Result]) -> Table:
    table = _table("task", "split")
    for name in ("n", "trace accuracy", "95% interval", "answer accuracy", "95% interval", "best shortcut"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("valid steps", justify="right", no_wrap=True)
    for result in results:
        for place, (split, scored) in enumerate(result.splits.items()):
            metrics = scored.metrics
            cells = [f"{scored.n:,}"]
            for summary in (metrics.trace_accuracy, metrics.answer_accuracy):
                cells += [f"{summary.accuracy:.1%}", _interval(summary.low, summary.high)]
            best = max(_shortcuts(result.task.name, split, scored.n), key=lambda shortcut: shortcut.correct)
            steps = metrics.valid_step_rate
            cells += [f"{best.accuracy:.1%}", f"{steps.accuracy:.1%} of {steps.n:,}"]
            table.add_row("" if place else result.task.name, split, *cells)
    table.caption = (
        "trace: the whole completion is right; answer: it ends with the right number; best shortcut: of "
        "those below; valid steps: lines that are correct reductions of the line before"
    )
    return table


def _shortcut_table(results: list[Result]) -> Table:
    """Answer accuracies on the same rows."""
    splits = {(r.task.name, split): scored.n for r in results for split, scored in r.splits.items()}
    table = _table("shortcuts on", "split")
    for shortcut in _shortcuts(*next((*place, n) for place, n in splits.items())):
        table.add_column(shortcut.name, justify="right", no_wrap=True)
    before = ""
    for (task, split), n in splits.items():
        summaries = [Summary.of(shortcut.correct, shortcut.n) for shortcut in _shortcuts(task, split, n)]
        table.add_row("" if task == before else task, split, *(f"{summary.accuracy:.1%}" for summary in summaries))
        before = task
    table.caption = (
        "answers right without doing the task, fitted on its train rows; root_on_leaves is right by construction where "
        "one associative operation is nested in itself: there the operation is the difficulty, and depth is none"
    )
    return table


def _held_out_table(results: list[Result]) -> Table:
    table = _table("at the held-out step", "operation")
    for name in ("steps", "reached", "multisets", "right", "95% interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        found = {name: steps for split in result.splits.values() for name, steps in split.held_out.items()}
        for place, (name, steps) in enumerate(found.items()):
            cells = [f"{steps.steps:,}", f"{steps.n:,}", str(steps.multisets)]
            cells += [f"{steps.accuracy:.1%}", _interval(steps.low, steps.high)]
            table.add_row("" if place else result.task.name, name, *cells)
    table.caption = (
        "test_unseen_operands: the operation on operands training never showed it, where the model reached it with the "
        "right ones; intervals clustered by operand multiset"
    )
    return table


def _table(*names: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {high:.1%}"


@lru_cache
def _shortcuts(task: str, split: str, num_rows: int) -> list[Baseline]:
    return score_shortcuts(_train_rows(task), generate(get_task(task), split, num_rows=num_rows))


@lru_cache(maxsize=1)
def _train_rows(task: str) -> Rows:
    return generate(get_task(task), "train")
