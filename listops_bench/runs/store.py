"""A store of checkpoints: all runs of a recipe in three files, from which each is had again, byte by byte.

    leaderboard/weights/RECIPE.safetensors    the weights of its seeds, stacked: [K, P], see `stacks`
    leaderboard/weights/RECIPE.json           whose they are, and the SHA-256 of each run's own file
    leaderboard/weights/RECIPE.runs.xz        their configurations, records and logs, compressed

    "RECIPE#3"                                the run with seed 3; "RECIPE#3.2" on draw 2 of the train rows
    "some/folder/RECIPE#3"                    of another store

Where weights differ in more than the numbers (files of other versions of a library), ``RECIPE.1.safetensors`` holds the
second kind. What is read may be anybody's: it is checked, and nothing of it is run.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import lzma
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from listops_bench._base import records
from listops_bench._base.files import alone_in, files_below, read_bytes, read_json, write_atomic
from listops_bench._base.records import OneOf, Sha256, Text
from listops_bench.errors import InvalidInput, file_error, shown, unknown
from listops_bench.runs.folder import LOG, RECORD, WEIGHTS
from listops_bench.runs.stacks import Stack, make_stacks

if TYPE_CHECKING:
    import numpy as np

STORE = Path("leaderboard/weights")
"""Of the published runs."""
_INDEX, _RUNS = ".json", ".runs.xz"
_MAX_INDEX_BYTES, _MAX_RUNS_BYTES, _MAX_MEMORY, _MAX_STACK_BYTES = 20_000_000, 50_000_000, 2**28, 2**30
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,159}")
_SEED = r"\d{1,19}(?:\.\d{1,19})?"
_FILES = ("config.json", RECORD, LOG)

Seed = Annotated[str, Text(_SEED, 40)]


_Texts = dict[Annotated[str, OneOf(_FILES)], Annotated[str, Text(max_length=20_000_000)]]


@dataclass(frozen=True, slots=True)
class _Index:
    weights_sha256: dict[Seed, Sha256]
    stacks: list[Stack]


class StoredRecipe:
    """The stored runs of one recipe, by their seeds.

    Args:
        folder: the store.
        recipe: the id.

    Attributes:
        digests: the SHA-256 of each run's weights, as its result has it, by seed.

    Raises:
        InvalidInput: no such recipe, or not what `store_runs` writes.
    """

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder, self.recipe = folder, recipe
        path = folder / f"{recipe}{_INDEX}"
        value = read_json(path, kind="recipe", max_bytes=_MAX_INDEX_BYTES, within=folder)
        index: _Index = records.decode(_Index, value, str(path))
        self.digests = index.weights_sha256
        self._places = {run: (number, stack) for number, stack in enumerate(index.stacks) for run in stack.runs}
        if sorted(self._places) != sorted(self.digests):
            raise InvalidInput(f"{path}: not each of its runs has weights")
        self._open: tuple[int, np.ndarray] | None = None

    @cached_property
    def _texts(self) -> dict[str, _Texts]:
        path = self.folder / f"{self.recipe}{_RUNS}"
        value = records.loads(_unpacked(path), str(path))
        found: dict[str, _Texts] = records.decode(dict[Seed, _Texts], value, str(path))
        if sorted(found) != sorted(self.digests):
            raise InvalidInput(f"{path}: not the runs of {self.recipe}{_INDEX}")
        return found

    def read(self, seed: str) -> dict[str, bytes]:
        """The files of a run by name: config.json, model.safetensors, run.json and, where it has one, its log.

        Raises:
            InvalidInput: no such seed, or weights that do not have their digest.
        """
        if seed not in self.digests:
            raise unknown(f"seed of {self.recipe}", seed, self.digests)
        number, stack = self._places[seed]
        path = self.folder / _stack_name(self.recipe, number)
        if self._open is None or self._open[0] != number:
            content = read_bytes(path, kind="weights", max_bytes=_MAX_STACK_BYTES, within=self.folder)
            self._open = number, stack.rows(content, str(path))
        weights = stack.file(self._open[1][stack.runs.index(seed)])
        if hashlib.sha256(weights).hexdigest() != self.digests[seed]:
            raise InvalidInput(f"{path}: the weights of seed {seed} do not have their SHA-256")
        return {WEIGHTS: weights} | {name: text.encode() for name, text in self._texts[seed].items()}


def stores_below(folder: Path) -> list[Path]:
    """The stores in a folder: itself, and what lies below it."""
    return sorted({path.parent for path in files_below(folder) if path.name.endswith(_RUNS)})


def stored_recipes(folder: Path) -> list[str]:
    """The ids of the recipes in a store."""
    names = (path.name.removesuffix(_RUNS) for path in folder.glob(f"*{_RUNS}"))
    return sorted(name for name in names if _PLAIN_NAME.fullmatch(name))


def store_runs(folder: Path, recipe: str, runs: Mapping[str, Mapping[str, bytes]]) -> int:
    """Adds runs of a recipe to a store; the same runs give the same bytes, whatever order they come in.

    Args:
        folder: the store.
        recipe: the id.
        runs: by seed, the files of each by name; other ones than a store holds are left out.

    Returns:
        How many it had not held.

    Raises:
        InvalidInput: a seed that is there with other weights; nothing is written then.
        EnvironmentFailed: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error("write", folder, error) from None
    with alone_in(folder):
        return _add(folder, recipe, runs)


