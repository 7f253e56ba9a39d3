"""R5 and R6: what analyses of checkpoints say of the claims about what models learn.

A study is a folder that ``listops-bench analyze CHECKPOINT ... --output-dir FOLDER`` has written; of it this reads
``comparison.json``, strictly, and links the figures that set the checkpoints side by side.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from listops_bench.analysis.findings import (
    FILE_NAME,
    SIGNIFICANT,
    CheckpointFindings,
    GroupFindings,
    Sublayer,
    read_findings,
)
from listops_bench.claims._evidence import Decision, all_for, stages_of
from listops_bench.claims._sizes import PARTNERS, SUM
from listops_bench.claims._tables import DECIDED, share, spell_difference
from listops_bench.claims.claim import NO_RESULTS, Claim
from listops_bench.errors import InvalidInput
from listops_bench.pages.tables import LEFT, RIGHT, code, table
from listops_bench.result.learned import LEARNED
from listops_bench.stats.differences import Difference
from listops_bench.stats.intervals import mean_difference, mean_interval

SEPARATED = 0.75
"""Half the way from guessing even or odd to telling all numbers right."""
NO_RISE = 0.05
"""A difference of shares whose interval is below it is no rise."""


# --- files ------------------------------------------------------------------------------------------------------------


def _stages(group: GroupFindings) -> tuple[frozenset[str], ...]:
    try:
        return stages_of(group.checkpoints[0].curriculum)
    except InvalidInput:
        return ()


def _values(group: GroupFindings, of: Callable[[CheckpointFindings], float]) -> list[float]:
    return [of(checkpoint) for checkpoint in group.checkpoints]


@dataclass(frozen=True)
class Study:
    """A comparison of checkpoints on one operation; ``figures`` are those side by side."""

    folder: Path
    operation: str
    groups: tuple[GroupFindings, ...]
    figures: tuple[Path, ...]

    @property
    def num_learned(self) -> int:
        """Checkpoints that get enough of the traces right for the operation to count as learned."""
        return sum(line.exact.accuracy >= LEARNED for group in self.groups for line in group.checkpoints)

    def group(self, architecture: str, *stages: frozenset[str]) -> GroupFindings | None:
        """The one of a curriculum; the one with most seeds, where steps differ."""
        able = [group for group in self.groups if (group.architecture, _stages(group)) == (architecture, stages)]
        return max(able, key=lambda group: len(group.checkpoints), default=None)

    @property
    def pair(self) -> tuple[GroupFindings, GroupFindings] | None:
        """SUM alone and SUM with MAX and MED, of one architecture: that with most checkpoints."""
        pairs = []
        for name in dict.fromkeys(group.architecture for group in self.groups):
            alone, joint = self.group(name, SUM), self.group(name, SUM | PARTNERS)
            if alone is not None and joint is not None:
                pairs.append((alone, joint))
        return max(pairs, key=lambda pair: sum(len(group.checkpoints) for group in pair), default=None)


def read_studies(folder: str | os.PathLike[str]) -> list[Study]:
    """The studies of SUM below a folder, that with most models that solve it first; none where there is no such folder.

    Raises:
        InvalidInput: a comparison that is not what `listops-bench analyze` writes.
    """
    found = [_read(path) for path in sorted(Path(folder).rglob(FILE_NAME))]
    return sorted(
        (study for study in found if study.operation == "sum"),
        key=lambda study: (-study.num_learned, -sum(len(group.checkpoints) for group in study.groups)),
    )


def _read(path: Path) -> Study:
    content = read_findings(path)
    figures = [p for p in sorted(path.parent.glob("figures/*.svg")) if not re.match(r"\d+-", p.name)]
    return Study(path.parent, content.operation, tuple(content.groups), tuple(figures))


# --- R5: number-like embeddings ---------------------------------------------------------------------------------------


def claims_of_studies(studies: Sequence[Study], link: Callable[[Path], str]) -> list[Claim]:
    """R5 and R6; ``link`` makes a path a link's target."""
    able = [study for study in studies if study.pair is not None]
    return [_r5(able, link), _r6(able, link)]


_NEEDS = "an analysis of checkpoints of SUM alone and of SUM with MAX and MED, of one size, three seeds or more each"


