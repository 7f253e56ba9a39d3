"""Texts from outside, where they are shown."""

import pytest
from hypothesis import given, strategies

from listops_bench._base.escape import markdown, markdown_code, terminal

NASTY = [
    "x\n::error::forged", "::error file=a::b", "a\r\x1b[31mb\x1b[0m", "\u202egpj.exe", "##[error]x", "##vso[task]y",
    "\x9b31m", "zero\u200bwidth", "half \ud800", "a\u2028::warning::b", "::stop-commands::x", "##teamcity[x]",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_a_terminal_and_a_ci_are_shown_text_alone(text: str) -> None:
    shown = terminal(text)
    assert shown.isprintable()
    assert "::e" not in shown
    assert "##[" not in shown
    assert not shown.lstrip().startswith(("::", "##vso", "##teamcity"))
    shown.encode()


def test_ordinary_texts_stay_as_they_are() -> None:
    for text in ("größer – 3/5 × 5,000", "http://[::1]:80/a", "runs/first/sum_max_med.json", "#1 of 2", ""):
        assert terminal(text) == text
    assert markdown("sum_max_med: 3/5 (95% to 97%), n = 5") == "sum_max_med: 3/5 (95% to 97%), n = 5"


@pytest.mark.parametrize(
    "text",
    [
        "[a](http://b.c)", "![a](//b.c/x.png)", "<img src=x>", "**b**", "`c`", "a | b", "~~d~~", "_e_", "# h", "- i",
        "https://b.c", "www.b.c", "\\[a](b)", "a\n\nb", "&lt;b&gt;", "[a]: http://b.c", "*e*",
    ],
)  # fmt: skip
def test_in_markdown_nothing_is_markup(text: str) -> None:
    """As GitHub reads it: CommonMark with tables, strikethrough and bare addresses."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = reader.parse(markdown(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert {child.type for child in tokens[1].children} <= {"text", "text_special", "entity"}
    assert "://" not in markdown(text)
    (span,) = reader.parse(markdown_code(text))[1].children
    assert span.type == "code_inline"


@given(strategies.text())
def test_any_text_is_one_line(text: str) -> None:
    for show in (terminal, markdown, markdown_code):
        assert show(text) == "" or show(text).isprintable()
