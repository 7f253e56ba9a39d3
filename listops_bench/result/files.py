"""Reads and writes result files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from listops_bench._base import records
from listops_bench._base.files import read_json, write_atomic
from listops_bench.errors import InvalidInput
from listops_bench.result.checks import validate
from listops_bench.result.format import Result
from listops_bench.result.rules import against

MAX_FILE_BYTES = 4_000_000


def result_path(results_dir: str | os.PathLike[str], result: Result) -> Path:
    """Where a result belongs below a results folder; every part of it was checked to be a plain name."""
    model = result.model
    version = model.revision or _version(model.weights_sha256 or "")
    return Path(results_dir) / model.id.replace("/", "__") / version / f"{result.task.name}.json"


def _version(weights_sha256: str) -> str:
    return weights_sha256[:12]


def write_result(results_dir: str | os.PathLike[str], result: Result) -> Path:
    """Writes a result where it belongs, whole or not at all, replacing an earlier one, and returns the path.

    Raises:
        InvalidInput: the result is not valid; nothing is written then.
    """
    # What is written has been read: a record built in Python could hold what no reader accepts.
    text = records.dumps(result)
    _decode(records.loads(text, "result"), "result")
    path = result_path(results_dir, result)
    write_atomic(path, text)
    return path


def read_result(path: str | os.PathLike[str], results_dir: str | os.PathLike[str] | None = None) -> Result:
    """Reads and validates one result file.

    Args:
        path: the file.
        results_dir: where given, the file must lie at its proper place below it, and not be a link out of it.

    Raises:
        InvalidInput: naming the file and what is wrong: not JSON, an unknown, missing or repeated key, a wrong type,
            NaN, too large, counts or intervals that do not agree with each other, or a file in the wrong place.
        EnvironmentFailed: it is there and cannot be read.
    """
    path = Path(path)
    try:
        within = None if results_dir is None else Path(results_dir)
        value = read_json(path, kind="result", max_bytes=MAX_FILE_BYTES, within=within)
    except InvalidInput as error:
        raise InvalidInput(against("format", error)) from None
    result = _decode(value, str(path))
    if results_dir is not None and path != result_path(results_dir, result):
        raise InvalidInput(against("place", f"{path}: belongs at {result_path(results_dir, result)}"))
    return result


def _decode(value: Any, where: str) -> Result:
    try:
        result: Result = records.decode(Result, value, where)
    except InvalidInput as error:
        raise InvalidInput(against("format", error)) from None
    validate(result, where)
    return result


def find_results(results_dir: str | os.PathLike[str], weights_sha256: str | None = None) -> list[Path]:
    """The result files below a folder, sorted; files whose name begins with a dot are not among them.

    Args:
        results_dir: the folder.
        weights_sha256: only those of a local checkpoint with these weights.
    """
    version = "*" if weights_sha256 is None else _version(weights_sha256)
    return sorted(path for path in Path(results_dir).glob(f"*/{version}/*.json") if not path.name.startswith("."))


def results_below(results_dir: str | os.PathLike[str]) -> list[Path]:
    """As `find_results`, of a folder that has some.

    Raises:
        InvalidInput: no such folder, or one without a result file; the nearest folder with some is named.
    """
    folder = Path(results_dir)
    if not folder.is_dir():
        raise InvalidInput(f"results folder {str(results_dir)!r} does not exist")
    found = find_results(folder)
    if not found:
        near = next((place for place in (folder / "results", folder.parent) if find_results(place)), None)
        hint = f"; {str(near)!r} does" if near else ""
        raise InvalidInput(f"results folder {str(results_dir)!r} holds no file MODEL/REVISION/TASK.json{hint}")
    return found


def read_results(results_dir: str | os.PathLike[str]) -> list[Result]:
    """All results below a folder, each valid and in its place.

    Raises:
        InvalidInput: no such folder, or one file that is not valid.
    """
    if not Path(results_dir).is_dir():
        raise InvalidInput(f"results folder {str(results_dir)!r} does not exist")
    return [read_result(path, results_dir) for path in find_results(results_dir)]
