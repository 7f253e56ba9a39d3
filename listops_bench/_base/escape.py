"""Texts that anybody may have written, made harmless for where they are shown; HTML is escaped by its templates.

terminal        a terminal, and the log of a CI job      markdown        text in Markdown
                                                         markdown_code   a code span
"""

from __future__ import annotations

import re

_CI_COMMAND = re.compile(r"(?<=:):(?=[A-Za-z])|(?<=#)#(?=\[|vso|teamcity)")  # ::error::, ##[group], ##vso[task...]
_ADDRESS = re.compile(r":(?=//)|(?<=\bwww)\.", re.IGNORECASE)
_MARKS = re.compile(r"[\\`*\[\]|~]|(?<!\w)_|_(?!\w)|^(?:#|[-+](?=\s))")


def terminal(text: str) -> str:
    r"""A text on one line that moves no cursor, turns nothing around, and commands neither a terminal nor a CI.

    >>> terminal("x\n::error::forged \x1b[31m")
    'x\\n:\\x3aerror::forged \\x1b[31m'
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return _CI_COMMAND.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def markdown(text: str) -> str:
    """Text of one line, of a table's cell too, in which nothing is Markdown, HTML or a link.

    >>> markdown("<b> [a](http://b) c_d")
    '&lt;b&gt; \\\\[a\\\\](http&#58;//b) c_d'
    """
    safe = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _ADDRESS.sub(lambda found: f"&#{ord(found[0])};", _MARKS.sub(r"\\\g<0>", safe))


def markdown_code(text: str) -> str:
    """Text in which nothing is Markdown or HTML; a pipe would still end the table's cell."""
    safe = _one_line(text).replace("`", "'").replace("|", "\\|")
    return f"`{safe}`" if safe else ""


def _one_line(text: str) -> str:
    return terminal(" ".join(text.split()))
