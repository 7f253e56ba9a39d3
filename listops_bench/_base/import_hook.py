"""Calls a function right after another package has been imported, whichever of the two comes first.

Those who only parse expressions or build a board should not wait seconds for `datasets` and torch. So a registration is
put off until the package in question has been imported:

    import listops_bench                      datasets is not loaded yet: a finder waits for it
    from datasets import load_dataset         datasets' own code runs, then the registration, then the finder is gone

In the other order the registration runs at once. The environment variable ``LISTOPS_BENCH_NO_HOOK=1`` switches all of
this off; `listops_bench.load` works without it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

SWITCH = "LISTOPS_BENCH_NO_HOOK"


def enabled() -> bool:
    """Whether the user has not switched the registration off."""
    return os.environ.get(SWITCH, "") in {"", "0"}


def after_import(name: str, callback: Callable[[], None]) -> None:
    """Calls ``callback`` once, after module ``name`` has been executed; at once if it already has.

    A callback that fails becomes a warning: someone else's import must not break because of us.
    """
    module = sys.modules.get(name)
    if module is not None and not is_being_imported(module):
        _call(name, callback)
    else:
        sys.meta_path.insert(0, _Waiting(name, callback))


class _Waiting(MetaPathFinder):
    """Finds the module as the other finders do, and has its loader call back after the module's own code has run."""

    def __init__(self, name: str, callback: Callable[[], None]) -> None:
        self.name = name
        self.callback = callback

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                self._wrap(spec)
                return spec
        return None

    def _wrap(self, spec: ModuleSpec) -> None:
        # Finders make a loader per module, so an attribute on the loader reaches this import only. The loader itself
        # stays what it is (inspect and importlib.resources ask it for sources), and the attribute is gone afterwards.
        # Looking a module up does not import it (find_spec is also how libraries test for each other): so the finder
        # stays until the module has really been executed.
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            loader.__dict__.pop("exec_module", None)
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                _call(self.name, self.callback)

        try:
            loader.exec_module = exec_module  # type: ignore[union-attr, method-assign]
        except AttributeError:  # a loader without attributes: `listops_bench.load` still works
            return


def _call(name: str, callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception as error:
        warnings.warn(
            f"listops_bench could not register its names with {name.partition('.')[0]} "
            f"({type(error).__name__}: {error}); set {SWITCH}=1 to stop it from trying",
            RuntimeWarning,
            stacklevel=2,
        )


def is_being_imported(module: ModuleType) -> bool:
    return bool(getattr(module.__spec__, "_initializing", False))
