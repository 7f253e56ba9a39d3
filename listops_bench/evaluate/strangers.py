"""Checkpoints of strangers: found in a folder, by the hash of their weights, or fetched."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from listops_bench._base.files import files_below
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.examiner import Description, examiner
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.origin import MAX_CHECKPOINT_BYTES, resolve
from listops_bench.result.format import Result
from listops_bench.result.rules import against
from listops_bench.runs.folder import WEIGHTS
from listops_bench.runs.store import StoredRecipe, stored_recipes, stores_below


class Checkpoints:
    """Where checkpoints are looked for: on the Hub, at their revision; those without one below a folder,
    by their hash: folders of their own, or runs of a store.

    Attributes:
        tensors: of those opened, by the SHA-256 of the weights' file, that of the tensors.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        if folder is not None and not Path(folder).is_dir():
            raise InvalidInput(f"checkpoints folder {str(folder)!r} does not exist")
        self._folder = None if folder is None else Path(folder)
        self._places: dict[str, list[str]] | None = None
        self.tensors: dict[str | None, str | None] = {}
        self._seen: dict[Path, Description | InvalidInput] = {}

    def local(self, sha256: str | None) -> list[Path]:
        """The folders with these weights: somebody may have copied them beside a configuration of his own."""
        if self._places is None:
            self._places = defaultdict(list)
            if self._folder is not None:
                folders = ((weights_sha256(place), str(place)) for place in _checkpoint_folders(self._folder))
                for digest, place in (*_stored_runs(self._folder), *folders):
                    self._places[digest].append(place)
        found = []
        for place in self._places.get(sha256 or "", ()):
            with suppress(InvalidInput):  # it says that it has them, and has not
                found.append(resolve(place).folder)
        return found

    def find(self, result: Result) -> list[Path]:
        """The folders that may be a result's checkpoint, one at least.

        Raises:
            InvalidInput: it is nowhere to be had, too large, or not one that is loaded without running code.
        """
        model = result.model
        if model.revision is not None:  # what lies at hand may be anybody's
            try:
                return [resolve(model.id, model.revision).folder]
            except InvalidInput as error:
                raise InvalidInput(against("revision", error)) from None
        places = self.local(model.weights_sha256)
        if not places:
            claimed = (model.weights_sha256 or "")[:12]
            raise InvalidInput(against("weights", f"no checkpoint with the weights {claimed} is at hand"))
        return places

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


def _stored_runs(root: Path) -> Iterator[tuple[str, str]]:
    """The runs of the stores below a folder: the SHA-256 that each is said to have, and how `resolve` is told of it."""
    for store in stores_below(root):
        for recipe in stored_recipes(store):
            with suppress(InvalidInput):  # one that is none holds up no other
                yield from [
                    (digest, f"{store / recipe}#{seed}") for seed, digest in StoredRecipe(store, recipe).digests.items()
                ]


def _checkpoint_folders(root: Path) -> Iterator[Path]:
    for path in files_below(root):
        if path.name == WEIGHTS:
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_CHECKPOINT_BYTES:
                yield path.parent
