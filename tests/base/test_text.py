"""Pieces of text that many packages write; names made by `slug` are on disks and must not change."""

import pytest

from listops_bench._base.text import LEFT, RIGHT, count, markdown_table, one_line, slug, utc_timestamp, version_order
from listops_bench.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("org/name (v1.2)", {}, "org-name-v1-2"),
        ("org/name (v1.2)", {"keep": "."}, "org-name-v1.2"),
        ("looped_d048-max_med:1200,sum:1800/until=0.95", {}, "looped_d048-max_med-1200-sum-1800-until-0-95"),
        ("a" * 200, {}, "a" * 120),
        ("a" * 200, {"max_length": None}, "a" * 200),
        ("a-b", {"max_length": 2}, "a"),
        ("../..", {}, "model"),
    ],
)
def test_slug(text: str, options: dict[str, str], expected: str) -> None:
    assert slug(text, **options) == expected


@pytest.mark.parametrize(
    ("error", "with_type", "expected"),
    [
        (ValueError("a\n  b"), False, "a b"),
        (ValueError("a\n  b"), True, "ValueError: a b"),
        (InvalidInput("no such task"), True, "no such task"),
        (KeyError(), False, "KeyError"),
        (ValueError("x" * 500), False, "x" * 197 + "..."),
        (InvalidInput("x" * 500), False, "x" * 500),
    ],
)
def test_an_error_on_one_line(error: Exception, with_type: bool, expected: str) -> None:
    assert one_line(error, with_type=with_type) == expected


def test_a_table_without_rows_is_nothing() -> None:
    columns = [("task", LEFT), ("rows", RIGHT)]
    assert markdown_table(columns, []) == ""
    assert markdown_table(columns, [["sum", "5"]]).splitlines() == ["| task | rows |", "| --- | ---: |", "| sum | 5 |"]


def test_counts_and_times() -> None:
    assert (count(1, "seed"), count(2000, "seed")) == ("1 seed", "2,000 seeds")
    assert utc_timestamp(0) == "1970-01-01T00:00:00Z"


def test_versions_are_sorted_by_their_numbers() -> None:
    assert sorted(["1.10", "2.0", "1.9"], key=version_order) == ["1.9", "1.10", "2.0"]
