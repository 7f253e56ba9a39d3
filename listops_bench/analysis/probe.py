"""Linear probes of single residual states: the better-powered companion of `embedding`.

A number's token passes through the layers in many prompts, and its state differs with them. Two questions:

- ``contexts``: trained on the states of some prompts, asked about those of others. All numbers have been seen, so a
  probe can pass by recognising each number and looking its label up. What counts is the distance to the same probe on
  labels that were shuffled among the numbers (control tasks: Hewitt and Liang 2019, arXiv:1909.03368).
- ``numbers``: trained on the states of all numbers but one, asked about that one's. Only a direction that the numbers
  share passes. Still there are but n numbers to permute, however many states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from listops_bench.analysis.embedding import (
    NUM_PERMUTATIONS,
    Floats,
    Ints,
    PermutationTest,
    compare,
    in_chunks,
    indicators,
    label_permutations,
    predictions,
    spearman,
)

_RIDGE = 0.01  # of the mean variance of a dimension: thousands of states need little


@dataclass(frozen=True)
class StateProbe:
    """Probes of the residual states at one place.

    Attributes:
        num_states: states probed.
        parity_in_contexts: accuracy in held-out prompts.
        parity_of_numbers: accuracy on the states of held-out numbers.
        order_of_numbers: Spearman's correlation of the numbers with the mean predictions for their states, each held
        out.
    """

    num_states: int
    parity_in_contexts: PermutationTest
    parity_of_numbers: PermutationTest
    order_of_numbers: PermutationTest


def probe_states(
    states: Floats, numbers: Ints, contexts: Ints, modulus: int, *, permutations: int = NUM_PERMUTATIONS, seed: int = 0
) -> StateProbe:
    """Probes the states [N, D] of number tokens.

    Args:
        numbers: int64 [N], which number each state is of.
        contexts: int64 [N], which prompt it stands in; prompts of even number are trained on, the others asked about.
    """
    x, labels = np.asarray(states, np.float64), label_permutations(modulus, permutations, seed)
    train = contexts % 2 == 0
    in_contexts = _weights(x[train], numbers[train], modulus, x[~train])
    of_numbers = np.zeros((len(x), modulus))
    for number in range(modulus):
        own = numbers == number
        of_numbers[own] = _weights(x[~own], numbers[~own], modulus, x[own])
    member = indicators(numbers, modulus)
    means = member.T @ of_numbers / np.maximum(member.sum(0), 1)[:, None]
    return StateProbe(
        len(x),
        compare(in_chunks(lambda some: _parity_accuracy(in_contexts, numbers[~train], some), labels)),
        compare(in_chunks(lambda some: _parity_accuracy(of_numbers, numbers, some), labels)),
        compare(in_chunks(lambda some: spearman(predictions(means, some), some), labels)),
    )


def _weights(x: Floats, numbers: Ints, modulus: int, asked: Floats) -> Floats:
    """[M, n]: what turns any labels [n] of the numbers into predictions for the states ``asked`` [M, D].

    They are those of a ridge regression on the states ``x`` [N, D], whose predictions are linear in the labels.
    """
    centre, member = x.mean(0), indicators(numbers, modulus)
    centred = x - centre
    scatter = centred.T @ centred
    penalty = _RIDGE * max(float(np.trace(scatter)) / len(scatter), 1e-12)
    slopes = np.linalg.solve(scatter + penalty * np.eye(len(scatter)), centred.T @ member)
    weights: Floats = (asked - centre) @ slopes + member.mean(0)
    return weights


def _parity_accuracy(weights: Floats, numbers: Ints, labels: Ints) -> Floats:
    """[P]: the share of states whose number is told to be even or odd rightly, under each labelling [P, n]."""
    odd = labels % 2
    told = weights @ (2.0 * odd - 1.0).T > 0
    right: Floats = (told == (odd[:, numbers].T == 1)).mean(0)
    return right
