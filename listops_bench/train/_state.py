"""The working folder of a run: where its state lies while it trains (`RunFiles`), and what tells two runs apart.

A run that was stopped goes on from the last state in its folder; the log is cut back to what it said then, and later
checkpoints are made again. Where the loss is no longer a number, failed.json says at which step, until the run is
started again.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from listops_bench._base.files import read_json, take_lock, write_atomic
from listops_bench.errors import InvalidInput, file_error
from listops_bench.model.checkpoint import can_be_written, remove_unfinished
from listops_bench.runs.folder import RunFiles, working_files
from listops_bench.runs.record import RunRecord, read_run


class RunFolder:
    """The working folder of one run. Only the main process touches it."""

    def __init__(self, output_dir: str, identity: Mapping[str, Any]) -> None:
        self.output_dir = Path(output_dir)
        self.files = working_files(output_dir)
        self.path, self.log = self.files.folder, self.files.log
        self.identity = dict(identity)
        self._lock: FileLock | None = None

    # --- what is there already ----------------------------------------------------------------------------------------

    def finished_run(self) -> RunRecord | None:
        """The record of this very run, if it has finished.

        Raises:
            InvalidInput: another run, or something that is no run, is at the output folder; or it is a mount point.
        """
        if os.path.ismount(self.output_dir):
            raise InvalidInput(
                f"output_dir {str(self.output_dir)!r} is a mount point, and the state of a run lies beside its folder: "
                f"choose one below it, such as {str(self.output_dir / 'run')!r}"
            )
        if can_be_written(self.output_dir):
            return None
        try:
            run = read_run(self.output_dir)
        except InvalidInput as error:
            raise InvalidInput(f"output_dir {str(self.output_dir)!r} exists and holds no run: {error}") from None
        if run is None or run.identity is None or run.training is None:
            raise InvalidInput(f"output_dir {str(self.output_dir)!r} exists and holds no run; choose another")
        self._compare(run.identity, self.output_dir)
        return run

    def _compare(self, found: Any, where: Path) -> None:
        if not isinstance(found, dict):
            raise InvalidInput(f"output_dir {str(where)!r} holds a run whose identity is no object; delete it")
        for key in {**self.identity, **found}:
            theirs, ours = found.get(key), self.identity.get(key)
            if theirs != ours:
                raise InvalidInput(
                    f"output_dir {str(where)!r} holds another run: its {key} is {theirs!r}, this one's {ours!r}; "
                    "choose another folder or delete it"
                )

    # --- begin, save, resume, end -------------------------------------------------------------------------------------

    def open(self) -> dict[str, Any] | None:
        """Takes the folder for this process, and returns the state to go on from, if there is one.

        Raises:
            InvalidInput: another run's state lies there, another process is at it or has just finished, or it cannot be
                written or read.
        """
        self._lock = take_lock(self.files.lock)
        if self._lock is None:
            raise InvalidInput(f"another process is training in {str(self.path)!r}")
        if not can_be_written(self.output_dir):  # it was when this process asked, before it made its model
            self.remove()
            raise InvalidInput(f"another process has just finished a run in {str(self.output_dir)!r}")
        self._remove_leftovers()
        config = self.files.identity
        if config.exists():
            self._compare(read_json(config), self.path)
        else:
            with self.writing():
                write_atomic(config, json.dumps(self.identity, indent=2) + "\n")
        self.files.failed.unlink(missing_ok=True)
        state = self._read_state()
        log_bytes, last_step = (0, -1) if state is None else (state["log_bytes"], state["step"])
        self._cut_log(log_bytes)
        for step, path in self.files.step_checkpoints():
            if step > last_step:
                shutil.rmtree(path)
        return state

    def _cut_log(self, size: int) -> None:
        """Cuts the log back to what it said when the state was saved."""
        there = self.log.read_bytes()[:size] if self.log.exists() else b""
        try:
            lost = len(there) < size or not all(isinstance(json.loads(line), dict) for line in there.splitlines())
        except ValueError:
            lost = True
        if lost:
            raise InvalidInput(
                f"{str(self.log)!r} is damaged: the disk has lost some of the {size:,} bytes that it had when "
                f"the state beside it was saved; delete {str(self.path)!r} to start again"
            )
        with self.writing():
            if not size:  # nor had the run a log before its first line
                self.log.unlink(missing_ok=True)
            else:
                os.truncate(self.log, size)

    def _remove_leftovers(self) -> None:
        """What a process that was killed while it wrote has left."""
        for file in (self.files.state, self.files.identity, self.files.failed):
            for path in self.path.glob(f".{file.name}.*"):
                path.unlink()
        remove_unfinished(self.output_dir)
        for path in self.files.checkpoints.glob(".*"):
            shutil.rmtree(path)

    def _read_state(self) -> dict[str, Any] | None:
        path = self.files.state
        if not path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if not all(isinstance(state[name], int) for name in ("step", "log_bytes")):
                raise TypeError
        except Exception as error:  # torch, zipfile and pickle each have their own kinds
            raise InvalidInput(f"{str(path)!r} is damaged ({type(error).__name__}); delete it to start again") from None
        return state

    def save_state(self, state: Mapping[str, Any]) -> None:
        """Replaces the state; killed at any moment, the folder holds the old one or the new one."""
        content = io.BytesIO()
        with self.writing():
            torch.save({**state, "log_bytes": self._flushed_log()}, content)
            write_atomic(self.files.state, content.getvalue())

    def _flushed_log(self) -> int:
        """The bytes of the log, all of them on the disk before the state that counts on them is."""
        if not self.log.exists():
            return 0
        with self.log.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, io.SEEK_END)

    def mark_failed(self, step: int, error: str) -> None:
        """Says in the folder that the run failed, for whoever looks after many runs."""
        with self.writing():
            write_atomic(self.files.failed, json.dumps({"step": step, "error": error}) + "\n")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turns the errors of a full or broken disk into one line. What was saved before stays good to go on from."""
        try:
            yield
        except OSError as error:
            raise file_error("write", self.path, error) from None

    def append_log(self, line: Mapping[str, Any]) -> None:
        with self.writing(), self.log.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(line) + "\n")

    def copy_log(self, checkpoint: Path) -> None:
        """Adds the log to a checkpoint that is being written."""
        if self.log.exists():
            shutil.copyfile(self.log, RunFiles(checkpoint).log)

    def copy_into(self, checkpoint: Path) -> None:
        """Adds what the run has written along the way to its last checkpoint, which is being written."""
        self.copy_log(checkpoint)
        for folder in (self.files.trackers, self.files.checkpoints):
            if folder.is_dir():
                shutil.copytree(folder, checkpoint / folder.name)

    def remove(self) -> None:
        """Deletes the working folder: the checkpoint is there."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()
        with suppress(OSError):  # Windows deletes a folder once nothing in it is open
            self.path.rmdir()

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
