"""Results of strangers, checked: `validate_files` against themselves, `verify_files` against their checkpoints.

    validate     schema, place, pins, rows, counts, intervals, sizes         needs no checkpoint; looks at one at hand
    verify       evaluates the checkpoint again, and compares every count    writes ``verified.json``

What a result claims is never taken on trust, and no code that comes with a checkpoint is run.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from listops_bench._base.text import utc_timestamp, version_order
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.evaluate._compare import compare, differences
from listops_bench.evaluate.checkpoint import Checkpoint, architecture, open_checkpoint
from listops_bench.evaluate.run import evaluate_checkpoint, slice_columns
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.ladder import build_model, config_at, make_config, model_names, parameter_counts
from listops_bench.result.files import read_result, result_path
from listops_bench.result.format import Architecture, Result, SplitResult
from listops_bench.result.verified import Verification, read_verified, result_sha256, write_verified
from listops_bench.runs.record import Parameters
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.tasks.expression import TraceStyle, vocabulary
from listops_bench.tasks.generator import generate, rows_checksum
from listops_bench.tasks.task import DATASET_VERSION, get_task


@dataclass(frozen=True)
class Verdict:
    """What verifying one result file came to.

    Attributes:
        path: the file.
        status: "unverifiable" where there is nothing to compare it with.
        reason: one line.
        record: of a verified result.
    """

    path: Path
    status: Literal["verified", "refuted", "unverifiable"]
    reason: str
    record: Verification | None = None


# --- validate ---------------------------------------------------------------------------------------------------------


def validate_files(
    paths: Sequence[str | os.PathLike[str]], checkpoints: Checkpoints | None = None
) -> Iterator[tuple[Path, str | None]]:
    """Checks files, and that no two of them are one model under two names; yields each with what is wrong, or None."""
    seen: dict[tuple[str | None, str, str], Path] = {}
    for name in paths:
        path = Path(name)
        try:
            result = validate_file(path, checkpoints)
        except InvalidInput as error:
            yield path, str(error)
            continue
        model, task = result.model, result.task
        first = seen.setdefault((model.weights_sha256 or f"{model.id}@{model.revision}", task.name, task.trace), path)
        yield path, None if first == path else f"{path}: has the weights of {first}"


def validate_file(path: str | os.PathLike[str], checkpoints: Checkpoints | None = None) -> Result:
    """Reads a result as one that is to stand on a board.

    Beyond what `read_result` checks: it lies where its content says; its rows are those of the split, all of them; what
    it says of a rung of the ladder or of a checkpoint at hand is so; and a reference run says how it was trained.

    Raises:
        InvalidInput: naming the file and what is wrong.
    """
    path = Path(path)
    result = read_result(path)
    for problem in _problems(path, result, checkpoints):
        raise InvalidInput(f"{path}: {problem}")
    return result


def results_folder(path: Path) -> Path:
    """The results folder of a file at ``FOLDER/MODEL/REVISION/TASK.json``."""
    above = Path(os.path.abspath(path)).parents
    return above[min(2, len(above) - 1)]


def _problems(path: Path, result: Result, checkpoints: Checkpoints | None) -> Iterator[str]:
    place = Path(os.path.abspath(path))
    root = results_folder(path)
    if place != result_path(root, result):
        yield f"belongs at {'/'.join(result_path(root, result).parts[-3:])}"
    if place.resolve() != root.resolve() / place.relative_to(root):
        yield "is a link to another place"
    if result.track == "reference" and (result.training is None or result.recipe.seed is None):
        yield "track: a reference result says how it was trained, and its seed"
    training = result.training
    if training is not None and (training.steps > training.budget or training.loss_tokens > training.tokens):
        yield "training: more steps than were allowed, or more loss-bearing tokens than tokens"
    for key in ("family", "name", "model_type"):
        text = getattr(result.architecture, key)
        if not re.fullmatch(r"[A-Za-z0-9][\w./+-]*", text, re.ASCII):
            yield f"architecture.{key}: {text[:60]!r} is no plain name"
    for what, (version, ours) in _versions(result).items():
        if version_order(version) > version_order(ours):
            yield f"{what}_version: there is no {what} version {version}; the newest is {ours}"
    # A model of the ladder, on a rung or between two, has the size that it has, whoever trained it.
    shape = result.architecture
    known = _size_on_ladder(shape.name, shape.family, shape.hidden_size, result.task.modulus)
    if known is not None:
        yield from _differences("parameters", result.parameters, known[0])
        yield from _differences("architecture", shape, known[1])
    if result.dataset_version == DATASET_VERSION:
        for name, split in result.splits.items():
            yield from (f"splits.{name}.{problem}" for problem in _row_problems(result.task.name, name, result, split))
    local = checkpoints.local(result.model.weights_sha256) if checkpoints else None
    if local is not None:
        yield from _checkpoint_problems(result, open_checkpoint(local))


def _versions(result: Result) -> dict[str, tuple[str, str]]:
    """The versions that a result names, and those of this package."""
    return {
        "dataset": (result.dataset_version, DATASET_VERSION),
        "scorer": (result.scorer_version, SCORER_VERSION),
    }


def _row_problems(task: str, name: str, result: Result, split: SplitResult) -> Iterator[str]:
    # Answers of a large model in another harness are dear: there, the first rows of a split will do.
    whole = split.n if _is_imported(result) else get_task(task).num_rows(name)
    if split.n != whole:
        yield f"n: {split.n} rows were scored, and the split has {whole}; a board takes whole splits"
        return
    checksum, groups = _rows_of(task, name, result.task.trace, whole)
    if split.rows_sha256 != checksum:
        yield f"rows_sha256: not the rows of {task}, {name}, dataset {DATASET_VERSION}"
    for slice_name, counts in groups.items():
        claimed = {key: group.answer_accuracy.n for key, group in split.slices[slice_name].items()}
        if claimed != counts:
            yield f"slices.{slice_name}: the groups are not those of the rows"


@lru_cache(maxsize=256)
def _rows_of(task: str, split: str, trace: TraceStyle, num_rows: int) -> tuple[str, dict[str, dict[str, int]]]:
    """The checksum of a split's rows, and the size of every group of its slices."""
    rows = generate(get_task(task), split, num_rows=num_rows, trace=trace)
    columns = slice_columns(rows, rows.prompts())
    groups = {name: dict(Counter(map(str, values))) for name, values in columns.items()}
    return rows_checksum(rows), groups


