"""The board as Markdown, for people who read it where the code is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from listops_bench.leaderboard.arms import spell_threshold
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import RANKED_SEEDS
from listops_bench.leaderboard.tables import (
    challenge_table,
    matrix_table,
    results_table,
    smallest_table,
    threshold_table,
)
from listops_bench.pages.chart import Figure
from listops_bench.pages.html import render
from listops_bench.pages.tables import Table, row, to_markdown
from listops_bench.result.learned import LEARNED

_SMALLEST = ("task", "model", "parameters", "seeds that learned", "curriculum", "track")
_THRESHOLDS = ("task", "curriculum", "n50", "plateau", "ratio", "gain", "unseen", "runs", "family", "track")
_RESULTS = (
    "model", "parameters", "curriculum", "task", "learned", "trace", "each seed", "answers", "unseen", "track",
    "verified",
)  # fmt: skip
"""The columns of its tables."""


def markdown(boards: Sequence[Board], *, title: str, lead: str, figures: Sequence[Figure], site: str) -> str:
    """All boards, the newest first, with links to the figures and the page in folder ``site``."""
    shown = [
        {
            "version": board.version,
            "summary": board.summary,
            "has_measured": bool(board.measured),
            "matrix": to_markdown(_matrix(board)),
            "smallest": to_markdown(smallest_table(board).pick(*_SMALLEST)),
            "challenges": to_markdown(challenge_table(board)),
            "thresholds": to_markdown(threshold_table(board).pick(*_THRESHOLDS)),
            "results": to_markdown(results_table(board).pick(*_RESULTS)),
        }
        for board in boards
    ]
    values = {"title": title, "lead": lead, "boards": shown, "figures": figures, "site": site}
    return render("listops_bench.leaderboard", "board.md", **values, ranked=RANKED_SEEDS, learned=f"{LEARNED:.0%}")


def _matrix(board: Board) -> Table:
    """With a first row that says how hard the tasks have proved."""
    table = matrix_table(board).pick("model", "parameters", "trained", *board.tasks)
    if not board.measured:
        return table
    measured = [board.measured.get(task) for task in board.tasks]
    hardness = row("N50", "", "", *(spell_threshold(arm.threshold) if arm else "" for arm in measured))
    return replace(table, rows=(hardness, *table.rows))
