"""Sweeps of a few steps."""

from pathlib import Path
from typing import Any

import yaml

from listops_bench.model.checkpoint import weights_sha256
from listops_bench.result.files import read_results
from listops_bench.sweep._folder import SweepFolder
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep

TINY: dict[str, Any] = {
    "models": ["looped_d008"],
    "tasks": ["max"],
    "seeds": [0],
    "recipe": {
        "dataset_seed": 0,
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "warmup_steps": 2,
        "logging_steps": 2,
        "eval_steps": 3,
        "eval_rows": 5,
        "save_steps": 2,
    },
    "eval_splits": ["test"],
    "eval_num_rows": 8,
}
TWELVE: dict[str, Any] = {**TINY, "tasks": ["max", "med"], "curricula": ["max:2,sum:4"], "seeds": [0, 1, 2, 3]}


def page(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "page.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def tiny(tmp_path: Path, **values: Any) -> SweepFolder:
    """A sweep of a few steps, its folder beside its page."""
    recipe = {**TINY["recipe"], **values.pop("recipe", {})}
    file = page(tmp_path, {**TINY, **values, "recipe": recipe})
    return open_sweep(Options(str(file), str(tmp_path / "out")))


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: weights_sha256(path) for path in (folder / "runs").iterdir() if (path / "run.json").exists()}


def predictions(folder: Path) -> list[str]:
    return sorted(str(result.splits["test"].predictions_sha256) for result in read_results(folder / "results"))
