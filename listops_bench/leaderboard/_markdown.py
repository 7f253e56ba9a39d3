"""The board as Markdown, for people who read it where the code is."""

from __future__ import annotations

from collections.abc import Sequence

from listops_bench.leaderboard.arms import spell_limits, spell_threshold
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import RANKED_SEEDS, Group
from listops_bench.pages.chart import Figure
from listops_bench.pages.tables import LEFT, RIGHT, code, line, plain
from listops_bench.result.learned import LEARNED
from listops_bench.stats.intervals import Summary
from listops_bench.stats.threshold import Ratio, Threshold
from listops_bench.tasks.training_kinds import KINDS

_NOTE = f"""**Exact traces**: the whole completion is right. **Answers**: it ends with its first lone number, and that
is the right one. **Unseen operands**: exact traces on rows that evaluate an operation on operands never trained on.
**Learned**: at least {LEARNED:.0%} exact traces on the task's test rows, for a joint task also on those of each of its
operations alone (a range where these were not scored). Means are over seeds; after each seed's figure stands its 95%
Wilson interval over n test rows, which does not cover the luck of the seed."""


_N50_NOTE = """N50 is the number of parameters with which half of the seeds learn within their steps; &gt; and &lt; mark
bounds: the sizes tried do not reach it. Against alone: N50 divided by that of training on the task alone for as many
steps (or for as many of the task's operations seen); 0.25 means four times fewer parameters."""


_EMPTY = """No results yet. Train a model, score it, and build this page again:

    accelerate launch -m listops_bench.train --task sum_max_med --model looped_d048 --output-dir runs/first
    listops-bench evaluate runs/first --output-dir leaderboard/results
    listops-bench leaderboard build"""


def markdown(boards: Sequence[Board], *, title: str, lead: str, figures: Sequence[Figure], site: str) -> str:
    """All boards, the newest first, with links to the figures and the page in folder ``site``."""
    parts = [f"# {plain(title)}", "Which curriculum lets how small a model learn which task?"]
    if lead:
        parts.append(plain(lead))
    if not boards:
        return "\n\n".join([*parts, _EMPTY]) + "\n"
    parts.append(f"The same board to sort and filter: [{site}/index.html]({site}/index.html).")
    for place, board in enumerate(boards):
        drawn = [] if place else [f"![{figure.title}]({site}/figures/{figure.name}.svg)" for figure in figures]
        heading = f"## {'Earlier board' if place else 'Board'}: {board.version}"
        learning = [part for part in (_smallest(board), _thresholds(board)) if part]
        parts += [heading, f"{board.summary}.", _matrix(board), *learning, *drawn, _results(board)]
    return "\n\n".join([*parts, _NOTE]) + "\n"


def _matrix(board: Board) -> str:
    """Sizes x tasks: the mean over seeds of the best recipe, and with how many seeds the task was learned."""
    lines = [line("model", "parameters", "trained", *(code(task) for task in board.tasks))]
    lines.append(line("---", "---:", "---", *("---:" for _ in board.tasks)))
    if board.measured:
        measured = [board.measured.get(task) for task in board.tasks]
        lines.append(line("N50", "", "", *(_text(arm.threshold) if arm else "" for arm in measured)))
    for size in board.sizes:
        found = [board.cells.get((size, task)) for task in board.tasks]
        if any(found):
            cells = [f"{groups[0].mean():.1%} ({groups[0].learned})" if groups else "" for groups in found]
            lines.append(line(code(size.model), f"{size.parameters:,}", KINDS[size.kind], *cells))
    note = "Exact traces, the mean over seeds of the best recipe; in brackets, how many of the seeds learned the task."
    if board.measured:
        note += " N50: the size from which the reference family learns it, trained on nothing else."
    return "\n".join(["### Model size × task", "", *lines, "", note])


def _smallest(board: Board) -> str:
    lines = [line("task", "model", "parameters", "seeds that learned", "trained on", "track")]
    lines.append(line(LEFT, LEFT, RIGHT, RIGHT, LEFT, LEFT))
    for found in board.smallest:
        group = found.group
        seeds = group.learned if group.ranked else f"{group.learned}, unranked"
        cells = (code(group.model), f"{group.parameters:,}", seeds, code(group.curriculum), found.track)
        lines.append(line(code(found.task), *cells))
    note = f"At least half of the seeds learned; with fewer than {RANKED_SEEDS} seeds, a recipe is not ranked."
    return "\n".join(["### Smallest model that has learned each task", "", *lines, "", note]) if board.smallest else ""


_THRESHOLD_COLUMNS = (
    "task",
    "trained on",
    "N50",
    "95% interval",
    "against alone",
    "95% interval",
    "N50, unseen operands",
)


def _thresholds(board: Board) -> str:
    """A line for each ladder: the size from which it learns, and how that compares with the task alone."""
    lines = [line(*_THRESHOLD_COLUMNS, "95% interval", "runs", "family", "track")]
    lines.append(line(LEFT, LEFT, *[RIGHT] * 7, LEFT, LEFT))
    ratios = {id(comparison.arm): comparison for comparison in board.comparisons}
    for arm in board.arms:
        comparison = ratios.get(id(arm))
        ratio = ("", "") if comparison is None else (_text(comparison.ratio), spell_limits(comparison.ratio))
        unseen = (_text(arm.unseen), spell_limits(arm.unseen)) if arm.unseen.runs else ("", "")
        numbers = (_text(arm.threshold), spell_limits(arm.threshold), *ratio, *unseen, str(arm.threshold.runs))
        lines.append(line(code(arm.task), code(arm.curriculum), *numbers, code(arm.family), arm.track))
    return "\n".join(["### Learning thresholds", "", *lines, "", _N50_NOTE]) if board.arms else ""


def _text(number: Threshold | Ratio) -> str:
    return spell_threshold(number).replace(">", "&gt;").replace("<", "&lt;")


_COLUMNS = (
    ("model", LEFT),
    ("parameters", RIGHT),
    ("trained on", LEFT),
    ("scored on", LEFT),
    ("learned", RIGHT),
    ("exact traces", RIGHT),
    ("each seed", LEFT),
    ("answers", RIGHT),
    ("unseen operands", RIGHT),
    ("track", LEFT),
    ("verified", LEFT),
)


def _results(board: Board) -> str:
    lines = [line(*(name for name, _ in _COLUMNS)), line(*(rule for _, rule in _COLUMNS))]
    lines += [_row(group) for group in board.rows]
    return "\n".join(["### All results", "", *lines])


def _row(group: Group) -> str:
    return line(
        code(group.model),
        f"{group.parameters:,}",
        code(group.curriculum),
        code(group.task),
        group.learned,
        _share(group.mean()),
        "; ".join(map(_seed, group.summaries())),
        _share(group.mean("test", "answer_accuracy")),
        _share(group.mean("test_unseen_operands")),
        group.first.track,
        group.verified,
    )


def _seed(summary: Summary) -> str:
    return f"{summary.accuracy:.1%} ({100 * summary.low:.1f}–{100 * summary.high:.1f}), n={summary.n:,}"


def _share(mean: float | None) -> str:
    return "" if mean is None else f"{mean:.1%}"
