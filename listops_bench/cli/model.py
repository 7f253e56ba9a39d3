"""Verbs about models: models, train, evaluate, compare, checkpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from listops_bench._base.command import Parser, folder_to_write, positive, print_line
from listops_bench._base.limits import limits_of_strangers
from listops_bench._base.resources import resource_path
from listops_bench._base.text import p_number
from listops_bench.errors import InvalidInput
from listops_bench.pages.console import make_table, print_tables


def add_verbs(parser: Parser) -> None:
    parser.add_verb("models", models, "list the model ladder with its sizes", "")

    parser.add_verb(
        "train",
        None,  # has a parser of its own, to which `main` hands it on
        "train one model on this machine (several devices: accelerate launch -m listops_bench.train)",
        "--task sum_max_med --model looped_d016 --output-dir runs/first --steps 500",
    )
    verb = parser.add_verb(
        "evaluate",
        evaluate,
        "score a checkpoint on tasks, or have it answer one prompt",
        "runs/first --task sum max --split test --output-dir runs/results",
    )
    verb.add("checkpoint CHECKPOINT", "a checkpoint folder, RECIPE#SEED of a store, or a model id on the Hub")
    verb.add("--revision NAME", "branch, tag or commit of a model on the Hub (default: main)")
    verb.add("--trust-remote-code", "run Python files that come with the model, if it needs any")
    verb.add("--task TASK...", "(default: those it was trained on, and their operations alone)", dest="tasks")
    verb.add("--split NAME...", "(default: all test splits)", dest="splits")
    verb.add("--num-rows N", "the first rows of each split (default: all)", type=positive)
    verb.add("--batch-size N", "rows at a time (default: chosen by length)", type=positive)
    verb.add("--device NAME", "(default: a GPU if there is one)")
    verb.add("--track NAME", "reference, open or constructed", default="open")
    verb.add(
        "--output-dir DIR",
        "write a result file for each task below this folder",
        dest="results_dir",
        type=folder_to_write,
    )
    verb.add("--predictions-dir DIR", "write every answer with its score below this folder", type=folder_to_write)
    verb.add_time_limit()
    verb.add("--prompt TEXT", 'answer this instead: "[SUM 3 [MAX 2 9 ] 4 ] ="')

    verb = parser.add_verb(
        "compare",
        compare,
        "have two checkpoints answer the same rows, and say by how much they differ, with McNemar's test",
        "looped_d032-sum-6000-6cc1f1bc#0 looped_d032-sum_max_med-6000-e7a4a065#0 --task sum",
    )
    verb.add("first CHECKPOINT", "a checkpoint folder, RECIPE#SEED of a store, or a model id on the Hub")
    verb.add("second CHECKPOINT", "another")
    verb.add("--task TASK...", "(default: those that both were trained on)", dest="tasks")
    verb.add("--split NAME...", dest="splits", default=["test"])
    verb.add("--num-rows N", "the first rows of each split (default: all)", type=positive)
    verb.add("--device NAME", "(default: a GPU if there is one)")
    verb.add_time_limit()

    verb = parser.add_verb(
        "checkpoint",
        checkpoint,
        "take a published run out of leaderboard/weights as an ordinary checkpoint folder",
        "looped_d032-sum_max_med-6000-e7a4a065 --seed 0 --output-dir runs/published",
    )
    verb.add("recipe RECIPE", "as the board names it; FOLDER/RECIPE of another store")
    verb.add("--seed SEED", "of the run; SEED.ROWS for one on another draw of the train rows", required=True)
    verb.add_argument(
        "-o", "--output-dir", metavar="DIR", required=True, type=folder_to_write, help="the folder to write"
    )


# --- what they do ---------------------------------------------------------------------------------------------------


def models() -> None:
    sizes = json.loads(resource_path("model_configs", "sizes.json").read_text())  # without torch, which takes seconds
    table = make_table("model", "parameters", "embedding", "non-embedding", "FLOPs per token")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, counts in sizes.items():
        table.add_row(name, *(f"{size:,}" for size in counts.values()))
    print_tables(table)


def evaluate(*, prompt: str | None, time_limit: float, **options: Any) -> None:
    from listops_bench.evaluate.run import evaluate_checkpoint
    from listops_bench.pages.results import print_results

    checkpoint, trusted = options["checkpoint"], options["trust_remote_code"]
    with _limits(checkpoint, trusted, time_limit) as begin:
        if prompt is not None:
            _answer(prompt, checkpoint, options["revision"], trusted)
            return
        results = evaluate_checkpoint(**options, on_split=showing_splits(begin))
    print_results(results)


def showing_splits(begin: Callable[[], None] = lambda: None) -> Callable[[str, str], None]:
    """Says which split is scored; ``begin`` gives each its time."""

    def show(task: str, split: str) -> None:
        begin()
        print_line(f"scoring {task}, {split}", file=sys.stderr)

    return show


def _limits(checkpoint: str, trusted: bool, seconds: float) -> AbstractContextManager[Callable[[], None]]:
    """Those of checkpoints that may be anybody's; one that may run its code may do anything."""
    if trusted:
        return nullcontext(lambda: None)
    return limits_of_strangers(f"checkpoint {checkpoint!r}", seconds=seconds)


