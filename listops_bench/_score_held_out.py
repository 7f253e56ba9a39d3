"""The score at the held-out step: was an operation right on operands that training never showed it?

A row of ``test_unseen_operands`` is mostly steps that training did show. The accuracy of its whole trace mixes the two;
this looks at the one step that the split is about, where the model has reached it with the right operands::

    [SUM 3 [MAX 2 9 ] 4 ] =                 SUM meets 3 9 4, a held-out multiset
     [SUM 3 9 4 ] = 6                       reached, and right
     [SUM 3 9 4 ] = 5                       reached, and wrong
     [SUM 3 8 4 ] = 5                       not reached: these are other operands

The multisets are few (22 modulo 10), and a model that has memorised some of them is right whenever they come: rows of
one multiset are no independent evidence. So intervals are clustered by multiset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from listops_bench._records import Count, Share
from listops_bench.expression import Expression, Node, evaluate, parse
from listops_bench.score import completion_lines, normal_quantile, read_line, wilson_interval
from listops_bench.split import is_held_out

Multiset = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HeldOutSteps:
    """An operation on held-out operands.

    Attributes:
        steps: such steps in the rows.
        n: those among them that the model reached with the right operands, and ``correct`` those it did rightly.
        multisets: different operand multisets among the n.
        accuracy, low, high: correct / n, with the 95% interval of `clustered_interval`.
    """

    steps: Count
    n: Count
    correct: Count
    multisets: Count
    accuracy: Share
    low: Share
    high: Share

    @classmethod
    def of(cls, steps: int, clusters: Mapping[Multiset, tuple[int, int]]) -> HeldOutSteps:
        """From ``(correct, n)`` of each multiset."""
        correct, n = (sum(values) for values in zip(*clusters.values(), strict=True)) if clusters else (0, 0)
        low, high = clustered_interval(list(clusters.values()))
        accuracy = correct / n if n else 0.0
        return cls(steps, n, correct, len(clusters), round(accuracy, 6), round(low, 6), round(high, 6))


def held_out_steps(prompts: Iterable[str], completions: Iterable[str], modulus: int = 10) -> dict[str, HeldOutSteps]:
    """The score of the held-out steps of some rows, by operation."""
    steps: dict[str, int] = {}
    clusters: dict[str, dict[Multiset, tuple[int, int]]] = {}
    for prompt, completion in zip(prompts, completions, strict=True):
        root = parse(prompt, modulus)
        lines = [root, *(read_line(line, modulus) for line in completion_lines(completion))]
        for path, node in _nodes(root, ()):
            values = tuple(evaluate(operand, modulus) for operand in node.operands)
            if not is_held_out(values, modulus):
                continue
            name = node.operation
            steps[name] = steps.get(name, 0) + 1
            right = _done_rightly(lines, path, Node(name, values), modulus)
            if right is not None:
                found = clusters.setdefault(name, {})
                correct, n = found.get(tuple(sorted(values)), (0, 0))
                found[tuple(sorted(values))] = correct + right, n + 1
    return {name: HeldOutSteps.of(steps[name], clusters.get(name, {})) for name in sorted(steps)}


def _nodes(expression: Expression, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Node]]:
    """Every operation, with the operand numbers that lead to it from the root."""
    if isinstance(expression, Node):
        yield path, expression
        for place, operand in enumerate(expression.operands):
            yield from _nodes(operand, (*path, place))


def _done_rightly(lines: Sequence[Expression | None], path: tuple[int, ...], step: Node, modulus: int) -> bool | None:
    """Whether the step was done rightly; None where no line has it, in its place, with its operands."""
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        if line is None:  # not readable: whatever comes after it is no continuation
            return None
        if _at(line, path) != step:
            continue
        if after is not None and _at(after, path) == step:  # not yet: another operation was reduced first
            continue
        return after is not None and _at(after, path) == evaluate(step, modulus)
    return None


def _at(expression: Expression, path: tuple[int, ...]) -> Expression | None:
    for place in path:
        if isinstance(expression, int) or place >= len(expression.operands):
            return None
        expression = expression.operands[place]
    return expression


# --- intervals --------------------------------------------------------------------------------------------------------


def clustered_interval(clusters: Sequence[tuple[int, int]], confidence: float = 0.95) -> tuple[float, float]:
    """An interval for a proportion whose observations come in clusters of ``(correct, n)``.

    Wilson's interval for the effective number of observations: n divided by the design effect (the variance of the
    proportion between clusters, over that of n independent observations), and by the square of the t quantile for
    their number over the normal one. E. L. Korn and B. I. Graubard, Confidence intervals for proportions with small
    expected number of positive counts estimated from survey data, Survey Methodology 24 (1998) 193-201, with Wilson's
    interval in place of Clopper and Pearson's. Where every observation is right, or every one wrong, nothing shows how
    far clusters differ, and each counts as one observation.

    >>> clustered_interval([(30, 30)] * 9 + [(0, 30)])[0] < 0.62 < wilson_interval(270, 300)[0]
    True
    """
    total = sum(n for _, n in clusters)
    correct = sum(right for right, _ in clusters)
    count = len(clusters)
    if count < 2:  # one cluster says as much as one observation, and nothing where it disagrees with itself
        return wilson_interval(correct / total, 1, confidence) if total and correct in (0, total) else (0.0, 1.0)
    p = correct / total
    if correct in (0, total):
        effective = float(count)
    else:
        between = count / (count - 1) * sum((right - p * n) ** 2 for right, n in clusters) / total**2
        effective = total / max(1.0, between / (p * (1 - p) / total))
    z = normal_quantile(confidence)
    effective *= (z / _t_quantile(z, count - 1)) ** 2
    return wilson_interval(p * effective, effective, confidence)


def _t_quantile(z: float, freedom: int) -> float:
    """Student's t quantile from the normal one: M. Abramowitz and I. Stegun (1964), 26.7.5; exact for 1 and 2."""
    p = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
