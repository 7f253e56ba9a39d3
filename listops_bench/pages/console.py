"""How tables and times look on a terminal and in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def make_table(*columns: str) -> Table:
    """An empty table in the one style of all commands; no number or name in it is broken on a narrow terminal."""
    from rich import box

    from listops_bench.pages._fitted import FittedTable

    table = FittedTable(*columns, box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left", title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    return table


def make_console() -> Console:
    """A console for tables: no markup, since ``[SUM`` is no style, and unfolded where it is a pipe or a file."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
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


def clock(seconds: float) -> str:
    """``1:05`` minutes, or ``2:01:05`` hours."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
