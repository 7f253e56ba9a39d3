"""The files of a run folder."""

from __future__ import annotations

import os
from pathlib import Path


def working_dir(output_dir: str | os.PathLike[str]) -> Path:
    """Where a run keeps its state and log until it has finished."""
    path = Path(output_dir)
    return path.with_name(path.name + ".training")
