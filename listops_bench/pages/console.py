"""How tables and progress look on a terminal and in a pipe."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table


def make_table(*columns: str) -> Table:
    """An empty table in the one style of all commands; its columns' texts are folded where they do not fit."""
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left", title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    return table


def make_console() -> Console:
    """A console for tables: no markup, since ``[SUM`` is no style, and unfolded where it is a pipe or a file."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 200
    return console


def print_tables(*renderables: object) -> None:
    """Prints tables to standard output."""
    console = make_console()
    with console.capture() as text:  # rich would end the process by itself where a pipe's reader has left
        for renderable in renderables:
            console.print(renderable)
    print(text.get(), end="")


class LiveDisplay(AbstractContextManager["LiveDisplay"], ABC):
    """Progress of something that runs meanwhile: a table redrawn on a terminal, elsewhere a line now and then.

    Used with ``with``, it shows by itself from a thread of its own.

    Args:
        console: where to show it.
        keep: whether the last table stays when it ends.
    """

    SECONDS_BETWEEN_TABLES = 1.0
    SECONDS_BETWEEN_LINES = 15.0

    def __init__(self, console: Console, *, keep: bool = False) -> None:
        from rich.live import Live

        self.console = console
        self.started = self._last_line = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=not keep) if console.is_terminal else None
        self._keep = keep
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @abstractmethod
    def table(self) -> RenderableType:
        """What a terminal shows now."""

    @abstractmethod
    def line(self) -> str:
        """The same in one line."""

    def show(self) -> None:
        """Shows the table, or the line if it is due."""
        if self._live:
            self._live.update(self.table(), refresh=True)
        elif time.monotonic() - self._last_line >= self.SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.console.print(f"{clock(self.seconds)}  {self.line()}", soft_wrap=True, markup=False)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started

    def _run(self) -> None:
        while not self._stop.wait(self.SECONDS_BETWEEN_TABLES):
            try:
                self.show()
            except OSError:  # a file that is being replaced; the next look sees it
                continue

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._live:
            if self._keep:
                self.show()
            self._live.stop()


def clock(seconds: float) -> str:
    """``1:05`` minutes, or ``2:01:05`` hours."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
