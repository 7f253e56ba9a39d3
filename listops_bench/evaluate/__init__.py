"""Evaluation: a checkpoint against tasks, and a result against its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.evaluate.decoding import Predictions as Predictions
    from listops_bench.evaluate.decoding import predict as predict
    from listops_bench.evaluate.run import evaluate_checkpoint as evaluate_checkpoint
    from listops_bench.evaluate.run import score_split as score_split
    from listops_bench.evaluate.strangers import MAX_CHECKPOINT_BYTES as MAX_CHECKPOINT_BYTES
    from listops_bench.evaluate.strangers import Checkpoints as Checkpoints
    from listops_bench.evaluate.verification import validate_files as validate_files
    from listops_bench.evaluate.verification import verify_files as verify_files

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Checkpoints": "strangers",
        "MAX_CHECKPOINT_BYTES": "strangers",
        "Predictions": "decoding",
        "evaluate_checkpoint": "run",
        "predict": "decoding",
        "score_split": "run",
        "validate_files": "verification",
        "verify_files": "verification",
    },
)
