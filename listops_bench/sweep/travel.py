"""Sweeps that travel: what ran on machines that share no disk comes together.

    listops-bench sweep export runs/pocket -o pocket.tar       its runs, results and states, in one file
    listops-bench sweep merge a.tar b.tar runs/here -o runs/all

A run is told from others by its name, which is a digest of all that makes it. What is there is never overwritten: equal
weights are one run, other ones a conflict that is named. Either command can be killed at any time and given again.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from listops_bench._base import records
from listops_bench._base.files import take_lock, write_atomic
from listops_bench.errors import InvalidInput, file_error
from listops_bench.model import configuration_looped, modeling_looped
from listops_bench.model.checkpoint import remove_unfinished, weights_sha256
from listops_bench.result.files import read_result
from listops_bench.runs.folder import RunFiles, working_dir
from listops_bench.runs.record import RunRecord, decode_run
from listops_bench.runs.stacks import Stack, make_stacks
from listops_bench.sweep._cargo import Cargo, FolderCargo, open_cargo, weights_name

_STATE_FIRST = ("state.pt", "train_log.jsonl")


# --- stacks -----------------------------------------------------------------------------------------------------------


def _stacks(cargo: Cargo, runs: Iterable[str]) -> Iterator[tuple[str, Stack, bytes]]:
    """The weights of runs by recipe: a name, whose they are, and the file of the stack."""
    recipes: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        recipes[run.rpartition("-seed")[0] or run].append(run)
    for recipe, own in recipes.items():
        for number, (stack, content) in enumerate(make_stacks((run, cargo.read(weights_name(run))) for run in own)):
            yield f"{recipe}-{number}", stack, content


class _Weights:
    """The weights of a cargo's runs, from their files or from stacks, one of which is kept."""

    def __init__(self, cargo: Cargo) -> None:
        self._cargo = cargo
        self._places: dict[str, tuple[str, Stack, int]] = {}
        self._open: tuple[str, np.ndarray] | None = None
        for name in cargo.below("stacks"):
            if name.endswith(".json"):
                where = f"{cargo.path}: {name}"
                stack: Stack = records.decode(Stack, records.loads(cargo.read(name), where), where)
                for k, run in enumerate(stack.runs):
                    self._places[run] = (name.removesuffix(".json") + ".safetensors", stack, k)

    def __contains__(self, run: str) -> bool:
        return run in self._places or weights_name(run) in self._cargo.names

    def read(self, run: str) -> bytes:
        if run not in self._places:
            return self._cargo.read(weights_name(run))
        name, stack, k = self._places[run]
        if self._open is None or self._open[0] != name:
            self._open = None
            rows = stack.rows(self._cargo.read(name), f"{self._cargo.path}: {name}")
            self._open = name, rows
        return stack.file(self._open[1][k])


# --- export -----------------------------------------------------------------------------------------------------------


