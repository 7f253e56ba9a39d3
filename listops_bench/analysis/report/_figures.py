"""The figures of a report, in the board's style: drawn when the report is made, with nothing to load.

Their titles and captions are in ``_template/figures.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

from listops_bench.analysis.findings import Findings
from listops_bench.analysis.report._memorisation import pairs_chart, triples_chart
from listops_bench.analysis.report._reliance import ablations_chart, norms_chart, side_by_side_chart
from listops_bench.analysis.report._representation import (
    axes_chart,
    chance_chart,
    compare_chart,
    cosine_chart,
    dynamics_chart,
    waves_chart,
)
from listops_bench.analysis.report._style import checkpoint_name
from listops_bench.analysis.study import Analysis
from listops_bench.pages.chart import Figure, Sheet, draw_figure

if TYPE_CHECKING:
    import altair as alt

MOST_PANELS = 18
MOST_TRIPLE_NUMBERS = 12

Chart = Callable[[Sheet], "alt.TopLevelMixin"]


def checkpoint_figures(analysis: Analysis, prefix: str = "") -> list[Figure]:
    """The figures of one checkpoint; ``prefix`` goes before their names."""
    layers = [(layer.name, layer.numbers) for layer in analysis.layers]
    if analysis.output is not None:
        layers.insert(1, ("output side", analysis.output))
    pairs = [table for table in analysis.tables if table.pairs is not None]
    triples = [table for table in analysis.tables if table.triples is not None]
    charts: dict[str, Chart] = {
        "axes": partial(axes_chart, layers),
        "chance": partial(chance_chart, layers),
        "waves": partial(waves_chart, analysis.embedding),
        "cosine": partial(cosine_chart, layers),
        "norms": partial(norms_chart, analysis.reliance),
        "ablations": partial(ablations_chart, analysis.reliance),
    }
    if pairs:
        charts["pairs"] = partial(pairs_chart, pairs)
    if triples and analysis.modulus <= MOST_TRIPLE_NUMBERS:
        charts["triples"] = partial(triples_chart, triples)
    if len(analysis.saved_steps) > 1:
        charts["dynamics"] = partial(dynamics_chart, analysis.saved_steps)
    return _draw(charts, prefix)


def comparison_figures(findings: Findings, analyses: Sequence[Analysis]) -> list[Figure]:
    """The figures that set checkpoints side by side."""
    embeddings = {analysis.name: analysis.embedding for analysis in analyses}
    charts: dict[str, Chart] = {"compare": partial(compare_chart, findings, embeddings)}
    most = MOST_PANELS // len(findings.groups)
    if most:
        first = [(group, one) for group in findings.groups for one in group.checkpoints[:most]]
        panels = [(checkpoint_name(group, one), embeddings[one.name]) for group, one in first]
        charts["axes"] = partial(axes_chart, panels)
    shapes = {(analysis.reliance.layer_word, len(analysis.reliance.norms)) for analysis in analyses}
    if len(shapes) == 1:
        charts["reliance"] = partial(side_by_side_chart, findings, analyses[0].reliance.layer_word)
    return _draw(charts)


@cache
def _texts() -> dict[str, Any]:
    path = files("listops_bench.analysis.report").joinpath("_template", "figures.yaml")
    texts: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return texts


def _draw(charts: dict[str, Chart], prefix: str = "") -> list[Figure]:
    return [draw_figure(f"{prefix}{name}", chart=chart, **_texts()[name]) for name, chart in charts.items()]
