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

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup, escape

from listops_bench._base import text as text_module

if TYPE_CHECKING:
    import rich.table
Align = Literal["left", "right"]

LEFT, RIGHT, markdown_table = text_module.LEFT, text_module.RIGHT, text_module.markdown_table

_LONG = 16  # characters of a name that may have to be broken

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
    columns: list[tuple[str, str]] = []
    for column in table.columns:
        columns.append((code(column.title) if column.is_name else column.title, _RULES[column.align]))
        if column.detail_title:
            columns.append((column.detail_title, _RULES[column.align]))
    rows = ([text for pair in zip(table.columns, row.cells, strict=True) for text in _markdown_cells(*pair, row.strong)]
            for row in table.rows)  # fmt: skip
    return markdown_table(columns, rows)


def _markdown_cells(column: Column, cell: Cell, strong: bool) -> list[str]:
    text = code(cell.text) if cell.is_name else plain(cell.text).replace("|", "\\|")
    text = f"[{text}]({cell.link})" if cell.link else text
    text = f"**{text}**" if strong and text else text
    detail = plain(cell.detail).replace("|", "\\|")
    if column.detail_title:
        return [text, detail]
    return [f"{text} ({detail})" if detail else text]


def line(*cells: str) -> str:
    """``| a | b |``."""
    return "| " + " | ".join(cells) + " |"


def code(text: str) -> str:
    """Text in which nothing is Markdown or HTML; a pipe would still end the table's cell."""
    safe = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{safe}`" if safe else ""


def plain(text: str) -> str:
    """Text of one line in which nothing is HTML."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- HTML -------------------------------------------------------------------------------------------------------------


def to_html(table: Table, *, id: str = "", css: str = "plain", sortable: bool = False) -> Markup:
    """The table without its caption and notes; everything in it is escaped but drawings and what `Row.more` holds.

    Args:
        table: what to write.
        id: of the element.
        css: classes of the element.
        sortable: whether headings are buttons and cells carry what they are sorted by, and their heading for screens
            on which the columns do not fit.
    """
    has_more = any(row.more for row in table.rows)
    head = Markup("").join(_heading_html(column, sortable) for column in table.columns)
    if has_more:
        head += Markup('<th scope="col" class="more"><span class="unseen">Seeds</span></th>')
    bodies = [_row_html(row, table.columns, sortable, has_more) for row in table.rows]
    lines = Markup("\n").join(bodies)
    body = lines if has_more else Markup("<tbody>\n{}\n</tbody>").format(lines)
    inside = Markup("\n<thead><tr>{}</tr></thead>\n{}\n").format(head, body)
    return _element("table", inside, {"id": id, "class": css + " sortable" * sortable})


def _heading_html(column: Column, sortable: bool) -> Markup:
    title = breakable(column.heading)
    if sortable and column.sortable:
        title = Markup('<button type="button">{}</button>').format(title)
    note = Markup("<small>{}</small>").format(column.note) if column.note else escape("")
    key = {"data-key": column.name} if sortable else {}
    attributes = {"scope": "col", "class": _classes(column)} | key | _data(column.data)
    return _element("th", Markup("<span>{}</span>").format(title) + note if note else title, attributes)


def _row_html(row: Row, columns: Sequence[Column], sortable: bool, has_more: bool) -> Markup:
    cells = [
        _cell_html(cell, column, "td" if place else "th", sortable)
        for place, (column, cell) in enumerate(zip(columns, row.cells, strict=True))
    ]
    inside = Markup("").join(cells)
    if not has_more:
        return _element(
            "tr", inside, {"class": " ".join(["strong"] * row.strong + [row.css]).strip()} | _data(row.data)
        )
    name = f"Seeds of {', '.join(cell.text for cell in row.cells[:4])}"
    toggle = _element(
        "button", Markup(""), {"type": "button", "class": "toggle", "aria-expanded": "true", "aria-label": name}
    )
    first = _element("tr", inside + _element("td", toggle, {"class": "more"}), {})
    more = _element("td", Markup(row.more), {"colspan": str(len(columns) + 1)})
    return _element("tbody", first + _element("tr", more, {"class": "seeds"}), {"class": "group"} | _data(row.data))


def _cell_html(cell: Cell, column: Column, tag: str, sortable: bool) -> Markup:
    text = breakable(cell.text) if len(cell.text) > _LONG else escape(cell.text)
    if cell.link:
        text = Markup('<a href="{}">{}</a>').format(cell.link, text)
    if cell.swatch:
        text = Markup('<span class="kind"><i class="swatch {}"></i>{}</span>').format(cell.swatch, text)
    if cell.drawing:
        text = (Markup('<span class="percent">{}</span>').format(text) if text else text) + Markup(cell.drawing)
    if cell.detail:
        text += Markup("<small>{}</small>").format(cell.detail)
    attributes = {"scope": "row" if tag == "th" else "", "class": f"{_classes(column)} {cell.css}".strip()}
    if sortable:
        value = cell.text if cell.value is None else cell.value
        attributes |= {"data-label": column.heading}
        attributes |= {"data-sort": str(value)} if column.sortable else {}
    if cell.background:
        attributes["style"] = f"background:{cell.background}"
    if cell.tip:
        attributes |= {"data-tip": cell.tip, "tabindex": "-1"}
    return _element(tag, text, attributes | _data(cell.data))


def breakable(text: str) -> Markup:
    """A name that may be broken after its underscores, as HTML."""
    return Markup("_<wbr>").join(escape(part) for part in text.split("_"))


def _classes(column: Column) -> str:
    return " ".join(["amount"] * (column.align == "right") + [column.css]).strip()


def _data(values: Mapping[str, str]) -> dict[str, str]:
    return {f"data-{name}": value for name, value in values.items()}


def _element(tag: str, inside: Markup, attributes: Mapping[str, str]) -> Markup:
    """An element with those of its attributes that are not empty."""
    shown = (Markup(' {}="{}"').format(name, value) for name, value in attributes.items() if value)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), Markup("").join(shown), inside)


# --- terminal and programs --------------------------------------------------------------------------------------------


def to_console(table: Table) -> rich.table.Table:
    """The table for a terminal, its caption above it and its notes below."""
    from listops_bench.pages.console import make_table

    drawn = make_table()
    drawn.title = table.caption or None
    drawn.caption = "\n".join(table.notes) or None
    for column in table.columns:
        for title in (column.title, column.detail_title):
            if title or title is column.title:
                drawn.add_column(title, justify=column.align, overflow="fold")
    for row in table.rows:
        cells = []
        for column, cell in zip(table.columns, row.cells, strict=True):
            brackets = cell.detail and not column.detail_title
            cells.append(f"{cell.text} ({cell.detail})" if brackets else cell.text)
            cells += [cell.detail] if column.detail_title else []
        drawn.add_row(*cells, style="bold" if row.strong else None)
    return drawn


def to_records(table: Table) -> list[dict[str, Any]]:
    """A mapping from the columns' names to values for each row, for JSON and CSV."""
    names = [column.name for column in table.columns]
    return [
        dict(zip(names, (c.text if c.value is None else c.value for c in row.cells), strict=True)) for row in table.rows
    ]
