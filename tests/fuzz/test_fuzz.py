"""Changed input ends in a value or in one line; a short run of what `make fuzz` does for as long as one likes."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from listops_bench._base import records
from listops_bench.errors import InvalidInput
from listops_bench.result.checks import validate
from listops_bench.result.format import Result
from listops_bench.tasks.curriculum import parse_curriculum
from listops_bench.tasks.expression import parse
from listops_bench.tasks.symbols import parse_symbols
from listops_bench.tasks.task import get_task
from tests.fuzz.attempt import make_base
from tests.fuzz.inputs import KINDS, attempt_once
from tests.fuzz.mutations import PIECES, changed_text, changed_value, json_bytes
from tests.fuzz.pages import CURRICULUM, SYMBOLS
from tests.support.fake_results import result

HONEST = records.encode(result())


def read_result(draw: Random) -> None:
    value: Any = HONEST
    for _ in range(draw.choice([1, 2])):
        value = changed_value(draw, value)
    validate(records.decode(Result, records.loads(json_bytes(draw, value), "result"), "result"))


def read_symbols(draw: Random) -> None:
    made = parse_symbols(changed_value(draw, SYMBOLS), "", "page")
    assert parse_symbols(made.changes(), "", "record").changes() == made.changes()


def read_text(read: Callable[[str], Any], text: str) -> Callable[[Random], None]:
    pieces = (*PIECES, "[SUM ", " ]", "[MED 1 2 ]", "_mod", "_depth9", "*", "/until=", "/freeze=", "/init-parts=", ":")

    def check(draw: Random) -> None:
        changed = text
        for _ in range(draw.choice([1, 1, 3])):
            changed = changed_text(draw, changed, pieces)
        read(changed)

    return check


READERS: dict[str, Callable[[Random], None]] = {
    "result": read_result,
    "symbols": read_symbols,
    "expression": read_text(parse, "[SUM 3 [MAX 2 9 ] 4 ] ="),
    "curriculum": read_text(parse_curriculum, CURRICULUM),
    "task": read_text(get_task, "sum_max_mod20_depth3"),
}


@pytest.mark.parametrize("name", READERS)
@given(st.randoms(use_true_random=False))
def test_changed_input_is_read_or_refused_in_one_line(name: str, draw: Random) -> None:
    refused = ""
    try:
        READERS[name](draw)
    except InvalidInput as error:
        refused = str(error)
    assert "\n" not in refused


def test_the_commands_take_what_strangers_write(tmp_path: Path) -> None:
    base = make_base(tmp_path / "base")
    for kind in KINDS:
        for seed in map(str, range(4)):
            tried = attempt_once(kind, seed, base, tmp_path / kind / seed)
            assert tried.problems == [], (kind, seed, tried.attempt.words, tried.outcome.err)
