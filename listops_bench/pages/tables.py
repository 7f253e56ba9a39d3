"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LEFT, RIGHT = "---", "---:"
"""How a column of a table is aligned."""


def line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """``columns`` are names with their alignment; the text of no rows is empty."""
    lines = [line(*row) for row in rows]
    if not lines:
        return ""
    return "\n".join([line(*(name for name, _ in columns)), line(*(rule for _, rule in columns)), *lines])


def code(text: str) -> str:
    """Text in which nothing is Markdown or HTML; a pipe would still end the table's cell."""
    safe = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{safe}`" if safe else ""


def plain(text: str) -> str:
    """Text of one line in which nothing is HTML."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
