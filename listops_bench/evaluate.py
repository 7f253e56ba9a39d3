"""A checkpoint's results: every row of the splits asked for, answered greedily and scored.

evaluate_checkpoint("runs/sum_max_med", "sum")      -> [Result]: one for each task
print_results(results)                              -> a table with n and intervals
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from listops_bench import _records
from listops_bench._result_learning import read_learning
from listops_bench._train_provenance import environment
from listops_bench.curriculum import parse_curriculum
from listops_bench.errors import InvalidInput, unknown
from listops_bench.expression import OPERATIONS, TRACE_STYLES, TraceStyle, parse
from listops_bench.generate import Rows, generate, rows_checksum
from listops_bench.model.checkpoint import load_checkpoint, weights_sha256
from listops_bench.model.ladder import family_of, make_config, model_names, modulus_of, parameter_counts
from listops_bench.predict import predict
from listops_bench.result import (
    SCHEMA_VERSION,
    TRACKS,
    Architecture,
    Environment,
    Evaluation,
    EvaluationSplit,
    Learning,
    Model,
    Parameters,
    Recipe,
    Result,
    SliceName,
    SplitResult,
    TaskId,
    Track,
    Training,
    result_path,
    single_tasks,
    write_atomic,
    write_result,
)
from listops_bench.score import (
    SCORER_VERSION,
    Metrics,
    Score,
    count_first_wrong_steps,
    operand_count,
    score,
    summarise,
    summarise_slices,
)
from listops_bench.task import DATASET_VERSION, TaskSpec, get_task

if TYPE_CHECKING:
    from rich.table import Table

EVALUATION_SPLITS: tuple[EvaluationSplit, ...] = get_args(EvaluationSplit)
TEST_SPLITS = EVALUATION_SPLITS[1:]

OnSplit = Callable[[str, str], None]


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint with what a result says of it."""

    model: PreTrainedModel
    run: dict[str, Any]
    identity: Model
    recipe: Recipe
    training: Training | None
    learning: dict[str, Learning]

    @property
    def modulus(self) -> int:
        return modulus_of(self.model.config)

    @property
    def trace(self) -> TraceStyle:
        """The style of the completions it was trained on."""
        style = self.run.get("config", {}).get("trace", "parallel")
        return style if style in TRACE_STYLES else "parallel"


def evaluate_checkpoint(
    checkpoint: str | os.PathLike[str],
    tasks: str | Sequence[str] | None = None,
    splits: str | Sequence[str] | None = None,
    *,
    num_rows: int | None = None,
    trace: TraceStyle | None = None,
    track: Track = "open",
    batch_size: int | None = None,
    device: str | None = None,
    results_dir: str | os.PathLike[str] | None = None,
    predictions_dir: str | os.PathLike[str] | None = None,
    on_split: OnSplit | None = None,
) -> list[Result]:
    """Scores a checkpoint folder on one or more tasks.

    Args:
        checkpoint: a folder as `train` writes it, or any Hugging Face causal model with our tokenizer.
        tasks: names; by default those that it was trained on, and each of their operations alone, by which it is
            decided whether a joint task has been learned.
        splits: by default all test splits.
        num_rows: the first rows of each split, where it has more.
        trace: style of the reference completions; by default the style it was trained on.
        track: see the rules of the board.
        batch_size: rows at a time, chosen by their length where it is not given.
        device: where to compute; a GPU if there is one.
        results_dir: where to write each result as soon as it is there.
        predictions_dir: where to write every prediction with its score, one JSON object a line.
        on_split: called with task and split before each.

    Raises:
        InvalidInput: a broken folder, an unknown task or split, tasks of another modulus than the model's, or rows that
            are longer than its context.
    """
    chosen = _splits((splits,) if isinstance(splits, str) else splits)
    if num_rows is not None and num_rows < 1:
        raise InvalidInput(f"num_rows {num_rows} is not a number of rows; the least is 1")
    if track not in TRACKS:
        raise unknown("track", track, TRACKS)
    wanted = None if tasks is None else [get_task(name) for name in ([tasks] if isinstance(tasks, str) else tasks)]
    loaded = open_checkpoint(checkpoint)
    specs = wanted or _own_tasks(loaded, checkpoint)
    for task in specs:
        _check_modulus(task, loaded, checkpoint)
    loaded.model.to(_device(device))
    job = _Job(loaded, trace or loaded.trace, track, num_rows, batch_size, on_split or (lambda task, split: None))
    results = []
    for task in specs:
        result, predictions = job.evaluate(task, chosen)
        if predictions_dir is not None:
            path = result_path(predictions_dir, result).with_suffix(".jsonl")
            write_atomic(path, "".join(json.dumps(line) + "\n" for line in predictions))
        if results_dir is not None:
            write_result(results_dir, result)
        results.append(result)
    return results


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):  # torch's errors for a word it does not know, and for a device it lacks
        raise InvalidInput(f"device {name!r} is not there; use 'cpu'") from None


