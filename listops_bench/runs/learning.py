"""How a training went on the rows it never trains on, read from the log that lies in a checkpoint folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from listops_bench._base import records
from listops_bench._base.files import read_bytes, read_json
from listops_bench.errors import InvalidInput
from listops_bench.runs.record import Learning
from listops_bench.tasks.task import get_task

_FIGURE = "/trace_accuracy"


def read_learning(folder: str | os.PathLike[str]) -> dict[str, Learning]:
    """Exact traces among the validation rows, by task: ``{"sum": Learning(n=256, correct={"250": 3, "500": 251})}``.

    Nothing where the training did not validate, or where the folder holds no training of ours.

    Raises:
        InvalidInput: a record or a log that is there and cannot be read.
    """
    log = Path(folder) / "train_log.jsonl"
    if not log.exists():
        return {}
    rows = _eval_rows(Path(folder) / "run.json")
    found: dict[str, Learning] = {}
    for number, line in enumerate(read_bytes(log).splitlines(), start=1):
        entry = records.loads(line, f"{log} line {number}")
        try:
            step, figures = str(int(entry["step"])), dict(entry.get("validation", {}))
            for name, share in figures.items():
                task = name.removesuffix(_FIGURE)
                if task != name:  # "trace_accuracy" alone is the lowest of the others
                    n = min(rows, get_task(task).num_validation)
                    found.setdefault(task, Learning(n, {})).correct[step] = round(float(share) * n)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InvalidInput(f"{log} line {number}: not what training writes") from None
    return found


def _eval_rows(path: Path) -> int:
    record: Any = read_json(path)
    try:
        return int(record["config"]["eval_rows"])
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(f"{path}: not the record of a training run") from None
