"""A checkpoint's results: every row of the splits asked for, answered greedily and scored.

evaluate_checkpoint("runs/sum_max_med", "sum")      -> [Result]: one for each task
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from transformers import PreTrainedModel

from listops_bench._base.files import write_atomic
from listops_bench._base.options import check_number
from listops_bench._base.text import utc_timestamp
from listops_bench.errors import InvalidInput, shown, unknown
from listops_bench.evaluate.checkpoint import Checkpoint, architecture, open_checkpoint
from listops_bench.evaluate.decoding import context_length, limits_of
from listops_bench.evaluate.examiner import SplitRows
from listops_bench.evaluate.packs import predict_many
from listops_bench.model.ladder import parameter_counts
from listops_bench.result.files import result_path, write_result
from listops_bench.result.format import (
    SCHEMA_VERSION,
    TRACKS,
    Evaluation,
    EvaluationSplit,
    Result,
    SplitResult,
    TaskId,
    Track,
)
from listops_bench.runs.provenance import environment
from listops_bench.score.completion import (
    SCORER_VERSION,
    ByForm,
    count_first_wrong_steps,
    operand_count,
    score,
    score_of_trace,
    summarise,
    summarise_slices,
)
from listops_bench.score.held_out import held_out_steps
from listops_bench.tasks.expression import TraceStyle, parse
from listops_bench.tasks.generator import Rows, generate, rows_checksum
from listops_bench.tasks.pages import own_pages
from listops_bench.tasks.split import EVALUATION_SPLITS
from listops_bench.tasks.symbols import Symbols
from listops_bench.tasks.task import DATASET_VERSION, TaskSpec, get_task

TEST_SPLITS = EVALUATION_SPLITS[1:]

OnSplit = Callable[[str, str], None]


def evaluate_checkpoint(
    checkpoint: str | os.PathLike[str] | Checkpoint,
    tasks: str | Sequence[str] | None = None,
    splits: str | Sequence[str] | None = None,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    num_rows: int | None = None,
    trace: TraceStyle | None = None,
    track: Track = "open",
    batch_size: int | None = None,
    device: str | None = None,
    results_dir: str | os.PathLike[str] | None = None,
    predictions_dir: str | os.PathLike[str] | None = None,
    on_split: OnSplit | None = None,
) -> list[Result]:
    """Scores a checkpoint on one or more tasks.

    Args:
        checkpoint: a folder as `train` writes it, or with any Hugging Face causal model and our tokenizer; or the id of
            such a model on the Hub; or one that is open.
        tasks: names; by default those that it was trained on, and each of their operations alone, by which it is
            decided whether a joint task has been learned.
        splits: by default all test splits.
        revision: of a model on the Hub: a branch, tag or commit.
        trust_remote_code: run the Python files that come with the model, where it needs some of its own.
        num_rows: the first rows of each split, where it has more.
        trace: style of the reference completions; by default the style it was trained on, or where that is not known
            the task's.
        track: see the rules of the board.
        batch_size: rows at a time, chosen by their length where it is not given.
        device: where to compute; a GPU if there is one.
        results_dir: where to write each result as soon as it is there.
        predictions_dir: where to write every prediction with its score, one JSON object a line.
        on_split: called with task and split before each.

    Raises:
        InvalidInput: a broken folder, an unknown task or split, tasks of other symbols than the model's, or rows that
            are longer than its context.
    """
    if batch_size is not None:
        check_number("batch_size", batch_size)
    chosen, wanted = _asked(tasks, splits, num_rows, track)
    if isinstance(checkpoint, Checkpoint):
        loaded, name = checkpoint, checkpoint.identity.id
    else:
        loaded, name = open_checkpoint(checkpoint, revision, trust_remote_code=trust_remote_code), str(checkpoint)
    specs = _tasks_of(loaded, wanted, name)
    for task in specs:
        check_lengths(loaded.model, task, chosen, num_rows, _style(loaded, task, trace))
    loaded.model.to(device_of(device))
    results = []
    for task in specs:
        style = _style(loaded, task, trace)
        started = time.monotonic()
        scored, predictions = dict[EvaluationSplit, SplitResult](), list[dict[str, Any]]()
        for split in chosen:
            if on_split:
                on_split(task.name, split)
            questions = _questions(task, split, num_rows, style)
            (found,) = predict_many([loaded.model], questions.rows, batch_size)
            if isinstance(found, InvalidInput):
                raise found
            scored[split], lines = _score(questions, found.completions)
            if predictions_dir is not None:
                predictions += lines
        result = _result(loaded, task, style, track, scored, time.monotonic() - started)
        if predictions_dir is not None:
            path = result_path(predictions_dir, result).with_suffix(".jsonl")
            write_atomic(path, "".join(json.dumps(line) + "\n" for line in predictions))
        if results_dir is not None:
            write_result(results_dir, result)
        results.append(result)
    return results


def evaluate_many(
    checkpoints: Sequence[Checkpoint],
    tasks: str | Sequence[str] | None = None,
    splits: str | Sequence[str] | None = None,
    *,
    num_rows: int | None = None,
    trace: TraceStyle | None = None,
    track: Track = "open",
    device: str | None = None,
    results_dir: str | os.PathLike[str] | None = None,
    on_split: OnSplit | None = None,
) -> list[list[Result] | InvalidInput]:
    """Scores some checkpoints: for each the results of `evaluate_checkpoint`, or why it cannot be scored.

    Those of one shape are computed as one (`packs`). Arguments are those of `evaluate_checkpoint`; the time that a
    result states is an equal share of what all on its task took.

    Raises:
        InvalidInput: arguments that are wrong for any checkpoint.
    """
    chosen, wanted = _asked(tasks, splits, num_rows, track)
    failed: dict[int, InvalidInput] = {}
    members: defaultdict[tuple[TaskSpec, TraceStyle], list[int]] = defaultdict(list)
    for i, loaded in enumerate(checkpoints):
        try:
            for task in _tasks_of(loaded, wanted, loaded.identity.id):
                check_lengths(loaded.model, task, chosen, num_rows, _style(loaded, task, trace))
                members[task, _style(loaded, task, trace)].append(i)
        except InvalidInput as error:
            failed[i] = error
        loaded.model.to(device_of(device))
    results: list[list[Result]] = [[] for _ in checkpoints]
    for (task, style), indices in members.items():
        started, scored = time.monotonic(), {i: dict[EvaluationSplit, SplitResult]() for i in indices}
        for split in chosen:
            if on_split:
                on_split(task.name, split)
            questions = _questions(task, split, num_rows, style)
            asked = [i for i in indices if i not in failed]
            found = predict_many([checkpoints[i].model for i in asked], questions.rows)
            for i, predictions in zip(asked, found, strict=True):
                if isinstance(predictions, InvalidInput):
                    failed[i] = predictions
                else:
                    scored[i][split], _ = _score(questions, predictions.completions)
        seconds = (time.monotonic() - started) / len(indices)
        for i in indices:
            if i not in failed:
                results[i].append(_result(checkpoints[i], task, style, track, scored[i], seconds))
                if results_dir is not None:
                    write_result(results_dir, results[i][-1])
    return [failed.get(i, own) for i, own in enumerate(results)]


def device_of(name: str | None) -> torch.device:
    """The device of a name; without one, or with ``auto``, an NVIDIA GPU, Apple's, or the CPU, the first that is there.

    Raises:
        InvalidInput: no such device.
    """
    if name in (None, "auto"):
        there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        return torch.device(next(kind for kind, found in there.items() if found))
    try:
        return torch.empty(0, device=name).device
    except (
        RuntimeError,
        AssertionError,
        ValueError,
    ):  # torch's errors for a word it does not know, and for a device it lacks
        raise InvalidInput(f"device {shown(name)} is not there; use 'cpu'") from None


def _asked(
    tasks: str | Sequence[str] | None, splits: str | Sequence[str] | None, num_rows: int | None, track: Track
) -> tuple[list[EvaluationSplit], list[TaskSpec] | None]:
    """Splits and tasks of these names; None for the tasks that a checkpoint was trained on."""
    chosen = _splits((splits,) if isinstance(splits, str) else splits)
    if num_rows is not None:
        check_number("num_rows", num_rows)
    if track not in TRACKS:
        raise unknown("track", track, TRACKS)
    return chosen, None if tasks is None else [
        get_task(name) for name in ([tasks] if isinstance(tasks, str) else tasks)
    ]


def _tasks_of(loaded: Checkpoint, wanted: list[TaskSpec] | None, name: str) -> list[TaskSpec]:
    specs = wanted or _own_tasks(loaded, name)
    for task in specs:
        if task.symbol_set != loaded.symbols:
            raise InvalidInput(
                f"task {task.name!r} has {task.symbol_set}, and checkpoint {name!r} was made for {loaded.symbols}"
            )
    return specs


def _style(loaded: Checkpoint, task: TaskSpec, trace: TraceStyle | None) -> TraceStyle:
    return trace or (loaded.trace if "trace" in loaded.run.config else task.trace)


def _splits(names: Sequence[str] | None) -> list[EvaluationSplit]:
    for name in names or ():
        if name not in EVALUATION_SPLITS:
            raise unknown("evaluation split", name, EVALUATION_SPLITS)
    return [split for split in EVALUATION_SPLITS if split in (names or TEST_SPLITS)]


def _own_tasks(loaded: Checkpoint, name: str) -> list[TaskSpec]:
    if loaded.training is None:
        raise InvalidInput(f"checkpoint {name!r} does not say what it was trained on; name the tasks")
    return [get_task(name) for name in loaded.training.tasks]


def _result(
    loaded: Checkpoint,
    task: TaskSpec,
    trace: TraceStyle,
    track: Track,
    splits: dict[EvaluationSplit, SplitResult],
    seconds: float,
) -> Result:
    return Result(
        schema_version=SCHEMA_VERSION,
        model=loaded.identity,
        recipe=loaded.recipe,
        parameters=parameter_counts(loaded.model),
        architecture=architecture(loaded.model.config),
        track=track,
        task=TaskId(task.name, task.modulus, trace),
        dataset_version=DATASET_VERSION,
        scorer_version=SCORER_VERSION,
        splits=splits,
        training=loaded.training,
        evaluation=Evaluation(
            created=utc_timestamp(),
            wall_seconds=round(seconds, 3),
            environment=environment(loaded.model.device),
        ),
        learning=loaded.learning.get(task.name),
        pages=own_pages([*task.page_words, *(loaded.run.pages or {})]) or None,
    )


def rows_of(task: TaskSpec, split: str, num_rows: int | None, trace: TraceStyle) -> Rows:
    """The first rows of a split; all where ``num_rows`` is None or more."""
    size = task.num_rows(split)
    return generate(task, split, num_rows=min(num_rows or size, size), trace=trace)


def check_lengths(
    model: PreTrainedModel, task: TaskSpec, splits: Sequence[str], num_rows: int | None, trace: TraceStyle
) -> None:
    """Raises InvalidInput, before any row is scored, where one of some splits is longer than a model's context."""
    context = context_length(model)
    if context is not None and context < task.max_tokens:  # no row is longer than that
        for split in splits:
            limits_of(model, rows_of(task, split, num_rows, trace), None)


