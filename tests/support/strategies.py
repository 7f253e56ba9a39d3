"""Hypothesis strategies for expressions, and random rewrites that keep the canonical form."""

from hypothesis import strategies as st

from listops_bench.tasks.expression import Expression, Node
from listops_bench.tasks.operations import OPERATIONS


def expressions(
    modulus: int = 10, operations: tuple[str, ...] = tuple(OPERATIONS), max_leaves: int = 12
) -> st.SearchStrategy[Node]:
    """Operations nested a few levels, on 2 to 4 operands (MED: 3 or 5)."""
    numbers = st.integers(0, modulus - 1)

    def nodes(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Node]:
        def of(name: str) -> st.SearchStrategy[Node]:
            counts = [k for k in (2, 3, 4, 5) if OPERATIONS[name].takes(k)]
            operands = st.sampled_from(counts).flatmap(lambda k: st.tuples(*[children] * k))
            return operands.map(lambda operands: Node(name, operands))

        return st.sampled_from(operations).flatmap(of)

    return nodes(st.recursive(numbers, nodes, max_leaves=max_leaves))


@st.composite
def rewritten(draw: st.DrawFn, expression: Expression) -> Expression:
    """The same expression up to operand order and associativity: shuffled where allowed, regrouped at random."""
    if isinstance(expression, int):
        return expression
    operation = OPERATIONS[expression.operation]
    operands = [draw(rewritten(x)) for x in expression.operands]
    if operation.symmetry == "all":
        operands = draw(st.permutations(operands))
    elif operation.symmetry == "alternating":
        operands[0::2] = draw(st.permutations(operands[0::2]))
        operands[1::2] = draw(st.permutations(operands[1::2]))
    if operation.associative and len(operands) > 2 and draw(st.booleans()):
        cut = draw(st.integers(2, len(operands) - 1))
        operands = [Node(expression.operation, tuple(operands[:cut])), *operands[cut:]]
    return Node(expression.operation, tuple(operands))
