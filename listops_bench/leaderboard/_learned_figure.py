"""Sizes beside each other, tasks or curricula below each other: who has learned what, and where N50 lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from listops_bench._base.extras import needs
from listops_bench.leaderboard._threshold_figures import draw, main_arms
from listops_bench.leaderboard.arms import Arm, spell_limits, spell_threshold
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group
from listops_bench.pages import chart
from listops_bench.pages.chart import Figure, Rows, Sheet
from listops_bench.tasks.training_kinds import KINDS

with needs("board"):
    import altair as alt

_NAMES, _ROW = 140, 25  # pixels for a row's name, and of its height


@dataclass(frozen=True)
class _Line:
    """A row: its name, a group for each of its marks, and the arm whose N50 it shows."""

    name: str
    groups: Sequence[Group]
    arm: Arm | None


def learned_figure(board: Board) -> Figure | None:
    """The board in one picture: the family with most runs, each size and training on each task of several sizes."""
    arms = main_arms(board)
    if not arms:
        return None
    tasks = {task: list[Group]() for task in board.tasks}
    for size, found in board.matrix.items():
        if size.family == arms[0].family:
            for task, groups in found.items():
                arm = board.measured.get(task)  # as many steps as its N50 has, for the two to be comparable
                alike = [group for group in groups if arm is not None and group.budget == arm.budget]
                tasks[task].append((alike or groups)[0])  # the best recipe
    lines = [
        _Line(task, groups, board.measured.get(task))
        for task, groups in tasks.items()
        if len({group.parameters for group in groups}) > 1
    ]
    return draw("learned", partial(_chart, lines), family=arms[0].family)


def partners_figure(board: Board) -> Figure | None:
    """What helps to learn the task that was trained with most others: each way of training on it, for as many steps."""
    arms = main_arms(board)
    tried = [[a for a in arms if (a.task, a.budget) == (arm.task, arm.budget)] for arm in arms if arm.itself]
    most = max(tried, key=lambda found: (len(found), sum(arm.runs for arm in found)), default=[])
    if len(most) < 3:
        return None
    lines = [_Line(arm.plan, arm.groups, arm) for arm in sorted(most, key=_by_threshold)]
    return draw("partners", partial(_chart, lines), task=most[0].task, steps=f"{most[0].budget:,}")


def _by_threshold(arm: Arm) -> tuple[object, ...]:
    return arm.threshold.kind == "above", arm.threshold.estimate or 0.0, arm.curriculum


def _chart(lines: Sequence[_Line], sheet: Sheet) -> alt.TopLevelMixin:
    groups = [group for line in lines for group in line.groups]
    kinds = [kind for kind in KINDS if any(group.kind == kind for group in groups)]
    legend = chart.make_legend(kinds)
    scale = alt.Scale(domain=[0, len(lines)], reverse=True, nice=False)
    y, x = alt.Y("row:Q", title=None, scale=scale, axis=None), chart.size_x([group.parameters for group in groups])
    names = sheet.chart({"name": line.name, "row": row + 0.5, "line": row} for row, line in enumerate(lines))
    marks = sheet.chart(mark for row, line in enumerate(lines) for mark in _marks(line, row, kinds))
    halves = sheet.chart(half for row, line in enumerate(lines) for half in _half(line, row))
    many, some, none = (marks.transform_filter(f"datum.learned == '{word}'") for word in ("many", "some", "none"))
    inner = chart.WIDTH - _NAMES
    ink = {"fontSize": chart.FONT, "aria": False, "color": chart.INK}
    place = {
        "x": x, "y": y, "color": chart.kind_colour(legend), "shape": chart.kind_shape(legend), "description": "text:N"
    }  # fmt: skip
    layers = [
        names.mark_rule(color="#d9dee3", aria=False).encode(
            y=alt.Y("line:Q", scale=scale, axis=None), x=alt.value(-_NAMES), x2=alt.value(inner)
        ),
        names.mark_text(align="right", limit=_NAMES - 10, **ink).encode(y=y, x=alt.value(-10), text="name:N"),
        halves.mark_rule(color=chart.INK, strokeWidth=1.5).encode(
            y=alt.Y("top:Q", scale=scale, axis=None), y2="bottom:Q", x=x, description="text:N"
        ),
        none.mark_point(filled=True, size=9, opacity=0.55).encode(**place),
        some.mark_point(filled=False, size=40, strokeWidth=1.6, opacity=1, fill="white").encode(**place),
        many.mark_point(filled=True, size=50, opacity=1).encode(**place),
    ]
    return alt.layer(*layers).properties(width=inner, height=_ROW * len(lines))


def _marks(line: _Line, row: int, kinds: Sequence[str]) -> Rows:
    """A mark for each group; where a size was trained in several ways, they stand below each other."""
    crowded = max(Counter(group.parameters for group in line.groups).values()) > 1
    places = {kind: (number + 0.5) / len(kinds) if crowded else 0.5 for number, kind in enumerate(kinds)}
    return [_mark(group) | {"row": row + places[group.kind]} for group in line.groups]


def _mark(group: Group) -> dict[str, Any]:
    trained = f"{group.model} ({group.parameters:,} parameters) {group.origin}"
    text = f"{group.task}, {trained}: learned with {group.learned} seeds, exact traces {group.mean() or 0:.1%}"
    return {
        "parameters": group.parameters,
        "kind": group.kind,
        "learned": "many" if group.has_learned else "some" if group.num_learned else "none",
        "text": f"{text}, n = {group.rows}; verified: {group.verified}",
    }


def _half(line: _Line, row: int) -> Rows:
    """The upright line of N50, where it lies within the sizes tried."""
    if line.arm is None or line.arm.threshold.kind != "number":
        return []
    found = line.arm.threshold
    text = f"{line.name}: N50 {spell_threshold(found)} ({spell_limits(found)}), n = {found.runs} runs"
    return [{"parameters": found.estimate, "top": row + 0.08, "bottom": row + 0.92, "text": text}]
