"""How a training went on the rows it never trains on, read from the log that lies in a checkpoint folder."""

from __future__ import annotations

import os

from listops_bench._base import records
from listops_bench._base.files import read_bytes
from listops_bench.errors import InvalidInput
from listops_bench.runs.folder import RunFiles
from listops_bench.runs.record import Learning, RunRecord
from listops_bench.tasks.task import get_task

_FIGURE = "/trace_accuracy"


def read_learning(folder: str | os.PathLike[str], record: RunRecord) -> dict[str, Learning]:
    """Exact traces among the validation rows, by task: ``{"sum": Learning(n=256, correct={"250": 3, "500": 251})}``.

    Nothing where the training did not validate, or left no log.

    Args:
        folder: a checkpoint folder, or the working folder of a run that goes on.
        record: of the run.

    Raises:
        InvalidInput: a log that is there and cannot be read, or a record that does not say how many rows were read.
    """
    files = RunFiles(folder)
    if not files.log.exists():
        return {}
    try:
        rows = int(record.config["eval_rows"])
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(f"{files.record}: not the record of a training run (config.eval_rows)") from None
    found: dict[str, Learning] = {}
    for number, line in enumerate(read_bytes(files.log).splitlines(), start=1):
        entry = records.loads(line, f"{files.log} line {number}")
        try:
            step, figures = str(int(entry["step"])), dict(entry.get("validation", {}))
            for name, share in figures.items():
                task = name.removesuffix(_FIGURE)
                if task != name:  # "trace_accuracy" alone is the lowest of the others
                    n = min(rows, get_task(task).num_validation)
                    found.setdefault(task, Learning(n, {})).correct[step] = round(float(share) * n)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InvalidInput(f"{files.log} line {number}: not what training writes") from None
    return found
