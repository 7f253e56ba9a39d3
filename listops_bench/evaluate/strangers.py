"""Checkpoints of strangers: found or fetched, and looked at before anything is loaded.

Nothing here runs code that comes with a checkpoint: weights are safetensors only, model code is this package's or that
of `transformers`. What is left to guard against is size: files, or a configuration, that ask for more than a verifying
machine should hold.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM

from listops_bench._base import records
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.checkpoint import Checkpoint, open_checkpoint
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.model.ladder import load_config
from listops_bench.model.origin import WEIGHTS, resolve
from listops_bench.result.format import Result
from listops_bench.runs.folder import LOG, RECORD

MAX_CHECKPOINT_BYTES = 1_000_000_000
"""Of all files together that are read of a repository; the largest rung of the ladder has 3.4 MB."""
MAX_TEXT_BYTES = 20_000_000
MAX_LAYERS = 256
"""What a configuration may ask for, loops of a shared block included."""


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
        weights = Path(folder, WEIGHTS)
        if WEIGHTS in files and not weights.is_symlink() and weights.stat().st_size <= MAX_CHECKPOINT_BYTES:
            yield Path(folder)


def open_stranger(folder: Path) -> Checkpoint:
    """Loads a checkpoint that nobody has vouched for.

    Raises:
        InvalidInput: as `open_checkpoint`; or its configuration asks for more than its weights hold.
    """
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", RECORD, LOG):
        path = folder / name
        if path.is_file() and path.stat().st_size > MAX_TEXT_BYTES:
            raise InvalidInput(f"checkpoint {str(folder)!r} has a {name} of more than {MAX_TEXT_BYTES:,} bytes")
    if (folder / "config.json").is_file() and (folder / WEIGHTS).is_file():
        _check_size(folder)
    return open_checkpoint(folder)


def _check_size(folder: Path) -> None:
    """Refuses what would take the machine's memory or time before a weight has been compared."""
    config = records.loads((folder / "config.json").read_bytes(), str(folder / "config.json"))
    for key, value in config.items() if isinstance(config, dict) else ():
        if ("layer" in key or "loop" in key) and type(value) is int and value > MAX_LAYERS:
            raise InvalidInput(f"checkpoint {str(folder)!r} asks for {key} = {value}, and the most is {MAX_LAYERS}")
    with torch.device("meta"):  # shapes without memory
        try:
            model = AutoModelForCausalLM.from_config(load_config(folder, modulus=None))
        except (ValueError, KeyError, TypeError, RuntimeError, AssertionError):
            return  # loading it says what is wrong
    asked = sum(parameter.numel() for parameter in model.parameters())
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            held = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return
    if asked > held:
        raise InvalidInput(f"checkpoint {str(folder)!r} asks for {asked:,} parameters, and its weights are {held:,}")
