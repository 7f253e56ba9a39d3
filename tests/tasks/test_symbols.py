"""Symbol sets: those that ship, pages of one's own, and their rows against the reference."""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from listops_bench.errors import InvalidInput
from listops_bench.tasks import _own, task as task_module
from listops_bench.tasks.curriculum import parse_curriculum
from listops_bench.tasks.expression import completion_text, decisive_depth, evaluate, is_reduction, parse, render, trace
from listops_bench.tasks.generator import generate, rows_checksum
from listops_bench.tasks.operations import OPERATIONS, laws
from listops_bench.tasks.pages import own_pages, remember_pages
from listops_bench.tasks.split import RULES, SPLITS, assign, canonical, form_hash, home_of
from listops_bench.tasks.symbols import Symbols, find_symbols, symbol_sets, vocabulary
from listops_bench.tasks.task import get_task, single_tasks, task_order
from listops_bench.tasks.training_kinds import training_kind
from tests.support.extent import CHECK_ALL
from tests.support.symbol_sets import group, random_latin, random_symmetric, tables

TICK = [[(a + 2 * b) % 5 for b in range(5)] for a in range(5)]  # neither commutative nor associative
PAGE: dict[str, Any] = {"size": 5, "operations": {"tick": {"table": TICK, "operands": "odd"}, "top": {"like": "max"}}}


def page(folder: Path, name: str = "clock.yaml", **changes: Any) -> Path:
    """A page of one operation and a built-in one; ``changes`` are to the page, or to its operation."""
    content = {key: changes.get(key, value) for key, value in PAGE.items()}
    content |= {key: changes[key] for key in ("sise", "symbols") if key in changes}
    if "operations" not in changes:
        own = {key: value for key, value in changes.items() if key not in content}
        content["operations"] = PAGE["operations"] | {"tick": PAGE["operations"]["tick"] | own}
    path = folder / name
    path.write_text(json.dumps(content))
    return path


# --- what ships -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "points", "even"), [("s3", 3, False), ("a4", 4, True), ("s4", 4, False), ("a5", 5, True)]
)
def test_permutations_are_what_their_page_says(word: str, points: int, even: bool) -> None:
    symbols, elements = find_symbols(word), group(points, even=even)
    assert symbols.labels == tuple("".join(str(point + 1) for point in p) for p in elements)
    assert {name: [list(row) for row in op.table] for name, op in symbols.operations.items()} == tables(elements)
    assert laws(symbols.operations["perm"]) == "associative, identity 0"


def test_random_tables_are_pinned() -> None:
    found = find_symbols("tables").operations
    assert [list(row) for row in found["rsum"].table] == random_symmetric()
    assert [list(row) for row in found["lat"].table] == random_latin()
    assert all(sorted(line) == list(range(10)) for t in [found["lat"].table] for line in (*t, *zip(*t, strict=True)))
    assert (laws(found["rsum"]), laws(found["lat"])) == ("commutative", "neither commutative nor associative")


def test_scrambled_operations_say_nothing_of_the_numbers() -> None:
    """The criteria of the page, for five sums under an order of the numbers and for one sum under another order."""
    operations = find_symbols("scrambled").operations
    sums = [op.permutation for name, op in operations.items() if re.fullmatch("ssum[1-5]", name)]
    (order,) = {operations[name].permutation for name in ("smax", "smin", "smed")}
    assert len({tuple(map(tuple, _ssum_table(p))) for p in sums}) == 5
    numbers = np.arange(10)
    for p in map(np.array, [*sums, np.argsort(order)]):
        quadratic = np.vander(numbers, 3)
        for k in range(1, 6):
            character = np.exp(2j * np.pi * k * p / 10)
            rest = character - quadratic @ np.linalg.lstsq(quadratic.astype(complex), character, rcond=None)[0]
            assert 1 - np.sum(abs(rest) ** 2) / np.sum(abs(character - character.mean()) ** 2) <= 0.25
        far = abs(numbers - 4.5)
        pairs = far[p % 2 == 0][:, None] - far[p % 2 == 1][None]
        assert 0.4 <= np.mean(np.sign(pairs) / 2 + 0.5) <= 0.6
        assert 3.2 <= np.mean([np.ptp(numbers[p % 5 == rest]) for rest in range(5)]) <= 4.2
        assert abs(np.corrcoef(p, numbers)[0, 1]) <= 0.1
        assert 0.4 <= np.mean(p % 2 == numbers % 2) <= 0.6


def _ssum_table(p: Sequence[int]) -> list[list[int]]:
    return [[p.index((p[a] + p[b]) % 10) for b in range(10)] for a in range(10)]


