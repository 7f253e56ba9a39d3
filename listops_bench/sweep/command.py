"""The command of sweeps: ``accelerate launch -m listops_bench.sweep``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from listops_bench._base.command import Parser, run_command, shard
from listops_bench.sweep.options import Options, add_options
from listops_bench.sweep.run import work

PROGRAM = "accelerate launch -m listops_bench.sweep"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one process of a sweep and returns its exit code."""
    parser = Parser(
        prog=PROGRAM,
        description="Trains and scores the runs of a sweep; started by a launcher, the ranks share them.",
        epilog=f"example: {PROGRAM} demo",
    )
    add_options(parser)
    parser.add_argument("--worker", type=shard, help=argparse.SUPPRESS)

    def run() -> int:
        options = vars(parser.parse_args(argv))
        worker = options.pop("worker")
        return work(Options(**options), worker)

    return run_command(run)
