"""The demo's figures and page: static, from a file, without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from listops_bench._demo_story import ARMS, Score, describe
from listops_bench.result import write_atomic

# Okabe and Ito's colours, told apart by colour-blind readers too; shapes and dashes say the same once more.
COLOURS = {"alone": "#D55E00", "joint": "#0072B2", "transfer": "#009E73"}
SHAPES = {"alone": "circle", "joint": "square", "transfer": "triangle-up"}
_WIDTH = 600
DASHES = {"alone": [2, 2], "joint": [7, 3], "transfer": [1, 0]}


@dataclass(frozen=True)
class Run:
    """One training and what it scored.

    Attributes:
        exact, answers: SUM test rows with an exact trace, and with the right answer at its end.
        mixture: rows of the mixture's own test split with an exact trace, for the run that trained on it.
        curve: (step, share of exact SUM validation rows) along the training.
        tokens, sum_reductions: seen in training; SUM operations in the rows it was trained on.
        environment: where it was trained: ``packages`` and ``hardware``, as results have them.
    """

    arm: str
    seed: int
    exact: Score
    answers: Score
    mixture: Score | None
    curve: Sequence[tuple[int, float]]
    curriculum: str
    tokens: int
    sum_reductions: int
    seconds: float
    parameters: int
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """Everything the page shows."""

    runs: Sequence[Run]
    failed: Sequence[str]
    model: str
    steps: int
    switch_step: int
    example: tuple[str, str]
    command: str

    @property
    def sentence(self) -> str:
        return describe(run.exact for run in self.runs)


def write_page(report: Report, folder: Path) -> Path:
    """Writes ``index.html`` and its figures (SVG and PNG) and returns the page's path."""
    import vl_convert

    pictures = {}
    for name, chart in (("accuracy", accuracy_chart(report)), ("curves", curve_chart(report))):
        specification = chart.to_dict()
        svg = vl_convert.vegalite_to_svg(specification)
        write_atomic(folder / f"{name}.svg", svg)
        write_atomic(folder / f"{name}.png", vl_convert.vegalite_to_png(specification, scale=2))
        pictures[name] = svg
    page = folder / "index.html"
    write_atomic(page, _html(report, pictures))
    return page


# --- figures ----------------------------------------------------------------------------------------------------------


def accuracy_chart(report: Report) -> Any:
    """Accuracy on the SUM test rows, one point and interval for every run."""
    import altair as alt

    rows = [_accuracy_row(run) for run in report.runs]
    base = alt.Chart(alt.Data(values=rows))
    y = alt.Y("curriculum:N", sort=list(ARMS.values()), title=None, axis=alt.Axis(labelLimit=220))
    offset = alt.YOffset("seed:N")
    percent = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("accuracy:Q", title="SUM test rows with an exact trace, 95% interval", scale=scale, axis=percent)
    rules = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, yOffset=offset)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, y=y, yOffset=offset, shape=_shape(alt))
    right = base.transform_filter("datum.accuracy < 0.8").mark_text(align="left", dx=12)
    left = base.transform_filter("datum.accuracy >= 0.8").mark_text(align="right", dx=-34)
    texts = [mark.encode(x=x, y=y, yOffset=offset, text="label:N") for mark in (right, left)]
    learned = alt.Chart(alt.Data(values=[{"x": 0.95}])).mark_rule(strokeDash=[3, 3], color="#888").encode(x="x:Q")
    coloured = [mark.encode(color=_colour(alt)) for mark in (rules, points, *texts)]
    height = 26 * max(2, len(rows))
    return _finish(alt.layer(learned, *coloured).properties(width=_WIDTH, height=height))


def curve_chart(report: Report) -> Any:
    """Accuracy on SUM validation rows along the training, one line for every run."""
    import altair as alt

    rows = [
        {"curriculum": ARMS[run.arm], "run": f"{run.arm} {run.seed}", "step": step, "accuracy": accuracy}
        for run in report.runs
        for step, accuracy in run.curve
    ]
    x = alt.X("step:Q", title="training step", scale=alt.Scale(domain=[0, report.steps], nice=False))
    percent = alt.Axis(format="%")
    y = alt.Y("accuracy:Q", title="SUM validation rows, exact", scale=alt.Scale(domain=[0, 1]), axis=percent)
    dash = alt.StrokeDash(
        "curriculum:N", legend=None, scale=alt.Scale(domain=list(ARMS.values()), range=list(DASHES.values()))
    )
    lines = alt.Chart(alt.Data(values=rows)).mark_line(strokeWidth=2).encode(x=x, y=y, detail="run:N", strokeDash=dash)
    layers = [lines.encode(color=_colour(alt, legend=True))]
    if any(run.arm == "transfer" for run in report.runs):
        switch = alt.Chart(alt.Data(values=[{"step": report.switch_step, "text": "MAX+MED → SUM"}]))
        layers.append(switch.mark_rule(strokeDash=[3, 3], color="#888").encode(x="step:Q"))
        label = switch.mark_text(align="left", dx=5, baseline="top", color="#555")
        layers.append(label.encode(x="step:Q", y=alt.value(2), text="text:N"))
    return _finish(alt.layer(*layers).properties(width=_WIDTH, height=240))


