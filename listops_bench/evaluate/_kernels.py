# numba infers the types of its functions, and passes their arguments by position.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, allow-untyped-calls
"""Attention in compiled code, to tokens that lie anywhere: on a CPU, tensor by tensor takes longer."""

from __future__ import annotations

import numpy as np

from listops_bench._base.compiling import njit


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def attend(qkv, memory, nodes, rows, places, scale, y):
    """Each token attends to all of its row up to its own place.

    Args:
        qkv: [N, 3, H, S], queries, keys and values of the tokens.
        memory: [M, 2 or 3, H, S], keys and values, and what may stand before them; may be the same.
        nodes: int64 [R, T], where those of a row's tokens lie in the memory.
        rows, places: int64 [N], the row of each token, and its place there.
        scale: of the scores, of the type of y.
        y: [N, H, S], written.
    """
    keys, (count, heads, size) = memory.shape[1] - 2, y.shape
    weights = np.zeros(nodes.shape[1] + 4, y.dtype)
    for i in range(count):
        own, last = nodes[rows[i]], places[i]
        for h in range(heads):
            q, out = qkv[i, 0, h], y[i, h]
            top = y.dtype.type(-np.inf)
            for t in range(last + 1):
                key, score = memory[own[t], keys, h], y.dtype.type(0)
                for s in range(size):
                    score += q[s] * key[s]
                weights[t] = score * scale
                top = max(top, weights[t])
            total = y.dtype.type(0)
            for t in range(last + 1):
                weights[t] = np.exp(weights[t] - top)
                total += weights[t]
            weights[last + 1 : last + 4] = 0
            for s in range(size):
                out[s] = 0
            for t in range(0, last + 1, 4):  # four at once: the sum is read and written a quarter as often
                w0, w1, w2, w3 = weights[t], weights[t + 1], weights[t + 2], weights[t + 3]
                v0, v1 = memory[own[t], keys + 1, h], memory[own[min(t + 1, last)], keys + 1, h]
                v2, v3 = memory[own[min(t + 2, last)], keys + 1, h], memory[own[min(t + 3, last)], keys + 1, h]
                for s in range(size):
                    out[s] += w0 * v0[s] + w1 * v1[s] + w2 * v2[s] + w3 * v3[s]
            for s in range(size):
                out[s] /= total
