"""The board: results in, Markdown and a static page out. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.leaderboard.arms import Arm as Arm
    from listops_bench.leaderboard.arms import all_arms as all_arms
    from listops_bench.leaderboard.board import Board as Board
    from listops_bench.leaderboard.board import boards as boards
    from listops_bench.leaderboard.groups import RANKED_SEEDS as RANKED_SEEDS
    from listops_bench.leaderboard.groups import Group as Group
    from listops_bench.leaderboard.output import Built as Built
    from listops_bench.leaderboard.output import build as build
    from listops_bench.leaderboard.output import read_boards as read_boards

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Arm": "arms",
        "Board": "board",
        "Built": "output",
        "Group": "groups",
        "RANKED_SEEDS": "groups",
        "all_arms": "arms",
        "boards": "board",
        "build": "output",
        "read_boards": "output",
    },
)
