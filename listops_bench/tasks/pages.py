"""Pages of somebody's own in names of tasks: regimes and symbol sets that do not ship.

A name gives each behind an @: the path of a page, or the name of a symbol set that an installed package brings::

    sum_max@pages/dense.yaml        tick_max@pages/clock.yaml@pages/dense.yaml        tick_max@clock

A page with the key ``operations`` is a symbol set, any other a regime. From there on it is known by what it says, as
``clock_3f9c0a1b2c3d``. Records hold the values of such pages, and no name without an @ reads or imports anything.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from listops_bench._base.files import read_yaml
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput, unknown
from listops_bench.tasks import _own
from listops_bench.tasks._own import OWN_NAME, STEM
from listops_bench.tasks.operations import OPERATIONS
from listops_bench.tasks.regime import Regime, parse_regime
from listops_bench.tasks.symbols import Symbols, find_symbols, parse_symbols

ENTRY_POINTS = "listops_bench.symbols"
"""The group of entry points: each is the path of a page, or what one holds, under the set's name."""

PAGE_NAME = OWN_NAME
"""A pattern of the words that pages of somebody's own are known by."""

_SUFFIXES = (".yaml", ".yml")


def is_page(text: str) -> bool:
    """Whether a text is the path of a page, and not a word."""
    return text.endswith(_SUFFIXES)


def read_own(text: str) -> tuple[Literal["regime", "symbols"], str]:
    """Reads the page of a path, or the symbol set of that name that an installed package brings.

    Returns:
        Which of the two it is, and the word that it is known by.

    Raises:
        InvalidInput: no such page or set, a name that is no word, an unknown key (the nearest known one is named), or a
            value that does not fit.
        EnvironmentFailed: it is there and cannot be read.
    """
    if is_page(text):
        path = Path(text)
        return _read(path.stem, read_yaml(path, kind="page"), f"page {text!r}")
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if text not in found:
        hint = f"{unknown('symbol set', text, found)}" if found else f"unknown symbol set {text!r}; none is installed"
        raise InvalidInput(f"{hint}; a page of your own is named by its path, as in tick@pages/clock.yaml")
    where = f"symbol set {text!r} of {found[text].value!r}"
    try:
        page = found[text].load()
    except Exception as error:  # whatever somebody's package does
        raise InvalidInput(f"{where}: {one_line(error, with_type=True)}") from None
    if isinstance(page, (str, os.PathLike)):
        page = read_yaml(Path(page), kind="page")
    return _read(text, page, where)


def given_symbols(text: str) -> Symbols:
    """The symbol set that a user names: the path of a page, or a word.

    Raises:
        InvalidInput: as `read_own` and `find_symbols`, or the page is a regime.
    """
    kind, word = read_own(text) if is_page(text) else ("symbols", text)
    if kind == "regime":
        raise InvalidInput(f"page {text!r} has no operations: it is a regime, and no symbol set")
    return find_symbols(word)


def _read(stem: str, content: Any, where: str) -> tuple[Literal["regime", "symbols"], str]:
    if stem in OPERATIONS or re.fullmatch(r"(mod|depth)\d+", stem) or not re.fullmatch(STEM, stem):
        raise InvalidInput(
            f"{where}: its name becomes a word of task names, up to 16 small letters and digits, and no operation; "
            "call it for example 'mine.yaml'"
        )
    page = _parse(content, where)
    word = f"{stem}_{_own.digest(page)}"
    _own.pages[word] = _named(word, page)
    return "symbols" if isinstance(page, Symbols) else "regime", word


def _parse(content: Any, where: str) -> Regime | Symbols:
    if isinstance(content, Mapping) and "operations" in content:
        return parse_symbols(content, "", where)
    return parse_regime(content, where)


def _named(word: str, page: Regime | Symbols) -> Regime | Symbols:
    return dataclasses.replace(page, word=word) if isinstance(page, Symbols) else page


def own_pages(words: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """The values of those among some words (by default, all) that are somebody's own, for a record that names them."""
    return {
        word: _own.pages[word].changes()
        for word in sorted(set(_own.pages if words is None else words))
        if word in _own.pages
    }


def remember_pages(pages: Mapping[str, Any], where: str) -> None:
    """Makes the pages of a record known, from `own_pages`, so that its task names can be read.

    Raises:
        InvalidInput: values that do not fit, or that are not those of the name.
    """
    for word, values in pages.items():
        if not re.fullmatch(OWN_NAME, word) or not isinstance(values, dict):
            raise InvalidInput(f"{where}: pages: {word[:80]!r} is not a page's name with its values")
        page = _parse(values, f"{where}: pages.{word}")
        if not word.endswith(_own.digest(page)):
            raise InvalidInput(f"{where}: pages.{word}: its values are those of {_own.digest(page)!r}")
        known = _own.pages.setdefault(word, _named(word, page))
        if known.changes() != page.changes():  # of pages made to be alike in the hash's 12 digits
            raise InvalidInput(f"{where}: pages.{word}: another page of the same name was read before")
