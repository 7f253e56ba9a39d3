"""The page's tables of learning: the smallest model for each task, and the learning thresholds."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup, escape

from listops_bench.leaderboard.arms import Arm, Comparison, spell_budget, spell_limits, spell_threshold
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import RANKED_SEEDS
from listops_bench.pages.chart import COLOURS
from listops_bench.stats.threshold import Threshold

_STRIP = 150  # pixels from the smallest size to the largest


def difficulty_notes(board: Board) -> dict[str, str]:
    """What stands below a task's name: ``N50 24,100``."""
    return {task: f"N50 {spell_threshold(arm.threshold)}" for task, arm in board.measured.items()}


def smallest_rows(board: Board) -> list[dict[str, Any]]:
    """A row for each track and task that a model has learned."""
    return [
        {
            "track": found.track,
            "task": found.task,
            "model": found.group.model,
            "family": found.group.first.architecture.family,
            "parameters": found.group.parameters,
            "plan": found.group.plan,
            "kind": found.group.kind,
            "learned": found.group.learned,
            "ranked": found.group.ranked,
            "group": found.group,
        }
        for found in board.smallest
    ]


def smallest_note() -> str:
    return (
        "The smallest model of each track with which at least half of the seeds learned the task. A recipe is ranked "
        f"with {RANKED_SEEDS} seeds or more; where none is, the smallest unranked one is shown, and says so. "
        "Models of one size share the place."
    )


def threshold_rows(board: Board) -> list[dict[str, Any]]:
    """A row for each arm."""
    compared = {id(comparison.arm): comparison for comparison in board.comparisons}
    sizes = [size for arm in board.arms for size in arm.sizes]
    ends = (math.log(min(sizes)), math.log(max(sizes))) if sizes else (0.0, 1.0)
    return [_row(arm, place, compared.get(id(arm)), ends) for place, arm in enumerate(board.arms)]


def _row(arm: Arm, place: int, comparison: Comparison | None, ends: tuple[float, float]) -> dict[str, Any]:
    found = arm.threshold
    words = {arm.task, arm.plan, arm.curriculum, arm.family, *(group.model for group in arm.groups)}
    row: dict[str, Any] = {
        "task": arm.task,
        "order": place,
        "family": arm.family,
        "track": arm.track,
        "kind": arm.kind,
        "plan": arm.plan,
        "budget": spell_budget(arm),
        "runs": f"{found.runs} on {len(found.outcomes)}",
        "runs_sort": found.runs,
        "n50": spell_threshold(found),
        "limits": spell_limits(found),
        "n50_sort": _sort(found),
        "strip": _strip(arm, ends),
        "unseen": spell_threshold(arm.unseen) if arm.unseen.runs else "",
        "unseen_limits": spell_limits(arm.unseen),
        "unseen_sort": _sort(arm.unseen),
        "ratio": "",
        "ratio_limits": "",
        "ratio_sort": "",
        "text": " ".join(sorted(words)).lower(),
    }
    if comparison is not None:
        ratio = comparison.ratio
        row["ratio"] = spell_threshold(ratio)
        row["ratio_limits"] = spell_limits(ratio) or ("" if ratio.estimate is None else "no limit")
        row["ratio_sort"] = "" if ratio.estimate is None else f"{ratio.estimate:.4f}"
        row["equal"] = "" if comparison.equal == "steps" else "at equal exposure"
    return row


def _sort(found: Threshold) -> str:
    """Bounds sort beyond the sizes that they name."""
    if found.estimate is None:
        return ""
    return f"{found.estimate * {'above': 1.001, 'below': 0.999}.get(found.kind, 1.0):.3f}"


def _strip(arm: Arm, ends: tuple[float, float]) -> Markup:
    """The interval on a logarithmic line, and above it, for each size tried, the share of seeds that learned."""
    found, colour = arm.threshold, COLOURS[arm.kind]

    def x(parameters: float) -> float:
        return 4 + (_STRIP - 8) * (math.log(parameters) - ends[0]) / ((ends[1] - ends[0]) or 1)

    parts = []
    for outcome in found.outcomes:
        share = outcome.learned / outcome.runs
        parts.append(
            f'<path d="M{x(outcome.parameters):.1f} 11v{-1 - 9 * share:.1f}" stroke="#5b6570" stroke-width="3"/>'
        )
    if found.estimate is not None:
        low, high = x(found.low) if found.low else 0.0, x(found.high) if found.high else float(_STRIP)
        parts.append(f'<path d="M{low:.1f} 17H{high:.1f}" stroke="{colour}" stroke-width="2"/>')
        middle = x(found.estimate)
        turn = {"above": "v8l5-4z", "below": "v8l-5-4z"}.get(found.kind)
        dot = f'<circle cx="{middle:.1f}" cy="17" r="4" fill="{colour}"/>'
        parts.append(f'<path d="M{middle:.1f} 13{turn}" fill="{colour}"/>' if turn else dot)
    learned = ", ".join(f"{o.learned}/{o.runs} at {o.parameters:,}" for o in found.outcomes)
    label = escape(f"learned: {learned}")
    return Markup(
        f'<svg role="img" width="{_STRIP}" height="22" viewBox="0 0 {_STRIP} 22" aria-label="{label}" '
        f'data-tip="{label}">{"".join(parts)}</svg>'
    )
