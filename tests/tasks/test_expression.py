import itertools

import pytest
from hypothesis import given, strategies as st

from listops_bench.errors import InvalidInput
from listops_bench.tasks.expression import (
    Expression,
    Node,
    completion_text,
    decisive_depth,
    depth,
    evaluate,
    is_reduction,
    operations_in,
    parse,
    prompt_text,
    render,
    trace,
)
from listops_bench.tasks.operations import OPERATIONS, ssum_permutation, ssum_statistics
from listops_bench.tasks.symbols import vocabulary
from tests.support.strategies import expressions, rewritten

EXAMPLE = Node("sum", (3, Node("max", (2, 9)), 4))


def test_the_drawn_example() -> None:
    assert prompt_text(EXAMPLE) == "[SUM 3 [MAX 2 9 ] 4 ] ="
    assert completion_text(EXAMPLE) == " [SUM 3 9 4 ] = 6"
    assert completion_text(Node("med", (1, 9, 4))) == " 4"


def test_trace_styles_differ_in_lines_not_in_answer() -> None:
    e = parse("[MAX [MIN 1 2 ] [SUM 7 [MAX 3 4 ] ] ]")
    assert [render(line) for line in trace(e, style="parallel")] == ["[MAX 1 [SUM 7 4 ] ]", "[MAX 1 1 ]", "1"]
    assert [render(line) for line in trace(e, style="single")] == [
        "[MAX 1 [SUM 7 [MAX 3 4 ] ] ]",
        "[MAX 1 [SUM 7 4 ] ]",
        "[MAX 1 1 ]",
        "1",
    ]
    assert trace(e, style="none") == [1]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("sum", (7, 8, 9), 4),
        ("prod", (7, 8, 9), 4),
        ("nadd", (1, 5, 3), 9),
        ("max", (4, 9, 1), 9),
        ("min", (4, 9, 1), 1),
        ("med", (4, 9, 1), 4),
    ],
)
def test_operations_by_hand(name: str, values: tuple[int, ...], expected: int) -> None:
    assert evaluate(Node(name, values)) == expected


@given(expressions())
def test_parse_reads_back_what_render_writes(e: Node) -> None:
    assert parse(render(e)) == e
    assert parse(prompt_text(e), modulus=10) == e


@given(expressions(), st.sampled_from(["parallel", "single"]))
def test_every_line_of_a_trace_is_a_correct_reduction(e: Node, style: str) -> None:
    lines = [e, *trace(e, style=style)]  # type: ignore[arg-type]
    assert all(is_reduction(before, after) for before, after in itertools.pairwise(lines))
    assert lines[-1] == evaluate(e)
    assert len(lines) - 1 == (depth(e) if style == "parallel" else len(operations_in(e)))


@given(expressions(), st.data())
def test_a_changed_number_is_no_reduction(e: Node, data: st.DataObject) -> None:
    words = render(trace(e)[0]).split()
    numbers = [i for i, word in enumerate(words) if word.isdigit()]
    i = data.draw(st.sampled_from(numbers))
    words[i] = str((int(words[i]) + data.draw(st.integers(1, 9))) % 10)
    assert not is_reduction(e, parse(" ".join(words)))
    assert not is_reduction(e, e)


@given(expressions(), st.data())
def test_value_is_the_same_under_associativity_and_order(e: Node, data: st.DataObject) -> None:
    assert evaluate(data.draw(rewritten(e))) == evaluate(e)


def _brute_decisive_depth(e: Expression, modulus: int) -> int:
    """Replaces what stands deeper than d by every combination of numbers."""
    for d in range(depth(e) + 1):
        holes = _count_deeper(e, d)
        values = {evaluate(_plug(e, d, iter(p)), modulus) for p in itertools.product(range(modulus), repeat=holes)}
        if len(values) == 1:
            return d
    raise AssertionError


def _count_deeper(e: Expression, d: int) -> int:
    if isinstance(e, int):
        return 0
    return 1 if d == 0 else sum(_count_deeper(x, d - 1) for x in e.operands)


def _plug(e: Expression, d: int, numbers: itertools.chain[int]) -> Expression:  # type: ignore[type-arg]
    if isinstance(e, int):
        return e
    return next(numbers) if d == 0 else Node(e.operation, tuple(_plug(x, d - 1, numbers) for x in e.operands))


