"""The score of an answer to a row of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from listops_bench.errors import InvalidInput
from listops_bench.score.completion import Score, score
from listops_bench.tasks.task import get_task


def score_answer(completion: str, row: Mapping[str, Any]) -> Score:
    """Scores what a model wrote after the prompt of a row.

    Args:
        row: as `load` or `load_dataset` gives it: its ``id`` says which task it is of, and so of which symbols.

    Raises:
        InvalidInput: no such row: a column is missing, its task is unknown, or its prompt none of it.

    >>> row = {"id": "sum/test/00000", "prompt": "[SUM 3 9 4 ] =", "completion": " 6"}
    >>> score_answer(" 6", row).trace, score_answer(" 6 ]", row).answer
    (True, False)
    """
    for column in ("id", "prompt", "completion"):
        if not isinstance(row.get(column), str):
            raise InvalidInput(f"a row has the text columns id, prompt and completion; {column} is {row.get(column)!r}")
    task = get_task(row["id"].partition("/")[0])
    return score(row["prompt"], completion, row["completion"], modulus=task.symbol_set)
