"""Short training runs, for the tests of training."""

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from listops_bench.model.checkpoint import weights_sha256
from listops_bench.runs.folder import RunFiles
from listops_bench.train import _batches
from listops_bench.train._log import Progress
from listops_bench.train.config import TrainConfig
from listops_bench.train.run import TrainResult

_cached = functools.cache(_batches.generate)


@pytest.fixture(scope="module", autouse=True)
def cached_rows() -> Iterator[None]:
    """Rows are made once for all tests: runs of a few steps would mostly make rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_batches, "generate", _cached)
        yield


ROOT = Path(__file__).resolve().parents[2]
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
        values.setdefault("model", None)
    return TrainConfig(**{**SMALL, "output_dir": str(output_dir), **values})


def log_of(result: TrainResult) -> list[dict[str, Any]]:
    lines = (result.output_dir / "train_log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def kept_weights(folder: Path) -> list[tuple[int, str]]:
    """The checkpoints that a run kept along the way, by step and digest."""
    return [(step, weights_sha256(path)) for step, path in RunFiles(folder).step_checkpoints()]


def interrupt_at(step: int) -> Callable[[Progress], None]:
    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return on_step


def environment(**values: str) -> dict[str, str]:
    """For a process of its own."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **values}


def four(folder: Path, steps: int, **values: Any) -> list[TrainConfig]:
    """Four runs that differ in all that may differ: task, curriculum, parts of the model that are trained or made anew,
    seed, schedule, clipping, decay, loss, trace."""
    half, third = steps // 2, steps // 3
    different: list[dict[str, Any]] = [
        {"task": "sum", "max_steps": steps, "learning_rate": 2e-3},
        {
            "curriculum": f"max_med:{half},sum:{steps - half}/init-parts=embeddings/init-axes=3/freeze=embeddings",
            "learning_rate": 5e-3,
            "adam_beta2": 0.95,
        },
        {
            "curriculum": f"sum*0.5+max*0.5:{third}/freeze=attention,med:{third}/keep-optimizer/freeze=attention",
            "lr_scheduler_type": "constant",
            "max_grad_norm": 0.3,
            "weight_decay": 0.1,
        },
        {"task": "sum_max_med", "max_steps": steps, "max_grad_norm": 0.0, "loss_on": "all", "trace": "single"},
    ]
    shared = {"logging_steps": 10, "eval_steps": 25, "eval_rows": 20, "warmup_steps": 5, **values}
    return [small(folder / str(i), seed=i, **{**shared, **own}) for i, own in enumerate(different)]
