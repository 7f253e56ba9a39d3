"""The board's figures of accuracy: every run, accuracy against size, learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from listops_bench._base.text import count
from listops_bench.leaderboard._threshold_figures import threshold_figure, time_figure
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group
from listops_bench.pages.chart import (
    INK,
    QUIET,
    WIDE,
    Figure,
    Sheet,
    draw_figure,
    kind_colour,
    kind_dash,
    kind_shape,
    learned_rule,
    make_legend,
    panel_header,
    panel_title,
    share_x,
    share_y,
    size_x,
    spell,
)
from listops_bench.result.learned import LEARNED
from listops_bench.stats.intervals import Summary, mean_interval
from listops_bench.tasks.training_kinds import KINDS

if TYPE_CHECKING:
    import altair as alt

_NAMES, _LONG_NAMES, _MEANS = 190, 280, 58  # pixels for the names of rows, and for their means
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
    learned = f"at {LEARNED:.0%}, a task counts as learned."
    drawn = [figure for figure in (threshold_figure(board),) if figure is not None]
    runs = (
        "Each point is one run and each line its 95% interval over the test rows; the bar and the number at the right "
        f"are the mean over seeds. From the dashed line on, {learned}"
    )
    if 0 < len(groups) <= _MOST_GROUPS:
        drawn.append(draw_figure("runs", "Every run", runs, partial(_runs_chart, groups)))
    elif 1 < len(one := _most_compared(groups)) <= _MOST_GROUPS:
        caption = f"The task that most curricula were scored on, {one[0].task}. {runs}"
        title = f"Every run scored on {one[0].task}"
        drawn.append(draw_figure("runs", title, caption, partial(_one_task_chart, one)))
    drawn += _sizes_figures(groups, learned)
    drawn += [figure for figure in (time_figure(board),) if figure is not None]
    shown = [curve for curve in curves if curve.points]
    if shown:
        caption = f"Each line is one run. From the dashed line on, {learned}"
        if any(curve.stages for curve in shown):
            caption += " A dotted upright line marks the step at which a curriculum turns to its next stage."
        drawn.append(draw_figure("curves", curves_title, caption, partial(_curves_chart, shown)))
    return drawn


def _sizes_figures(groups: Sequence[Group], learned: str) -> list[Figure]:
    """Accuracy against size, a figure for each family that has several sizes."""
    caption = (
        "Each small point is one run, each large one the mean over the seeds of one recipe; upright lines are 95% "
        "intervals of the mean: over the seeds (Student's t) or, of a single seed, over the test rows. Lines join the "
        f"means of one curriculum. From the dashed line on, {learned}"
    )
    families = dict.fromkeys(g.first.architecture.family for g in sorted(groups, key=family_order))
    drawn: list[Figure] = []
    for family in families:
        own = [group for group in groups if group.first.architecture.family == family]
        if len({group.parameters for group in own}) > 1:
            title = "Accuracy against size" + (f": {family}" if len(families) > 1 else "")
            name = f"sizes-{len(drawn) + 1}" if drawn else "sizes"
            drawn.append(draw_figure(name, title, caption, partial(_sizes_chart, own), family=family))
    return drawn


# --- every run --------------------------------------------------------------------------------------------------------


def _runs_chart(groups: Sequence[Group], sheet: Sheet, width: int) -> alt.TopLevelMixin:
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


def _most_compared(groups: Sequence[Group]) -> list[Group]:
    """The groups of the task that most curricula were scored on; of several such tasks, of the first."""
    curricula: dict[str, set[str]] = {}
    for group in groups:
        curricula.setdefault(group.task, set()).add(group.curriculum)
    task = max(curricula, key=lambda name: len(curricula[name]), default=None)
    return [group for group in groups if group.task == task]


def _one_task_chart(groups: Sequence[Group], sheet: Sheet, width: int) -> alt.TopLevelMixin:
    """A panel for each model, in it a row for each recipe."""
    import altair as alt

    sizes = {group.model: group.parameters for group in groups}
    models = sorted(sizes, key=lambda model: (sizes[model], model))
    panels = []
    for model in models:
        own = [group for group in groups if group.model == model]
        rows = _told_apart([f"{group.plan}, {group.budget:,} steps" for group in own], own)
        title = f"{model}: {sizes[model]:,} parameters, trained on"
        panels.append(_runs_panel(sheet, rows, width, title=title, axis=model == models[-1], names_width=_LONG_NAMES))
    return alt.vconcat(*panels, spacing=14)


def _runs_panel(
    sheet: Sheet,
    groups: Sequence[tuple[str, Group]],
    width: int,
    *,
    title: str,
    axis: bool,
    names_width: int = _NAMES,
) -> alt.LayerChart:
    """Seeds one below the other in each row; the row's name stands left of it, on telephones above it."""
    import altair as alt

    narrow = width < WIDE
    inner = width - _MEANS - (12 if narrow else names_width)
    runs = sheet.chart([row for name, group in groups for row in _seed_rows(name, group)])
    means = sheet.chart([_mean_row(name, group) for name, group in groups])
    # Room for a wider font than the one that the drawing is measured with, as pages may have.
    room = 0 if narrow else min(names_width - 4, 8 + 8 * max(len(name) for name, _ in groups))
    names = alt.Axis(
        labels=not narrow, labelLimit=names_width - 12, labelPadding=8, minExtent=room, ticks=False, domain=False
    )
    title_x = "exact traces among the test rows" if axis else None
    x, low = share_x(title_x, "accuracy", labels=axis), share_x(title_x, "low", labels=axis)
    place = {
        "y": alt.Y("row:N", sort=None, title=None, axis=names),
        "yOffset": alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1.3, 0.8] if narrow else [-1, 1])),
        "color": kind_colour(),
        "description": alt.Description("text:N"),
    }
    plain = place | {"color": alt.value(INK)}
    layers = [
        learned_rule("x"),
        means.mark_tick(thickness=3, size=26, opacity=0.3).encode(x=x, **place),
        runs.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", **place),
        runs.mark_point(filled=True, size=52, opacity=1).encode(x=x, shape=kind_shape(), **place),
        means.mark_text(align="right", fontSize=12, aria=False).encode(x=alt.value(inner + 56), text="mean:N", **plain),
    ]
    if narrow:
        names_above = means.mark_text(align="left", dy=-19, fontSize=12, aria=False)
        layers.append(names_above.encode(x=alt.value(0), text="row:N", **plain))
    height = (50 if narrow else 36) * len(groups)
    return alt.layer(*layers).properties(width=inner, height=height, title=panel_title(title))


