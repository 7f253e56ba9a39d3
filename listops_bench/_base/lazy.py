"""Packages whose public names are imported when they are first used (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        homes: the module, relative to the package, of every public name.

    >>> __getattr__, __dir__ = lazy_names(__name__, {"train": "run"})  # doctest: +SKIP
    """
    names = vars(sys.modules[package])

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = homes[name].partition(":")
        value = getattr(import_module(f"{package}.{module}"), attribute or name)
        names[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*names, *homes})

    return __getattr__, __dir__
