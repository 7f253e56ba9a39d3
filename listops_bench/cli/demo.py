"""The verb demo."""

from __future__ import annotations

import dataclasses
from argparse import Namespace

from listops_bench._base.command import Parser, positive
from listops_bench.demo.config import DemoConfig


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "demo",
        demo,
        "train three curricula, score them on the same SUM rows, and make a page (some minutes)",
        "--seeds 10 11 --output-dir runs/demo",
    )
    verb.add_argument("--fresh", action="store_true", help="train everything again")
    verb.add_argument("--output-dir", metavar="DIR", help="(default: %(default)s)")
    verb.add_argument("--seeds", type=int, nargs="+", metavar="N", help="(default: %(default)s)")
    verb.add_argument("--steps", type=positive, metavar="N", help="of every run, at the most (default: %(default)s)")
    verb.add_argument("--model", metavar="NAME", help="(default: looped_d048 at a width of 36: 21,348 parameters)")
    verb.add_argument("--learning-rate", type=float, metavar="X", help="(default: %(default)s)")
    verb.set_defaults(**dataclasses.asdict(DemoConfig()))


def demo(arguments: Namespace) -> int:
    from listops_bench.demo.run import run_demo

    return run_demo(
        DemoConfig(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(DemoConfig)})
    )
