"""The score as a metric of `evaluate`: ``evaluate.load(listops_bench.metric_path())``. Works offline.

`evaluate` copies this file elsewhere and reads its imports line by line: it stays one file, with one import on a line.
"""

from typing import Any

import datasets
import evaluate

import listops_bench.score

_DESCRIPTION = "How many ListOps completions end in the right answer, and how many are right in every step."
_INPUTS = """
Args:
    predictions: completions, as text.
    references: the right completions.
    prompts: what they complete.
    modulus: of the prompts' numbers (default: 10), or their symbol set: get_task("perm_s3").symbol_set.
Returns:
    answer_accuracy, trace_accuracy: shares of n completions.
    valid_step_rate: correct reductions among all lines written.
    n, answers, traces: how many there are, with the right answer, and right throughout.
"""


class ListOps(evaluate.Metric):
    """`listops_bench.score` over many rows."""

    def _info(self) -> evaluate.MetricInfo:
        columns = {name: datasets.Value("string") for name in ("predictions", "references", "prompts")}
        return evaluate.MetricInfo(
            description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=datasets.Features(columns)
        )

    def _compute(
        self, predictions: list[str], references: list[str], prompts: list[str], modulus: Any = 10
    ) -> dict[str, float]:
        rows = zip(prompts, predictions, references, strict=True)
        found = listops_bench.score.summarise(listops_bench.score.score(*row, modulus=modulus) for row in rows)
        return {
            "answer_accuracy": found.answer_accuracy.accuracy,
            "trace_accuracy": found.trace_accuracy.accuracy,
            "valid_step_rate": found.valid_step_rate.accuracy,
            "n": found.answer_accuracy.n,
            "answers": found.answer_accuracy.correct,
            "traces": found.trace_accuracy.correct,
        }
