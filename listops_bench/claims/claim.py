"""The claims, decided: each with the evidence that its verdict follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from listops_bench.claims._evidence import Contrast, Evidence, Ladders, all_for, any_for, gather, none_against
from listops_bench.claims._specs import ClaimSpec, Decision, EvidenceSpec, specs
from listops_bench.claims._studies import Part, Study, reliance, structure
from listops_bench.claims._thresholds import Thresholds
from listops_bench.result.learned import SEEN, VIEWS, View


@dataclass(frozen=True)
class Claim:
    """A claim and what there is to decide it.

    Attributes:
        found: its sets of contrasts, each by setting, the one that decides first.
        thresholds: what ladders of sizes show, where the claim asks that.
        studies: analyses of checkpoints, where the claim asks that, the one that decides first.
        elsewhere: the claim by other views of what was learned, where it rests on that.
        declared: how many of the runs that decide were declared for it beforehand, and of how many.
    """

    name: str
    spec: ClaimSpec
    found: tuple[tuple[Evidence, ...], ...]
    thresholds: Thresholds
    studies: tuple[Study, ...]
    elsewhere: Mapping[View, Claim] = field(default_factory=dict)
    declared: tuple[int, int] = (0, 0)

    @property
    def is_declared(self) -> bool:
        """Whether all of them were; what is not declared is exploratory."""
        declared, runs = self.declared
        return declared == runs > 0

    @property
    def where(self) -> list[View]:
        """The views with this verdict, where it is not that of all: no more is said than of these."""
        alike = [view for view, claim in self.elsewhere.items() if claim.verdict == self.verdict]
        return [] if self.verdict == "open" or len(alike) == len(self.elsewhere) else [SEEN, *alike]

    @cached_property
    def verdict(self) -> Decision:
        """``for`` is *holds*, ``against`` *does not hold*, ``open`` *not decided*."""
        decisions = self.found[0][0].decisions() if self.contrasts else ()
        match self.spec.decision:
            case "any":
                return any_for(decisions)
            case "none_against":
                return none_against(decisions)
            case "each":
                return _each(self)
            case "thresholds":
                return self.thresholds.verdict
            case "size_and_curriculum":
                return _size_and_curriculum(self)
            case "structure" | "reliance":
                return all_for([part.decision for part in self.parts])

    @property
    def sets(self) -> list[tuple[EvidenceSpec, tuple[Evidence, ...]]]:
        """The sets of contrasts with their texts."""
        return list(zip(self.spec.evidence, self.found, strict=True))

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Those that decide, pooled ones first."""
        return self.found[0][0].all_contrasts if self.found and self.found[0] else ()

    @property
    def carrying(self) -> list[tuple[Contrast, Decision, float]]:
        """The contrasts that a verdict rests on, with what each says of its pair and at which confidence."""
        if not self.contrasts or self.verdict == "open" or self.spec.decision in _BY_LADDERS:
            return []
        first = self.found[0][0]
        own = [(of.refutes, one) for of, found in self.sets for one in found if one.setting == first.setting]
        able = [(refutes, one) for refutes, one in own if refutes or one is first]
        return [
            (contrast, decision, evidence.confidence)
            for refutes, evidence in able
            for contrast, decision in evidence.decided
            if decision == (_TURNED[self.verdict] if refutes else self.verdict)
        ]

    @cached_property
    def differing(self) -> list[Contrast]:
        """Contrasts that tell two ways of training apart, in either direction."""
        return [contrast for contrast in self.contrasts if contrast.differs(self.found[0][0].confidence)]

    @property
    def unmeasured(self) -> list[str]:
        """Kinds of contrasts of which there is none."""
        return [kind for kind in self.spec.kinds_asked if kind not in {contrast.about for contrast in self.contrasts}]

    @cached_property
    def parts(self) -> list[Part]:
        """What the study that decides says of each part."""
        pair = self.studies[0].pair if self.studies else None
        if pair is None:
            return []
        return structure(*pair) if self.spec.decision == "structure" else reliance(*pair)


_TURNED: dict[Decision, Decision] = {"for": "against", "against": "for", "open": "open"}
_BY_LADDERS = ("thresholds", "size_and_curriculum")


def decide(ladders: Ladders, studies: Sequence[Study]) -> list[Claim]:
    """R1 to R9, by the arms of a board and by those studies that hold SUM alone and SUM with MAX and MED.

    What rests on runs that learned is decided by every view of that.
    """
    found = _decide(ladders, studies)
    views = {view: _decide(ladders.at(view), ()) for view in VIEWS[1:]}
    analysed = ("structure", "reliance")
    return [
        claim
        if claim.spec.decision in analysed
        else replace(claim, elsewhere={view: claims[place] for view, claims in views.items()})
        for place, claim in enumerate(found)
    ]


def _decide(ladders: Ladders, studies: Sequence[Study]) -> list[Claim]:
    tried = [arm for setting in ladders.settings for arm in ladders.arms if arm.setting == setting and arm.is_ladder]
    claims = []
    for name, spec in specs().items():
        found = tuple(gather(one, ladders) for one in spec.evidence)
        asked = tuple(arm for arm in tried if arm.itself or spec.decision == "size_and_curriculum")
        own = tuple(study for study in studies if study.pair and spec.decision in ("structure", "reliance"))
        deciding = [*(found[0][0].arms if found and found[0] else ()), *(asked if spec.decision in _BY_LADDERS else ())]
        declared = ladders.declared(deciding, name)
        claims.append(Claim(name, spec, found, Thresholds(asked), own, declared=declared))
    return claims


def _each(claim: Claim) -> Decision:
    """Every kind of contrast has to speak for the claim; one that speaks for a refuting pair refutes it."""
    if not claim.contrasts:
        return "open"
    first = claim.found[0][0]
    refuting = [one for of, found in claim.sets if of.refutes for one in found if one.setting == first.setting]
    if any("for" in one.decisions() for one in refuting):
        return "against"
    kinds = claim.spec.kinds_asked
    excluded = all(any_for([d for one in refuting for d in one.decisions(kind)]) == "against" for kind in kinds)
    found = all_for([none_against(first.decisions(kind)) for kind in kinds])
    return "open" if found == "for" and not excluded and any(of.refutes for of in claim.spec.evidence) else found


def _size_and_curriculum(claim: Claim) -> Decision:
    if claim.thresholds.decided and claim.differing:
        return "for"
    alike = [contrast.is_equal(claim.found[0][0].confidence) for contrast in claim.contrasts]
    return "against" if alike and all(alike) else "open"
