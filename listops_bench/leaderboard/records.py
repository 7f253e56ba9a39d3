"""The board's learning thresholds for programs: ``thresholds.json``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from listops_bench.leaderboard.arms import Arm, Comparison
from listops_bench.leaderboard.board import Board
from listops_bench.stats.differences import Difference
from listops_bench.stats.survival import Survival
from listops_bench.stats.threshold import Plateau, Ratio, Threshold


def thresholds_json(found: Sequence[Board]) -> str:
    """The learning thresholds of some boards, as JSON text."""
    records = [
        {
            "dataset_version": board.dataset_version,
            "scorer_version": board.scorer_version,
            "thresholds": [_arm_json(arm, board.comparison(arm)) for arm in board.arms],
        }
        for board in found
    ]
    return json.dumps(records, indent=1) + "\n"


def _arm_json(arm: Arm, comparison: Comparison | None) -> dict[str, Any]:
    record: dict[str, Any] = {
        "task": arm.task,
        "family": arm.family,
        "track": arm.track,
        "trained": arm.kind,
        "curriculum": arm.curriculum,
        "budget_steps": arm.budget,
        "recipes_per_size": arm.recipes,
        "mean_reductions": round(arm.exposure),
        "runs_verified": arm.verified,
    }
    for split, threshold in (("test", arm.threshold), ("test_unseen_operands", arm.unseen)):
        counts = [[o.parameters, o.learned, o.runs] for o in threshold.outcomes]
        record[split] = {
            "n50": _number_json(threshold),
            "plateau": _share_json(threshold.plateau),
            "curve": None if threshold.curve is None else [float(f"{value:.5g}") for value in threshold.curve],
            "scatter_p": None if threshold.scatter is None else round(threshold.scatter, 3),
            "parameters_learned_runs": counts,
        }
    if comparison is not None:
        record["against_alone"] = {
            "curriculum": comparison.alone.curriculum,
            "equal": comparison.equal,
            "test": _number_json(comparison.ratio),
            "test_unseen_operands": _number_json(comparison.unseen),
            "plateau_difference": _share_json(comparison.gain),
        }
    record["time_to_learn"] = [_time_json(size, time) for size, time in arm.times.items()]
    return record


def _number_json(number: Threshold | Ratio) -> dict[str, Any]:
    shown = {name: getattr(number, name) for name in ("estimate", "low", "high")}
    return {"kind": number.kind} | {name: None if v is None else float(f"{v:.5g}") for name, v in shown.items()}


def _share_json(share: Plateau | Difference | None) -> dict[str, Any] | None:
    if share is None or share.estimate is None:
        return None
    return {name: round(getattr(share, name), 4) for name in ("estimate", "low", "high")}


def _time_json(size: int, time: Survival | None) -> dict[str, Any]:
    if time is None:
        return {"parameters": size, "runs": 0}
    limits = {"median_steps": time.median, "low": time.median_low, "high": time.median_high}
    return {"parameters": size, "runs": time.runs, "learned": time.learned, **limits}