def _r5(studies: Sequence[Study], link: Callable[[Path], str]) -> Claim:
    parts = {} if not studies else _structure(*_pair(studies[0]))
    verdict = all_for([decision for decision, _ in parts.values()])
    missing = [name for name, (decision, _) in parts.items() if decision == "open"]
    return Claim(
        "R5",
        "After SUM alone the embeddings of the numbers have no structure, a sign of memorising; after joint training "
        "they follow the order of the numbers and tell even from odd.",
        verdict,
        _parts_words(parts) or NO_RESULTS,
        "" if verdict != "open" else (f"more seeds, for: {', '.join(missing)}" if parts else _NEEDS),
        "Four parts, of the study with most checkpoints that have learned SUM. *Order after joint training*: the rank "
        "correlation of the numbers with predictions of each from the others' embeddings, over seeds; for it with an "
        f"adjusted p below {SIGNIFICANT} (label permutations), against it if the mean's 95% interval lies below 0. "
        "*Order, joint minus alone*: for or against it where Welch's 95% interval is above or below 0. *Parity after "
        "joint training*: the share of numbers told to be even or odd rightly from the others; for it with an adjusted "
        f"p below {SIGNIFICANT}, against it if the mean's 95% interval ends below {SEPARATED:.0%}, half the way from "
        "guessing to all. *Unseen operands, joint minus alone* (memorising): exact traces on rows with operands never "
        "trained on; for it if Welch's 95% interval is above 0, against it if that ends below "
        f"{100 * NO_RISE:.0f} points. It holds if all four are for it; one against it refutes the claim as a whole.",
        tuple(part for study in studies for part in _r5_parts(study, link)),
    )


Parts = dict[str, tuple[Decision, str]]
"""The parts of a claim: what each decides, and in words."""


def _parts_words(parts: Parts) -> str:
    return "<br>".join(f"{name}: {words} ({DECIDED[decision]})" for name, (decision, words) in parts.items())


def _pair(study: Study) -> tuple[GroupFindings, GroupFindings]:
    assert study.pair is not None
    return study.pair


def _structure(alone: GroupFindings, joint: GroupFindings) -> Parts:
    order, parity = _values(joint, lambda c: c.order.value), _values(joint, lambda c: c.parity.value)
    gap = mean_difference(order, _values(alone, lambda c: c.order.value))
    order_limits, parity_limits = mean_interval(order), mean_interval(parity)
    p, q = joint.order_p_adjusted, joint.parity_p_adjusted
    low = order_limits is not None and order_limits[1] < 0
    ordered: Decision = "for" if p < SIGNIFICANT else "against" if low else "open"
    apart: Decision = "open" if gap is None else "for" if gap.low > 0 else "against" if gap.high < 0 else "open"
    mixed = parity_limits is not None and parity_limits[1] < SEPARATED
    told: Decision = "for" if q < SIGNIFICANT else "against" if mixed else "open"
    fresh = mean_difference(_values(joint, _unseen), _values(alone, _unseen))
    gap_words = "not determined" if gap is None else f"{gap.estimate:.2f} ({gap.low:.2f} to {gap.high:.2f})"
    fresh_words = spell_difference(fresh, 1) or "not determined"
    limits = "" if parity_limits is None else f" ({max(0, parity_limits[0]):.0%} to {min(1, parity_limits[1]):.0%})"
    seeds, both = f"{len(order)} seeds", f"{len(order)} seeds and {len(alone.checkpoints)}"
    words = {
        "order after joint training": (ordered, f"{fmean(order):.2f}, {_p(p)}, {seeds}"),
        "order, joint minus alone": (apart, f"{gap_words}, {both}"),
        "parity after joint training": (told, f"{fmean(parity):.0%} told right{limits}, {_p(q)}, {seeds}"),
        "unseen operands, joint minus alone": (_rises(fresh), f"{fresh_words}, {both}"),
    }
    return {name: (decision, text.replace("-", "−")) for name, (decision, text) in words.items()}


def _rises(gap: Difference | None) -> Decision:
    """Whether a difference of shares is above 0, or below what would be a rise."""
    if gap is None:
        return "open"
    return "for" if gap.low > 0 else "against" if gap.high < NO_RISE else "open"


def _unseen(checkpoint: CheckpointFindings) -> float:
    return checkpoint.unseen.accuracy


_STRUCTURE = (
    ("model", LEFT), ("trained on", LEFT), ("seeds", RIGHT), ("exact traces: mean (range)", RIGHT),
    ("unseen operands", RIGHT), ("held-out facts", RIGHT), ("order: mean (range)", RIGHT), ("adjusted p", RIGHT),
    ("parity: mean (range)", RIGHT), ("adjusted p", RIGHT),
)  # fmt: skip


_FIGURES = {
    "axes": "number embeddings on their first two principal axes",
    "compare": "order and parity by curriculum",
    "reliance": "what is left without each sublayer",
}


