"""Inputs of strangers, by kind and seed: honest material, changed, given to the command that reads it.

Attempt 0 of each kind is honest, and must be accepted: else nothing is shown by refusing the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import child, traps
from tests.fuzz.attempt import Attempt
from tests.fuzz.mutations import write_all
from tests.fuzz.pages import curriculum, expression, lm_eval_log, regime, sweep
from tests.fuzz.submissions import checkpoint, result

KINDS: dict[str, Callable[[Attempt, Path], None]] = {
    "checkpoint": checkpoint,
    "result": result,
    "sweep": sweep,
    "curriculum": curriculum,
    "regime": regime,
    "expression": expression,
    "lm-eval": lm_eval_log,
}


@dataclass(frozen=True)
class Tried:
    """An attempt, what came of it, and what of that must not be."""

    attempt: Attempt
    outcome: child.Outcome
    problems: list[str]


def attempt_once(kind: str, seed: str, base: Path, folder: Path, *, seconds: float = 5) -> Tried:
    """Writes the input of one attempt into a new folder, and runs its command there.

    Args:
        kind: one of `KINDS`.
        seed: "0" is the honest one.
        base: what `make_base` made.
        folder: the new one; a folder above both is where the command may write.
        seconds: of processor time.
    """
    folder.mkdir(parents=True)
    attempt = Attempt(seed, folder, Random(f"{kind}/{seed}"))
    KINDS[kind](attempt, base)
    if not attempt.is_honest:
        write_all(folder, {f"{name}.py": traps.python(attempt.canary) for name in traps.IN_THE_WAY})
    allowed = (base.parent,)
    seconds *= 8 if attempt.words[0] == "analyze" else 1  # which draws figures
    outcome = child.run(attempt.words, folder, seconds=seconds, num_bytes=child.GIGABYTE, allowed=allowed)
    return Tried(attempt, outcome, _problems(attempt, outcome))


def _problems(attempt: Attempt, outcome: child.Outcome) -> list[str]:
    """What must not happen, and did."""
    found = [outcome.kind] if outcome.kind not in ("accepted", "refused") else []
    found += ["code run"] if attempt.canary.exists() else []
    found += [f"watched: {line}" for line in outcome.watched[:3]]
    if attempt.is_honest and outcome.kind != "accepted":
        found.append("honest refused")
    if attempt.words[:2] == ["leaderboard", "verify"] and outcome.code == 0 and attempt.result is not None:
        found += ["false verdict"] if _differs(attempt.result, attempt.honest) else []
    return found


def _differs(path: Path, honest: Any) -> bool:
    """Whether a verified result says something else than the honest one, of what is measured."""
    found = json.loads(path.read_bytes())
    measured = ("model", "recipe", "parameters", "architecture", "task", "splits", "learning", "dataset_version")
    return any(
        _said(found.get(key)) != _said(honest.get(key)) for key in (*measured, "scorer_version", "schema_version")
    )


def _said(value: Any) -> Any:
    """A value without what says nothing: a field that is left out reads as one that is empty."""
    if not isinstance(value, dict):
        return value
    said = {key: _said(inner) for key, inner in value.items()}
    return {key: inner for key, inner in said.items() if inner not in ({}, None)}