def _is_imported(result: Result) -> bool:
    """Whether another harness has run the model: of its parameters only the total is known then."""
    return result.model.weights_sha256 is None or result.parameters.embedding is None


@lru_cache
def _size_on_ladder(name: str, family: str, width: int | None, modulus: int) -> tuple[Parameters, Architecture] | None:
    config = make_config(name) if name in model_names() else config_at(family, width)
    if config is None:
        return None
    config.vocab_size = len(vocabulary(modulus))
    return parameter_counts(build_model(config)), architecture(config)


def _checkpoint_problems(result: Result, found: Checkpoint) -> Iterator[str]:
    """What a checkpoint says otherwise than its result."""
    yield from _differences("parameters", result.parameters, parameter_counts(found.model))
    yield from _differences("architecture", result.architecture, architecture(found.model.config))
    yield from _differences("recipe", result.recipe, found.recipe)
    if result.training != found.training:
        yield "training: not what the checkpoint's run.json says"
    # Results that are older than this field lack it.
    if result.learning not in (None, found.learning.get(result.task.name)):
        yield "learning: not what the checkpoint's log says"
    if result.model.revision is None and result.model.id != found.recipe.id:
        yield f"model.id: {result.model.id!r}, and a checkpoint without a revision is named {found.recipe.id!r}"


