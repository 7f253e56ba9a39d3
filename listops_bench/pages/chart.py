"""What all figures share: colours, axes, and how Vega-Lite draws them.

A figure is one drawing that grows and shrinks with its page; its texts can still be read on a telephone. Every mark
carries its numbers, n included, as a text that the page shows beside the pointer and that screen readers speak.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from listops_bench._base.extras import needs
from listops_bench.result.learned import LEARNED
from listops_bench.tasks.training_kinds import KINDS

with needs("board"):
    import altair as alt
    import vl_convert

WIDTH = 560
"""Of a drawing, in its own pixels. Pages show it up to 45rem wide, telephones about 360 pixels."""
FONT = 13

# Okabe and Ito's colours (Color Universal Design, 2008), which colour-blind readers tell apart; shapes and dashes say
# the same once more.
COLOURS = {"alone": "#d55e00", "joint": "#0072b2", "transfer": "#009e73", "other": "#6b6b6b"}
SHAPES = {"alone": "circle", "joint": "square", "transfer": "triangle-up", "other": "diamond"}
DASHES = {"alone": [2, 2], "joint": [7, 3], "transfer": [1, 0], "other": [6, 2, 2, 2]}

INK, QUIET, GRID, AXIS = "#1d2329", "#5b6570", "#e6e9ec", "#9aa3ab"

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Figure:
    """A drawing, as SVG text, and what stands above and below it; of one family of models, or of all (None)."""

    name: str
    title: str
    caption: str
    svg: str
    family: str | None = None

    @property
    def width(self) -> int:
        """Of the drawing, in its own pixels."""
        return round(float(self.svg.partition(' width="')[2].partition('"')[0]))

    @property
    def png(self) -> bytes:
        """The same as a picture, twice as large for sharp screens."""
        content: bytes = vl_convert.svg_to_png(self.svg, scale=2)
        return content


class Sheet:
    """The rows that a drawing is made from, kept beside its charts: inside them, altair would copy and check each."""

    def __init__(self) -> None:
        self.datasets: dict[str, Rows] = {}

    def rows(self, rows: Iterable[dict[str, Any]]) -> alt.NamedData:
        name = f"rows_{len(self.datasets)}"
        self.datasets[name] = list(rows)
        return alt.NamedData(name)

    def chart(self, rows: Iterable[dict[str, Any]]) -> alt.Chart:
        return alt.Chart(self.rows(rows))


# --- parts of charts --------------------------------------------------------------------------------------------------


def share_axis(*, labels: bool = True, quarters: bool = True) -> alt.Axis:
    values = [0, 0.25, 0.5, 0.75, 1] if quarters else [0, 0.5, 1]
    return alt.Axis(format="%", values=values, labels=labels, ticks=labels)


def share_x(title: str | None, field: str, *, labels: bool) -> alt.X:
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=share_axis(labels=labels))


def share_y(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=share_axis(quarters=False))


def learned_rule(direction: str) -> alt.Chart:
    """The line from which on a task counts as learned."""
    data = alt.Chart(alt.Data(values=[{"learned": LEARNED}]))
    return data.mark_rule(strokeDash=[4, 3], color=QUIET, aria=False).encode(**{direction: "learned:Q"})


def size_x(sizes: Sequence[int], field: str = "parameters") -> alt.X:
    """Parameters along a logarithmic axis with ticks at 1, 3 and 10, or at the sizes where there are few."""
    scale = alt.Scale(type="log", domain=[min(sizes) / 1.25, max(sizes) * 1.25], nice=False)
    ticks = sorted(set(sizes)) if len(set(sizes)) <= 3 else [digit * 10**k for k in range(2, 10) for digit in (1, 3)]
    return alt.X(f"{field}:Q", title="parameters", scale=scale, axis=alt.Axis(format=".2~s", values=ticks))


def panel_title(text: str) -> alt.TitleParams:
    return alt.TitleParams(text, anchor="start", frame="group", fontSize=FONT, fontWeight="bold", color=INK, offset=6)


def make_legend(kinds: Sequence[str], labels: Mapping[str, str] = KINDS) -> alt.Legend:
    """The kinds of training above the drawing, in as many columns as fit."""
    spelt = json.dumps({kind: labels[kind] for kind in kinds})
    longest = max(len(labels[kind]) for kind in kinds) * 7 + 40
    return alt.Legend(
        title="trained" if labels is KINDS else None,
        titleOrient="left",
        titlePadding=12,
        orient="top",
        values=list(kinds),
        labelExpr=f"({spelt})[datum.value]",
        labelLimit=WIDTH - 60,
        columns=max(1, min(len(kinds), (WIDTH - 60) // longest)),
        columnPadding=20,  # the page's font may be wider than the one that the drawing was measured with
        symbolStrokeWidth=0,
        symbolOpacity=1,
    )


def kind_colour(legend: alt.Legend | None = None) -> alt.Color:
    return alt.Color("kind:N", scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())), legend=legend)


def kind_shape(legend: alt.Legend | None = None) -> alt.Shape:
    return alt.Shape("kind:N", scale=alt.Scale(domain=list(SHAPES), range=list(SHAPES.values())), legend=legend)


def kind_dash() -> alt.StrokeDash:
    return alt.StrokeDash("kind:N", scale=alt.Scale(domain=list(DASHES), range=list(DASHES.values())), legend=None)


def small_multiples(
    panel: alt.LayerChart, field: str, order: Sequence[str], data: alt.NamedData, height: int
) -> alt.FacetChart:
    """A panel for each value of a field, up to three beside each other, each with its own axes."""
    columns = min(len(order), 3)
    inner = (WIDTH - 20) // columns - 54
    header = alt.Header(
        labelAnchor="start", labelFontSize=FONT - 1, labelFontWeight="bold", labelColor=INK, labelPadding=4
    )
    facet = alt.Facet(f"{field}:N", title=None, sort=list(order), header=header)
    return (
        panel.properties(width=inner, height=height)
        .facet(facet=facet, columns=columns, data=data, spacing=12)
        .resolve_axis(x="independent", y="independent")
    )


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw_figure(
    name: str, title: str, caption: str, chart: Callable[[Sheet], alt.TopLevelMixin], family: str | None = None
) -> Figure:
    """Draws what a function makes of an empty sheet; it should be about `WIDTH` wide."""
    sheet = Sheet()
    text = {"labelFontSize": FONT, "titleFontSize": FONT, "titleFontWeight": "normal"}
    text |= {"labelColor": INK, "titleColor": INK}
    styled = (
        chart(sheet)
        .configure(font="Helvetica, Arial, sans-serif", background="white", padding=4)
        .configure_axis(**text, gridColor=GRID, domainColor=AXIS, tickColor=AXIS)
        .configure_legend(**text)
        .configure_view(stroke=None)
    )
    svg: str = vl_convert.vegalite_to_svg(styled.to_dict(validate=False) | {"datasets": sheet.datasets})
    return Figure(name, title, caption, _embeddable(svg, name, title), family)


def _embeddable(svg: str, prefix: str, title: str) -> str:
    """The drawing with ids of its own and no classes, as it stands in a page, and numbers as long as the eye needs."""
    svg = re.sub(r' class="[^"]*"', "", svg)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    numbers = r' (?:d|transform|x|y|x1|x2|y1|y2|width|height)="[^"]*"'
    svg = re.sub(numbers, lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)
