"""Results of lm-eval's few-shot variants as results of ours: for models that do not read our tokens.

    lm_eval run --model hf --model_args pretrained=org/large --include_path $(listops-bench lm-eval-path) \\
        --tasks listops_sum_few_shot --output_path out --log_samples
    listops-bench import-lm-eval out --output-dir leaderboard/results

Nothing that lm-eval has scored is taken over: the answers it logged are scored again, row by row, against the rows that
this version of the dataset has. Such models are a family of their own, "few-shot": they were told the task and shown
some examples, and were never trained on it. Of their size lm-eval counts the parameters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

from listops_bench._base import records
from listops_bench._base.files import files_below, read_bytes, read_json
from listops_bench._base.records import Count, Line, Positive, Range, Text
from listops_bench._base.text import slug, utc_timestamp
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.run import score_split
from listops_bench.harness.lm_eval_files import task_name
from listops_bench.model.checkpoint import weights_sha256
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
from listops_bench.runs.folder import WEIGHTS
from listops_bench.runs.record import Environment, Parameters
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.tasks.generator import generate
from listops_bench.tasks.pages import own_pages, remember_pages
from listops_bench.tasks.task import DATASET_VERSION, TaskSpec, get_task

FAMILY = "few-shot"
MAX_RESULTS_BYTES, MAX_SAMPLES_BYTES = 20_000_000, 100_000_000
"""Of a log of strangers; 5,000 rows with their prompts are some 30 MB."""
_Answer = Annotated[str, Text(max_length=20_000)]


def import_lm_eval(output: str | os.PathLike[str]) -> list[Result]:
    """The results that an lm-eval run has logged, one for each task.

    Args:
        output: its ``--output_path``, or a ``results_....json`` in it with its ``samples_...jsonl`` beside it.

    Raises:
        InvalidInput: not such a file or folder; no few-shot task of ours in it, or no samples; a field that is missing,
            of another type or out of range; answers to other rows than those of this dataset version; or nothing that
            says which model it was, and of what size.
        EnvironmentFailed: a file is there and cannot be read.
    """
    path = _results_file(Path(output))
    log = _Log(read_json(path, kind="lm-eval results", max_bytes=MAX_RESULTS_BYTES), str(path))
    found = [
        _result(log, task, log.read(f"n-shot.{name}", Count), {"test": _score(path, task, name)})
        for name, task in _few_shot_tasks(log)
    ]
    if not found:
        raise InvalidInput(f"{path}: holds no few-shot task of listops_bench (listops_..._few_shot)")
    for result in found:
        validate(records.decode(Result, records.encode(result), str(path)), str(path))
    return found


@dataclass(frozen=True)
class _Log:
    """A JSON value that lm-eval should have written, of which some fields are read; ``where``: file, and line."""

    value: Any
    where: str

    def read(self, name: str, kind: Any) -> Any:
        """The value under a dotted name, of that type.

        Raises:
            InvalidInput: there is none, or it is of another.
        """
        value = self.value
        for key in name.split("."):
            if not isinstance(value, dict) or key not in value:
                raise InvalidInput(f"{self.where}: {name} is missing, which lm-eval writes")
            value = value[key]
        return records.decode(kind, value, f"{self.where}: {name}")


def _results_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = [file for file in files_below(path) if fnmatch(file.name, "results_*.json") and file.is_file()]
    if len(files) != 1:
        raise InvalidInput(f"{str(path)!r} holds {len(files)} files named results_....json; name one of them")
    return files[0]


def _few_shot_tasks(log: _Log) -> Iterator[tuple[str, TaskSpec]]:
    """lm-eval's name, and the task."""
    for name, config in log.read("configs", dict[str, Any]).items():
        words = re.fullmatch(r"listops_([a-z0-9_]{1,80})_few_shot", name)
        if words and isinstance(config, dict) and isinstance(told := config.get("dataset_kwargs"), dict):
            own = _Log(told, f"{log.where}: configs.{name}.dataset_kwargs")
            remember_pages(own.read("pages", dict[str, Any]) if "pages" in told else {}, own.where)
        try:
            task = get_task(words[1]) if words else None
        except InvalidInput:  # a group, or somebody else's
            continue
        if task is not None and name == task_name(task, few_shot=True):
            yield name, task


