"""What all figures of the board share: colours, axes, and how Vega-Lite draws them.

Each figure is made twice, for wide pages and for telephones. Every mark carries its numbers, n included, as a text that
the page shows beside the pointer and that screen readers speak.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from listops_bench.result.learned import LEARNED
from listops_bench.stats.intervals import Summary

if TYPE_CHECKING:
    import altair as alt

WIDE, NARROW = 840, 330
"""Widths of the two drawings, in CSS pixels; the page shows the second where there is no room for the first."""

# Okabe and Ito's colours (Color Universal Design, 2008), which colour-blind readers tell apart; shapes and dashes say
# the same once more.
COLOURS = {"alone": "#d55e00", "joint": "#0072b2", "transfer": "#009e73", "other": "#6b6b6b"}
SHAPES = {"alone": "circle", "joint": "square", "transfer": "triangle-up", "other": "diamond"}
DASHES = {"alone": [2, 2], "joint": [7, 3], "transfer": [1, 0], "other": [6, 2, 2, 2]}

INK, QUIET, GRID, AXIS = "#1d2329", "#5b6570", "#e6e9ec", "#9aa3ab"


@dataclass(frozen=True)
class Figure:
    """A drawing in both widths, as SVG text, and what stands above and below it; of one family, or of all (None)."""

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    family: str | None = None


def png(svg: str) -> bytes:
    """A figure as a picture, twice as large for sharp screens."""
    import vl_convert

    content: bytes = vl_convert.svg_to_png(svg, scale=2)
    return content


def spell(summary: Summary) -> str:
    """``97.8% (95% interval 97.4 to 98.2%), n = 5,000``."""
    return f"{summary.accuracy:.1%} (95% interval {100 * summary.low:.1f} to {summary.high:.1%}), n = {summary.n:,}"


class Sheet:
    """The rows that a drawing is made from, kept beside its charts: inside them, altair would copy and check each."""

    def __init__(self) -> None:
        self.datasets: dict[str, list[dict[str, Any]]] = {}

    def rows(self, rows: list[dict[str, Any]]) -> alt.NamedData:
        import altair as alt

        name = f"rows_{len(self.datasets)}"
        self.datasets[name] = rows
        return alt.NamedData(name)

    def chart(self, rows: list[dict[str, Any]]) -> alt.Chart:
        import altair as alt

        return alt.Chart(self.rows(rows))


# --- parts of charts --------------------------------------------------------------------------------------------------


def share_axis(*, labels: bool = True) -> alt.Axis:
    import altair as alt

    return alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], labels=labels, ticks=labels)


def share_x(title: str | None, field: str, *, labels: bool) -> alt.X:
    import altair as alt

    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=share_axis(labels=labels))


def share_y(field: str) -> alt.Y:
    import altair as alt

    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=share_axis())


def learned_rule(direction: str) -> alt.Chart:
    import altair as alt

    data = alt.Chart(alt.Data(values=[{"learned": LEARNED}]))
    return data.mark_rule(strokeDash=[4, 3], color=QUIET, aria=False).encode(**{direction: "learned:Q"})


def size_x(sizes: Sequence[int], title: str | None = "parameters") -> alt.X:
    """Parameters along a logarithmic axis with ticks at powers of ten, or at the sizes where there are few."""
    import altair as alt

    scale = alt.Scale(type="log", domain=[min(sizes) / 1.25, max(sizes) * 1.25], nice=False)
    ticks = sorted(set(sizes)) if len(set(sizes)) <= 3 else [10**k for k in range(2, 10)]
    return alt.X("parameters:Q", title=title, scale=scale, axis=alt.Axis(format=".2~s", values=ticks))


def panel_header(field: str, order: Sequence[str]) -> alt.Facet:
    """A panel for each value, in this order, with the value above it."""
    import altair as alt

    header = alt.Header(labelAnchor="start", labelFontSize=13, labelFontWeight="bold", labelColor=INK, labelPadding=4)
    return alt.Facet(f"{field}:N", title=None, sort=list(order), header=header)


def panel_title(text: str) -> alt.TitleParams:
    import altair as alt

    return alt.TitleParams(text, anchor="start", frame="group", fontSize=13, fontWeight="bold", color=INK, offset=6)


def make_legend(kinds: Sequence[str], labels: dict[str, str], width: int) -> alt.Legend:
    import altair as alt

    spelt = json.dumps({kind: labels[kind] for kind in kinds})
    longest = max(len(labels[kind]) for kind in kinds) * 7 + 50
    return alt.Legend(
        title=None,
        orient="top",
        values=list(kinds),
        labelExpr=f"({spelt})[datum.value]",
        labelLimit=width - 60,
        columns=max(1, min(len(kinds), width // longest)),
        columnPadding=28,  # the page's font may be wider than the one that the drawing was measured with
        symbolStrokeWidth=0,
        symbolOpacity=1,
    )


def kind_colour(legend: alt.Legend | None = None) -> alt.Color:
    import altair as alt

    return alt.Color("kind:N", scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())), legend=legend)


def kind_shape(legend: alt.Legend | None = None) -> alt.Shape:
    import altair as alt

    return alt.Shape("kind:N", scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())), legend=legend)


def kind_dash() -> alt.StrokeDash:
    import altair as alt

    return alt.StrokeDash("kind:N", scale=alt.Scale(domain=list(DASHES), range=list(DASHES.values())), legend=None)


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw_figure(
    name: str, title: str, caption: str, chart: Callable[[Sheet, int], alt.TopLevelMixin], family: str | None = None
) -> Figure:
    """Both drawings of a chart, which is made for a width."""
    wide, narrow = (_draw(chart, width, f"{name}-{width}", title) for width in (WIDE, NARROW))
    return Figure(name, title, caption, wide, narrow, family)


def _draw(chart: Callable[[Sheet, int], alt.TopLevelMixin], width: int, prefix: str, title: str) -> str:
    import vl_convert

    sheet = Sheet()
    size = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    text = size | {"labelColor": INK, "titleColor": INK}
    styled = (
        chart(sheet, width)
        .configure(font="Helvetica, Arial, sans-serif", background="white", padding=4)
        .configure_axis(**text, gridColor=GRID, domainColor=AXIS, tickColor=AXIS)
        .configure_legend(**text)
        .configure_view(stroke=None)
    )
    svg: str = vl_convert.vegalite_to_svg(styled.to_dict(validate=False) | {"datasets": sheet.datasets})
    return _embeddable(svg, prefix, title)


def _embeddable(svg: str, prefix: str, title: str) -> str:
    """The drawing with ids of its own and no classes, as it stands in a page, and numbers as long as the eye needs."""
    svg = re.sub(r' class="[^"]*"', "", svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    svg = re.sub(r'( (?:d|transform|x|y|x1|x2|y1|y2|width|height)="[^"]*")', _shorten, svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def _shorten(attribute: re.Match[str]) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[1])
