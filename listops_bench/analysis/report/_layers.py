"""Figures of reliance: what sublayers write, and what is left without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from listops_bench.analysis.anatomy import KINDS
from listops_bench.analysis.reliance import METHODS, Ablation, Accuracy, Reliance
from listops_bench.analysis.report._style import BLUE, INK, ORANGE, level_axis, short_title
from listops_bench.pages.chart import WIDTH, Sheet
from listops_bench.stats.intervals import Summary

if TYPE_CHECKING:
    import altair as alt

SUBLAYER_NAMES = {"attention": "attention", "feed_forward": "feed-forward"}


def _sublayer_colour(legend: alt.Legend | None = None) -> alt.Color:
    import altair as alt

    names = list(SUBLAYER_NAMES.values())
    return alt.Color("kind:N", scale=alt.Scale(domain=names, range=[BLUE, ORANGE]), legend=legend)


def norms_chart(of: Reliance, sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    rows = [
        {
            "name": f"{SUBLAYER_NAMES[norm.kind]}, {of.layer_word} {norm.layer + 1}", "kind": SUBLAYER_NAMES[norm.kind],
            "low": norm.low, "median": norm.median, "high": norm.high, "label": f"{norm.median:.2f}",
            "text": f"{SUBLAYER_NAMES[norm.kind]}, {of.layer_word} {norm.layer + 1}: median {norm.median:.2f}, "
            f"quartiles {norm.low:.2f} and {norm.high:.2f}",
        }
        for norm in of.norms
    ]  # fmt: skip
    data = sheet.chart(rows)
    inner = WIDTH - 215
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelPadding=7, labelLimit=165))
    scale = alt.Scale(domain=[0, max(0.1, *(norm.high for norm in of.norms))])
    x = alt.X("median:Q", title="|added| / |stream|", scale=scale, axis=alt.Axis(tickCount=5))
    return alt.layer(
        data.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title="|added| / |stream|", scale=scale), x2="high:Q", y=y, color=_sublayer_colour()
        ),
        data.mark_point(filled=True, size=70, opacity=1).encode(
            x=x, y=y, color=_sublayer_colour(), shape=_sublayer_shape(), description="text:N"
        ),
        data.mark_text(align="left", fontSize=11, aria=False).encode(
            x=alt.value(inner + 8), y=y, text="label:N", color=alt.value(INK)
        ),
    ).properties(width=inner, height=22 * len(rows))


def _sublayer_shape() -> alt.Shape:
    import altair as alt

    names = list(SUBLAYER_NAMES.values())
    return alt.Shape("kind:N", scale=alt.Scale(domain=names, range=["circle", "square"]), legend=None)


def ablations_chart(of: Reliance, sheet: Sheet) -> alt.TopLevelMixin:
    import altair as alt

    measures: dict[str, Callable[[Accuracy], Summary]] = {
        "whole trace": lambda accuracy: accuracy.exact,
        "last step": lambda accuracy: accuracy.last_step,
    }
    names = 150
    inner = (WIDTH - names) // 2 - 20
    panels = []
    for operation in of.intact:
        for place, (measure, get) in enumerate(measures.items()):
            rows = [_ablation_row(of, ablation, operation, measure, get) for ablation in of.ablations]
            labels = place == 0
            intact = get(of.intact[operation])
            title = f"{operation.upper()}, {measure} ({intact.accuracy:.0%})"
            panels.append(_ablation_panel(sheet, rows, intact, labels).properties(
                width=inner, height=19 * len(rows) // 2, title=short_title(title, inner)
            ))  # fmt: skip
    return alt.concat(*panels, columns=2, spacing={"row": 12, "column": 16})


def _ablation_panel(sheet: Sheet, rows: list[dict[str, Any]], intact: Summary, labels: bool) -> alt.LayerChart:
    import altair as alt

    data = sheet.chart(rows)
    whole = sheet.chart([{"accuracy": intact.accuracy}])
    axis = level_axis(True)
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("accuracy:Q", title=None, scale=scale, axis=axis)
    y = alt.Y(
        "name:N",
        sort=None,
        title=None,
        axis=alt.Axis(labels=labels, ticks=False, domain=False, labelPadding=7, labelLimit=145),
    )
    offset = alt.YOffset("method:N", scale=alt.Scale(domain=list(METHODS)))
    return alt.layer(
        whole.mark_rule(strokeDash=[4, 3], color=INK, opacity=0.7, aria=False).encode(x=x),
        data.mark_rule(strokeWidth=1.6).encode(
            x=alt.X("low:Q", title=None, scale=scale, axis=axis),
            x2="high:Q",
            y=y,
            yOffset=offset,
            color=_sublayer_colour(),
        ),
        data.mark_point(size=42, opacity=1, strokeWidth=1.6).encode(
            x=x,
            y=y,
            yOffset=offset,
            stroke=alt.Stroke("stroke:N", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            shape=_sublayer_shape(),
            description="text:N",
        ),
    )


def _ablation_row(
    of: Reliance, ablation: Ablation, operation: str, measure: str, get: Callable[[Accuracy], Summary]
) -> dict[str, Any]:
    summary = get(ablation.accuracy[operation])
    where = "all" if ablation.layer is None else f"{of.layer_word} {ablation.layer + 1}"
    kind, colour = SUBLAYER_NAMES[ablation.kind], (BLUE, ORANGE)[KINDS.index(ablation.kind)]
    return {
        "name": f"{kind}, {where}", "kind": kind, "method": ablation.method, "stroke": colour,
        "fill": colour if ablation.method == "mean" else "#ffffff",
        "accuracy": summary.accuracy, "low": summary.low, "high": summary.high,
        "text": f"{operation.upper()}, {measure}, without {kind} ({where}; {ablation.method}): {summary.accuracy:.1%} "
        f"({summary.low:.1%} to {summary.high:.1%}), n = {summary.n}",
    }  # fmt: skip
