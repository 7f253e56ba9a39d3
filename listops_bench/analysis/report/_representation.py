"""Figures of representations: axes, chance, waves, similarities, and the embedding over training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from listops_bench._base.extras import needs
from listops_bench._base.text import p_text
from listops_bench.analysis.embedding import PermutationTest, Representation
from listops_bench.analysis.findings import Findings
from listops_bench.analysis.report._style import (
    BLUE,
    CORRELATION,
    GREY,
    ORANGE,
    SHARE,
    Tested,
    chance_panel,
    checkpoint_name,
    group_name,
    number_axis,
    parts_by,
    short_title,
)
from listops_bench.analysis.study import SavedStep
from listops_bench.pages.chart import INK, WIDTH, Rows, Sheet, kind_colour, kind_shape, panel_title

with needs("board"):
    import altair as alt

Named = Sequence[tuple[str, Representation]]

STRUCTURES: Mapping[str, tuple[Callable[[Representation], PermutationTest], tuple[int, int], str]] = {
    "order": (lambda of: of.order.regression, CORRELATION, "Order: rank correlation of predictions"),
    "parity": (lambda of: of.parity, SHARE, "Parity: told right"),
}
"""The two planned tests: where they are, what their values lie between, and their titles."""


def axes_chart(panels: Named, sheet: Sheet) -> alt.TopLevelMixin:
    columns = 2 if len(panels) in (2, 4) else 3
    inner = WIDTH // columns - 40
    charts = [_axes_panel(name, of, sheet, inner) for name, of in panels]
    return alt.concat(*charts, columns=columns, spacing={"row": 14, "column": 10})


def _axes_panel(name: str, of: Representation, sheet: Sheet, size: int) -> alt.LayerChart:
    rows = _axes_rows(name, of)
    data = sheet.chart(rows)
    reach = 1.18 * max(max(abs(row["x"]), abs(row["y"])) for row in rows) or 1.0
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    shares = [*of.components.shares, 0.0, 0.0]
    axis = alt.Axis(labels=False, ticks=False, values=[0], domain=False, titlePadding=2)
    at = {
        "x": alt.X("x:Q", title=f"axis 1: {shares[0]:.0%} of variance", scale=scale, axis=axis),
        "y": alt.Y("y:Q", title=f"axis 2: {shares[1]:.0%}", scale=scale, axis=axis),
    }
    small = len(rows) > 12
    return alt.layer(
        data.mark_line(color=GREY, strokeWidth=1.2, aria=False).encode(order="number:Q", **at),
        data.mark_point(filled=True, size=150 if small else 210, opacity=1).encode(
            description="text:N", **at, **parts_by("parity", ("even", "odd"))
        ),
        data.mark_text(fontSize=8 if small else 11, fontWeight="bold", aria=False).encode(
            text="number:Q", color=alt.Color("ink:N", scale=None), **at
        ),
    ).properties(width=size, height=size, title=short_title(name, size))


def _axes_rows(name: str, of: Representation) -> Rows:
    points = np.pad(of.components.coordinates, ((0, 0), (0, 1)))[:, :2]  # there may be one axis only
    if of.order.correlations[0] < 0:
        points[:, 0] *= -1
    return [
        {
            "number": number, "x": round(float(x), 4), "y": round(float(y), 4),
            "parity": "odd" if number % 2 else "even", "ink": INK if number % 2 else "#ffffff",
            "text": f"{name}: {number} at {x:.2f}, {y:.2f}",
        }
        for number, (x, y) in enumerate(points)
    ]  # fmt: skip


def chance_chart(layers: Named, sheet: Sheet) -> alt.TopLevelMixin:
    panels = []
    for name, (test_of, domain, title) in STRUCTURES.items():
        rows = []
        for layer, of in layers:
            test = test_of(of)
            text = (
                f"{name} of {layer}: {test.value:.2f}; exchanged names {test.chance:.2f} on average, {p_text(test.p)}; "
                f"random vectors {test.control:.2f}"
            )
            rows.append(Tested(layer, [(test, text, "")], test.p))
        panels.append(chance_panel(sheet, title, domain, rows, {"color": alt.value(BLUE)}))
    return alt.vconcat(*panels)


def compare_chart(findings: Findings, embeddings: Mapping[str, Representation], sheet: Sheet) -> alt.TopLevelMixin:
    """The planned tests of many embeddings, by the names of their checkpoints."""
    panels = []
    for name, (test_of, domain, title) in STRUCTURES.items():
        rows = []
        for group in findings.groups:
            tests = []
            for one in group.checkpoints:
                test = test_of(embeddings[one.name])
                text = f"{checkpoint_name(group, one)}: {name} {test.value:.2f}, alone {p_text(test.p)}"
                tests.append((test, text, one.kind))
            rows.append(Tested(group_name(group, findings.groups), tests, getattr(group, f"{name}_p_adjusted")))
        panels.append(chance_panel(sheet, title, domain, rows, {"color": kind_colour(), "shape": kind_shape()}))
    return alt.vconcat(*panels)


def waves_chart(of: Representation, sheet: Sheet) -> alt.TopLevelMixin:
    waves = of.waves
    columns = waves.frequencies, waves.shares, waves.high, waves.line, waves.expected
    rows = [
        {
            "frequency": int(f), "share": float(share), "high": float(high), "line": float(line),
            "text": f"frequency {f}: {share:.1%} of the variance, {expected:.1%} expected, {high:.1%} at the 95th "
            "percentile",
        }
        for f, share, high, line, expected in zip(*columns, strict=True)
    ]  # fmt: skip
    data = sheet.chart(rows)
    top = float(max(waves.shares.max(), waves.line.max(), waves.high.max()))
    x = alt.X("frequency:O", title="frequency", axis=alt.Axis(labelAngle=0))
    axis = alt.Axis(format="%", tickCount=4)
    y = alt.Y("share:Q", title="share of variance", scale=alt.Scale(domain=[0, top]), axis=axis)
    width = WIDTH - 90
    size = min(46, width // len(rows))
    diamond = {"shape": "diamond", "filled": True, "color": ORANGE, "stroke": INK, "strokeWidth": 1}
    return alt.layer(
        data.mark_bar(color=BLUE, size=size * 0.6).encode(x=x, y=y, description="text:N"),
        data.mark_tick(color=INK, thickness=2, size=size * 0.8, aria=False).encode(x=x, y="high:Q"),
        data.mark_point(size=60, opacity=1, **diamond).encode(x=x, y="line:Q"),
    ).properties(width=width, height=150)


def cosine_chart(layers: Named, sheet: Sheet) -> alt.TopLevelMixin:
    columns = min(len(layers), 2)
    inner = 190
    scale = alt.Scale(domain=[-1, 0, 1], range=[ORANGE, "#ffffff", BLUE], interpolate="rgb")
    legend = alt.Legend(title="cosine", orient="right", format=".1f", gradientLength=110)
    panels = []
    for name, of in layers:
        rows = [
            {"a": i, "b": j, "cosine": round(float(value), 3), "text": f"{name}: cosine of {i} and {j}: {value:.2f}"}
            for (i, j), value in np.ndenumerate(of.cosine)
        ]
        chart = sheet.chart(rows).mark_rect(aria=False)
        panels.append(
            chart.encode(
                x=alt.X("b:O", title=None, axis=number_axis()),
                y=alt.Y("a:O", title=None, axis=number_axis()),
                color=alt.Color("cosine:Q", scale=scale, legend=legend),
            ).properties(width=inner, height=inner, title=short_title(name, inner))
        )
    return alt.concat(*panels, columns=columns, spacing=10)


# --- over training ----------------------------------------------------------------------------------------------------


_PALETTE = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", INK)
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke")


def dynamics_chart(steps: Sequence[SavedStep], sheet: Sheet) -> alt.TopLevelMixin:
    scale = alt.Scale(domain=[0, max(saved.step for saved in steps)], nice=False)
    axis = alt.Axis(format=",d", tickCount=5)
    x, last_x = (alt.X("step:Q", title=title, scale=scale, axis=axis) for title in (None, "training step"))
    panels = [
        _accuracy_panel(steps, sheet, x),
        _structure_panel("order", steps, sheet, x),
        _structure_panel("parity", steps, sheet, last_x),
    ]
    return alt.vconcat(*(panel.properties(width=WIDTH - 70, height=110) for panel in panels), spacing=8)


def _accuracy_panel(steps: Sequence[SavedStep], sheet: Sheet, x: alt.X) -> alt.LayerChart:
    rows = [
        {
            "step": saved.step, "operation": name.upper(), "accuracy": accuracy.exact.accuracy,
            "text": f"{name.upper()} at step {saved.step:,}: traces exact {accuracy.exact}",
        }
        for saved in steps
        for name, accuracy in saved.accuracy.items()
    ]  # fmt: skip
    names = list(dict.fromkeys(row["operation"] for row in rows))
    legend = alt.Legend(title=None, orient="top", symbolOpacity=1)
    colour, shape = (
        channel("operation:N", scale=alt.Scale(domain=names, range=list(values[: len(names)])), legend=legend)
        for channel, values in ((alt.Color, _PALETTE), (alt.Shape, _SHAPES))
    )
    axis = alt.Axis(format="%", values=[0, 0.5, 1])
    y = alt.Y("accuracy:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=axis)
    data = sheet.chart(rows)
    return alt.layer(
        data.mark_line(strokeWidth=1.6, aria=False).encode(x=x, y=y, color=colour),
        data.mark_point(filled=True, size=36, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description="text:N"
        ),
    ).properties(title=panel_title("exact traces, validation rows"))


def _structure_panel(name: str, steps: Sequence[SavedStep], sheet: Sheet, x: alt.X) -> alt.LayerChart:
    test_of, domain, _ = STRUCTURES[name]
    rows = []
    for saved in steps:
        test = test_of(saved.embedding)
        text = f"{name} of the embedding at step {saved.step:,}: {test.value:.2f}, {p_text(test.p)}"
        high = float(np.quantile(test.null, 0.95))
        rows.append({"step": saved.step, "value": test.value, "high": high, "text": text})
    data = sheet.chart(rows)
    axis = alt.Axis(format="%" if domain == SHARE else ".1f", tickCount=3)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=list(domain)), axis=axis)
    high = alt.Y("high:Q", title=None)
    return alt.layer(
        data.mark_line(strokeDash=[4, 3], color=INK, opacity=0.6, aria=False).encode(x=x, y=high),
        data.mark_line(strokeWidth=1.6, color=BLUE, aria=False).encode(x=x, y=y),
        data.mark_point(filled=True, size=36, opacity=1, color=BLUE).encode(x=x, y=y, description="text:N"),
    ).properties(title=panel_title(f"{name} of the embedding"))