def _answer(prompt: str, checkpoint: str, revision: str | None, trust_remote_code: bool) -> None:
    """Prints what the model writes after a prompt, and whether that is right."""
    from listops_bench.evaluate.checkpoint import open_checkpoint
    from listops_bench.evaluate.decoding import context_length
    from listops_bench.model.tokenizer import build_tokenizer
    from listops_bench.score.completion import score
    from listops_bench.tasks import expression
    from listops_bench.tasks.task import TaskSpec

    found = open_checkpoint(checkpoint, revision, trust_remote_code=trust_remote_code)
    model, symbols = found.model, found.symbols
    root = expression.parse(prompt, symbols)
    text = expression.prompt_text(root)
    size, context = len(text.split()), context_length(model)
    if context is not None and size >= context:
        raise InvalidInput(f"the prompt has {size} tokens, and the model's context is {context}")
    tokenizer = build_tokenizer(symbols)
    inputs = tokenizer(text, return_tensors="pt")
    reference = expression.completion_text(root, symbols, found.trace)
    limit = max(TaskSpec.max_tokens // 2, len(reference.split()) + 1)  # as in every evaluation
    written = model.generate(**inputs, do_sample=False, max_new_tokens=min(limit, (context or size + limit) - size))
    completion = " " + tokenizer.decode(written[0, size:], skip_special_tokens=True)
    right = "right" if score(text, completion, modulus=symbols).answer else "wrong"
    print_line(f"{text}{completion}")
    print_line(f"{right}: {reference.strip()}")


def compare(*, time_limit: float, **options: Any) -> None:
    from listops_bench.evaluate.paired import compare_checkpoints

    with limits_of_strangers("one of the checkpoints", seconds=time_limit) as begin:
        found = compare_checkpoints(**options, on_split=showing_splits(begin))
    names = ("first", "second", "first alone", "second alone", "difference", "p")
    table = make_table("task", "split", "right", "n", *names)
    for column in table.columns[3:]:
        column.justify = "right"
    for one in found:
        for what, rows in (("exact traces", one.trace), ("answers", one.answer)):
            of = rows.difference
            shares = (f"{(rows.both + alone) / rows.n:.1%}" for alone in (rows.first, rows.second))
            points = f"{100 * of.estimate:+.1f} ({100 * of.low:+.1f} to {100 * of.high:+.1f}) points"
            alone = (f"{rows.first:,}", f"{rows.second:,}")
            table.add_row(one.task, one.split, what, f"{rows.n:,}", *shares, *alone, points, p_number(rows.p))
    print_tables(table)
    print_line(
        "first minus second on the same rows, with Newcombe's 95% interval; p of McNemar's exact test; rows of one "
        "canonical form, alike but for operand order and grouping, are a cluster in both"
    )


def checkpoint(*, recipe: str, seed: str, output_dir: str) -> None:
    from listops_bench.model.checkpoint import copy_checkpoint
    from listops_bench.runs.store import stored_run

    stored_run(f"{recipe}#{seed}")  # whatever folder has such a name
    print_line(copy_checkpoint(f"{recipe}#{seed}", output_dir))
