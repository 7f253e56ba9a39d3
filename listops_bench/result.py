"""Result files: one model on one task, with everything needed to read, doubt and repeat the figure.

    results/looped_d048-sum/3f9c0a1b2c4d/sum.json
            |               |            the task
            |               the model's revision on the Hub, else the first 12 digits of its weights' sha256
            the model's id (org__name), for a model of one's own that of its recipe

The classes below are the format: the schema file (``leaderboard/schema.json``) is made from them, and reading accepts
nothing else. A file that reads is also consistent in itself: counts add up and intervals follow from them. Whether it
is true is another question, which evaluating the checkpoint again answers.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from listops_bench import _records
from listops_bench._records import Count, Range, Sha256, Text
from listops_bench._score_held_out import HeldOutSteps
from listops_bench.errors import InvalidInput
from listops_bench.expression import TraceStyle
from listops_bench.score import METRICS, SLICES, Metrics, Summary
from listops_bench.task import DATASET_VERSION, get_task

SCHEMA_VERSION: Literal[1] = 1
MAX_FILE_BYTES = 4_000_000

TRACKS = ("reference", "open", "constructed")
Track = Literal["reference", "open", "constructed"]
EvaluationSplit = Literal["validation", "test", "test_unseen_operands", "test_deeper", "test_wider"]
SliceName = Literal["depth", "root_operation", "operand_count", "decisive_depth"]
OperationName = Literal["sum", "prod", "nadd", "ssum", "max", "min", "med"]

_NAME = r"[A-Za-z0-9](?:\.?[A-Za-z0-9_+=,-])*"  # no ".." and no leading dot: it becomes a folder
ModelId = Annotated[str, Text(rf"{_NAME}(?:/{_NAME})?", 160)]
RecipeId = Annotated[str, Text(_NAME, 160)]
Revision = Annotated[str, Text(r"[0-9a-f]{40}", 40)]  # a commit: branches and tags move
Version = Annotated[str, Text(r"[0-9]+(?:\.[0-9A-Za-z+-]+)*", 40)]
TaskName = Annotated[str, Text(r"[a-z0-9]+(?:_[a-z0-9]+)*", 80)]
Line = Annotated[str, Text(r"[^\x00-\x1f\x7f]*", 300)]
# Never the name of a YAML file, which a curriculum may be elsewhere: reading a result opens no other file.
CurriculumText = Annotated[str, Text(r"(?!.*\.ya?ml\s*$)[^\x00-\x1f\x7f]*", 2000)]
Step = Annotated[str, Text(r"[1-9][0-9]*", 12)]
Positive = Annotated[int, Range(1)]
Seconds = Annotated[float, Range(0)]
Timestamp = Annotated[str, Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", 20)]


@dataclass(frozen=True, slots=True)
class Model:
    """Whose answers were scored. ``revision`` is a commit on the Hub, None for a folder of one's own.

    The weights' hash may be None where a revision says which they are: those of a model that another harness has run.
    """

    id: ModelId
    revision: Revision | None
    weights_sha256: Sha256 | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it was trained, the seed apart: rows of one recipe are grouped over seeds."""

    id: RecipeId
    seed: int | None


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sizes computed from the weights: ``total`` unique parameters = ``embedding`` + ``non_embedding``.

    Of a model that another harness has run only the total is known.
    """

    total: Positive
    embedding: Count | None
    non_embedding: Count | None
    flops_per_token: Count | None


@dataclass(frozen=True, slots=True)
class Architecture:
    """``family`` groups the sizes of one ladder; ``num_layers`` counts loops of a shared block too.

    What a model's configuration does not name is None, as is everything about one that another harness has run.
    """

    family: Line
    name: Line
    model_type: Line
    hidden_size: Positive | None
    num_layers: Positive | None
    num_heads: Positive | None
    context: Positive | None


@dataclass(frozen=True, slots=True)
class TaskId:
    """The task, and the style of the reference completions."""

    name: TaskName
    modulus: Annotated[int, Range(2)]
    trace: TraceStyle


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The score of one split.

    Attributes:
        n: rows scored.
        rows_sha256: their checksum (`generate.rows_checksum`).
        predictions_sha256: of the completions, each followed by a new line.
        first_wrong_step: rows that go wrong first at step "1", "2", ...
        slices: the metrics by slice and value: ``slices["depth"]["2"]``.
        held_out: of ``test_unseen_operands`` alone: the score at the held-out step, by operation.
    """

    n: Positive
    rows_sha256: Sha256
    predictions_sha256: Sha256
    metrics: Metrics
    first_wrong_step: dict[str, Positive]
    slices: dict[SliceName, dict[str, Metrics]]
    held_out: dict[OperationName, HeldOutSteps] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where something ran: package versions, the code's commit and whether it was altered, the hardware."""

    packages: dict[str, Line]
    commit: Line | None
    dirty: bool | None
    hardware: Line | None


