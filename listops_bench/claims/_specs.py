"""The table of the claims, ``_claims.yaml``: what each says, what it rests on, and by which rule it is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal

from listops_bench._base import records

Decision = Literal["for", "against", "open"]
Equal = Literal["steps", "exposure", "optimisation"]
"""What two arms were given alike: steps; reductions of the operation that is scored; or steps, and the learning rate of
each was chosen with other seeds (`result.plans`)."""


@dataclass(frozen=True)
class Pair:
    """Claimed: one side is learned more easily than the other; see `Ladders.find`.

    Attributes:
        same: a side that is the first under other names of the numbers; their runs are pooled.
    """

    first: str
    second: str
    about: str = ""
    same: str = ""


@dataclass(frozen=True)
class EvidenceSpec:
    """A set of contrasts.

    Attributes:
        nested_tasks: every task against every task with its operations and more, each trained on itself.
        equal: what both sides were given alike.
        refutes: whether a contrast for its pair speaks against the claim.
        text: Markdown that stands above the set.
        empty: what stands there without contrasts; by default the text is left out, too.
        shown: whether the section shows it.
        figure: what the set is called in the claim's key figure; by default it is not part of it.
        before, after: tables beside the set, by name; ``note`` stands above the latter.
    """

    pairs: list[Pair] = field(default_factory=list)
    nested_tasks: bool = False
    equal: Equal = "steps"
    refutes: bool = False
    shown: bool = True
    text: str = ""
    empty: str = ""
    figure: str = ""
    before: str = ""
    after: str = ""
    note: str = ""


@dataclass(frozen=True)
class ClaimSpec:
    """A claim.

    Attributes:
        rule: from which evidence on it holds, and from which it does not.
        needs: what would decide it where there is no evidence.
        unmeasured: the same where a part of it is missing.
        text: Markdown of its section.
        kinds: how its key figure lists the kinds of its contrasts, by what is decided of them.
    """

    statement: str
    decision: Literal["any", "none_against", "each", "thresholds", "size_and_curriculum", "structure", "reliance"]
    rule: str
    needs: str
    unmeasured: str = ""
    text: str = ""
    kinds: dict[Decision, str] = field(default_factory=dict)
    evidence: list[EvidenceSpec] = field(default_factory=list)

    @property
    def kinds_asked(self) -> list[str]:
        """The kinds of contrasts in the set that decides."""
        return [pair.about for pair in self.evidence[0].pairs if pair.about]


@cache
def specs() -> dict[str, ClaimSpec]:
    """The claims by their names, R1 to R9."""
    import yaml

    text = files("listops_bench.claims").joinpath("_claims.yaml").read_text(encoding="utf-8")
    found: dict[str, ClaimSpec] = records.decode(dict[str, ClaimSpec], yaml.safe_load(text), "_claims.yaml")
    return found
