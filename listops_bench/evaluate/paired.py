"""Two checkpoints on the same rows, row by row: how many more does the one get right, and by more than luck?"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from listops_bench.errors import InvalidInput, unknown
from listops_bench.evaluate.checkpoint import Checkpoint, open_checkpoint
from listops_bench.evaluate.decoding import predict
from listops_bench.evaluate.run import check_lengths, device_of, rows_of, score_split
from listops_bench.stats.paired import Paired, paired_by_cluster
from listops_bench.tasks.split import EVALUATION_SPLITS
from listops_bench.tasks.task import TaskSpec, get_task


@dataclass(frozen=True)
class RowByRow:
    """What two checkpoints make of the rows of a split: exact traces, and answers alone.

    Rows of one canonical form are a cluster (`score.ByForm`).
    """

    task: str
    split: str
    trace: Paired
    answer: Paired


def compare_checkpoints(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    tasks: Sequence[str] | None = None,
    splits: Sequence[str] = ("test",),
    *,
    num_rows: int | None = None,
    device: str | None = None,
    on_split: Callable[[str, str], None] | None = None,
) -> list[RowByRow]:
    """Has two checkpoints answer the same rows, each in the trace style that it was trained on.

    Args:
        first, second: see `open_checkpoint`.
        tasks: by default those that both were trained on, alone or beside others.
        splits: names of evaluation splits.
        num_rows: the first rows of each split, where it has more.
        device: where to compute; a GPU if there is one.
        on_split: called with task and split before each.

    Raises:
        InvalidInput: as `evaluate_checkpoint`, or there is no task that both were trained on.
    """
    for name in splits:
        if name not in EVALUATION_SPLITS:
            raise unknown("evaluation split", name, EVALUATION_SPLITS)
    pair = open_checkpoint(first), open_checkpoint(second)
    asked = _shared(*pair) if tasks is None else [get_task(name) for name in tasks]
    for task in asked:
        for one in pair:
            if task.symbol_set != one.symbols:
                raise InvalidInput(f"task {task.name!r} has {task.symbol_set}, and {one.identity.id!r} {one.symbols}")
            check_lengths(one.model, task, splits, num_rows, one.trace)
            one.model.to(device_of(device))
    found = []
    for task in asked:
        for split in splits:
            if on_split is not None:
                on_split(task.name, split)
            (forms, *ours), (_, *theirs) = (_right(one, task, split, num_rows) for one in pair)
            rows = (_pair(forms, *columns) for columns in zip(ours, theirs, strict=True))
            found.append(RowByRow(task.name, split, *rows))
    return found


def _shared(first: Checkpoint, second: Checkpoint) -> list[TaskSpec]:
    trained = [one.training.tasks if one.training else [] for one in (first, second)]
    shared = [name for name in trained[0] if name in trained[1]]
    if not shared:
        raise InvalidInput(f"no task is known that both were trained on ({' '.join(trained[0]) or 'none'}); name some")
    return [get_task(name) for name in shared]


def _right(
    one: Checkpoint, task: TaskSpec, split: str, num_rows: int | None
) -> tuple[list[int], list[bool], list[bool]]:
    """For each row, what its canonical form is, whether its trace is exact, and whether its answer is right."""
    rows = rows_of(task, split, num_rows, one.trace)
    _, lines = score_split(rows, predict(one.model, rows).completions)
    traces, answers = zip(*((line["trace"], line["answer"]) for line in lines), strict=True)
    return rows.forms().tolist(), list(traces), list(answers)


def _pair(forms: Sequence[int], first: Sequence[bool], second: Sequence[bool]) -> Paired:
    clusters: defaultdict[int, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for form, *right in zip(forms, first, second, strict=True):
        clusters[form][right[0], right[1]] += 1
    return paired_by_cluster(
        [(of[True, True], of[True, False], of[False, True], of[False, False]) for of in clusters.values()]
    )
