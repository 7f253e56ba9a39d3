"""A task as the arrays that the generator's kernels read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from listops_bench.tasks._scan import ALTERNATING, FOLD, MEDIAN, TABLES, TRIPLES
from listops_bench.tasks.expression import OPERATIONS, ssum_permutation
from listops_bench.tasks.split import FACT_OPERANDS, OPERATION_KEYS, held_out_cutoffs, number_key, triple_cutoff
from listops_bench.tasks.task import TaskSpec


@lru_cache(maxsize=64)
def task_tables(task: TaskSpec, *, wider: bool = False) -> Any:
    """A task as the record the kernels read; ``wider`` allows each operation its next operand count."""
    names = list(OPERATIONS)
    tables = np.zeros(1, TABLES)[0]
    tables["modulus"], tables["max_tokens"] = task.modulus, task.max_tokens
    tables["nest_below"] = int(task.nest_probability * 2**53)
    tables["num_used"] = len(task.operations)
    for i, name in enumerate(task.operations):
        counts, a = task.operand_counts(name, wider=wider), names.index(name)
        tables["used_A"][i] = a
        tables["arities_AK"][a, : len(counts)], tables["num_arities_A"][a] = counts, len(counts)
        tables["widest_A"][a] = counts[-1] if wider else 0
    kinds = {"nadd": ALTERNATING, "med": MEDIAN}
    tables["kind_A"] = [kinds.get(name, FOLD) for name in names]
    tables["associative_A"] = [operation.associative for operation in OPERATIONS.values()]
    tables["operation_keys_A"] = list(OPERATION_KEYS.values())
    tables["number_keys_n"][: task.modulus] = [number_key(v) for v in range(task.modulus)]
    tables["fold_A2nn"][:, :, : task.modulus, : task.modulus] = _fold_tables(task.modulus)
    if task.hold_out == "triples":
        tables["hold_out"], tables["triple_cutoff"] = TRIPLES, triple_cutoff(task.modulus)
        return tables
    for size in range(FACT_OPERANDS, int(tables["arities_AK"].max()) + 1):
        cutoffs = held_out_cutoffs(task.modulus, size)
        tables["held_patterns_K"][size] = 0 if 0 in cutoffs else len(cutoffs)
        tables["held_codes_KP"][size, : len(cutoffs)] = list(cutoffs)
        tables["held_cutoffs_KP"][size, : len(cutoffs)] = list(cutoffs.values())
    return tables


def _fold_tables(n: int) -> npt.NDArray[np.uint8]:
    """uint8 [A, 2, n, n]: the value after one more operand, for operands at even and at odd positions."""
    a, b = np.arange(n)[:, None], np.arange(n)[None]
    p = np.array(ssum_permutation(n))
    by_name = {
        "sum": (a + b) % n, "prod": a * b % n, "ssum": np.argsort(p)[(p[a] + p[b]) % n],
        "max": np.maximum(a, b), "min": np.minimum(a, b),
    }  # fmt: skip
    tables = np.zeros((len(OPERATIONS), 2, n, n), np.uint8)
    for i, name in enumerate(OPERATIONS):
        if name == "nadd":
            tables[i] = (a + b) % n, (a - b) % n
        elif name in by_name:
            tables[i] = by_name[name]
    return tables
