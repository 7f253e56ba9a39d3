"""docs/trust.md names tests that there are, with three others for each kind that was seen."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "trust.md"

_NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`((?: `\[[^`]+`)*)")
"""A test, and the cases of it that follow."""


@cache
def text_of(file: str) -> str:
    return (TESTS / file).read_text(encoding="utf-8")


@cache
def names_in(file: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(text_of(file))) if isinstance(node, ast.FunctionDef)}


def test_every_test_and_case_of_the_page_is_there() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    kinds = [line.strip("| ").split(" | ") for line in lines if "::" in line]
    assert len(kinds) > 30
    for _, held, others in kinds:
        for cell, least in ((held, 1), (others, 3)):
            found = [(file, test, re.findall(r"`\[(.+?)\]?`", cases)) for file, test, cases in _NAMED.findall(cell)]
            assert cell.count("::") == len(found)
            assert sum(max(1, len(cases)) for *_, cases in found) >= least, cell
            for file, test, cases in found:
                assert test in names_in(file), (file, test)
                assert [case for case in cases if case not in text_of(file)] == [], (file, test)
