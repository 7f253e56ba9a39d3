"""Files that are there whole or not at all, locks, and YAML pages."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from listops_bench.errors import InvalidInput


def read_yaml(path: Path, kind: str) -> Any:
    """What a YAML file of ours holds.

    Args:
        kind: what it is, for the error: ``"curriculum"``.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{kind} file {str(path)!r} cannot be read: {' '.join(str(error).split())}") from None


def take_lock(path: Path) -> FileLock | None:
    """Takes a lock that ends with this process, however that ends; None where another process has it.

    The lock is also gone when the object is: keep it.

    Raises:
        InvalidInput: the file cannot be written.
    """
    lock = FileLock(path, is_singleton=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        raise InvalidInput(f"cannot write {str(path.parent)!r}: {error.strerror}") from None
    return lock


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a file that is there whole or not at all, whatever happens meanwhile; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files for one's own eyes only
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_others(folder: Path, patterns: Iterable[str], written: Collection[Path]) -> None:
    """Deletes what an earlier build left in a folder.

    Args:
        folder: where the build wrote.
        patterns: of the files, relative to it, that a build could have made; others stay.
        written: the files that this build has made.
    """
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path not in written:
                path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
