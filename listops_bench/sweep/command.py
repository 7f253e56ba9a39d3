"""The command of sweeps: ``accelerate launch -m listops_bench.sweep``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from listops_bench.errors import InvalidInput
from listops_bench.sweep.options import add_options, options_of, shard
from listops_bench.sweep.run import work


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message)


def main(argv: Sequence[str] | None = None) -> int:
    """One process of a sweep. Returns 0, 1 where a run failed, or 2 for bad input, after one line on stderr."""
    parser = _Parser(
        prog="accelerate launch -m listops_bench.sweep",
        description="Trains and scores the runs of a sweep; started by a launcher, the ranks share them.",
        epilog="example: accelerate launch -m listops_bench.sweep leaderboard/sweeps/demo.yaml",
        allow_abbrev=False,
    )
    add_options(parser)
    parser.add_argument("--worker", type=shard, help=argparse.SUPPRESS)
    try:
        arguments = parser.parse_args(argv)
        return work(options_of(arguments), arguments.worker)
    except InvalidInput as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename or ''}", 1)


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
