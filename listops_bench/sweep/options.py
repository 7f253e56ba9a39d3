"""Options of a sweep."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from listops_bench._base.command import Parser, positive, shard


@dataclass(frozen=True)
class Options:
    """What a sweep is told beside its page.

    Attributes:
        output_dir: None for ``runs/`` and the page's name.
        shard: (i, n), counted from 0: the i-th n-th of the runs.
        workers: processes; None for one for each GPU, or core.
        pack: models trained as one at the most; None decides by the device.
        retry_failed: try runs again whose loss was no number.
    """

    file: str
    output_dir: str | None = None
    shard: tuple[int, int] | None = None
    workers: int | None = None
    pack: int | None = None
    retry_failed: bool = False

    @property
    def folder(self) -> Path:
        return Path("runs") / Path(self.file).stem if self.output_dir is None else Path(self.output_dir)


def add_options(parser: Parser) -> None:
    """The options that the command and the module share."""
    parser.add_argument("file", metavar="FILE", help="the sweep, a YAML page such as leaderboard/sweeps/demo.yaml")
    parser.add_argument(
        "--output-dir", metavar="DIR", help="where everything goes (default: runs/ and the page's name)"
    )
    parser.add_argument("--shard", type=shard, metavar="I/N", help="the I-th of N parts, for job arrays (1/N .. N/N)")
    parser.add_argument(
        "--pack", type=positive, metavar="N", help="models trained as one at the most (default: 1 on a CPU)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="try runs again whose loss was no number")


def options_of(arguments: argparse.Namespace) -> Options:
    values = {name: getattr(arguments, name) for name in ("file", "output_dir", "shard", "pack", "retry_failed")}
    return Options(**values, workers=getattr(arguments, "workers", None))
