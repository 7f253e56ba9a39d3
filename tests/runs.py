"""Short training runs, for the tests of training."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from listops_bench import _train_batches
from listops_bench.train import Progress, TrainConfig, TrainResult

_train_batches.generate = functools.cache(_train_batches.generate)  # runs of a few steps would mostly make rows

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "accelerate"

SMALL: dict[str, Any] = {
    "model": "looped_d008",
    "per_device_train_batch_size": 16,
    "warmup_steps": 2,
    "logging_steps": 2,
    "eval_steps": 0,
    "save_steps": 0,
    "report_to": "none",
}


def small(output_dir: Path, **values: Any) -> TrainConfig:
    """A run of a few steps."""
    if not {"task", "curriculum"} & set(values):
        values |= {"task": "sum", "max_steps": values.get("max_steps", 4)}
    if "init_from" in values:
        values["model"] = None
    return TrainConfig(**{**SMALL, "output_dir": str(output_dir), **values})


def log_of(result: TrainResult) -> list[dict[str, Any]]:
    lines = (result.output_dir / "train_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def interrupt_at(step: int) -> Callable[[Progress], None]:
    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return on_step


def environment(**values: str) -> dict[str, str]:
    """For a process of its own."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **values}
