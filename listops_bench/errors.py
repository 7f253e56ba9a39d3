"""The two errors that a user can mend, their exit codes, and the "did you mean" line."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Callable, Iterable

EXIT_INVALID, EXIT_ENVIRONMENT = 2, 3


class InvalidInput(ValueError):
    """Something the user asked for cannot be had.

    The message is one line that names the offending value and the nearest valid one. The command line prints
    it and exits with code 2; in Python it is an ordinary ``ValueError``.
    """


class OutOfTime(InvalidInput):
    """Something took longer than it may. The command line exits with code 4, as where any time limit is up."""


class EnvironmentFailed(RuntimeError):
    """The input is good, and a disk, a network or a permission stands in the way: trying again later may work.

    The message is one line. The command line prints it and exits with code 3.
    """


def unknown(kind: str, value: object, known: Iterable[str]) -> InvalidInput:
    """The error for a name that is not in a closed list, with its nearest neighbour.

    >>> str(unknown("model", "looped_d47", ["looped_d008", "looped_d048"]))
    "unknown model 'looped_d47'; did you mean 'looped_d048'?"
    """
    names, text = sorted(known), shown(value, str)
    near = difflib.get_close_matches(text, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {_listed(names)}"
    return InvalidInput(f"unknown {kind} {text!r}; {hint}")


def _listed(names: list[str], limit: int = 500) -> str:
    """Names side by side: as many as fit into so many characters, and how many there are beside them."""
    text = ", ".join(names)
    if len(text) <= limit:
        return text
    first = text[:limit].rpartition(", ")[0]
    return f"{first} and {len(names) - first.count(', ') - 1} more"


def shown(value: object, form: Callable[[object], str] = repr) -> str:
    """A value as an error names it, whatever it is: Python prints no integer of more than 4,300 digits."""
    try:
        return form(shortened(value)) if isinstance(value, str) else shortened(form(value))
    except ValueError:
        return "a number of thousands of digits"


MAX_ERROR = 1_500
"""Characters of an error's line: it may name a value that goes on for ever."""


def shortened(text: str, limit: int = 200) -> str:
    """A text as an error names it: cut where it goes on for ever."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def system_error(error: BaseException) -> OSError | None:
    """The operating system's error behind one of a library, whose classes tell no full disk from a defect.

    >>> system_error(RuntimeError("I/O error: No space left on device (os error 28)")).strerror
    'No space left on device'
    """
    if isinstance(error, OSError) and error.strerror is not None:
        return error
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # numpy's, and torch's
        return OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    if number := re.search(r"\(os error (\d+)\)|\[errno (\d+)\]", str(error), re.IGNORECASE):
        return OSError(code := int(number[1] or number[2]), os.strerror(code))
    return None if error.__cause__ is None else system_error(error.__cause__)


def file_error(action: str, path: object, error: OSError) -> InvalidInput | EnvironmentFailed:
    """The error for a file or folder that cannot be used: InvalidInput where its name is wrong, else EnvironmentFailed.

    Args:
        action: what was tried, with what it was tried on: ``"read results"``, ``"write"``.
        path: the name the user knows, which need not be the one in ``error``.
        error: what the system said.

    >>> file_error("write", "runs/a", PermissionError(13, "Permission denied"))
    EnvironmentFailed("cannot write 'runs/a': Permission denied")
    """
    wrong_name = isinstance(error, (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError))
    wrong_place = error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO)  # links in a circle; a socket
    kind = InvalidInput if wrong_name or wrong_place else EnvironmentFailed
    return kind(f"cannot {action} {str(path)!r}: {error.strerror or ' '.join(str(error).split())}")
