"""The board as a page that works from a file: one HTML file with its style, its script and its figures inside.

Everything that comes from a result file passes through the template's escaping or is put together from numbers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from listops_bench._base.text import count
from listops_bench.leaderboard._page_model import SPLITS, model_file, model_pages, spell_seed, spell_value
from listops_bench.leaderboard._page_thresholds import difficulty_notes, smallest_note, smallest_rows, threshold_rows
from listops_bench.leaderboard.board import Board, Size
from listops_bench.leaderboard.groups import Group, Run
from listops_bench.pages.chart import COLOURS, Figure, spell
from listops_bench.result.learned import LEARNED
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.training_kinds import KINDS

_PALE, _DEEP = (0xF7, 0xF9, 0xFB), (0x6F, 0xB1, 0xE4)  # dark text is readable on both
_STRIP = 110  # pixels from 0 to 100%

# key, heading, class of the cells
_COLUMNS = (
    ("model", "Model", ""),
    ("parameters", "Parameters", "amount"),
    ("plan", "Trained on", ""),
    ("order", "Scored on", ""),
    ("learned", "Learned", "amount"),
    ("trace", "Exact traces", "strip"),
    ("n", "n", "amount"),
    ("answer", "Answers", "amount"),
    ("unseen", "Unseen operands", "amount"),
    ("track", "Track", ""),
    ("verified", "Verified", ""),
)
_THRESHOLD_COLUMNS = (
    ("order", "Task", ""),
    ("plan", "Trained on", ""),
    ("n50", "N50", "amount"),
    ("strip", "Seeds that learned, by size; N50", ""),
    ("ratio", "Against alone", "amount"),
    ("unseen", "N50, unseen operands", "amount"),
    ("runs", "Runs on sizes", "amount"),
    ("family", "Family", ""),
    ("track", "Track", ""),
)


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
        lead: a sentence to put above everything.
        others: (file name, version) of the other boards.
        figure_files: whether the figures lie beside the page as files too.
    """
    groups = board.rows if board else ()
    return _template("page.html").render(
        title=title,
        lead=lead,
        board=board,
        figures=figures,
        files=figure_files,
        others=[{"href": href, "version": version} for href, version in others],
        kinds={kind: f"trained {words}" for kind, words in KINDS.items()},
        filters=_filters(board) if board else [],
        sizes=sorted({group.parameters for group in groups}),
        matrix=_matrix(board) if board else [],
        num_rows=" or ".join(f"{n:,}" for n in board.num_rows) if board else "",
        difficulty=difficulty_notes(board) if board else {},
        smallest=_smallest(board) if board else [],
        smallest_note=smallest_note(),
        threshold_columns=_THRESHOLD_COLUMNS,
        thresholds=threshold_rows(board) if board else [],
        columns=_COLUMNS,
        seed_figures=[heading for _, heading, _ in SPLITS],
        rows=[_row(group, place) | {"page": model_file(group, board)} for place, group in enumerate(board.rows)]
        if board
        else [],
        learned=f"{LEARNED:.0%}",
        style=Markup(_read("style.css")),
        script=_read("board.js"),
    )


def pages_of_models(board: Board, *, home: str) -> dict[str, str]:
    """By file name below the site, the page of each model; ``home`` is the board's own page."""
    template, style = _template("model.html"), Markup(_read("style.css"))
    return {
        name: template.render(
            model=found, home=f"../{home}", version=board.version, style=style, learned=f"{LEARNED:.0%}"
        )
        for name, found in model_pages(board).items()
    }


def _template(name: str) -> Any:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["breakable"] = _breakable
    return environment.get_template(name)


def _read(name: str) -> str:
    return files("listops_bench.leaderboard").joinpath("_template", name).read_text(encoding="utf-8").strip()


def _breakable(text: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in text.split("_"))


# --- filters and matrix -----------------------------------------------------------------------------------------------


def _smallest(board: Board) -> list[dict[str, Any]]:
    return [row | {"page": model_file(row["group"], board)} for row in smallest_rows(board)]


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


def _matrix(board: Board) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for size in board.sizes:
        found = [board.cells.get((size, task), ()) for task in board.tasks]
        if any(found):
            words = {w for groups in found for group in groups for w in (size.model, group.curriculum, group.plan)}
            cells = [_cell(size, groups) if groups else None for groups in found]
            first = not rows or (rows[-1]["size"].model, rows[-1]["size"].parameters) != (size.model, size.parameters)
            page = next(model_file(groups[0], board) for groups in found if groups)
            rows.append(
                {"page": page, "size": size, "cells": cells, "first": first, "text": " ".join(sorted(words)).lower()}
            )
    return rows


