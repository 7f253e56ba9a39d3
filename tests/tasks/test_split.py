from collections import Counter
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import assume, given, strategies as st

from listops_bench.tasks.expression import Node, parse, render, trace
from listops_bench.tasks.split import (
    assign,
    canonical,
    form_hash,
    held_out_multisets,
    held_out_operations,
    home,
    is_held_out,
)
from tests.support.strategies import expressions, rewritten


def test_canonical_forms_by_hand() -> None:
    for text, form in (
        ("[SUM 3 [SUM 2 1 ] ]", "[SUM 1 2 3 ]"),
        ("[NADD 3 9 1 ]", "[NADD 1 9 3 ]"),
        ("[MED 9 [MED 3 2 1 ] 4 ]", "[MED 4 9 [MED 1 2 3 ] ]"),
        ("[NADD 2 [NADD 1 2 ] ]", "[NADD 2 [NADD 1 2 ] ]"),
    ):
        assert render(canonical(parse(text))) == form


@given(expressions(), st.data())
def test_order_and_associativity_change_neither_form_nor_hash_nor_home(e: Node, data: st.DataObject) -> None:
    other = data.draw(rewritten(e))
    assert canonical(other) == canonical(e) == canonical(canonical(e))
    assert form_hash(other) == form_hash(e)
    assert home(other) == home(e)
    assert {assign(e), assign(other)} - {None} <= {home(e)}


@given(expressions(), expressions())
def test_different_forms_have_different_hashes(e: Node, other: Node) -> None:
    assume(canonical(e) != canonical(other))
    assert form_hash(e) != form_hash(other)


def test_hashes_are_pinned() -> None:
    """Every row of every dataset version rests on these."""
    assert form_hash(parse("[SUM 1 [MAX 2 3 ] ]")) == form_hash(parse("[SUM [MAX 3 2 ] 1 ]"))
    assert f"{form_hash(parse('[SUM 1 [MAX 2 3 ] ]')):016x}" == "e2d9083bd99b97b5"
    assert held_out_multisets(10)[:4] == [(0, 2, 2), (0, 2, 6), (0, 4, 9), (1, 1, 3)]


@pytest.mark.parametrize(
    ("modulus", "size", "count"), [(10, 3, 22), (10, 4, 72), (10, 5, 200), (20, 3, 154), (11, 3, 29), (2, 3, 1)]
)
def test_exactly_a_tenth_of_the_operand_multisets_is_held_out(modulus: int, size: int, count: int) -> None:
    assert len(held_out_multisets(modulus, size)) == count


def test_held_out_multisets_are_stratified_by_repeats() -> None:
    """Modulo 10 there are 120 triples of three different numbers, 90 with a pair and 10 of one number."""
    assert Counter(len(set(m)) for m in held_out_multisets(10)) == {3: 12, 2: 9, 1: 1}


@given(st.lists(st.integers(0, 9), min_size=2, max_size=5), st.data())
def test_being_held_out_does_not_depend_on_order(values: list[int], data: st.DataObject) -> None:
    shuffled = tuple(data.draw(st.permutations(values)))
    assert is_held_out(tuple(values), 10) == is_held_out(shuffled, 10)
    assert len(values) > 2 or not is_held_out(shuffled, 10)


@given(expressions())
def test_no_train_expression_shows_a_held_out_step_or_a_line_from_elsewhere(e: Node) -> None:
    lines = [e, *trace(e, style="parallel"), *trace(e, style="single")]
    if assign(e) == "train":
        assert not any(held_out_operations(line) for line in lines)
        assert {home(line) for line in lines} == {"train"}
    if assign(e) == "test_unseen_operands":
        assert held_out_operations(e)


def test_facts_are_for_training_unless_held_out() -> None:
    held = set(held_out_multisets(10))
    for pair in product(range(10), repeat=2):
        assert assign(Node("max", pair)) == "train"
    for triple in product(range(10), repeat=3):
        expected = "test_unseen_operands" if tuple(sorted(triple)) in held else "train"
        assert assign(Node("med", triple)) == expected


def test_an_expression_whose_form_is_a_held_out_fact_appears_nowhere() -> None:
    a, b, c = held_out_multisets(10)[2]
    assert assign(Node("sum", (a, b, c))) == "test_unseen_operands"
    assert assign(Node("sum", (a, Node("sum", (b, c))))) is None


def test_homes_are_shared_out_as_stated() -> None:
    pairs = list(combinations_with_replacement(range(10), 2))
    forms = [Node("sum", (*pair, Node("max", inner))) for pair in pairs for inner in pairs]
    shares = {place: count / len(forms) for place, count in Counter(map(home, forms)).items()}
    assert shares["test_unseen_operands"] == pytest.approx(0.05, abs=0.015)
    assert shares["train"] == pytest.approx(0.76, abs=0.03)
    assert shares["validation"] == pytest.approx(0.0475, abs=0.015)
    assert shares["test"] == pytest.approx(0.1425, abs=0.025)
