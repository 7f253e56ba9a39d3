"""The scorer: strict rules, each trap by name, and properties that hold for every expression."""

import re

import pytest
from hypothesis import given, strategies as st
from scipy.stats import binomtest

from listops_bench.errors import InvalidInput
from listops_bench.score import completion as module
from listops_bench.score.completion import (
    METRICS,
    Metrics,
    Score,
    completion_lines,
    count_first_wrong_steps,
    difficulty,
    final_answer,
    score,
    score_of_trace,
    summarise,
    summarise_slices,
)
from listops_bench.stats.intervals import Summary, wilson_interval
from listops_bench.tasks.expression import TRACE_STYLES, Node, TraceStyle, completion_text, depth, evaluate, prompt_text
from tests.support.strategies import expressions

PROMPT = "[SUM 3 [MAX 2 9 ] 4 ] ="  # " [SUM 3 9 4 ] = 6"

CASES = {
    #                              answer  trace  steps valid first wrong
    " [SUM 3 9 4 ] = 6":            (True, True, 2, 2, None),
    " [SUM 3 8 4 ] = 6":            (True, False, 2, 0, 1),      # right by luck, after a wrong step
    " [SUM 3 8 4 ] = 5":            (False, False, 2, 1, 1),     # a right step from a wrong line
    " [SUM 3 9 4 ] = 5":            (False, False, 2, 1, 2),
    " [SUM 3 9 4 ] = 06":           (False, False, 2, 1, 2),     # not how 6 is written
    " [SUM 3 9 4 ] = +6":           (False, False, 2, 1, 2),
    " [SUM 3 9 4 ] = 6.":           (False, False, 2, 1, 2),
    " [SUM 3 9 4 ] = 6 6":          (False, False, 2, 1, 2),
    " [SUM 3 9 4 ] = ６":           (False, False, 2, 1, 2),     # a digit, of another script
    " [SUM 3 9 4 ] = 6 = 6":        (False, False, 3, 2, 3),     # goes on after the answer
    " [SUM 3 9 4 ] = 6 = [SUM 3":   (False, False, 3, 2, 3),
    " [SUM 3 9 4 ] = 6 =":          (False, False, 3, 2, 3),
    " [SUM 3 9 4 ] = 16":           (False, False, 2, 1, 2),     # contains the answer
    " [SUM 3 9 4 ]":                (False, False, 1, 1, 2),     # no answer
    " [SUM 3 9 4 ] =":              (False, False, 2, 1, 2),
    " [SUM 3 9 4 ] = = 6":          (False, False, 3, 1, 2),     # an empty line
    " = 6":                         (False, False, 2, 0, 1),
    " [SUM 3 9 4 ] =  6":           (False, False, 2, 1, 2),     # two spaces
    " [SUM 3 9 4 ]\n= 6":           (False, False, 1, 0, 1),     # a new line is no space
    " [SUM 3 9 4 ] = 6\n":          (True, True, 2, 2, None),    # white space at the ends does not count
    "[SUM 3 9 4 ] = 6":             (True, True, 2, 2, None),
    "":                             (False, False, 0, 0, 1),
    "  \n ":                        (False, False, 0, 0, 1),
    " 6":                           (True, False, 1, 0, 1),      # the answer at once
    " 6 = 6":                       (False, False, 2, 0, 1),
    " = ".join([" [SUM 3 9 4 ]"] * 40): (False, False, 40, 1, 2),  # a loop up to the limit
    " [SUM 3 (9) 4 ] = 6":          (True, False, 2, 0, 1),      # parse() takes parentheses, a trace has none
    " [sum 3 9 4 ] = 6":            (True, False, 2, 0, 1),
    " [SM 3 9 4 ] = 6":             (True, False, 2, 0, 1),
    " 0 [SUM 3 9 4 ] = 6":          (True, False, 2, 0, 1),
    " [SUM 3 9 14 ] = 6":           (True, False, 2, 0, 1),      # a number outside the modulus
}  # fmt: skip


