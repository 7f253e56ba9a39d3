"""Small drawings inside tables and model pages, as SVG text of numbers alone; labels are escaped."""

from __future__ import annotations

import math
from html import escape

from listops_bench.leaderboard.arms import Arm
from listops_bench.leaderboard.groups import Group
from listops_bench.result.learned import LEARNED

_SEEDS, _LADDER, _CURVE = (110, 18), (150, 22), (260, 80)  # pixels
_QUIET = "#5b6570"


def seed_strip(group: Group) -> str:
    """The seeds as points on a line from 0 to 100%, each with its interval."""
    width, height = _SEEDS
    parts = [
        f'<path d="M0 9H{width}" stroke="#c9d0d6"/>',
        f'<path d="M{LEARNED * width:.1f} 2v14" stroke="{_QUIET}" stroke-dasharray="2 2"/>',
    ]
    for place, (_, summary) in enumerate(group.scored):
        y = 9 + 8 * ((place + 0.5) / len(group.scored) - 0.5)
        low, x, high = (share * width for share in (summary.low, summary.accuracy, summary.high))
        parts.append(f'<path d="M{low:.1f} {y:.1f}H{high:.1f}" stroke="currentColor" stroke-width="2"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="currentColor"/>')
    label = "; ".join(f"{run.seed}: {summary}" for run, summary in group.scored) or "not scored on test rows"
    return _svg(width, height, group.kind, label, parts)


def ladder_strip(arm: Arm, ends: tuple[int, int]) -> str:
    """The interval of N50 on a logarithmic line, above it for each size tried the share of seeds that learned.

    Args:
        arm: whose threshold is drawn.
        ends: the smallest and the largest number of parameters on the line.
    """
    found, (width, height) = arm.threshold, _LADDER
    span = math.log(ends[1] / ends[0]) or 1

    def x(parameters: float) -> float:
        return 4 + (width - 8) * math.log(parameters / ends[0]) / span

    parts = [
        f'<path d="M{x(o.parameters):.1f} 11v{-1 - 9 * o.learned / o.runs:.1f}" stroke="{_QUIET}" stroke-width="3"/>'
        for o in found.outcomes
    ]
    if found.estimate is not None:
        low, high = x(found.low) if found.low else 0.0, x(found.high) if found.high else float(width)
        parts.append(f'<path d="M{low:.1f} 17H{high:.1f}" stroke="currentColor" stroke-width="2"/>')
        middle = x(found.estimate)
        bound = {"above": "v8l5-4z", "below": "v8l-5-4z"}.get(found.kind)
        dot = f'<circle cx="{middle:.1f}" cy="17" r="4" fill="currentColor"/>'
        parts.append(f'<path d="M{middle:.1f} 13{bound}" fill="currentColor"/>' if bound else dot)
    label = "learned: " + ", ".join(f"{o.learned}/{o.runs} at {o.parameters:,}" for o in found.outcomes)
    return _svg(width, height, arm.kind, label, parts, tip=True)


def learning_curve(group: Group) -> str:
    """Exact traces on validation rows along the training, a line for each seed; empty where none was validated."""
    logs = [run.result.learning for run in group.runs if run.result.learning and run.result.learning.correct]
    if not logs:
        return ""
    width, height = _CURVE
    last = max(int(step) for log in logs for step in log.correct)
    level = height * (1 - LEARNED)
    parts = [
        f'<path d="M0 0V{height}H{width}" fill="none" stroke="#9aa3ab"/>',
        f'<path d="M0 {level:.1f}H{width}" stroke="{_QUIET}" stroke-dasharray="4 3"/>',
    ]
    for log in logs:
        points = sorted((int(step), right / log.n) for step, right in log.correct.items())
        path = " ".join(f"{width * step / last:.1f},{height * (1 - share):.1f}" for step, share in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.5" opacity=".75"/>')
    n = " or ".join(f"{n:,}" for n in sorted({log.n for log in logs}))
    label = f"exact traces among {n} validation rows of {group.task} from step 0 to {last:,}, by seed"
    return _svg(width, height, group.kind, label, parts) + f"<small>{escape(label)}</small>"


def _svg(width: int, height: int, kind: str, label: str, parts: list[str], tip: bool = False) -> str:
    """A drawing in the colour of a kind of training."""
    tooltip = f' data-tip="{escape(label)}"' if tip else ""
    return (
        f'<svg role="img" style="color:var(--{kind})" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'aria-label="{escape(label)}"{tooltip}>{"".join(parts)}</svg>'
    )
