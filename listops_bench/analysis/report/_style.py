"""What the figures of a report share, and how its numbers and names are written.

Two colours of Okabe and Ito's palette, which colour-blind readers tell apart; a shape or a letter says the same once
more. Every mark carries its numbers as a text, for pointers and screen readers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from listops_bench._base.extras import needs
from listops_bench._base.text import p_text
from listops_bench.analysis.embedding import PermutationTest
from listops_bench.analysis.findings import CheckpointFindings, GroupFindings, SublayerKind
from listops_bench.pages.chart import INK, WIDTH, Sheet, panel_title, share_axis

with needs("board"):
    import altair as alt

PALE, WRONG = "#eef1f4", "#d55e00"
BLUE, ORANGE, GREY = "#0072b2", "#e69f00", "#c9d0d6"
TEXT_SIZE = 12

SUBLAYER_NAMES: dict[SublayerKind, str] = {"attention": "attention", "feed_forward": "feed-forward"}

SHARE, CORRELATION = (0, 1), (-1, 1)
"""What an axis goes from and to."""


# --- words ------------------------------------------------------------------------------------------------------------


def signed(value: float) -> str:
    """``−0.38``: with a minus as wide as a digit."""
    return f"{value:.2f}".replace("-", "−")


def percent(value: float, digits: int = 0) -> str:
    """``53%``."""
    return f"{value:.{digits}%}"


def group_name(group: GroupFindings, groups: Sequence[GroupFindings]) -> str:
    """The curriculum; with the model's name where there are several."""
    several = len({other.architecture for other in groups}) > 1
    return f"{group.architecture}: {group.plan}" if several else group.plan


def checkpoint_name(group: GroupFindings, of: CheckpointFindings) -> str:
    """One checkpoint of a group."""
    return of.name if of.seed is None else f"{group.plan}, seed {of.seed}"


# --- parts of charts --------------------------------------------------------------------------------------------------


def short_title(text: str, size: int) -> alt.TitleParams:
    """A panel's title, cut to its width."""
    title = panel_title(text)
    title.limit = size + 40
    title.fontSize = TEXT_SIZE
    return title


def level_x(field: str, domain: tuple[int, int]) -> alt.X:
    """Shares from 0 to 100%, or correlations from -1 to 1."""
    axis = share_axis() if domain == SHARE else alt.Axis(format=".1f", values=[-1, -0.5, 0, 0.5, 1])
    return alt.X(f"{field}:Q", title=None, scale=alt.Scale(domain=list(domain)), axis=axis)


def name_y(limit: int = 0) -> alt.Y:
    """Rows in their order, with their names at the left where there is room for them."""
    axis = alt.Axis(labels=limit > 0, ticks=False, domain=False, labelPadding=7, labelLimit=limit or alt.Undefined)
    return alt.Y("name:N", sort=None, title=None, axis=axis)


def number_axis() -> alt.Axis:
    """Of the numbers themselves."""
    return alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False, labelPadding=7)


def parts_by(field: str, values: Sequence[str]) -> dict[str, Any]:
    """The first of two values in blue circles, the second in orange squares."""
    return {
        "color": alt.Color(f"{field}:N", scale=alt.Scale(domain=list(values), range=[BLUE, ORANGE]), legend=None),
        "shape": alt.Shape(f"{field}:N", scale=alt.Scale(domain=list(values), range=["circle", "square"]), legend=None),
    }


ROW_HEIGHT = 46
"""Of a row whose name stands above it."""


def offset_y() -> alt.YOffset:
    """Where the points of a row lie, from -0.5 to 0.5 below its name."""
    return alt.YOffset("offset:Q", scale=alt.Scale(domain=[-1.4, 0.9]))


def spread(count: int) -> list[float]:
    """Offsets of as many points."""
    return [(place + 0.5) / count - 0.5 for place in range(count)]


def names_above(sheet: Sheet, names: Sequence[str], width: int) -> alt.Chart:
    rows = sheet.chart({"name": name, "offset": 0} for name in names)
    text = rows.mark_text(align="left", dy=-19, fontSize=TEXT_SIZE, limit=width, aria=False)
    return text.encode(x=alt.value(0), y=name_y(), yOffset=offset_y(), text="name:N", color=alt.value(INK))


@dataclass(frozen=True)
class Tested:
    """A row of a chart that sets tests against chance.

    Attributes:
        tests: of each point, with the text of its mark and its kind of training.
        p: what is written beside the row.
    """

    name: str
    tests: Sequence[tuple[PermutationTest, str, str]]
    p: float


def chance_panel(
    sheet: Sheet, title: str, domain: tuple[int, int], rows: Sequence[Tested], encoding: dict[str, Any]
) -> alt.LayerChart:
    """Tests as points, over a bar from the 5th to the 95th percentile of what exchanged names give.

    Args:
        encoding: colours and shapes of the points, by ``kind``.
    """
    inner = WIDTH - 110
    bands, points = [], []
    for row in rows:
        null = np.concatenate([test.null for test, _, _ in row.tests])
        low, high = map(float, np.quantile(null, (0.05, 0.95)))
        bands.append({"name": row.name, "low": low, "high": high, "chance": float(null.mean()), "p": p_text(row.p),
                      "offset": 0})  # fmt: skip
        points += [
            {"name": row.name, "value": test.value, "text": text, "kind": kind, "offset": offset}
            for (test, text, kind), offset in zip(row.tests, spread(len(row.tests)), strict=True)
        ]
    band, y = sheet.chart(bands), {"y": name_y(), "yOffset": offset_y()}
    return alt.layer(
        band.mark_bar(height=20, color=PALE, stroke=GREY, strokeWidth=1, aria=False).encode(
            x=level_x("low", domain), x2="high:Q", **y
        ),
        band.mark_tick(thickness=2, size=20, color=INK, opacity=0.6, aria=False).encode(x="chance:Q", **y),
        sheet.chart(points)
        .mark_point(filled=True, size=70, opacity=0.9)
        .encode(x=level_x("value", domain), description="text:N", **y, **encoding),
        band.mark_text(align="left", fontSize=TEXT_SIZE, aria=False).encode(
            x=alt.value(inner + 8), text="p:N", color=alt.value(INK), **y
        ),
        names_above(sheet, [row.name for row in rows], inner),
    ).properties(width=inner, height=ROW_HEIGHT * len(rows), title=panel_title(title))
