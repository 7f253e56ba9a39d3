"""The score at the held-out step: was an operation right on operands that training never showed it?

A row of ``test_unseen_operands`` is mostly steps that training did show. The accuracy of its whole trace mixes the two;
this looks at the one step that the split is about, where the model has reached it with the right operands::

    [SUM 3 [MAX 2 9 ] 4 ] =                 SUM meets 3 9 4, a held-out multiset
     [SUM 3 9 4 ] = 6                       reached, and right
     [SUM 3 9 4 ] = 5                       reached, and wrong
     [SUM 3 8 4 ] = 5                       not reached: these are other operands

The multisets are few (22 modulo 10), and a model that has memorised some of them is right whenever they come: rows of
one multiset are no independent evidence. So intervals are clustered by multiset. (Where
ordered triples are held out, see `split`, by triple.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from listops_bench._base.records import Count, Share
from listops_bench.score.completion import completion_lines, read_line
from listops_bench.stats.intervals import clustered_interval
from listops_bench.tasks.expression import Expression, Node, evaluate, parse
from listops_bench.tasks.regime import HoldOut
from listops_bench.tasks.split import RULES
from listops_bench.tasks.symbols import Symbols, symbols_of

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
        correct, n = (sum(cluster[i] for cluster in clusters.values()) for i in (0, 1))
        low, high = clustered_interval(list(clusters.values()))
        accuracy = correct / n if n else 0.0
        return cls(steps, n, correct, len(clusters), round(accuracy, 6), round(low, 6), round(high, 6))


def held_out_steps(
    prompts: Iterable[str], completions: Iterable[str], modulus: Symbols | int = 10, hold_out: HoldOut = "multisets"
) -> dict[str, HeldOutSteps]:
    """The score of the held-out steps of some rows, by operation."""
    steps = Counter[str]()
    clusters: defaultdict[str, dict[Multiset, tuple[int, int]]] = defaultdict(dict)
    for prompt, completion in zip(prompts, completions, strict=True):
        root, held_out = _held_out_in(prompt, modulus, hold_out)
        lines = [root, *(read_line(line, modulus) for line in completion_lines(completion))]
        for path, step, multiset in held_out:
            steps[step.operation] += 1
            right = _done_rightly(lines, path, step, modulus)
            if right is not None:
                correct, n = clusters[step.operation].get(multiset, (0, 0))
                clusters[step.operation][multiset] = correct + right, n + 1
    return {name: HeldOutSteps.of(steps[name], clusters[name]) for name in sorted(steps)}


@lru_cache(maxsize=8192)
def _held_out_in(
    prompt: str, modulus: Symbols | int, hold_out: HoldOut
) -> tuple[Expression, tuple[tuple[tuple[int, ...], Node, Multiset], ...]]:
    """A prompt's expression, and its held-out steps: where each is, itself, its operands. Kept for the next model."""
    root, found = parse(prompt, modulus), []
    for path, node in _nodes(root, ()):
        values = tuple(evaluate(operand, modulus) for operand in node.operands)
        multiset = RULES[hold_out].held_out(values, symbols_of(modulus).size)
        if multiset is not None:
            found.append((path, Node(node.operation, values), multiset))
    return root, tuple(found)


def _nodes(expression: Expression, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Node]]:
    """Every operation, with the operand numbers that lead to it from the root."""
    if isinstance(expression, Node):
        yield path, expression
        for place, operand in enumerate(expression.operands):
            yield from _nodes(operand, (*path, place))


def _done_rightly(
    lines: Sequence[Expression | None], path: tuple[int, ...], step: Node, modulus: Symbols | int
) -> bool | None:
    """Whether the step was done rightly; None where no line has it, in its place, with its operands."""
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        if line is None:  # not readable: whatever comes after it is no continuation
            return None
        # Where the next line has the step still, another operation was reduced first.
        if _at(line, path) == step and (after is None or _at(after, path) != step):
            return after is not None and _at(after, path) == evaluate(step, modulus)
    return None


def _at(expression: Expression, path: tuple[int, ...]) -> Expression | None:
    for place in path:
        if isinstance(expression, int) or place >= len(expression.operands):
            return None
        expression = expression.operands[place]
    return expression
