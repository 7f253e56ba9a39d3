"""numba's compiler, with a cache also where neither the package nor the home can be written, or else without one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """As ``numba.njit``, which refuses ``cache=True`` where it can write nothing."""
    if function is None:
        return lambda decorated: njit(decorated, **options)
    try:
        return numba.njit(**options)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
    numba.config.CACHE_DIR = _temporary_cache() or ""
    return numba.njit(**options | {"cache": bool(numba.config.CACHE_DIR)})(function)


def _temporary_cache() -> str | None:
    """A temporary folder that nobody else can write to, since what lies in a cache is run; None where there is none."""
    owner = os.getuid() if hasattr(os, "getuid") else None
    try:
        folder = Path(tempfile.gettempdir()) / f"listops_bench-compiled-{'user' if owner is None else owner}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        ours = owner is None or (found.st_uid == owner and not found.st_mode & 0o022)
        return str(folder) if folder.is_dir() and not folder.is_symlink() and ours else None
    except OSError:
        return None
