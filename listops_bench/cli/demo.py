"""The verb demo."""

from __future__ import annotations

from typing import Any

from listops_bench._base.command import Parser, print_line
from listops_bench._base.options import add_flags
from listops_bench.demo.config import DemoConfig


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "demo",
        demo,
        "train three curricula, score them on the same SUM rows, and make a page (some minutes)",
        "--seeds 10 11 --output-dir runs/demo",
    )
    add_flags(verb, DemoConfig)


def demo(**options: Any) -> int:
    config = DemoConfig(**options)
    print_line(f"demo of three curricula, in {config.output_dir}")  # before torch is imported, which takes seconds
    from listops_bench.demo.run import run_demo

    return run_demo(config)
