"""The board's figures of accuracy: every run, accuracy against size, learning curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from listops_bench._base.extras import needs
from listops_bench._base.text import count
from listops_bench.leaderboard._learned_figure import learned_figure, partners_figure
from listops_bench.leaderboard._threshold_figures import (
    difficulty_figure,
    draw,
    shares_figure,
    threshold_figure,
    time_figure,
)
from listops_bench.leaderboard.board import Board, family_order
from listops_bench.leaderboard.groups import Group
from listops_bench.pages import chart
from listops_bench.pages.chart import Figure, Rows, Sheet
from listops_bench.stats.intervals import Summary, mean_interval
from listops_bench.tasks.training_kinds import KINDS

with needs("board"):
    import altair as alt

_NAMES, _MEANS = 240, 58  # pixels for the names of rows, at most, and for their means
_BESIDE = 1.05  # in size, between two ways of training
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


def figures(board: Board, curves: Sequence[Curve] = (), curves_title: str = "Learning curves") -> list[Figure]:
    """The figures that say something about these results: none is drawn of nothing."""
    groups = [group for group in board.rows if group.mean() is not None]
    found = [
        learned_figure(board),
        partners_figure(board),
        difficulty_figure(board),
        threshold_figure(board),
        shares_figure(board),
        _runs_figure(groups),
    ]
    found += [*_sizes_figures(groups), time_figure(board)]
    if logged := [curve for curve in curves if curve.points]:
        found.append(draw("curves", partial(_curves_chart, logged), title=curves_title))
    return [figure for figure in found if figure is not None]


# --- every run --------------------------------------------------------------------------------------------------------

Panels = dict[str, list[tuple[str, Group]]]
"""By title, the named rows of a panel."""


def _runs_figure(groups: Sequence[Group]) -> Figure | None:
    """Every run of a small board; of a large one, those on the task that most curricula were scored on."""
    if 0 < len(groups) <= _MOST_GROUPS:
        return draw("runs", partial(_runs_chart, _by_task(groups)))
    curricula = Counter(task for task, _ in dict.fromkeys((group.task, group.curriculum) for group in groups))
    task = max(curricula, key=lambda name: curricula[name], default="")
    compared = [group for group in groups if group.task == task]
    if not 1 < len(compared) <= _MOST_GROUPS:
        return None
    return draw("runs of one task", partial(_runs_chart, _by_model(compared)), "runs", task=task)


def _by_task(groups: Sequence[Group]) -> Panels:
    one_model = len({group.model for group in groups}) == 1
    panels = {}
    for task in dict.fromkeys(group.task for group in groups):
        own = [group for group in groups if group.task == task]
        names = [group.plan if one_model else f"{group.model}: {group.plan}" for group in own]
        panels[f"Scored on {task}, after training on"] = _told_apart(names, own)
    return panels


def _by_model(groups: Sequence[Group]) -> Panels:
    panels = {}
    for size, model in sorted({(group.parameters, group.model) for group in groups}):
        own = [group for group in groups if group.model == model]
        names = [f"{group.plan}, {group.budget:,} steps" for group in own]
        panels[f"{model}: {size:,} parameters, trained on"] = _told_apart(names, own)
    return panels


def _told_apart(names: Sequence[str], groups: Sequence[Group]) -> list[tuple[str, Group]]:
    """Groups with names of their own: where a model learned one plan in two ways, the recipe tells them apart."""
    return [
        (name if names.count(name) == 1 else f"{name} ({group.first.track}, {group.first.recipe.id[-8:]})", group)
        for name, group in zip(names, groups, strict=True)
    ]


def _runs_chart(panels: Panels, sheet: Sheet) -> alt.TopLevelMixin:
    longest = max(len(name) for rows in panels.values() for name, _ in rows)
    names_width = min(_NAMES, 12 + 8 * longest)  # a reader's font may be wider than the one that this is measured with
    last = list(panels)[-1]
    charts = [_runs_panel(sheet, rows, title, names_width, axis=title == last) for title, rows in panels.items()]
    return alt.vconcat(*charts, spacing=12)


def _runs_panel(
    sheet: Sheet, groups: Sequence[tuple[str, Group]], title: str, names_width: int, *, axis: bool
) -> alt.LayerChart:
    """A row for each recipe, in it its seeds one below the other."""
    inner = chart.WIDTH - _MEANS - names_width
    runs = sheet.chart(row for name, group in groups for row in _seed_rows(name, group))
    means = sheet.chart(_mean_row(name, group) for name, group in groups)
    names = alt.Axis(
        labelLimit=names_width - 12, labelPadding=8, minExtent=names_width - 4, ticks=False, domain=False
    )  # fmt: skip
    title_x = "exact traces among the test rows" if axis else None
    x, low = chart.share_x(title_x, "accuracy", labels=axis), chart.share_x(title_x, "low", labels=axis)
    place = {
        "y": alt.Y("row:N", sort=None, title=None, axis=names),
        "yOffset": alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1, 1])),
        "color": chart.kind_colour(),
        "description": alt.Description("text:N"),
    }
    ink = {"x": alt.value(inner + 56), "text": "mean:N", "color": alt.value(chart.INK)}
    layers = [
        chart.learned_rule("x"),
        means.mark_tick(thickness=3, size=24, opacity=0.3).encode(x=x, **place),
        runs.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", **place),
        runs.mark_point(filled=True, size=46, opacity=1).encode(x=x, shape=chart.kind_shape(), **place),
        means.mark_text(align="right", fontSize=chart.FONT, aria=False).encode(**place | ink),
    ]
    return alt.layer(*layers).properties(width=inner, height=34 * len(groups), title=chart.panel_title(title))


def _seed_rows(name: str, group: Group) -> Rows:
    scored = group.scored
    return [
        {
            "row": name, "kind": group.kind, "offset": (place + 0.5) / len(scored) - 0.5,
            "accuracy": summary.accuracy, "low": summary.low, "high": summary.high,
            "text": f"{name}, {run.seed}: {summary}",
        }
        for place, (run, summary) in enumerate(scored)
    ]  # fmt: skip


def _mean_row(name: str, group: Group) -> dict[str, Any]:
    mean = group.mean() or 0.0
    text = f"{name}: {mean:.1%} is the mean of {count(len(group.summaries()), 'seed')}"
    return {"row": name, "kind": group.kind, "offset": 0, "accuracy": mean, "mean": f"{mean:.1%}", "text": text}


# --- accuracy against size --------------------------------------------------------------------------------------------


def _sizes_figures(groups: Sequence[Group]) -> list[Figure]:
    """Accuracy against size, a figure for each family that has several sizes."""
    families = sorted({group.first.architecture.family for group in groups}, key=family_order)
    drawn: list[Figure] = []
    for family in families:
        own = [group for group in groups if group.first.architecture.family == family]
        if len({group.parameters for group in own}) > 1:
            name = f"sizes-{len(drawn) + 1}" if drawn else "sizes"
            of = f": {family}" if len(families) > 1 else ""
            drawn.append(draw("sizes", partial(_sizes_chart, own), name, family, of=of))
    return drawn


def _sizes_chart(groups: Sequence[Group], sheet: Sheet) -> alt.TopLevelMixin:
    """Small multiples: a panel for each task, parameters along a logarithmic axis."""
    tasks = list(dict.fromkeys(group.task for group in groups))
    kinds = [kind for kind in KINDS if any(group.kind == kind for group in groups)]
    legend = chart.make_legend(kinds) if kinds[1:] else None
    data = sheet.rows(row for group in groups for row in _size_rows(group))
    x, y = chart.size_x([group.parameters for group in groups]), chart.share_y("accuracy")
    colour = chart.kind_colour(legend)
    low = chart.share_y("low")
    means = alt.Chart().transform_filter("datum.what == 'mean'")
    seeds = alt.Chart().transform_filter("datum.what == 'seed'")
    layers = [
        chart.learned_rule("y"),
        means.mark_line(strokeWidth=1.2, opacity=0.55, aria=False).encode(
            x=x, y=chart.share_y("mean(accuracy)"), color=colour, strokeDash=chart.kind_dash(), detail="curriculum:N"
        ),
        means.mark_rule(strokeWidth=1.2, opacity=0.6, aria=False).encode(x=x, y=low, y2="high:Q", color=colour),
        seeds.mark_point(filled=True, size=9, opacity=0.45, aria=False).encode(x=x, y=y, color=colour),
        means.mark_point(filled=True, size=34, opacity=1).encode(
            x=x, y=y, color=colour, shape=chart.kind_shape(legend), description="text:N"
        ),
    ]
    return chart.small_multiples(alt.layer(*layers), "task", tasks, data, height=120)


def _size_rows(group: Group) -> Rows:
    found, mean = group.summaries(), group.mean() or 0.0
    low, high = seed_interval(found)
    what = f"the mean of {len(found)} seeds" if len(found) > 1 else "one seed"
    over = "over the seeds" if len(found) > 1 else "over the rows"
    rows = " or ".join(f"{n:,}" for n in sorted({summary.n for summary in found}))
    text = (
        f"{group.model}: {group.plan}, {group.parameters:,} parameters: {mean:.1%}, {what} "
        f"(95% interval {over} {100 * low:.1f} to {high:.1%}), n = {rows} rows each; learned with {group.learned}"
    )
    beside = _BESIDE ** (list(KINDS).index(group.kind) - 1)  # of marks for one size, none hides another
    place = {"task": group.task, "kind": group.kind, "parameters": group.parameters * beside}
    place["curriculum"] = group.curriculum
    whole = {"what": "mean", "accuracy": mean, "low": low, "high": high, "text": text}
    each = [{"what": "seed", "accuracy": summary.accuracy} for summary in found] if len(found) > 1 else []
    return [place | row for row in (whole, *each)]


def seed_interval(found: Sequence[Summary]) -> tuple[float, float]:
    """The 95% interval of a mean over seeds by Student's t, within 0 and 1; of one seed, that over its rows."""
    if len(found) == 1:
        return found[0].low, found[0].high
    limits = mean_interval([summary.accuracy for summary in found])
    return (0.0, 1.0) if limits is None else (max(0.0, limits[0]), min(1.0, limits[1]))