@pytest.mark.parametrize("completion", CASES)
def test_every_trap(completion: str) -> None:
    assert score(PROMPT, completion) == Score(*CASES[completion])


def test_the_table_of_the_docstring_is_what_the_scorer_says() -> None:
    line = re.compile(
        r"^    ( \[SUM .*?|\(empty\)) {2,}(right|wrong) +(right|wrong) +(\d) of (\d) +(\d|-)(?: +\D.*)?$", re.MULTILINE
    )
    rows = line.findall(module.__doc__ or "")
    assert len(rows) == 7
    for completion, answer, trace, valid, steps, first in rows:
        wrong = None if first == "-" else int(first)
        expected = Score(answer == "right", trace == "right", int(steps), int(valid), wrong)
        assert score(PROMPT, "" if completion == "(empty)" else completion) == expected


def test_a_hostile_completion_is_wrong_and_nothing_worse() -> None:
    deep = "[SUM 1 " * 5000 + "2" + " ]" * 5000
    for completion in (f" {deep}", f" {deep} = 6", " " + "9" * 10_000, " [SUM " + "9" * 10_000 + " 4 ] = 6", " ] = 6"):
        assert score(PROMPT, completion).valid_steps == 0


def test_any_order_of_reductions_is_a_valid_trace_but_only_the_reference_is_exact() -> None:
    prompt = "[SUM [MAX 2 9 ] [MIN 2 9 ] ] ="
    assert score(prompt, " [SUM 9 2 ] = 1") == Score(True, True, 2, 2, None)
    assert score(prompt, " [SUM [MAX 2 9 ] 2 ] = [SUM 9 2 ] = 1") == Score(True, False, 3, 3, None)
    assert score(prompt, " [SUM 9 [MIN 2 9 ] ] = [SUM 9 2 ] = 1", trace="single") == Score(True, True, 3, 3, None)


def test_the_reference_decides_where_it_is_given() -> None:
    # NYU's and LRA's median of an even number of operands is the mean of the middle two.
    assert score("[MED 2 4 ] =", " 3", " 3").answer
    assert not score("[MED 2 4 ] =", " 3").answer


def test_the_modulus_decides() -> None:
    assert score("[SUM 19 2 ] =", " 1", modulus=20).trace
    with pytest.raises(InvalidInput, match=r"number 19 is outside 0\.\.9"):
        score("[SUM 19 2 ] =", " 1")


@pytest.mark.parametrize("prompt", ["", "=", "[SUM 1 2", "SUM 1 2 ]", "[SUM 1 2 ] 3", "[SUN 1 2 ]"])
def test_a_prompt_that_is_no_expression_is_an_error(prompt: str) -> None:
    with pytest.raises(InvalidInput):
        score(prompt, " 1")


@given(expressions(), st.sampled_from(TRACE_STYLES))
def test_the_reference_is_right_in_every_way(expression: Node, style: TraceStyle) -> None:
    found = score(prompt_text(expression), completion_text(expression, style=style), trace=style)
    assert found.answer
    assert found.trace
    if style != "none":
        assert found.num_steps == found.valid_steps == len(completion_lines(completion_text(expression, style=style)))
        assert found.first_wrong_step is None
        assert found == score_of_trace(completion_text(expression, style=style))


@given(expressions(max_leaves=6), st.data())
def test_a_changed_token_is_never_exact_and_no_wrong_step_means_a_right_answer(
    expression: Node, data: st.DataObject
) -> None:
    tokens = completion_text(expression).split()
    place = data.draw(st.integers(0, len(tokens) - 1))
    others = {"=", "]", "[SUM", "[MAX", "0", "5", "06", ""} - {tokens[place]}
    token = data.draw(st.sampled_from(sorted(others)))
    completion = " " + " ".join([*tokens[:place], token, *tokens[place + 1 :]])
    found = score(prompt_text(expression), completion)
    assert not found.trace or completion.strip() == completion_text(expression).strip()
    if found.first_wrong_step is None:
        assert found.answer
        assert found.valid_steps == found.num_steps
    else:
        assert found.valid_steps < found.num_steps or found.first_wrong_step == found.num_steps + 1


