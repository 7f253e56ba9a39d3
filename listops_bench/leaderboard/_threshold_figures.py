"""The board's figures of learning: thresholds, joint beside single, and the time that learning takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from listops_bench._base.extras import needs
from listops_bench.leaderboard.arms import Arm, spell_limits, spell_plateau, spell_threshold
from listops_bench.leaderboard.board import Board, family_order
from listops_bench.pages import chart
from listops_bench.pages.chart import Figure, Rows, Sheet
from listops_bench.result.learned import LEARNED
from listops_bench.stats.intervals import wilson_interval
from listops_bench.stats.survival import Survival
from listops_bench.tasks.training_kinds import KINDS

with needs("board"):
    import altair as alt

_NAMES, _NUMBERS = 170, 195  # pixels left and right of the drawing
_PANELS, _TASKS = 9, 3  # the most panels of a figure, and the fewest tasks whose order says something


@cache
def _captions() -> dict[str, dict[str, str]]:
    text = files("listops_bench.leaderboard").joinpath("_template", "figures.yaml").read_text(encoding="utf-8")
    captions: dict[str, dict[str, str]] = yaml.safe_load(text)
    return captions


def draw(
    text: str, drawn: Callable[[Sheet], alt.TopLevelMixin], name: str = "", of_family: str | None = None, **values: str
) -> Figure:
    """A figure with its title and caption.

    Args:
        text: which of ``figures.yaml``; its placeholders get ``values``.
        drawn: makes the chart.
        name: of the figure, where it is not that of its text.
        of_family: the family that the figure is of, where it is not of all.
        values: for the placeholders.
    """
    values["learned"] = f"{LEARNED:.0%}"
    title, caption = (_captions()[text][part].format(**values) for part in ("title", "caption"))
    return chart.draw_figure(name or text, title, caption, drawn, of_family)


def main_arms(board: Board) -> list[Arm]:
    """The arms of the family and track with most runs: a figure of all would show nothing."""
    by_ladder: dict[tuple[str, str], list[Arm]] = defaultdict(list)
    for arm in board.arms:
        by_ladder[arm.family, arm.track].append(arm)
    ladders = sorted(by_ladder.values(), key=lambda found: family_order(found[0].family))
    return max(ladders, key=lambda found: sum(arm.runs for arm in found), default=[])


# --- thresholds -------------------------------------------------------------------------------------------------------


def threshold_figure(board: Board) -> Figure | None:
    """N50 of every task, each way of training beside the others; None where no ladder was trained."""
    arms = main_arms(board)
    return draw("thresholds", partial(_thresholds, arms), family=arms[0].family) if arms else None


def difficulty_figure(board: Board) -> Figure | None:
    """How hard each task is, the easiest first: N50 of those that were trained on it and nothing else."""
    arms = [board.measured[task] for task in board.tasks if task in board.measured]
    if len(arms) < _TASKS:
        return None
    return draw("difficulty", partial(_thresholds, arms, of_tasks=True), family=arms[0].family)


def _thresholds(arms: Sequence[Arm], sheet: Sheet, *, of_tasks: bool = False) -> alt.TopLevelMixin:
    """Rows laid out by hand: below each task's name a row for each way of training, or ``of_tasks`` one for each."""
    inner = chart.WIDTH - _NAMES - _NUMBERS
    sizes = [size for arm in arms for size in arm.sizes]
    ends = (min(sizes) / 1.25, max(sizes) * 1.25)
    if of_tasks:
        rows = [_threshold_row(arm, ends) | {"name": arm.task, "row": row + 0.5} for row, arm in enumerate(arms)]
        names = [{"name": "", "row": 0, "line": row} for row in range(len(arms))]
        height = len(arms)
    else:
        names, rows = _laid_out(arms, ends)
        height = len(names) + len(rows)
    scale = alt.Scale(domain=[0, height], reverse=True, nice=False)
    y = alt.Y("row:Q", title=None, scale=scale, axis=None)
    heads, marks = sheet.chart(names), sheet.chart(rows)
    text = {"fontSize": chart.FONT, "aria": False, "color": chart.INK}
    layers = [
        heads.mark_rule(color="#d9dee3", aria=False).encode(y=alt.Y("line:Q", scale=scale, axis=None)),
        heads.mark_text(align="left", fontWeight="bold", **text).encode(y=y, x=alt.value(4 - _NAMES), text="name:N"),
        marks.mark_text(align="right", limit=_NAMES - 10, **text).encode(y=y, x=alt.value(-10), text="name:N"),
        marks.mark_text(align="left", **text).encode(y=y, x=alt.value(inner + 10), text="number:N"),
        marks.mark_rule(strokeWidth=2).encode(
            y=y, x=chart.size_x(sizes, "low"), x2="high:Q", color=chart.kind_colour(), description="text:N"
        ),
        marks.transform_filter("datum.parameters > 0")
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            y=y, x=chart.size_x(sizes), color=chart.kind_colour(), shape=alt.Shape("shape:N", scale=None, legend=None),
            description="text:N",
        ),
    ]  # fmt: skip
    return alt.layer(*layers).properties(width=inner, height=23 * height)