# --- learning curves --------------------------------------------------------------------------------------------------


def _curves_chart(curves: Sequence[Curve], sheet: Sheet) -> alt.TopLevelMixin:
    """Accuracy over steps, a line for each run."""
    labels = {curve.kind: curve.label for curve in reversed(curves)}
    legend = chart.make_legend([kind for kind in KINDS if kind in labels], labels)
    data = sheet.chart(row for curve in curves for row in _curve_rows(curve))
    last = max(step for curve in curves for step, _, _ in curve.points)
    steps = alt.Axis(format=",d", tickCount=5)
    x = alt.X("step:Q", title="training step", scale=alt.Scale(domain=[0, last], nice=False), axis=steps)
    stages = sheet.chart(
        {"step": step} for step in sorted({s for curve in curves for s in curve.stages if 0 < s < last})
    )
    place = {"x": x, "y": chart.share_y("accuracy"), "color": chart.kind_colour(legend)}
    layers = [
        chart.learned_rule("y"),
        stages.mark_rule(strokeWidth=1.5, color=chart.QUIET, strokeDash=[1, 3], aria=False).encode(x=x),
        data.mark_line(strokeWidth=2, aria=False).encode(strokeDash=chart.kind_dash(), detail="run:N", **place),
        data.mark_point(filled=True, size=26, opacity=1).encode(
            shape=chart.kind_shape(legend), description="text:N", **place
        ),
    ]
    return alt.layer(*layers).properties(width=chart.WIDTH - 70, height=210)


def _curve_rows(curve: Curve) -> Rows:
    run = curve.label if curve.seed is None else f"{curve.label}, seed {curve.seed}"
    rows = []
    for step, correct, n in curve.points:
        summary = Summary.of(correct, n)
        text = f"{run}, step {step:,}: {summary}"
        rows.append({"run": run, "kind": curve.kind, "step": step, "accuracy": summary.accuracy, "text": text})
    return rows