def _add(folder: Path, recipe: str, runs: Mapping[str, Mapping[str, bytes]]) -> int:
    there: dict[str, dict[str, bytes]] = {}
    if recipe in stored_recipes(folder):
        old = StoredRecipe(folder, recipe)
        there = {seed: old.read(seed) for seed in old.digests}
    for seed in there.keys() & runs.keys():
        if there[seed][WEIGHTS] != runs[seed][WEIGHTS]:
            raise InvalidInput(f"{recipe}#{seed} is in {str(folder)!r} with other weights")
    whole = {seed: {**there, **runs}[seed] for seed in sorted({*there, *runs}, key=_seed_order)}
    stacks = list(make_stacks((seed, files[WEIGHTS]) for seed, files in whole.items()))
    digests = {seed: hashlib.sha256(files[WEIGHTS]).hexdigest() for seed, files in whole.items()}
    texts = {seed: {name: own[name].decode() for name in _FILES if name in own} for seed, own in whole.items()}
    packed = lzma.compress(json.dumps(texts).encode(), preset=9)  # which takes seconds: not between two of the files
    try:
        for number, (_, content) in enumerate(stacks):
            write_atomic(folder / _stack_name(recipe, number), content)
        write_atomic(folder / f"{recipe}{_RUNS}", packed)
        write_atomic(folder / f"{recipe}{_INDEX}", records.dumps(_Index(digests, [stack for stack, _ in stacks])))
    except OSError as error:
        raise file_error("write", folder, error) from None
    return len(runs.keys() - there.keys())


def names_stored_run(text: str) -> bool:
    """Whether a text names a run of a store, and no folder."""
    return re.fullmatch(rf"[^#]+#{_SEED}", text) is not None and not os.path.isdir(text)


def run_folder(text: str) -> Path:
    """The folder of a run: ``text`` itself, or where the run of a store that it names is unpacked. See `stored_run`.

    Raises:
        InvalidInput: as `stored_run`; or it names a recipe, and not which of its runs.
    """
    if names_stored_run(text):
        return stored_run(text)
    if not os.path.exists(text) and (seeds := _seeds_of(text)):
        raise InvalidInput(f"{shown(text)} is a recipe; say which run of it, such as '{text}#{seeds[0]}'")
    return Path(text)


def _seeds_of(name: str) -> list[str]:
    """The seeds of a recipe; none where no store has it."""
    try:
        store, recipe = _find_store(name), Path(name).name
    except InvalidInput:
        return []
    return list(_stored_recipe(store, recipe).digests) if recipe in stored_recipes(store) else []


@cache
def stored_run(text: str) -> Path:
    """A folder with the files of the run that ``"RECIPE#3"`` names, which lives as long as this process.

    Raises:
        InvalidInput: there is no such store, recipe or seed; the nearest one is named.
    """
    name, _, seed = text.rpartition("#")
    store, recipe = _find_store(name), Path(name).name
    if recipe not in (known := stored_recipes(store)):
        raise unknown(f"recipe in {store}", recipe, known)
    folder = _scratch() / f"{recipe}-seed{seed}"
    if folder.exists():
        folder = Path(tempfile.mkdtemp(dir=_scratch())) / folder.name
    folder.mkdir()
    for file, content in _stored_recipe(store, recipe).read(seed).items():
        (folder / file).write_bytes(content)
    return folder


_stored_recipe = lru_cache(maxsize=2)(StoredRecipe)


def _find_store(name: str) -> Path:
    places = [STORE, Path(__file__).resolve().parents[2] / STORE] if Path(name).name == name else [Path(name).parent]
    for place in places:
        if place.is_dir():
            return place
    raise InvalidInput(f"{shown(name)} is no recipe of a store: there is no folder {str(places[0])!r}")


@cache
def _scratch() -> Path:
    folder, owner = Path(tempfile.mkdtemp(prefix="listops-runs-")), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # and not a process that was forked from it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _stack_name(recipe: str, number: int) -> str:
    return f"{recipe}.{number}.safetensors" if number else f"{recipe}.safetensors"


def _seed_order(seed: str) -> list[int]:
    return [int(part) for part in seed.split(".")]


def _unpacked(path: Path) -> bytes:
    packed = read_bytes(path, kind="runs", max_bytes=_MAX_RUNS_BYTES, within=path.parent)
    try:
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_MEMORY)
        content = reader.decompress(packed, _MAX_RUNS_BYTES)
    except lzma.LZMAError as error:
        raise InvalidInput(f"{path}: cannot be read: {error}") from None
    if not reader.eof:
        raise InvalidInput(f"{path}: cut off, or larger than {_MAX_RUNS_BYTES:,} bytes")
    return content
