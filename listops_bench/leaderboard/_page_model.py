"""A page for each model: everything that its result files say, every task, seed and slice, and where it comes from."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup, escape

from listops_bench._base.text import slug
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group, Run
from listops_bench.pages.chart import COLOURS
from listops_bench.result.learned import LEARNED
from listops_bench.score.completion import SLICES, Metrics
from listops_bench.stats.intervals import Summary

FOLDER = "models"
_WIDTH, _HEIGHT = 260, 80  # of a learning curve, in pixels

SPLITS = (
    ("test", "exact traces", "trace_accuracy"),
    ("test", "answers", "answer_accuracy"),
    ("test", "valid steps", "valid_step_rate"),
    ("test_unseen_operands", "unseen operands", "trace_accuracy"),
    ("test_deeper", "deeper", "trace_accuracy"),
    ("test_wider", "wider", "trace_accuracy"),
)
"""What each seed did: split, heading, metric."""


def model_file(group: Group, board: Board) -> str:
    """The page of a group's model, below the site: a plain name, whatever the model is called."""
    key = f"{board.version} {group.first.architecture.family} {group.model} {group.parameters}"
    return f"{FOLDER}/{slug(group.model.lower(), max_length=60)}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.html"


def model_pages(board: Board) -> dict[str, dict[str, Any]]:
    """By file name, what the template shows of each model."""
    by_file: dict[str, list[Group]] = defaultdict(list)
    for group in board.rows:
        by_file[model_file(group, board)].append(group)
    return {name: _page(groups) for name, groups in by_file.items()}


def _page(groups: Sequence[Group]) -> dict[str, Any]:
    first = groups[0]
    return {
        "name": first.model,
        "facts": _facts(first),
        "groups": [_group(group, place) for place, group in enumerate(groups)],
        "headings": [heading for _, heading, _ in SPLITS],
    }


def _facts(group: Group) -> list[tuple[str, str]]:
    shape, size = group.first.architecture, group.first.parameters
    numbers = [
        ("parameters", size.total), ("of them embedding", size.embedding), ("FLOPs per token", size.flops_per_token),
        ("width", shape.hidden_size), ("layers or loops", shape.num_layers), ("heads", shape.num_heads),
        ("context", shape.context),
    ]  # fmt: skip
    shown = [(name, f"{number:,}") for name, number in numbers if number is not None]
    return [("family", shape.family), ("model type", shape.model_type), *shown]


def _group(group: Group, place: int) -> dict[str, Any]:
    return {
        "id": f"result-{place}",
        "task": group.task,
        "plan": group.plan,
        "kind": group.kind,
        "track": group.first.track,
        "learned": group.learned,
        "verified": group.verified,
        "seeds": [_seed(run) for run in group.runs],
        "slices": _slices(group),
        "held_out": _held_out(group),
        "curve": _curve(group),
        "provenance": _provenance(group),
    }


def _seed(run: Run) -> dict[str, Any]:
    model = run.result.model
    return {
        "seed": spell_seed(run),
        "weights": (model.weights_sha256 or "")[:12],
        "verified": run.verified,
        "cells": [spell_value(run.summary(split, metric)) for split, _, metric in SPLITS],
        "hub": hub_address(run),
        "revision": model.revision or "",
    }


def spell_seed(run: Run) -> str:
    seed = run.result.recipe.seed
    return "no seed" if seed is None else f"seed {seed}"


def spell_value(summary: Summary | None) -> tuple[str, str]:
    """``97.8%``, and below it its interval and n."""
    if summary is None:
        return "", ""
    return f"{summary.accuracy:.1%}", f"{100 * summary.low:.1f}–{100 * summary.high:.1f}, n = {summary.n:,}"


def hub_address(run: Run) -> str:
    """Where a model lies on the Hub at its revision; empty for one that does not. Ids and revisions are plain names."""
    model = run.result.model
    return f"https://huggingface.co/{model.id}/tree/{model.revision}" if model.revision and "/" in model.id else ""


