"""Saved answers scored again, without the model that wrote them: ``listops-bench score FILE``."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from listops_bench._base import records
from listops_bench._base.files import read_bytes
from listops_bench._base.records import Line, Text
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.run import score_split
from listops_bench.result.format import SplitResult
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.generator import generate
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.task import get_task

MAX_FILE_BYTES = 200_000_000


@dataclass(frozen=True)
class Answer:
    """What is read of a line. Whatever else stands in it, scores among it, is not."""

    id: Line
    completion: Annotated[str, Text(max_length=20_000)]


def score_file(path: str | os.PathLike[str], *, trace: TraceStyle | None = None) -> dict[tuple[str, str], SplitResult]:
    """The scores of a file of answers, by task and split.

    Args:
        path: a line of JSON for each answer, with the row's ``id`` and the ``completion``, in any order, as ``evaluate
            --predictions-dir`` writes it. The answers of a split are to its first rows.
        trace: style of the reference completions, if not the task's.

    Raises:
        InvalidInput: not such a file, an unknown task or split, a row twice, or answers to others than the first rows.
    """
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for place, line in enumerate(read_bytes(Path(path), kind="predictions", max_bytes=MAX_FILE_BYTES).splitlines(), 1):
        where = f"{path}: line {place}"
        answer = _answer(records.loads(line, where), where)
        task, _, rest = answer.id.partition("/")
        own = found[task, rest.partition("/")[0]]
        if answer.id in own:
            raise InvalidInput(f"{where}: row {answer.id!r} is answered twice")
        own[answer.id] = answer.completion
    if not found:
        raise InvalidInput(f"{path}: holds no answer")
    return {key: _score(*key, answers, str(path), trace) for key, answers in found.items()}


def _answer(value: Any, where: str) -> Answer:
    if not isinstance(value, dict) or not {"id", "completion"} <= value.keys():
        raise InvalidInput(f"{where}: an answer has an id, such as 'sum/test/00000', and a completion")
    return records.decode(Answer, {"id": value["id"], "completion": value["completion"]}, where)


def _score(name: str, split: str, answers: dict[str, str], path: str, trace: TraceStyle | None) -> SplitResult:
    task = get_task(name)
    if split not in SPLITS[1:] or len(answers) > task.num_rows(split):
        raise InvalidInput(f"{path}: {len(answers):,} answers to rows of {name}/{split}, which are not that many")
    rows = generate(task, split, num_rows=len(answers), trace=trace)
    if missing := next((row for row in rows.row_ids() if row not in answers), None):
        raise InvalidInput(f"{path}: {len(answers):,} answers of {name}, {split}, and none to its row {missing!r}")
    return score_split(rows, [answers[row] for row in rows.row_ids()])[0]
