"""Runs whose process died under them: a run that kills its process is put last, and then counts as failed.

    attempts/NAME.json     while a process works on the run; after one has died, until the run has ended

A process that is asked to end takes its note back. One that is killed cannot: its run is put last. The command that has
started it, and lives, counts a crash as well, unless the run has saved a state meanwhile: then it comes to its end.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from listops_bench._base.files import write_atomic
from listops_bench._base.records import Count, Line
from listops_bench.runs.folder import working_files
from listops_bench.sweep._notes import Notes
from listops_bench.sweep.job import Job

CRASHES_ALONE, MOST_CRASHES = 2, 3
"""Crashes after which a run is no longer packed with others, and after which it has failed."""


@dataclass(frozen=True)
class Attempt:
    """A run that was begun.

    Attributes:
        crashes: processes that died under it by themselves, before this one.
        running: a process works on it, or died doing so.
        saved: when its state was written, in nanoseconds since 1970; 0 where there was none.
        pack: the name of the pack that has the state, where it is not the run's own.
    """

    crashes: Count
    running: bool
    saved: Count
    pack: Line | None = None


class Attempts:
    """The notes of a sweep, in a folder."""

    def __init__(self, folder: Path, packs: Path, notes: Notes) -> None:
        self.folder, self._packs, self._notes = folder, packs, notes

    def _path(self, job: Job) -> Path:
        return self.folder / f"{job.name}.json"

    def _read(self, job: Job) -> Attempt:
        return self._notes.read(self._path(job), Attempt) or Attempt(0, False, 0)

    def _write(self, job: Job, attempt: Attempt) -> None:
        write_atomic(self._path(job), json.dumps(asdict(attempt)) + "\n")

    def crashes(self, job: Job) -> int:
        """How many processes have died under a run by themselves."""
        return self._read(job).crashes

    def turn(self, job: Job) -> int:
        """What runs that nobody works on are sorted by first: those that were left in the middle come last."""
        before = self._read(job)
        return before.crashes + before.running

    def begin(self, job: Job, pack: Path | None) -> None:
        """Notes that this process works on a run, which it has claimed, alone or in a pack."""
        name = None if pack is None else pack.name
        self._write(job, Attempt(self.crashes(job), True, self._saved(job, name), name))

    def end(self, job: Job, *, over: bool) -> None:
        """Takes the note back: the run is over, or it was left in good order."""
        before = self._read(job)
        if over or not before.crashes:
            self._path(job).unlink(missing_ok=True)
        else:
            self._write(job, replace(before, running=False, saved=self._saved(job, before.pack)))

    def count_crash(self, job: Job) -> None:
        """Notes that the process which worked on a run has died by itself; for a run that nobody works on now."""
        before = self._read(job)
        if before.running:
            stands = before.saved == self._saved(job, before.pack)
            self._write(job, replace(before, crashes=before.crashes + 1 if stands else 1, running=False))

    def end_alone(self, job: Job) -> None:
        """Has a run tried again by itself: the pack that it was part of has failed."""
        self._write(job, Attempt(CRASHES_ALONE, False, self._saved(job, None)))

    def forgive(self, name: str) -> None:
        """Has a run that failed tried again, after all others."""
        path = self.folder / f"{name}.json"
        if path.exists():
            write_atomic(path, json.dumps(asdict(Attempt(1, False, 0))) + "\n")

    def snapshot(self) -> dict[str, bytes]:
        """What the notes say."""
        return {path.name: path.read_bytes() for path in self.folder.glob("[!.]*.json")}

    def _saved(self, job: Job, pack: str | None) -> int:
        try:
            return working_files(job.output_dir if pack is None else self._packs / pack).state.stat().st_mtime_ns
        except OSError:
            return 0
