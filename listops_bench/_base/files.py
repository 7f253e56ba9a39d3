"""Files that are there whole or not at all, locks, and files of JSON and YAML."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from listops_bench._base import records, strict_yaml
from listops_bench.errors import EnvironmentFailed, InvalidInput, file_error

MAX_JSON_BYTES = 20_000_000


def read_bytes(path: Path, *, kind: str = "file", max_bytes: int | None = None, within: Path | None = None) -> bytes:
    """The content of a regular file: nothing that waits for a writer or never ends.

    Args:
        path: the file.
        kind: what it is, for the error: ``"curriculum file"``.
        max_bytes: the most it may hold; what strangers write need not be read to its end.
        within: a folder that the file must lie in, links followed. (Those of a snapshot in the Hub's cache lead to
            the ``blobs`` beside it.)

    Raises:
        InvalidInput: there is no such file, it is too large, no regular file, or elsewhere.
        EnvironmentFailed: it is there and cannot be read.
    """
    with open_regular(path, kind=kind, within=within) as file:
        try:
            content = file.read(-1 if max_bytes is None else max_bytes + 1)
        except OSError as error:
            raise file_error(f"read {kind}", path, error) from None
    if max_bytes is not None and len(content) > max_bytes:
        raise InvalidInput(f"{path}: larger than {max_bytes:,} bytes")
    return content


def open_regular(path: Path, *, kind: str = "file", within: Path | None = None) -> io.BufferedReader:
    """Opens a regular file, without waiting. Arguments and errors are those of `read_bytes`."""
    try:
        place = path if within is None else Path(os.path.realpath(path))
        roots = [] if within is None else _roots(Path(os.path.realpath(within)))
        if roots and not any(place.is_relative_to(root) for root in roots):
            raise InvalidInput(f"{path}: a link that leads out of {within}")
        # A FIFO would wait for its writer; what the checks have seen must not become a link meanwhile.
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        flags |= getattr(os, "O_NOFOLLOW", 0) if within is not None else 0
        file = os.fdopen(os.open(place, os.O_RDONLY | flags), "rb")
    except OSError as error:
        if os.path.isdir(path):  # which Windows does not open
            raise InvalidInput(f"cannot read {kind} {str(path)!r}: not a regular file") from None
        raise file_error(f"read {kind}", path, error) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise InvalidInput(f"cannot read {kind} {str(path)!r}: not a regular file")
    return file


def file_sha256(path: Path, *, kind: str = "file", within: Path | None = None) -> str:
    """SHA-256 of a regular file, as ``sha256sum`` prints it. Arguments and errors are those of `read_bytes`."""
    with open_regular(path, kind=kind, within=within) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _roots(folder: Path) -> list[Path]:
    return [folder, folder.parents[1] / "blobs"] if folder.parent.name == "snapshots" else [folder]


def files_below(folder: Path) -> list[Path]:
    """All that lies below a folder and is no folder, sorted. Links are not followed; folders may be ever so deep."""
    found, folders = list[Path](), [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                inside = list(entries)
        except OSError:  # not ours to see, gone, or a name longer than the system takes
            continue
        folders += [entry.path for entry in inside if entry.is_dir(follow_symlinks=False)]
        found += [Path(entry.path) for entry in inside if not entry.is_dir(follow_symlinks=False)]
    return sorted(found)


def read_json(
    path: Path, *, kind: str = "file", max_bytes: int | None = MAX_JSON_BYTES, within: Path | None = None
) -> Any:
    """The value of a strict JSON file, see `records.loads`. Raises as `read_bytes`, and InvalidInput for bad JSON."""
    return records.loads(read_bytes(path, kind=kind, max_bytes=max_bytes, within=within), str(path))


def read_yaml(path: Path, *, kind: str) -> Any:
    """The value of a YAML file, see `strict_yaml.loads`. Raises as `read_bytes`, and InvalidInput for bad YAML."""
    return strict_yaml.loads(read_bytes(path, kind=kind, max_bytes=strict_yaml.MAX_BYTES), f"{kind} {str(path)!r}")


def take_lock(path: Path) -> FileLock | None:
    """Takes a lock that ends with this process, however that ends; None where another process has it.

    The lock is also gone when the object is: keep it.

    Raises:
        InvalidInput: its folder cannot have that name.
        EnvironmentFailed: it cannot be written, or the file system has no such locks.
    """
    lock = FileLock(path, is_singleton=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _can_be_locked(path):
            return None
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        raise file_error("write", path.parent, error) from None
    return lock


_HELD = (errno.EAGAIN, errno.EACCES)


def _can_be_locked(path: Path) -> bool:
    """Whether nobody holds a lock. Some network file systems have none; the library then waits, or makes files instead
    that would stay where a process is killed."""
    try:
        import fcntl
    except ImportError:  # Windows: its locks are of another kind
        return True
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise EnvironmentFailed(
            f"cannot lock {str(path)!r}: {error.strerror}; this file system has no locks that end with a process: work "
            "in a folder on another one, such as a local disk, and move it later"
        ) from None
    finally:
        os.close(handle)
    return True


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside, no other process is inside for the same folder: for files that are read, changed and written.

    It waits for the others, and leaves no file in the folder. On a network file system without locks it does nothing.

    Raises:
        EnvironmentFailed: the folder cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where a folder cannot be locked: a file that stands for it
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
        with FileLock(Path(tempfile.gettempdir(), f"listops_bench-{name}.lock"), is_singleton=False):
            yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise file_error("read", folder, error) from None
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Writes a file that is there whole or not at all, whatever happens meanwhile; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            # The name of a file may hold what is no character: that is written as its number.
            file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def check_can_write(folder: str | os.PathLike[str]) -> None:
    """Raises where nothing can be written in a folder, which need not be there yet: asked before work would be lost.

    Raises:
        InvalidInput: no folder can have that name.
        EnvironmentFailed: no permission, no space, or a file system that is only read.
    """
    path = Path(folder)
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b".")
    except OSError as error:
        raise file_error("write", path, error) from None


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
