"""Claims about what a model is trained on before and beside: R7 (transfer), R8 (size and curriculum), R9 (controls)."""

from __future__ import annotations

from collections.abc import Sequence

from listops_bench.claims._evidence import (
    Contrast,
    Decision,
    Evidence,
    Ladders,
    Look,
    against,
    all_for,
    any_for,
    at_equal_exposure,
    differs,
    evidence,
)
from listops_bench.claims._sizes import PARTNERS, SUM, is_bracketed, learning_rises
from listops_bench.claims._tables import LinkOf, spell_difference
from listops_bench.claims.claim import NO_RESULTS, Claim, figure_of, sections, verdict_of, what_is_open
from listops_bench.leaderboard.groups import Setting
from listops_bench.pages.tables import LEFT, RIGHT, code, table
from listops_bench.stats.differences import difference

SSUM, NADD = frozenset({"ssum"}), frozenset({"nadd"})

# --- R7: MAX and MED first --------------------------------------------------------------------------------------------

_BELOW = (
    ("parameters", RIGHT), ("steps", RIGHT), ("SUM alone", RIGHT), ("after", LEFT), ("learned", RIGHT),
    ("difference (95%)", RIGHT), ("SUM rows, mean exact traces", RIGHT),
)  # fmt: skip


def r7(ladders: Ladders, link: LinkOf) -> Claim:
    steps, exposure = [], []
    for setting in ladders.settings:
        transfer, alone = ladders.find(setting, SUM, PARTNERS, SUM), ladders.alone(setting, "sum")
        steps += against(transfer, alone)
        exposure += at_equal_exposure(transfer, alone)
    found, seen = evidence(steps), evidence(exposure)
    verdict = verdict_of(found, any_for)
    below = [row for contrast in (found[0].contrasts if found else ()) for row in _below(contrast)]
    parts = sections(found, link)
    if found:
        words = (
            "Sizes at which no seed of SUM alone learned, and what the transfer did there with as many steps in all. "
            "These sizes were picked by their outcome, so the table illustrates and the ratios above decide."
        )
        parts += [words, table(_BELOW, below) or "There is none among the sizes that both were tried on."]
    if seen:
        parts += [
            "At equal exposure to SUM, the transfer's steps on MAX and MED coming on top:",
            *sections(seen, link),
        ]
    return Claim(
        "R7",
        "Training on MAX and MED first lets models learn SUM that are too small to learn it alone.",
        verdict,
        figure_of(found) + (f"<br>{_below_words(found[0])}" if found else ""),
        ""
        if verdict != "open"
        else what_is_open(found, "MAX and MED, then SUM, beside SUM alone, at two sizes or more"),
        "Each contrast is SUM rows after training on MAX and MED and then on SUM (first) against SUM trained alone for "
        "as many steps in all, both stages counted. It holds if fewer parameters are shown to do at least once, and "
        "never shown not to. The paper's later version speaks of sizes 7 times smaller: a ratio of 0.14.",
        tuple(parts),
    )


def _below(contrast: Contrast) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for moved, alone in contrast.shared:
        if alone.learned == 0:
            gap = difference(moved.learned, moved.runs, alone.learned, alone.runs)
            means = " / ".join(f"{sum(a) / len(a):.1%}" for a in (moved.accuracies(), alone.accuracies()))
            rows.append((
                f"{moved.parameters:,}", f"{contrast.first.budget:,}", f"0/{alone.runs}",
                code(contrast.first.curriculum), f"{moved.learned}/{moved.runs}", spell_difference(gap), means,
            ))  # fmt: skip
    return rows


def _below_words(of: Evidence) -> str:
    pairs = [pair for contrast in of.contrasts for pair in contrast.shared if pair[1].learned == 0]
    if not pairs:
        return "no size at which SUM alone failed with every seed"
    learned, runs = sum(moved.learned for moved, _ in pairs), sum(moved.runs for moved, _ in pairs)
    return f"where SUM alone failed with every seed: {learned} of {runs} transferred runs learned"


# --- R8: size and curriculum ------------------------------------------------------------------------------------------


