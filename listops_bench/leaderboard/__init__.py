"""The board: results in, Markdown and a static page out. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.leaderboard.arms import Arm as Arm, all_arms as all_arms
    from listops_bench.leaderboard.board import Board as Board, boards as boards, read_boards as read_boards
    from listops_bench.leaderboard.groups import RANKED_SEEDS as RANKED_SEEDS, Group as Group
    from listops_bench.leaderboard.output import Built as Built, build as build

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "arms": "Arm all_arms",
        "board": "Board boards read_boards",
        "output": "Built build",
        "groups": "Group RANKED_SEEDS",
    },
)
