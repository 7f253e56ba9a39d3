"""Which facts a model knows: the operation tables of two and three numbers, seen and held out.

A fact is an operation on numbers alone. All pairs are in the training data; of the multisets of three operands a tenth
is held out, in every order (see `split`). A model that knows an operation gets those right too; one that has learned a
table does not. A prompt is a fact of its own, ``[SUM 3 4 ] =``, and what is looked at is the token the model puts
first.

The orders of one multiset share what decides them, so intervals count multisets: one is known where the answer is right
in every order.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench.analysis.anatomy import logits
from listops_bench.analysis.embedding import Ints
from listops_bench.stats.differences import fisher
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.regime import Regime
from listops_bench.tasks.split import is_held_out
from listops_bench.tasks.symbols import CLOSE_ID, EQUALS_ID, FIRST_OPERATION_ID, Symbols, symbols_of

MAX_ORDERED_TRIPLES = 10_000
"""Above so many triples (beyond modulus 21) each multiset is asked about once, in ascending order."""

_BATCH_ROWS = 1_000
_AS_USUAL = Regime()


@dataclass(frozen=True)
class Pairs:
    """The table of two operands.

    Attributes:
        predicted: int64 [n, n], the model's answers, first operand down; -1 is no number at all.
        expected: int64 [n, n], the right ones.
    """

    predicted: Ints
    expected: Ints

    @property
    def correct(self) -> Summary:
        return Summary.of(int((self.predicted == self.expected).sum()), self.expected.size)


@dataclass(frozen=True)
class Triples:
    """The table of three operands, by multiset.

    Attributes:
        multisets: int64 [M, 3], ascending.
        held_out: bool [M], never evaluated in training; none where only some orders of one are held out.
        asked: int64 [M], orders asked about.
        correct: int64 [M], those of them answered rightly.
    """

    multisets: Ints
    held_out: npt.NDArray[np.bool_]
    asked: Ints
    correct: Ints

    def known(self, *, held_out: bool) -> Summary:
        """Multisets that are right in every order asked about."""
        chosen = self.held_out == held_out
        return Summary.of(int((self.correct == self.asked)[chosen].sum()), int(chosen.sum()))

    @property
    def p(self) -> float:
        """Fisher's exact test, two-sided: whether held-out multisets are known as often as the others."""
        fresh, trained = self.known(held_out=True), self.known(held_out=False)
        return fisher(trained.correct, trained.n, fresh.correct, fresh.n)


@dataclass(frozen=True)
class OperationTable:
    """What a model says of one operation's facts; None where the operation does not take so many operands."""

    operation: str
    modulus: int
    pairs: Pairs | None
    triples: Triples | None


def operation_table(
    model: PreTrainedModel, operation: str, modulus: Symbols | int, regime: Regime = _AS_USUAL
) -> OperationTable:
    """Asks a model for all facts of an operation; ``regime`` (a task is one) says which were held out."""
    by_multiset, symbols = regime.hold_out == "multisets", symbols_of(modulus)
    asked = symbols.operations[operation]
    return OperationTable(
        operation,
        symbols.size,
        _pairs(model, operation, symbols) if regime.takes(asked, 2) else None,
        _triples(model, operation, symbols, by_multiset) if regime.takes(asked, 3) else None,
    )


def _pairs(model: PreTrainedModel, operation: str, symbols: Symbols) -> Pairs:
    n = symbols.size
    operands = np.array(list(itertools.product(range(n), repeat=2)))
    found = answers(model, operation, operands, symbols), _truth(operation, operands, symbols)
    return Pairs(*(table.reshape(n, n) for table in found))


def _triples(model: PreTrainedModel, operation: str, symbols: Symbols, by_multiset: bool) -> Triples:
    n = symbols.size
    multisets = np.array(list(itertools.combinations_with_replacement(range(n), 3)))
    operands = multisets
    if n**3 <= MAX_ORDERED_TRIPLES:
        operands = np.array(list(itertools.product(range(n), repeat=3)))
    right = answers(model, operation, operands, symbols) == _truth(operation, operands, symbols)
    place = {tuple(values): i for i, values in enumerate(multisets.tolist())}
    of = np.array([place[tuple(sorted(values))] for values in operands.tolist()])
    return Triples(
        multisets,
        np.array([by_multiset and is_held_out(tuple(values), n) for values in multisets.tolist()]),
        np.bincount(of, minlength=len(multisets)),
        np.bincount(of, weights=right, minlength=len(multisets)).astype(np.int64),
    )


def answers(model: PreTrainedModel, operation: str, operands: Ints, modulus: Symbols | int = 10) -> Ints:
    """int64 [N]: what a model puts first after ``[OP a b ... ] =`` for operands [N, k]; -1 where that is no number."""
    (n, k), symbols = operands.shape, symbols_of(modulus)
    ids = np.empty((n, k + 3), np.int64)
    ids[:, 0] = FIRST_OPERATION_ID + list(symbols.operations).index(operation)
    ids[:, 1 : k + 1] = operands + symbols.first_number_id
    ids[:, k + 1 :] = CLOSE_ID, EQUALS_ID
    batches = torch.from_numpy(ids).split(_BATCH_ROWS)
    choices = torch.cat([logits(model, batch)[:, -1].argmax(-1).cpu() for batch in batches])
    return np.maximum(choices.numpy() - symbols.first_number_id, -1)


def _truth(operation: str, operands: Ints, symbols: Symbols) -> Ints:
    apply = symbols.operations[operation].apply
    return np.array([apply(values, symbols.size) for values in operands.tolist()])
