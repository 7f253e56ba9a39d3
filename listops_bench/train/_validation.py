"""The validation that training brings along: exact traces on validation rows, cheaply.

Under teacher forcing, a row all of whose completion tokens are the model's first choice is a row that greedy decoding
gets exactly right, and the other way round. So one forward pass gives the trace accuracy, with nothing generated. That
holds for causal models alone: one that looks ahead, as anyone else would run it, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import numpy as np
import torch
from transformers import PreTrainedModel

from listops_bench.model.causality import refuse_look_ahead
from listops_bench.tasks.curriculum import Curriculum, Stage
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.task import TaskSpec, get_task, with_single_tasks
from listops_bench.train._batches import Batch, RowStore, lay_out
from listops_bench.train._rows import using_rows

_ROWS_PER_BATCH = 256


class TeacherForced:
    """``trace_accuracy`` on the validation rows of the curriculum's tasks and of each of their operations alone.

    The figures are named ``sum/trace_accuracy``. Plain ``trace_accuracy`` is the lowest among those of the tasks now
    trained on and their operations: what "learned" is about.
    """

    def __init__(self, curriculum: Curriculum, *, num_rows: int, trace: TraceStyle, padded: bool) -> None:
        self._attention = nullcontext if padded else using_rows
        names = with_single_tasks(curriculum.tasks)
        self._rows = {name: validation_rows(get_task(name), num_rows, trace) for name in names}
        self._batches = {name: _batches(rows, padded) for name, rows in self._rows.items()}

    def __call__(self, model: PreTrainedModel, stage: Stage) -> dict[str, float]:
        """All figures of a model in evaluation mode that is in a stage.

        Raises:
            InvalidInput: the model looks ahead.
        """
        for rows in self._rows.values():
            refuse_look_ahead(model, rows)
        with self._attention(model):
            right = {name: [_exact_rows(model, *batch) for batch in batches] for name, batches in self._batches.items()}
        return validation_figures({name: float(torch.cat(rows).float().mean()) for name, rows in right.items()}, stage)


def validation_figures(scores: Mapping[str, float], stage: Stage) -> dict[str, float]:
    """The figures of a run that is in a stage, from the accuracy on each watched task."""
    lowest = min(scores[name] for name in with_single_tasks(stage.tasks))
    return {"trace_accuracy": lowest, **{f"{name}/trace_accuracy": score for name, score in scores.items()}}


def validation_rows(task: TaskSpec, num_rows: int, trace: TraceStyle) -> Rows:
    """The first validation rows of a task."""
    return generate(task, "validation", num_rows=min(num_rows, task.num_validation), trace=trace)


def _batches(rows: Rows, padded: bool) -> list[tuple[Batch, torch.Tensor]]:
    store = RowStore([rows])
    by_length = np.argsort(store.lengths, kind="stable")
    batches = []
    for start in range(0, len(by_length), _ROWS_PER_BATCH):
        chosen = by_length[start : start + _ROWS_PER_BATCH]
        answers = store.lengths[chosen] - store.prompt_lengths[chosen]
        row_of_target = torch.from_numpy(np.repeat(np.arange(len(chosen)), answers))
        batches.append((lay_out(store, chosen, "completion", padded=padded), row_of_target))
    return batches


def _exact_rows(model: PreTrainedModel, batch: Batch, row_of_target: torch.Tensor) -> torch.Tensor:
    """bool [rows]: every token of the completion is the first choice."""
    batch = batch.to(model.device)
    with torch.no_grad():
        wrong = batch.logits(model).argmax(-1) != batch.targets
    wrong = wrong[: len(row_of_target)].cpu()
    rows = int(row_of_target[-1]) + 1
    return torch.zeros(rows, dtype=torch.int64).index_add(0, row_of_target, wrong.long()) == 0
