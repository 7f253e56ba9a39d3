"""Pages that work from a file: one HTML file with its style, its script and its figures inside, nothing to load.

Every page extends ``base.html``. Texts are escaped; a name that a template uses and nobody gives is an error.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from listops_bench.pages.tables import breakable, plain, to_html

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
    environment.globals["table_html"] = to_html
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters |= {"breakable": breakable, "plain": plain}
    return environment