def _slices(group: Group) -> list[dict[str, Any]]:
    """Exact traces by slice, all seeds together: the rows are the same for each."""
    found = []
    for name in SLICES:
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for run in group.runs:
            scored = run.result.splits.get("test")
            parts = dict[str, dict[str, Metrics]](scored.slices) if scored else {}
            for value, metrics in parts.get(name, {}).items():
                counts[value][0] += metrics.trace_accuracy.correct
                counts[value][1] += metrics.trace_accuracy.n
        values = [
            (value, f"{right / n:.1%}", f"{n:,}") for value, (right, n) in sorted(counts.items(), key=_numbers) if n
        ]
        if values:
            found.append({"name": name.replace("_", " "), "values": values})
    return found


def _numbers(item: tuple[str, object]) -> tuple[int, str]:
    return (int(item[0]), "") if item[0].isdigit() else (-1, item[0])


def _held_out(group: Group) -> list[dict[str, str]]:
    """The score at the held-out step, for each seed and operation."""
    rows = []
    for run in group.runs:
        scored = run.result.splits.get("test_unseen_operands")
        for operation, steps in (scored.held_out if scored else {}).items():
            interval = f"{100 * steps.low:.1f}–{100 * steps.high:.1f}"
            rows.append(
                {
                    "seed": spell_seed(run),
                    "operation": operation,
                    "accuracy": f"{steps.accuracy:.1%}" if steps.n else "",
                    "interval": f"{interval}, n = {steps.n:,} of {steps.steps:,} steps, {steps.multisets} multisets",
                }
            )
    return rows


def _curve(group: Group) -> Markup | None:
    """Exact traces on validation rows along the training, a line for each seed."""
    logs = [run.result.learning for run in group.runs if run.result.learning and run.result.learning.correct]
    if not logs:
        return None
    last = max(int(step) for log in logs for step in log.correct)
    colour, lines = COLOURS[group.kind], []
    for log in logs:
        points = sorted((int(step), right / log.n) for step, right in log.correct.items())
        path = " ".join(f"{_WIDTH * step / last:.1f},{_HEIGHT * (1 - share):.1f}" for step, share in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5" opacity=".75"/>')
    level = _HEIGHT * (1 - LEARNED)
    rule = f'<path d="M0 {level:.1f}H{_WIDTH}" stroke="#5b6570" stroke-dasharray="4 3"/>'
    frame = f'<path d="M0 0V{_HEIGHT}H{_WIDTH}" fill="none" stroke="#9aa3ab"/>'
    n = " or ".join(f"{n:,}" for n in sorted({log.n for log in logs}))
    label = escape(f"exact traces among {n} validation rows of {group.task} from step 0 to {last:,}, by seed")
    return Markup(
        f'<svg role="img" aria-label="{label}" width="{_WIDTH}" height="{_HEIGHT}" viewBox="-2 -3 {_WIDTH + 4} '
        f'{_HEIGHT + 6}">{frame}{rule}{"".join(lines)}</svg><small>{label}</small>'
    )


def _provenance(group: Group) -> list[tuple[str, str]]:
    first = group.first
    found = [("recipe", first.recipe.id), ("curriculum", group.curriculum), ("model id", first.model.id)]
    training = first.training
    if training is not None:
        reductions = ", ".join(f"{name} {number:,}" for name, number in sorted(training.reductions.items()))
        where = training.environment
        code = f"{where.commit}{' (altered)' if where.dirty else ''}" if where.commit else ""
        found += [
            ("steps", f"{training.steps:,} of {training.budget:,}"),
            ("tokens", f"{training.tokens:,}, of them {training.loss_tokens:,} with loss"),
            ("reductions seen", reductions),
            ("training", f"{training.wall_seconds:,.0f} s on {where.hardware or 'hardware not stated'}"),
            ("code", code),
            ("packages", ", ".join(f"{name} {version}" for name, version in where.packages.items())),
        ]
    found.append(("evaluated", first.evaluation.created))
    return [(name, value) for name, value in found if value]
