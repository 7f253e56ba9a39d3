"""Options of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from listops_bench._base.command import Parser, shard
from listops_bench._base.options import add_flags, check
from listops_bench._base.records import Positive


@dataclass(frozen=True)
class Options:
    """What a sweep is told beside its page.

    Attributes:
        file: the sweep, a YAML page such as leaderboard/sweeps/demo.yaml.
        output_dir: where everything goes (default: runs/ and the page's name).
        shard: (i, n), counted from 0: the i-th n-th of the runs.
        workers: processes (default: one for each GPU, or core).
        pack: models trained as one at the most (default: 1 on a CPU).
        retry_failed: try runs again whose loss was no number.
    """

    file: str
    output_dir: str | None = None
    shard: tuple[int, int] | None = None
    workers: Positive | None = None
    pack: Positive | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        check(self)

    @property
    def folder(self) -> Path:
        return Path("runs") / Path(self.file).stem if self.output_dir is None else Path(self.output_dir)


def add_options(parser: Parser) -> None:
    """The flags that the command and the module share, which starts no workers."""
    parser.add_argument("file", metavar="FILE", help="the sweep, a YAML page such as leaderboard/sweeps/demo.yaml")
    parser.add_argument(
        "--shard", type=shard, metavar="I/N", help="the I-th of N parts of the runs, for job arrays (1/N .. N/N)"
    )
    add_flags(parser, Options, skip=("file", "shard", "workers"))