def _laid_out(arms: Sequence[Arm], ends: tuple[float, float]) -> tuple[Rows, Rows]:
    names, rows = list[dict[str, Any]](), list[dict[str, Any]]()
    for arm in arms:
        row = len(names) + len(rows)
        if not names or names[-1]["name"] != arm.task:
            names.append({"name": arm.task, "row": row + 0.55, "line": row})
            row += 1
        rows.append(_threshold_row(arm, ends) | {"row": row + 0.5})
    return names, rows


def _threshold_row(arm: Arm, ends: tuple[float, float]) -> dict[str, Any]:
    found = arm.threshold
    number, limits = spell_threshold(found), spell_limits(found)
    shapes = {"above": "triangle-right", "below": "triangle-left"}
    text = f"{arm.task}, trained on {arm.plan} for {arm.budget:,} steps: N50 {number}"
    text += f" (95% interval {limits})" if limits else ""
    text += ", plateau {} ({})".format(*spell_plateau(found.plateau)) if found.plateau.estimate is not None else ""
    return {
        "name": arm.plan,
        "kind": arm.kind,
        "parameters": found.estimate or 0,
        "low": found.low or ends[0],
        "high": found.high or ends[1],
        "shape": shapes.get(found.kind, chart.SHAPES[arm.kind]),
        "number": f"{number}  ({limits})" if limits and found.kind == "number" else number,
        "text": f"{text}, {found.runs} runs of {len(arm.sizes)} sizes, {arm.verified} of them verified",
    }


# --- curves -----------------------------------------------------------------------------------------------------------


def shares_figure(board: Board) -> Figure | None:
    """The shares of runs that learned, over sizes, and the curves fitted to them; a panel for each task."""
    arms = main_arms(board)
    tasks = list(dict.fromkeys(arm.task for arm in arms))[:_PANELS]
    shown = [arm for arm in arms if arm.task in tasks]
    return draw("shares", partial(_shares, shown, tasks), family=arms[0].family) if arms else None


def _shares(arms: Sequence[Arm], tasks: Sequence[str], sheet: Sheet) -> alt.TopLevelMixin:
    kinds = [kind for kind in KINDS if any(arm.kind == kind for arm in arms)]
    legend = chart.make_legend(kinds)
    sizes = [size for arm in arms for size in arm.sizes]
    place = {"x": chart.size_x(sizes), "color": chart.kind_colour(legend)}
    half = alt.Chart(alt.Data(values=[{"half": 0.5}])).mark_rule(strokeDash=[1, 3], color=chart.QUIET, aria=False)
    fitted, observed = (alt.Chart().transform_filter(f"datum.what == '{what}'") for what in ("curve", "runs"))
    panel = alt.layer(
        half.encode(y="half:Q"),
        fitted.mark_line(strokeWidth=2, aria=False).encode(
            y=chart.share_y("share"), strokeDash=chart.kind_dash(), detail="arm:N", **place
        ),
        observed.mark_rule(strokeWidth=1, opacity=0.4, aria=False).encode(y=chart.share_y("low"), y2="high:Q", **place),
        observed.mark_point(filled=True, size=30, opacity=1).encode(
            y=chart.share_y("share"), shape=chart.kind_shape(legend), description="text:N", **place
        ),
    )
    rows = [row for number, arm in enumerate(arms) for row in _share_rows(arm, number)]
    return chart.small_multiples(panel, "task", tasks, sheet.rows(rows), height=120)


