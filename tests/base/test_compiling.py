"""Compiled code where its cache can be written nowhere but among temporary files, or not even there."""

import os
import tempfile
from pathlib import Path

import numba
import pytest
from numba.core import caching

from listops_bench._base.compiling import njit


def double(number: int) -> int:
    return number * 2


@pytest.mark.parametrize("mode", [0o700, 0o777, None])
def test_a_cache_is_kept_where_nobody_else_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    """With a package and a home that cannot be written numba finds no place of its own."""
    given = caching.CacheImpl._locator_classes[:1]  # the folder that is named, which the code under test does
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", given)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path if mode else tmp_path / "none"))
    if mode:
        folder = tmp_path / f"listops_bench-compiled-{os.getuid()}"
        folder.mkdir()
        folder.chmod(mode)
    assert njit(cache=True)(double)(21) == 42
    assert bool(list(tmp_path.rglob("*.nbi"))) == (mode == 0o700)
