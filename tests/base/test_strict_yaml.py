"""YAML that means one thing to all readers."""

import re
import string
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from listops_bench._base.strict_yaml import MAX_BYTES, loads
from listops_bench.errors import InvalidInput
from tests.support.extent import CHECK_ALL

TEXTS = st.text(string.ascii_letters + string.digits + " _-:,.*#!&'\"\n\té", max_size=20)
TEXTS = TEXTS.filter(
    lambda text: not re.fullmatch(r"[-+]?\d+[eE]\d+", text)
)  # which PyYAML writes as if it were no number
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False)
)
PAGES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@given(PAGES)
@settings(max_examples=1000 if CHECK_ALL else 40)
def test_what_is_written_is_read(page: Any) -> None:
    assert loads(yaml.safe_dump(page).encode(), "page") == page


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E3", 1000.0), ("-.5", -0.5), ("+1", 1), ("0", 0), ("TRUE", True), ("~", None), ("", None),
        ("'010'", "010"), ('"yes"', "yes"), ("max:2,sum:3", "max:2,sum:3"), ("1.2.3", "1.2.3"), ("nan", "nan"),
        ("y", "y"),
    ],
)  # fmt: skip
def test_plain_words(text: str, value: Any) -> None:
    found = loads(f"a: {text}".encode(), "page")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    [
        *("010", "0o10", "0x1f", "0b1", "1_000", "1:30", "1:30:00", "01.5", "2026-01-31", "2026-01-31 10:00:00"),
        *(".inf", "-.INF", ".nan", "yes", "No", "ON", "off", "!!int x", "!!timestamp x", "!!python/object:os.system x"),
        *("! x", "%", "`"),
        *("&a 1", "*a", "9" * 19, "9" * 5000, "-" + "9" * 400, "1e400", "[" * 17 + "]" * 17, "[" * 3000, "{a: " * 3000),
        *("{b: 1, b: 2}", "{1: 2}", "{[1]: 2}", "{yes: 2}", "{null: 2}", "'x", "{", "\0", "\ud800", "1\n---\nb: 2"),
    ],
)  # fmt: skip
def test_what_means_two_things_or_hides_one_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="page") as caught:
        loads(f"a: {text}".encode(errors="surrogatepass"), "page")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_line_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"^page: line 4: key 'b' stands twice"):
        loads(b"a: 1\nb:\n  - 1\nb: 2\n", "page")


def test_a_page_has_an_end() -> None:
    with pytest.raises(InvalidInput, match="bytes"):
        loads(b"#" * (MAX_BYTES + 1), "page")
