"""R5 and R6: what analyses of checkpoints say of the claims about what models learn.

A study is a folder that ``listops-bench analyze CHECKPOINT ... --output-dir FOLDER`` has written; of it this reads
``comparison.json``, strictly, and links the figures that set the checkpoints side by side.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from listops_bench._base.escape import markdown
from listops_bench._base.files import files_below
from listops_bench._base.text import p_text
from listops_bench.analysis.findings import (
    FILE_NAME,
    SUBLAYER_KINDS,
    CheckpointFindings,
    Findings,
    GroupFindings,
    SublayerKind,
    read_findings,
)
from listops_bench.claims._evidence import NO_ORDER, NO_RISE, NO_WAVE, SEPARATED, side_of, stages_of
from listops_bench.claims._render import spell_difference
from listops_bench.claims._specs import Decision
from listops_bench.errors import InvalidInput
from listops_bench.result.learned import LEARNED
from listops_bench.stats.differences import SIGNIFICANT, Difference
from listops_bench.stats.intervals import mean_difference, mean_interval

Measure = Callable[[CheckpointFindings], float]


# --- files ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Study:
    """A comparison of checkpoints on one operation; ``figures`` are those side by side."""

    folder: Path
    findings: Findings
    figures: tuple[Path, ...]

    @property
    def num_learned(self) -> int:
        """Checkpoints that get enough of the traces right for the operation to count as learned."""
        return sum(checkpoint.exact.accuracy >= LEARNED for checkpoint in self.findings.checkpoints)

    @property
    def ablations(self) -> list[tuple[SublayerKind, str]]:
        """Kinds of sublayers and layers: 1, 2, ..., all."""
        layers = {layer for one in self.findings.checkpoints for of in one.without.values() for layer in of}
        ordered = sorted(layers, key=lambda layer: (layer == "all", len(layer), layer))
        return [(kind, layer) for kind in SUBLAYER_KINDS for layer in ordered]

    def ablated(self, group: GroupFindings) -> list[list[float]]:
        """Shares of last steps right without each of ``ablations``, by checkpoint."""
        return [
            [c.without[kind][layer].accuracy for c in group.checkpoints if layer in c.without.get(kind, ())]
            for kind, layer in self.ablations
        ]

    @property
    def pair(self) -> tuple[GroupFindings, GroupFindings] | None:
        """SUM alone and SUM with MAX and MED, of one architecture: those with most checkpoints."""
        alone, joint = (
            [group for group in self.findings.groups if _stages(group) == side_of(side)[1]]
            for side in ("sum after sum", "sum after sum_max_med")
        )
        pairs = [(a, b) for a, b in itertools.product(alone, joint) if a.architecture == b.architecture]
        return max(pairs, key=lambda pair: sum(len(group.checkpoints) for group in pair), default=None)


def _stages(group: GroupFindings) -> tuple[frozenset[str], ...]:
    try:
        return stages_of(group.checkpoints[0].curriculum)
    except InvalidInput:
        return ()


def read_studies(folder: str | os.PathLike[str]) -> list[Study]:
    """The studies of SUM below a folder, that with most models that solve it first; none where there is no such folder.

    Raises:
        InvalidInput: a comparison that is not what `listops-bench analyze` writes.
    """
    studies = []
    for path in (path for path in files_below(Path(folder)) if path.name == FILE_NAME):
        findings = read_findings(path)
        if findings.operation == "sum":
            drawn = sorted(path.parent.glob("figures/*.svg"))
            beside = tuple(figure for figure in drawn if not re.match(r"\d+-", figure.name))
            studies.append(Study(path.parent, findings, beside))
    return sorted(studies, key=lambda study: (-study.num_learned, -len(study.findings.checkpoints)))


# --- what they decide -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A part of a claim: what is decided of it, the figure in words, and what would have to be seen to change that."""

    name: str
    decision: Decision
    words: str
    turn: str = ""


