"""Verbs about what models learned: analyze."""

from __future__ import annotations

import sys
from argparse import Namespace

from listops_bench._base.command import Parser, positive


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "analyze",
        analyze,
        "look into checkpoints: number embeddings, attention and feed-forward, memorisation, over training",
        "runs/demo/checkpoints/* --output-dir runs/analysis",
    )
    verb.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="checkpoint folders, compared where several")
    verb.add_argument("--output-dir", required=True, metavar="DIR", help="gets index.html, figures/ and JSON files")
    verb.add_argument(
        "--task", nargs="+", metavar="TASK", help="whose operations to ask about (default: those trained on)"
    )
    verb.add_argument(
        "--num-rows", type=positive, default=400, metavar="N", help="rows of each operation and split (default: 400)"
    )
    verb.add_argument("--device", default="cpu", metavar="NAME", help="(default: cpu)")


def analyze(arguments: Namespace) -> None:
    from listops_bench.analysis.report.build import write_report
    from listops_bench.analysis.study import analyse

    def show(text: str) -> None:
        print(text, file=sys.stderr)

    analyses = analyse(
        arguments.checkpoints,
        tasks=arguments.task,
        num_rows=arguments.num_rows,
        device=arguments.device,
        on_stage=lambda name, stage: show(f"{name}: {stage}"),
    )
    show("drawing")
    written = write_report(analyses, arguments.output_dir)
    print(written.page)
