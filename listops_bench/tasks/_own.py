"""Pages of somebody's own, by words that hold a hash of what they say, as ``dense_3f9c0a1b2c3d``; see `pages`."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol, TypeVar

from listops_bench.errors import InvalidInput

DIGEST = r"[0-9a-f]{12}"
STEM = r"[a-z][a-z0-9]{0,15}"
OWN_NAME = rf"{STEM}_{DIGEST}"


class Page(Protocol):
    """Something that a page of values describes."""

    def changes(self) -> dict[str, Any]:
        """The values that describe it, as a record holds them."""


P = TypeVar("P")

pages: dict[str, Any] = {}
"""All that were read so far: nothing here can change its meaning."""


def kept(word: str, kind: type[P]) -> P | None:
    """The page of a word, if it is known and of that kind."""
    page = pages.get(word)
    return page if isinstance(page, kind) else None


def not_read(word: str) -> InvalidInput:
    """The error for a page that is named by what it says before it was read."""
    return InvalidInput(
        f"{word!r} is somebody's own page; name it by its path, as in sum@{word.partition('_')[0]}.yaml"
    )


def digest(page: Page) -> str:
    # Over what differs from everywhere, so that a field that is new in some version changes no name.
    return hashlib.sha256(json.dumps(page.changes(), sort_keys=True).encode()).hexdigest()[:12]
