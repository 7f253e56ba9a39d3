"""A claim: its verdict, the figure that gives it, what is missing, and how contrasts become all of this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listops_bench._leaderboard_claims_evidence import Combine, Contrast, Decision, Evidence
from listops_bench._leaderboard_claims_tables import (
    LinkOf,
    arms_of,
    contrast_table,
    details,
    rung_table,
    setting_name,
    spell_contrast,
)
from listops_bench._leaderboard_groups import Setting, count
from listops_bench._leaderboard_markdown import code

NO_RESULTS = "no results"
SHOWN = 4
"""Contrasts that the summary spells out; the others stand in the claim's section."""


@dataclass(frozen=True)
class Claim:
    """One row of the summary, and the section behind it.

    Attributes:
        verdict: ``for`` is *holds*, ``against`` *does not hold*, ``open`` *not decided*.
        figure: Markdown of the key figure.
        missing: what would decide it; empty where it is decided.
        rule: from which evidence on it holds, and from which it does not.
        parts: Markdown of the section.
    """

    name: str
    statement: str
    verdict: Decision
    figure: str
    missing: str
    rule: str
    parts: tuple[str, ...] = ()


# --- of contrasts -----------------------------------------------------------------------------------------------------


def verdict_of(found: Sequence[Evidence], combine: Combine) -> Decision:
    """That of the setting with the most runs."""
    return combine(found[0].decisions) if found else "open"


def figure_of(found: Sequence[Evidence]) -> str:
    if not found:
        return NO_RESULTS
    first = found[0]
    words = [_short(contrast) for contrast in first.contrasts[:SHOWN]]
    left = len(first.contrasts) - len(words)
    words += [f"{left} more below"] if left else []
    for name, decision in (("for", "for"), ("against", "against")):
        number = sum(decision in other.decisions for other in found[1:])
        words += [f"{number} of {len(found) - 1} other settings have contrasts {name} it"] if number else []
    return "<br>".join(words)


def _short(contrast: Contrast) -> str:
    """A contrast in one line: ``sum_max_med:3000 against sum:3000: 0.3 (0.1 to 0.6), 15 and 15 runs``."""
    first, second = contrast.first, contrast.second
    names = f"{code(first.curriculum)} against {code(second.curriculum)}"
    runs = f"{first.threshold.runs} and {second.threshold.runs} runs"
    figure = spell_contrast(contrast)
    what = "N50 ratio " if contrast.on_ladders else ""
    return f"{names}: {what}{figure}, {runs}"


def what_is_open(found: Sequence[Evidence], needs: str) -> str:
    """What would decide an open claim whose contrasts leave it open."""
    if not found:
        return needs
    words = []
    decisions = set(found[0].decisions)
    if {"for", "against"} <= decisions:
        words.append("contrasts contradict each other: say for which steps and sizes it is meant")
    for contrast, decision in zip(found[0].contrasts, found[0].decisions, strict=True):
        if decision == "open":
            few = "more sizes" if not contrast.on_ladders else "more seeds, or sizes between and beyond those tried"
            words.append(f"{few} of {code(contrast.first.curriculum)} and {code(contrast.second.curriculum)}")
    return "; ".join(dict.fromkeys(words[:3]))


def sections(found: Sequence[Evidence], link: LinkOf) -> list[str]:
    """The contrasts of the setting that decides and the runs behind them; the other settings folded away."""
    parts = []
    for place, one in enumerate(found):
        runs = rung_table(arms_of(one.contrasts), link)
        level = f"Decisions are made at {one.confidence:.1%}, for {count(len(one.contrasts), 'contrast')}."
        if place == 0:
            parts += [f"{setting_name(one.setting)}. {level}", contrast_table(one), details("The runs", runs)]
        else:
            inside = details(f"Other setting: {_plain_name(one.setting)}", level, contrast_table(one), runs)
            parts.append(inside)
    return parts


def _plain_name(setting: Setting) -> str:
    return setting_name(setting).replace("`", "")
