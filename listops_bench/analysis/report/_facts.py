"""Figures of memorisation and of training: operation tables, curves over the saved steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from listops_bench.analysis.embedding import Representation, Statistic
from listops_bench.analysis.memorisation import OperationTable
from listops_bench.analysis.report._style import BLUE, INK, ORANGE, PALE, WRONG, p_text, short_title
from listops_bench.analysis.study import Moment
from listops_bench.pages.chart import WIDTH, Sheet, panel_title

if TYPE_CHECKING:
    import altair as alt


def pairs_chart(tables: Sequence[OperationTable], sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    columns = min(len(tables), 2)
    inner = min(250, (WIDTH - 20) // columns - 40)
    panels = [_pairs_panel(sheet, table, inner) for table in tables]
    return alt.concat(*panels, columns=columns, spacing=16)


def _pairs_panel(sheet: Sheet, table: OperationTable, inner: int) -> alt.LayerChart:
    import altair as alt

    assert table.pairs is not None
    told, truth, right = table.pairs.told, table.pairs.truth, table.pairs.right
    name = table.operation.upper()
    rows = [
        {
            "a": a, "b": b, "told": "–" if value < 0 else str(value), "fill": PALE if value == truth[a, b] else ORANGE,
            "text": f"{name} {a} {b}: the model says {'no number' if value < 0 else value}, it is {truth[a, b]}",
        }
        for (a, b), value in np.ndenumerate(told)
    ]  # fmt: skip
    data = sheet.chart(rows)
    axis = alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False, labelPadding=7)
    x, y = alt.X("b:O", title="second number", axis=axis), alt.Y("a:O", title="first number", axis=axis)
    layers = [
        data.mark_rect(stroke="white", strokeWidth=1).encode(
            x=x, y=y, color=alt.Color("fill:N", scale=None), description="text:N"
        )
    ]
    if inner / table.modulus >= 15:
        layers.append(data.mark_text(fontSize=10, color=INK, aria=False).encode(x=x, y=y, text="told:N"))
    title = f"{name}: {right.correct} of {right.n} right"
    return alt.layer(*layers).properties(width=inner, height=inner, title=short_title(title, inner))


def triples_chart(tables: Sequence[OperationTable], sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    panels = [_triples_panel(sheet, table, last=table is tables[-1]) for table in tables]
    return alt.vconcat(*panels, spacing=10)


def _triples_panel(sheet: Sheet, table: OperationTable, *, last: bool) -> alt.LayerChart:
    import altair as alt

    assert table.triples is not None
    triples, name = table.triples, table.operation.upper()
    columns = [(a, b) for a in range(table.modulus) for b in range(a, table.modulus)]
    width = WIDTH - 60
    step = width / len(columns)
    rows = [
        {
            "x": columns.index((a, b)), "x2": columns.index((a, b)) + 1, "y": c - 0.5, "y2": c + 0.5,
            "wrong": round(1 - right / asked, 3), "held_out": bool(out),
            "text": f"{name} of {a}, {b}, {c}{' (held out)' if out else ''}: {right} of {asked} orders right",
        }
        for (a, b, c), out, asked, right in zip(
            triples.multisets.tolist(), triples.held_out, triples.asked, triples.right, strict=True
        )
    ]  # fmt: skip
    scale = alt.Scale(domain=[0, 1], range=[PALE, WRONG], interpolate="rgb")
    legend = alt.Legend(
        title="orders answered wrongly", orient="top", format="%", gradientLength=120, values=[0, 0.5, 1]
    )
    across = alt.Scale(domain=[0, len(columns)], nice=False)
    up = alt.Scale(domain=[-0.5, table.modulus - 0.5], nice=False)
    starts = [columns.index((a, a)) for a in range(table.modulus)]
    spell = f"datum.value == 0 ? '0' : indexof({starts}, datum.value)"
    title = "smallest, then middle number" if last else None
    x = alt.X(
        "x:Q", title=title, scale=across, axis=alt.Axis(values=starts, labelExpr=spell, grid=False, labelAlign="left")
    )
    y = alt.Y(
        "y:Q", title="largest", scale=up, axis=alt.Axis(values=list(range(0, table.modulus, 2)), format="d", grid=False)
    )
    data = sheet.chart(rows)
    cells = data.mark_rect(stroke="white", strokeWidth=0.6).encode(
        x=x, x2="x2:Q", y=y, y2="y2:Q", color=alt.Color("wrong:Q", scale=scale, legend=legend), description="text:N"
    )
    outlined = sheet.chart([row for row in rows if row["held_out"]])
    frames = outlined.mark_rect(filled=False, stroke=INK, strokeWidth=1.6 if step > 8 else 1, aria=False).encode(
        x=x, x2="x2:Q", y=y, y2="y2:Q"
    )
    seen, out = triples.known(held_out=False), triples.known(held_out=True)
    words = f"{name}: {seen.correct} of {seen.n} seen known, {out.correct} of {out.n} held out"
    return alt.layer(cells, frames).properties(width=width, height=14 * table.modulus, title=short_title(words, width))


# --- over training ----------------------------------------------------------------------------------------------------


def dynamics_chart(moments: Sequence[Moment], sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    inner = WIDTH - 70
    last = max(moment.step for moment in moments)
    steps = alt.Axis(format=",d", tickCount=5)
    scale = alt.Scale(domain=[0, last], nice=False)
    last_x = alt.X("step:Q", title="training step", scale=scale, axis=steps)
    x = alt.X("step:Q", title=None, scale=scale, axis=steps)
    panels = [
        _accuracy_panel(moments, sheet, x),
        _structure_panel("order of the embedding", moments, sheet, x),
        _structure_panel("parity of the embedding", moments, sheet, last_x),
    ]
    return alt.vconcat(*(panel.properties(width=inner, height=110) for panel in panels), spacing=8)


_STRUCTURES: Mapping[str, tuple[Callable[[Representation], Statistic], tuple[float, float]]] = {
    "order of the embedding": (lambda of: of.order.regression, (-1.0, 1.0)),
    "parity of the embedding": (lambda of: of.parity, (0.0, 1.0)),
}


def _accuracy_panel(moments: Sequence[Moment], sheet: Sheet, x: alt.X) -> alt.LayerChart:
    import altair as alt

    rows = [
        {
            "step": moment.step, "operation": name.upper(), "accuracy": accuracy.exact.accuracy,
            "text": f"{name.upper()} at step {moment.step:,}: {accuracy.exact.accuracy:.1%} of {accuracy.exact.n} "
            "traces exact",
        }
        for moment in moments
        for name, accuracy in moment.accuracy.items()
    ]  # fmt: skip
    names = list(dict.fromkeys(row["operation"] for row in rows))
    palette = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", INK]
    shapes = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke"]
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1)
    colour = alt.Color("operation:N", scale=alt.Scale(domain=names, range=palette[: len(names)]), legend=legend)
    shape = alt.Shape("operation:N", scale=alt.Scale(domain=names, range=shapes[: len(names)]), legend=legend)
    axis = alt.Axis(format="%", values=[0, 0.5, 1])
    y = alt.Y("accuracy:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=axis)
    data = sheet.chart(rows)
    return alt.layer(
        data.mark_line(strokeWidth=1.6, aria=False).encode(x=x, y=y, color=colour),
        data.mark_point(filled=True, size=36, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="text:N"
        ),
    ).properties(title=panel_title("exact traces, validation rows"))


def _structure_panel(name: str, moments: Sequence[Moment], sheet: Sheet, x: alt.X) -> alt.LayerChart:
    import altair as alt

    get, domain = _STRUCTURES[name]
    rows = []
    for moment in moments:
        statistic = get(moment.embedding)
        high = float(np.quantile(statistic.null, 0.95))
        text = f"{name} at step {moment.step:,}: {statistic.value:.2f}, {p_text(statistic.p)}"
        rows.append({"step": moment.step, "value": statistic.value, "high": high, "text": text})
    data = sheet.chart(rows)
    axis = alt.Axis(format="%" if domain[0] == 0 else ".1f", tickCount=3)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=list(domain)), axis=axis)
    return alt.layer(
        data.mark_line(strokeDash=[4, 3], color=INK, opacity=0.6, aria=False).encode(
            x=x, y=alt.Y("high:Q", title=None)
        ),
        data.mark_line(strokeWidth=1.6, color=BLUE, aria=False).encode(x=x, y=y),
        data.mark_point(filled=True, size=36, opacity=1, color=BLUE).encode(x=x, y=y, description="text:N"),
    ).properties(title=panel_title(name))
