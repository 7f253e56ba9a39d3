"""Small pieces of text that many packages write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from listops_bench.errors import MAX_ERROR, InvalidInput, shortened

LEFT, RIGHT = "---", "---:"
"""How a column of a Markdown table is aligned."""


def count(number: int, noun: str) -> str:
    """``1 seed``, ``2,000 seeds``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def p_text(p: float) -> str:
    """``p = 0.012``, ``p < 0.001``."""
    shown = p_number(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def p_number(p: float) -> str:
    """``0.012``, ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def slug(text: str, *, keep: str = "", max_length: int | None = 120) -> str:
    """A plain name for files and ids: letters, digits, underscores and the characters of ``keep``, the rest as dashes.

    >>> slug("org/name (v1.2)"), slug("org/name (v1.2)", keep=".")
    ('org-name-v1-2', 'org-name-v1.2')
    """
    return re.sub(rf"[^A-Za-z0-9_{re.escape(keep)}]+", "-", text)[:max_length].strip("-") or "model"


def one_line(error: BaseException, *, with_type: bool = False) -> str:
    """An error's message on one line of at most 200 characters; its type's name where it has none.

    That of InvalidInput was written for users, and may name long paths before its point: `MAX_ERROR` characters.

    Args:
        with_type: name the type too, except InvalidInput.
    """
    is_ours = isinstance(error, InvalidInput)
    name, text = type(error).__name__, shortened(" ".join(str(error).split()), MAX_ERROR if is_ours else 200)
    with_type = with_type and not is_ours
    return (f"{name}: {text}" if with_type else text) if text else name


def version_order(version: str) -> list[tuple[int, str]]:
    """What versions are sorted by, old to new: ``1.9`` is before ``1.10``."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"[.+-]", version)]


def utc_timestamp(seconds: float | None = None) -> str:
    """``2026-01-31T12:00:00Z``: the present, or a time in seconds since 1970."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def markdown_table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already, nothing where there are no rows.

    Args:
        columns: (title, `LEFT` or `RIGHT`) of each.
        rows: the cells of each.
    """
    lines = [f"| {' | '.join(cells)} |" for cells in ([t for t, _ in columns], [a for _, a in columns], *rows)]
    return "\n".join(lines) if len(lines) > 2 else ""