@given(st.text(alphabet="[]SUM=0123456789 \n", max_size=60))
def test_any_text_has_a_score(completion: str) -> None:
    found = score(PROMPT, completion)
    assert 0 <= found.valid_steps <= found.num_steps
    assert not found.trace or found.answer
    assert score(PROMPT, f"  {completion}\n") == found


@pytest.mark.parametrize("answer", range(10))
def test_digits_alone_earn_no_trace(answer: int) -> None:
    # A model that writes one digit for everything is at chance in answers and at zero in traces.
    assert score(PROMPT, f" {answer}") == Score(answer == 6, False, 1, 0, 1)


def test_final_answer() -> None:
    answers = {" [SUM 3 9 4 ] = 6": "6", "6": "6", " 6 = 6": None, " x = y = 6": "6", "The answer is 6": None, "": None}
    assert {completion: final_answer(completion) for completion in answers} == answers


# --- many rows --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 6000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_interval_equals_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    correct = data.draw(st.integers(0, n))
    low, high = wilson_interval(correct, n, confidence)
    if n == 0:
        assert (low, high) == (0, 1)
        return
    expected = binomtest(correct, n).proportion_ci(confidence, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert 0 <= low <= correct / n <= high <= 1


@pytest.mark.parametrize(("correct", "n"), [(-1, 10), (11, 10)])
def test_wilson_interval_of_impossible_counts(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match="correct of 10"):
        wilson_interval(correct, n)


@given(st.integers(0, 10_000), st.data())
def test_a_summary_holds_its_own_accuracy(n: int, data: st.DataObject) -> None:
    summary = Summary.of(data.draw(st.integers(0, n)), n)
    assert 0 <= summary.low <= summary.accuracy <= summary.high <= 1


SCORES = [
    Score(True, True, 2, 2, None),
    Score(True, False, 2, 0, 1),
    Score(False, False, 3, 1, 2),
    Score(False, False, 0, 0, 1),
]


def test_summaries_count_rows_and_valid_steps_count_lines() -> None:
    found = summarise(SCORES)
    assert found == Metrics(Summary.of(2, 4), Summary.of(1, 4), Summary.of(3, 7))
    assert summarise([]).valid_step_rate == Summary(0, 0, 0.0, 0.0, 1.0)
    assert count_first_wrong_steps(SCORES) == {"1": 2, "2": 1}


def test_slices_add_up_and_come_in_the_order_of_their_values() -> None:
    slices = summarise_slices(SCORES, {"depth": [10, 2, 2, 9], "root_operation": ["sum", "max", "sum", "sum"]})
    assert list(slices["depth"]) == ["2", "9", "10"]
    assert list(slices["root_operation"]) == ["max", "sum"]
    for groups in slices.values():
        for metric in METRICS:
            assert sum(getattr(g, metric).n for g in groups.values()) == getattr(summarise(SCORES), metric).n
    with pytest.raises(ValueError, match="zip"):
        summarise_slices(SCORES, {"depth": [1]})


def test_difficulty_of_a_prompt() -> None:
    assert difficulty("[MED 1 [SUM 2 3 4 5 ] 6 ] =") == {
        "depth": 2, "root_operation": "med", "operand_count": 4, "decisive_depth": 2,
    }  # fmt: skip


@given(expressions())
def test_difficulty_is_that_of_the_expression(expression: Node) -> None:
    found = difficulty(prompt_text(expression))
    assert found["depth"] == depth(expression)
    assert 0 <= int(found["decisive_depth"]) <= depth(expression)
    assert final_answer(completion_text(expression)) == str(evaluate(expression))
