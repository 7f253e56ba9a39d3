"""The board as Markdown, for people who read it where the code is."""

from __future__ import annotations

from collections.abc import Sequence

from listops_bench._leaderboard_data import Board
from listops_bench._leaderboard_figures import Figure
from listops_bench._leaderboard_groups import KINDS, Group
from listops_bench.score import Summary
from listops_bench.threshold import LEARNED

_NOTE = f"""**Exact traces**: the whole completion is right. **Answers**: it ends with its first lone number, and that
is the right one. **Unseen operands**: exact traces on rows that evaluate an operation on operands never trained on.
**Learned**: at least {LEARNED:.0%} exact traces on the task's test rows, for a joint task also on those of each of its
operations alone (a range where these were not scored). Means are over seeds; after each seed's figure stands its 95%
Wilson interval over n test rows, which does not cover the luck of the seed."""

_EMPTY = """No results yet. Train a model, score it, and build this page again:

    accelerate launch -m listops_bench.train --task sum_max_med --model looped_d048 --output-dir runs/first
    listops-bench evaluate runs/first --output-dir leaderboard/results
    listops-bench leaderboard build"""


def markdown(boards: Sequence[Board], *, title: str, lead: str, figures: Sequence[Figure], site: str) -> str:
    """All boards, the newest first, with links to the figures and the page in folder ``site``."""
    parts = [f"# {_plain(title)}", "Which curriculum lets how small a model learn which task?"]
    if lead:
        parts.append(_plain(lead))
    if not boards:
        return "\n\n".join([*parts, _EMPTY]) + "\n"
    parts.append(f"The same board to sort and filter: [{site}/index.html]({site}/index.html).")
    for place, board in enumerate(boards):
        drawn = [] if place else [f"![{figure.title}]({site}/figures/{figure.name}.svg)" for figure in figures]
        heading = f"## {'Earlier board' if place else 'Board'}: {board.version}"
        parts += [heading, f"{board.summary}.", _matrix(board), *drawn, _results(board)]
    return "\n\n".join([*parts, _NOTE]) + "\n"


def _matrix(board: Board) -> str:
    """Sizes x tasks: the mean over seeds of the best recipe, and with how many seeds the task was learned."""
    lines = [_line("model", "parameters", "trained", *(_code(task) for task in board.tasks))]
    lines.append(_line("---", "---:", "---", *("---:" for _ in board.tasks)))
    for size in board.sizes:
        found = [board.cells.get((size, task)) for task in board.tasks]
        if any(found):
            cells = [f"{groups[0].mean():.1%} ({groups[0].learned})" if groups else "" for groups in found]
            lines.append(_line(_code(size.model), f"{size.parameters:,}", KINDS[size.kind], *cells))
    return "\n".join(["### Model size × task", "", *lines])


_LEFT, _RIGHT = "---", "---:"
_COLUMNS = (
    ("model", _LEFT),
    ("parameters", _RIGHT),
    ("trained on", _LEFT),
    ("scored on", _LEFT),
    ("learned", _RIGHT),
    ("exact traces", _RIGHT),
    ("each seed", _LEFT),
    ("answers", _RIGHT),
    ("unseen operands", _RIGHT),
    ("track", _LEFT),
)


def _results(board: Board) -> str:
    lines = [_line(*(name for name, _ in _COLUMNS)), _line(*(rule for _, rule in _COLUMNS))]
    lines += [_row(group) for group in board.groups]
    return "\n".join(["### All results", "", *lines])


def _row(group: Group) -> str:
    return _line(
        _code(group.model),
        f"{group.parameters:,}",
        _code(group.curriculum),
        _code(group.task),
        group.learned,
        _share(group.mean()),
        "; ".join(map(_seed, group.summaries())),
        _share(group.mean("test", "answer_accuracy")),
        _share(group.mean("test_unseen_operands")),
        group.first.track,
    )


def _seed(summary: Summary) -> str:
    return f"{summary.accuracy:.1%} ({100 * summary.low:.1f}–{100 * summary.high:.1f}), n={summary.n:,}"


def _share(mean: float | None) -> str:
    return "" if mean is None else f"{mean:.1%}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    """Text in which nothing is Markdown or HTML; a pipe would still end the table's cell."""
    safe = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{safe}`" if safe else ""


def _plain(text: str) -> str:
    """Text of one line in which nothing is HTML."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
