"""The board in one picture: tasks below each other, sizes beside each other, and who has learned what."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from listops_bench._base.extras import needs
from listops_bench.leaderboard._threshold_figures import draw, main_arms
from listops_bench.leaderboard.arms import spell_threshold
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group
from listops_bench.pages import chart
from listops_bench.pages.chart import Figure, Rows, Sheet
from listops_bench.tasks.training_kinds import KINDS

with needs("board"):
    import altair as alt

_NAMES, _ROW = 140, 25  # pixels for a task's name, and of its row


def learned_figure(board: Board) -> Figure | None:
    """Of the family with most runs, each size and way of training on each task; None where there is no ladder."""
    arms = main_arms(board)
    if not arms:
        return None
    family = arms[0].family
    found = [
        groups[0] for size, tasks in board.matrix.items() if size.family == family for groups in tasks.values()
    ]  # the best recipe of each
    return draw("learned", partial(_learned_chart, board, found), family=family)


def _learned_chart(board: Board, groups: Sequence[Group], sheet: Sheet) -> alt.TopLevelMixin:
    sizes = [group.parameters for group in groups]
    tasks = [task for task in board.tasks if any(group.task == task for group in groups)]
    kinds = [kind for kind in KINDS if any(group.kind == kind for group in groups)]
    legend = chart.make_legend(kinds)
    scale = alt.Scale(domain=[0, len(tasks)], reverse=True, nice=False)
    y, x = alt.Y("row:Q", title=None, scale=scale, axis=None), chart.size_x(sizes)
    names = sheet.chart({"name": task, "row": place + 0.5, "line": place} for place, task in enumerate(tasks))
    marks = sheet.chart(_marks(groups, tasks, kinds))
    halves = sheet.chart(_halves(board, tasks))
    place = {"x": x, "y": y, "color": chart.kind_colour(legend), "shape": chart.kind_shape(legend)}
    many, some, none = (marks.transform_filter(f"datum.learned == '{word}'") for word in ("many", "some", "none"))
    inner = chart.WIDTH - _NAMES
    ink = {"fontSize": chart.FONT, "aria": False, "color": chart.INK}
    layers = [
        names.mark_rule(color="#d9dee3", aria=False).encode(
            y=alt.Y("line:Q", scale=scale, axis=None), x=alt.value(-_NAMES), x2=alt.value(inner)
        ),
        names.mark_text(align="right", limit=_NAMES - 10, **ink).encode(y=y, x=alt.value(-10), text="name:N"),
        halves.mark_rule(color=chart.INK, strokeWidth=1.5).encode(
            y=alt.Y("top:Q", scale=scale, axis=None), y2="bottom:Q", x=x, description="text:N"
        ),
        none.mark_point(filled=True, size=9, opacity=0.55).encode(description="text:N", **place),
        some.mark_point(filled=False, size=40, strokeWidth=1.6, opacity=1, fill="white").encode(
            description="text:N", **place
        ),
        many.mark_point(filled=True, size=50, opacity=1).encode(description="text:N", **place),
    ]
    return alt.layer(*layers).properties(width=inner, height=_ROW * len(tasks))


def _marks(groups: Sequence[Group], tasks: Sequence[str], kinds: Sequence[str]) -> Rows:
    """A mark for each group, those of one kind of training on a line of their own within the task's row."""
    return [_mark(group, tasks.index(group.task) + (kinds.index(group.kind) + 0.5) / len(kinds)) for group in groups]


def _mark(group: Group, row: float) -> dict[str, Any]:
    trained = f"{group.model} ({group.parameters:,} parameters) trained on {group.plan}"
    text = f"{group.task}, {trained}: learned with {group.learned} seeds, exact traces {group.mean() or 0:.1%}"
    return {
        "row": row,
        "parameters": group.parameters,
        "kind": group.kind,
        "learned": "many" if group.has_learned else "some" if group.num_learned else "none",
        "text": f"{text}, n = {group.rows}; verified: {group.verified}",
    }


def _halves(board: Board, tasks: Sequence[str]) -> Rows:
    found = ((place, task, board.measured.get(task)) for place, task in enumerate(tasks))
    return [
        {
            "parameters": arm.threshold.estimate,
            "top": place + 0.08,
            "bottom": place + 0.92,
            "text": f"{task}: N50 {spell_threshold(arm.threshold)}, {arm.threshold.runs} runs",
        }
        for place, task, arm in found
        if arm is not None and arm.threshold.kind == "number"
    ]
