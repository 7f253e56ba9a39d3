"""The files of a run: what a checkpoint folder holds beside its weights, and what the working folder holds before.

runs/first            the checkpoint: run.json, train_log.jsonl, trackers/, checkpoints/step-00500/...
runs/first.training   while it trains: config.json, train_log.jsonl, state.pt, lock, trackers/, checkpoints/
"""

from __future__ import annotations

import os
from pathlib import Path

WEIGHTS, RECORD, LOG = "model.safetensors", "run.json", "train_log.jsonl"
CHECKPOINTS, TRACKERS = "checkpoints", "trackers"


class RunFiles:
    """The names of the files of a run in one folder; the files themselves may be there or not.

    Attributes:
        folder: the checkpoint folder, or the working folder of a run that has not finished.
        record: how the weights came about; see `RunRecord`.
        log: a line of JSON every few steps.
        identity: which run is being trained here.
        state: what a stopped run goes on from.
        failed: at which step the loss stopped being a number.
        lock: held by the process that trains.
        checkpoints: the folder of the checkpoints kept along the way.
        trackers: the folder of the trackers' files.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.record, self.log = self.folder / RECORD, self.folder / LOG
        self.identity, self.state = self.folder / "config.json", self.folder / "state.pt"
        self.failed, self.lock = self.folder / "failed.json", self.folder / "lock"
        self.checkpoints, self.trackers = self.folder / CHECKPOINTS, self.folder / TRACKERS

    def step_checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step lies: ``FOLDER/checkpoints/step-00500``."""
        return self.checkpoints / f"step-{step:05d}"

    def step_checkpoints(self) -> list[tuple[int, Path]]:
        """The checkpoints kept along the way, as (steps done, folder), from first to last.

        The weights that the run ended with are in the folder itself, and not among them.
        """
        found = self.checkpoints.glob("step-*")
        return sorted((int(path.name.removeprefix("step-")), path) for path in found)


def real_folder(folder: str | os.PathLike[str]) -> Path:
    """A folder by a name that it can be written under: where a link leads to, and what ``.`` stands for."""
    path = Path(folder)
    return Path(os.path.realpath(path)) if path.is_symlink() or path.name in ("", "..") else path


def working_dir(output_dir: str | os.PathLike[str]) -> Path:
    """Where a run keeps its state and log until it has finished."""
    path = real_folder(output_dir)
    return path.parent / f"{path.name}.training"


def working_files(output_dir: str | os.PathLike[str]) -> RunFiles:
    """The files of a run that has not finished."""
    return RunFiles(working_dir(output_dir))