def _score(path: Path, task: TaskSpec, name: str) -> SplitResult:
    file = path.with_name(path.name.replace("results_", f"samples_{name}_", 1)).with_suffix(".jsonl")
    if not file.is_file():
        raise InvalidInput(f"{file}: missing; lm-eval writes it with --log_samples")
    samples = sorted(_samples(file, task.num_test))
    if not samples:
        raise InvalidInput(f"{file}: holds no answer")
    rows = generate(task, "test", num_rows=len(samples))
    for sample, row in zip(samples, zip(range(len(rows)), rows.row_ids(), rows.prompts(), strict=True), strict=True):
        if sample[:3] != row:
            raise InvalidInput(
                f"{file}: answer {sample[0]} is not to row {row[1]} of dataset version {DATASET_VERSION}"
            )
    return score_split(rows, [answer for *_, answer in samples])[0]


def _samples(file: Path, limit: int) -> Iterator[tuple[int, str, str, str]]:
    """Number, row id, prompt and answer of every line of a file of samples."""
    for place, line in enumerate(read_bytes(file, kind="samples", max_bytes=MAX_SAMPLES_BYTES).splitlines(), 1):
        if place > limit:
            raise InvalidInput(f"{file}: more than {limit:,} answers, which is how many rows the split has")
        where = f"{file}: line {place}"
        sample = _Log(records.loads(line, where), where)
        answers = sample.read("resps", list[list[_Answer]])
        if not answers or not answers[0]:
            raise InvalidInput(f"{where}: resps holds no answer")
        doc = (sample.read("doc_id", Count), sample.read("doc.id", Line), sample.read("doc.prompt", Line))
        yield *doc, answers[0][0]


def _result(log: _Log, task: TaskSpec, shots: int, splits: dict[EvaluationSplit, SplitResult]) -> Result:
    model = _model(log)
    versions = {"lm_eval": "lm_eval_version", "transformers": "transformers_version"}
    packages = {name: log.read(key, Line | None) for name, key in versions.items() if key in log.value}
    seconds = log.read("total_evaluation_time_seconds", Annotated[str, Text(r"[0-9]{1,12}(\.[0-9]{1,30})?", 43)])
    return Result(
        schema_version=SCHEMA_VERSION,
        model=model,
        recipe=Recipe(slug(f"{model.id}-{shots}-shot"), None),
        parameters=Parameters(log.read("config.model_num_parameters", Positive), None, None, None),
        architecture=Architecture(FAMILY, model.id, log.read("config.model", Line), None, None, None, None),
        track="open",
        task=TaskId(task.name, task.modulus, task.trace),
        dataset_version=DATASET_VERSION,
        scorer_version=SCORER_VERSION,
        splits=splits,
        training=None,
        evaluation=Evaluation(
            created=utc_timestamp(log.read("date", Annotated[float, Range(0, 2**32)])),
            wall_seconds=round(float(seconds), 3),
            environment=Environment({k: v for k, v in packages.items() if v}, None, None, None),
        ),
        pages=own_pages(task.page_words) or None,
    )


def _model(log: _Log) -> Model:
    """Whose answers they are: a commit of the Hub as lm-eval has looked it up, or a folder, by its weights."""
    if isinstance(log.read("config.model_args", Any), str):  # pretrained=NAME,dtype=float32
        pairs = (pair.split("=", 1) for pair in log.read("config.model_args", Line).split(","))
        pretrained = next((pair[1] for pair in pairs if pair[0] == "pretrained" and len(pair) > 1), "")
    else:
        pretrained = log.read("config.model_args.pretrained", Line)
    weights = Path(pretrained) / WEIGHTS
    if weights.is_file():
        return Model(slug(Path(pretrained).name), None, weights_sha256(pretrained))
    if sha := log.read("config.model_sha", Line | None):
        return Model(pretrained, sha, None)
    raise InvalidInput(
        f"{log.where}: nothing says which weights {pretrained!r} are: lm-eval found no commit of it on the Hub, and "
        f"there is no {WEIGHTS} in a folder of that name"
    )
