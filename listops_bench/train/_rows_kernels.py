"""Causal attention over rows that lie end to end, on a CPU: compiled loops over rows, heads, queries and keys.

Rows are some twenty tokens long and heads some thirty numbers wide. A tensor library spends more time on calling its
kernels than on such sums (forward and backward here: 0.5 and 0.3 of the time of torch's, one call for all rows of one
length). Only sums may be reordered: no other licence of fast mathematics is taken.

Shapes: B rows with N tokens in all, H heads, K numbers per head. Probabilities lie one after the other, [H * sum(T * (T
+ 1) / 2)]: for each row, head and query those of the keys up to it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from listops_bench._base.compiling import njit

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_compiled = njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})


@_compiled
def attend(q: Floats, k: Floats, v: Floats, lengths: Ints, scale: float, y: Floats, probabilities: Floats) -> None:
    """Writes the outputs ``y`` [N, H, K] for queries, keys and values [N, H, K] and row lengths [B]."""
    _, heads, size = q.shape
    first = at = 0
    for length in lengths:
        for h in range(heads):
            for i in range(first, first + length):
                keys = i + 1 - first
                p = probabilities[at : at + keys]
                for j in range(keys):
                    score = q.dtype.type(0)
                    for c in range(size):
                        score += q[i, h, c] * k[first + j, h, c]
                    p[j] = score
                _softmax(p, scale)
                y[i, h] = 0
                for j in range(keys):
                    for c in range(size):
                        y[i, h, c] += p[j] * v[first + j, h, c]
                at += keys
        first += length


@_compiled
def _softmax(scores: Floats, scale: float) -> None:
    highest = scores[0]
    for score in scores[1:]:
        highest = max(highest, score)
    scores[0] = total = math.exp((scores[0] - highest) * scale)
    for j in range(1, len(scores)):
        scores[j] = math.exp((scores[j] - highest) * scale)
        total += scores[j]
    for j in range(len(scores)):
        scores[j] /= total


@_compiled
def attend_backward(
    grad: Floats,
    q: Floats,
    k: Floats,
    v: Floats,
    y: Floats,
    probabilities: Floats,
    lengths: Ints,
    scale: float,
    grad_q: Floats,
    grad_k: Floats,
    grad_v: Floats,
) -> None:
    """Adds the gradients of queries, keys and values to zeros [N, H, K], given that of the outputs."""
    _, heads, size = q.shape
    first = at = 0
    for length in lengths:
        for h in range(heads):
            for i in range(first, first + length):
                mean = q.dtype.type(0)  # of the probabilities' gradients
                for c in range(size):
                    mean += grad[i, h, c] * y[i, h, c]
                for j in range(first, i + 1):
                    p = probabilities[at]
                    at += 1
                    slope = q.dtype.type(0)
                    for c in range(size):
                        slope += grad[i, h, c] * v[j, h, c]
                        grad_v[j, h, c] += p * grad[i, h, c]
                    slope = p * (slope - mean) * scale
                    for c in range(size):
                        grad_q[i, h, c] += slope * k[j, h, c]
                        grad_k[j, h, c] += slope * q[i, h, c]
        first += length
