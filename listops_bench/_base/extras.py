"""What only some users need is installed by an extra: ``pip install 'listops-bench[board]'``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from listops_bench.errors import InvalidInput


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Imports inside name the extra that installs them where they fail.

    >>> with needs("board"):
    ...     import altair

    Raises:
        InvalidInput: a package is missing; the line names the pip command.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "listops_bench":
            raise
        install = f"pip install 'listops-bench[{extra}]'"
        raise InvalidInput(f"this needs the package {package!r}, which is not installed: {install}") from None