def _share_rows(arm: Arm, number: int) -> Rows:
    place = {"task": arm.task, "kind": arm.kind, "arm": number}
    outcomes = arm.threshold.outcomes
    sizes = [float(f"{size:.5g}") for size in np.geomspace(outcomes[0].parameters, outcomes[-1].parameters, 40)]
    curve = zip(sizes, arm.threshold.shares(sizes), strict=False)
    rows: Rows = [{"what": "curve", "parameters": size, "share": round(share, 4)} for size, share in curve]
    for one in outcomes:
        low, high = wilson_interval(one.learned, one.runs)
        text = (
            f"{arm.task}, trained on {arm.plan}: {one.learned} of {one.runs} learned with {one.parameters:,} parameters"
        )
        share = {"share": one.learned / one.runs, "low": low, "high": high, "text": text}
        rows.append({"what": "runs", "parameters": one.parameters, **share})
    return [place | row for row in rows]


# --- time -------------------------------------------------------------------------------------------------------------


def time_figure(board: Board) -> Figure | None:
    """The share of runs that have learned, over steps; a panel for each task, at the size where most is to be seen."""
    arms = main_arms(board)
    rows = [row for task in board.tasks for row in _time_panel(arm for arm in arms if arm.task == task)]
    panels = list(dict.fromkeys(row["panel"] for row in rows))[:_PANELS]
    if not panels:
        return None
    return draw("times", partial(_times, [row for row in rows if row["panel"] in panels], panels))


def _time_panel(arms: Iterable[Arm]) -> Rows:
    by_size: dict[int, list[tuple[Arm, Survival]]] = defaultdict(list)
    for arm in arms:
        for size, time in arm.times.items():
            if time is not None:
                by_size[size].append((arm, time))

    def informative(size: int) -> tuple[int, float]:
        found = by_size[size]
        share = sum(time.learned for _, time in found) / sum(time.runs for _, time in found)
        return len(found), -abs(share - 0.5)

    able = [size for size, found in by_size.items() if any(time.learned for _, time in found)]
    best = max(able, key=informative, default=None)
    return [] if best is None else [row for arm, time in by_size[best] for row in _time_rows(arm, best, time)]


def _time_rows(arm: Arm, size: int, time: Survival) -> Rows:
    model = next(group.model for group in arm.groups if group.parameters == size)
    place = {"panel": f"{arm.task}, {model}", "kind": arm.kind, "curriculum": arm.curriculum}
    rows: Rows = [{"step": 0, "share": 0.0, "event": False}]
    for step, share in zip(time.steps, time.share, strict=True):
        text = f"{arm.task}, {model} trained on {arm.plan}: after {step:,} steps {1 - share:.0%} of {time.runs} runs"
        median = "not reached" if time.median is None else f"{time.median:,} steps"
        rows.append({"step": step, "share": 1 - share, "event": True, "text": f"{text} have learned; median {median}"})
    end = max(run.watched_until or 0 for group in arm.groups for run in group.runs)
    rows.append({"step": end, "share": rows[-1]["share"], "event": False})
    return [place | row for row in rows]


def _times(rows: Rows, panels: Sequence[str], sheet: Sheet) -> alt.TopLevelMixin:
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    legend = chart.make_legend(kinds)
    x = alt.X("step:Q", title="training step", axis=alt.Axis(format="~s", tickCount=3, grid=False))
    place = {"x": x, "y": chart.share_y("share"), "color": chart.kind_colour(legend)}
    half = alt.Chart(alt.Data(values=[{"half": 0.5}])).mark_rule(strokeDash=[1, 3], color=chart.QUIET, aria=False)
    lines = alt.Chart().mark_line(interpolate="step-after", strokeWidth=2, aria=False)
    points = alt.Chart().transform_filter("datum.event").mark_point(filled=True, size=30, opacity=1)
    panel = alt.layer(
        half.encode(y="half:Q"),
        lines.encode(strokeDash=chart.kind_dash(), detail="curriculum:N", **place),
        points.encode(shape=chart.kind_shape(legend), description="text:N", **place),
    )
    return chart.small_multiples(panel, "panel", panels, sheet.rows(rows), height=105)
