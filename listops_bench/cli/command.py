"""The command ``listops-bench``: what it answers to mistakes, and its verbs, one module for each area.

Bad input is one line on stderr and exit code 2, with the nearest valid name. Ctrl-C ends quietly with 130. An area's
module says which flags its verbs have and calls the room that does the work, importing it only then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from listops_bench._base.version import __version__
from listops_bench.cli import analysis, board, curriculum, data, demo, harness, hub, model, sweep
from listops_bench.cli.parser import PROGRAM, Parser
from listops_bench.errors import InvalidInput

EXIT_FAILED, EXIT_INVALID, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return build_parser().run(words)
    except InvalidInput as error:
        return _fail(str(error), EXIT_INVALID)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `listops-bench tasks | head -1`: the reader has left. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.strerror}: {error.filename}", EXIT_FAILED)


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def build_parser() -> Parser:
    """The whole command line; ``parser.verbs`` are its verbs."""
    parser = Parser(
        prog=PROGRAM,
        description="Which curriculum lets how small a model learn which task?",
        epilog=f"example: {PROGRAM} tasks sum_max_med      (every verb has --help with an example)",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    areas = (data, curriculum, model, sweep, analysis, board, hub, demo)
    for area in (*areas, harness):
        area.add_verbs(parser)
    return parser
