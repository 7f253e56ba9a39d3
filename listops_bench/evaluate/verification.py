"""Results of strangers, checked: `validate_files` against themselves, `verify_files` against their checkpoints.

    validate     schema, place, pins, rows, counts, intervals, sizes         needs no checkpoint; looks at one at hand
    verify       evaluates the checkpoint again, and compares every count    writes ``verified.json``

What a result claims is never taken on trust, and no code that comes with a checkpoint is run.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import torch

from listops_bench._base.files import alone_in, check_can_write
from listops_bench._base.options import check_number
from listops_bench._base.processes import usable_cores
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.evaluate._compare import differences
from listops_bench.evaluate.checkpoint import architecture
from listops_bench.evaluate.examiner import Description, SplitRows, examiner
from listops_bench.evaluate.measuring import Candidate, Verdict, measure
from listops_bench.evaluate.run import device_of, split_rows
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.ladder import build_model, config_at, make_config, model_names, parameter_counts
from listops_bench.result.files import find_results, read_result, result_path
from listops_bench.result.format import Architecture, Recipe, Result, SplitResult, Track
from listops_bench.result.identity import conflicts
from listops_bench.result.rules import against
from listops_bench.result.verified import (
    Verification,
    read_verified,
    result_sha256,
    verified_file,
    verified_files,
    write_verified,
)
from listops_bench.runs.provenance import environment
from listops_bench.runs.record import Parameters, Training
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.pages import own_pages
from listops_bench.tasks.symbols import Symbols, vocabulary
from listops_bench.tasks.task import DATASET_VERSION, get_task

# --- validate ---------------------------------------------------------------------------------------------------------


def validate_files(
    paths: Sequence[str | os.PathLike[str]], checkpoints: Checkpoints | None = None
) -> Iterator[tuple[Path, str | None]]:
    """Checks files, each by itself and beside the others; yields each with what is wrong, or None."""
    problems: dict[Path, str] = {}
    files: dict[Path, Result] = {}
    for path in map(Path, paths):
        try:
            files[path] = validate_file(path, checkpoints)
        except InvalidInput as error:
            problems[path] = str(error)
    tensors = {} if checkpoints is None else checkpoints.tensors
    problems |= {path: found.problem for path, found in conflicts(files, _verified(files), tensors).items()}
    yield from ((path, problems.get(path)) for path in map(Path, paths))


def _verified(files: Mapping[Path, Result]) -> dict[Path, Verification]:
    """The records of files, each from beside its own results folder."""
    found: dict[Path, Verification] = {}
    for root in {results_folder(path) for path in files}:
        own = {Path(os.path.abspath(path)): path for path in files if results_folder(path) == root}
        records = verified_files(root, {place: files[path] for place, path in own.items()})
        found |= {own[place]: record for place, record in records.items()}
    return found


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


def check_checkpoints(found: Sequence[tuple[str, Description]], track: Track) -> None:
    """Refuses, before they are scored, checkpoints of which no board would take a result, by their names.

    Raises:
        InvalidInput: one does not say how it was trained, and the track asks for it; the same weights, or the same seed
            of a recipe, twice.
    """
    holders: dict[object, int] = {}
    for place, (name, one) in enumerate(found):
        for problem in _training_problems(track, one.training, one.recipe):
            raise InvalidInput(against("training", f"{name}: {problem}"))
        seed = (one.recipe.id, one.recipe.seed, one.recipe.dataset_seed or 0, one.architecture.name)
        if (first := holders.setdefault(one.tensors_sha256, place)) != place:
            raise InvalidInput(against("weights", f"{name}: has the weights of {found[first][0]}"))
        if one.recipe.seed is not None and (first := holders.setdefault(seed, place)) != place:
            problem = f"{name}: seed {one.recipe.seed} of its recipe is that of {found[first][0]}"
            raise InvalidInput(against("seeds", problem))


def _problems(path: Path, result: Result, checkpoints: Checkpoints | None) -> Iterator[str]:
    place = Path(os.path.abspath(path))
    root = results_folder(path)
    if place != result_path(root, result):
        yield against("place", f"belongs at {'/'.join(result_path(root, result).parts[-3:])}")
    if place.resolve() != root.resolve() / place.relative_to(root):
        yield against("place", "is a link to another place")
    yield from (
        against("training", problem) for problem in _training_problems(result.track, result.training, result.recipe)
    )
    for key in ("family", "name", "model_type"):
        text = getattr(result.architecture, key)
        if not re.fullmatch(r"[A-Za-z0-9][\w./+-]*", text, re.ASCII):
            yield against("format", f"architecture.{key}: {text[:60]!r} is no plain name")
    # A model of the ladder, on a rung or between two, has the size that it has, whoever trained it.
    shape = result.architecture
    known = _size_on_ladder(shape.name, shape.family, shape.hidden_size, get_task(result.task.name).symbol_set)
    if known is not None:
        yield from _size_problems(result, *known)
    if result.dataset_version == DATASET_VERSION:
        for name, split in result.splits.items():
            for problem in _row_problems(result.task.name, name, result, split):
                yield against("rows", f"splits.{name}.{problem}")
    if checkpoints is not None and (local := checkpoints.local(result.model.weights_sha256)):
        found = [_problem_of(result, folder, checkpoints) for folder in local]
        if all(found):
            yield str(found[0])


def _problem_of(result: Result, folder: Path, checkpoints: Checkpoints) -> str | None:
    """What speaks against a folder's being the checkpoint of a result; None for nothing."""
    try:
        return next(_checkpoint_problems(result, checkpoints.look(folder)), None)
    except InvalidInput as error:
        return str(error)


