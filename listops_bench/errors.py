"""The one error that users cause, and the "did you mean" line that goes with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InvalidInput(ValueError):
    """Something the user asked for cannot be had.

    The message is one line that names the offending value and the nearest valid one. The command line prints
    it and exits with code 2; in Python it is an ordinary ``ValueError``.
    """


def unknown(kind: str, value: object, known: Iterable[str]) -> InvalidInput:
    """The error for a name that is not in a closed list, with its nearest neighbour.

    >>> str(unknown("model", "looped_d47", ["looped_d008", "looped_d048"]))
    "unknown model 'looped_d47'; did you mean 'looped_d048'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(names)
    return InvalidInput(f"unknown {kind} {str(value)!r}; {hint}")
