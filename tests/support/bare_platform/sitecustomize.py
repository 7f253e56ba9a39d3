"""A platform that lacks what Windows lacks, for every process of Python with this folder on PYTHONPATH.

It is no Windows: paths are those of POSIX, and locks what `filelock` makes where it finds none of the system's.
"""

import builtins
import errno
import fcntl
import os
import shutil
import signal
from collections.abc import Mapping
from typing import Any

_import, _open, _fsync, _rename, _kill = builtins.__import__, os.open, os.fsync, os.rename, os.kill

MISSING = {
    os: "fork forkpty killpg setsid sched_getaffinity O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_CLOEXEC",
    signal: "SIGALRM SIGHUP setitimer ITIMER_REAL",
}
os.environ.setdefault("USERNAME", "somebody")
for module, names in MISSING.items():
    for name in names.split():
        delattr(module, name)


def import_module(name: str, globals: Mapping[str, Any] | None = None, *rest: Any, **options: Any) -> Any:
    """No fcntl and resource for us and for filelock; other libraries ask which system this is."""
    asks = str((globals or {}).get("__name__"))
    if name in ("fcntl", "resource") and asks.startswith(("listops_bench", "filelock", "tests")):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, globals, *rest, **options)


def open_file(path: Any, *arguments: Any, **options: Any) -> int:
    """Folders cannot be opened."""
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return _open(path, *arguments, **options)


def fsync(handle: Any) -> None:
    """Only what is open for writing can be flushed."""
    number = handle if isinstance(handle, int) else handle.fileno()
    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    _fsync(number)


def rename(source: Any, target: Any, **options: Any) -> None:
    """Nothing is replaced, not even an empty folder."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)
    _rename(source, target, **options)


def kill(pid: int, number: int) -> None:
    """A signal from elsewhere ends a process at once."""
    _kill(pid, signal.SIGKILL if number else 0)


builtins.__import__ = import_module
os.open, os.fsync, os.rename, os.kill = open_file, fsync, rename, kill
shutil._use_fd_functions = False  # type: ignore[attr-defined]
