"""The board's rules by name. Each refusal ends with the one that it follows from; SUBMITTING.md says what they ask."""

from __future__ import annotations

from typing import Literal, get_args

Rule = Literal[
    "format", "place", "versions", "task", "rows", "counts", "size", "training", "seeds", "weights", "revision",
    "checkpoint", "answers",
]  # fmt: skip
RULES: tuple[Rule, ...] = get_args(Rule)

EntryRule = Literal["seeds-needed", "limits", "learned"]
ENTRY_RULES: tuple[EntryRule, ...] = get_args(EntryRule)
"""Of entering a challenge: a result that breaks one is valid, and no entry."""


def against(rule: Rule | EntryRule, problem: object) -> str:
    """``"... did you mean '1.0.0'? (rule versions)"``: what is wrong, and the rule that it breaks."""
    return f"{problem} (rule {rule})"