def open_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint:
    """Loads a checkpoint folder, with its provenance where it has some.

    Raises:
        InvalidInput: a broken folder, or provenance that is not what `train` writes.
    """
    model, _, run = load_checkpoint(folder)
    where = str(Path(folder) / "run.json")
    training = _records.decode(Training, run["training"], f"{where}: training") if "training" in run else None
    recipe = _recipe(run, model.config, where)
    learning = read_learning(folder) if training else {}
    return Checkpoint(model, run, Model(recipe.id, None, weights_sha256(folder)), recipe, training, learning)


def _recipe(run: dict[str, Any], config: PreTrainedConfig, where: str) -> Recipe:
    """The configuration of a run, its seed apart: the id says what matters most in words, and the rest as a hash."""
    name = architecture(config).name
    identity = run.get("identity")
    if identity is None:
        return Recipe(_slug(f"{name}-{run.get('name') or 'untrained'}"), None)
    seed = run.get("seed")
    if not isinstance(identity, dict) or type(seed) is not int:
        raise InvalidInput(f"{where}: identity or seed is not what training writes")
    # The order of the rows follows the seed unless it was given one of its own.
    seeds = {"seed"} | ({"data_seed"} if identity.get("data_seed") == seed else set())
    fixed = {key: value for key, value in identity.items() if key not in seeds}
    digest = hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()
    words = _slug(f"{name}-{run.get('curriculum', '')}")
    return Recipe(f"{words}-{digest[:8]}", seed)


def _slug(text: str) -> str:
    """A plain name for files and ids."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)[:120].strip("-") or "model"


def architecture(config: PreTrainedConfig) -> Architecture:
    """The shape of a model. Its name is the ladder's rung that it is: found by comparing, not what it calls itself."""
    width, kind = int(config.hidden_size), str(config.model_type)
    name = next(
        (n for n in model_names() if n.endswith(f"_d{width:03d}") and _same_shape(make_config(n), config)), None
    )
    return Architecture(
        family=family_of(name) if name else kind,
        name=name or f"{kind}_d{width:03d}_l{config.num_hidden_layers}",
        model_type=kind,
        hidden_size=width,
        num_layers=int(config.num_hidden_layers),
        num_heads=int(config.num_attention_heads),
        context=int(config.max_position_embeddings),
    )


_NO_SHAPE = {"vocab_size", "transformers_version", "dtype", "architectures", "auto_map", "_name_or_path", "use_cache"}


def _same_shape(a: PreTrainedConfig, b: PreTrainedConfig) -> bool:
    first, second = a.to_dict(), b.to_dict()
    return all(first.get(key) == second.get(key) for key in {*first, *second} - _NO_SHAPE)


def _splits(names: Sequence[str] | None) -> list[EvaluationSplit]:
    for name in names or ():
        if name not in EVALUATION_SPLITS:
            raise unknown("evaluation split", name, EVALUATION_SPLITS)
    return [split for split in EVALUATION_SPLITS if split in (names or TEST_SPLITS)]


def _own_tasks(loaded: Checkpoint, folder: str | os.PathLike[str]) -> list[TaskSpec]:
    if loaded.training is None:
        raise InvalidInput(f"checkpoint {str(folder)!r} does not say what it was trained on; name the tasks")
    trained = parse_curriculum(loaded.training.curriculum).tasks
    names = [*trained, *(single for name in trained for single in single_tasks(name))]
    return [get_task(name) for name in dict.fromkeys(names)]


def _check_modulus(task: TaskSpec, loaded: Checkpoint, folder: str | os.PathLike[str]) -> None:
    if task.modulus != loaded.modulus:
        raise InvalidInput(
            f"task {task.name!r} has modulus {task.modulus}, and checkpoint {str(folder)!r} was made for modulus "
            f"{loaded.modulus}"
        )


