"""Pages that work from a file: one HTML file with its style, its script and its figures inside, nothing to load.

Every page extends ``base.html``. Texts are escaped; a name that a template uses and nobody gives is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup, escape

from listops_bench._base.escape import markdown
from listops_bench.pages.tables import Cell, Column, Row, Table

_TEMPLATES = "_template"


def render(package: str, template: str, /, **values: Any) -> str:
    """The page that a template makes of some values.

    Args:
        package: its folder ``_template`` holds the template, the styles and the scripts that the template names;
            those of this package are there too.
        template: ``"page.html"``.
        values: what the template shows.
    """
    return _environment(package).get_template(template).render(**values)


def to_html(table: Table, *, id: str = "", css: str = "plain", sortable: bool = False) -> Markup:
    """The table without its caption and notes; everything in it is escaped but drawings and what `Row.more` holds.

    Args:
        table: what to write.
        id: of the element.
        css: classes of the element.
        sortable: whether a click on a heading sorts it.
    """
    return Markup(render("listops_bench.pages", "table.html", table=table, id=id, css=css, sortable=sortable))


def breakable(text: str) -> Markup:
    """A name that may be broken after its underscores, as HTML."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


def _attributes(values: Mapping[str, str], data: Mapping[str, str] | None = None) -> Markup:
    """Those that are not empty, whose names are ours; the names of ``data`` get their prefix."""
    return Markup(_spelt(values) + _spelt(data or {}, "data-"))


def _spelt(values: Mapping[str, str], prefix: str = "") -> str:
    return "".join([f' {prefix}{name}="{escape(value)}"' for name, value in values.items() if value])


def _cells(table: Table, row: Row, css: str, sortable: bool) -> Markup:
    """The cells of a row, the first its heading. A page has thousands: no template is asked for each."""
    labelled, pairs = sortable or "cards" in css, zip(table.columns, row.cells, strict=True)
    return Markup("".join([_cell(cell, column, not i, labelled, sortable) for i, (column, cell) in enumerate(pairs)]))


def _cell(cell: Cell, column: Column, is_heading: bool, labelled: bool, sortable: bool) -> str:
    tag = "th" if is_heading else "td"
    attributes = {
        "scope": "row" if is_heading else "",
        "class": f"{column.classes} {cell.css}".strip(),
        "data-label": column.heading if labelled else "",
        "data-sort": str(cell.plain_value) if sortable and column.sortable else "",
        "style": f"background:{cell.background}" if cell.background else "",
        "data-tip": cell.tip,
        "tabindex": "-1" if cell.tip else "",
    }
    text = str(breakable(cell.text) if len(cell.text) > 16 else escape(cell.text))
    if cell.link:
        text = f'<a href="{escape(cell.link)}">{text}</a>'
    if cell.swatch:
        text = f'<span class="kind"><i class="swatch {escape(cell.swatch)}"></i>{text}</span>'
    if cell.drawing and cell.text:
        text = f'<span class="percent">{text}</span>'
    detail = f"<small>{escape(cell.detail)}</small>" if cell.detail else ""
    return f"<{tag}{_spelt(attributes)}{_spelt(cell.data, 'data-')}>{text}{cell.drawing}{detail}</{tag}>"


@cache
def _environment(package: str) -> Environment:
    homes = package, "listops_bench.pages"

    def read(name: str) -> str:
        for home in homes:
            path = files(home).joinpath(_TEMPLATES, name)
            if path.is_file():
                return path.read_text(encoding="utf-8").strip()
        raise TemplateNotFound(name)

    environment = Environment(
        loader=FunctionLoader(read),
        autoescape=lambda name: not str(name).endswith(".md"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["file"] = lambda name: Markup(read(name))
    environment.globals |= {"table_html": to_html, "attributes": _attributes, "cells": _cells}
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters |= {"breakable": breakable, "markdown": markdown}
    return environment
