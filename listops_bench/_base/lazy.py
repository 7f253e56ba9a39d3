"""Packages whose public names are imported when they are first used (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        modules: for each module, relative to the package, its public names, separated by spaces; ``public=name`` where
            the package has another name for it.

    >>> __getattr__, __dir__ = lazy_names(__name__, {"run": "train TrainResult"})  # doctest: +SKIP
    """
    names = vars(sys.modules[package])
    homes: dict[str, tuple[str, str]] = {}
    for module, words in modules.items():
        for word in words.split():
            public, _, name = word.partition("=")
            homes[public] = module, name or public

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, attribute = homes[name]
        names[name] = getattr(import_module(f"{package}.{module}"), attribute)
        return names[name]

    def __dir__() -> list[str]:
        return sorted({*names, *homes})

    return __getattr__, __dir__
