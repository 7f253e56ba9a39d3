"""The tasks and the score in other people's harnesses: lm-eval, inspect_ai, evaluate; made from the task registry."""

from __future__ import annotations

from pathlib import Path


def metric_path() -> str:
    """The folder to give ``evaluate.load``, for the score as a metric of `evaluate`."""
    return str(Path(__file__).resolve().parent / "metric")