def test_an_operation_under_other_names_is_the_same_up_to_them() -> None:
    operations = find_symbols("scrambled").operations
    for name, likes in {"ssum3": "sum", "smax": "max", "smin": "min", "smed": "med"}.items():
        operation, plain = operations[name], operations[likes]
        for values in itertools.product(range(10), repeat=3):
            named = [operation.permutation[value] for value in values]
            assert operation.permutation[operation.apply(values, 10)] == plain.apply(named, 10)
        assert laws(operation) == laws(plain)


def test_a_set_has_one_vocabulary() -> None:
    assert " ".join(vocabulary(find_symbols("s3"))) == "<pad> <eos> <unk> = ] [PERM [POINT [SIGN 0 1 2 3 4 5"
    assert vocabulary(get_task("max_med_tables").symbol_set) == vocabulary(get_task("rsum_tables").symbol_set)
    assert {find_symbols(word).word for word in symbol_sets()} == {"a4", "a5", "s3", "s4", "scrambled", "tables"}


def test_a_set_is_a_word_of_the_name() -> None:
    task = get_task("sign_depth3_perm_nrgpt_s3")
    assert (task.name, task.modulus) == ("perm_sign_s3_depth3_nrgpt", 6)
    assert get_task(task.name) == get_task("perm_sign", symbols="s3", max_depth=3, regime="nrgpt") == task
    assert single_tasks("perm_sign_s3") == ("perm_s3", "sign_s3")
    assert sorted(["rsum_tables", "perm_s3", "sum_mod20", "sum"], key=task_order) == [
        "sum", "sum_mod20", "perm_s3", "rsum_tables",
    ]  # fmt: skip
    assert training_kind("max_med_tables:9,rsum_tables:9", "rsum_tables") == "transfer"
    assert training_kind("sum:9", "sum_tables") == "other"


# --- rows against the reference ---------------------------------------------------------------------------------------

TASKS = ("perm_sign_s3", "perm_quotient_s4", "perm_point_a5", "rsum_lat_max_med_nadd_tables", "perm_point_a4_nrgpt",
         "smax_smed_ssum2_scrambled")  # fmt: skip
ALL_TASKS = (
    *TASKS, "rsum_tables", "lat_tables_depth3", "perm_sign_point_quotient_s4_depth3", "quotient_a4", "perm_s3_nrgpt",
    "smin_smed_med_scrambled_nrgpt", "sum_max_med", "nadd_med_mod20_depth3", "ssum_prod_min_mod11", "sum_med_nrgpt",
    "own",
)  # fmt: skip


@pytest.mark.parametrize("name", ALL_TASKS if CHECK_ALL else TASKS)
def test_rows_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    """Values, traces, forms and homes; and no form stands on two sides. 100,000 rows where all is checked."""
    task = get_task(f"tick_top@{page(tmp_path)}" if name == "own" else name)
    symbols, rule = task.symbol_set, RULES[task.hold_out]
    forms: defaultdict[str, set[str]] = defaultdict(set)
    for split in SPLITS:
        rows = generate(task, split, num_rows=1_200 if CHECK_ALL else 40)
        columns = zip(rows.prompts(), rows.completions(), rows.answer.tolist(), rows.forms().tolist(), strict=True)
        for prompt, completion, answer, form in columns:
            expression = parse(prompt, symbols)
            assert (evaluate(expression, symbols), completion_text(expression, symbols, task.trace)) == (
                answer,
                completion,
            )
            lines = [expression, *trace(expression, symbols, task.trace)]
            assert all(is_reduction(*pair, symbols) for pair in itertools.pairwise(lines))
            assert assign(expression, symbols, task.hold_out) == home_of(split)
            assert rule.form_hash(expression, symbols) == form
            assert evaluate(rule.canonical(expression, symbols), symbols) == answer
            known = lines[:-1] if split == "train" and rule.unseen_apart else lines[:1]
            forms[home_of(split)] |= {render(rule.canonical(line, symbols)) for line in known}
        for prompt, depth in zip(rows.prompts()[:20], rows.decisive_depth[:20], strict=True):
            assert decisive_depth(parse(prompt, symbols), symbols) == depth
    assert all(not a & b for a, b in itertools.combinations(forms.values(), 2))


