"""Whose a model is: one set of weights has one name, and one seed of a recipe one set of weights.

Weights are the same where their file is, where their tensors are (a verifier has recorded these), or where they answer
a whole split alike, mistakes included. First is who was verified first. Where nobody was, nobody is first: no file gets
a place by what it says of itself, or by the alphabet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from listops_bench.result.format import Model, Result
from listops_bench.result.rules import Rule, against
from listops_bench.result.verified import Verification

FEW_WRONG = 20
"""Two models may share so few mistakes by chance; models that do badly may share all, such as no answer to any row."""


@dataclass(frozen=True)
class Conflict:
    """Why a file must not stand beside others, on one line; settled where one of these was verified first."""

    problem: str
    is_settled: bool


_Claim = tuple[Rule, str, tuple[object, ...]]
"""The rule, what two models share in words, and what must differ between models."""


def conflicts(
    files: Mapping[Path, Result],
    verified: Mapping[Path, Verification],
    tensors: Mapping[str | None, str | None] | None = None,
) -> dict[Path, Conflict]:
    """The files that must not stand beside others, each with the reason.

    Args:
        files: all of a board.
        verified: the records of those that are verified.
        tensors: by the SHA-256 of a weights' file, that of its tensors, beside those that have been recorded.
    """
    known: dict[str | None, str | None] = dict(tensors or {})
    known |= {files[path].model.weights_sha256: record.tensors_sha256 for path, record in verified.items()}
    since: dict[Model, str] = {}
    for path, record in verified.items():
        since[files[path].model] = min(record.created, since.get(files[path].model, record.created))
    claims = {path: list(_claims(result, known)) for path, result in files.items()}
    holders: dict[object, dict[Model, Path]] = defaultdict(dict)
    for path, result in files.items():
        for *_, claimed in claims[path]:
            holders[claimed].setdefault(result.model, path)
    found: dict[Path, Conflict] = {}
    for path, result in files.items():
        for rule, words, claimed in claims[path]:
            own = holders[claimed]
            first = min((model for model in own if model in since), key=lambda m: (since[m], str(own[m])), default=None)
            if len(own) == 1 or first == result.model:
                continue
            other = next(model for model in own if model != result.model) if first is None else first
            why = "and neither has been verified" if first is None else "which was verified first"
            problem = against(rule, f"{path}: {words} {own[other]}, {why}")
            found.setdefault(path, Conflict(problem, first is not None))
    return found


def _claims(result: Result, tensors: Mapping[str | None, str | None]) -> Iterator[_Claim]:
    model, recipe, task, shape = result.model, result.recipe, result.task, result.architecture
    for sha256 in (model.weights_sha256, tensors.get(model.weights_sha256)):
        if sha256 is not None:
            yield "weights", "has the weights of", (sha256,)
    if recipe.seed is not None:
        which = (
            recipe.id,
            recipe.seed,
            recipe.dataset_seed or 0,
            shape.name,
            result.parameters.total,
            task.name,
            task.trace,
        )
        yield "seeds", f"seed {recipe.seed} of its recipe is that of", which
    for name, split in result.splits.items():
        right = split.metrics.trace_accuracy.correct
        if 2 * right >= split.n >= right + FEW_WRONG:
            answers = (task.name, task.trace, name, split.rows_sha256, split.predictions_sha256)
            yield "weights", "answers as wrongly, row for row, as", answers
