"""What somebody has written into a card on the Hub stays when it is pushed again."""

from __future__ import annotations

import re
from typing import Any

import yaml

from listops_bench._base.strict_yaml import MAX_BYTES, bounded_events
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput

MARK = "<!-- Your own text goes below this line, and your own fields above; both stay when this is pushed again. -->"
_FRONT = re.compile(r"\A---\r?\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)


def keep_additions(card: str, there: str | None, where: str) -> str:
    """A card with what is in the one that it replaces and is not ours: fields of the front matter, tags, text below the
    mark. A card without the mark is somebody's own: all of its text stays, below ours. Results are always ours.

    Args:
        there: the card that is there; None where there is none.
        where: names its repository in an error.

    Raises:
        InvalidInput: the front matter that is there cannot be read.
    """
    ours, body = _split(card, where)
    theirs, text = _split(there or "", where)
    fields = ours | {key: value for key, value in theirs.items() if key not in (*ours, "model-index")}
    for key in ours.keys() & theirs.keys():
        if key != "model-index" and isinstance(ours[key], list) and isinstance(theirs[key], list):  # tags, datasets
            fields[key] = ours[key] + [value for value in theirs[key] if value not in ours[key]]
    notes = text.partition(MARK)[2] if MARK in text else text
    header, body = card[: len(card) - len(body)].rstrip(), body.strip()
    if fields != ours:
        header = f"---\n{yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=120)}---"
    return "\n\n".join(part for part in (header, body, MARK, notes.strip()) if part) + "\n"


def _split(card: str, where: str) -> tuple[dict[str, Any], str]:
    """The fields of a card's front matter, and the text below it."""
    found = _FRONT.match(card)
    try:
        if found and len(found[1]) > MAX_BYTES:
            raise InvalidInput(f"larger than {MAX_BYTES:,} bytes")
        fields = yaml.safe_load(found[1]) if found and bounded_events(found[1]) else {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # of dates and numbers that are none, too
        raise InvalidInput(f"{where}: the front matter of README.md cannot be read: {one_line(error)}") from None
    if not isinstance(fields or {}, dict):
        raise InvalidInput(f"{where}: the front matter of README.md is no mapping")
    return dict(fields or {}), card[found.end() :].lstrip("\n") if found else card
