"""Learning thresholds as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from listops_bench.leaderboard.arms import Arm, spell_budget, spell_limits, spell_threshold
from listops_bench.leaderboard.board import Board
from listops_bench.result.learned import LEARNED

if TYPE_CHECKING:
    from rich.table import Table

_NOTE = (
    f"N50: parameters with which half of the seeds learn (at least {LEARNED:.0%} exact traces), with its 95% interval; "
    "> and < are bounds: the sizes tried do not reach it. Against alone: N50 divided by that of training on the task "
    "alone for as many steps (*: with as many of the task's operations seen). Unseen: the same on rows with unseen "
    "operands."
)
_NUMBERS = ("sizes", "runs", "N50", "95% interval", "against alone", "95% interval", "N50, unseen", "95% interval")


def threshold_table(board: Board) -> Table:
    """A line for each task, family and way of training that was tried on at least two sizes."""
    table = _table(f"Learning thresholds, {board.version}", "task", "family", "track", "trained on", "budget")
    for name in (
        "sizes",
        "runs",
        "N50",
        "95% interval",
        "against alone",
        "95% interval",
        "N50, unseen",
        "95% interval",
    ):
        table.add_column(name, justify="right", overflow="fold")
    compared = {id(comparison.arm): comparison for comparison in board.comparisons}
    for arm in board.arms:
        ratio = compared.get(id(arm))
        against = ("", "") if ratio is None else (spell_threshold(ratio.ratio), spell_limits(ratio.ratio))
        mark = "*" if ratio is not None and ratio.equal == "exposure" else ""
        unseen = arm.unseen
        table.add_row(
            *_names(arm),
            spell_budget(arm),
            str(len(arm.sizes)),
            str(arm.threshold.runs),
            spell_threshold(arm.threshold),
            spell_limits(arm.threshold),
            against[0] + mark,
            against[1],
            spell_threshold(unseen) if unseen.runs else "",
            spell_limits(unseen),
        )
    table.caption = _NOTE
    return table


def time_table(board: Board) -> Table:
    """A line for each of these and size at which a run learned: after how many steps."""
    table = _table("Steps to learn", "task", "family", "track", "trained on")
    for name in ("parameters", "learned", "median steps", "95% interval"):
        table.add_column(name, justify="right", overflow="fold")
    for arm in board.arms:
        for row in _time_rows(arm):
            table.add_row(*_names(arm), *row)
    if not table.row_count:
        table.add_row("no run learned")
    table.caption = (
        "Kaplan-Meier median over the runs, by validations along the training; >: more than half of the runs had not "
        "learned when their training ended"
    )
    return table


def _time_rows(arm: Arm) -> Iterator[tuple[str, str, str, str]]:
    for size, time in arm.times.items():
        if time is not None and time.learned:
            median = f"> {arm.budget:,}" if time.median is None else f"{time.median:,}"
            low = "" if time.median_low is None else f"{time.median_low:,}"
            high = "" if time.median_high is None else f"{time.median_high:,}"
            limits = f"{low} to {high}" if low and high else f"from {low}" if low else ""
            yield f"{size:,}", f"{time.learned}/{time.runs}", median, limits


def _names(arm: Arm) -> tuple[str, str, str, str]:
    return arm.task, arm.family, arm.track, arm.plan


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", caption_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
