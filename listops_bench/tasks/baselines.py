"""Shortcut baselines: how far one gets without doing the task.

A score means something only above these. Each is fitted on train rows and answers the rows of a split:

- ``majority``: the most frequent answer.
- ``root_operation``: the most frequent answer of the root operation.
- ``ignore_subtrees``: the root operation on those of its operands that are numbers; where there are none, the root's
  most frequent answer.
- ``visible_operands``: the most frequent answer among train rows of the same root operation and the same such numbers
  in any order; where there are none, the root's most frequent answer.
- ``bag_of_operands``: the most frequent answer among train rows of the same root operation and the same numbers in
  any order; where there are none, the root's most frequent answer.
- ``root_on_leaves``: the root operation on all numbers of the expression. It is right by construction where one
  associative operation is nested in itself, as in the task ``sum``: its depth is no difficulty, the operation is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from listops_bench.tasks.expression import Node, parse
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.symbols import vocabulary
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
    correct = Counter[str]()
    for prompt, (numbers, _), answer in zip(rows.prompts(), _numbers(rows), rows.answer.tolist(), strict=True):
        root = parse(prompt, rows.task.symbol_set)
        assert isinstance(root, Node)
        correct.update(name for name, shortcut in shortcuts.items() if shortcut(root, numbers) == answer)
    return [Baseline(name, correct[name], len(rows)) for name in shortcuts]


_Shortcut = Callable[[Node, list[int]], int]


def _fit(train: Rows) -> dict[str, _Shortcut]:
    """The shortcuts by name: functions of an expression and of all its numbers in their order."""
    size, operations = train.task.modulus, train.task.symbol_set.operations
    all_answers: Counter[int] = Counter()
    of_root: defaultdict[str, Counter[int]] = defaultdict(Counter)
    of_bag: defaultdict[tuple[str, bytes], Counter[int]] = defaultdict(Counter)
    of_own: defaultdict[tuple[str, bytes], Counter[int]] = defaultdict(Counter)
    names = list(operations)
    for root, (numbers, own), answer in zip(train.root_operation, _numbers(train), train.answer.tolist(), strict=True):
        all_answers[answer] += 1
        of_root[names[root]][answer] += 1
        of_bag[names[root], bytes(sorted(numbers))][answer] += 1
        of_own[names[root], bytes(sorted(own))][answer] += 1
    majority = _most_frequent(all_answers)
    by_root = {key: _most_frequent(answers) for key, answers in of_root.items()}
    by_bag = {key: _most_frequent(answers) for key, answers in of_bag.items()}
    by_own = {key: _most_frequent(answers) for key, answers in of_own.items()}

    def root_operation(e: Node, numbers: list[int]) -> int:
        return by_root.get(e.operation, majority)

    def visible(e: Node) -> list[int]:
        return [operand for operand in e.operands if isinstance(operand, int)]

    def ignore_subtrees(e: Node, numbers: list[int]) -> int:
        own = visible(e)
        return operations[e.operation].apply(own, size) if own else root_operation(e, numbers)

    def visible_operands(e: Node, numbers: list[int]) -> int:
        return by_own.get((e.operation, bytes(sorted(visible(e)))), root_operation(e, numbers))

    def bag_of_operands(e: Node, numbers: list[int]) -> int:
        return by_bag.get((e.operation, bytes(sorted(numbers))), root_operation(e, numbers))

    return {
        "majority": lambda e, numbers: majority,
        "root_operation": root_operation,
        "ignore_subtrees": ignore_subtrees,
        "visible_operands": visible_operands,
        "bag_of_operands": bag_of_operands,
        "root_on_leaves": lambda e, numbers: operations[e.operation].apply(numbers, size),
    }


def _numbers(rows: Rows) -> Iterator[tuple[list[int], list[int]]]:
    """The numbers of each prompt in their order, and those of them that are operands of its root."""
    first, words = rows.task.symbol_set.first_number_id, vocabulary(rows.task.symbol_set)
    step = np.array([word.startswith("[") - (word == "]") for word in words], dtype=np.int8)
    depth = step[rows.ids].cumsum()  # prompts and lines close what they open
    for start, length in zip(rows.offsets[:-1], rows.prompt_lengths, strict=True):
        ids = rows.ids[start : start + length]
        numbers = ids >= first
        own = numbers & (depth[start : start + length] == 1)
        yield (ids[numbers] - first).tolist(), (ids[own] - first).tolist()


def _most_frequent(counts: Counter[int]) -> int:
    # Of equally frequent answers the smallest, so that the baseline does not depend on the order of the rows.
    return min(counts, key=lambda answer: (-counts[answer], answer))
