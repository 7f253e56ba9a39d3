"""Small pieces of text that many packages write."""

from __future__ import annotations

import re


def count(number: int, noun: str) -> str:
    """``1 seed``, ``2,000 seeds``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def slug(text: str) -> str:
    """A plain name for files and ids."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)[:120].strip("-") or "model"
