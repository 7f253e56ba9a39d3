"""The board's figures: drawn by Vega-Lite when the board is built, so that the page needs no script to show them.

Each figure is made twice, for wide pages and for telephones. Every mark carries its numbers, n included, as a text that
the page shows beside the pointer and that screen readers speak.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from listops_bench._leaderboard_data import Board
from listops_bench._leaderboard_groups import KINDS, Group, count
from listops_bench.score import Summary
from listops_bench.threshold import LEARNED

if TYPE_CHECKING:
    import altair as alt

WIDE, NARROW = 840, 330
"""Widths of the two drawings, in CSS pixels; the page shows the second where there is no room for the first."""

# Okabe and Ito's colours (Color Universal Design, 2008), which colour-blind readers tell apart; shapes and dashes say
# the same once more.
COLOURS = {"alone": "#d55e00", "joint": "#0072b2", "transfer": "#009e73", "other": "#6b6b6b"}
SHAPES = {"alone": "circle", "joint": "square", "transfer": "triangle-up", "other": "diamond"}
DASHES = {"alone": [2, 2], "joint": [7, 3], "transfer": [1, 0], "other": [6, 2, 2, 2]}

_INK, _QUIET, _GRID, _AXIS = "#1d2329", "#5b6570", "#e6e9ec", "#9aa3ab"
_NAMES, _MEANS = 190, 58  # pixels for the names of rows, and for their means
_MOST_GROUPS = 30  # of rows; beyond that, the figure over sizes tells more


@dataclass(frozen=True)
class Curve:
    """Accuracy along one training.

    Attributes:
        label: of the curriculum; curves of one label share a colour.
        kind: one of `KINDS`.
        points: (step, correct, n) of each look at the validation rows.
        stages: steps at which a new stage begins.
    """

    label: str
    kind: str
    seed: int | None
    points: Sequence[tuple[int, int, int]]
    stages: Sequence[int] = ()


@dataclass(frozen=True)
class Figure:
    """A drawing in both widths, as SVG text, and what stands above and below it."""

    name: str
    title: str
    caption: str
    wide: str
    narrow: str


def figures(board: Board, curves: Sequence[Curve] = (), curves_title: str = "Learning curves") -> list[Figure]:
    """The figures that say something about these results: none is drawn of nothing."""
    groups = [group for group in board.groups if group.mean() is not None]
    learned = f"at {LEARNED:.0%}, a task counts as learned."
    drawn = []
    if 0 < len(groups) <= _MOST_GROUPS:
        caption = (
            "Each point is one run and each line its 95% interval over the test rows; the bar and the number at the "
            f"right are the mean over seeds. From the dashed line on, {learned}"
        )
        drawn.append(_figure("runs", "Every run", caption, partial(_runs_chart, groups)))
    if len({group.parameters for group in groups}) > 1:
        caption = (
            "Each point is the mean over the seeds of one recipe, and each upright line reaches from its worst to its "
            "best seed (of a single seed, it is the 95% interval over the test rows). The lines along the sizes join "
            f"the means of one family. From the dashed line on, {learned}"
        )
        drawn.append(_figure("sizes", "Accuracy against size", caption, partial(_sizes_chart, groups)))
    shown = [curve for curve in curves if curve.points]
    if shown:
        caption = f"Each line is one run. From the dashed line on, {learned}"
        if any(curve.stages for curve in shown):
            caption += " A dotted upright line marks the step at which a curriculum turns to its next stage."
        drawn.append(_figure("curves", curves_title, caption, partial(_curves_chart, shown)))
    return drawn


def png(svg: str) -> bytes:
    """A figure as a picture, twice as large for sharp screens."""
    import vl_convert

    content: bytes = vl_convert.svg_to_png(svg, scale=2)
    return content


def spell(summary: Summary) -> str:
    """``97.8% (95% interval 97.4 to 98.2%), n = 5,000``."""
    return f"{summary.accuracy:.1%} (95% interval {100 * summary.low:.1f} to {summary.high:.1%}), n = {summary.n:,}"


class _Sheet:
    """The rows that a drawing is made from, kept beside its charts: inside them, altair would copy and check each."""

    def __init__(self) -> None:
        self.datasets: dict[str, list[dict[str, Any]]] = {}

    def chart(self, rows: list[dict[str, Any]]) -> alt.Chart:
        import altair as alt

        name = f"rows_{len(self.datasets)}"
        self.datasets[name] = rows
        return alt.Chart(alt.NamedData(name))


# --- every run --------------------------------------------------------------------------------------------------------


def _runs_chart(groups: Sequence[Group], sheet: _Sheet, width: int) -> alt.TopLevelMixin:
    """A panel for each task, in it a row for each recipe."""
    import altair as alt

    tasks = list(dict.fromkeys(group.task for group in groups))
    one_model = len({group.model for group in groups}) == 1
    panels = []
    for task in tasks:
        rows = _named([group for group in groups if group.task == task], one_model)
        title = f"Scored on {task}, after training on"
        panels.append(_runs_panel(sheet, rows, width, title=title, axis=task == tasks[-1]))
    return alt.vconcat(*panels, spacing=14)


def _runs_panel(
    sheet: _Sheet, groups: Sequence[tuple[str, Group]], width: int, *, title: str, axis: bool
) -> alt.LayerChart:
    """Seeds one below the other in each row; the row's name stands left of it, on telephones above it."""
    import altair as alt

    narrow = width < WIDE
    inner = width - _MEANS - (12 if narrow else _NAMES)
    runs = sheet.chart([row for name, group in groups for row in _seed_rows(name, group)])
    means = sheet.chart([_mean_row(name, group) for name, group in groups])
    names = alt.Axis(labels=not narrow, labelLimit=_NAMES - 12, labelPadding=8, ticks=False, domain=False)
    title_x = "exact traces among the test rows" if axis else None
    x, low = _share_x(title_x, "accuracy", labels=axis), _share_x(title_x, "low", labels=axis)
    place = {
        "y": alt.Y("row:N", sort=None, title=None, axis=names),
        "yOffset": alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1.3, 0.8] if narrow else [-1, 1])),
        "color": _kind_colour(),
        "description": alt.Description("text:N"),
    }
    plain = place | {"color": alt.value(_INK)}
    layers = [
        _learned_rule("x"),
        means.mark_tick(thickness=3, size=26, opacity=0.3).encode(x=x, **place),
        runs.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", **place),
        runs.mark_point(filled=True, size=52, opacity=1).encode(x=x, shape=_kind_shape(), **place),
        means.mark_text(align="right", fontSize=12, aria=False).encode(x=alt.value(inner + 56), text="mean:N", **plain),
    ]
    if narrow:
        names_above = means.mark_text(align="left", dy=-19, fontSize=12, aria=False)
        layers.append(names_above.encode(x=alt.value(0), text="row:N", **plain))
    height = (50 if narrow else 36) * len(groups)
    return alt.layer(*layers).properties(width=inner, height=height, title=_panel_title(title))


