"""A claim: its verdict, the figure that gives it, what is missing, and how contrasts become all of this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from listops_bench._base.text import count
from listops_bench.claims._evidence import Combine, Contrast, Decision, Evidence, Look, Pool, scheme_of
from listops_bench.claims._tables import (
    LinkOf,
    arms_of,
    contrast_table,
    details,
    rung_table,
    setting_name,
    size_table,
    spell_look,
)
from listops_bench.leaderboard.groups import Setting
from listops_bench.pages.tables import code

NO_RESULTS = "no results"
SHOWN = 4
"""Looks that the summary spells out; the others stand in the claim's section."""


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


def figure_of(found: Sequence[Evidence], shown: int = SHOWN) -> str:
    if not found:
        return NO_RESULTS
    first = found[0]
    words = [_short(look) for look in first.looks[:shown]]
    left = len(first.looks) - len(words)
    words += [f"{left} more below"] if left else []
    for decision in ("for", "against"):
        number = sum(decision in other.decisions for other in found[1:])
        words += [f"{number} of {len(found) - 1} other settings have contrasts {decision} it"] if number else []
    return "<br>".join(words)


def _short(look: Look) -> str:
    """One look in a line: ``sum_max_med against sum, 3 budgets: N50 ratio 0.3 (0.1 to 0.6), 15 and 15 runs``."""
    contrasts = look.contrasts if isinstance(look, Pool) else (look,)
    first, second = contrasts[0].first, contrasts[0].second
    names = first.curriculum, second.curriculum
    budgets = ""
    if isinstance(look, Pool):
        names = scheme_of(names[0]), scheme_of(names[1])
        budgets = f", {len(contrasts)} numbers of steps"
    runs = [sum(getattr(c, side).threshold.runs for c in contrasts) for side in ("first", "second")]
    figure = spell_look(look)
    what = "N50 ratio " if isinstance(look, Pool) or look.by_ratio else ""
    return f"{code(names[0])} against {code(names[1])}{budgets}: {what}{figure}, {runs[0]} and {runs[1]} runs"


def what_is_open(found: Sequence[Evidence], needs: str) -> str:
    """What would decide an open claim whose contrasts leave it open."""
    if not found:
        return needs
    words = []
    decisions = set(found[0].decisions)
    if {"for", "against"} <= decisions:
        words.append("contrasts contradict each other: say for which steps and sizes it is meant")
    open_ = [look for look, decision in found[0].decided if decision == "open" and isinstance(look, Contrast)]
    more = {True: "more seeds, or sizes between and beyond those tried", False: "more seeds, or a second size"}
    for by_ratio, few in more.items():
        names = [
            code(name) for c in open_ if c.by_ratio == by_ratio for name in (c.first.curriculum, c.second.curriculum)
        ]
        own = list(dict.fromkeys(names))
        words += [f"{few}, of {', '.join(own[:SHOWN])}{' and others' if len(own) > SHOWN else ''}"] if own else []
    return "; ".join(words)


def sections(found: Sequence[Evidence], link: LinkOf) -> list[str]:
    """The contrasts of the setting that decides and the runs behind them; the other settings folded away."""
    parts = []
    for place, one in enumerate(found):
        runs = rung_table(arms_of(one.contrasts), link)
        level = f"Decisions are made at {one.confidence:.1%}, for {count(len(one.looks), 'look')}."
        if place == 0:
            sizes = details("At equal sizes", size_table(one.contrasts))
            parts += [f"{setting_name(one.setting)}. {level}", contrast_table(one), sizes, details("The runs", runs)]
        else:
            name = f"Other setting: {_plain_name(one.setting)}"
            parts.append(details(name, level, contrast_table(one), size_table(one.contrasts), runs))
    return [part for part in parts if part]


def _plain_name(setting: Setting) -> str:
    return setting_name(setting).replace("`", "")
