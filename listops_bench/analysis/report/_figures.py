"""The figures of a report, in the board's style: drawn when the report is made, in two widths, with nothing to load.

Every mark carries its numbers as a text, for pointers and screen readers. Two colours of Okabe and Ito's palette, which
colour-blind readers tell apart, and a shape or a letter says the same once more.
"""

from __future__ import annotations

from functools import partial

from listops_bench.analysis.comparison import Comparison
from listops_bench.analysis.report._compare import compare_chart, left_chart, line_name
from listops_bench.analysis.report._facts import dynamics_chart, pairs_chart, triples_chart
from listops_bench.analysis.report._layers import ablations_chart, norms_chart
from listops_bench.analysis.report._numbers import axes_chart, chance_chart, cosine_chart, waves_chart
from listops_bench.analysis.study import Analysis
from listops_bench.pages.chart import Figure, draw_figure

MOST_PANELS = 24
MOST_TRIPLE_NUMBERS = 12


def checkpoint_figures(analysis: Analysis, prefix: str = "") -> list[Figure]:
    """The figures of one checkpoint; ``prefix`` goes before their names."""
    places = [(place.name, place.numbers) for place in analysis.places]
    if analysis.output is not None:
        places.insert(1, ("output side", analysis.output))
    drawn = [
        draw_figure(
            f"{prefix}axes", "The numbers on their first two principal axes", _AXES, partial(axes_chart, places)
        ),
        draw_figure(f"{prefix}chance", "Order and parity against chance", _CHANCE, partial(chance_chart, places)),
        draw_figure(f"{prefix}waves", "Waves over the numbers", _WAVES, partial(waves_chart, analysis.embedding)),
        draw_figure(f"{prefix}cosine", "Cosine similarity of the numbers", _COSINE, partial(cosine_chart, places)),
        draw_figure(f"{prefix}norms", "What each sublayer writes", _NORMS, partial(norms_chart, analysis.reliance)),
        draw_figure(
            f"{prefix}ablations",
            "What is left without a sublayer",
            _ABLATIONS,
            partial(ablations_chart, analysis.reliance),
        ),
    ]
    with_pairs = [table for table in analysis.tables if table.pairs is not None]
    if with_pairs:
        drawn.append(draw_figure(f"{prefix}pairs", "Facts of two numbers", _PAIRS, partial(pairs_chart, with_pairs)))
    with_triples = [table for table in analysis.tables if table.triples is not None]
    if with_triples and analysis.modulus <= MOST_TRIPLE_NUMBERS:
        drawn.append(
            draw_figure(f"{prefix}triples", "Facts of three numbers", _TRIPLES, partial(triples_chart, with_triples))
        )
    if len(analysis.moments) > 1:
        drawn.append(
            draw_figure(f"{prefix}dynamics", "Over training", _DYNAMICS, partial(dynamics_chart, analysis.moments))
        )
    return drawn


def comparison_figures(comparison: Comparison) -> list[Figure]:
    """The figures that set checkpoints side by side."""
    drawn = [
        draw_figure("compare", "Order and parity of the embedding", _COMPARE, partial(compare_chart, comparison.groups))
    ]
    panels = [(line_name(group, line), line.analysis.embedding) for group in comparison.groups for line in group.lines]
    if len(panels) <= MOST_PANELS:
        drawn.append(
            draw_figure("axes", "The numbers on their first two principal axes", _AXES, partial(axes_chart, panels))
        )
    if (
        len({line.analysis.reliance.layer_word + str(len(line.analysis.reliance.norms)) for line in comparison.lines})
        == 1
    ):
        chart = partial(left_chart, comparison)
        drawn.append(draw_figure("reliance", f"{comparison.operation.upper()} without a sublayer", _LEFT, chart))
    return drawn


_AXES = (
    "Each point is a number; the line joins them in their order. Even numbers are blue circles, odd ones orange "
    "squares. The first axis is turned so that it rises with the numbers as far as it does at all."
)
_CHANCE = (
    "The point is the model: each number predicted from the others by linear regression on the vectors. The grey bar "
    "holds 90% of what the same numbers under exchanged names give, the upright line is its mean, and p is the share "
    "of exchanges that do at least as well. A smooth order makes parity worse than chance: the neighbours of an even "
    "number are odd."
)
_WAVES = (
    "Bars: the share of the embedding's variance at each frequency over the numbers (1: one turn for all of them). "
    "Dark lines: 95% of exchanges of the names stay below. Diamonds: numbers in a straight row."
)
_COSINE = "Blue: pointing the same way; orange: pointing opposite ways; white: at right angles."
_NORMS = (
    "The length of what a sublayer adds to the residual stream, over the length of the stream before it: median over "
    "all tokens of test rows, and from the first to the third quartile."
)
_ABLATIONS = (
    "Accuracy on each operation's own test rows, when a sublayer adds its mean over held-out rows (filled) or nothing "
    "(hollow); lines are 95% intervals. The dashed line is the model as it is. Left: the whole trace is right. Right: "
    "the answer is, given the right lines before it."
)
_PAIRS = (
    "The number that the model puts first after each prompt of two numbers; orange where it is wrong (– is no number)."
)
_TRIPLES = (
    "Each cell is a multiset of three numbers: the two smaller ones across, the largest up. Its colour is the share of "
    "their orders that the model answers wrongly. Outlined ones were held out of all training."
)
_DYNAMICS = (
    "The checkpoints saved along the training. Top: exact traces on validation rows. Below: order and parity of the "
    "embedding, with the 95th percentile over exchanged names dashed: points above it are what counts."
)
_COMPARE = (
    "Each point is one seed's embedding. The grey bar holds 90% of what exchanged names give for one model, the "
    "upright line is its mean. p: the mean over the seeds against the same mean under exchanged names, adjusted for "
    "all tests in this figure (Holm)."
)
_LEFT = (
    "The share of answers that are right, given the right lines before them, when one sublayer adds only its mean over "
    "held-out rows. Each point is one seed; the hollow point is the same model as it is."
)