def _named(groups: Sequence[Group], one_model: bool) -> list[tuple[str, Group]]:
    """Groups with names of their own: where a model learned one plan in two ways, the recipe tells them apart."""
    names = [_row_name(group, one_model) for group in groups]
    return [
        (name if names.count(name) == 1 else f"{name} ({group.first.track}, {group.first.recipe.id[-8:]})", group)
        for name, group in zip(names, groups, strict=True)
    ]


def _row_name(group: Group, one_model: bool) -> str:
    return group.plan if one_model else f"{group.model}: {group.plan}"


def _seed_rows(name: str, group: Group) -> list[dict[str, Any]]:
    found = [(run, summary) for run in group.runs if (summary := run.summary()) is not None]
    rows = []
    for place, (run, summary) in enumerate(found):
        seed = run.result.recipe.seed
        text = f"{name}, {'no seed' if seed is None else f'seed {seed}'}: {spell(summary)}"
        values = {"accuracy": summary.accuracy, "low": summary.low, "high": summary.high}
        offset = (place + 0.5) / len(found) - 0.5
        rows.append(values | {"row": name, "kind": group.kind, "offset": offset, "text": text})
    return rows


def _mean_row(name: str, group: Group) -> dict[str, Any]:
    mean = group.mean() or 0.0
    text = f"{name}: {mean:.1%} is the mean of {count(len(group.summaries()), 'seed')}"
    return {"row": name, "kind": group.kind, "offset": 0, "accuracy": mean, "mean": f"{mean:.1%}", "text": text}


# --- accuracy against size --------------------------------------------------------------------------------------------