def structure(alone: GroupFindings, joint: GroupFindings) -> list[Part]:
    """R5: order, parity and waves of the numbers' embeddings, and operands never trained on."""
    order, parity = _values(joint, _order), _values(joint, _parity)
    gap = mean_difference(order, _values(alone, _order))
    fresh = mean_difference(_values(joint, lambda c: c.unseen.accuracy), _values(alone, lambda c: c.unseen.accuracy))
    p, q = joint.order_p_adjusted, joint.parity_p_adjusted
    limits = mean_interval(parity)
    spread = "" if limits is None else f" ({max(0, limits[0]):.0%} to {min(1, limits[1]):.0%})"
    gap_words = "not determined" if gap is None else f"{gap.estimate:.2f} ({gap.low:.2f} to {gap.high:.2f})"
    seeds, both = f"{len(order)} seeds", f"{len(order)} seeds and {len(alone.checkpoints)}"
    parts = [
        Part(
            "no structure after SUM alone",
            _no_structure(alone),
            f"order {fmean(_values(alone, _order)):.2f}, {p_text(alone.order_p_adjusted)}; parity "
            f"{fmean(_values(alone, _parity)):.0%} told right, {p_text(alone.parity_p_adjusted)}{_added_later(alone)}, "
            f"{len(alone.checkpoints)} seeds",
            f"no adjusted p below {SIGNIFICANT} there, the least being {min(_tested(alone)):.3f}"
            if _no_structure(alone) == "against"
            else "",
        ),
        Part("order after joint training", _stands_out(p, order, 0), f"{fmean(order):.2f}, {p_text(p)}, {seeds}"),
        Part("order, joint minus alone", _rises(gap, 0), f"{gap_words}, {both}"),
        Part(
            "parity after joint training",
            _stands_out(q, parity, SEPARATED),
            f"{fmean(parity):.0%} told right{spread}, {p_text(q)}, {seeds}",
        ),
        Part("unseen operands, joint minus alone", _rises(fresh), f"{_points(fresh)}, {both}"),
    ]
    return [replace(part, words=markdown(part.words).replace("-", "−")) for part in parts]


def _added_later(alone: GroupFindings) -> str:
    """Of parity beyond order and of waves, which older analyses do not compare."""
    if alone.beyond_p_adjusted is None or alone.waves_p_adjusted is None:
        return "; parity beyond order and waves not compared"
    return (
        f", beyond order {p_text(alone.beyond_p_adjusted)}; strongest wave {fmean(_values(alone, _waves)):.1f} "
        f"standard deviations, {p_text(alone.waves_p_adjusted)}"
    )


def reliance(alone: GroupFindings, joint: GroupFindings) -> list[Part]:
    """R6: attention's share of what is written into the residual stream."""
    own, other = (_values(group, lambda c: c.attention_share) for group in (alone, joint))
    gap = mean_difference(other, own)
    limits = mean_interval(own)
    leans: Decision = "open"
    if limits is not None:
        leans = "for" if limits[1] < 0.5 else "against" if limits[0] > 0.5 else "open"
    spread = "" if limits is None else f" ({max(0, limits[0]):.1%} to {min(1, limits[1]):.1%})"
    both = f"{len(other)} and {len(own)} seeds"
    return [
        Part("attention's share, SUM alone", leans, f"{fmean(own):.1%}{spread}, {len(own)} seeds"),
        Part("joint minus alone", _rises(gap), f"{_points(gap)}, {both}"),
    ]


def _stands_out(p: float, values: Sequence[float], bound: float) -> Decision:
    """For, where chance is rejected; against, where the mean's interval is below a bound."""
    limits = mean_interval(values)
    return "for" if p < SIGNIFICANT else "against" if limits is not None and limits[1] < bound else "open"


def _no_structure(group: GroupFindings) -> Decision:
    """Against, where order, parity or a wave stands out; for, where the interval of each mean excludes it."""
    if min(_tested(group)) < SIGNIFICANT:
        return "against"
    bounds = ((_order, NO_ORDER), (_parity, SEPARATED), (_waves, NO_WAVE))
    limits = [(mean_interval(_values(group, of)), bound) for of, bound in bounds]
    return "for" if all(found is not None and found[1] < bound for found, bound in limits) else "open"


def _tested(group: GroupFindings) -> list[float]:
    """The adjusted p of its tests of structure; older analyses made two of them."""
    tested = (group.order_p_adjusted, group.parity_p_adjusted, group.beyond_p_adjusted, group.waves_p_adjusted)
    return [p for p in tested if p is not None]


def _rises(gap: Difference | None, no_rise: float = NO_RISE) -> Decision:
    """Whether a difference is above 0, or below what would be a rise."""
    if gap is None:
        return "open"
    return "for" if gap.low > 0 else "against" if gap.high < no_rise else "open"


def _order(of: CheckpointFindings) -> float:
    return of.order.value


def _parity(of: CheckpointFindings) -> float:
    return of.parity.value


def _waves(of: CheckpointFindings) -> float:
    return math.nan if of.waves is None else of.waves.value


def _values(group: GroupFindings, of: Measure) -> list[float]:
    return [of(checkpoint) for checkpoint in group.checkpoints]


def _points(gap: Difference | None) -> str:
    return spell_difference(gap, 1) or "not determined"
