"""Verbs about what models learned: analyze."""

from __future__ import annotations

import sys
from typing import Any

from listops_bench._base.command import Parser, folder_to_write, positive, print_line
from listops_bench._base.limits import limits_of_strangers


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "analyze",
        analyze,
        "look into checkpoints: number embeddings, attention and feed-forward, memorisation, over training",
        "runs/demo/runs/* --output-dir runs/analysis",
    )
    verb.add("folders CHECKPOINT...", "checkpoint folders or RECIPE#SEED of a store, compared where several")
    verb.add("--output-dir DIR", "gets index.html, figures/ and JSON files", required=True, type=folder_to_write)
    verb.add("--task TASK...", "whose operations to ask about (default: those trained on)", dest="tasks")
    verb.add("--num-rows N", "rows of each operation and split", type=positive, default=400)
    verb.add("--device NAME", default="cpu")
    verb.add_time_limit()


def analyze(*, output_dir: str, time_limit: float, **options: Any) -> None:
    from listops_bench.analysis.report.build import write_report
    from listops_bench.analysis.study import analyse

    def show(text: str) -> None:
        print_line(text, file=sys.stderr)

    with limits_of_strangers("one of the checkpoints", seconds=time_limit) as begin:

        def begin_stage(name: str, stage: str) -> None:
            begin()
            show(f"{name}: {stage}")

        analyses = analyse(**options, on_stage=begin_stage)
    show("drawing")
    print_line(write_report(analyses, output_dir).page)
