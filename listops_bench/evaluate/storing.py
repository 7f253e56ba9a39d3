"""Checkpoint folders into a store, under the recipes that their results have."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from listops_bench._base.files import read_bytes
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.checkpoint import open_checkpoint
from listops_bench.model.origin import MAX_CHECKPOINT_BYTES
from listops_bench.runs.folder import LOG, RECORD, WEIGHTS
from listops_bench.runs.store import store_runs


def store_checkpoints(folders: Sequence[str | os.PathLike[str]], store: str | os.PathLike[str]) -> int:
    """Adds checkpoints to a store; see `store_runs`.

    Returns:
        How many it had not held.

    Raises:
        InvalidInput: a checkpoint that cannot be loaded, has no recipe or seed, or stands there with other weights.
        EnvironmentFailed: it cannot be written.
    """
    recipes: dict[str, dict[str, dict[str, bytes]]] = defaultdict(dict)
    for folder in map(Path, folders):
        recipe = open_checkpoint(folder).recipe
        if recipe.seed is None:
            raise InvalidInput(f"checkpoint {str(folder)!r} has no record of its training, and so no recipe and seed")
        seed = f"{recipe.seed}" if recipe.dataset_seed is None else f"{recipe.seed}.{recipe.dataset_seed}"
        if seed in recipes[recipe.id]:
            raise InvalidInput(f"checkpoint {str(folder)!r}: {recipe.id}#{seed} is given twice")
        paths = [path for name in ("config.json", WEIGHTS, RECORD, LOG) if (path := folder / name).exists()]
        recipes[recipe.id][seed] = {
            path.name: read_bytes(path, max_bytes=MAX_CHECKPOINT_BYTES, within=folder) for path in paths
        }
    return sum(store_runs(Path(store), recipe, runs) for recipe, runs in recipes.items())
