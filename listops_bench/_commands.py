"""What each verb of the command line calls and prints. Every function takes the parsed arguments."""

from __future__ import annotations

import dataclasses
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from listops_bench.errors import InvalidInput
from listops_bench.task import TaskSpec, curated_tasks, describe_task, get_task

if TYPE_CHECKING:
    from rich.table import Table


def tasks(arguments: Namespace) -> None:
    if arguments.task is None:
        _print(_task_table())
        return
    task = get_task(arguments.task, **task_parameters(arguments))
    rows = _row_table(task, arguments.split, arguments.rows)
    _print(f"{task.name}: {describe_task(task.name).get('description', 'not one of the curated tasks')}")
    _print(_parameter_table(task), rows)


def baselines(arguments: Namespace) -> None:
    from listops_bench._dataset_card import baseline_table, histogram_table, measure, split_table
    from listops_bench.errors import unknown
    from listops_bench.score import wilson_interval
    from listops_bench.split import SPLITS

    task = get_task(arguments.task, **task_parameters(arguments))
    if arguments.split not in SPLITS[1:]:
        raise unknown("split", arguments.split, SPLITS[1:])
    facts = measure(task, seed=arguments.seed)
    table = _table("shortcut", "answers right", "95% interval", "n")
    for shortcut in next(f for f in facts if f.split == arguments.split).baselines:
        low, high = wilson_interval(shortcut.correct, shortcut.n)
        table.add_row(shortcut.name, f"{shortcut.accuracy:.1%}", f"{low:.1%} to {high:.1%}", f"{shortcut.n:,}")
    print("\n\n".join([split_table(facts), histogram_table(facts), baseline_table(facts)]), end="\n\n")
    _print(f"{task.name}, {arguments.split}", table)


def prepare(arguments: Namespace) -> None:
    from listops_bench import dataset

    parameters = task_parameters(arguments)
    if arguments.seed is not None:
        parameters["seed"] = arguments.seed
    folder = dataset.prepare(arguments.task, num_proc=arguments.num_proc, cache_dir=arguments.cache_dir, **parameters)
    print(folder)


def export(arguments: Namespace) -> None:
    from listops_bench._dataset_release import FLAGSHIP, check
    from listops_bench._dataset_release import export as write_folder

    if arguments.check:
        checked = list(check(arguments.folder))
        print(
            f"{arguments.folder}: {len(checked)} files hold the {sum(part.rows for part in checked):,} rows they should"
        )
        return
    written = write_folder(
        arguments.folder, arguments.task or FLAGSHIP, on_file=lambda path: print(f"writing {path}", file=sys.stderr)
    )
    print(f"{arguments.folder}: {sum(part.rows for part in written):,} rows in {len(written)} files")


def trace(arguments: Namespace) -> None:
    from listops_bench import expression

    root = expression.parse(arguments.expression, arguments.modulus)
    expression.check_modulus(arguments.modulus)
    lines = expression.trace(root, arguments.modulus, arguments.style)
    print("\n".join([expression.prompt_text(root), *map(expression.render, lines)]))


def models(arguments: Namespace) -> None:
    from listops_bench.model.ladder import build_model, model_names, parameter_counts

    table = _table("model", "parameters", "embedding", "non-embedding", "FLOPs per token")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in model_names():
        counts = parameter_counts(build_model(name))
        sizes = (counts["total"], counts["embedding"], counts["non_embedding"], counts["flops_per_token"])
        table.add_row(name, *(f"{size:,}" for size in sizes))
    _print(table)


def train(words: Sequence[str]) -> int:
    from listops_bench.train import main

    return main(words)


def evaluate(arguments: Namespace) -> None:
    from listops_bench.evaluate import evaluate_checkpoint, print_results

    if arguments.prompt is not None:
        _answer(arguments.checkpoint, arguments.prompt)
        return
    results = evaluate_checkpoint(
        arguments.checkpoint,
        arguments.task,
        arguments.split,
        num_rows=arguments.num_rows,
        batch_size=arguments.batch_size,
        device=arguments.device,
        track=arguments.track,
        results_dir=arguments.output_dir,
        predictions_dir=arguments.predictions_dir,
        on_split=lambda task, split: print(f"scoring {task}, {split}", file=sys.stderr),
    )
    print_results(results)


