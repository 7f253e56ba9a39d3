"""Which results have been verified: a file that verifiers write, and no part of any result.

    leaderboard/results/org__model/0123.../sum.json     what a submitter claims
    leaderboard/verified.json                           what evaluating the checkpoints again has shown

A record belongs to the content of a result: change a digit in a result, and it is no longer verified.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from listops_bench._base import records
from listops_bench._base.files import read_json, write_atomic
from listops_bench._base.records import Count, Positive, Sha256, Text, Timestamp
from listops_bench.result.format import EvaluationSplit, Result, SplitResult
from listops_bench.runs.record import Environment

FILE_NAME = "verified.json"
MAX_FILE_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Verification:
    """One evaluation that repeated a result.

    Attributes:
        path: of the result, below the results folder.
        rows: rows evaluated again, over all splits.
        differing: the least number of them whose scores must have differed; float ties may fall otherwise on other
            hardware.
        same_predictions: every completion was the same, character for character.
        created: when.
        environment: where.
        tensors_sha256: of the weights' tensors (`model.tensors`), whatever file they lie in.
        splits: the scores found by evaluating again, of the splits where they are not those of the result.
    """

    path: Annotated[str, Text(r"[^\x00-\x1f\x7f]*", 400)]
    rows: Positive
    differing: Count
    same_predictions: bool
    created: Timestamp
    environment: Environment
    tensors_sha256: Sha256 | None = None
    splits: dict[EvaluationSplit, SplitResult] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _File:
    schema_version: Literal[1]
    results: dict[Sha256, Verification]


def result_sha256(result: Result) -> str:
    """SHA-256 of what a result says, however its file is laid out: as JSON with sorted keys and without spaces."""
    return hashlib.sha256(records.canonical(result).encode()).hexdigest()


def verified_file(results_dir: str | os.PathLike[str]) -> Path:
    """Where the records of a results folder lie: ``verified.json`` beside it."""
    return Path(results_dir).resolve().parent / FILE_NAME


def read_verified(results_dir: str | os.PathLike[str]) -> dict[str, Verification]:
    """The records of a results folder by `result_sha256`; empty where nothing has been verified.

        verified = read_verified("leaderboard/results")
        record = verified.get(result_sha256(result))       # None: not verified

    Raises:
        InvalidInput: the file is not what `write_verified` writes.
    """
    path = verified_file(results_dir)
    if not path.exists():
        return {}
    decoded: _File = records.decode(_File, read_json(path, max_bytes=MAX_FILE_BYTES), str(path))
    return decoded.results


def verified_files(results_dir: str | os.PathLike[str], files: Mapping[Path, Result]) -> dict[Path, Verification]:
    """The records of those among some files below a results folder that are verified as they stand, each in its place.

    Raises as `read_verified`.
    """
    known, found = read_verified(results_dir), {}
    for path, result in files.items() if known else ():
        record = known.get(result_sha256(result))
        if record is not None and record.path == path.relative_to(results_dir).as_posix():
            found[path] = record
    return found


def write_verified(results_dir: str | os.PathLike[str], verified: Mapping[str, Verification]) -> Path:
    """Writes the records of a results folder, sorted by path, whole or not at all."""
    path = verified_file(results_dir)
    ordered = dict(sorted(verified.items(), key=lambda item: (item[1].path, item[0])))
    write_atomic(path, records.dumps(_File(1, ordered)))
    return path
