"""Verbs about other harnesses, and answers from elsewhere: lm-eval-path, import-lm-eval, score."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import get_args

from listops_bench._base.command import Parser, folder_to_write, print_line
from listops_bench._base.limits import limits_of_strangers
from listops_bench.errors import InvalidInput
from listops_bench.tasks.expression import TraceStyle


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "lm-eval-path",
        lm_eval_path,
        "print the folder of lm-eval's task files, for its --include_path",
        "",
    )
    verb.add("--write DIR", "make the task files there from the task registry instead", type=folder_to_write)
    verb.add("--task TASK...", "with --write: those of these tasks (default: of all curated ones)", dest="tasks")

    verb = parser.add_verb(
        "import-lm-eval",
        import_lm_eval,
        "score again what lm-eval has logged of a few-shot variant, and write it as results",
        "out --output-dir leaderboard/results",
    )
    verb.add("output OUTPUT", "lm-eval's --output_path (with --log_samples)")
    verb.add("--output-dir DIR", default="leaderboard/results", type=folder_to_write)
    verb.add_time_limit()

    verb = parser.add_verb(
        "score",
        score,
        "score saved answers again, without the model that wrote them",
        "runs/predictions/first/0123456789ab/sum.jsonl",
    )
    verb.add(
        "file FILE", "a line of JSON for each answer, with the row's id and the completion (evaluate --predictions-dir)"
    )
    verb.add("--trace STYLE", "of the reference completions (default: the task's)", choices=get_args(TraceStyle))
    verb.add("--json", "print the scores as JSON")


# --- what they do ---------------------------------------------------------------------------------------------------


def lm_eval_path(*, write: str | None, tasks: Sequence[str] | None) -> None:
    from listops_bench.harness import lm_eval_files

    if write is None:
        if tasks:
            raise InvalidInput("--task says of which tasks --write DIR makes the files; give both")
        print_line(lm_eval_files.lm_eval_path())
        return
    written = lm_eval_files.write_files(write, tasks)
    print_line(f"{write}: {len(written)} files", file=sys.stderr)


def import_lm_eval(*, output: str, output_dir: str, time_limit: float) -> None:
    from listops_bench.harness import lm_eval_import
    from listops_bench.pages.results import print_results
    from listops_bench.result.files import write_result

    with limits_of_strangers(f"lm-eval's log {output!r}", seconds=time_limit):
        results = lm_eval_import.import_lm_eval(output)
    for result in results:
        print_line(write_result(output_dir, result), file=sys.stderr)
    print_results(results)


def score(*, file: str, trace: TraceStyle | None, json: bool) -> None:
    from listops_bench._base import records
    from listops_bench.harness.predictions import score_file
    from listops_bench.pages.console import make_table, print_tables

    found = score_file(file, trace=trace)
    if json:
        print(records.dumps({f"{task}/{split}": records.encode(one) for (task, split), one in found.items()}))
        return
    table = make_table("task", "split", "n", "trace accuracy", "95% interval", "answer accuracy", "95% interval")
    for (task, split), one in found.items():
        shares = (one.summary("trace_accuracy"), one.summary("answer_accuracy"))
        cells = [text for share in shares for text in (f"{share.accuracy:.1%}", f"{share.low:.1%} to {share.high:.1%}")]
        table.add_row(task, split, f"{one.n:,}", *cells)
    print_tables(table)
