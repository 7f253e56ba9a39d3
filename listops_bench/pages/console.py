"""How the command's tables look, on a terminal and in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def make_table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, caption_justify="left", title_justify="left")
    for column in table.columns:
        column.overflow = "fold"
    return table


def print_tables(*renderables: object) -> None:
    from rich.console import Console

    # no markup: "[SUM" is no style
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # a pipe or a file has no width: do not fold the columns into 80 characters
        console.width = 200
    with console.capture() as text:  # rich would end the process by itself where a pipe's reader has left
        for renderable in renderables:
            console.print(renderable)
    print(text.get(), end="")