@pytest.mark.parametrize(
    ("word", "one", "other", "same"),
    [
        ("s3", "[PERM 1 [PERM 2 3 ] ]", "[PERM [PERM 1 2 ] 3 ]", True),  # associative
        ("s3", "[PERM 1 2 3 ]", "[PERM 2 1 3 ]", False),
        ("s3", "[SIGN 1 [SIGN 2 3 ] ]", "[SIGN 3 1 2 ]", True),  # and commutative
        ("s3", "[PERM [SIGN 1 2 ] 3 ]", "[PERM [SIGN 2 1 ] 3 ]", True),
        ("s3", "[PERM 1 [PERM 2 [SIGN 3 4 ] 5 ] ]", "[PERM [PERM 1 2 ] [PERM [SIGN 4 3 ] 5 ] ]", True),
        ("s3", "[POINT [POINT 1 2 ] 3 ]", "[POINT 1 2 3 ]", True),  # neither: used from left to right
        ("s3", "[POINT 1 [POINT 2 3 ] ]", "[POINT 1 2 3 ]", False),
        ("tables", "[RSUM 3 [RSUM 2 1 ] ]", "[RSUM 1 2 3 ]", True),  # commutative alone
        ("tables", "[RSUM 1 3 2 ]", "[RSUM 1 2 3 ]", False),
        ("tables", "[LAT [LAT 1 2 ] 3 ]", "[LAT 1 2 3 ]", True),
        ("tables", "[LAT 1 2 3 ]", "[LAT 2 1 3 ]", False),
    ],
)
def test_forms_follow_from_the_laws(word: str, one: str, other: str, same: bool) -> None:
    symbols = find_symbols(word)
    a, b = parse(one, symbols), parse(other, symbols)
    assert (canonical(a, symbols) == canonical(b, symbols)) is same
    assert (form_hash(a, symbols) == form_hash(b, symbols)) is same


def test_rows_of_what_ships_are_pinned() -> None:
    """Any change here is a change of the dataset version."""
    names = ("perm_sign_s3", "perm_point_a5", "rsum_lat_tables")
    sums = {name: rows_checksum(generate(get_task(name), "test", num_rows=300))[:12] for name in names}
    assert sums == {"perm_sign_s3": "701e201ee827", "perm_point_a5": "43f9c005ad61", "rsum_lat_tables": "2675f778e9b0"}


# --- pages of one's own -----------------------------------------------------------------------------------------------


