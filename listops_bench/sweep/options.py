"""Options of a sweep."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from listops_bench._base.command import Parser, duration, shard
from listops_bench._base.options import Between, add_flags, check
from listops_bench._base.records import Positive
from listops_bench._base.resources import named_page
from listops_bench.errors import InvalidInput


@dataclass(frozen=True)
class Options:
    """What a sweep is told beside its page.

    Attributes:
        file: the sweep: a YAML page, or the name of one that ships, such as demo.
        output_dir: where everything goes (default: runs/ and the page's name).
        shard: (i, n), counted from 0: the i-th n-th of the runs.
        workers: processes (default: one for each GPU, or core).
        pack: models trained as one at the most (default: 1 on a CPU).
        retry_failed: try runs again whose loss was no number.
        time_limit: seconds after which all is saved and the command ends.
        order: what is begun first, the most expensive or as the page has it.
        train_only: score nothing.
        score_only: train nothing.
        adaptive: choose sizes by what was learned so far, until N50 is known within a factor.
        max_runs: runs of an adaptive arm at the most (default: what the page says, or 160).
    """

    file: str
    output_dir: str | None = None
    shard: tuple[int, int] | None = None
    workers: Positive | None = None
    pack: Positive | None = None
    retry_failed: bool = False
    time_limit: Annotated[float, Between(0)] | None = None
    order: Literal["cost", "page"] = "cost"
    train_only: bool = False
    score_only: bool = False
    adaptive: bool = False
    max_runs: Positive | None = None
    begun: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check(self)
        if self.train_only and self.score_only:
            raise InvalidInput("give either --train-only or --score-only; without them a sweep does both")

    @property
    def seconds_left(self) -> float | None:
        """Of the time limit, which counts from when the options were given: imports take seconds too."""
        return None if self.time_limit is None else max(1e-3, self.time_limit - (time.monotonic() - self.begun))

    @property
    def part(self) -> Literal["all", "train", "score"]:
        return "train" if self.train_only else "score" if self.score_only else "all"

    @property
    def page(self) -> Path:
        """The sweep: the path that was given, or that of a page that ships, by its name."""
        return named_page(self.file, "sweep", "leaderboard", "sweeps")

    @property
    def folder(self) -> Path:
        return Path("runs") / Path(self.file).stem if self.output_dir is None else Path(self.output_dir)


def add_options(parser: Parser) -> None:
    """The flags that the command and the module share, which starts no workers."""
    parser.add_argument(
        "file", metavar="FILE", help="the sweep: a YAML page, or the name of one that ships, such as demo"
    )
    parser.add_argument(
        "--shard", type=shard, metavar="I/N", help="the I-th of N parts of the runs, for job arrays (1/N .. N/N)"
    )
    parser.add_argument(
        *("--time-limit", "--time_limit"),
        type=duration,
        metavar="TIME",
        default=argparse.SUPPRESS,
        help="when to save all and end (8m, 1h30m, 90s; exit code 4); started again, it goes on",
    )
    add_flags(parser, Options, skip=("file", "shard", "workers", "time_limit", "begun"))