def _training_problems(track: Track, training: Training | None, recipe: Recipe) -> Iterator[str]:
    if track == "reference" and (training is None or recipe.seed is None):
        yield "track: a reference result says how it was trained, and its seed"
    if training is not None and (training.steps > training.budget or training.loss_tokens > training.tokens):
        yield "training: more steps than were allowed, or more loss-bearing tokens than tokens"


def _row_problems(task: str, name: str, result: Result, split: SplitResult) -> Iterator[str]:
    # Answers of a large model in another harness are dear: there, the first rows of a split will do.
    whole = split.n if _is_imported(result) else get_task(task).num_rows(name)
    if split.n != whole:
        yield f"n: {split.n} rows were scored, and the split has {whole}; a board takes whole splits"
        return
    try:
        rows = _rows_of(task, name, whole, result.task.trace)
    except InvalidInput as error:
        yield f"rows_sha256: {error}"
        return
    if split.rows_sha256 != rows.sha256:
        yield f"rows_sha256: not the rows of {task}, {name}, dataset {DATASET_VERSION}"
    for slice_name, counts in rows.groups.items():
        claimed = {key: group.answer_accuracy.n for key, group in split.slices[slice_name].items()}
        if claimed != counts:
            yield f"slices.{slice_name}: the groups are not those of the rows"


@lru_cache(maxsize=256)
def _rows_of(task: str, split: str, num_rows: int, trace: TraceStyle) -> SplitRows:
    """The rows of a page of somebody's own may be as rare as it likes: they are drawn where that can be ended."""
    draw = examiner().rows if own_pages(get_task(task).page_words) else split_rows
    return draw(task, split, num_rows, trace)


def _is_imported(result: Result) -> bool:
    """Whether another harness has run the model: of its parameters only the total is known then."""
    return result.model.weights_sha256 is None or result.parameters.embedding is None


@lru_cache
def _size_on_ladder(
    name: str, family: str, width: int | None, symbols: Symbols
) -> tuple[Parameters, Architecture] | None:
    config = make_config(name) if name in model_names() else config_at(family, width)
    if config is None:
        return None
    config.vocab_size = len(vocabulary(symbols))
    return parameter_counts(build_model(config)), architecture(config)


def _checkpoint_problems(result: Result, found: Description) -> Iterator[str]:
    """What a checkpoint says otherwise than its result."""
    yield from _size_problems(result, found.parameters, found.architecture)
    yield from (against("seeds", problem) for problem in _differences("recipe", result.recipe, found.recipe))
    if result.training != found.training:
        yield against("training", "training: not what the checkpoint's run.json says")
    # Results that are older than this field lack it.
    if result.learning not in (None, found.learning.get(result.task.name)):
        yield against("training", "learning: not what the checkpoint's log says")
    if result.model.revision is None and result.model.id != found.recipe.id:
        problem = f"model.id: {result.model.id!r}, and a checkpoint without a revision is named {found.recipe.id!r}"
        yield against("revision", problem)


def _size_problems(result: Result, parameters: Parameters, shape: Architecture) -> Iterator[str]:
    yield from (against("size", problem) for problem in _differences("parameters", result.parameters, parameters))
    yield from (against("size", problem) for problem in _differences("architecture", result.architecture, shape))


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
    jobs: int | None = 1,
    resume: bool = False,
) -> list[Verdict]:
    """Evaluates the checkpoints of results again, and compares.

    Args:
        paths: result files.
        checkpoints: where to look for checkpoints before the Hub is asked.
        device: where to compute; a GPU if there is one.
        write: record in ``verified.json`` beside each results folder what was verified, and take out what was refuted.
        on_file: called with each verdict, as they come.
        jobs: processes that evaluate at the same time; None for one a core, or one on a GPU.
        resume: leave out what this very commit has verified before.
    """
    if jobs is None:
        jobs = usable_cores() if device_of(device).type == "cpu" else 1
    check_number("jobs", jobs)
    places, verdicts = checkpoints or Checkpoints(), dict[Path, Verdict]()

    def note(found: Sequence[Verdict]) -> None:
        verdicts.update({verdict.path: verdict for verdict in found})
        if write:
            _record(found)
        for verdict in found if on_file else ():
            on_file(verdict)  # type: ignore[misc]

    files = list(map(Path, paths))
    for root in {results_folder(path) for path in files} if write else ():
        check_can_write(verified_file(root).parent)
    note(_verified_before(files) if resume else [])
    looked = [_look_at(path, places) for path in files if path not in verdicts]
    candidates = {one.path: one for one in looked if isinstance(one, Candidate)}
    stopped = _stopped_by_others([*candidates.values()], places)
    note([one for one in looked if isinstance(one, Verdict)])
    note([stopped[path] for path in candidates if path in stopped])
    for found in measure([one for path, one in candidates.items() if path not in stopped], device, jobs):
        note(found)
    return [verdicts[path] for path in files]


