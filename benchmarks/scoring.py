"""Scoring many checkpoints as a sweep does, against predicting for one after the other, on one thread of a CPU.

    python benchmarks/scoring.py > benchmarks/results/scoring.json

The checkpoints are published runs of `leaderboard/weights`, good and bad ones; the rows those that a sweep's results
are of. Every completion has to be the same. Prints one JSON object: the seconds of processor time of both, and the
ratio, over as many checkpoints in turns as are asked together.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any

import torch

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.decoding import Predictions, predict
from listops_bench.evaluate.packs import predict_many
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.runs.provenance import environment
from listops_bench.runs.store import StoredRecipe, run_folder, stored_recipes
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task

STORE = Path(__file__).resolve().parents[1] / "leaderboard" / "weights"
SPLITS = ("test", "test_unseen_operands")
TOGETHER = 8


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--model", default="looped_d048")
    parser.add_argument("--task", default="sum")
    parser.add_argument("--num-rows", type=int, help="of each split (default: all)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    names = published(options.model)[: options.models]
    task = get_task(options.task)
    rows = [generate(task, split, num_rows=options.num_rows or task.num_rows(split)) for split in SPLITS]
    together: list[float] = []
    alone: list[float] = []
    for start in range(0, len(names), TOGETHER):
        models = [load_checkpoint(run_folder(name))[0].eval() for name in names[start : start + TOGETHER]]
        began = time.process_time()
        found = [predict_many(models, own) for own in rows]
        between = time.process_time()
        expected = [[predict(model, own) for model in models] for own in rows]
        ended = time.process_time()
        assert completions(found) == completions(expected), names[start : start + TOGETHER]
        together.append(between - began)
        alone.append(ended - between)
        print(f"{start + len(models)} models: {together[-1]:.1f} s, one by one {alone[-1]:.1f} s", file=sys.stderr)
    figures: dict[str, Any] = {
        "models": len(names),
        "model": options.model,
        "task": options.task,
        "rows_of_each": sum(len(own) for own in rows),
        "seconds": round(sum(together), 2),
        "seconds_one_by_one": round(sum(alone), 2),
        "ratio": round(sum(alone) / sum(together), 2),
        "median_ratio": round(median(one / many for one, many in zip(alone, together, strict=True)), 2),
    }
    print(json.dumps({**figures, "environment": asdict(environment(torch.device("cpu")))}, indent=2))


def completions(found: Sequence[Sequence[Predictions | InvalidInput]]) -> list[list[list[str]]]:
    return [[[] if isinstance(one, InvalidInput) else one.completions for one in many] for many in found]


def published(model: str) -> list[str]:
    """The published runs of a model, each as `load_checkpoint` takes it: one seed of every recipe, then the next."""
    seeds = {recipe: [*StoredRecipe(STORE, recipe).digests] for recipe in stored_recipes(STORE)}
    own = {recipe: found for recipe, found in seeds.items() if recipe.startswith(f"{model}-")}
    turns = zip_longest(*([f"{recipe}#{seed}" for seed in found] for recipe, found in own.items()))
    return [name for turn in turns for name in turn if name is not None]


if __name__ == "__main__":
    main()