@dataclass(frozen=True, slots=True)
class Training:
    """Where the weights come from.

    Attributes:
        curriculum: ``"max_med:1200,sum:1800"``.
        steps, budget: optimizer steps taken, and allowed.
        tokens: seen in training, and ``loss_tokens`` those among them that bore loss.
        reductions: operations evaluated in the training traces, by operation.
    """

    curriculum: CurriculumText
    steps: Count
    budget: Count
    tokens: Count
    loss_tokens: Count
    reductions: dict[OperationName, Count]
    environment: Environment
    wall_seconds: Seconds


@dataclass(frozen=True, slots=True)
class Learning:
    """How the training went, as its log says: exact traces among the first ``n`` validation rows of the task.

    ``correct`` by step: ``{"250": 3, "500": 251}``. What was learned is decided on test rows; this says when.
    """

    n: Positive
    correct: dict[Step, Count]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How the figures were made. Everything in a result but for this and wall times is the same in every evaluation."""

    created: Timestamp
    wall_seconds: Seconds
    environment: Environment


@dataclass(frozen=True, slots=True)
class Result:
    """One model on one task.

    ``training`` is None for weights that were not trained here, and ``learning`` for those whose training did not
    validate on the task.
    """

    schema_version: Literal[1]
    model: Model
    recipe: Recipe
    parameters: Parameters
    architecture: Architecture
    track: Track
    task: TaskId
    dataset_version: Version
    scorer_version: Version
    splits: dict[EvaluationSplit, SplitResult]
    training: Training | None
    evaluation: Evaluation
    learning: Learning | None = None


# --- files ------------------------------------------------------------------------------------------------------------


def result_path(results_dir: str | os.PathLike[str], result: Result) -> Path:
    """Where a result belongs below a results folder; every part of it was checked to be a plain name."""
    return Path(results_dir).joinpath(*_path_parts(result))


def _path_parts(result: Result) -> tuple[str, str, str]:
    model = result.model
    version = model.revision or (model.weights_sha256 or "")[:12]
    return model.id.replace("/", "__"), version, f"{result.task.name}.json"


def write_result(results_dir: str | os.PathLike[str], result: Result) -> Path:
    """Writes a result where it belongs, whole or not at all, replacing an earlier one, and returns the path.

    Raises:
        InvalidInput: the result is not valid; nothing is written then.
    """
    # What is written has been read: a record built in Python could hold what no reader accepts.
    text = _records.dumps(result)
    _parse(text, "result")
    path = result_path(results_dir, result)
    write_atomic(path, text)
    return path


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a file that is there whole or not at all, whatever happens meanwhile; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files for one's own eyes only
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_result(path: str | os.PathLike[str], results_dir: str | os.PathLike[str] | None = None) -> Result:
    """Reads and validates one result file.

    Args:
        path: the file.
        results_dir: where given, the file must lie at its proper place below it.

    Raises:
        InvalidInput: naming the file and what is wrong: not JSON, an unknown, missing or repeated key, a wrong type,
            NaN, too large, counts or intervals that do not agree with each other, or a file in the wrong place.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MAX_FILE_BYTES:
        raise InvalidInput(f"{path}: larger than {MAX_FILE_BYTES:,} bytes")
    result = _parse(content, str(path))
    if results_dir is not None and path != result_path(results_dir, result):
        raise InvalidInput(f"{path}: belongs at {result_path(results_dir, result)}")
    return result


def _parse(content: str | bytes, where: str) -> Result:
    result: Result = _records.decode(Result, _records.loads(content, where), where)
    validate(result, where)
    return result


def find_results(results_dir: str | os.PathLike[str]) -> list[Path]:
    """The result files below a folder, sorted; files whose name begins with a dot are not among them."""
    return sorted(path for path in Path(results_dir).glob("*/*/*.json") if not path.name.startswith("."))


def read_results(results_dir: str | os.PathLike[str]) -> list[Result]:
    """All results below a folder, each valid and in its place.

    Raises:
        InvalidInput: no such folder, or one file that is not valid.
    """
    if not Path(results_dir).is_dir():
        raise InvalidInput(f"results folder {str(results_dir)!r} does not exist")
    return [read_result(path, results_dir) for path in find_results(results_dir)]


def json_schema() -> dict[str, Any]:
    """The format as JSON Schema, as it stands in ``leaderboard/schema.json``."""
    return _records.json_schema(
        Result,
        title="listops_bench result",
        description="One model on one ListOps task. Made from listops_bench/result.py; do not edit.",
    )


@cache
def single_tasks(task: str) -> tuple[str, ...]:
    """The tasks of a joint task's operations alone: ``sum_max_mod20`` gives ``sum_mod20`` and ``max_mod20``.

    Nothing for a task of one operation.
    """
    spec = get_task(task)
    if len(spec.operations) == 1:
        return ()
    return tuple(get_task(name, modulus=spec.modulus, max_depth=spec.max_depth).name for name in spec.operations)


# --- consistency ------------------------------------------------------------------------------------------------------


