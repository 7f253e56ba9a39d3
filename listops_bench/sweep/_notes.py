"""The small files of a sweep's folder, any of which may be damaged: it is named, and the rest goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from listops_bench._base import records
from listops_bench._base.files import read_json
from listops_bench.errors import EnvironmentFailed, InvalidInput

MAX_NOTE_BYTES = 1_000_000


class Notes:
    """Reads notes.

    Attributes:
        damaged: why files of the sweep do not count, one line each, by path.
    """

    def __init__(self) -> None:
        self.damaged: dict[Path, str] = {}

    def read(self, path: Path, kind: Any) -> Any:
        """A note as a record or another type of `records.decode`; None where there is none, or a damaged one."""
        if not path.exists():
            return None
        try:
            value = records.decode(kind, read_json(path, max_bytes=MAX_NOTE_BYTES), str(path))
        except (InvalidInput, EnvironmentFailed) as error:
            self.mark(path, error)
            return None
        self.damaged.pop(path, None)
        return value

    def mark(self, path: Path, error: Exception) -> None:
        """Notes that a file does not count."""
        if path.exists():  # else it was removed in between
            self.damaged[path] = str(error)
