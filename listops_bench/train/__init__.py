"""Training: one model, or many small ones as one (`train.packed`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.train._log import Progress as Progress, TrainingFailed as TrainingFailed
    from listops_bench.train.command import main as main
    from listops_bench.train.config import (
        RunOptions as RunOptions,
        TrainConfig as TrainConfig,
        TrainRecipe as TrainRecipe,
        make_config as make_config,
        read_config as read_config,
    )
    from listops_bench.train.run import TrainResult as TrainResult, train as train

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_log": "Progress TrainingFailed",
        "config": "RunOptions TrainConfig TrainRecipe make_config read_config",
        "run": "TrainResult train",
        "command": "main",
    },
)
