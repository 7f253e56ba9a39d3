"""Figures of reliance: what sublayers write, and what is left without them."""

from __future__ import annotations

from typing import Any

from listops_bench._base.extras import needs
from listops_bench.analysis.findings import SUBLAYER_KINDS, Findings, Layer, SublayerKind
from listops_bench.analysis.reliance import METHODS, Ablation, Reliance
from listops_bench.analysis.report._style import (
    BLUE,
    ORANGE,
    ROW_HEIGHT,
    SHARE,
    SUBLAYER_NAMES,
    TEXT_SIZE,
    checkpoint_name,
    group_name,
    level_x,
    name_y,
    names_above,
    offset_y,
    parts_by,
    short_title,
    spread,
)
from listops_bench.pages.chart import INK, WIDTH, Rows, Sheet, kind_colour, kind_shape
from listops_bench.stats.intervals import Summary

with needs("board"):
    import altair as alt

_NAMES = 150
_COLOURS: dict[SublayerKind, str] = {"attention": BLUE, "feed_forward": ORANGE}


def norms_chart(of: Reliance, sheet: Sheet) -> alt.TopLevelMixin:
    rows = []
    for norm in of.norms:
        name = f"{SUBLAYER_NAMES[norm.kind]}, {of.layer_word} {norm.layer + 1}"
        rows.append({
            "name": name, "kind": SUBLAYER_NAMES[norm.kind], "low": norm.low, "median": norm.median, "high": norm.high,
            "label": f"{norm.median:.2f}",
            "text": f"{name}: median {norm.median:.2f}, quartiles {norm.low:.2f} and {norm.high:.2f}",
        })  # fmt: skip
    data, y = sheet.chart(rows), name_y(_NAMES)
    inner = WIDTH - _NAMES - 40
    scale = alt.Scale(domain=[0, max(0.1, *(norm.high for norm in of.norms))])
    low, median = (
        alt.X(f"{field}:Q", title="|added| / |stream|", scale=scale, axis=alt.Axis(tickCount=5))
        for field in ("low", "median")
    )
    parts = parts_by("kind", list(SUBLAYER_NAMES.values()))
    return alt.layer(
        data.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", y=y, color=parts["color"]),
        data.mark_point(filled=True, size=70, opacity=1).encode(x=median, y=y, description="text:N", **parts),
        data.mark_text(align="left", fontSize=TEXT_SIZE, aria=False).encode(
            x=alt.value(inner + 8), y=y, text="label:N", color=alt.value(INK)
        ),
    ).properties(width=inner, height=22 * len(rows))


def ablations_chart(of: Reliance, sheet: Sheet) -> alt.TopLevelMixin:
    inner = (WIDTH - _NAMES) // 2 - 24
    panels = []
    for operation, accuracy in of.intact.items():
        for measure, field in (("whole trace", "exact"), ("last step", "last_step")):
            intact: Summary = getattr(accuracy, field)
            name = f"{operation.upper()}, {measure}"
            rows = [_ablation_row(of, a, getattr(a.accuracy[operation], field), name) for a in of.ablations]
            panel = _ablation_panel(sheet, rows, intact, _NAMES if field == "exact" else 0)
            title = short_title(f"{name} ({intact.accuracy:.0%})", inner)
            panels.append(panel.properties(width=inner, height=19 * len(rows) // 2, title=title))
    return alt.concat(*panels, columns=2, spacing={"row": 12, "column": 16})


def _ablation_row(of: Reliance, ablation: Ablation, left: Summary, measure: str) -> dict[str, Any]:
    where = "all" if ablation.layer is None else f"{of.layer_word} {ablation.layer + 1}"
    kind, colour = SUBLAYER_NAMES[ablation.kind], _COLOURS[ablation.kind]
    return {
        "name": f"{kind}, {where}", "kind": kind, "method": ablation.method, "stroke": colour,
        "fill": colour if ablation.method == "mean" else "#ffffff",
        "accuracy": left.accuracy, "low": left.low, "high": left.high,
        "text": f"{measure}, without {kind} ({where}; {ablation.method}): {left}",
    }  # fmt: skip


def _ablation_panel(sheet: Sheet, rows: Rows, intact: Summary, names: int) -> alt.LayerChart:
    data = sheet.chart(rows)
    y = {"y": name_y(names), "yOffset": alt.YOffset("method:N", scale=alt.Scale(domain=list(METHODS)))}
    parts = parts_by("kind", list(SUBLAYER_NAMES.values()))
    return alt.layer(
        sheet.chart([{"accuracy": intact.accuracy}])
        .mark_rule(strokeDash=[4, 3], color=INK, opacity=0.7, aria=False)
        .encode(x=level_x("accuracy", SHARE)),
        data.mark_rule(strokeWidth=1.6).encode(x=level_x("low", SHARE), x2="high:Q", color=parts["color"], **y),
        data.mark_point(size=42, opacity=1, strokeWidth=1.6).encode(
            x=level_x("accuracy", SHARE),
            stroke=alt.Stroke("stroke:N", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            shape=parts["shape"],
            description="text:N",
            **y,
        ),
    )


# --- side by side -----------------------------------------------------------------------------------------------------


def side_by_side_chart(findings: Findings, layer_word: str, sheet: Sheet) -> alt.TopLevelMixin:
    """A panel for each sublayer, in it a row for each curriculum."""
    inner = WIDTH // 2 - 40
    panels = []
    for layer in findings.checkpoints[0].without["attention"]:
        if layer != "all":
            for kind in SUBLAYER_KINDS:
                title = short_title(f"without {SUBLAYER_NAMES[kind]}, {layer_word} {layer}", inner)
                panel = _side_by_side_panel(sheet, findings, kind, layer, inner)
                panels.append(panel.properties(width=inner, height=ROW_HEIGHT * len(findings.groups), title=title))
    return alt.concat(*panels, columns=len(SUBLAYER_KINDS), spacing={"row": 12, "column": 14})


def _side_by_side_panel(
    sheet: Sheet, findings: Findings, kind: SublayerKind, layer: Layer, width: int
) -> alt.LayerChart:
    rows: Rows = []
    for group in findings.groups:
        for of, offset in zip(group.checkpoints, spread(len(group.checkpoints)), strict=True):
            left = of.without[kind][layer]
            rows.append({
                "name": group_name(group, findings.groups), "kind": of.kind, "accuracy": left.accuracy,
                "intact": of.last_step.accuracy, "offset": offset,
                "text": f"{checkpoint_name(group, of)}: {left}; {of.last_step.accuracy:.1%} as it is",
            })  # fmt: skip
    data = sheet.chart(rows)
    encoding: dict[str, Any] = {"y": name_y(), "yOffset": offset_y(), "color": kind_colour()}
    x, intact = level_x("accuracy", SHARE), level_x("intact", SHARE)
    return alt.layer(
        data.mark_rule(strokeWidth=1, opacity=0.5, aria=False).encode(x=x, x2="intact:Q", **encoding),
        data.mark_point(filled=False, size=36, strokeWidth=1.2, opacity=0.8, aria=False).encode(
            x=intact, shape=kind_shape(), **encoding
        ),
        data.mark_point(filled=True, size=46, opacity=1).encode(
            x=x, shape=kind_shape(), description="text:N", **encoding
        ),
        names_above(sheet, list(dict.fromkeys(row["name"] for row in rows)), width),
    )
