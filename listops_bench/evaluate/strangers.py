"""Checkpoints of strangers: found in a folder, by the hash of their weights, or fetched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from listops_bench._base.files import files_below
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.examiner import Description, examiner
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.origin import MAX_CHECKPOINT_BYTES, WEIGHTS, resolve
from listops_bench.result.format import Result
from listops_bench.result.rules import against


class Checkpoints:
    """Where checkpoints are looked for: on the Hub, at their revision; those without one below a folder, by their hash.

    Attributes:
        tensors: of those opened, by the SHA-256 of the weights' file, that of the tensors.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is not None and not Path(folder).is_dir():
            raise InvalidInput(f"checkpoints folder {str(folder)!r} does not exist")
        self._folder = None if folder is None else Path(folder)
        self._places: dict[str, Path] | None = None
        self.tensors: dict[str | None, str | None] = {}
        self._seen: dict[Path, Description | InvalidInput] = {}

    def local(self, sha256: str | None) -> Path | None:
        """The folder with these weights, if there is one."""
        if self._places is None:
            found = [] if self._folder is None else _checkpoint_folders(self._folder)
            self._places = {weights_sha256(place): place for place in found}
        return self._places.get(sha256 or "")

    def find(self, result: Result) -> Path:
        """The folder of a result's checkpoint.

        Raises:
            InvalidInput: it is nowhere to be had, too large, or not one that is loaded without running code.
        """
        model = result.model
        if model.revision is not None:  # what lies at hand may be anybody's
            try:
                return resolve(model.id, model.revision).folder
            except InvalidInput as error:
                raise InvalidInput(against("revision", error)) from None
        place = self.local(model.weights_sha256)
        if place is None:
            claimed = (model.weights_sha256 or "")[:12]
            raise InvalidInput(against("weights", f"no checkpoint with the weights {claimed} is at hand"))
        return place

    def look(self, folder: Path) -> Description:
        """What a checkpoint found here says of itself. Raises InvalidInput by the rule of checkpoints."""
        if folder not in self._seen:
            try:
                self._seen[folder] = examiner().look(folder)
            except InvalidInput as error:
                self._seen[folder] = InvalidInput(against("checkpoint", error))
        found = self._seen[folder]
        if isinstance(found, InvalidInput):
            raise found
        self.tensors[found.identity.weights_sha256] = found.tensors_sha256
        return found


def _checkpoint_folders(root: Path) -> Iterator[Path]:
    for path in files_below(root):
        if path.name == WEIGHTS:
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_CHECKPOINT_BYTES:
                yield path.parent
