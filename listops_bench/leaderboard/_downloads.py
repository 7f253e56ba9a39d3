"""The board's results as files for other programs: CSV, JSON and Parquet, each with a row for every run and task."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group, Run
from listops_bench.leaderboard.repeat import Repeats

NAMES = ("results.csv", "results.json", "results.parquet")
_SPLITS = ("test", "test_unseen_operands", "test_deeper", "test_wider")


def downloads(board: Board, repeats: Repeats) -> dict[str, bytes]:
    """By name, the content of each file."""
    rows = [
        _row(group, run, stored)
        for group in board.rows
        for run, stored in zip(group.runs, repeats.names_of(group), strict=True)
    ]
    lines = ",\n".join(map(json.dumps, rows))
    return dict(zip(NAMES, (_csv(rows), f"[\n{lines}\n]\n".encode(), _parquet(rows)), strict=True))


def _row(group: Group, run: Run, stored: str | None) -> dict[str, Any]:
    result, training = run.result, run.result.training
    counts = {
        f"{split}_{what}": value
        for split in _SPLITS
        for scored in [result.splits.get(split)]
        for what, value in (
            ("n", scored and scored.n),
            ("exact_traces", scored and scored.metrics.trace_accuracy.correct),
            ("right_answers", scored and scored.metrics.answer_accuracy.correct),
        )
    }
    return {
        "task": group.task,
        "model": group.model,
        "family": result.architecture.family,
        "parameters": group.parameters,
        "curriculum": group.curriculum,
        "trained": group.kind,
        "recipe": result.recipe.id,
        "seed": result.recipe.seed,
        "dataset_seed": result.recipe.dataset_seed,
        "track": result.track,
        "learned": run.learned,
        **counts,
        "steps": training and training.steps,
        "budget": training and training.budget,
        "hardware": training and training.environment.hardware,
        "model_id": result.model.id,
        "revision": result.model.revision,
        "weights_sha256": result.model.weights_sha256,
        "stored": stored,
        "verified": run.verified,
        "dataset_version": result.dataset_version,
        "scorer_version": result.scorer_version,
    }


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), buffer, compression="zstd")
    return buffer.getvalue()
