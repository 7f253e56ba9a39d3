"""A table of rich that breaks no number and no name, however narrow the terminal is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from listops_bench._base.escape import terminal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_WIDE = 100_000
"""Columns of a terminal that any text fits into."""


class FittedTable(Table):
    """A table where its longest words fit side by side, and otherwise a list of its rows.

    ```
    model: looped_d032
    parameters: 17,440
    ```

    rich takes columns together from the widest down, and folds words on the way that there was room for. Nothing in
    the cells commands the terminal, whoever wrote them.
    """

    def add_row(self, *cells: Any, **options: Any) -> None:
        super().add_row(*(terminal(cell) if isinstance(cell, str) else cell for cell in cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.min_width = None
        for column in self.columns:
            column.width = None
        wide = options.update_width(_WIDE)
        needed = Measurement.get(console, wide, self)
        if needed.minimum > options.max_width:
            yield from self._list()
            return
        around = Measurement.get(console, wide, f"{self.title} {self.caption}")  # wrapped as wide as the table is
        self.min_width = min(around.minimum, options.max_width)
        if needed.maximum > options.max_width:
            self._fit(options.max_width - needed.minimum, console, wide)
        yield from super().__rich_console__(console, options)

    def _fit(self, spare: int, console: Console, wide: ConsoleOptions) -> None:
        """Gives each column the width of its longest word, and its part of what is left."""
        texts = [(column.header, *column.cells) for column in self.columns]
        widths = [[Measurement.get(console, wide, text) for text in column] for column in texts]
        least = [max(width.minimum for width in column) for column in widths]
        wanted = [max(width.maximum for width in column) - low for column, low in zip(widths, least, strict=True)]
        for column, low, more in zip(self.columns, least, wanted, strict=True):
            column.width = low + spare * more // sum(wanted)

    def _list(self) -> RenderResult:
        """``label: value`` in a line each, with an empty line after each row; empty cells are left out."""
        if self.title:
            yield Text(str(self.title), "table.title")
        for row, cells in zip(self.rows, zip(*(column.cells for column in self.columns), strict=True), strict=True):
            for column, cell in zip(self.columns, cells, strict=True):
                if not isinstance(cell, str):
                    yield cell
                elif cell:
                    label = f"{column.header}: " if column.header else ""
                    yield Text(label + cell, row.style or "", overflow="fold")
            yield Text()
        if self.caption:
            yield Text(str(self.caption), "table.caption")
