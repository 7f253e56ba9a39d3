"""The tables behind the claims, as Markdown: contrasts, the runs of each size, and where the budget decides."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from listops_bench.claims._evidence import Contrast, Decision, Evidence, Look, Pool, Rung, rungs, scheme_of
from listops_bench.leaderboard.arms import Arm, spell_limits, spell_threshold, time_to_learn
from listops_bench.leaderboard.groups import Group, Setting
from listops_bench.pages.tables import LEFT, RIGHT, code, table
from listops_bench.stats.differences import Difference, difference
from listops_bench.stats.intervals import Summary, mean_difference
from listops_bench.stats.threshold import Ratio, Threshold
from listops_bench.tasks.task import task_order

LinkOf = Callable[[Group], str]
"""The Markdown link to a group's result folder, around a text: ``link(group)`` is the target."""

DECIDED: dict[Decision, str] = {"for": "for the claim", "against": "against it", "open": "open"}


# --- numbers ----------------------------------------------------------------------------------------------------------


def spell(number: Threshold | Ratio) -> str:
    """``12,300 (9,100 to 20,000)`` or ``&gt; 34,560``."""
    limits = spell_limits(number)
    text = spell_threshold(number) + (f" ({limits})" if limits else "")
    return text.replace(">", "&gt;").replace("<", "&lt;")


def points(value: float, digits: int = 0) -> str:
    """``+45``, ``−3``: a difference of shares in percentage points."""
    text = f"{100 * value:+.{digits}f}"
    return "0" if text in ("+0", "-0") else text.replace("-", "−")


def spell_difference(found: Difference | None, digits: int = 0) -> str:
    """``+60 points (13 to 89)``."""
    if found is None:
        return ""
    estimate, low, high = (points(value, digits) for value in (found.estimate, found.low, found.high))
    return f"{estimate} points ({low} to {high})"


def spell_look(look: Look) -> str:
    """The figure that decides, with its 95% interval."""
    if isinstance(look, Contrast) and not look.by_ratio:
        gain = look.gain()
        return f"{spell_difference(gain)} at {look.shared[0][0].parameters:,} parameters" if gain else "no common size"
    number = look.ratio()
    assert number is not None
    return spell(number) if number.estimate is not None else _undetermined(number)


def _undetermined(number: Ratio) -> str:
    limits = spell_limits(number)
    return f"not determined ({limits})" if limits else "not determined"


def share(values: Sequence[float]) -> str:
    """``97.1% (95.2–98.8)``: mean and range over runs."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.1%}"
    return f"{fmean(values):.1%} ({100 * min(values):.1f}–{100 * max(values):.1f})"


def learned_share(rung: Rung) -> str:
    """``3/5 (23–88%)``: with Wilson's interval of the share."""
    summary = Summary.of(rung.learned, rung.runs)
    return f"{rung.learned}/{rung.runs} ({100 * summary.low:.0f}–{100 * summary.high:.0f}%)"


def trained_on(arm: Arm) -> str:
    several = "" if arm.recipes == 1 else " (best recipe on validation)" if arm.chosen else " (several recipes)"
    return code(arm.curriculum) + several


def setting_name(setting: Setting) -> str:
    """``looped, 3 layers, 1 head, modulus 10, depth 2, parallel traces, reference track``."""
    word = "loop" if setting.family.startswith(("looped", "listops_looped")) else "layer"
    layers = [] if setting.layers is None else [f"{setting.layers} {word}{'' if setting.layers == 1 else 's'}"]
    heads = [] if setting.heads is None else [f"{setting.heads} head{'' if setting.heads == 1 else 's'}"]
    return ", ".join(
        [
            code(setting.family), *layers, *heads, f"modulus {setting.modulus}", f"depth {setting.depth}",
            f"{setting.trace} traces", f"{setting.track} track",
        ]
    )  # fmt: skip


# --- contrasts --------------------------------------------------------------------------------------------------------

_CONTRASTS = (
    ("scored on", LEFT), ("trained on", LEFT), ("against", LEFT), ("alike", LEFT), ("seen", RIGHT), ("runs", RIGHT),
    ("N50", RIGHT), ("N50 of the other", RIGHT), ("ratio of N50, or gain at one size", RIGHT), ("decides", LEFT),
)  # fmt: skip


def contrast_table(found: Evidence) -> str:
    """A line for each contrast: both thresholds, and their ratio with its interval."""
    rows: list[tuple[str, ...]] = []
    for look, decision in found.decided:
        first, second = _ends(look)
        if isinstance(look, Pool):
            names = code(scheme_of(first.curriculum)), code(scheme_of(second.curriculum))
            runs = [sum(getattr(c, side).threshold.runs for c in look.contrasts) for side in ("first", "second")]
            cells = (
                *names,
                f"one ratio for {len(look.contrasts)} numbers of steps",
                "",
                f"{runs[0]} / {runs[1]}",
                "",
                "",
            )
        else:
            alike = f"{first.budget:,} steps" if look.equal == "steps" else "reductions"
            runs = [first.threshold.runs, second.threshold.runs]
            names = trained_on(first), trained_on(second)
            cells = (*names, alike, _seen(first, second), f"{runs[0]} / {runs[1]}", _n50(first), _n50(second))
        rows.append((_scored(look), *cells, spell_look(look), DECIDED[decision]))
    return table(_CONTRASTS, rows)


_SIZES = (
    ("scored on", LEFT), ("trained on", LEFT), ("against", LEFT), ("parameters", RIGHT), ("learned", RIGHT),
    ("difference (95%, exact)", RIGHT), ("mean exact traces", RIGHT), ("difference (95%, Welch)", RIGHT),
)  # fmt: skip