@dataclass(frozen=True)
class _Job:
    """What all tasks of one evaluation share."""

    checkpoint: Checkpoint
    trace: TraceStyle
    track: Track
    num_rows: int | None
    batch_size: int | None
    on_split: OnSplit

    def evaluate(self, task: TaskSpec, splits: Sequence[EvaluationSplit]) -> tuple[Result, list[dict[str, Any]]]:
        started = time.monotonic()
        loaded, scored, predictions = self.checkpoint, dict[EvaluationSplit, SplitResult](), list[dict[str, Any]]()
        for split in splits:
            self.on_split(task.name, split)
            scored[split], lines = self._score(task, split)
            predictions += lines
        where = _records.decode(Environment, environment(loaded.model.device), "environment")
        result = Result(
            schema_version=SCHEMA_VERSION,
            model=loaded.identity,
            recipe=loaded.recipe,
            parameters=Parameters(**parameter_counts(loaded.model)),
            architecture=architecture(loaded.model.config),
            track=self.track,
            task=TaskId(task.name, task.modulus, self.trace),
            dataset_version=DATASET_VERSION,
            scorer_version=SCORER_VERSION,
            splits=scored,
            training=loaded.training,
            evaluation=Evaluation(
                created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                wall_seconds=round(time.monotonic() - started, 3),
                environment=where,
            ),
            learning=loaded.learning.get(task.name),
        )
        return result, predictions

    def _score(self, task: TaskSpec, split: str) -> tuple[SplitResult, list[dict[str, Any]]]:
        num_rows = min(self.num_rows or task.num_rows(split), task.num_rows(split))
        rows = generate(task, split, num_rows=num_rows, trace=self.trace)
        prompts, references = rows.prompts(), rows.completions()
        completions = predict(self.checkpoint.model, rows, batch_size=self.batch_size).completions
        scores = [
            score(prompt, completion, reference, modulus=task.modulus)
            for prompt, completion, reference in zip(prompts, completions, references, strict=True)
        ]
        result = SplitResult(
            n=len(rows),
            rows_sha256=rows_checksum(rows),
            predictions_sha256=hashlib.sha256("".join(text + "\n" for text in completions).encode()).hexdigest(),
            metrics=summarise(scores),
            first_wrong_step=count_first_wrong_steps(scores),
            slices=cast(dict[SliceName, dict[str, Metrics]], summarise_slices(scores, _columns(rows, prompts))),
        )
        return result, _prediction_lines(rows, prompts, references, completions, scores)


def _columns(rows: Rows, prompts: Sequence[str]) -> dict[str, Sequence[int | str]]:
    """The slices' values for every row, in the order of `score.SLICES`."""
    names = list(OPERATIONS)
    return {
        "depth": rows.depth.tolist(),
        "root_operation": [names[i] for i in rows.root_operation.tolist()],
        "operand_count": [operand_count(parse(prompt)) for prompt in prompts],
        "decisive_depth": rows.decisive_depth.tolist(),
    }


def _prediction_lines(
    rows: Rows, prompts: Sequence[str], references: Sequence[str], completions: Sequence[str], scores: Sequence[Score]
) -> list[dict[str, Any]]:
    columns = zip(rows.row_ids(), prompts, references, completions, scores, strict=True)
    return [
        {
            "id": row_id,
            "prompt": prompt,
            "completion": completion,
            "reference": reference,
            "answer": scored.answer,
            "trace": scored.trace,
            "num_steps": scored.num_steps,
            "valid_steps": scored.valid_steps,
            "first_wrong_step": scored.first_wrong_step,
        }
        for row_id, prompt, reference, completion, scored in columns
    ]


# --- for people -------------------------------------------------------------------------------------------------------


def results_table(results: Iterable[Result]) -> Table:
    """A line for each task and split: n, the metrics and their 95% intervals."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    for name in ("task", "split"):
        table.add_column(name, no_wrap=True)
    for name in ("n", "trace accuracy", "95% interval", "answer accuracy", "95% interval", "valid steps"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        for place, (split, scored) in enumerate(result.splits.items()):
            metrics = scored.metrics
            cells = [f"{scored.n:,}"]
            for summary in (metrics.trace_accuracy, metrics.answer_accuracy):
                cells += [f"{summary.accuracy:.1%}", f"{100 * summary.low:.1f} to {summary.high:.1%}"]
            steps = metrics.valid_step_rate
            cells.append(f"{steps.accuracy:.1%} of {steps.n:,}")
            table.add_row("" if place else result.task.name, split, *cells)
    table.caption = (
        "trace: the whole completion is right; answer: it ends with the right number; valid steps: lines that are "
        "correct reductions of the line before"
    )
    return table


def print_results(results: Iterable[Result]) -> None:
    """Prints `results_table`; into a pipe or file without folding it."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    console.print(results_table(results))