def export(folder: str | os.PathLike[str], output: str | os.PathLike[str]) -> str:
    """Writes what a sweep has come to as one tar, whole or not at all; the same folder gives the same bytes.

    Returns:
        A line that says what is in it.

    Raises:
        InvalidInput: no folder of a sweep, or a tar that is there already.
        EnvironmentFailed: something cannot be read or written.
    """
    cargo, target = open_cargo(Path(folder)), Path(output)
    if not isinstance(cargo, FolderCargo):
        raise InvalidInput(f"{str(folder)!r} is no folder of a sweep")
    runs = [
        run for run in cargo.children("runs") if weights_name(run) in cargo.names and _record(cargo, run) is not None
    ]
    finished, begun = set(runs), _begun(cargo)
    names = [n for n in cargo.names if n.startswith(("results/", "failed/"))]
    names += [n for n in cargo.names if n.split("/")[1] in finished and n != weights_name(n.split("/")[1])]
    names += [n for unit in begun for n in unit.names if n.split("/")[1].removesuffix(".training") not in finished]
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        left.unlink(missing_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for name in sorted(set(names), key=_in_order):
                    _add(tar, name, cargo.read(name))
                for name, stack, content in _stacks(cargo, runs):
                    _add(tar, f"stacks/{name}.json", records.dumps(stack).encode())
                    _add(tar, f"stacks/{name}.safetensors", content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise file_error("write", target, error) from None
    finally:
        temporary.unlink(missing_ok=True)
        for unit in begun:
            unit.release()
    results = sum(name.startswith("results/") for name in names)
    return f"{target}: {len(runs)} runs, {results} results, {len(begun)} that go on"


def _in_order(name: str) -> tuple[str, int, str]:
    folder, _, file = name.rpartition("/")
    return folder, _STATE_FIRST.index(file) if file in _STATE_FIRST else 9, file


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


@dataclass
class _Begun:
    """A run or pack that was stopped, held while it is copied: its files in one piece."""

    names: list[str]
    release: Callable[[], None]


def _begun(cargo: FolderCargo) -> list[_Begun]:
    """Those that nobody works on."""
    found = []
    for top in ("runs", "packs"):
        for child in cargo.children(top):
            place = f"{top}/{child}"
            names = cargo.below(place)
            if child.endswith(".training") and f"{place}/state.pt" in names:
                lock = take_lock(RunFiles(cargo.path / place).lock)
                if lock is not None:
                    members = f"{place.removesuffix('.training')}.json"
                    names += [members] if top == "packs" and members in cargo.names else []
                    found.append(_Begun(names, lock.release))
    return found


def _record(cargo: Cargo, run: str) -> RunRecord | None:
    """The record of a finished run; None where there is none that can be read."""
    name = f"runs/{run}/run.json"
    if name not in cargo.names:
        return None
    try:
        record = decode_run(records.loads(cargo.read(name), name), name)
    except InvalidInput:
        return None
    return record if record.training is not None and record.weights_sha256 is not None else None


# --- merge ------------------------------------------------------------------------------------------------------------


@dataclass
class Merged:
    """What a merge has done.

    Attributes:
        runs, results: that were taken.
        there: that were there already, just as they are.
        begun: stopped runs and packs that were taken and go on.
        conflicts: what was left as it is, and why, a line each.
    """

    runs: int = 0
    results: int = 0
    there: int = 0
    begun: int = 0
    conflicts: list[str] = field(default_factory=list)


def merge(sources: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]) -> Merged:
    """Brings sweeps together in one folder, which may hold some of it already.

    Args:
        sources: folders of sweeps, or tars that `export` has written.

    Raises:
        InvalidInput: a source that is neither, or a tar that holds what no export writes.
        EnvironmentFailed: something cannot be read or written; what was taken by then is whole.
    """
    cargos, target, merged = [open_cargo(Path(source)) for source in sources], Path(output), Merged()
    try:
        target.mkdir(parents=True, exist_ok=True)
        for cargo in cargos:
            weights = _Weights(cargo)
            for run in cargo.children("runs"):
                if run in weights and not run.endswith(".training"):
                    _merge_run(cargo, weights, run, target, merged)
            for name in cargo.below("results"):
                _merge_result(cargo, name, target, merged)
        for cargo in cargos:
            _merge_begun(cargo, target, merged)
    except OSError as error:
        raise file_error("write", target, error) from None
    return merged


def _merge_run(cargo: Cargo, weights: _Weights, run: str, target: Path, merged: Merged) -> None:
    place, record = target / "runs" / run, _record(cargo, run)
    if record is None:
        merged.conflicts.append(f"{cargo.path}: runs/{run} has no record of a run; not taken")
        return
    lock = take_lock(target / "claims" / f"{run}.lock")
    if lock is None:
        merged.conflicts.append(f"{cargo.path}: runs/{run}: a process works on it in {target}; not taken")
        return
    try:
        if place.exists():
            there = _record(FolderCargo(target), run)
            if there is not None and (there.weights_sha256, there.identity) == (record.weights_sha256, record.identity):
                merged.there += 1
            else:
                merged.conflicts.append(f"{cargo.path}: runs/{run}: {place} has other weights; left as it is")
            return
        remove_unfinished(place)
        temporary = place.with_name(f".{run}.{os.getpid()}.tmp")
        try:
            for name in cargo.below(f"runs/{run}"):
                if name != weights_name(run):
                    write_atomic(temporary / name.removeprefix(f"runs/{run}/"), cargo.read(name))
            write_atomic(temporary / weights_name(run).rpartition("/")[2], weights.read(run))
            config = cargo.read(f"runs/{run}/config.json")
            if b'"auto_map"' in config:  # code does not travel: it is that of this package
                for module in (configuration_looped, modeling_looped):
                    path = Path(str(module.__file__))
                    write_atomic(temporary / path.name, path.read_bytes())
            if weights_sha256(temporary) != record.weights_sha256:
                merged.conflicts.append(f"{cargo.path}: runs/{run}: its weights are not those of its record; not taken")
                return
            temporary.rename(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(working_dir(place), ignore_errors=True)  # the state of the same run
        merged.runs += 1
    finally:
        lock.release()


def _merge_result(cargo: Cargo, name: str, target: Path, merged: Merged) -> None:
    place, content = target / name, cargo.read(name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / place.name).write_bytes(content)
            result = read_result(Path(folder) / place.name)
    except InvalidInput as error:
        merged.conflicts.append(f"{cargo.path}: {name} is no result ({error}); not taken")
        return
    if not place.exists():
        write_atomic(place, content)
        merged.results += 1
        return
    try:
        there = read_result(place)
    except InvalidInput as error:
        merged.conflicts.append(f"{place} is no result ({error}); left as it is")
        return
    # When and where it was computed may differ.
    if records.encode(there) | {"evaluation": None} == records.encode(result) | {"evaluation": None}:
        merged.there += 1
    else:
        merged.conflicts.append(f"{cargo.path}: {name}: {place} says otherwise; left as it is")


def _merge_begun(cargo: Cargo, target: Path, merged: Merged) -> None:
    """Takes states of runs that are neither finished nor begun here."""
    for top in ("runs", "packs"):
        for child in cargo.children(top):
            here, name = target / top / child, child.removesuffix(".training")
            if name == child or f"{top}/{child}/state.pt" not in cargo.names or (target / top / name).exists():
                continue
            if here.exists():
                merged.there += 1
                continue
            temporary = here.with_name(f".{child}.{os.getpid()}.tmp")
            try:
                for file in cargo.below(f"{top}/{child}"):
                    write_atomic(temporary / file.removeprefix(f"{top}/{child}/"), cargo.read(file))
                if f"{top}/{name}.json" in cargo.names:
                    write_atomic(target / top / f"{name}.json", cargo.read(f"{top}/{name}.json"))
                temporary.rename(here)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            merged.begun += 1