@given(expressions(modulus=3, max_leaves=8))
def test_decisive_depth_equals_brute_force(e: Node) -> None:
    assert decisive_depth(e, 3) == _brute_decisive_depth(e, 3)


def test_decisive_depth_examples() -> None:
    assert decisive_depth(parse("[MAX 9 [SUM 1 2 ] ]")) == 1
    assert decisive_depth(parse("[MAX 8 [SUM 1 2 ] ]")) == 2
    assert decisive_depth(parse("[PROD 0 [SUM 1 [MAX 1 2 ] ] ]")) == 1


def test_foreign_notations_are_read() -> None:
    assert evaluate(parse("( ( ( ( ( [SM 6 ) 5 ) 9 ) 0 ) ] )")) == 0
    assert parse("( ( [MAX 2 ) ( ( [MIN 4 ) 7 ) ] ) ]") == Node("max", (2, Node("min", (4, 7))))
    median_of_four = parse("[MED 1 2 5 9 ]")
    assert evaluate(median_of_four) == 5
    assert evaluate(median_of_four, median="floor_mean") == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 expressions"),
        ("hello", "'hello'"),
        ("[SUM 1 2", "never closed"),
        ("[SUM 1 2 ] ]", "closes nothing"),
        ("[SUM ]", "closes nothing"),
        ("[SUM 1 06 ]", "'06'"),
        ("[SUM 1 12 ]", "number 12 is outside 0..9"),
        ("[SMU 1 2 ]", "'[SUM'"),
        ("1 2", "2 expressions"),
        ("[MAX " * 200 + "1" + " ]" * 200, "nested deeper"),
    ],
)
def test_bad_expressions_get_one_line(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(text, modulus=10)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["9" * 19, "9" * 5000, "9" * 100_000, "-1", "１", "1_0", "+1", "0x1", "1e3"])
def test_a_number_is_a_short_row_of_digits(number: str) -> None:
    with pytest.raises(InvalidInput, match="is neither a number, an operation nor") as error:
        parse(f"[SUM 1 {number} ] =")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("number", [-1, 10, 10**400])
def test_a_number_outside_the_modulus_has_no_value(name: str, number: int) -> None:
    for inner in (number, Node("max", (number, 1))):
        with pytest.raises(InvalidInput, match=r"is outside 0\.\.9; the nearest valid one is"):
            evaluate(Node(name, (1, inner, 2)))


def test_vocabulary_is_closed_and_shared() -> None:
    words = vocabulary(11)
    assert len(set(words)) == len(words) == 5 + len(OPERATIONS) + 11
    assert words[:10] == vocabulary(20)[:10]
    with pytest.raises(InvalidInput, match="modulus 1 "):
        vocabulary(1)


def test_ssum_is_pinned_and_shares_little_with_the_numbers() -> None:
    assert ssum_permutation(10) == (5, 7, 3, 8, 0, 2, 6, 1, 4, 9)
    statistics = ssum_statistics(10)
    assert abs(statistics["rank_correlation"]) < 0.01
    assert 0.4 <= statistics["parity_agreement"] <= 0.6


@pytest.mark.parametrize("modulus", [2, 3, 5, 10, 11, 20, 31])
def test_ssum_is_a_renamed_sum_and_not_sum(modulus: int) -> None:
    p = ssum_permutation(modulus)
    assert sorted(p) == list(range(modulus))
    pairs = list(itertools.product(range(modulus), repeat=2))
    values = [evaluate(Node("ssum", pair), modulus) for pair in pairs]
    assert all(p[v] == (p[a] + p[b]) % modulus for v, (a, b) in zip(values, pairs, strict=True))
    assert values != [(a + b) % modulus for a, b in pairs]


@pytest.mark.parametrize("number", [10, -1, 12, 10**400])
@pytest.mark.parametrize("name", OPERATIONS)
def test_numbers_outside_the_modulus_are_refused_by_every_function(number: int, name: str) -> None:
    node = Node(name, (1, 2, number))
    for work in (evaluate, trace, completion_text, decisive_depth):
        with pytest.raises(InvalidInput, match=r"is outside 0\.\.9; the nearest valid one is [09]$"):
            work(node, 10)