def _verified_before(files: Sequence[Path]) -> list[Verdict]:
    """Verdicts of results that are recorded as verified by the code that runs now."""
    results = {}
    for path in files:
        with suppress(InvalidInput):
            results[path] = read_result(path)
    now = environment(torch.device("cpu"))
    return [
        Verdict(path, "verified", f"{record.rows:,} rows evaluated again on {record.created}, by this commit", record)
        for path, record in _verified(results).items()
        if dataclasses.replace(record.environment, hardware=now.hardware) == now
    ]


def verify_file(path: str | os.PathLike[str], checkpoints: Checkpoints, *, device: str | None = None) -> Verdict:
    """Verifies one result and records nothing; see `verify_files`."""
    return verify_files([path], checkpoints, device=device, write=False)[0]


def _look_at(path: Path, checkpoints: Checkpoints) -> Candidate | Verdict:
    try:
        result = validate_file(path)
    except InvalidInput as error:
        return Verdict(path, "refuted", str(error))
    try:
        _check_comparable(result)
        folders = checkpoints.find(result)
    except (InvalidInput, EnvironmentFailed) as error:
        return Verdict(path, "unverifiable", f"{path}: {error}")
    fitting, tensors, against_it = list[Path](), None, list[Verdict]()
    for folder in folders:
        try:
            sha256, problem = weights_sha256(folder), None
            if sha256 != result.model.weights_sha256:
                claimed = (result.model.weights_sha256 or "")[:12]
                problem = against("weights", f"the weights are {sha256[:12]}, and the result is of {claimed}")
            else:
                found = checkpoints.look(folder)
                problem, tensors = next(_checkpoint_problems(result, found), None), found.tensors_sha256
            if problem is None:
                fitting.append(folder)
            else:
                against_it.append(Verdict(path, "refuted", f"{path}: {problem}"))
        except (InvalidInput, EnvironmentFailed) as error:
            against_it.append(Verdict(path, "unverifiable", f"{path}: {error}"))
    return Candidate(path, result, tuple(fitting), tensors) if fitting else against_it[0]


def _stopped_by_others(candidates: Sequence[Candidate], checkpoints: Checkpoints) -> dict[Path, Verdict]:
    """Of candidates that must not stand beside other results of their folders, what that comes to.

    Nothing has been evaluated yet: no candidate is first because it is looked at first. Other results that nobody has
    verified count where their checkpoint can be had.
    """
    files = {one.path: one.result for one in candidates}
    own = {os.path.abspath(path) for path in files}
    for path in (path for root in {results_folder(path) for path in files} for path in find_results(root)):
        if str(path) not in own:
            try:
                files[path] = read_result(path)
            except InvalidInput:  # which stands beside nothing
                continue
    verified = _verified(files)
    for path in conflicts(files, verified, checkpoints.tensors):
        is_other = path not in verified and os.path.abspath(path) not in own
        if is_other and isinstance(_look_at(path, checkpoints), Verdict):
            del files[path]
    return {
        path: Verdict(path, "refuted" if conflict.is_settled else "unverifiable", conflict.problem)
        for path, conflict in conflicts(files, verified, checkpoints.tensors).items()
    }


def _check_comparable(result: Result) -> None:
    if _is_imported(result):
        raise InvalidInput(
            "imported from another harness, whose answers are not here to be compared; have `listops-bench submit` "
            "evaluate the checkpoint"
        )
    versions = {
        "dataset": (result.dataset_version, DATASET_VERSION),
        "scorer": (result.scorer_version, SCORER_VERSION),
    }
    for what, (version, ours) in versions.items():
        if version != ours:
            raise InvalidInput(against("versions", f"of {what} version {version}, and this package has {ours}"))


def _record(verdicts: Sequence[Verdict]) -> None:
    """Keeps ``verified.json`` true of some files. What could not be repeated this time stays as it was."""
    settled: defaultdict[Path, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.status != "unverifiable":
            settled[results_folder(verdict.path)].append(verdict)
    for root, found in settled.items():
        names = {"/".join(verdict.path.parts[-3:]) for verdict in found}
        own = {result_sha256(read_result(one.path)): one.record for one in found if one.record is not None}
        with alone_in(verified_file(root).parent):  # others may verify other files of the folder meanwhile
            before = read_verified(root)
            records = {key: record for key, record in before.items() if record.path not in names} | own
            if records != before:
                write_verified(root, records)
