"""Results in the formats that others read, all from one function.

    export(results, "every-eval-ever")    data/listops_bench/OWNER/MODEL/*.json, for the EvalEval coalition's database
    export(results, "eval-results")       MODEL/.eval_results/*.yaml, for the leaderboards of datasets on the Hub
    export(results, "model-index")        MODEL/model-index.yaml, for the metadata of a model card

Sources: the schema of Every Eval Ever, version 0.3.0 (github.com/evaleval/every_eval_ever), and the Hub's pages on
evaluation results and model cards.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import yaml

from listops_bench._base.text import slug
from listops_bench.errors import unknown
from listops_bench.result.files import result_path
from listops_bench.result.format import Result, SplitResult
from listops_bench.stats.intervals import Summary

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

NAME = "listops_bench"
EVAL_RESULTS = f".eval_results/{NAME}.yaml"
RANKED = ("test", "test_unseen_operands")
"""Splits whose figures stand in a card's metadata, where others rank by them; the card's table has all."""
SCHEMA = "0.3.0"
"""Of Every Eval Ever."""
_METRICS = {
    "trace_accuracy": "The whole completion is right, every line of the way to the answer.",
    "answer_accuracy": "The completion ends with its first lone number, and that is the right one.",
}


def export(results: Sequence[Result], form: str, dataset_id: str = f"{NAME}/{NAME}") -> dict[str, bytes]:
    """Files of another format, by their path: one for each set of weights.

    Args:
        results: of any models.
        form: one of `FORMATS`.
        dataset_id: of the dataset on the Hub that they refer to.

    Raises:
        InvalidInput: there is no such format.
    """
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    by_model: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        by_model[result.model.id, result.model.revision or result.model.weights_sha256 or ""].append(result)
    files = (FORMATS[form](found, dataset_id) for found in by_model.values())
    return {path: text.encode() for path, text in files}


def _folder(result: Result) -> str:
    """``ORG__NAME/VERSION``, as results lie."""
    return result_path("", result).parent.as_posix()


# --- the Hub ----------------------------------------------------------------------------------------------------------


def model_index(results: Sequence[Result], dataset_id: str) -> list[EvalResult]:
    """The entries of a model card's metadata, of the splits that are ranked by."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=dataset_id,
            dataset_name=f"listops_bench, {result.task.name}",
            dataset_config=result.task.name,
            dataset_split=split,
            dataset_args={"version": result.dataset_version, "n": summary.n},
            metric_type="accuracy",
            metric_name=name.replace("_", " "),
            metric_value=summary.accuracy,
            metric_args={"correct": summary.correct, "low": summary.low, "high": summary.high},
        )
        for result in results
        for split, name, summary in _figures(result)
        if split in RANKED
    ]


def _model_index(results: Sequence[Result], dataset_id: str) -> tuple[str, str]:
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = eval_results_to_model_index(results[0].model.id, model_index(results, dataset_id))
    return f"{_folder(results[0])}/model-index.yaml", _yaml({"model-index": found})


