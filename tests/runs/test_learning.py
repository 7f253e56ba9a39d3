"""The learning curve in a checkpoint's log, which anybody may have written."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.runs.learning import MAX_LOG_BYTES, read_learning
from listops_bench.runs.record import Learning, RunRecord

RECORD = RunRecord(config={"eval_rows": 256})
LINE = {"step": 10, "validation": {"sum/trace_accuracy": 0.25, "trace_accuracy": 0.25}}


def log(folder: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    (folder / "train_log.jsonl").write_bytes(data)
    return folder


def line(**values: Any) -> str:
    return json.dumps(LINE | values)


def test_exact_rows_are_counted_by_step_and_task(tmp_path: Path) -> None:
    found = read_learning(log(tmp_path, f"{line()}\n{line(step=20, validation={'sum/trace_accuracy': 1})}\n"), RECORD)
    assert found == {"sum": Learning(256, {"10": 64, "20": 256})}


HOSTILE: dict[str, str | bytes] = {
    "a share of 1e308": line(validation={"sum/trace_accuracy": 1e308}),
    "a share as text": line(validation={"sum/trace_accuracy": "inf"}),
    "Infinity": line().replace("0.25", "Infinity"),
    "NaN": line().replace("0.25", "NaN"),
    "a negative share": line(validation={"sum/trace_accuracy": -0.1}),
    "a number of 5,000 digits": line().replace("10", "9" * 5000),
    "a step below 0": line(step=-1),
    "half a step": line(step=1.5),
    "a step that is true": line(step=True),
    "no step": "{}",
    "figures that are no mapping": line(validation=[1]),
    "a list": f"[{line()}]",
    "a task that is none": line(validation={"sun/trace_accuracy": 0.5}),
    "a task's page": line(validation={"sum@/etc/passwd.yaml/trace_accuracy": 0.5}),
    "a key twice": line().replace('"step"', '"step": 1, "step"'),
    "deep nesting": '{"a":' * 100_000,
    "zeros, as after a power loss": line().encode() + b"\n" + bytes(4096),
    "no text": b"\xff\xfe\xff",
    "half a line": line()[:20],
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_log_that_training_does_not_write_is_one_line(content: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^[^\n]*train_log\.jsonl[^\n]*$"):
        read_learning(log(tmp_path, content), RECORD)


def test_a_line_of_many_keys_is_read(tmp_path: Path) -> None:
    """In quadratic time it would take minutes."""
    assert read_learning(log(tmp_path, line(validation={f"x{i}": 0.5 for i in range(60_000)})), RECORD) == {}


PLACES: dict[str, Callable[[Path], Any]] = {
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a FIFO": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
    "a link out": lambda path: path.symlink_to("/etc/hostname"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a file of 100 GB": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 10**11),
    "one byte too many": lambda path: path.write_bytes(b" " * (MAX_LOG_BYTES + 1)),
}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
def test_a_log_is_a_regular_file_of_bounded_size(make: Callable[[Path], Any], tmp_path: Path) -> None:
    make(tmp_path / "train_log.jsonl")
    with pytest.raises(InvalidInput, match=r"train_log\.jsonl"):
        read_learning(tmp_path, RECORD)


@pytest.mark.parametrize("rows", [None, 0, -1, "256", True, 1e9, 10**12])
def test_a_record_says_how_many_rows_were_read(rows: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"run\.json"):
        read_learning(log(tmp_path, line()), RunRecord(config={"eval_rows": rows}))