def _accuracy_row(run: Run) -> dict[str, Any]:
    low, high = run.exact.interval
    label = f"{run.exact.accuracy:.1%}  seed {run.seed}"
    return {
        "curriculum": ARMS[run.arm], "seed": run.seed, "accuracy": run.exact.accuracy, "low": low, "high": high,
        "label": label,
    }  # fmt: skip


def _colour(alt: Any, legend: bool = False) -> Any:
    scale = alt.Scale(domain=list(ARMS.values()), range=list(COLOURS.values()))
    shown = alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3) if legend else None
    return alt.Color("curriculum:N", scale=scale, legend=shown)


def _shape(alt: Any) -> Any:
    return alt.Shape(
        "curriculum:N", legend=None, scale=alt.Scale(domain=list(ARMS.values()), range=list(SHAPES.values()))
    )


def _finish(chart: Any) -> Any:
    font = {"labelFontSize": 13, "titleFontSize": 13, "titleFontWeight": "normal"}
    return (
        chart.configure(font="sans-serif", background="white")
        .configure_axis(**font, gridColor="#e8e8e8")
        .configure_text(fontSize=13)
        .configure_legend(labelFontSize=13, symbolSize=200)
        .configure_view(stroke=None)
    )


# --- page -------------------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 56rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.seen { border-left: 4px solid #009E73; padding: .4rem .9rem; background: #f3f8f6; }
.failed { border-left-color: #D55E00; background: #fdf4ee; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption, .small { font-size: .875rem; color: #444; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid #e2e2e2; } th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; background: #f5f5f5; } code { padding: 0 .2rem; }
pre { padding: .6rem .8rem; overflow-x: auto; }
@media print { body { margin: 0; max-width: none; } figure, table { break-inside: avoid; } }
"""


def _html(report: Report, pictures: dict[str, str]) -> str:
    failed = "".join(f'<p class="seen failed">{escape(line)}</p>' for line in report.failed)
    prompt, completion = report.example
    runs = sorted({run.curriculum for run in report.runs})
    body = f"""
<h1>Does training on MAX and MED help a small transformer learn SUM?</h1>
<p class="seen">{escape(report.sentence)}</p>{failed}
<figure>{pictures["accuracy"]}
<figcaption>Every point is one run. The dashed line is the 95% from which on a task counts as learned. The interval
(Wilson, 95%) is about the test rows alone: how much luck of the seed matters is what the seeds beside each other
show.</figcaption></figure>
<figure>{pictures["curves"]}
<figcaption>The same, along the training, on SUM validation rows.</figcaption></figure>
<h2>The figures</h2>
<div class="table">{_table(report.runs)}</div>
<p class="small"><b>Exact</b>: every line of the trace is right. <b>Answer</b>: its last number is. <b>Mixture</b>:
exact traces on the test rows of SUM, MAX and MED together. <b>SUMs seen</b>: SUM operations in the rows that it was
trained on. All runs are scored on the same SUM test rows, greedily; no test row occurs in any training, not even up to
the order of operands or to brackets that do not matter.</p>
<h2>What was trained</h2>
<p>A transformer (<code>{escape(report.model)}</code>{_parameters(report)}) reads a nested expression and
rewrites it line by line:</p>
<pre>{escape(prompt)}<b>{escape(completion)}</b></pre>
<p>Every run has the same size and {report.steps:,} steps; a seed decides the initial weights and the order of the rows.
The curricula, as tasks and steps: {" · ".join(f"<code>{escape(text)}</code>" for text in runs)}. They differ in how
much SUM they see, which the table counts.</p>
<h2>Made by</h2>
<p class="small"><code>{escape(report.command)}</code><br>{_origin(report)}
Beside this page: <code>checkpoints/</code> (each loads with <code>AutoModelForCausalLM.from_pretrained</code>),
<code>results/</code> (one JSON file for every model and task), <code>board/</code>, the figures as SVG and PNG.</p>
"""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>listops_bench demo</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _parameters(report: Report) -> str:
    return f", {report.runs[0].parameters:,} parameters" if report.runs else ""


def _origin(report: Report) -> str:
    if not report.runs:
        return ""
    environment = report.runs[0].environment
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    return f"{escape(environment['hardware'] or '')}; {escape(packages)}.<br>"


def _table(runs: Sequence[Run]) -> str:
    head = ["curriculum", "seed", "exact", "95% interval", "n", "answer", "mixture", "tokens", "SUMs seen", "time"]
    lines = ["<tr>" + "".join(f"<th>{name}</th>" for name in head) + "</tr>"]
    for run in runs:
        low, high = run.exact.interval
        cells = [
            ARMS[run.arm], str(run.seed), f"{run.exact.accuracy:.1%}", f"{low:.1%} to {high:.1%}", f"{run.exact.n:,}",
            f"{run.answers.accuracy:.1%}", f"{run.mixture.accuracy:.1%}" if run.mixture else "",
            f"{run.tokens / 1e6:.1f} M", f"{run.sum_reductions / 1e3:,.0f} k", f"{run.seconds:.0f} s",
        ]  # fmt: skip
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return "<table>" + "".join(lines) + "</table>"
