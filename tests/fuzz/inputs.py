"""Inputs of strangers, by kind and seed: honest material, changed, with the command line that reads it.

Attempt 0 of each kind is honest, and must be accepted: else nothing is shown by refusing the others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.fuzz import traps
from tests.fuzz.attempt import Attempt
from tests.fuzz.mutations import write_all
from tests.fuzz.pages import curriculum, expression, lm_eval_log, sweep
from tests.fuzz.submissions import checkpoint, result

KINDS: dict[str, Callable[[Attempt, Path], None]] = {
    "checkpoint": checkpoint,
    "result": result,
    "sweep": sweep,
    "curriculum": curriculum,
    "expression": expression,
    "lm-eval": lm_eval_log,
}


def make_attempt(kind: str, seed: str, base: Path, folder: Path) -> Attempt:
    """The input of one attempt, written into a new folder."""
    folder.mkdir(parents=True)
    attempt = Attempt(seed, folder, Random(f"{kind}/{seed}"))
    KINDS[kind](attempt, base)
    if not attempt.is_honest:
        write_all(folder, {f"{name}.py": traps.python(attempt.canary) for name in traps.IN_THE_WAY})
    return attempt