def _sizes_chart(groups: Sequence[Group], sheet: _Sheet, width: int) -> alt.TopLevelMixin:
    """Small multiples: a panel for each task, parameters along a logarithmic axis."""
    import altair as alt

    tasks = list(dict.fromkeys(group.task for group in groups))
    columns = min(len(tasks), 1 if width < WIDE else 3)
    inner = (width - 20) // columns - 46
    kinds = [kind for kind in KINDS if any(group.kind == kind for group in groups)]
    legend = _legend(kinds, {kind: f"trained {words}" for kind, words in KINDS.items()}, width) if kinds[1:] else None
    sizes = [group.parameters for group in groups]
    scale = alt.Scale(type="log", domain=[min(sizes) / 1.25, max(sizes) * 1.25], nice=False)
    # Powers of ten, as the axis's own ticks crowd each other in a small panel; where there are few sizes, these.
    ticks = sorted(set(sizes)) if len(set(sizes)) <= 3 else [10**k for k in range(2, 10)]
    x = alt.X("parameters:Q", title="parameters", scale=scale, axis=alt.Axis(format=".2~s", values=ticks))
    panels = [
        _sizes_panel(sheet, [group for group in groups if group.task == task], x, legend).properties(
            width=inner, height=150, title=_panel_title(task)
        )
        for task in tasks
    ]
    return alt.concat(*panels, columns=columns, spacing={"row": 18, "column": 14})


def _sizes_panel(sheet: _Sheet, groups: Sequence[Group], x: alt.X, legend: alt.Legend | None) -> alt.LayerChart:
    import altair as alt

    data = sheet.chart([_size_row(group) for group in groups])
    colour = _kind_colour(legend)
    along = data.mark_line(strokeWidth=1.2, opacity=0.55, aria=False).encode(
        x=x, y=_share_y("mean(accuracy)"), color=colour, strokeDash=_kind_dash(), detail="family:N"
    )
    spread = data.mark_rule(strokeWidth=1.2, opacity=0.6, aria=False).encode(
        x=x, y=_share_y("low"), y2="high:Q", color=colour
    )
    points = data.mark_point(filled=True, size=34, opacity=1).encode(
        x=x, y=_share_y("accuracy"), color=colour, shape=_kind_shape(legend), description="text:N"
    )
    return alt.layer(_learned_rule("y"), along, spread, points)


def _size_row(group: Group) -> dict[str, Any]:
    found = group.summaries()
    low, high = min(s.accuracy for s in found), max(s.accuracy for s in found)
    if len(found) > 1:
        seeds = f"mean of {len(found)} seeds, {low:.1%} to {high:.1%}"
    else:
        low, high = found[0].low, found[0].high
        seeds = f"1 seed, 95% interval {low:.1%} to {high:.1%}"
    rows = " or ".join(f"{n:,}" for n in sorted({summary.n for summary in found}))
    mean = group.mean() or 0.0
    text = f"{_row_name(group, False)}, {group.parameters:,} parameters: {mean:.1%} ({seeds}), n = {rows} rows each"
    return {
        "kind": group.kind,
        "family": group.first.architecture.family,
        "parameters": group.parameters,
        "accuracy": mean,
        "low": low,
        "high": high,
        "text": text,
    }


# --- learning curves --------------------------------------------------------------------------------------------------


def _curves_chart(curves: Sequence[Curve], sheet: _Sheet, width: int) -> alt.TopLevelMixin:
    """Accuracy over steps, a line for each run."""
    import altair as alt

    kinds = [kind for kind in KINDS if any(curve.kind == kind for curve in curves)]
    labels = {kind: next(curve.label for curve in curves if curve.kind == kind) for kind in kinds}
    legend = _legend(kinds, labels, width)
    data = sheet.chart([row for curve in curves for row in _curve_rows(curve)])
    last = max(step for curve in curves for step, _, _ in curve.points)
    steps = alt.Axis(format=",d", tickCount=6 if width == WIDE else 3)
    x = alt.X("step:Q", title="training step", scale=alt.Scale(domain=[0, last], nice=False), axis=steps)
    starts = sorted({step for curve in curves for step in curve.stages if 0 < step < last})
    stages = sheet.chart([{"step": step} for step in starts])
    layers = [
        _learned_rule("y"),
        stages.mark_rule(strokeWidth=1.5, color=_QUIET, strokeDash=[1, 3], aria=False).encode(x=x),
        data.mark_line(strokeWidth=2, aria=False).encode(
            x=x, y=_share_y("accuracy"), color=_kind_colour(legend), strokeDash=_kind_dash(), detail="run:N"
        ),
        data.mark_point(filled=True, size=26, opacity=1).encode(
            x=x, y=_share_y("accuracy"), color=_kind_colour(legend), shape=_kind_shape(legend), description="text:N"
        ),
    ]
    return alt.layer(*layers).properties(width=width - 62, height=260 if width == WIDE else 210)


