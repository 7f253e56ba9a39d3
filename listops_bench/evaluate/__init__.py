"""Evaluation: a checkpoint against tasks, and a result against its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.evaluate.decoding import Predictions as Predictions, predict as predict
    from listops_bench.evaluate.run import (
        evaluate_checkpoint as evaluate_checkpoint,
        evaluate_many as evaluate_many,
        score_split as score_split,
    )
    from listops_bench.evaluate.strangers import Checkpoints as Checkpoints
    from listops_bench.evaluate.verification import validate_files as validate_files, verify_files as verify_files

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "strangers": "Checkpoints",
        "decoding": "Predictions predict",
        "run": "evaluate_checkpoint evaluate_many score_split",
        "verification": "validate_files verify_files",
    },
)
