"""Tables as data, and one writer each for Markdown, HTML, the terminal and programs.

A table is made once, with all columns that any reader may want; ``pick`` takes those that one place shows.

>>> table = Table((Column("task"), Column("N50", "right")), (row("sum", Cell("33,600", value=33600)),))
>>> print(to_markdown(table))
| task | N50 |
| --- | ---: |
| sum | 33,600 |
>>> to_records(table)
[{'task': 'sum', 'N50': 33600}]
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from listops_bench._base.escape import markdown, markdown_code, terminal
from listops_bench._base.text import LEFT, RIGHT, markdown_table

if TYPE_CHECKING:
    import rich.table
Align = Literal["left", "right"]

_RULES: dict[Align, str] = {"left": LEFT, "right": RIGHT}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading, in lower case; HTML begins it with a capital letter.
        align: ``right`` for numbers.
        key: its name in records and for ``Table.pick``; the title where none is given.
        detail_title: the details of its cells stand in a column of their own with this title, but for HTML, where they
            stand below the cell's text. Without it they follow the text in brackets.
        is_name: whether the title is a name: a code span in Markdown, unchanged in HTML.
        note: a second, smaller line of an HTML heading.
        css: classes of an HTML heading and its cells.
        data: ``data-`` attributes of an HTML heading.
        sortable: whether a click on an HTML heading sorts, where the table can be sorted.
    """

    title: str
    align: Align = "left"
    key: str = ""
    detail_title: str = ""
    is_name: bool = False
    note: str = ""
    css: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    sortable: bool = True

    @property
    def name(self) -> str:
        return self.key or self.title

    @property
    def classes(self) -> str:
        """Those of its heading and cells in HTML."""
        return f"amount {self.css}".strip() if self.align == "right" else self.css

    @property
    def heading(self) -> str:
        """Its title in HTML."""
        return self.title if self.is_name else self.title[:1].upper() + self.title[1:]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what is shown; never markup.
        detail: a second, smaller text, such as an interval.
        value: what programs get, and what a column is sorted by; the text where it is None.
        is_name: a name that comes from a file: a code span in Markdown.
        link: the address that the text leads to.
        tip: shown beside the pointer in HTML.
        swatch: a kind of training, shown as a mark of its colour and shape before the text in HTML.
        drawing: an SVG of our own making, shown after the text in HTML only.
        css: classes in HTML.
        background: its colour in HTML.
        data: ``data-`` attributes in HTML.
    """

    text: str = ""
    detail: str = ""
    value: Any = None
    is_name: bool = False
    link: str = ""
    tip: str = ""
    swatch: str = ""
    drawing: str = ""
    css: str = ""
    background: str = ""
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def plain_value(self) -> Any:
        """What programs get: its value, or its text."""
        return self.text if self.value is None else self.value


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: one for each column.
        strong: whether it stands out: a mean below single runs.
        css: classes in HTML.
        data: ``data-`` attributes in HTML.
        more: HTML that a button at the end of the row shows and hides.
    """

    cells: tuple[Cell, ...]
    strong: bool = False
    css: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    more: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption and the notes below it."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    notes: tuple[str, ...] = ()

    def pick(self, *names: str) -> Table:
        """Its columns of these names, in this order."""
        places = {column.name: place for place, column in enumerate(self.columns)}
        chosen = [places[name] for name in names]
        rows = (replace(row, cells=tuple(row.cells[place] for place in chosen)) for row in self.rows)
        return replace(self, columns=tuple(self.columns[place] for place in chosen), rows=tuple(rows))


def row(*cells: Cell | str, strong: bool = False) -> Row:
    """A row of cells, some of which may be plain text."""
    return Row(tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells), strong)


def from_records(records: Iterable[Mapping[str, Cell | str]], *, left: Collection[str] = ()) -> Table:
    """A table of rows that name the heading of each of their cells, all the same ones.

    Args:
        records: the rows.
        left: the headings of texts, beside the first; the others are of numbers.
    """
    rows = list(records)
    headings = list(rows[0]) if rows else []
    columns = (Column(title, "left" if title in (headings[0], *left) else "right") for title in headings)
    return Table(tuple(columns), tuple(row(*record.values()) for record in rows))


# --- Markdown ---------------------------------------------------------------------------------------------------------


def to_markdown(table: Table) -> str:
    """The table without its caption and notes; empty where it has no rows."""
    columns, lines = list[tuple[str, str]](), list[list[str]]()
    for column in table.columns:
        title = markdown_code(column.title) if column.is_name else column.title
        columns += [(text, _RULES[column.align]) for text in _with_detail(column, title, column.detail_title)]
    for row in table.rows:
        lines.append([])
        for column, cell in zip(table.columns, row.cells, strict=True):
            text = markdown_code(cell.text) if cell.is_name else markdown(cell.text)
            text = f"[{text}]({cell.link})" if cell.link else text
            text = f"**{text}**" if row.strong and text else text
            lines[-1] += _with_detail(column, text, markdown(cell.detail))
    return markdown_table(columns, lines)


def _with_detail(column: Column, text: str, detail: str) -> list[str]:
    """Text and detail in columns of their own, or the detail in brackets."""
    if column.detail_title:
        return [text, detail]
    return [f"{text} ({detail})" if detail else text]


# --- terminal and programs --------------------------------------------------------------------------------------------


def to_console(table: Table) -> rich.table.Table:
    """The table for a terminal, its caption above it and its notes below."""
    from listops_bench.pages.console import make_table

    drawn = make_table()
    drawn.title = terminal(table.caption) or None
    drawn.caption = "\n".join(map(terminal, table.notes)) or None
    for column in table.columns:
        for title in _with_detail(column, column.title, column.detail_title):
            drawn.add_column(title, justify=column.align, overflow="fold")
    for row in table.rows:
        pairs = zip(table.columns, row.cells, strict=True)
        texts = (text for column, cell in pairs for text in _with_detail(column, cell.text, cell.detail))
        drawn.add_row(*texts, style="bold" if row.strong else None)
    return drawn


def to_records(table: Table) -> list[dict[str, Any]]:
    """A mapping from the columns' names to values for each row, for JSON and CSV."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, (cell.plain_value for cell in row.cells), strict=True)) for row in table.rows]
