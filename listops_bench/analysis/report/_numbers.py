"""Figures of a representation: axes, chance, waves, similarities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from listops_bench.analysis.embedding import Representation, Statistic
from listops_bench.analysis.report._style import BLUE, GREY, INK, ORANGE, PALE, level_axis, p_text, short_title
from listops_bench.pages.chart import WIDTH, Sheet, panel_title

if TYPE_CHECKING:
    import altair as alt


def axes_chart(panels: Sequence[tuple[str, Representation]], sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    columns = 2 if len(panels) in (2, 4) else 3
    inner = min(230, (WIDTH - 12) // columns - 30)
    charts = [_axes_panel(name, of, sheet, inner) for name, of in panels]
    return alt.concat(*charts, columns=columns, spacing={"row": 14, "column": 10})


def _axes_panel(name: str, of: Representation, sheet: Sheet, size: int) -> alt.LayerChart:
    import altair as alt

    rows = _axes_rows(name, of)
    data = sheet.chart(rows)
    reach = 1.18 * max(max(abs(row["x"]), abs(row["y"])) for row in rows) or 1.0
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    shares = [*of.components.shares, 0.0, 0.0]
    axis = alt.Axis(labels=False, ticks=False, values=[0], domain=False, titlePadding=2)
    x = alt.X("x:Q", title=f"axis 1: {shares[0]:.0%} of variance", scale=scale, axis=axis)
    y = alt.Y("y:Q", title=f"axis 2: {shares[1]:.0%}", scale=scale, axis=axis)
    parity = ["even", "odd"]
    small = len(rows) > 12
    return alt.layer(
        data.mark_line(color=GREY, strokeWidth=1.2, aria=False).encode(x=x, y=y, order="number:Q"),
        data.mark_point(filled=True, size=150 if small else 210, opacity=1).encode(
            x=x,
            y=y,
            color=alt.Color("parity:N", scale=alt.Scale(domain=parity, range=[BLUE, ORANGE]), legend=None),
            shape=alt.Shape("parity:N", scale=alt.Scale(domain=parity, range=["circle", "square"]), legend=None),
            description="text:N",
        ),
        data.mark_text(fontSize=8 if small else 10, fontWeight="bold", aria=False).encode(
            x=x,
            y=y,
            text="label:N",
            color=alt.Color("ink:N", scale=None),
        ),
    ).properties(width=size, height=size, title=short_title(name, size))


def _axes_rows(name: str, of: Representation) -> list[dict[str, Any]]:
    points = np.zeros((len(of.components.coordinates), 2))
    points[:, : min(2, of.components.coordinates.shape[1])] = of.components.coordinates[:, :2]
    if of.order.correlations[0] < 0:
        points[:, 0] *= -1
    return [
        {
            "number": number, "x": round(float(x), 4), "y": round(float(y), 4), "label": str(number),
            "parity": "odd" if number % 2 else "even", "ink": INK if number % 2 else "#ffffff",
            "text": f"{name}: {number} at {x:.2f}, {y:.2f}",
        }
        for number, (x, y) in enumerate(points)
    ]  # fmt: skip


def chance_chart(places: Sequence[tuple[str, Representation]], sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    order = [(name, of.order.regression) for name, of in places]
    parity = [(name, of.parity) for name, of in places]
    panels = [
        _chance_panel("Order", "rank correlation of predictions", order, (-1, 1), sheet),
        _chance_panel("Parity", "told right", parity, (0, 1), sheet),
    ]
    return alt.vconcat(*panels)


def _chance_panel(
    title: str,
    measure: str,
    rows: Sequence[tuple[str, Statistic]],
    domain: tuple[int, int],
    sheet: Sheet,
) -> alt.LayerChart:
    import altair as alt

    inner = WIDTH - 220
    data = sheet.chart([_chance_row(title, measure, name, statistic) for name, statistic in rows])
    scale = alt.Scale(domain=list(domain))
    x = alt.X("value:Q", title=measure, scale=scale, axis=level_axis(domain[0] == 0))
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=125, ticks=False, domain=False, labelPadding=7))
    return alt.layer(
        data.mark_bar(height=11, color=PALE, stroke=GREY, strokeWidth=1, aria=False).encode(
            x=alt.X("low:Q", title=measure, scale=scale), x2="high:Q", y=y
        ),
        data.mark_tick(thickness=2, size=11, color=INK, opacity=0.6, aria=False).encode(x=alt.X("chance:Q"), y=y),
        data.mark_point(filled=True, size=70, color=BLUE, opacity=1).encode(x=x, y=y, description="text:N"),
        data.mark_text(align="left", fontSize=11, aria=False).encode(
            x=alt.value(inner + 8), y=y, text="p:N", color=alt.value(INK)
        ),
    ).properties(width=inner, height=26 * len(rows), title=panel_title(title))


def _chance_row(title: str, measure: str, name: str, statistic: Statistic) -> dict[str, Any]:
    low, high = np.quantile(statistic.null, (0.05, 0.95))
    return {
        "name": name, "value": statistic.value, "low": float(low), "high": float(high), "chance": statistic.chance,
        "p": p_text(statistic.p),
        "text": f"{title} of {name}: {statistic.value:.2f} {measure}; exchanged names {statistic.chance:.2f} on "
        f"average, {p_text(statistic.p)}; random vectors {statistic.control:.2f}",
    }  # fmt: skip


def waves_chart(of: Representation, sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    waves = of.waves
    rows = [
        {
            "frequency": int(f), "share": float(share), "high": float(high), "line": float(line),
            "text": f"frequency {f}: {share:.1%} of the variance, {expected:.1%} expected, {high:.1%} at the 95th "
            "percentile",
        }
        for f, share, high, line, expected in zip(
            waves.frequencies, waves.shares, waves.high, waves.line, waves.expected, strict=True
        )
    ]  # fmt: skip
    data = sheet.chart(rows)
    top = float(max(waves.shares.max(), waves.line.max(), waves.high.max()))
    x = alt.X("frequency:O", title="frequency", axis=alt.Axis(labelAngle=0))
    axis = alt.Axis(format="%", tickCount=4)
    y = alt.Y("share:Q", title="share of variance", scale=alt.Scale(domain=[0, top]), axis=axis)
    step = max(6, min(46, (WIDTH - 90) // len(rows)))
    return alt.layer(
        data.mark_bar(color=BLUE, size=step * 0.6).encode(x=x, y=y, description="text:N"),
        data.mark_tick(color=INK, thickness=2, size=step * 0.8, aria=False).encode(x=x, y="high:Q"),
        data.mark_point(
            shape="diamond", filled=True, color=ORANGE, stroke=INK, strokeWidth=1, size=60, opacity=1
        ).encode(x=x, y="line:Q"),
    ).properties(width=step * len(rows), height=180)


def cosine_chart(places: Sequence[tuple[str, Representation]], sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    columns = 2 if len(places) in (2, 4) else 3
    inner = min(190, (WIDTH - 90) // columns - 30)
    scale = alt.Scale(domain=[-1, 0, 1], range=[ORANGE, "#ffffff", BLUE], interpolate="rgb")
    legend = alt.Legend(title="cosine", orient="right", format=".1f", gradientLength=110)
    panels = []
    for name, of in places:
        rows = [
            {"a": i, "b": j, "cosine": round(float(value), 3), "text": f"{name}: cosine of {i} and {j}: {value:.2f}"}
            for (i, j), value in np.ndenumerate(of.cosine)
        ]
        axis = alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False, labelPadding=7)
        chart = sheet.chart(rows).mark_rect(aria=False)
        panels.append(
            chart.encode(
                x=alt.X("b:O", title=None, axis=axis),
                y=alt.Y("a:O", title=None, axis=axis),
                color=alt.Color("cosine:Q", scale=scale, legend=legend),
            ).properties(width=inner, height=inner, title=short_title(name, inner))
        )
    return alt.concat(*panels, columns=columns, spacing=10)