def r8(ladders: Ladders, link: LinkOf) -> Claim:
    own = [arm for arm in ladders.arms if len(arm.threshold.outcomes) > 1]
    by_size = [arm for arm in own if is_bracketed(arm)]
    contrasts: list[Contrast] = []
    for setting in ladders.settings:
        alone = ladders.alone(setting, "sum")
        for stages in ((SUM | PARTNERS,), (PARTNERS, SUM)):
            contrasts += against(ladders.find(setting, SUM, *stages), alone)
    found = evidence(contrasts)
    differing = [look for one in found[:1] for look in one.looks if differs(look, one.confidence)]
    verdict: Decision = "open"
    rises = bool(by_size) or learning_rises(own)
    if rises and differing:
        verdict = "for"
    elif found and all(_alike(look, found[0].confidence) for look in found[0].looks):
        verdict = "against"
    figure = NO_RESULTS
    if own or found:
        number = len(found[0].looks) if found else 0
        figure = (
            f"size: {'decided' if rises else 'not decided'}, {len(by_size)} of {len(own)} ladders have both limits of "
            "N50 within the sizes tried; curriculum: "
            f"{len(differing)} of {number} looks at SUM rows at equal steps tell two curricula apart"
        )
    missing = [] if rises else ["a ladder with sizes that fail and sizes that learn"]
    missing += [] if differing else ["a contrast of R4 or R7 that is decided"]
    return Claim(
        "R8",
        "What is learned depends on size and on the curriculum.",
        verdict,
        figure,
        "" if verdict != "open" else "; ".join(missing),
        "It holds if at least one ladder shows a threshold (as in R2, mixtures and transfers included) and at least "
        "one contrast of R4 or R7 tells two curricula apart at equal steps, in either direction. It does not hold if "
        "every such contrast excludes that either takes a fifth fewer parameters than the other.",
        ("The figures are those of R2, R4 and R7; the matrix of sizes and tasks is on the [board](README.md).",),
    )


def _alike(look: Look, confidence: float) -> bool:
    number = look.ratio(confidence)
    return (
        number is not None
        and number.low is not None
        and number.high is not None
        and 0.8 < number.low <= number.high < 1.25
    )


# --- R9: partners that do not help ------------------------------------------------------------------------------------

_CONTROLS = {
    "SUM with NADD": (SUM, SUM | NADD),
    "SSUM with MAX and MED": (SSUM, SSUM | PARTNERS),
}
"""What is scored, and what it is trained together with."""

_REAL = "SUM with MAX and MED"


def r9(ladders: Ladders, link: LinkOf) -> Claim:
    real, alone = [], []
    for setting in ladders.settings:
        partner = ladders.find(setting, SUM, SUM | PARTNERS)
        for name, (scored, trained) in _CONTROLS.items():
            control = ladders.find(setting, scored, trained)
            real += against(partner, control, f"{_REAL} against {name}")
            alone += against(control, ladders.find(setting, scored, scored), f"{name} against it alone")
    found = evidence(real)
    helped = {one.setting: one for one in evidence(alone)}
    verdict, missing = _r9_verdict(found, helped)
    parts = ["#### The real partners against the controls", *sections(found, link)] if found else []
    if helped:
        parts += ["#### The controls against no partner", *sections(list(helped.values()), link)]
    parts += _one_partner(ladders, link)
    return Claim(
        "R9",
        "Partners that are hard and alike (NADD), or that share no meaning of the numbers (SSUM with MAX and MED), do "
        "not help as MAX and MED help SUM.",
        verdict,
        figure_of(found),
        "" if verdict != "open" else missing,
        "Two sets of contrasts, each with its own allowance for their number. It holds if for each control (SUM with "
        "NADD; SSUM with MAX and MED) the real partners are shown to do better with as many steps, and no control is "
        "shown to help. It does not hold if a control is shown to help against training alone, or the real partners "
        "are shown to do no better.",
        tuple(part for part in parts if part),
    )


def _r9_verdict(found: Sequence[Evidence], helped: dict[Setting, Evidence]) -> tuple[Decision, str]:
    needs = "SUM with MAX and MED, SUM with NADD, SSUM with MAX and MED, and each alone, at one size with as many steps"
    if not found:
        return "open", needs
    first = found[0]
    by_control = []
    for name in _CONTROLS:
        by_control.append(any_for(first.about(f"{_REAL} against {name}")))
    helps = first.setting in helped and "for" in helped[first.setting].decisions
    if helps or "against" in first.decisions:
        return "against", ""
    if all_for(by_control) == "for":
        return "for", ""
    missing = [name for name in _CONTROLS if not any(c.about.endswith(name) for c in first.contrasts)]
    words = [f"results of {name} at a size and steps of the real partners" for name in missing]
    words += [w for w in [what_is_open(found, needs)] if w]
    return "open", "; ".join(words)


def _one_partner(ladders: Ladders, link: LinkOf) -> list[str]:
    """MAX or MED as the only partner: no part of the claim, and what a reader asks next."""
    contrasts: list[Contrast] = []
    for setting in ladders.settings:
        for name in sorted(PARTNERS):
            partner = ladders.find(setting, SUM, SUM | {name})
            contrasts += against(partner, ladders.alone(setting, "sum"), f"SUM with {name.upper()} against it alone")
    found = evidence(contrasts)
    return ["#### For comparison: one partner only", *sections(found, link)] if found else []