def _curve_rows(curve: Curve) -> list[dict[str, Any]]:
    run = curve.label if curve.seed is None else f"{curve.label}, seed {curve.seed}"
    rows = []
    for step, correct, n in curve.points:
        summary = Summary.of(correct, n)
        text = f"{run}, step {step:,}: {spell(summary)}"
        rows.append({"run": run, "kind": curve.kind, "step": step, "accuracy": summary.accuracy, "text": text})
    return rows


# --- parts of charts --------------------------------------------------------------------------------------------------


def _share_axis(*, labels: bool = True) -> alt.Axis:
    import altair as alt

    return alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], labels=labels, ticks=labels)


def _share_x(title: str | None, field: str, *, labels: bool) -> alt.X:
    import altair as alt

    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=_share_axis(labels=labels))


def _share_y(field: str) -> alt.Y:
    import altair as alt

    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=_share_axis())


def _learned_rule(direction: str) -> alt.Chart:
    import altair as alt

    data = alt.Chart(alt.Data(values=[{"learned": LEARNED}]))
    return data.mark_rule(strokeDash=[4, 3], color=_QUIET, aria=False).encode(**{direction: "learned:Q"})


def _panel_title(text: str) -> alt.TitleParams:
    import altair as alt

    return alt.TitleParams(text, anchor="start", frame="group", fontSize=13, fontWeight="bold", color=_INK, offset=6)


def _legend(kinds: Sequence[str], labels: dict[str, str], width: int) -> alt.Legend:
    import altair as alt

    spelt = json.dumps({kind: labels[kind] for kind in kinds})
    longest = max(len(labels[kind]) for kind in kinds) * 7 + 30
    return alt.Legend(
        title=None,
        orient="top",
        values=list(kinds),
        labelExpr=f"({spelt})[datum.value]",
        labelLimit=width - 60,
        columns=max(1, min(len(kinds), width // longest)),
        symbolStrokeWidth=0,
        symbolOpacity=1,
    )


def _kind_colour(legend: alt.Legend | None = None) -> alt.Color:
    import altair as alt

    return alt.Color("kind:N", scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())), legend=legend)


def _kind_shape(legend: alt.Legend | None = None) -> alt.Shape:
    import altair as alt

    return alt.Shape("kind:N", scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())), legend=legend)


def _kind_dash() -> alt.StrokeDash:
    import altair as alt

    return alt.StrokeDash("kind:N", scale=alt.Scale(domain=list(DASHES), range=list(DASHES.values())), legend=None)


# --- drawing ----------------------------------------------------------------------------------------------------------


def _figure(name: str, title: str, caption: str, chart: Callable[[_Sheet, int], alt.TopLevelMixin]) -> Figure:
    wide, narrow = (_draw(chart, width, f"{name}-{width}", title) for width in (WIDE, NARROW))
    return Figure(name, title, caption, wide, narrow)


def _draw(chart: Callable[[_Sheet, int], alt.TopLevelMixin], width: int, prefix: str, title: str) -> str:
    import vl_convert

    sheet = _Sheet()
    size = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    text = size | {"labelColor": _INK, "titleColor": _INK}
    styled = (
        chart(sheet, width)
        .configure(font="Helvetica, Arial, sans-serif", background="white", padding=4)
        .configure_axis(**text, gridColor=_GRID, domainColor=_AXIS, tickColor=_AXIS)
        .configure_legend(**text)
        .configure_view(stroke=None)
    )
    svg: str = vl_convert.vegalite_to_svg(styled.to_dict() | {"datasets": sheet.datasets})
    return _embeddable(svg, prefix, title)


def _embeddable(svg: str, prefix: str, title: str) -> str:
    """The drawing with ids of its own, since several stand in one page, and numbers as long as the eye needs them."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r'( (?:d|transform|x|y|x1|x2|y1|y2|width|height)="[^"]*")', _shorten, svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def _shorten(attribute: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[1])
