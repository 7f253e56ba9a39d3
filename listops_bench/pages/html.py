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
from listops_bench.pages.tables import Table

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
    return Markup("_<wbr>").join(escape(part) for part in text.split("_"))


def _attributes(values: Mapping[str, str], data: Mapping[str, str] | None = None) -> Markup:
    """Those that are not empty; the names of ``data`` get their prefix."""
    named = {**values, **{f"data-{name}": value for name, value in (data or {}).items()}}
    return Markup("").join(Markup(' {}="{}"').format(name, value) for name, value in named.items() if value)


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
    environment.globals |= {"table_html": to_html, "attributes": _attributes, "zip": zip}
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters |= {"breakable": breakable, "markdown": markdown}
    return environment