def size_table(contrasts: Iterable[Contrast]) -> str:
    """A line for each size that both arms of a contrast were tried on: shares of seeds that learned, and means."""
    rows: list[tuple[str, ...]] = []
    for contrast in contrasts:
        for one, two in contrast.shared:
            own, other = one.accuracies(), two.accuracies()
            rows.append((
                _scored(contrast), trained_on(contrast.first), trained_on(contrast.second), f"{one.parameters:,}",
                f"{one.learned}/{one.runs} and {two.learned}/{two.runs}",
                spell_difference(difference(one.learned, one.runs, two.learned, two.runs)),
                f"{fmean(own):.1%} and {fmean(other):.1%}", spell_difference(mean_difference(own, other)),
            ))  # fmt: skip
    return table(_SIZES, rows)


def _scored(look: Look) -> str:
    return " and ".join(dict.fromkeys(code(arm.task) for arm in _ends(look)))


def _ends(look: Look) -> tuple[Arm, Arm]:
    contrast = look.contrasts[0] if isinstance(look, Pool) else look
    return contrast.first, contrast.second


def _n50(arm: Arm) -> str:
    return spell(arm.threshold) if len(arm.threshold.outcomes) > 1 else "one size"


def _seen(first: Arm, second: Arm) -> str:
    """How often the first saw the operations that it is scored on, for once that the other saw its own."""
    return f"{first.exposure / second.exposure:.2f}" if second.exposure else ""


# --- runs -------------------------------------------------------------------------------------------------------------

_RUNGS = (
    ("model", LEFT), ("parameters", RIGHT), ("scored on", LEFT), ("trained on", LEFT), ("learned (95% Wilson)", RIGHT),
    ("exact traces: mean (range)", RIGHT), ("unseen operands", RIGHT), ("median steps to learn", RIGHT),
    ("results", LEFT),
)  # fmt: skip


def rung_table(found: Iterable[Arm], link: LinkOf) -> str:
    """A line for each arm and size: how many seeds learned, how well they do, how long it took."""
    rows = []
    for arm in found:
        for rung in rungs(arm):
            model = ", ".join(dict.fromkeys(code(group.model) for group in rung.groups))
            folders = ", ".join(f"[{group.rows}]({link(group)})" for group in rung.groups)
            rows.append((
                model, f"{rung.parameters:,}", code(arm.task), trained_on(arm), learned_share(rung),
                share(rung.accuracies()), share(rung.accuracies("test_unseen_operands")), _median(rung), folders,
            ))  # fmt: skip
    return table(_RUNGS, rows)


def arms_of(found: Iterable[Contrast]) -> list[Arm]:
    """All arms of some contrasts, each once, by task, budget and curriculum."""
    arms = {id(arm): arm for contrast in found for arm in (contrast.first, contrast.second)}
    return sorted(arms.values(), key=lambda arm: (task_order(arm.task), arm.budget, arm.kind, arm.curriculum))


def _median(rung: Rung) -> str:
    time = time_to_learn(rung.groups)
    if time is None or not time.runs:
        return ""
    if time.median is None:
        return f"&gt; {rung.arm.budget:,}"
    return f"{time.median:,}"


def details(summary: str, *parts: str) -> str:
    """Folded away on GitHub; nothing where there is nothing."""
    inside = [part for part in parts if part]
    return "\n\n".join([f"<details><summary>{summary}</summary>", *inside, "</details>"]) if inside else ""


# --- budgets ----------------------------------------------------------------------------------------------------------

_BUDGETS = (
    ("scored on", LEFT), ("trained on", LEFT), ("model", LEFT), ("parameters", RIGHT), ("fewer steps", RIGHT),
    ("learned", RIGHT), ("more steps", RIGHT), ("learned", RIGHT), ("difference (95%)", RIGHT), ("decided", LEFT),
)  # fmt: skip


def budget_rows(arms: Iterable[Arm]) -> list[tuple[Rung, Rung, Difference, bool]]:
    """Sizes at which most seeds learned within a budget and most did not within the next smaller one.

    With the difference of the shares, and whether its interval, widened for the number of pairs looked at, is above 0.
    """
    by_scheme: dict[tuple[Setting, str, str, int], list[Rung]] = defaultdict(list)
    for arm in arms:
        for rung in rungs(arm):
            by_scheme[arm.setting, arm.task, scheme_of(arm.curriculum), rung.parameters].append(rung)
    pairs: list[tuple[Rung, Rung]] = []
    for found in by_scheme.values():
        ordered = sorted(found, key=lambda rung: rung.arm.budget)
        pairs += [(a, b) for a, b in itertools.pairwise(ordered) if a.arm.budget < b.arm.budget]
    rows = []
    for less, more in pairs:
        if more.mostly and not less.mostly:
            counts = (more.learned, more.runs, less.learned, less.runs)
            wide = difference(*counts, 1 - 0.05 / len(pairs))
            rows.append((less, more, difference(*counts), wide.low > 0))
    return rows


def budget_table(rows: Sequence[tuple[Rung, Rung, Difference, bool]]) -> str:
    return table(
        _BUDGETS,
        [
            (
                code(more.arm.task), code(scheme_of(more.arm.curriculum)), code(more.groups[0].model),
                f"{more.parameters:,}", f"{less.arm.budget:,}", f"{less.learned}/{less.runs}", f"{more.arm.budget:,}",
                f"{more.learned}/{more.runs}", spell_difference(gap), "yes" if decided else "no",
            )
            for less, more, gap, decided in rows
        ],
    )  # fmt: skip
