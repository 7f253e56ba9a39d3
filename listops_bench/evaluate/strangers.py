"""Checkpoints of strangers: found in a folder, by the hash of their weights, or fetched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from listops_bench.errors import InvalidInput
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.origin import WEIGHTS, resolve
from listops_bench.result.format import Result

MAX_CHECKPOINT_BYTES = 1_000_000_000
"""Of all files together that are read of a repository; the largest rung of the ladder has 3.4 MB."""


class Checkpoints:
    """Where checkpoints are looked for: below a folder, by their weights' hash; then on the Hub, at their revision."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is not None and not Path(folder).is_dir():
            raise InvalidInput(f"checkpoints folder {str(folder)!r} does not exist")
        self._folder = None if folder is None else Path(folder)
        self._places: dict[str, Path] | None = None

    def local(self, sha256: str | None) -> Path | None:
        """The folder with these weights, if there is one."""
        if self._places is None:
            found = [] if self._folder is None else sorted(_checkpoint_folders(self._folder))
            self._places = {weights_sha256(place): place for place in found}
        return self._places.get(sha256 or "")

    def find(self, result: Result) -> Path:
        """The folder of a result's checkpoint.

        Raises:
            InvalidInput: it is nowhere to be had, too large, or not one that is loaded without running code.
        """
        model = result.model
        place = self.local(model.weights_sha256)
        if place is not None:
            return place
        if model.revision is None:
            raise InvalidInput(f"no checkpoint with the weights {(model.weights_sha256 or '')[:12]} is at hand")
        return resolve(model.id, model.revision, max_bytes=MAX_CHECKPOINT_BYTES).folder


def _checkpoint_folders(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):  # follows no links
        names.sort()
        if WEIGHTS in files:
            found = os.lstat(Path(folder, WEIGHTS))
            if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_CHECKPOINT_BYTES:
                yield Path(folder)
