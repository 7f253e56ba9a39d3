"""Figures that set checkpoints side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from listops_bench.analysis.anatomy import KINDS as SUBLAYERS
from listops_bench.analysis.comparison import Comparison, Group, Line
from listops_bench.analysis.embedding import Statistic
from listops_bench.analysis.report._layers import SUBLAYER_NAMES
from listops_bench.analysis.report._style import GREY, INK, PALE, level_axis, p_text, short_title
from listops_bench.pages.chart import WIDTH, Sheet, kind_colour, kind_shape

if TYPE_CHECKING:
    import altair as alt

_NAMES = 200


def group_name(group: Group, groups: Sequence[Group]) -> str:
    """The curriculum; with the model's name where there are several."""
    alone = len({other.architecture for other in groups}) == 1
    return group.plan if alone else f"{group.architecture}: {group.plan}"


def line_name(group: Group, line: Line) -> str:
    """One checkpoint of a group."""
    return f"{group.plan}, seed {line.analysis.seed}" if line.analysis.seed is not None else line.analysis.name


def compare_chart(groups: Sequence[Group], sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    panels = [
        _compare_panel("Order: rank correlation of predictions", "order", groups, (-1, 1), sheet),
        _compare_panel("Parity: told right", "parity", groups, (0, 1), sheet),
    ]
    return alt.vconcat(*panels, spacing=10)


def _compare_panel(
    title: str,
    field: str,
    groups: Sequence[Group],
    domain: tuple[int, int],
    sheet: Sheet,
) -> alt.LayerChart:
    import altair as alt

    inner = WIDTH - _NAMES - 90
    points, bands = [], []
    for group in groups:
        name = group_name(group, groups)
        pooled = np.concatenate([getattr(line, field).null for line in group.lines])
        low, high = np.quantile(pooled, (0.05, 0.95))
        label = p_text(getattr(group, f"{field}_p"))
        bands.append(
            {
                "name": name,
                "low": float(low),
                "high": float(high),
                "chance": float(pooled.mean()),
                "p": label,
                "offset": 0,
            }
        )
        for place, line in enumerate(group.lines):
            statistic: Statistic = getattr(line, field)
            text = f"{line_name(group, line)}: {field} {statistic.value:.2f}, alone {p_text(statistic.p)}"
            offset = (place + 0.5) / len(group.lines) - 0.5
            points.append({"name": name, "kind": group.kind, "value": statistic.value, "offset": offset, "text": text})
    scale = alt.Scale(domain=list(domain))
    axis = level_axis(domain[0] == 0)
    x = alt.X("value:Q", title=None, scale=scale, axis=axis)
    y = alt.Y(
        "name:N",
        sort=None,
        title=None,
        axis=alt.Axis(labels=True, ticks=False, domain=False, labelPadding=7, labelLimit=_NAMES),
    )
    offsets = alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1, 1]))
    band, point = sheet.chart(bands), sheet.chart(points)
    layers = [
        band.mark_bar(height=24, color=PALE, stroke=GREY, strokeWidth=1, aria=False).encode(
            x=alt.X("low:Q", title=None, scale=scale, axis=axis), x2="high:Q", y=y, yOffset=offsets
        ),
        band.mark_tick(thickness=2, size=24, color=INK, opacity=0.6, aria=False).encode(
            x=alt.X("chance:Q"), y=y, yOffset=offsets
        ),
        point.mark_point(filled=True, size=70, opacity=0.9).encode(
            x=x, y=y, yOffset=offsets, description="text:N", color=kind_colour(), shape=kind_shape()
        ),
        band.mark_text(align="left", fontSize=11, aria=False).encode(
            x=alt.value(inner + 8), y=y, yOffset=offsets, text="p:N", color=alt.value(INK)
        ),
    ]
    height = 46 * len(groups)
    return alt.layer(*layers).properties(width=inner, height=height, title=short_title(title, inner))


def left_chart(comparison: Comparison, sheet: Sheet) -> alt.TopLevelMixin:
    """A panel for each sublayer, in it a row for each curriculum."""
    import altair as alt

    of = comparison.lines[0].analysis.reliance
    layers = sorted({norm.layer for norm in of.norms})
    columns = min(3, len(layers))
    inner = (WIDTH - 150) // columns - 24
    height = 34 * len(comparison.groups)
    panels = []
    for kind in SUBLAYERS:
        for layer in layers:
            title = f"{SUBLAYER_NAMES[kind]}, {of.layer_word} {layer + 1}"
            rows = _left_rows(comparison, kind, layer)
            panel = _left_panel(sheet, rows, layer % columns == 0)
            panels.append(panel.properties(width=inner, height=height, title=short_title(title, inner)))
    return alt.concat(*panels, columns=columns, spacing={"row": 12, "column": 14})


def _left_rows(comparison: Comparison, kind: Any, layer: int) -> list[dict[str, Any]]:
    operation, rows = comparison.operation, []
    for group in comparison.groups:
        for place, line in enumerate(group.lines):
            of = line.analysis.reliance
            left = of.find(kind, layer, "mean").accuracy[operation].last_step
            intact = of.intact[operation].last_step
            rows.append({
                "name": group_name(group, comparison.groups), "kind": group.kind, "accuracy": left.accuracy,
                "intact": intact.accuracy, "offset": (place + 0.5) / len(group.lines) - 0.5,
                "text": f"{line_name(group, line)}: {left.accuracy:.1%} ({left.low:.1%} to {left.high:.1%}) of "
                f"{left.n} answers, {intact.accuracy:.1%} as it is",
            })  # fmt: skip
    return rows


def _left_panel(sheet: Sheet, rows: list[dict[str, Any]], labels: bool) -> alt.LayerChart:
    import altair as alt

    data = sheet.chart(rows)
    axis = level_axis(True)
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("accuracy:Q", title=None, scale=scale, axis=axis)
    y = alt.Y(
        "name:N",
        sort=None,
        title=None,
        axis=alt.Axis(labels=labels, ticks=False, domain=False, labelPadding=7, labelLimit=150),
    )
    offset = alt.YOffset("offset:Q", scale=alt.Scale(domain=[-0.9, 0.9]))
    colours = {"color": kind_colour(), "shape": kind_shape()}
    layers = [
        data.mark_rule(strokeWidth=1, opacity=0.5, aria=False).encode(
            x=x, x2="intact:Q", y=y, yOffset=offset, color=colours["color"]
        ),
        data.mark_point(filled=False, size=36, strokeWidth=1.2, opacity=0.8, aria=False).encode(
            x=alt.X("intact:Q", title=None, scale=scale, axis=axis), y=y, yOffset=offset, **colours
        ),
        data.mark_point(filled=True, size=46, opacity=1).encode(
            x=x, y=y, yOffset=offset, description="text:N", **colours
        ),
    ]
    return alt.layer(*layers)
