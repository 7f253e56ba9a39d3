"""Verbs about data: tasks, baselines, prepare, export, trace."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from argparse import SUPPRESS
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from listops_bench._base.command import Parser, boolean, folder_to_write, positive, print_line
from listops_bench.pages.console import make_table, print_tables
from listops_bench.tasks.operations import laws
from listops_bench.tasks.regime import describe_regime, find_regime, regimes
from listops_bench.tasks.symbols import Symbols, find_symbols, symbol_sets
from listops_bench.tasks.task import TaskSpec, curated_tasks, describe_task, get_task

if TYPE_CHECKING:
    from rich.table import Table

    from listops_bench.tasks.expression import TraceStyle


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb("tasks", tasks, "list the tasks, or show one with sample rows", "sum_max_med --rows 5")
    verb.add("task TASK", "a task to show: any operations joined by _", nargs="?")
    verb.add("--split NAME", "where sample rows come from", default="test")
    verb.add("--rows N", "sample rows to show", type=positive, default=3)
    _add_task_parameters(verb)

    verb = parser.add_verb(
        "baselines",
        baselines,
        "a task's splits, answers, overlap with train and shortcuts: what a model gets above these means something",
        "sum_max_med --split test",
    )
    verb.add("task TASK", "any operations joined by _")
    verb.add("--split NAME", default="test")
    verb.add("--seed N", "of the train rows", type=int, default=0)
    _add_task_parameters(verb)

    verb = parser.add_verb(
        "prepare",
        prepare,
        "generate a task into the cache of datasets, so that load_dataset needs no time later",
        "sum_max_med --num-proc 2",
    )
    verb.add("task TASK", "any operations joined by _")
    verb.add("--seed N", "of the train split (default: 0)", type=int, default=SUPPRESS)
    verb.add("--num-proc N", "processes (default: one)", type=positive)
    verb.add("--cache-dir DIR", "(default: that of datasets)", type=folder_to_write)
    _add_task_parameters(verb)

    verb = parser.add_verb(
        "export",
        export,
        "write tasks as a dataset folder: parquet, card and checksums, loadable by path and ready for the Hub",
        "runs/dataset --task sum sum_max_med",
    )
    verb.add("folder DIR")
    verb.add("--task TASK...", "(default: the tasks of the frozen release)", dest="tasks")
    verb.add("--check", "write nothing: compare the folder with its checksums")

    verb = parser.add_verb("trace", trace, "solve an expression step by step", '"[SUM 3 [MAX 2 9 ] 4 ] =" --modulus 10')
    verb.add("expression EXPRESSION", "in ListOps brackets, quoted")
    verb.add("--modulus N", "numbers are 0 .. N-1", type=int, default=10)
    verb.add("--symbols NAME", "symbols other than numbers: s3, or the path of a page", default="")
    verb.add("--style NAME", "parallel, single or none", default="parallel")


def _add_task_parameters(parser: Parser) -> None:
    """Every parameter of a task that is not part of its name as a flag: ``--modulus 20 --max-operands 4``.

    Those that are not given are not among the parsed arguments.
    """
    group = parser.add_argument_group("task parameters", "instead of the task's own")
    for field in dataclasses.fields(TaskSpec):
        if field.name == "operations":
            continue
        read = _FLAG_TYPES.get(type(field.default), str)
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            type=read,
            default=SUPPRESS,
            metavar=read.__name__.strip("_").upper(),
            help=f"(default: {field.default})",
        )


def _shares(text: str) -> tuple[float, ...]:
    """``0.015,0.985``, as the table of a task's parameters has them too."""
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not shares such as 0.015,0.985") from None


_FLAG_TYPES: dict[type, Callable[[str], Any]] = {int: int, float: float, bool: boolean, tuple: _shares}


# --- what they do ---------------------------------------------------------------------------------------------------


def tasks(*, task: str | None, split: str, rows: int, **parameters: Any) -> None:
    if task is None:
        print_tables(_task_table(), _symbols_table(), _regime_table())
        return
    spec = get_task(task, **parameters)
    shown = _row_table(spec, split, rows)
    of_symbols = {"description": spec.symbol_set.description} if spec.symbol_set.description else {}
    about = {**describe_regime(spec.regime), **of_symbols, **describe_task(spec.name)}
    print_tables(f"{spec.name}: {about.get('description', 'not one of the curated tasks')}")
    print_tables(_parameter_table(spec), *([_operation_table(spec.symbol_set)] if spec.symbols else []), shown)


