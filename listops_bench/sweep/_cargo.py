"""What of a sweep's folder travels, and where it is read from: a folder, or a tar that anybody may have written.

    runs/NAME/...              a finished run, its weights left out
    runs/NAME.training/...     one that was stopped: its state and log; packs/ID.training/... and packs/ID.json likewise
    results/MODEL/VERSION/TASK.json
    failed/NAME.json
    stacks/RECIPE-0.safetensors, .json     the weights of a recipe's runs, [K, P], and whose they are

Of a tar only plain files with such names are read, each up to a size, one by one, and nothing is unpacked by the
library.
"""

from __future__ import annotations

import re
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from listops_bench._base.files import open_regular
from listops_bench.errors import InvalidInput, file_error
from listops_bench.runs.folder import WEIGHTS

MOST_FILES, MOST_BYTES, MOST_OF_A_STACK = 1_000_000, 2**28, 2**31
"""Of a tar, of a file in it, and of a stack."""

_WORD = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}"
_CARGO = re.compile(
    rf"runs/{_WORD}(/{_WORD}){{1,6}}|packs/{_WORD}(/{_WORD})?|failed/{_WORD}\.json"
    rf"|results/{_WORD}/{_WORD}/{_WORD}\.json|stacks/{_WORD}\.(json|safetensors)"
)
_LEFT_OUT = re.compile(r".*\.(py|lock|tmp)|.*/(lock|\..*)")


def travels(name: str) -> bool:
    """Whether a file of a sweep's folder is part of what travels, by its name below the folder."""
    return _CARGO.fullmatch(name) is not None and _LEFT_OUT.fullmatch(name) is None


class Cargo(ABC):
    """Files of a sweep, by their names below its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = frozenset(self._list())

    def below(self, folder: str) -> list[str]:
        """The names of the files in a folder."""
        return sorted(name for name in self.names if name.startswith(f"{folder}/"))

    def children(self, folder: str) -> list[str]:
        """The names of what lies in a folder, one level down."""
        return sorted({name.split("/")[folder.count("/") + 1] for name in self.below(folder)})

    @abstractmethod
    def _list(self) -> Iterator[str]: ...

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of a file. Raises InvalidInput or EnvironmentFailed where it cannot be read."""


class FolderCargo(Cargo):
    """A sweep's folder."""

    def _list(self) -> Iterator[str]:
        for top in ("runs", "packs", "failed", "results"):
            for path in (self.path / top).rglob("*"):
                name = path.relative_to(self.path).as_posix()
                if travels(name) and not path.is_symlink() and path.is_file():
                    yield name

    def read(self, name: str) -> bytes:
        with open_regular(self.path / name, kind="file", within=self.path) as file:
            return file.read()


class TarCargo(Cargo):
    """A tar that `export` has written, or says so.

    Raises:
        InvalidInput: no plain tar, a name or kind of file that does not belong there, or too much.
    """

    def _list(self) -> Iterator[str]:
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            with tarfile.open(self.path, "r:", encoding="utf-8", errors="strict") as tar:
                for member in tar:
                    self._check(member)
                    self._members[member.name] = member
        except OSError as error:
            raise file_error("read", self.path, error) from None
        except (tarfile.TarError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"{str(self.path)!r} is not a tar of a sweep: {type(error).__name__}") from None
        yield from self._members

    def _check(self, member: tarfile.TarInfo) -> None:
        name = member.name[:100]
        reason = None
        if not member.isreg() or member.issparse():
            reason = "is no plain file"
        elif not travels(member.name):
            reason = "is no file of a sweep"
        elif member.name in self._members:
            reason = "stands there twice"
        elif member.size > (MOST_OF_A_STACK if member.name.startswith("stacks/") else MOST_BYTES):
            reason = f"has {member.size:,} bytes, which is too much"
        elif len(self._members) >= MOST_FILES:
            reason = f"is one more than {MOST_FILES:,} files"
        if reason is not None:
            raise InvalidInput(f"{str(self.path)!r}: {name!r} {reason}")

    def read(self, name: str) -> bytes:
        member = self._members[name]
        try:
            with self.path.open("rb") as file:
                file.seek(member.offset_data)
                content = file.read(member.size)
        except OSError as error:
            raise file_error("read", self.path, error) from None
        if len(content) != member.size:
            raise InvalidInput(f"{str(self.path)!r}: {name!r} is cut off")
        return content


def open_cargo(path: Path) -> Cargo:
    """A sweep's folder or tar.

    Raises:
        InvalidInput: neither of them.
        EnvironmentFailed: it cannot be read.
    """
    if path.is_dir():
        if not any((path / top).is_dir() for top in ("runs", "results")):
            raise InvalidInput(f"{str(path)!r} is no folder of a sweep: it has neither runs nor results")
        return FolderCargo(path)
    return TarCargo(path)


def weights_name(run: str) -> str:
    """Where the weights of a run lie."""
    return f"runs/{run}/{WEIGHTS}"
