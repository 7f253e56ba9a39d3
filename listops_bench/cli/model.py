"""Verbs about models: models, train, evaluate."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import astuple

from listops_bench._base.command import Parser, positive
from listops_bench.errors import InvalidInput
from listops_bench.pages.console import make_table, print_tables


def add_verbs(parser: Parser) -> None:
    parser.add_verb("models", models, "list the model ladder with its sizes", "")

    verb = parser.add_verb(
        "train",
        None,
        "train one model on this machine (several devices: accelerate launch -m listops_bench.train)",
        "--task sum_max_med --model looped_d016 --output-dir runs/first --steps 500",
    )
    verb.forward = train

    verb = parser.add_verb(
        "evaluate",
        evaluate,
        "score a checkpoint on tasks, or have it answer one prompt",
        "runs/first --task sum max --split test --output-dir runs/results",
    )
    verb.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint folder, or a model id on the Hub")
    verb.add_argument("--revision", metavar="NAME", help="branch, tag or commit of a model on the Hub (default: main)")
    verb.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run Python files that come with the model, if it needs any",
    )
    verb.add_argument(
        "--task", nargs="+", metavar="TASK", help="(default: those it was trained on, and their operations alone)"
    )
    verb.add_argument("--split", nargs="+", metavar="NAME", help="(default: all test splits)")
    verb.add_argument("--num-rows", type=positive, metavar="N", help="the first rows of each split (default: all)")
    verb.add_argument("--batch-size", type=positive, metavar="N", help="rows at a time (default: chosen by length)")
    verb.add_argument("--device", metavar="NAME", help="(default: a GPU if there is one)")
    verb.add_argument("--track", default="open", metavar="NAME", help="reference, open or constructed (default: open)")
    verb.add_argument("--output-dir", metavar="DIR", help="write a result file for each task below this folder")
    verb.add_argument("--predictions-dir", metavar="DIR", help="write every answer with its score below this folder")
    verb.add_argument("--prompt", metavar="TEXT", help='answer this instead: "[SUM 3 [MAX 2 9 ] 4 ] ="')


# --- what they do ---------------------------------------------------------------------------------------------------


def models(arguments: Namespace) -> None:
    from listops_bench.model.ladder import build_model, model_names, parameter_counts

    table = make_table("model", "parameters", "embedding", "non-embedding", "FLOPs per token")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in model_names():
        table.add_row(name, *(f"{size:,}" for size in astuple(parameter_counts(build_model(name)))))
    print_tables(table)


def train(words: Sequence[str]) -> int:
    from listops_bench.train.command import main

    return main(words)


def evaluate(arguments: Namespace) -> None:
    from listops_bench.evaluate.run import evaluate_checkpoint
    from listops_bench.pages.results import print_results

    if arguments.prompt is not None:
        _answer(arguments)
        return
    results = evaluate_checkpoint(
        arguments.checkpoint,
        arguments.task,
        arguments.split,
        revision=arguments.revision,
        trust_remote_code=arguments.trust_remote_code,
        num_rows=arguments.num_rows,
        batch_size=arguments.batch_size,
        device=arguments.device,
        track=arguments.track,
        results_dir=arguments.output_dir,
        predictions_dir=arguments.predictions_dir,
        on_split=lambda task, split: print(f"scoring {task}, {split}", file=sys.stderr),
    )
    print_results(results)


def _answer(arguments: Namespace) -> None:
    """Prints what the model writes after a prompt, and whether that is right."""
    from listops_bench.evaluate.decoding import context_length
    from listops_bench.model.checkpoint import load_checkpoint
    from listops_bench.model.ladder import modulus_of
    from listops_bench.model.origin import resolve
    from listops_bench.score.completion import score
    from listops_bench.tasks import expression
    from listops_bench.tasks.task import TaskSpec

    root = expression.parse(arguments.prompt)
    trust = arguments.trust_remote_code
    source = resolve(arguments.checkpoint, arguments.revision, trust_remote_code=trust)
    model, tokenizer, _ = load_checkpoint(source.folder, trust_remote_code=trust)
    modulus = modulus_of(model.config)
    text = expression.prompt_text(expression.parse(arguments.prompt, modulus))
    size, context = len(text.split()), context_length(model)
    if context is not None and size >= context:
        raise InvalidInput(f"the prompt has {size} tokens, and the model's context is {context}")
    inputs = tokenizer(text, return_tensors="pt")
    reference = expression.completion_text(root, modulus)
    limit = max(TaskSpec.max_tokens // 2, len(reference.split()) + 1)  # as in every evaluation
    written = model.generate(**inputs, do_sample=False, max_new_tokens=min(limit, (context or size + limit) - size))
    completion = " " + tokenizer.decode(written[0, size:], skip_special_tokens=True)
    right = "right" if score(text, completion, modulus=modulus).answer else "wrong"
    print(f"{text}{completion}\n{right}: {reference.strip()}")
