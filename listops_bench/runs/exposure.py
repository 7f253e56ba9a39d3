"""What a finished run was shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

from listops_bench.errors import InvalidInput
from listops_bench.tasks.exposure import Exposure


def exposure_of_run(folder: str | os.PathLike[str]) -> Exposure:
    """What a finished run was shown, counted.

    Raises:
        InvalidInput: the folder holds no run.
    """
    try:
        training = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))["training"]
        return Exposure(training["steps"], training["tokens"], training["reductions"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidInput(f"{str(folder)!r} holds no run") from None