def _r5_parts(study: Study, link: Callable[[Path], str]) -> list[str]:
    rows = []
    for group in study.groups:
        known = [c.facts.accuracy for c in group.checkpoints if c.facts is not None]
        order = _values(group, lambda c: c.order.value)
        rows.append((
            code(group.architecture), _curricula(group), str(len(group.checkpoints)),
            share(_values(group, lambda c: c.exact.accuracy)), share(_values(group, lambda c: c.unseen.accuracy)),
            share(known), _range(order), _p(group.order_p_adjusted),
            share(_values(group, lambda c: c.parity.value)), _p(group.parity_p_adjusted),
        ))  # fmt: skip
    words = (
        f"Study [{code(study.folder.name)}]({link(study.folder)}), SUM rows. Unseen operands: test rows that evaluate "
        "SUM on operands never trained on. Held-out facts: multisets of three such operands whose sum is known in "
        "every order."
    )
    checkpoints = sum(len(group.checkpoints) for group in study.groups)
    words += f" {study.num_learned} of the {checkpoints} checkpoints get {LEARNED:.0%} of the test traces right."
    pictures = [f"![{_FIGURES.get(figure.stem, 'figure')}]({link(figure)})" for figure in study.figures]
    return [words, table(_STRUCTURE, rows), *pictures]


def _curricula(group: GroupFindings) -> str:
    return ", ".join(dict.fromkeys(code(checkpoint.curriculum) for checkpoint in group.checkpoints))


def _range(values: Sequence[float]) -> str:
    text = f"{fmean(values):.2f}"
    text += f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return text.replace("-", "−")


def _p(value: float) -> str:
    return "p &lt; 0.001" if value < 0.001 else f"p = {value:.3f}"


# --- R6: attention against feed-forward -------------------------------------------------------------------------------


def _r6(studies: Sequence[Study], link: Callable[[Path], str]) -> Claim:
    parts = {} if not studies else _leaning(*_pair(studies[0]))
    verdict = all_for([decision for decision, _ in parts.values()])
    missing = [name for name, (decision, _) in parts.items() if decision == "open"]
    return Claim(
        "R6",
        "Models of SUM alone lean on feed-forward layers; joint models use attention more.",
        verdict,
        _parts_words(parts) or NO_RESULTS,
        "" if verdict != "open" else (f"more seeds, for: {', '.join(missing)}" if parts else _NEEDS),
        "Attention's share of what is written into the residual stream (median norms of all sublayers, relative to the "
        "stream), in the study with most checkpoints that have learned SUM. *SUM alone*: for it if the mean's 95% "
        "interval is below 50%, against it if it is above. *Joint minus alone*: for it if Welch's 95% interval over "
        f"seeds is above 0, against it if that ends below {100 * NO_RISE:.0f} points. It holds if both are for it; one "
        "against it refutes it. "
        "Ablations stand beside it and decide nothing: a model that has not learned has little to lose.",
        tuple(part for study in studies for part in _r6_parts(study, link)),
    )


def _leaning(alone: GroupFindings, joint: GroupFindings) -> Parts:
    own, other = (_values(group, lambda c: c.attention_share) for group in (alone, joint))
    limits, gap = mean_interval(own), mean_difference(other, own)
    leans: Decision = "open"
    spread = ""
    if limits is not None:
        leans = "for" if limits[1] < 0.5 else "against" if limits[0] > 0.5 else "open"
        spread = f" ({max(0, limits[0]):.1%} to {min(1, limits[1]):.1%})"
    words = spell_difference(gap, 1) or "not determined"
    return {
        "attention's share, SUM alone": (leans, f"{fmean(own):.1%}{spread}, {len(own)} seeds"),
        "joint minus alone": (_rises(gap), f"{words}, {len(other)} and {len(own)} seeds"),
    }


def _r6_parts(study: Study, link: Callable[[Path], str]) -> list[str]:
    kinds: dict[Sublayer, str] = {"attention": "attention", "feed_forward": "feed-forward"}
    layers = list(dict.fromkeys(_layers(study.groups)))
    columns = [
        ("model", LEFT), ("trained on", LEFT), ("seeds", RIGHT), ("attention share: mean (range)", RIGHT),
        ("last steps right", RIGHT),
        *((f"without {name} {layer}", RIGHT) for name in kinds.values() for layer in layers),
    ]  # fmt: skip
    rows = []
    for group in study.groups:
        cells = [
            _mean(c.without[kind][layer].accuracy for c in group.checkpoints if layer in c.without.get(kind, ()))
            for kind in kinds
            for layer in layers
        ]
        rows.append((
            code(group.architecture), _curricula(group), str(len(group.checkpoints)),
            share(_values(group, lambda c: c.attention_share)),
            _mean(c.last_step.accuracy for c in group.checkpoints), *cells,
        ))  # fmt: skip
    words = (
        f"Study [{code(study.folder.name)}]({link(study.folder)}). Last steps right: answers to SUM rows given the "
        "right lines before them, the mean over seeds; then what is left with the mean output of a layer or loop (1, "
        "2, ..., all) in place of its attention or feed-forward output."
    )
    return [words, table(columns, rows)]


def _layers(groups: Iterable[GroupFindings]) -> list[str]:
    found = {layer for group in groups for c in group.checkpoints for of in c.without.values() for layer in of}
    return sorted(found, key=lambda layer: (layer == "all", len(layer), layer))


def _mean(values: Iterable[float]) -> str:
    found = list(values)
    return f"{fmean(found):.0%}" if found else ""