def _answer(checkpoint: str, prompt: str) -> None:
    """Prints what the model writes after a prompt, and whether that is right."""
    from listops_bench import expression
    from listops_bench.model.checkpoint import load_checkpoint
    from listops_bench.model.ladder import modulus_of
    from listops_bench.predict import context_length
    from listops_bench.score import score

    root = expression.parse(prompt)
    model, tokenizer, _ = load_checkpoint(checkpoint)
    modulus = modulus_of(model.config)
    text = expression.prompt_text(expression.parse(prompt, modulus))
    size, context = len(text.split()), context_length(model)
    if context is not None and size >= context:
        raise InvalidInput(f"the prompt has {size} tokens, and the model's context is {context}")
    inputs = tokenizer(text, return_tensors="pt")
    written = model.generate(**inputs, do_sample=False, max_new_tokens=(context or 2 * size) - size)
    completion = " " + tokenizer.decode(written[0, size:], skip_special_tokens=True)
    right = "right" if score(text, completion, modulus=modulus).answer else "wrong"
    print(f"{text}{completion}\n{right}: {expression.completion_text(root, modulus).strip()}")


def build_board(arguments: Namespace) -> None:
    from listops_bench.leaderboard import build

    built = build(
        arguments.results,
        arguments.output_dir,
        runs=arguments.runs,
        curve_task=arguments.curve_task,
        title=arguments.title,
    )
    print(f"{built.num_results} results: {built.page}, {built.markdown}")


def validate_results(arguments: Namespace) -> int:
    from listops_bench.result import read_result

    invalid = 0
    for file in arguments.files:
        try:
            read_result(file)
        except InvalidInput as error:
            invalid += 1
            print(f"error: {error}", file=sys.stderr)
    print(f"{len(arguments.files) - invalid} of {len(arguments.files)} result files are valid")
    return 2 if invalid else 0


def demo(arguments: Namespace) -> int:
    from listops_bench._demo_config import DemoConfig
    from listops_bench.demo import run_demo

    fields = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(DemoConfig)}
    return run_demo(DemoConfig(**fields))


# --- task parameters as flags -----------------------------------------------------------------------------------------


def task_parameters(arguments: Namespace) -> dict[str, Any]:
    """The task parameters that the user gave."""
    fields = {field.name for field in dataclasses.fields(TaskSpec)}
    return {name: value for name, value in vars(arguments).items() if name in fields and value is not None}


# --- tables -----------------------------------------------------------------------------------------------------------


def _print(*renderables: object) -> None:
    from rich.console import Console

    # no markup: "[SUM" is no style
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a pipe or a file has no width: do not fold the columns into 80 characters
        console.width = 200
    with console.capture() as text:  # rich would end the process by itself where a pipe's reader has left
        for renderable in renderables:
            console.print(renderable)
    print(text.get(), end="")


def _task_table() -> Table:
    table = _table("task", "operations", "modulus", "depth", "train rows", "what it is")
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


def _parameter_table(task: TaskSpec) -> Table:
    table = _table("parameter", "value")
    for field in dataclasses.fields(TaskSpec):
        value = getattr(task, field.name)
        table.add_row(field.name, " ".join(map(str, value)) if isinstance(value, tuple) else str(value))
    return table


def _row_table(task: TaskSpec, split: str, num_rows: int) -> Table:
    from listops_bench.generate import generate

    rows = generate(task, split, num_rows=num_rows)
    table = _table("id", "prompt", "completion", "answer")
    for row in zip(rows.row_ids(), rows.prompts(), rows.completions(), map(str, rows.answer), strict=True):
        table.add_row(*row)
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left", title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    return table
