"""A task as the arrays that the generator's kernels read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_args

import numpy as np

from listops_bench._base.hashing import GOLDEN
from listops_bench.tasks._scan import ANYWHERE, IN_FRONT, NOWHERE, TABLES, TRIPLES
from listops_bench.tasks.operations import Form, Operation, ssum_permutation
from listops_bench.tasks.split import FACT_OPERANDS, held_out_cutoffs, number_key, operation_key, triple_cutoff
from listops_bench.tasks.task import TaskSpec


@lru_cache(maxsize=64)
def task_tables(task: TaskSpec, *, wider: bool = False) -> Any:
    """A task as the record the kernels read; ``wider`` allows each operation its next operand count."""
    symbols = task.symbol_set
    names, operations = list(symbols.operations), list(symbols.operations.values())
    among = slice(len(names))
    tables = np.zeros(1, TABLES)[0]
    tables["modulus"], tables["max_tokens"] = task.modulus, task.max_tokens
    tables["first_number_id"] = symbols.first_number_id
    tables["nest_below"] = int(task.nest_probability * 2**53)
    tables["num_used"] = len(task.operations)
    for i, name in enumerate(task.operations):
        counts, a = task.operand_counts(name, wider=wider), names.index(name)
        tables["used_A"][i] = a
        tables["arities_AK"][a, : len(counts)], tables["num_arities_A"][a] = counts, len(counts)
        tables["widest_A"][a] = counts[-1] if wider else 0
    tables["is_median_A"][among] = [operation.like == "med" for operation in operations]
    for a, operation in enumerate(operations):
        order = np.array(operation.permutation or range(task.modulus))
        below = order[None] < order[:, None]
        tables["below_An"][a, : task.modulus] = below @ (np.uint64(1) << np.arange(task.modulus, dtype=np.uint64))
    tables["form_A"][among] = [get_args(Form).index(operation.form) for operation in operations]
    tables["flattens_A"][among] = [_flattens(operation) for operation in operations]
    tables["has_order"] = any(symbols.operations[name].form in ("sequence", "fold") for name in task.operations)
    tables["fold_step_A"][among] = [1 if operation.symmetry == "pair" else GOLDEN for operation in operations]
    tables["operation_keys_A"][among] = list(map(operation_key, names))
    tables["number_keys_n"][: task.modulus] = [number_key(v) for v in range(task.modulus)]
    for a, operation in enumerate(operations):
        tables["fold_A2nn"][a, :, : task.modulus, : task.modulus] = _fold_tables(operation, task.modulus)
    if task.hold_out == "triples":
        tables["hold_out"], tables["triple_cutoff"] = TRIPLES, triple_cutoff(task.modulus)
        return tables
    for size in range(FACT_OPERANDS, int(tables["arities_AK"].max()) + 1):
        cutoffs = held_out_cutoffs(task.modulus, size)
        tables["held_patterns_K"][size] = 0 if 0 in cutoffs else len(cutoffs)
        tables["held_codes_KP"][size, : len(cutoffs)] = list(cutoffs)
        tables["held_cutoffs_KP"][size, : len(cutoffs)] = list(cutoffs.values())
    return tables


def _flattens(operation: Operation) -> int:
    """Where a nested operation of the same name is flattened, as `split._flattens` says."""
    in_front = ANYWHERE if operation.symmetry == "pair" else IN_FRONT
    return ANYWHERE if operation.associative else in_front if operation.form == "fold" else NOWHERE


def _fold_tables(operation: Operation, n: int) -> Any:
    """[2, n, n]: the value after one more operand, for operands at even and at odd positions; zeros for MED."""
    if operation.table:
        return np.array([operation.table] * 2)
    a, b = np.arange(n)[:, None], np.arange(n)[None]
    p = np.array(ssum_permutation(n))
    even = {
        "sum": (a + b) % n, "prod": a * b % n, "nadd": (a + b) % n, "ssum": np.argsort(p)[(p[a] + p[b]) % n],
        "max": np.maximum(a, b), "min": np.minimum(a, b), "med": 0 * a * b,
    }[operation.like]  # fmt: skip
    both = np.array([even, (a - b) % n if operation.like == "nadd" else even])
    if not operation.permutation:
        return both
    names = np.array(operation.permutation)
    return np.argsort(names)[both[:, names[:, None], names[None]]]
