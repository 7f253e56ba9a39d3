"""How many threads of a CPU a model is computed with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

PARAMETERS_PER_THREAD = 100_000


@contextmanager
def threads_kept() -> Iterator[None]:
    """Afterwards torch has as many threads as before."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def limit_threads(model: nn.Module) -> None:
    """From now on torch has no more threads than a model of this size can use, if it had more.

    The threads of a small product wait for each other longer than they work, and on a busy machine far longer: beside
    one other process on two cores, looped_d048 was trained at 308 tokens/s with two threads, and at 20,100 with one.
    """
    size = sum(parameter.numel() for parameter in model.parameters())
    torch.set_num_threads(min(torch.get_num_threads(), 1 + size // PARAMETERS_PER_THREAD))
