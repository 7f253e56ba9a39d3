"""The tasks in inspect_ai: ``inspect eval listops_bench/listops -T task=sum_max_med --model hf/CHECKPOINT``.

inspect_ai finds this module by its entry point. It sends every prompt through the tokenizer's chat template; our
checkpoints carry one that hands it through unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inspect_ai import Task, task as inspect_task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, GenerateConfig, get_model
from inspect_ai.scorer import Metric, SampleScore, Score as InspectScore, Scorer, Target, mean, metric, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, solver

import listops_bench.model  # noqa: F401 - AutoModelForCausalLM knows our models from here on
from listops_bench.errors import InvalidInput, unknown
from listops_bench.harness import lm_eval
from listops_bench.score.completion import SCORER_VERSION, final_answer, score
from listops_bench.tasks.generator import generate
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.symbols import find_symbols
from listops_bench.tasks.task import DATASET_VERSION, get_task


@inspect_task
def listops(
    task: str = "sum_max_med", split: str = "test", num_rows: int | None = None, trace: str | None = None
) -> Task:
    """One split of one task.

    Args:
        task: any operations joined by ``_``.
        split: an evaluation split.
        num_rows: its first rows; all of them by default.
        trace: style of the reference completions, if not the task's.
    """
    spec = get_task(task, **({} if trace is None else {"trace": trace}))
    if split not in SPLITS[1:]:
        raise unknown("evaluation split", split, SPLITS[1:])
    rows = generate(spec, split, num_rows=num_rows)
    names = ("depth", "root_operation", "decisive_depth", "num_operations")
    samples = [
        Sample(row["prompt"], target=row["completion"], id=row["id"], metadata={name: row[name] for name in names})
        for row in rows.to_arrow().to_pylist()
    ]
    limit = max(spec.completion_limit, int((rows.num_tokens - rows.prompt_lengths).max()))
    return Task(
        dataset=MemoryDataset(samples, name=f"{spec.name}/{split}"),
        solver=greedy(),
        scorer=listops_score(modulus=spec.modulus, symbols=spec.symbols),
        config=GenerateConfig(max_tokens=limit),
        version=f"{DATASET_VERSION}/{SCORER_VERSION}",
    )


@solver
def greedy() -> Solver:
    """One answer, the model's first choices.

    inspect_ai's Hugging Face models sample unless told otherwise, and refuse temperature 0; of one candidate, sampling
    takes that one.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        check_prompt(get_model().api, state.messages, state.input_text)
        first: dict[str, Any] = {"top_k": 1} if state.model.api == "hf" else {"temperature": 0.0}
        return await generate(state, **first)

    return solve


def check_prompt(api: Any, messages: Sequence[ChatMessage], prompt: str) -> None:
    """Raises InvalidInput where a model with our tokenizer is given anything but the prompt: it would answer badly."""
    ours = hasattr(api, "hf_chat") and prompt.partition(" ")[0] in api.tokenizer.get_vocab()  # "[SUM" as one token
    sent = api.hf_chat(list(messages), []) if ours else prompt
    if sent != prompt:
        raise InvalidInput(
            f"the model is sent {sent!r} instead of {prompt!r}: its folder needs the chat_template.jinja that it was"
            " saved with, and `-M use_chat_template=False` must not be given"
        )


@metric
def step_rate() -> Metric:
    """Valid steps among all steps of all answers."""

    def rate(scores: list[SampleScore]) -> float:
        steps = [found.score.metadata or {} for found in scores]
        return lm_eval.step_rate((one["valid_steps"], one["num_steps"]) for one in steps)

    return rate


@scorer(
    metrics={
        "answer_accuracy": [mean(), stderr()],
        "trace_accuracy": [mean(), stderr()],
        "valid_step_rate": [step_rate()],
    }
)
def listops_score(modulus: int = 10, symbols: str = "") -> Scorer:
    """`listops_bench.score`, of each answer; ``symbols`` is the word of a symbol set, if not of numbers."""
    known = find_symbols(symbols) if symbols else modulus

    async def judge(state: TaskState, target: Target) -> InspectScore:
        completion = state.output.completion
        found = score(state.input_text, completion, target.text, modulus=known)
        rate = found.valid_steps / found.num_steps if found.num_steps else 0.0
        return InspectScore(
            value={"answer_accuracy": int(found.answer), "trace_accuracy": int(found.trace), "valid_step_rate": rate},
            answer=final_answer(completion),
            explanation=completion,
            metadata={"num_steps": found.num_steps, "valid_steps": found.valid_steps},
        )

    return judge