@dataclass(frozen=True)
class _Questions:
    """Rows, and what does not depend on who answers them."""

    rows: Rows
    prompts: Sequence[str]
    references: Sequence[str]
    rows_sha256: str
    columns: dict[str, Sequence[int | str]]
    forms: Sequence[int]

    @classmethod
    def of(cls, rows: Rows) -> _Questions:
        prompts, forms = rows.prompts(), rows.forms().tolist()
        return cls(rows, prompts, rows.completions(), rows_checksum(rows), slice_columns(rows, prompts), forms)


@lru_cache(maxsize=16)
def _questions(task: TaskSpec, split: str, num_rows: int | None, trace: TraceStyle) -> _Questions:
    """Kept for the next checkpoint: 5,000 rows are 3 MB."""
    return _Questions.of(rows_of(task, split, num_rows, trace))


def score_split(rows: Rows, completions: Sequence[str]) -> tuple[SplitResult, Iterator[dict[str, Any]]]:
    """The score of one completion for each row, and a line of `predictions_dir` for each."""
    return _score(_Questions.of(rows), completions)


def _score(asked: _Questions, completions: Sequence[str]) -> tuple[SplitResult, Iterator[dict[str, Any]]]:
    rows, prompts, references, symbols = asked.rows, asked.prompts, asked.references, asked.rows.task.symbol_set
    scores = [
        # Most rows of a good model. (An answer without its steps, of a row that has some, is another matter.)
        score_of_trace(reference)
        if completion == reference and (depth == 1 or "=" in reference)
        else score(prompt, completion, reference, modulus=symbols)
        for prompt, completion, reference, depth in zip(prompts, completions, references, rows.depth, strict=True)
    ]
    unseen = rows.split == "test_unseen_operands"
    result = SplitResult(
        n=len(rows),
        rows_sha256=asked.rows_sha256,
        predictions_sha256=hashlib.sha256("".join(text + "\n" for text in completions).encode()).hexdigest(),
        metrics=summarise(scores),
        first_wrong_step=count_first_wrong_steps(scores),
        slices=summarise_slices(scores, asked.columns),
        held_out=held_out_steps(prompts, completions, symbols, rows.task.hold_out) if unseen else {},
        by_form=ByForm.of(scores, asked.forms),
    )
    columns = zip(rows.row_ids(), prompts, references, completions, scores, strict=True)
    return result, (
        {"id": row_id, "prompt": prompt, "completion": completion, "reference": reference, **dataclasses.asdict(scored)}
        for row_id, prompt, reference, completion, scored in columns
    )


def split_rows(task: str, split: str, num_rows: int, trace: TraceStyle) -> SplitRows:
    """What a result says of the rows of a split."""
    rows = generate(get_task(task), split, num_rows=num_rows, trace=trace)
    columns = slice_columns(rows, rows.prompts())
    return SplitRows(rows_checksum(rows), {name: dict(Counter(map(str, of))) for name, of in columns.items()})


def slice_columns(rows: Rows, prompts: Sequence[str]) -> dict[str, Sequence[int | str]]:
    """The slices' values for every row, in the order of `score.SLICES`."""
    symbols = rows.task.symbol_set
    names = list(symbols.operations)
    return {
        "depth": rows.depth.tolist(),
        "root_operation": [names[i] for i in rows.root_operation.tolist()],
        "operand_count": [_operand_count(_NUMBER.sub(" 0", prompt), symbols) for prompt in prompts],
        "decisive_depth": rows.decisive_depth.tolist(),
    }


_NUMBER = re.compile(r" [0-9]+")


@lru_cache(maxsize=4096)
def _operand_count(shape: str, symbols: Symbols) -> int:
    """`operand_count` of a prompt whose numbers are all 0: thousands of prompts have some hundred shapes."""
    return operand_count(parse(shape, symbols))
