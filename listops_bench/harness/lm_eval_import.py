"""Results of lm-eval's few-shot variants as results of ours: for models that do not read our tokens.

    lm_eval run --model hf --model_args pretrained=org/large --include_path $(listops-bench lm-eval-path) \\
        --tasks listops_sum_few_shot --output_path out --log_samples
    listops-bench import-lm-eval out --output-dir leaderboard/results

Nothing that lm-eval has scored is taken over: the answers it logged are scored again, row by row, against the rows that
this version of the dataset has. Such models are a family of their own, "few-shot": they were told the task and shown
some examples, and were never trained on it. Of their size lm-eval counts the parameters.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from listops_bench._base.text import slug, utc_timestamp
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.run import score_split
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.origin import WEIGHTS
from listops_bench.result.checks import validate
from listops_bench.result.format import (
    SCHEMA_VERSION,
    Architecture,
    Evaluation,
    EvaluationSplit,
    Model,
    Recipe,
    Result,
    SplitResult,
    TaskId,
)
from listops_bench.runs.record import Environment, Parameters
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import DATASET_VERSION, TaskSpec, get_task

FAMILY = "few-shot"


def import_lm_eval(output: str | os.PathLike[str]) -> list[Result]:
    """The results that an lm-eval run has logged, one for each task.

    Args:
        output: its ``--output_path``, or a ``results_....json`` in it with its ``samples_...jsonl`` beside it.

    Raises:
        InvalidInput: not such a file or folder; no few-shot task of ours in it, or no samples; answers to other rows
            than those of this dataset version; or nothing that says which model it was, and of what size.
    """
    path = _results_file(Path(output))
    content = _read_object(path.read_text(encoding="utf-8"), str(path))
    try:
        found = [
            _result(content, task, shots, {"test": _score(path, task, name)})
            for name, task, shots in _few_shot_tasks(content)
        ]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{path}: not what lm-eval writes ({type(error).__name__}: {error})") from None
    if not found:
        raise InvalidInput(f"{path}: holds no few-shot task of listops_bench (listops_..._few_shot)")
    for result in found:
        validate(result, str(path))
    return found


def _results_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = sorted(path.glob("**/results_*.json"))
    if len(files) != 1:
        raise InvalidInput(f"{str(path)!r} holds {len(files)} files named results_....json; name one of them")
    return files[0]


def _read_object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{where}: not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{where}: not an object")
    return value


def _few_shot_tasks(content: dict[str, Any]) -> Iterator[tuple[str, TaskSpec, int]]:
    """lm-eval's name, the task, and the number of examples."""
    for name, config in content["configs"].items():
        rows = config.get("dataset_kwargs") or {}
        if name.startswith("listops_") and rows.get("few_shot"):
            yield name, get_task(rows["task"]), int(content["n-shot"][name])


def _score(path: Path, task: TaskSpec, name: str) -> SplitResult:
    file = path.with_name(path.name.replace("results_", f"samples_{name}_", 1)).with_suffix(".jsonl")
    if not file.is_file():
        raise InvalidInput(f"{file}: missing; lm-eval writes it with --log_samples")
    lines = [_read_object(line, str(file)) for line in file.read_text(encoding="utf-8").splitlines()]
    samples = sorted(lines, key=lambda sample: int(sample["doc_id"]))
    if not 0 < len(samples) <= task.num_test:
        raise InvalidInput(f"{file}: {len(samples)} answers, and the split has {task.num_test} rows")
    rows = generate(task, "test", num_rows=len(samples))
    expected = zip(range(len(rows)), rows.row_ids(), rows.prompts(), strict=True)
    for sample, row in zip(samples, expected, strict=True):
        if (sample["doc_id"], sample["doc"]["id"], sample["doc"]["prompt"]) != row:
            raise InvalidInput(
                f"{file}: answer {sample['doc_id']} is not to row {row[1]} of dataset version {DATASET_VERSION}"
            )
    return score_split(rows, [str(sample["resps"][0][0]) for sample in samples])[0]


def _result(content: dict[str, Any], task: TaskSpec, shots: int, splits: dict[EvaluationSplit, SplitResult]) -> Result:
    config = content["config"]
    given = config["model_args"]  # a mapping, or pretrained=NAME,dtype=float32
    model_args = given if isinstance(given, dict) else dict(pair.split("=", 1) for pair in str(given).split(","))
    pretrained = str(model_args["pretrained"])
    model = _model(pretrained, config)
    parameters = config.get("model_num_parameters")
    if type(parameters) is not int or parameters < 1:
        raise InvalidInput(f"lm-eval does not say how many parameters {pretrained!r} has; a board needs its size")
    versions = {"lm_eval": content.get("lm_eval_version"), "transformers": content.get("transformers_version")}
    return Result(
        schema_version=SCHEMA_VERSION,
        model=model,
        recipe=Recipe(slug(f"{model.id}-{shots}-shot"), None),
        parameters=Parameters(parameters, None, None, None),
        architecture=Architecture(FAMILY, model.id, str(config["model"]), None, None, None, None),
        track="open",
        task=TaskId(task.name, task.modulus, "parallel"),
        dataset_version=DATASET_VERSION,
        scorer_version=SCORER_VERSION,
        splits=splits,
        training=None,
        evaluation=Evaluation(
            created=utc_timestamp(float(content["date"])),
            wall_seconds=round(float(content["total_evaluation_time_seconds"]), 3),
            environment=Environment({k: str(v) for k, v in versions.items() if v}, None, None, None),
        ),
    )


def _model(pretrained: str, config: dict[str, Any]) -> Model:
    """Whose answers they are: a commit of the Hub as lm-eval has looked it up, or a folder, by its weights."""
    weights = Path(pretrained) / WEIGHTS
    if weights.is_file():
        return Model(slug(Path(pretrained).name), None, weights_sha256(pretrained))
    if config.get("model_sha"):
        return Model(pretrained, str(config["model_sha"]), None)
    raise InvalidInput(
        f"nothing says which weights {pretrained!r} are: lm-eval found no commit of it on the Hub, and there is no "
        f"{WEIGHTS} in a folder of that name"
    )
