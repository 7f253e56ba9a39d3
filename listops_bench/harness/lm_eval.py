"""What the lm-eval task files of ``tasks/lm_eval`` call: rows, the score of an answer, and guards against silent harm.

lm-eval cuts a prompt that does not fit the context, with only a warning, and our tokenizer reads a number outside its
modulus as ``<unk>``. Either makes a good model look bad, so `dataset` looks at the model first where lm-eval says which
it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import datasets
import pyarrow as pa

import listops_bench.model  # noqa: F401 - AutoModelForCausalLM knows our models from here on
from listops_bench._base.limits import limits_of_strangers
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.evaluate.decoding import context_length
from listops_bench.harness.lm_eval_files import EXAMPLES, description, few_shot_limit
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.model.ladder import model_symbols
from listops_bench.model.origin import resolve
from listops_bench.score.row import score_answer
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.pages import remember_pages
from listops_bench.tasks.task import TaskSpec, get_task


def dataset(
    task: str,
    split: str = "test",
    few_shot: bool = False,
    pages: Mapping[str, Any] | None = None,
    **others: Any,
) -> dict[str, datasets.Dataset]:
    """The rows of a split under ``test``, and the examples of a few-shot prompt under ``train``.

    Args:
        pages: the values of pages of somebody's own in the task's name.
        others: lm-eval's metadata and model arguments; ``pretrained`` among them says which model is to be asked.

    Raises:
        InvalidInput: the model is one of other symbols, or its context too short for a prompt and its answer.
    """
    remember_pages(pages or {}, "dataset_kwargs")
    spec = get_task(task)
    rows = generate(spec, split)
    shown = examples(spec) if few_shot else []
    if isinstance(others.get("pretrained"), str):
        _check_model(spec, rows, shown, others)
    found = {"test": datasets.Dataset(pa.Table.from_batches([rows.to_arrow()]))}
    if few_shot:
        found["train"] = datasets.Dataset.from_list(shown)
    return found


def examples(task: TaskSpec) -> list[dict[str, Any]]:
    """The examples of a few-shot prompt: the first train rows of the full depth, with as many roots as there are."""
    rows = [row for row in generate(task, "train", num_rows=400).to_arrow().to_pylist() if row["depth"] > 1]
    first = list({row["root_operation"]: row for row in reversed(rows)}.values())[::-1]
    return [*first, *(row for row in rows if row not in first)][:EXAMPLES]


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
    """The score of one answer, under the names that the task files list."""
    found = score_answer(results[0], doc)
    return {
        "answer_accuracy": float(found.answer),
        "trace_accuracy": float(found.trace),
        "valid_step_rate": (found.valid_steps, found.num_steps),
    }


def step_rate(steps: Iterable[tuple[int, int]]) -> float:
    """Valid steps among all steps of all answers."""
    pairs = list(steps)
    written = sum(total for _, total in pairs)
    return sum(valid for valid, _ in pairs) / written if written else 0.0


def _check_model(task: TaskSpec, rows: Rows, shown: list[dict[str, Any]], arguments: dict[str, Any]) -> None:
    """Of a model that can be opened as one of ours; any other, such as a large one with words of its own, passes."""
    name = arguments["pretrained"]
    try:
        with limits_of_strangers(f"checkpoint {name!r}"):
            model, tokenizer, run = load_checkpoint(resolve(name, arguments.get("revision")).folder)
    except (InvalidInput, EnvironmentFailed, OSError):
        return
    if model_symbols(model.config, run.symbols) != task.symbol_set:
        raise InvalidInput(f"task {task.name!r} has {task.symbol_set}, and model {name!r} the vocabulary of others")
    context = arguments.get("max_length") or context_length(model)
    if not isinstance(context, int):
        return
    longest = rows.prompts()[int(rows.prompt_lengths.argmax())]
    told = (
        [description(task), *(example["prompt"] + example["completion"] + "\n" for example in shown)] if shown else []
    )
    size = len(tokenizer("".join([*told, longest])).input_ids)
    limit = few_shot_limit(task) if shown else task.completion_limit
    if size + limit > context:
        raise InvalidInput(
            f"the longest prompt of {task.name!r}, {rows.split}, has {size} tokens and its answer may have {limit}, "
            f"and the context of model {name!r} is {context}"
        )
