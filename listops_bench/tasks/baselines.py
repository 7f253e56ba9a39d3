"""Shortcut baselines: how far one gets without doing the task.

A score means something only above these. Each is fitted on train rows and answers the rows of a split:

- ``majority``: the most frequent answer.
- ``root_operation``: the most frequent answer of the root operation.
- ``ignore_subtrees``: the root operation on those of its operands that are numbers; where there are none, the root's
  most frequent answer.
- ``bag_of_operands``: the most frequent answer among train rows of the same root operation and the same numbers in
  any order; where there are none, the root's most frequent answer.
- ``root_on_leaves``: the root operation on all numbers of the expression. It is right by construction where one
  associative operation is nested in itself, as in the task ``sum``: its depth is no difficulty, the operation is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from listops_bench.tasks.expression import FIRST_NUMBER_ID, OPERATIONS, Expression, Node, parse
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.task import TaskSpec


@dataclass(frozen=True)
class Baseline:
    """How many of ``n`` rows a shortcut answers correctly."""

    name: str
    correct: int
    n: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.n


def baselines(task: TaskSpec, split: str = "test", *, seed: int = 0, num_rows: int | None = None) -> list[Baseline]:
    """All shortcut baselines of a split of a task (of its first rows), fitted on its train rows of a seed."""
    return score_shortcuts(generate(task, "train", seed=seed), generate(task, split, seed=seed, num_rows=num_rows))


def score_shortcuts(train: Rows, rows: Rows) -> list[Baseline]:
    """Fits the shortcuts on ``train`` and counts their correct answers on ``rows``."""
    shortcuts = _fit(train)
    answers = rows.answer.tolist()
    bags = _bags(rows)
    expressions = [_root(prompt, rows.task.modulus) for prompt in rows.prompts()]
    correct = Counter[str]()
    for e, bag, answer in zip(expressions, bags, answers, strict=True):
        correct.update(name for name, shortcut in shortcuts.items() if shortcut(e, bag) == answer)
    return [Baseline(name, correct[name], len(rows)) for name in shortcuts]


_K = TypeVar("_K")
_Shortcut = Callable[[Node, bytes], int]


def _fit(train: Rows) -> dict[str, _Shortcut]:
    modulus = train.task.modulus
    answers = train.answer.tolist()
    roots = [list(OPERATIONS)[i] for i in train.root_operation.tolist()]
    majority = _most_frequent(Counter(answers))
    by_root = _most_frequent_by(zip(roots, answers, strict=True))
    by_bag = _most_frequent_by(zip(zip(roots, _bags(train), strict=True), answers, strict=True))

    def root_operation(e: Node, bag: bytes) -> int:
        return by_root.get(e.operation, majority)

    def ignore_subtrees(e: Node, bag: bytes) -> int:
        numbers = [operand for operand in e.operands if isinstance(operand, int)]
        return OPERATIONS[e.operation].apply(numbers, modulus) if numbers else root_operation(e, bag)

    return {
        "majority": lambda e, bag: majority,
        "root_operation": root_operation,
        "ignore_subtrees": ignore_subtrees,
        "bag_of_operands": lambda e, bag: by_bag.get((e.operation, bag), root_operation(e, bag)),
        "root_on_leaves": lambda e, bag: OPERATIONS[e.operation].apply(list(_leaves(e)), modulus),
    }


def _root(prompt: str, modulus: int) -> Node:
    e = parse(prompt, modulus)
    assert isinstance(e, Node)
    return e


def _leaves(e: Expression) -> Iterator[int]:
    if isinstance(e, int):
        yield e
    else:
        for operand in e.operands:
            yield from _leaves(operand)


def _bags(rows: Rows) -> list[bytes]:
    """For each row the counts of the numbers in its prompt, as bytes."""
    positions = np.arange(len(rows.ids)) - np.repeat(rows.offsets[:-1], np.diff(rows.offsets))
    in_prompt = positions < np.repeat(rows.prompt_lengths, np.diff(rows.offsets))
    row = np.repeat(np.arange(len(rows)), np.diff(rows.offsets))
    number = rows.ids.astype(np.int64) - FIRST_NUMBER_ID
    chosen = in_prompt & (number >= 0)
    counts = np.zeros((len(rows), rows.task.modulus), np.uint8)
    np.add.at(counts, (row[chosen], number[chosen]), 1)
    return [line.tobytes() for line in counts]


def _most_frequent(counts: Counter[int]) -> int:
    # Of equally frequent answers the smallest, so that the baseline does not depend on the order of the rows.
    return min(counts, key=lambda answer: (-counts[answer], answer))


def _most_frequent_by(pairs: Iterable[tuple[_K, int]]) -> dict[_K, int]:
    counts: dict[_K, Counter[int]] = {}
    for key, answer in pairs:
        counts.setdefault(key, Counter())[answer] += 1
    return {key: _most_frequent(counter) for key, counter in counts.items()}
