"""The demo's page: one question, the answer in one sentence, two figures, the numbers. Static, without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from listops_bench._base.files import write_atomic
from listops_bench.demo._story import ARMS, Score, describe
from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.figures import figures
from listops_bench.leaderboard.output import read_curve
from listops_bench.pages.chart import Figure
from listops_bench.result.format import Result
from listops_bench.runs.record import Training
from listops_bench.stats.intervals import Summary


@dataclass(frozen=True)
class Run:
    """One training, and its results on the test rows of SUM and, for the mixture, on its own."""

    arm: str
    seed: int
    checkpoint: Path
    on_sum: Result
    on_mixture: Result | None

    @property
    def exact(self) -> Score:
        """SUM test rows of which every line is right."""
        summary = _test(self.on_sum)
        return Score(self.arm, self.seed, summary.correct, summary.n)

    @property
    def answers(self) -> Summary:
        """SUM test rows of which the last number is right."""
        return self.on_sum.splits["test"].metrics.answer_accuracy

    @property
    def mixture(self) -> Summary | None:
        """Test rows of the mixture of which every line is right."""
        return _test(self.on_mixture) if self.on_mixture else None

    @property
    def training(self) -> Training:
        assert self.on_sum.training is not None
        return self.on_sum.training


def _test(result: Result) -> Summary:
    return result.splits["test"].metrics.trace_accuracy


@dataclass(frozen=True)
class Report:
    """Everything the page shows. ``failed`` has a line for every run that failed."""

    runs: Sequence[Run]
    failed: Sequence[str]
    model: str
    steps: int
    example: tuple[str, str]
    command: str

    @property
    def sentence(self) -> str:
        return describe(run.exact for run in self.runs)


def write_page(report: Report, folder: Path) -> Path:
    """Writes ``index.html`` and returns its path."""
    page = folder / "index.html"
    write_atomic(page, _html(report, _figures(report.runs)))
    return page


def _figures(runs: Sequence[Run]) -> list[Figure]:
    """The board's own figures of these runs."""
    results = [result for run in runs for result in (run.on_sum, run.on_mixture) if result]
    curves = [read_curve(run.checkpoint, "sum") for run in runs]
    return figures(boards(results)[0], curves, "Along the training, on SUM validation rows") if results else []


_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2329; background: #fff; max-width: 56rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.seen { border-left: 4px solid #009e73; padding: .4rem .9rem; background: #f3f8f6; }
.failed { border-left-color: #d55e00; background: #fdf4ee; }
figure { margin: 1rem 0; } figure svg { width: 100%; max-width: 45rem; height: auto; }
figcaption, .small { font-size: .875rem; color: #444; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid #e2e2e2; } th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; background: #f5f5f5; } code { padding: 0 .2rem; }
pre { padding: .6rem .8rem; overflow-x: auto; }
@media print { body { margin: 0; max-width: none; } figure, table { break-inside: avoid; } }
"""


def _html(report: Report, drawn: Sequence[Figure]) -> str:
    failed = "".join(f'<p class="seen failed">{escape(line)}</p>' for line in report.failed)
    prompt, completion = report.example
    curricula = dict.fromkeys(run.training.curriculum for run in report.runs)
    body = f"""
<h1>Does training on MAX and MED help a small transformer learn SUM?</h1>
<p class="seen">{escape(report.sentence)}</p>{failed}
{"".join(map(_figure, drawn))}
<h2>The figures</h2>
<div class="table">{_table(report.runs)}</div>
<p class="small"><b>Exact</b>: every line of the trace is right. <b>Answer</b>: its last number is. <b>Mixture</b>:
exact traces on the test rows of SUM, MAX and MED together. <b>SUMs seen</b>: SUM operations in the rows that it was
trained on. All runs are scored on the same SUM test rows, greedily; no test row occurs in any training, not even up to
the order of operands or to brackets that do not matter. The interval (Wilson, 95%) is about the test rows alone: how
much the luck of the seed matters is what the seeds beside each other show.</p>
<h2>What was trained</h2>
<p>A transformer (<code>{escape(report.model)}</code>{_parameters(report)}) reads a nested expression and
rewrites it line by line:</p>
<pre>{escape(prompt)}<b>{escape(completion)}</b></pre>
<p>Every run has the same size and {report.steps:,} steps; a seed decides the initial weights and the order of the rows.
The curricula, as tasks and steps: {" · ".join(f"<code>{escape(text)}</code>" for text in curricula)}. They differ in
how much SUM they see, which the table counts.</p>
<h2>Made by</h2>
<p class="small"><code>{escape(report.command)}</code><br>{_origin(report)}
Beside this page: <code>checkpoints/</code> (each loads with <code>AutoModelForCausalLM.from_pretrained</code>),
<code>results/</code> (one JSON file for every model and task), <a href="board/site/index.html">the board</a> built from
them with the figures as SVG and PNG, <code>logs/</code>.</p>
"""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>listops_bench demo</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _figure(figure: Figure) -> str:
    return (
        f"<h2>{escape(figure.title)}</h2><figure>{figure.svg}<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def _parameters(report: Report) -> str:
    return f", {report.runs[0].on_sum.parameters.total:,} parameters" if report.runs else ""


def _origin(report: Report) -> str:
    if not report.runs:
        return ""
    environment = report.runs[0].training.environment
    packages = ", ".join(f"{name} {version}" for name, version in environment.packages.items())
    return f"{escape(environment.hardware or '')}; {escape(packages)}.<br>"


def _table(runs: Sequence[Run]) -> str:
    head = ["curriculum", "seed", "exact", "95% interval", "n", "answer", "mixture", "tokens", "SUMs seen", "time"]
    lines = ["<tr>" + "".join(f"<th>{name}</th>" for name in head) + "</tr>"]
    for run in runs:
        low, high = run.exact.interval
        cells = [
            ARMS[run.arm], str(run.seed), f"{run.exact.accuracy:.1%}", f"{low:.1%} to {high:.1%}", f"{run.exact.n:,}",
            f"{run.answers.accuracy:.1%}", f"{run.mixture.accuracy:.1%}" if run.mixture else "",
            f"{run.training.tokens / 1e6:.1f} M", f"{run.training.reductions.get('sum', 0) / 1e3:,.0f} k",
            f"{run.training.wall_seconds:.0f} s",
        ]  # fmt: skip
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return "<table>" + "".join(lines) + "</table>"
