"""What all figures of a report share: the board's drawing, a palette, and how p-values are written.

Two colours of Okabe and Ito's palette, which colour-blind readers tell apart; a shape or a letter says the same once
more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench.pages.chart import panel_title

if TYPE_CHECKING:
    import altair as alt

INK, PALE, WRONG = "#1d2329", "#eef1f4", "#d55e00"
BLUE, ORANGE, GREY = "#0072b2", "#e69f00", "#c9d0d6"


def short_title(text: str, size: int) -> alt.TitleParams:
    """A panel's title, cut to its width."""
    title = panel_title(text)
    title.limit = size + 40
    title.fontSize = 12
    return title


def p_text(p: float) -> str:
    """``p = 0.012``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else "p = 1" if p > 0.9995 else f"p = {p:.3f}"


def level_axis(is_share: bool) -> alt.Axis:
    """The axis of a share from 0 to 100%, or of a correlation from -1 to 1."""
    import altair as alt

    if is_share:
        return alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    return alt.Axis(format=".1f", values=[-1, -0.5, 0, 0.5, 1])
