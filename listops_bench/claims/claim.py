"""The claims, decided: each with the evidence that its verdict follows from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from listops_bench.claims._evidence import (
    AnyContrast,
    Evidence,
    Ladders,
    all_for,
    any_for,
    differs,
    gather,
    is_equal,
    is_ladder,
    none_against,
)
from listops_bench.claims._specs import ClaimSpec, Decision, EvidenceSpec, specs
from listops_bench.claims._studies import Part, Study, parts_of
from listops_bench.claims._thresholds import Thresholds


@dataclass(frozen=True)
class Claim:
    """A claim and what there is to decide it.

    Attributes:
        found: its sets of contrasts, each by setting, the one that decides first.
        thresholds: what ladders of sizes show, where the claim asks that.
        studies: analyses of checkpoints, where the claim asks that, the one that decides first.
    """

    name: str
    spec: ClaimSpec
    found: tuple[tuple[Evidence, ...], ...]
    thresholds: Thresholds
    studies: tuple[Study, ...]

    @cached_property
    def verdict(self) -> Decision:
        """``for`` is *holds*, ``against`` *does not hold*, ``open`` *not decided*."""
        return _RULES[self.spec.decision](self)

    @property
    def sets(self) -> list[tuple[EvidenceSpec, tuple[Evidence, ...]]]:
        """The sets of contrasts with their texts."""
        return list(zip(self.spec.evidence, self.found, strict=True))

    @property
    def contrasts(self) -> tuple[AnyContrast, ...]:
        """Those that decide, pooled ones first."""
        return self.found[0][0].all_contrasts if self.found and self.found[0] else ()

    @cached_property
    def differing(self) -> list[AnyContrast]:
        """Contrasts that tell two ways of training apart, in either direction."""
        return [contrast for contrast in self.contrasts if differs(contrast, self.found[0][0].confidence)]

    @property
    def unmeasured(self) -> list[str]:
        """Kinds of contrasts of which there is none."""
        return [kind for kind in self.spec.kinds_asked if kind not in {contrast.about for contrast in self.contrasts}]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What the study that decides says of each part."""
        return parts_of(self.spec.decision, self.studies[0]) if self.studies else ()


def decide(ladders: Ladders, studies: Sequence[Study]) -> list[Claim]:
    """R1 to R9, by the arms of a board and by studies that hold SUM alone and SUM with MAX and MED."""
    itself = [arm for setting in ladders.settings for arm in ladders.itself(setting)]
    claims = []
    for name, spec in specs().items():
        found = tuple(gather(one, ladders) for one in spec.evidence)
        arms = {"thresholds": itself, "size_and_curriculum": ladders.arms}.get(spec.decision, ())
        own = tuple(studies) if spec.decision in ("structure", "reliance") else ()
        claims.append(Claim(name, spec, found, Thresholds(tuple(filter(is_ladder, arms))), own))
    return claims


# --- the rules --------------------------------------------------------------------------------------------------------


def _each(claim: Claim) -> Decision:
    """Every kind of contrast has to speak for the claim; one that speaks for a refuting pair refutes it."""
    if not claim.contrasts:
        return "open"
    first = claim.found[0][0]
    refuting = [one for of, found in claim.sets if of.refutes for one in found if one.setting == first.setting]
    if any("for" in one.decisions() for one in refuting):
        return "against"
    return all_for([none_against(first.decisions(kind)) for kind in claim.spec.kinds_asked])


def _size_and_curriculum(claim: Claim) -> Decision:
    if claim.thresholds.decided and claim.differing:
        return "for"
    alike = [is_equal(contrast, claim.found[0][0].confidence) for contrast in claim.contrasts]
    return "against" if alike and all(alike) else "open"


def _decisions(claim: Claim) -> Sequence[Decision]:
    return claim.found[0][0].decisions() if claim.contrasts else ()


def _parts(claim: Claim) -> Decision:
    return all_for([part.decision for part in claim.parts])


_RULES: dict[str, Callable[[Claim], Decision]] = {
    "any": lambda claim: any_for(_decisions(claim)),
    "none_against": lambda claim: none_against(_decisions(claim)),
    "each": _each,
    "thresholds": lambda claim: claim.thresholds.verdict,
    "size_and_curriculum": _size_and_curriculum,
    "structure": _parts,
    "reliance": _parts,
}
"""By the name that the table of claims has for it."""
