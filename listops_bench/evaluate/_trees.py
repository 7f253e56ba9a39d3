"""Rows as trees of their prefixes: what some rows begin with alike is there once, and is read once.

    rows      [SUM 3 9 ] = 2        nodes    [SUM  3  9  ]  =  2  4  ]  =  7        in the order of the rows
              [SUM 3 4 ] = 7        of row 0    0  1  2  3  4  5
                                    of row 1    0  1  6  7  8  9

Of the 90,000 tokens of a test split a quarter stands under another row. A tree depends on the rows alone: all models
read the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from listops_bench.evaluate.decoding import gather
from listops_bench.tasks.generator import Rows
from listops_bench.tasks.symbols import PAD_ID

Ids = npt.NDArray[np.int64]

_ROOM = 4
"""A tree may have so many times more places in its rows than it may have nodes."""


@dataclass(frozen=True)
class Tree:
    """The first ids of B rows, as N nodes.

    Attributes:
        rows: int64 [B], which rows.
        nodes: int64 [B, T], the nodes of each row; 0 beyond its end.
        ids: int64 [N], the token of each node.
        owners, places: int64 [N], the first of the B rows that a node is in, and its place there.
    """

    rows: Ids
    nodes: Ids
    ids: Ids
    owners: Ids
    places: Ids


def trees(rows: Rows, chosen: Ids, lengths: Ids, most: int) -> Iterator[Tree]:
    """Some rows in trees of so many nodes at the most, or of one row.

    Args:
        chosen, lengths: int64 [n], which rows, and how many first ids of each.
    """
    ids = gather(rows, chosen, lengths)
    order = np.lexsort(ids.T[::-1])
    chosen, lengths, ids = chosen[order], lengths[order], ids[order]
    same = (ids[1:] == ids[:-1]) & (ids[1:] != PAD_ID)
    own = np.append(lengths[:1], lengths[1:] - np.minimum.accumulate(same, axis=1).sum(1))
    ends, start = own.cumsum(), 0
    while start < len(chosen):
        stop = int(np.searchsorted(ends, ends[start] - lengths[start] + most, "right"))
        stop = max(start + 1, min(stop, start + _ROOM * most // ids.shape[1]))
        part, width = slice(start, stop), int(lengths[start:stop].max())
        yield _tree(chosen[part], ids[part, :width], np.append(lengths[start], own[start + 1 : stop]), lengths[part])
        start = stop


def _tree(rows: Ids, ids_BxT: Ids, own: Ids, lengths: Ids) -> Tree:
    """Of rows in their order, the last ``own`` ids of each of which are not in the row before."""
    place_T = np.arange(ids_BxT.shape[1])
    is_own = (place_T >= (lengths - own)[:, None]) & (place_T < lengths[:, None])
    owners, places = is_own.nonzero()
    nodes = np.where(is_own, (is_own.cumsum() - 1).reshape(is_own.shape), 0)
    nodes = np.where(place_T < lengths[:, None], np.maximum.accumulate(nodes), 0)
    return Tree(rows, nodes, ids_BxT[is_own], owners, places)
