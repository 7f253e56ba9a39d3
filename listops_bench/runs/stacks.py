"""Weights of many runs in one file: those whose files differ in nothing but the numbers, stacked row by row.

STACK.safetensors    {"weights": [K, P]}        float32, or bytes where a file holds anything else
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from listops_bench._base.records import Text
from listops_bench.errors import InvalidInput

if TYPE_CHECKING:  # `train --help` comes through here
    import numpy as np

_BYTES_OF_A_STACK = 2**29


@dataclass(frozen=True)
class Stack:
    """The weights of runs whose files differ in nothing but the numbers: row k of [K, P] is that of ``runs[k]``.

    Attributes:
        header: of each of their safetensors files, as it stands there.
        floats: the numbers are float32, and bytes otherwise.
    """

    runs: list[str]
    header: Annotated[str, Text(max_length=10_000_000)]
    floats: bool

    def file(self, row: np.ndarray) -> bytes:
        """The safetensors file that a row was taken from, byte by byte."""
        header = self.header.encode()
        return len(header).to_bytes(8, "little") + header + row.tobytes()

    def rows(self, content: bytes, where: str) -> np.ndarray:
        """[K, P] of the stack's file.

        Raises:
            InvalidInput: with ``where`` in front: no such file, or not one row for each run.
        """
        from safetensors.numpy import load

        try:
            rows = load(content)["weights"]
        except Exception as error:  # safetensors and numpy have kinds of their own
            raise InvalidInput(f"{where} is no stack: {type(error).__name__}") from None
        if rows.ndim != 2 or len(rows) != len(self.runs):
            raise InvalidInput(f"{where} has not one row for each of its runs")
        return rows


def make_stacks(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[Stack, bytes]]:
    """The stacks of some runs' safetensors files, ``(run, content)``, each with the content of its own file.

    Raises:
        InvalidInput: a file that is none.
    """
    import numpy as np
    from safetensors.numpy import save

    waiting: dict[tuple[str, int], list[tuple[str, bytes]]] = defaultdict(list)

    def emit(key: tuple[str, int]) -> tuple[Stack, bytes]:
        header, rows = key[0], waiting.pop(key)
        floats = _all_float32(header) and len(rows[0][1]) % 4 == 0
        content = np.stack([np.frombuffer(row, "<f4" if floats else np.uint8) for _, row in rows])
        return Stack([run for run, _ in rows], header, floats), save({"weights": content})

    for run, content in files:
        size = int.from_bytes(content[:8], "little")
        row = content[8 + size :]
        try:
            header = content[8 : 8 + size].decode()
            _all_float32(header)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise InvalidInput(f"the weights of {run} are damaged: they have no header of safetensors") from None
        key = (header, len(row))
        waiting[key].append((run, row))
        if len(row) * len(waiting[key]) >= _BYTES_OF_A_STACK:
            yield emit(key)
    for key in list(waiting):
        yield emit(key)


def _all_float32(header: str) -> bool:
    tensors = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
    return all(entry["dtype"] == "F32" for entry in tensors.values())
