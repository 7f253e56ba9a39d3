"""How a training went on the rows it never trains on, read from the log that lies in a checkpoint folder."""

from __future__ import annotations

import os
from typing import Annotated

from listops_bench._base import records
from listops_bench._base.files import read_bytes
from listops_bench._base.records import Range, Share
from listops_bench.errors import InvalidInput
from listops_bench.runs.folder import RunFiles
from listops_bench.runs.record import Learning, RunRecord
from listops_bench.tasks.task import get_task

MAX_LOG_BYTES = 20_000_000
_Step = Annotated[int, Range(0, 10**12)]
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
    if not os.path.lexists(files.log):
        return {}
    rows = record.config.get("eval_rows")
    if type(rows) is not int or not 0 < rows < 10**12:
        raise InvalidInput(f"{files.record}: not the record of a training run (config.eval_rows)")
    found: dict[str, Learning] = {}
    content = read_bytes(files.log, max_bytes=MAX_LOG_BYTES, within=files.folder)
    for number, line in enumerate(content.splitlines(), start=1):
        where = f"{files.log} line {number}"
        entry = records.loads(line, where)
        if not isinstance(entry, dict):
            raise InvalidInput(f"{where}: not what training writes")
        step = str(records.decode(_Step, entry.get("step"), f"{where}: step"))
        figures = records.decode(dict[str, Share], entry.get("validation", {}), f"{where}: validation")
        for name, share in figures.items():
            task = name.removesuffix(_FIGURE)
            if task != name:  # "trace_accuracy" alone is the lowest of the others
                n = min(rows, _validation_rows(task, where))
                found.setdefault(task, Learning(n, {})).correct[step] = round(share * n)
    return found


def _validation_rows(task: str, where: str) -> int:
    try:
        if "@" in task:
            raise InvalidInput(f"task {task[:80]!r} names a page, and a log names what it says")
        return get_task(task).num_validation
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
