"""What models remember of the tokens that they have read, and how tokens attend to it.

Keys and values of tokens lie in one tensor for each loop, in the order in which they were kept. A row is a list of
places there: rows share what they begin with alike, and nothing is copied when some of them stop::

    memory    [SUM  3  9  ]  =  2  4  ]  =  7  5         a row that goes on    0  1  6  7  8  10
"""

from __future__ import annotations

from itertools import count

import torch
from torch.nn.functional import scaled_dot_product_attention

from listops_bench.evaluate._kernels import attend
from listops_bench.model.packed import Attend


class Memory:
    """Of one model, or of some of one shape.

    Args:
        compiled: attend by compiled code, on a CPU; else by torch.

    Attributes:
        compiled: see above.
        used: tokens that are remembered.
    """

    def __init__(self, *, compiled: bool) -> None:
        self.used, self.compiled = 0, compiled
        self._read: list[torch.Tensor] = []
        self._loops: dict[int, torch.Tensor] = {}

    def clear(self) -> None:
        """Gives back what it takes."""
        self.used, self._read, self._loops = 0, [], {}

    def read(self, nodes_RxT: torch.Tensor, rows_N: torch.Tensor, places_N: torch.Tensor) -> Attend:
        """Attention of tokens to each other.

        Args:
            nodes_RxT: which of the N tokens each row is made of; anything beyond its end.
            rows_N, places_N: a row that each token is in, and its place there.
        """
        self._read = []

        def attend_to(qkv_KxNx3xHxS: torch.Tensor, scale: float) -> torch.Tensor:
            qkv_Nx3xHxS = qkv_KxNx3xHxS.flatten(0, 1)
            self._read.append(qkv_Nx3xHxS)
            if self.compiled:
                y_NxHxS = _by_compiled_code(qkv_Nx3xHxS, qkv_Nx3xHxS, nodes_RxT, rows_N, places_N, scale)
            else:
                q_RxHxTxS, key, value = qkv_Nx3xHxS[nodes_RxT].permute(2, 0, 3, 1, 4)
                y_RxHxTxS = scaled_dot_product_attention(q_RxHxTxS, key, value, is_causal=True, scale=scale)
                y_NxHxS = y_RxHxTxS[rows_N, :, places_N]
            return y_NxHxS.unflatten(0, qkv_KxNx3xHxS.shape[:2])

        return attend_to

    def keep(self, tokens_M: torch.Tensor) -> None:
        """Remembers some of the tokens that were read last, after those that it remembers."""
        first, self.used = self.used, self.used + len(tokens_M)
        for loop, qkv_Nx3xHxS in enumerate(self._read):
            self._write(loop, first, qkv_Nx3xHxS[:, 1:].index_select(0, tokens_M))

    def go_on(self, nodes_RxT: torch.Tensor, rows_N: torch.Tensor, places_N: torch.Tensor) -> Attend:
        """Attention of one more token of each of N rows to what is remembered of it, which it becomes a part of.

        Args:
            nodes_RxT: where the tokens of rows are remembered; those of the new ones are set.
        """
        first, self.used = self.used, self.used + len(rows_N)
        nodes_RxT[rows_N, places_N] = torch.arange(first, self.used, device=nodes_RxT.device)
        loops = count()
        if not self.compiled:
            nodes_NxT = nodes_RxT[rows_N, : int(places_N.max()) + 1]
            later_NxT = torch.arange(nodes_NxT.shape[1], device=nodes_NxT.device) > places_N[:, None]

        def attend_to(qkv_KxNx3xHxS: torch.Tensor, scale: float) -> torch.Tensor:
            qkv_Nx3xHxS = qkv_KxNx3xHxS.flatten(0, 1)
            memory_Mx2xHxS = self._write(next(loops), first, qkv_Nx3xHxS[:, 1:])
            if self.compiled:
                y_NxHxS = _by_compiled_code(qkv_Nx3xHxS, memory_Mx2xHxS, nodes_RxT, rows_N, places_N, scale)
            else:
                keys_NxHxTxS, values = memory_Mx2xHxS[nodes_NxT].permute(2, 0, 3, 1, 4)
                scores_NxHxT = (keys_NxHxTxS @ (qkv_Nx3xHxS[:, 0] * scale)[..., None])[..., 0]
                weights = scores_NxHxT.masked_fill(later_NxT[:, None], -torch.inf).softmax(-1)
                y_NxHxS = (weights[:, :, None] @ values)[:, :, 0]
            return y_NxHxS.unflatten(0, qkv_KxNx3xHxS.shape[:2])

        return attend_to

    def _write(self, loop: int, first: int, new_Nx2xHxS: torch.Tensor) -> torch.Tensor:
        """The memory of a loop, with tokens from a place on."""
        held, end = self._loops.get(loop, new_Nx2xHxS[:0]), first + len(new_Nx2xHxS)
        if end > len(held):
            larger = new_Nx2xHxS.new_empty(2 * end, *new_Nx2xHxS.shape[1:])
            larger[:first] = held[:first]
            self._loops[loop] = held = larger
        held[first:end] = new_Nx2xHxS
        return held


def _by_compiled_code(
    qkv_Nx3xHxS: torch.Tensor,
    memory: torch.Tensor,
    nodes_RxT: torch.Tensor,
    rows_N: torch.Tensor,
    places_N: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    y_NxHxS = torch.empty_like(qkv_Nx3xHxS[:, 0], memory_format=torch.contiguous_format)
    y = y_NxHxS.numpy()
    attend(*(x.numpy() for x in (qkv_Nx3xHxS, memory, nodes_RxT, rows_N, places_N)), y.dtype.type(scale), y)
    return y_NxHxS