def eval_results(results: Sequence[Result], dataset_id: str) -> str:
    """``.eval_results/*.yaml``: the figures by which the Hub fills a dataset's own leaderboard (docs/hub/eval-results).

    The value is the answer accuracy on ``test``, which is what the dataset's ``eval.yaml`` asks for.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = []
    for result in results:
        if "test" in result.splits:
            answer, trace = map(result.splits["test"].summary, ("answer_accuracy", "trace_accuracy"))
            notes = (
                f"answer accuracy, n = {answer.n:,}, 95% interval {answer.low:.4f} to {answer.high:.4f}; trace"
                f" accuracy {trace.accuracy:.4f}; dataset {result.dataset_version}, scorer {result.scorer_version}"
            )
            entries.append(EvalResultEntry(dataset_id, result.task.name, answer.accuracy, notes=notes))
    return _yaml(eval_result_entries_to_yaml(entries))


def _eval_results(results: Sequence[Result], dataset_id: str) -> tuple[str, str]:
    return f"{_folder(results[0])}/{EVAL_RESULTS}", eval_results(results, dataset_id)


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text


# --- Every Eval Ever --------------------------------------------------------------------------------------------------


def _every_eval_ever(results: Sequence[Result], dataset_id: str) -> tuple[str, str]:
    first = results[0]
    model, where = first.model, first.evaluation.environment
    owner, _, name = model.id.rpartition("/")
    version = model.revision or model.weights_sha256 or "unknown"
    created = max(result.evaluation.created for result in results)
    epoch = f"{datetime.fromisoformat(created).timestamp():.0f}"
    full = f"{owner or NAME}/{name}"
    record = {
        "schema_version": SCHEMA,
        "evaluation_id": f"{NAME}/{full}@{version[:12]}/{epoch}",
        "evaluation_timestamp": created,
        "retrieved_timestamp": epoch,
        "source_metadata": {
            "source_name": f"{NAME} board",
            "source_type": "documentation",
            "source_organization_name": NAME,
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": NAME,
            "version": where.packages.get("listops_bench", "unknown"),
            "additional_details": {"scorer_version": first.scorer_version, "commit": where.commit or "unknown"},
        },
        "model_info": {
            "name": first.architecture.name or name,
            "id": full,
            "developer": owner or NAME,
            "additional_details": _model_details(first),
        },
        "evaluation_results": [entry for result in results for entry in _entries(result, dataset_id)],
    }
    identity = uuid.uuid5(uuid.NAMESPACE_URL, str(record["evaluation_id"]))
    return f"data/{NAME}/{slug(owner or NAME)}/{slug(name, keep='.')}/{identity}.json", json.dumps(record, indent=2)


def _model_details(result: Result) -> dict[str, str]:
    training, recipe = result.training, result.recipe
    found = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights",
        "family": result.architecture.family,
        "parameters": str(result.parameters.total),
        "track": result.track,
        "recipe": recipe.id,
        "seed": "" if recipe.seed is None else str(recipe.seed),
        "curriculum": training.curriculum if training else "",
        "revision": result.model.revision or "",
        "weights_sha256": result.model.weights_sha256 or "",
    }
    return {key: value for key, value in found.items() if value}


def _entries(result: Result, dataset_id: str) -> Iterator[dict[str, Any]]:
    task = result.task
    for split, metric, summary in _figures(result):
        scored = result.splits[split]
        yield {
            "evaluation_result_id": f"{task.name}/{split}/{metric}",
            "evaluation_name": f"{NAME} {task.name}, {split}",
            "evaluation_timestamp": result.evaluation.created,
            "source_data": {
                "dataset_name": f"{NAME} {task.name}",
                "source_type": "hf_dataset",
                "hf_repo": dataset_id,
                "hf_split": split,
                "samples_number": scored.n,
                "additional_details": {
                    "config": task.name,
                    "dataset_version": result.dataset_version,
                    "rows_sha256": scored.rows_sha256,
                },
            },
            "metric_config": {
                "evaluation_description": _METRICS[metric],
                "metric_id": f"{NAME}.{metric}",
                "metric_name": metric.replace("_", " "),
                "metric_kind": "accuracy",
                "metric_unit": "proportion",
                "lower_is_better": False,
                "score_type": "continuous",
                "min_score": 0,
                "max_score": 1,
            },
            "score_details": {
                "score": summary.accuracy,
                "details": {"correct": str(summary.correct)},
                "uncertainty": {
                    "confidence_interval": {
                        "lower": summary.low, "upper": summary.high, "confidence_level": 0.95,
                        "method": _method(scored),
                    },
                    "num_samples": summary.n,
                },
            },
            "generation_config": {"generation_args": {"temperature": 0}},
        }  # fmt: skip


def _method(scored: SplitResult) -> str:
    return "wilson" if scored.by_form is None else "wilson, rows clustered by canonical form"


def _figures(result: Result) -> Iterator[tuple[str, str, Summary]]:
    """Split, metric and figure of each that is shared."""
    for split, scored in result.splits.items():
        for metric in _METRICS:
            yield split, metric, scored.summary(metric)


FORMATS: dict[str, Callable[[Sequence[Result], str], tuple[str, str]]] = {
    "every-eval-ever": _every_eval_ever,
    "eval-results": _eval_results,
    "model-index": _model_index,
}