def baselines(*, task: str, split: str, seed: int, **parameters: Any) -> None:
    from listops_bench.dataset.card import baseline_table, histogram_table, measure, regime_table, split_table
    from listops_bench.errors import unknown
    from listops_bench.stats.intervals import wilson_interval
    from listops_bench.tasks.split import SPLITS

    spec = get_task(task, **parameters)
    if split not in SPLITS[1:]:
        raise unknown("split", split, SPLITS[1:])
    facts = measure(spec, seed=seed)
    table = make_table("shortcut", "answers right", "95% interval", "n")
    for shortcut in next(f for f in facts if f.split == split).baselines:
        low, high = wilson_interval(shortcut.correct, shortcut.n)
        table.add_row(shortcut.name, f"{shortcut.accuracy:.1%}", f"{low:.1%} to {high:.1%}", f"{shortcut.n:,}")
    tables = [split_table(facts), *([regime_table(facts)] if spec.regime else [])]
    print("\n\n".join([*tables, histogram_table(facts), baseline_table(facts)]), end="\n\n")
    print_tables(f"{spec.name}, {split}", table)


def prepare(*, task: str, **options: Any) -> None:
    from listops_bench.dataset import builder

    print_line(builder.prepare(task, **options))


def export(*, folder: str, tasks: Sequence[str] | None, check: bool) -> None:
    from listops_bench.dataset import release

    if check:
        files = list(release.check(folder))
        print_line(f"{folder}: {len(files)} files hold the {sum(file.rows for file in files):,} rows they should")
        return
    written = release.export(
        folder, tasks or release.FLAGSHIP, on_file=lambda path: print_line(f"writing {path}", file=sys.stderr)
    )
    print_line(f"{folder}: {sum(file.rows for file in written):,} rows in {len(written)} files")


def trace(*, expression: str, modulus: int, symbols: str, style: TraceStyle) -> None:
    from listops_bench.tasks.expression import evaluate, parse, prompt_text, render, trace
    from listops_bench.tasks.operations import check_modulus
    from listops_bench.tasks.pages import given_symbols

    known = given_symbols(symbols) if symbols else modulus
    root = parse(expression, known)
    check_modulus(modulus)
    print("\n".join([prompt_text(root), *map(render, trace(root, known, style))]))
    theirs = evaluate(root, known, "floor_mean")
    if theirs != evaluate(root, known):
        print_line(
            f"note: MED of an even number of operands is the upper of the middle two here; with their mean, rounded "
            f"down, as NYU's and LRA's ListOps have it, the answer is {theirs}",
            file=sys.stderr,
        )


def _task_table() -> Table:
    table = make_table("task", "operations", "modulus", "depth", "train rows", "what it is")
    for name in curated_tasks():
        task = get_task(name)
        table.add_row(
            name,
            " ".join(operation.upper() for operation in task.operations),
            str(task.modulus),
            f"1..{task.max_depth}",
            f"{task.num_train:,}",
            describe_task(name).get("title", ""),
        )
    table.caption = "any other subset of the operations is a task too, in any order: see `tasks NAME`"
    return table


def _symbols_table() -> Table:
    table = make_table("symbols", "operations", "what they are")
    for word in symbol_sets():
        symbols = find_symbols(word)
        table.add_row(word, " ".join(map(str.upper, symbols.operations)), symbols.title)
    table.caption = "a word of a task's name, perm_sign_s3, rsum_max_med_tables, or a page, tick@pages/clock.yaml"
    return table


def _operation_table(symbols: Symbols) -> Table:
    table = make_table("operation", "laws", "what it is")
    for name, operation in symbols.operations.items():
        what = f"as {operation.like.upper()}" if operation.like else "a table"
        table.add_row(name.upper(), laws(operation), operation.description or what)
    table.caption = ", ".join(f"{number} is {label}" for number, label in enumerate(symbols.labels))
    return table


def _regime_table() -> Table:
    table = make_table("regime", "values", "what it is")
    for name in regimes():
        values = (f"{key} {value}" for key, value in find_regime(name).changes().items())
        table.add_row(name, ", ".join(values), describe_regime(name)["title"])
    table.caption = (
        "how rows are drawn: a last word of any task's name, sum_max_med_nrgpt, or a page, sum@pages/mine.yaml"
    )
    return table


def _parameter_table(task: TaskSpec) -> Table:
    table = make_table("parameter", "value")
    for field in dataclasses.fields(TaskSpec):
        value = getattr(task, field.name)
        mark = " " if field.name == "operations" else ","  # as flags take them
        table.add_row(field.name, mark.join(map(str, value)) if isinstance(value, tuple) else str(value))
    return table


def _row_table(task: TaskSpec, split: str, num_rows: int) -> Table:
    from listops_bench.tasks.generator import generate

    rows = generate(task, split, num_rows=num_rows)
    table = make_table("id", "prompt", "completion", "answer")
    for row in zip(rows.row_ids(), rows.prompts(), rows.completions(), map(str, rows.answer), strict=True):
        table.add_row(*row)
    return table
