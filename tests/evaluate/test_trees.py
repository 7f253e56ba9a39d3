"""Rows as trees of their prefixes: every token of every row once, and what rows begin with alike once for all."""

from collections import Counter

import numpy as np
import pytest

from listops_bench.evaluate._trees import trees
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task


@pytest.mark.parametrize(("task", "most"), [("sum", 10_000), ("sum_max", 64), ("med", 1)])
def test_each_prefix_is_one_node(task: str, most: int) -> None:
    rows = generate(get_task(task), "train", num_rows=200)
    random = np.random.default_rng(0)
    chosen = random.permutation(200)[:150]
    lengths = random.integers(1, rows.num_tokens[chosen] + 1)
    begins = rows.offsets[chosen]
    wanted = Counter(
        tuple(rows.ids[begin : begin + length].tolist()) for begin, length in zip(begins, lengths, strict=True)
    )
    found = Counter[tuple[int, ...]]()
    for tree in trees(rows, chosen, lengths, most):
        assert len(tree.ids) <= most or len(tree.rows) == 1
        prefixes = set()
        for row, nodes in zip(tree.rows, tree.nodes, strict=True):
            (length,) = lengths[chosen == row]
            found[tuple(tree.ids[nodes[:length]].tolist())] += 1
            prefixes |= {tuple(tree.ids[nodes[: end + 1]].tolist()) for end in range(length)}
        own = tree.nodes[tree.owners, tree.places]
        assert own.tolist() == list(range(len(tree.ids))) == list(range(len(prefixes)))
    assert found == wanted
