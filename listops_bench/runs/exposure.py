"""What a finished run was shown."""

from __future__ import annotations

import os

from listops_bench.errors import InvalidInput
from listops_bench.runs.record import read_run
from listops_bench.tasks.exposure import Exposure


def exposure_of_run(folder: str | os.PathLike[str]) -> Exposure:
    """What a finished run was shown, counted.

    Raises:
        InvalidInput: the folder holds no run.
    """
    record = read_run(folder)
    if record is None or record.training is None:
        raise InvalidInput(f"{str(folder)!r} holds no run")
    return Exposure(record.training.steps, record.training.tokens, record.training.reductions)
