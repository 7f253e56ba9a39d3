"""64-bit hashes that split expressions and draw rows."""

from __future__ import annotations

import hashlib
from typing import Any, overload

import numpy as np
import numpy.typing as npt

MASK64 = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: the step between the states of splitmix64."""


def key64(text: str) -> int:
    """A stable 64-bit number for a name."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@overload
def mix64(x: int) -> int: ...


@overload
def mix64(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]: ...


def mix64(x: Any) -> Any:
    """A bijection of 64-bit numbers in which every input bit reaches every output bit: the finaliser of splitmix64
    (Steele, Lea and Flood, 2014, doi:10.1145/2714064.2660195). Takes a number, or a uint64 array of them."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK64
    return x ^ (x >> 31)
