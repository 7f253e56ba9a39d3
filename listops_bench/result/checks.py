"""Whether the numbers of a result agree with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from listops_bench.errors import InvalidInput, unknown
from listops_bench.result.format import Result, SplitResult
from listops_bench.result.rules import against
from listops_bench.score.completion import METRICS, SCORER_VERSIONS, SLICES, ByForm, Metrics
from listops_bench.score.held_out import HeldOutSteps
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.pages import remember_pages
from listops_bench.tasks.task import DATASET_VERSION, DATASET_VERSIONS, get_task


def validate(result: Result, where: str = "result") -> None:
    """Checks what types cannot: that the numbers of a result agree with each other.

    Raises:
        InvalidInput: with the first disagreement.
    """
    for problem in _problems(result):
        raise InvalidInput(f"{where}: {problem}")


def _problems(result: Result) -> Iterator[str]:
    parameters, task = result.parameters, result.task
    for what, version, known in (
        ("dataset", result.dataset_version, DATASET_VERSIONS),
        ("scorer", result.scorer_version, SCORER_VERSIONS),
    ):
        if version not in known:
            yield against("versions", f"{what}_version: {unknown(f'{what} version', version, known)}")
    if result.model.revision is None and result.model.weights_sha256 is None:
        yield against("weights", "model: neither a revision nor the weights' hash says which weights they are")
    parts = (parameters.embedding, parameters.non_embedding)
    if parts != (None, None) and parameters.total != sum(part or 0 for part in parts):
        yield against("size", "parameters: total is not embedding + non_embedding")
    yield from (against("task", problem) for problem in _task_problems(result))
    yield from (against("task", problem) for problem in _operation_problems(result))
    if not result.splits:
        yield against("rows", "splits: there is none")
    if result.learning is not None:
        for step, correct in result.learning.correct.items():
            if correct > result.learning.n:
                yield against("counts", f"learning.correct.{step}: {correct} correct of {result.learning.n}")
    for name, split in result.splits.items():
        rows = get_task(task.name).num_rows(name)
        if result.dataset_version == DATASET_VERSION and split.n > rows:
            yield against("rows", f"splits.{name}.n: {split.n} rows, and the split has {rows}")
        for problem in _split_problems(split, result.task.trace):
            yield against("counts", f"splits.{name}.{problem}")
        if split.held_out and name != "test_unseen_operands":
            yield against("counts", f"splits.{name}.held_out: only test_unseen_operands has held-out steps")


def _task_problems(result: Result) -> Iterator[str]:
    task = result.task
    try:
        remember_pages(result.pages or {}, "result")
        spec = get_task(task.name)
    except InvalidInput as error:
        yield f"task.name: {error}"
        return
    if spec.name != task.name:
        yield f"task.name: {task.name!r} is spelled {spec.name!r}"
    if spec.modulus != task.modulus:
        yield f"task.modulus: {task.modulus} is not that of {task.name!r}, {spec.modulus}"


def _operation_problems(result: Result) -> Iterator[str]:
    known, training = get_task(result.task.name).symbol_set.operations, result.training
    named: dict[str, Iterable[str]] = {"training.reductions": training.reductions} if training else {}
    for split, scored in result.splits.items():
        named |= {f"splits.{split}.held_out": scored.held_out}
        named |= {f"splits.{split}.slices.root_operation": scored.slices.get("root_operation", {})}
    for where, names in named.items():
        if others := {*names} - {*known}:
            yield f"{where}: {min(others)!r} is no operation on the symbols of {result.task.name!r}"


def _split_problems(split: SplitResult, trace: TraceStyle) -> Iterator[str]:
    metrics = split.metrics
    yield from (f"metrics.{problem}" for problem in _metric_problems(metrics))
    if metrics.answer_accuracy.n != split.n:
        yield f"metrics: {metrics.answer_accuracy.n} rows were scored, and n is {split.n}"
    wrong = sum(split.first_wrong_step.values())
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
            if (sum(p.n for p in parts), sum(p.correct for p in parts)) != (whole.n, whole.correct):
                yield f"slices.{name}: the parts' {metric} do not add up to the whole"

    if split.by_form is not None:
        yield from (f"by_form.{problem}" for problem in _by_form_problems(split.by_form, split))
    yield from (f"held_out.{name}: {p}" for name, steps in split.held_out.items() for p in _held_out_problems(steps))


def _by_form_problems(found: ByForm, split: SplitResult) -> Iterator[str]:
    if not 1 <= found.forms <= split.n:
        yield f"forms: {found.forms} among {split.n} rows"
    for name in METRICS:
        rows, limits = getattr(split.metrics, name), getattr(found, name)
        if limits.low > rows.low or limits.high < rows.high:
            yield f"{name}: narrower than the interval of rows that are independent"


def _held_out_problems(found: HeldOutSteps) -> Iterator[str]:
    if not found.correct <= found.n <= found.steps:
        yield f"{found.correct} right of {found.n} reached of {found.steps}"
    elif not min(found.n, 1) <= found.multisets <= found.n:
        yield f"{found.multisets} multisets among {found.n} steps"
    elif abs(found.accuracy - (found.correct / found.n if found.n else 0)) > 1e-6:
        yield f"accuracy does not follow from {found.correct} correct of {found.n}"
    elif not found.low <= found.accuracy <= found.high:
        yield "accuracy lies outside its interval"


def _metric_problems(metrics: Metrics) -> Iterator[str]:
    for name in METRICS:
        found: Summary = getattr(metrics, name)
        if found.correct > found.n:
            yield f"{name}: {found.correct} correct of {found.n}"
            continue
        due = Summary.of(found.correct, found.n)
        if max(abs(found.accuracy - due.accuracy), abs(found.low - due.low), abs(found.high - due.high)) > 2e-6:
            yield f"{name}: accuracy or interval does not follow from {found.correct} correct of {found.n}"
    if metrics.answer_accuracy.n != metrics.trace_accuracy.n:
        yield "trace_accuracy: n is not that of answer_accuracy"
    if metrics.trace_accuracy.correct > metrics.answer_accuracy.correct:
        yield "trace_accuracy: more exact traces than right answers"