def _cell(size: Size, groups: Sequence[Group]) -> dict[str, Any]:
    best = groups[0]
    mean = best.mean() or 0.0
    heading = f"{size.model}, {size.parameters:,} parameters, trained on {best.plan}, scored on {best.task}:"
    lines = [heading, f"{mean:.1%} is the mean of {count(len(best.summaries()), 'seed')}"]
    lines += [f"{spell_seed(run)}: {spell(summary)}" for run, summary in _scored(best)]
    lines.append(f"learned with {best.learned} {'seed' if len(best.runs) == 1 else 'seeds'}")
    if len(groups) > 1:
        lines.append(f"best of {len(groups)} recipes")
    return {
        "task": best.task,
        "track": " ".join(sorted({group.first.track for group in groups})),
        "percent": f"{mean:.1%}",
        "learned_with": best.learned,
        "learned": best.num_learned == len(best.runs),
        "colour": _shade(mean),
        "tip": "\n".join(lines),
    }


def _shade(share: float) -> str:
    mixed = (round(pale + (deep - pale) * share) for pale, deep in zip(_PALE, _DEEP, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


# --- rows -------------------------------------------------------------------------------------------------------------


def _row(group: Group, place: int) -> dict[str, Any]:
    first = group.first
    words = {group.model, group.curriculum, group.plan, group.task, first.recipe.id, first.model.id, first.track}
    row = {
        "model": group.model,
        "parameters": group.parameters,
        "family": first.architecture.family,
        "kind": group.kind,
        "plan": group.plan,
        "task": group.task,
        "order": place,  # rows come sorted by task first
        "track": first.track,
        "verified": group.verified,
        "learned": group.learned,
        "learned_sort": f"{group.num_learned / len(group.runs):.4f}",
        "strip": _strip(group),
        "n": group.rows,
        "n_sort": sum(summary.n for summary in group.summaries()) or "",
        "seeds": _seed_lines(group),
        "detail": _detail(group),
        "text": " ".join(sorted(words)).lower(),
    }
    for name, split, metric in (
        ("trace", "test", "trace_accuracy"),
        ("answer", "test", "answer_accuracy"),
        ("unseen", "test_unseen_operands", "trace_accuracy"),
    ):
        mean = group.mean(split, metric)
        row[name] = "" if mean is None else f"{mean:.1%}"
        row[f"{name}_sort"] = "" if mean is None else f"{mean:.6f}"
    return row


def _detail(group: Group) -> str:
    """Provenance in one line."""
    first = group.first
    parts = [f"recipe {first.recipe.id}", f"curriculum {group.curriculum}"]
    if first.training is not None:
        training = first.training
        parts.append(f"{training.steps:,} of {training.budget:,} steps, {training.tokens:,} tokens")
    if first.model.revision is not None:
        parts.append(f"{first.model.id} at {first.model.revision}")
    return "; ".join(parts)


def _seed_lines(group: Group) -> list[dict[str, Any]]:
    """A line for each seed: per figure its value, and below it the interval and n."""
    lines = []
    for run in group.runs:
        cells = [spell_value(run.summary(split, metric)) for split, _, metric in SPLITS]
        weights = (run.result.model.weights_sha256 or "")[:12]
        lines.append({"seed": spell_seed(run), "weights": weights, "verified": run.verified, "cells": cells})
    return lines


def _strip(group: Group) -> Markup:
    """The seeds as points on a line from 0 to 100%, each with its interval."""
    colour, height = COLOURS[group.kind], 18
    parts = [
        f'<path d="M0 9H{_STRIP}" stroke="#c9d0d6"/>',
        f'<path d="M{LEARNED * _STRIP:.1f} 2v14" stroke="#5b6570" stroke-dasharray="2 2"/>',
    ]
    scored = _scored(group)
    for place, (_, summary) in enumerate(scored):
        y = 9 + 8 * ((place + 0.5) / len(scored) - 0.5) if len(scored) > 1 else 9
        low, x, high = (share * _STRIP for share in (summary.low, summary.accuracy, summary.high))
        parts.append(f'<path d="M{low:.1f} {y:.1f}H{high:.1f}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
    label = "; ".join(f"{spell_seed(run)}: {spell(summary)}" for run, summary in scored) or "not scored on test rows"
    return Markup(
        f'<svg role="img" width="{_STRIP}" height="{height}" viewBox="0 0 {_STRIP} {height}" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def _scored(group: Group) -> list[tuple[Run, Summary]]:
    return [(run, summary) for run in group.runs if (summary := run.summary()) is not None]
