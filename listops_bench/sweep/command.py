"""The command of sweeps: ``accelerate launch -m listops_bench.sweep``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from listops_bench._base.command import Parser, run_command, shard
from listops_bench.errors import InvalidInput
from listops_bench.sweep.options import Options, add_options
from listops_bench.sweep.run import work

PROGRAM = "accelerate launch -m listops_bench.sweep"
_OF_THE_VERB = ("--plan", "--declare", "--devices", "--workers")


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
        for word in sys.argv[1:] if argv is None else argv:
            if (flag := word.partition("=")[0]) in _OF_THE_VERB:
                raise InvalidInput(f"{flag} goes with `listops-bench sweep`; what a launcher starts trains and scores")
        options = vars(parser.parse_args(argv))
        worker = options.pop("worker")
        return work(Options(**options), worker)

    return run_command(run)