def _named(groups: Sequence[Group], one_model: bool) -> list[tuple[str, Group]]:
    return _told_apart([_row_name(group, one_model) for group in groups], groups)


def _told_apart(names: Sequence[str], groups: Sequence[Group]) -> list[tuple[str, Group]]:
    """Groups with names of their own: where a model learned one plan in two ways, the recipe tells them apart."""
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


def _sizes_chart(groups: Sequence[Group], sheet: Sheet, width: int) -> alt.TopLevelMixin:
    """Small multiples: a panel for each task, parameters along a logarithmic axis."""
    import altair as alt

    tasks = list(dict.fromkeys(group.task for group in groups))
    columns = min(len(tasks), 1 if width < WIDE else 3)
    kinds = [kind for kind in KINDS if any(group.kind == kind for group in groups)]
    words = {kind: f"trained {text}" for kind, text in KINDS.items()}
    legend = make_legend(kinds, words, width) if kinds[1:] else None
    data = sheet.rows([row for group in groups for row in _size_rows(group)])
    x, colour = size_x([group.parameters for group in groups]), kind_colour(legend)
    seeds = (
        _of("seed")
        .mark_point(filled=True, size=9, opacity=0.45, aria=False)
        .encode(x=x, y=share_y("accuracy"), color=colour)
    )
    along = (
        _of("mean")
        .mark_line(strokeWidth=1.2, opacity=0.55, aria=False)
        .encode(x=x, y=share_y("mean(accuracy)"), color=colour, strokeDash=kind_dash(), detail="curriculum:N")
    )
    spread = (
        _of("mean")
        .mark_rule(strokeWidth=1.2, opacity=0.6, aria=False)
        .encode(x=x, y=share_y("low"), y2="high:Q", color=colour)
    )
    means = (
        _of("mean")
        .mark_point(filled=True, size=34, opacity=1)
        .encode(x=x, y=share_y("accuracy"), color=colour, shape=kind_shape(legend), description="text:N")
    )
    inner = (width - 20) // columns - 46
    panel = alt.layer(learned_rule("y"), along, spread, seeds, means).properties(width=inner, height=150)
    return panel.facet(facet=panel_header("task", tasks), columns=columns, data=data, spacing=14).resolve_axis(
        x="independent", y="independent"
    )


def _of(what: str) -> alt.Chart:
    import altair as alt

    return alt.Chart().transform_filter(f"datum.what == '{what}'")


def _size_rows(group: Group) -> list[dict[str, Any]]:
    found, mean = group.summaries(), group.mean() or 0.0
    low, high = seed_interval(found)
    what = f"the mean of {len(found)} seeds" if len(found) > 1 else "one seed"
    over = "over the seeds" if len(found) > 1 else "over the rows"
    rows = " or ".join(f"{n:,}" for n in sorted({summary.n for summary in found}))
    text = (
        f"{_row_name(group, False)}, {group.parameters:,} parameters: {mean:.1%}, {what} "
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


def family_order(group: Group) -> tuple[bool, bool, str]:
    """The reference family first, the families that vary it after it."""
    family = group.first.architecture.family
    return family != "looped", not family.startswith("looped"), family


# --- learning curves --------------------------------------------------------------------------------------------------


def _curves_chart(curves: Sequence[Curve], sheet: Sheet, width: int) -> alt.TopLevelMixin:
    """Accuracy over steps, a line for each run."""
    import altair as alt

    kinds = [kind for kind in KINDS if any(curve.kind == kind for curve in curves)]
    labels = {kind: next(curve.label for curve in curves if curve.kind == kind) for kind in kinds}
    legend = make_legend(kinds, labels, width)
    data = sheet.chart([row for curve in curves for row in _curve_rows(curve)])
    last = max(step for curve in curves for step, _, _ in curve.points)
    steps = alt.Axis(format=",d", tickCount=6 if width == WIDE else 3)
    x = alt.X("step:Q", title="training step", scale=alt.Scale(domain=[0, last], nice=False), axis=steps)
    starts = sorted({step for curve in curves for step in curve.stages if 0 < step < last})
    stages = sheet.chart([{"step": step} for step in starts])
    layers = [
        learned_rule("y"),
        stages.mark_rule(strokeWidth=1.5, color=QUIET, strokeDash=[1, 3], aria=False).encode(x=x),
        data.mark_line(strokeWidth=2, aria=False).encode(
            x=x, y=share_y("accuracy"), color=kind_colour(legend), strokeDash=kind_dash(), detail="run:N"
        ),
        data.mark_point(filled=True, size=26, opacity=1).encode(
            x=x, y=share_y("accuracy"), color=kind_colour(legend), shape=kind_shape(legend), description="text:N"
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