def test_the_page_in_the_docs_is_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    (tmp_path / "clock.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    operations = get_task(f"max_tick@{tmp_path}/clock.yaml").symbol_set.operations
    assert operations["tick"].table == tuple(map(tuple, TICK))
    assert [operation.odd_operands_only for operation in operations.values()] == [True, False, False]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    named = {row[1].strip(" `"): set(re.findall("[A-Z]{3,}[0-9]?", row[3])) for row in rows}
    due = {word: {name.upper() for name in find_symbols(word).operations} for word in symbol_sets()}
    built_in = {name.upper() for name in OPERATIONS}
    assert named == {
        word: names - (built_in if word in ("tables", "scrambled") else set()) for word, names in due.items()
    }


def test_a_page_of_ones_own_is_known_by_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_own, "pages", {})
    rows = tmp_path / "dense.yaml"
    rows.write_text("nest_probability: 0.3\n")
    task = get_task(f"top_tick@{page(tmp_path)}@{rows}")
    clock, dense = task.symbols, task.regime
    assert task.name == f"tick_top_{clock}_{dense}"
    assert task.operand_counts("tick") == (3,)
    assert get_task(f"tick_top@{rows}", symbols=str(tmp_path / "clock.yaml")) == task
    assert get_task(f"tick@{page(tmp_path, 'other.yaml', identity=None)}").symbols.endswith(clock[-12:])
    assert get_task(f"tick@{page(tmp_path, table=TICK[::-1])}").symbols != clock
    kept = own_pages(task.page_words)
    assert set(kept) == {clock, dense}
    monkeypatch.setattr(_own, "pages", {})
    task_module._named_task.cache_clear()
    with pytest.raises(InvalidInput, match=rf"^'{clock}' is somebody's own page; name it by its path"):
        get_task(task.name)
    remember_pages(kept, "run.json")
    found = get_task(task.name)
    assert found == task
    assert {name: op.table for name, op in found.symbol_set.operations.items()}["tick"] == tuple(map(tuple, TICK))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"associative": True},
            r"declared associative, and \(0 \. 0\) \. 1 is not 0 \. \(0 \. 1\)$",
        ),
        ({"commutative": True}, r"operation 'tick' is declared commutative, and 0 \. 1 is not 1 \. 0$"),
        ({"identity": 0}, r"operation 'tick' is declared to have the identity 0, and 0 \. 1 is not 1$"),
        ({"table": [[0, 0], [0, 0]]}, "table of operation 'tick' has 2 rows, and there are 5 symbols"),
        ({"table": [*TICK[:4], [0, 1, 2, 3]]}, "table of operation 'tick', row 4: has 4 entries"),
        ({"table": [*TICK[:4], [0, 1, 2, 3, 5]]}, r"row 4: 5 is not a symbol in 0\.\.4; the nearest valid one is 4"),
        ({"table": [*TICK[:4], "0 1 2 3 x"]}, r"row 4: 'x' is not a symbol in 0\.\.4"),
        ({"tabel": TICK}, "unknown key 'tabel'; did you mean 'table'"),
        ({"sise": 5}, "unknown key 'sise'; did you mean 'size'"),
        ({"size": 65}, r"size 65 is not a number of symbols in 2\.\.64"),
        ({"operands": "even"}, "unknown operands of operation 'tick' 'even'"),
        ({"like": "max"}, "operation 'tick' needs either a table or"),
        ({"operations": {"max": {"table": TICK}}}, r"operation 'max' is built in; write \{like: max\}"),
        ({"operations": {"sum": {"like": "max"}}}, "operation 'sum' is a built-in one and cannot be like 'max'"),
        ({"operations": {"top": {"like": "maxx"}}}, "did you mean 'max'"),
        ({"operations": {"top": {"like": "max", "permutation": "0 1 2 3"}}}, "permutation of operation 'top': has 4"),
        ({"operations": {"top": {"like": "max", "permutation": "0 1 2 3 3"}}}, "'top': 3 stands twice"),
        ({"operations": {"max": {"like": "max", "permutation": "0 1 2 4 3"}}}, "'max' is a built-in one and has no"),
        ({"operations": {"mod5": {"like": "max"}}}, "operation 'mod5': its name becomes a word of task names"),
        ({"operations": {f"o{i}": {"like": "max"} for i in range(17)}}, "a mapping of 1 to 16 names"),
        ({"symbols": ["a"]}, "symbols must be a list of 5 texts"),
    ],
)
def test_bad_pages_get_one_line(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        get_task(f"tick@{page(tmp_path, **changes)}")
    assert "clock.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("perm_s5", "unknown task 'perm_s5'; did you mean 'perm_s"),
        ("prem_s3", "unknown task 'prem_s3'"),
        ("sum_s3", "unknown task 'sum_s3'"),
        ("perm_s3_s4", "a second time"),
        ("perm_s3_mod7", "has modulus 7, and symbols 's3' are 6"),
        ("s3", "one or more different ones of: perm, point, sign"),
        ("tick@clokc", "unknown symbol set 'clokc'"),
    ],
)
def test_bad_names_get_one_line(name: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        get_task(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_curriculum_has_one_vocabulary() -> None:
    # Equal sizes are not equal vocabularies: both of these have 14 tokens.
    assert len(vocabulary(2)) == len(vocabulary(find_symbols("s3")))
    with pytest.raises(InvalidInput, match="need the same symbols: sum_mod2 has modulus 2, perm_s3 has symbols 's3'"):
        parse_curriculum("sum_mod2:5,perm_s3:5")


@pytest.mark.parametrize(
    "values",
    [
        {"size": 5, "operations": {"tick": {"table": ["0 1 2 3 4"] * 4 + ["0 1 2 3 " + "4" * 10_000]}}},
        {"size": 5, "operations": {"tick": {"table": [["0"] * 10_000] * 5}}},
        {"size": 10**9, "operations": {"tick": {"table": []}}},
        {"size": True, "operations": {}},
        {"size": 5, "operations": [1]},
        {"size": 5, "operations": {"../x": {"like": "max"}}},
        {"size": 5, "operations": {"tick": {"like": ["max"]}}},
        {"size": 5, "operations": {"tick": None}},
    ],
)
def test_what_a_record_brings_is_checked(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"^result: pages\.clock_0123456789ab: ") as caught:
        remember_pages({"clock_0123456789ab": values}, "result")
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_two_pages_never_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve digits can be made alike."""
    monkeypatch.setattr(_own, "pages", {})
    monkeypatch.setattr(_own, "digest", lambda page: "0123456789ab")
    for size in (3, 3, 4):
        values = {"size": size, "operations": {"top": {"like": "max"}}}
        if size == 4:
            with pytest.raises(InvalidInput, match="another page of the same name"):
                remember_pages({"clock_0123456789ab": values}, "result")
        else:
            remember_pages({"clock_0123456789ab": values}, "result")
    assert get_task("top_clock_0123456789ab").modulus == 3


def test_what_a_record_brings_has_its_own_name() -> None:
    good = Symbols("", 5, find_symbols("s3").operations)
    with pytest.raises(InvalidInput, match="pages"):
        remember_pages({"clock_0123456789ab": good.changes()}, "result")
    values = find_symbols("s3").changes()
    with pytest.raises(InvalidInput, match="its values are those of"):
        remember_pages({"clock_0123456789ab": values}, "result")
