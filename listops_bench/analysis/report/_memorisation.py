"""Figures of memorisation: the operation tables of two and three numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from listops_bench._base.extras import needs
from listops_bench.analysis.memorisation import OperationTable
from listops_bench.analysis.report._style import ORANGE, PALE, WRONG, number_axis, short_title
from listops_bench.pages.chart import INK, WIDTH, Sheet

with needs("board"):
    import altair as alt


def pairs_chart(tables: Sequence[OperationTable], sheet: Sheet) -> alt.TopLevelMixin:
    return alt.concat(*(_pairs_panel(sheet, table, 230) for table in tables), columns=2, spacing=16)


def _pairs_panel(sheet: Sheet, table: OperationTable, size: int) -> alt.LayerChart:
    assert table.pairs is not None
    expected, correct, name = table.pairs.expected, table.pairs.correct, table.operation.upper()
    rows = [
        {
            "a": a, "b": b, "answer": "–" if value < 0 else str(value),
            "fill": PALE if value == expected[a, b] else ORANGE,
            "text": f"{name} {a} {b}: the model says {'no number' if value < 0 else value}, it is {expected[a, b]}",
        }
        for (a, b), value in np.ndenumerate(table.pairs.predicted)
    ]  # fmt: skip
    data = sheet.chart(rows)
    x, y = (
        channel(field, title=title, axis=number_axis())
        for channel, field, title in ((alt.X, "b:O", "second number"), (alt.Y, "a:O", "first number"))
    )
    colour = alt.Color("fill:N", scale=None)
    layers = [data.mark_rect(stroke="white", strokeWidth=1).encode(x=x, y=y, color=colour, description="text:N")]
    if size / table.modulus >= 15:
        layers.append(data.mark_text(fontSize=11, color=INK, aria=False).encode(x=x, y=y, text="answer:N"))
    title = short_title(f"{name}: {correct.correct} of {correct.n} right", size)
    return alt.layer(*layers).properties(width=size, height=size, title=title)


def triples_chart(tables: Sequence[OperationTable], sheet: Sheet) -> alt.TopLevelMixin:
    return alt.vconcat(*(_triples_panel(sheet, table, last=table is tables[-1]) for table in tables), spacing=10)


def _triples_panel(sheet: Sheet, table: OperationTable, *, last: bool) -> alt.LayerChart:
    assert table.triples is not None
    triples, name, width = table.triples, table.operation.upper(), WIDTH - 60
    columns = {pair: place for place, pair in enumerate(
        (a, b) for a in range(table.modulus) for b in range(a, table.modulus)
    )}  # fmt: skip
    rows = [
        {
            "x": columns[a, b], "x2": columns[a, b] + 1, "y": c - 0.5, "y2": c + 0.5,
            "wrong": round(1 - correct / asked, 3), "held_out": bool(out),
            "text": f"{name} of {a}, {b}, {c}{' (held out)' if out else ''}: {correct} of {asked} orders right",
        }
        for (a, b, c), out, asked, correct in zip(
            triples.multisets.tolist(), triples.held_out, triples.asked, triples.correct, strict=True
        )
    ]  # fmt: skip
    starts = [columns[a, a] for a in range(table.modulus)]
    across = alt.Axis(values=starts, labelExpr=f"'' + indexof({starts}, datum.value)", grid=False, labelAlign="left")
    title = "smallest, then middle number" if last else None
    at = {
        "x": alt.X("x:Q", title=title, scale=alt.Scale(domain=[0, len(columns)], nice=False), axis=across),
        "x2": "x2:Q",
        "y": alt.Y(
            "y:Q",
            title="largest",
            scale=alt.Scale(domain=[-0.5, table.modulus - 0.5], nice=False),
            axis=alt.Axis(values=list(range(0, table.modulus, 2)), format="d", grid=False),
        ),
        "y2": "y2:Q",
    }
    legend = alt.Legend(
        title="orders answered wrongly", orient="top", format="%", gradientLength=120, values=[0, 0.5, 1]
    )
    scale = alt.Scale(domain=[0, 1], range=[PALE, WRONG], interpolate="rgb")
    cells = sheet.chart(rows).mark_rect(stroke="white", strokeWidth=0.6)
    frames = sheet.chart(row for row in rows if row["held_out"]).mark_rect(
        filled=False, stroke=INK, strokeWidth=1.6 if width / len(columns) > 8 else 1, aria=False
    )
    seen, out = triples.known(held_out=False), triples.known(held_out=True)
    words = f"{name}: {seen.correct} of {seen.n} seen known, {out.correct} of {out.n} held out"
    return alt.layer(
        cells.encode(color=alt.Color("wrong:Q", scale=scale, legend=legend), description="text:N", **at),
        frames.encode(**at),
    ).properties(width=width, height=14 * table.modulus, title=short_title(words, width))
