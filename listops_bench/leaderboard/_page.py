"""The board as pages that work from a file: one of the board, one of each model.

Everything that comes from a result file is escaped by the template or the table writer; drawings are made of numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from listops_bench._base.text import slug
from listops_bench.leaderboard._drawings import learning_curve
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group, Run
from listops_bench.leaderboard.repeat import Repeats
from listops_bench.leaderboard.tables import (
    challenge_table,
    limits,
    matrix_table,
    number,
    results_table,
    seed_table,
    smallest_table,
    threshold_table,
)
from listops_bench.pages.chart import Figure
from listops_bench.pages.html import render
from listops_bench.pages.tables import Cell, Column, Table, from_records, row
from listops_bench.result.learned import LEARNED
from listops_bench.score.completion import SLICES
from listops_bench.tasks.training_kinds import KINDS

FOLDER = "models"
_HOME = "listops_bench.leaderboard"


def page(
    board: Board | None,
    *,
    title: str,
    lead: str = "",
    figures: Sequence[Figure] = (),
    others: Sequence[tuple[str, str]] = (),
    figure_files: bool = True,
) -> str:
    """The page of a board, or of an empty one.

    Args:
        board: None where there are no results.
        title: of the page.
        lead: a sentence to put above everything.
        figures: between the tables.
        others: (file name, version) of the other boards.
        figure_files: whether the figures lie beside the page as files too.
    """
    values = {"title": title, "lead": lead, "board": board, "figures": figures, "others": others, "files": figure_files}
    if board is not None:
        values |= _parts(board)
    return render(_HOME, "page.html", **values, learned=f"{LEARNED:.0%}")


def _parts(board: Board) -> dict[str, Any]:
    link = partial(_place, board)

    def more(group: Group) -> str:
        return render(_HOME, "seeds.html", table=seed_table(group), group=group)

    num_rows = sorted({summary.n for group in board.groups for summary in group.summaries()})
    return {
        "filters": _filters(board),
        "sizes": sorted({group.parameters for group in board.groups}),
        "num_rows": " or ".join(f"{n:,}" for n in num_rows),
        "matrix": matrix_table(board, link).pick("stub", *board.tasks),
        "smallest": smallest_table(board, link).pick(
            "task", "model", "parameters", "seeds that learned", "plan", "track"
        ),
        "challenges": challenge_table(board, link),
        "thresholds": threshold_table(board).pick(
            "task", "plan", "n50", "plateau", "strip", "against", "gain", "unseen", "runs", "family", "track"
        ),
        "results": results_table(board, link, more).pick(
            "model", "parameters", "plan", "task", "learned", "trace", "n", "answers", "unseen", "track", "verified"
        ),
    }


def _filters(board: Board) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(field, label, choices) of the selections that have more than one choice."""
    groups = board.groups
    choices: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("task", "Scored on", [(task, task) for task in board.tasks]),
        ("kind", "Trained", [(k, words) for k, words in KINDS.items() if any(g.kind == k for g in groups)]),
        ("family", "Family", [(f, f) for f in sorted({g.first.architecture.family for g in groups})]),
        ("track", "Track", [(t, t) for t in sorted({g.first.track for g in groups})]),
    ]
    return [choice for choice in choices if len(choice[2]) > 1]


# --- models -----------------------------------------------------------------------------------------------------------


def _place(board: Board, group: Group) -> str:
    """The address of a group on its model's page."""
    return f"{model_file(board, group)}#{group.anchor}"


def model_file(board: Board, group: Group) -> str:
    """The page of a group's model, below the site: a plain name, whatever the model is called."""
    key = f"{board.version} {group.first.architecture.family} {group.model} {group.parameters}"
    return f"{FOLDER}/{slug(group.model.lower(), max_length=60)}-{sha256(key.encode()).hexdigest()[:8]}.html"


def pages_of_models(board: Board, *, home: str, repeats: Repeats) -> dict[str, str]:
    """By file name below the site, the page of each model; ``home`` is the board's own page."""
    by_file: dict[str, list[Group]] = defaultdict(list)
    for group in board.rows:
        by_file[model_file(board, group)].append(group)
    return {
        name: render(
            _HOME,
            "model.html",
            groups=groups,
            overview=_overview(groups),
            seeds=[seed_table(group, hub_address) for group in groups],
            details=[[*_slices(group), *_held_out(group)] for group in groups],
            curves=[learning_curve(group) for group in groups],
            repeats=[repeats.of(group) for group in groups],
            home=f"../{home}",
            version=board.version,
            learned=f"{LEARNED:.0%}",
        )
        for name, groups in by_file.items()
    }


def _overview(groups: Sequence[Group]) -> Table:
    records = (
        {
            "scored on": Cell(group.task, is_name=True, link=f"#{group.anchor}"),
            "trained on": Cell(group.plan, swatch=group.kind),
            "steps": number(group.budget) if group.budget else Cell(),
            "track": group.first.track,
            "seeds that learned": group.learned,
            "verified": group.verified_when,
        }
        for group in groups
    )
    return from_records(records, left=["trained on", "track", "verified"])


def hub_address(run: Run) -> str:
    """Where a model lies on the Hub at its revision; empty for one that does not. Ids and revisions are plain names."""
    model = run.result.model
    return f"https://huggingface.co/{model.id}/tree/{model.revision}" if model.revision and "/" in model.id else ""


def _slices(group: Group) -> Iterator[Table]:
    """Exact traces by slice, all seeds together: the rows are the same for each."""
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for run in group.runs:
        scored = run.result.splits.get("test")
        for kind, values in scored.slices.items() if scored else ():
            for value, metrics in values.items():
                counts[kind][value][0] += metrics.trace_accuracy.correct
                counts[kind][value][1] += metrics.trace_accuracy.n
    for name in SLICES:
        found = counts[name].items()
        ordered = sorted(found, key=lambda item: (int(item[0]), "") if item[0].isdigit() else (-1, item[0]))
        rows = tuple(row(value, f"{right / n:.1%}", number(n)) for value, (right, n) in ordered if n)
        if rows:
            yield Table((Column(name.replace("_", " ")), Column("exact"), Column("n")), rows)


def _held_out(group: Group) -> Iterator[Table]:
    """The score at the held-out step, for each seed and operation."""
    rows = []
    for run in group.runs:
        scored = run.result.splits.get("test_unseen_operands")
        for operation, steps in (scored.held_out if scored else {}).items():
            counts = f"n = {steps.n:,} of {steps.steps:,} steps, {steps.multisets} multisets"
            right = Cell(f"{steps.accuracy:.1%}" if steps.n else "", f"{limits(steps)}, {counts}")
            rows.append(row(operation, run.seed, right))
    if rows:
        yield Table((Column("held-out step"), Column("run"), Column("right")), tuple(rows))
