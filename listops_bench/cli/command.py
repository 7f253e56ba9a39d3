"""The command ``listops-bench``: its verbs, one module for each area.

An area's module says which flags its verbs have, and a function for each does the work with their values: a flag has
the name (``dest``) of the parameter that it sets. Packages that do the work are imported only then.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from listops_bench._base.command import Parser, run_command
from listops_bench._base.version import __version__
from listops_bench.cli import analysis, board, curriculum, data, demo, harness, hub, model, sweep

PROGRAM = "listops-bench"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["sweep"] and words[1:2] in (["export"], ["merge"]):  # beside a page, which may have any name
        words[:2] = ["-".join(words[:2])]

    def work() -> int | None:
        if words[:1] == ["train"]:  # its flags are those of `python -m listops_bench.train`
            from listops_bench.train.command import main as train

            return train(words[1:])
        parser = build_parser()
        if not words:
            parser.print_help()
            return 0
        return parser.run(words)

    code = run_command(work)
    if argv is None:
        gc.freeze()  # the process ends, which would look for cycles in all that is left: a second after a large board
    return code


def build_parser() -> Parser:
    """The whole command line; ``parser.verbs`` are its verbs."""
    parser = Parser(
        prog=PROGRAM,
        description="Which curriculum lets how small a model learn which task?",
        epilog=f"example: {PROGRAM} tasks sum_max_med      (every verb has --help with an example)",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for area in (data, curriculum, model, sweep, analysis, board, hub, demo, harness):
        area.add_verbs(parser)
    return parser