def validate(result: Result, where: str = "result") -> None:
    """Checks what types cannot: that the numbers of a result agree with each other.

    Raises:
        InvalidInput: with the first disagreement.
    """
    for problem in _problems(result):
        raise InvalidInput(f"{where}: {problem}")


def _problems(result: Result) -> Iterator[str]:
    parameters, task = result.parameters, result.task
    if result.model.revision is None and result.model.weights_sha256 is None:
        yield "model: neither a revision nor the weights' hash says which weights they are"
    parts = (parameters.embedding, parameters.non_embedding)
    if parts != (None, None) and parameters.total != sum(part or 0 for part in parts):
        yield "parameters: total is not embedding + non_embedding"
    spec = get_task(task.name)
    if spec.name != task.name:
        yield f"task.name: {task.name!r} is spelled {spec.name!r}"
    if spec.modulus != task.modulus:
        yield f"task.modulus: {task.modulus} is not that of {task.name!r}, {spec.modulus}"
    if not result.splits:
        yield "splits: there is none"
    if result.learning is not None:
        for step, correct in result.learning.correct.items():
            if correct > result.learning.n:
                yield f"learning.correct.{step}: {correct} correct of {result.learning.n}"
    for name, split in result.splits.items():
        if result.dataset_version == DATASET_VERSION and split.n > spec.num_rows(name):
            yield f"splits.{name}.n: {split.n} rows, and the split has {spec.num_rows(name)}"
        for problem in _split_problems(split, result.task.trace):
            yield f"splits.{name}.{problem}"
        if split.held_out and name != "test_unseen_operands":
            yield f"splits.{name}.held_out: only test_unseen_operands has held-out steps"


def _split_problems(split: SplitResult, trace: TraceStyle) -> Iterator[str]:
    metrics = split.metrics
    yield from (f"metrics.{problem}" for problem in _metric_problems(metrics))
    if metrics.answer_accuracy.n != split.n:
        yield f"metrics: {metrics.answer_accuracy.n} rows were scored, and n is {split.n}"
    wrong = sum(split.first_wrong_step.values())
    if any(not re.fullmatch(r"[1-9][0-9]*", step) for step in split.first_wrong_step):
        yield "first_wrong_step: steps are 1, 2, ..."
    # A row without a wrong step ends in the right answer; with a trace, a row that equals the reference has none.
    if split.n - wrong > metrics.answer_accuracy.correct:
        yield "first_wrong_step: more rows without a wrong step than right answers"
    if trace != "none" and split.n - wrong < metrics.trace_accuracy.correct:
        yield "first_wrong_step: fewer rows without a wrong step than exact traces"
    if set(split.slices) != set(SLICES):
        yield f"slices: must be {', '.join(SLICES)}"
    for name, groups in split.slices.items():
        for value, group in groups.items():
            yield from (f"slices.{name}.{value}.{problem}" for problem in _metric_problems(group))
        for metric in METRICS:
            whole = getattr(metrics, metric)
            parts = [getattr(group, metric) for group in groups.values()]
            if _total(parts) != (whole.n, whole.correct):
                yield f"slices.{name}: the parts' {metric} do not add up to the whole"

    yield from (f"held_out.{name}: {p}" for name, steps in split.held_out.items() for p in _held_out_problems(steps))


def _held_out_problems(found: HeldOutSteps) -> Iterator[str]:
    if not found.correct <= found.n <= found.steps:
        yield f"{found.correct} right of {found.n} reached of {found.steps}"
    elif not min(found.n, 1) <= found.multisets <= found.n:
        yield f"{found.multisets} multisets among {found.n} steps"
    elif abs(found.accuracy - (found.correct / found.n if found.n else 0)) > 1e-6:
        yield f"accuracy does not follow from {found.correct} correct of {found.n}"
    elif not found.low <= found.accuracy <= found.high:
        yield "accuracy lies outside its interval"


def _total(parts: Iterable[Summary]) -> tuple[int, int]:
    n = correct = 0
    for part in parts:
        n += part.n
        correct += part.correct
    return n, correct


def _metric_problems(metrics: Metrics) -> Iterator[str]:
    for name in METRICS:
        summary: Summary = getattr(metrics, name)
        if summary.correct > summary.n:
            yield f"{name}: {summary.correct} correct of {summary.n}"
        elif not _same(summary, Summary.of(summary.correct, summary.n)):
            yield f"{name}: accuracy or interval does not follow from {summary.correct} correct of {summary.n}"
    if metrics.answer_accuracy.n != metrics.trace_accuracy.n:
        yield "trace_accuracy: n is not that of answer_accuracy"
    if metrics.trace_accuracy.correct > metrics.answer_accuracy.correct:
        yield "trace_accuracy: more exact traces than right answers"


def _same(a: Summary, b: Summary) -> bool:
    return max(abs(a.accuracy - b.accuracy), abs(a.low - b.low), abs(a.high - b.high)) <= 2e-6


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
