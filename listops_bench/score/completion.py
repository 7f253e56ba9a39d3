"""The score of a completion: the authority that every harness has to agree with. Plain Python, no torch, no numpy.

A completion is text. It is read after ``str.strip()`` and taken apart at single spaces, nothing else: harnesses strip
what a model wrote (or not), so white space at the ends cannot matter; inside, two spaces or a new line are not one
space. Special tokens are no part of it: every harness decodes with ``skip_special_tokens=True``, so `predict` does too.
Its *lines* are what stands between its ``=`` tokens::

    prompt      [SUM 3 [MAX 2 9 ] 4 ] =
    completion   [SUM 3 9 4 ] = 6                   lines "[SUM 3 9 4 ]" and "6"

                                    answer  trace  valid steps  first wrong step
     [SUM 3 9 4 ] = 6               right   right      2 of 2          -
     [SUM 3 8 4 ] = 6               right   wrong      0 of 2          1     right by luck, after a wrong step
     [SUM 3 9 4 ] = 5               wrong   wrong      1 of 2          2
     [SUM 3 9 4 ] = 06              wrong   wrong      1 of 2          2     06 is not how 6 is written
     [SUM 3 9 4 ] = 6 = 6           wrong   wrong      2 of 3          3     goes on after the answer
     [SUM 3 9 4 ]                   wrong   wrong      1 of 1          2     no answer
    (empty)                         wrong   wrong      0 of 0          1
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from listops_bench._base.records import Count, Share
from listops_bench.stats.intervals import Summary, interval_by_cluster
from listops_bench.tasks.expression import (
    Expression,
    TraceStyle,
    completion_text,
    decisive_depth,
    depth,
    is_reduction,
    parse,
    render,
)
from listops_bench.tasks.symbols import Symbols

SCORER_VERSIONS = ("1.0",)
"""All that there have been, the newest last; as `tasks.task.DATASET_VERSIONS`."""
SCORER_VERSION = SCORER_VERSIONS[-1]
"""Raised, by a new entry, whenever any completion could get another score; boards never mix versions."""

SLICES = ("depth", "root_operation", "operand_count", "decisive_depth")

_LONE_NUMBER = re.compile(r"[0-9]+")
_LONGEST_REMEMBERED = 512
"""Characters of a line or prompt that is kept with its expression; ours have 128 tokens at the most."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one completion earned.

    Attributes:
        answer: it ends with its first lone number, and that is the right one.
        trace: the whole completion is the reference, exactly.
        num_steps: lines that it consists of.
        valid_steps: those among them that are correct reductions of the line before (of the prompt, for the first one).
        first_wrong_step: 1 for the first line, and so on; where the lines stop before an answer, the missing line
            counts as wrong. None where every step is right up to the answer, in whichever order of reductions.
    """

    answer: bool
    trace: bool
    num_steps: int
    valid_steps: int
    first_wrong_step: int | None


def score(
    prompt: str,
    completion: str,
    reference: str | None = None,
    *,
    modulus: Symbols | int = 10,
    trace: TraceStyle = "parallel",
) -> Score:
    """Scores one completion of one prompt.

    Args:
        prompt: ``"[SUM 3 [MAX 2 9 ] 4 ] ="``, with or without the equals sign.
        completion: what the model wrote after it.
        reference: what it should have written; its last line is the right answer. Computed where it is not given.
        modulus: of the prompt's numbers, or their symbol set.
        trace: the style of the reference where that is computed.

    Raises:
        InvalidInput: the prompt is not a ListOps expression, or has a number outside the modulus.
    """
    expression = (_remembered_prompt if len(prompt) <= _LONGEST_REMEMBERED else parse)(prompt, modulus)
    if reference is None:
        reference = completion_text(expression, modulus, trace)
    lines = completion_lines(completion)
    valid = _valid_steps(expression, lines, modulus)
    finished = bool(lines) and _LONE_NUMBER.fullmatch(lines[-1]) is not None
    judged = valid if finished else [*valid, False]
    return Score(
        answer=_final_line(lines) == completion_lines(reference)[-1],
        trace=completion.strip() == reference.strip(),
        num_steps=len(lines),
        valid_steps=sum(valid),
        first_wrong_step=None if all(judged) else judged.index(False) + 1,
    )


def score_of_trace(trace: str) -> Score:
    """The score of a completion that is the reference, step by step: every line of it is a right one."""
    steps = trace.count("=") + 1
    return Score(answer=True, trace=True, num_steps=steps, valid_steps=steps, first_wrong_step=None)


def completion_lines(completion: str) -> list[str]:
    """The lines of a completion; where two ``=`` meet, or one stands at an end, an empty line is between them."""
    text = completion.strip()
    if not text:
        return []
    # With every space doubled, each "=" has two of its own, also where two of them meet.
    doubled = text.replace(" ", "  ")
    return [line[1:-1].replace("  ", " ") for line in f" {doubled} ".split(" = ")]


def final_answer(completion: str) -> str | None:
    """The number that a completion ends with, as it is written; None unless that is its first line of one number.

    >>> final_answer(" [SUM 3 9 4 ] = 6"), final_answer(" 6 = 6"), final_answer("The answer is 6")
    ('6', None, None)
    """
    return _final_line(completion_lines(completion))


def _final_line(lines: Sequence[str]) -> str | None:
    lone = next((i for i, line in enumerate(lines) if _LONE_NUMBER.fullmatch(line)), None)
    if lone is None or lone != len(lines) - 1 or not all(lines):
        return None
    return lines[-1]


def _valid_steps(expression: Expression, lines: Sequence[str], modulus: Symbols | int) -> list[bool]:
    readable: list[Expression | None] = [expression, *(read_line(line, modulus) for line in lines)]
    return [
        before is not None and after is not None and is_reduction(before, after, modulus)
        for before, after in pairwise(readable)
    ]


def read_line(line: str, modulus: Symbols | int) -> Expression | None:
    """The expression of a line that is written exactly as we write it, else None."""
    return (_remembered_line if len(line) <= _LONGEST_REMEMBERED else _read_line)(line, modulus)


def _read_line(line: str, modulus: Symbols | int) -> Expression | None:
    try:
        expression = parse(line, modulus)
    except ValueError:  # InvalidInput (nested too deeply, too), or a number too long for int()
        return None
    return expression if render(expression) == line else None


# Thousands of answers have some hundred lines, and the next model is asked the same prompts.
_remembered_line = lru_cache(maxsize=32_768)(_read_line)
_remembered_prompt = lru_cache(maxsize=32_768)(parse)


# --- many rows --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Metrics:
    """The three metrics over some rows: the first two count rows, ``valid_step_rate`` counts emitted lines."""

    answer_accuracy: Summary
    trace_accuracy: Summary
    valid_step_rate: Summary


METRICS = tuple(field.name for field in dataclasses.fields(Metrics))


def summarise(scores: Iterable[Score]) -> Metrics:
    """The metrics over some rows."""
    rows = list(scores)
    return Metrics(
        Summary.of(sum([row.answer for row in rows]), len(rows)),
        Summary.of(sum([row.trace for row in rows]), len(rows)),
        Summary.of(sum([row.valid_steps for row in rows]), sum([row.num_steps for row in rows])),
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """The ends of a 95% interval."""

    low: Share
    high: Share


@dataclass(frozen=True, slots=True)
class ByForm:
    """The intervals of the metrics with rows of one canonical form (`tasks.split`) as a cluster.

    Such rows differ in operand order and grouping alone, and a model is mostly right or wrong on all of them: they are
    no independent evidence.

    Attributes:
        forms: different ones among the rows.
    """

    forms: Count
    answer_accuracy: Limits
    trace_accuracy: Limits
    valid_step_rate: Limits

    @classmethod
    def of(cls, scores: Sequence[Score], forms: Sequence[int]) -> ByForm:
        """From the score of each row, and what tells its form from others."""
        rows: defaultdict[int, list[Score]] = defaultdict(list)
        for form, row in zip(forms, scores, strict=True):
            rows[form].append(row)
        groups = [rows[form] for form in sorted(rows)]
        answers = [(sum([row.answer for row in group]), len(group)) for group in groups]
        traces = [(sum([row.trace for row in group]), len(group)) for group in groups]
        steps = [(sum([row.valid_steps for row in group]), sum([row.num_steps for row in group])) for group in groups]
        return cls(len(rows), _limits(answers), _limits(traces), _limits(steps))


def _limits(clusters: Sequence[tuple[int, int]]) -> Limits:
    low, high = interval_by_cluster([cluster for cluster in clusters if cluster[1]])
    return Limits(round(low, 6), round(high, 6))


def summarise_slices(
    scores: Sequence[Score], columns: Mapping[str, Sequence[int | str]]
) -> dict[str, dict[str, Metrics]]:
    """The metrics for every value of every column, in the order of the values: ``{"depth": {"1": Metrics(...)}}``."""
    result = {}
    for name, values in columns.items():
        groups: defaultdict[Any, list[Score]] = defaultdict(list)
        for value, row in zip(values, scores, strict=True):
            groups[value].append(row)
        result[name] = {str(value): summarise(groups[value]) for value in sorted(groups)}
    return result


def count_first_wrong_steps(scores: Iterable[Score]) -> dict[str, int]:
    """How many rows go wrong first at step 1, 2, ...; rows without a wrong step are not among them."""
    counts = Counter(row.first_wrong_step for row in scores if row.first_wrong_step is not None)
    return {str(step): n for step, n in sorted(counts.items())}


def difficulty(prompt: str, modulus: Symbols | int = 10) -> dict[str, int | str]:
    """The values of a prompt's `SLICES`.

    ``operand_count`` is that of the widest operation in it, as the splits count it (``test_wider`` goes one beyond).

    >>> difficulty("[MAX 9 [SUM 1 2 3 ] ] =")
    {'depth': 2, 'root_operation': 'max', 'operand_count': 3, 'decisive_depth': 1}
    """
    expression = parse(prompt, modulus)
    return {
        "depth": depth(expression),
        "root_operation": "" if isinstance(expression, int) else expression.operation,
        "operand_count": operand_count(expression),
        "decisive_depth": decisive_depth(expression, modulus),
    }


def operand_count(expression: Expression) -> int:
    """Operands of the widest operation in an expression; 0 for a number."""
    if isinstance(expression, int):
        return 0
    return max(len(expression.operands), *map(operand_count, expression.operands))