def _differences(where: str, claimed: object, measured: object) -> Iterator[str]:
    for name, first, second in differences(claimed, measured):
        yield f"{where}.{name}: {first!r}, and the weights' is {second!r}"


# --- verify -----------------------------------------------------------------------------------------------------------


def verify_files(
    paths: Sequence[str | os.PathLike[str]],
    checkpoints: Checkpoints | None = None,
    *,
    device: str | None = None,
    write: bool = True,
    on_file: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Evaluates the checkpoints of results again, and compares.

    Args:
        paths: result files.
        checkpoints: where to look for checkpoints before the Hub is asked.
        device: where to compute; a GPU if there is one.
        write: record in ``verified.json`` beside each results folder what was verified, and take out what was refuted.
        on_file: called with each verdict.
    """
    verdicts = []
    for path in paths:
        verdict = verify_file(path, checkpoints or Checkpoints(), device=device)
        verdicts.append(verdict)
        if write:
            _record(verdict)
        if on_file:
            on_file(verdict)
    return verdicts


def verify_file(path: str | os.PathLike[str], checkpoints: Checkpoints, *, device: str | None = None) -> Verdict:
    """Evaluates the checkpoint of one result again, and compares every count; see `_compare.compare`."""
    path = Path(path)
    try:
        result = validate_file(path)
    except InvalidInput as error:
        return Verdict(path, "refuted", str(error))
    try:
        _check_comparable(result)
        folder = checkpoints.find(result)
        sha256 = weights_sha256(folder)
        if sha256 != result.model.weights_sha256:
            claimed = (result.model.weights_sha256 or "")[:12]
            return Verdict(path, "refuted", f"{path}: the weights are {sha256[:12]}, and the result is of {claimed}")
        found = open_checkpoint(folder)
    except (InvalidInput, EnvironmentFailed) as error:
        return Verdict(path, "unverifiable", f"{path}: {error}")
    for problem in _checkpoint_problems(result, found):
        return Verdict(path, "refuted", f"{path}: {problem}")
    return _compare(path, result, folder, device)


def _check_comparable(result: Result) -> None:
    if _is_imported(result):
        raise InvalidInput(
            "imported from another harness, whose answers are not here to be compared; have `listops-bench submit` "
            "evaluate the checkpoint"
        )
    for what, (version, ours) in _versions(result).items():
        if version != ours:
            raise InvalidInput(f"of {what} version {version}, and this package has {ours}")


def _compare(path: Path, result: Result, folder: Path, device: str | None) -> Verdict:
    (measured,) = evaluate_checkpoint(
        folder, result.task.name, list(result.splits), trace=result.task.trace, track=result.track, device=device
    )
    found = {name: compare(claimed, measured.splits[name]) for name, claimed in result.splits.items()}
    for name, split in found.items():
        if split.problem is not None:
            return Verdict(path, "refuted", f"{path}: {name}: {split.problem}")
    rows, differing = sum(s.n for s in result.splits.values()), sum(s.differing for s in found.values())
    same = all(split.same_predictions for split in found.values())
    where = measured.evaluation.environment
    record = Verification("/".join(path.parts[-3:]), rows, differing, same, utc_timestamp(), where)
    answers = "the same answers" if same else f"{differing} rows or more differ, which is within the tolerance"
    return Verdict(path, "verified", f"{rows:,} rows evaluated again: {answers}", record)


def _record(verdict: Verdict) -> None:
    """Keeps ``verified.json`` true of one file. What could not be repeated this time stays as it was."""
    if verdict.status == "unverifiable":
        return
    root = results_folder(verdict.path)
    before = read_verified(root)
    name = "/".join(verdict.path.parts[-3:])
    records = {key: record for key, record in before.items() if record.path != name}
    if verdict.record is not None:
        records[result_sha256(read_result(verdict.path))] = verdict.record
    if records != before:
        write_verified(root, records)
