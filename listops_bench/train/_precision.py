"""How matrix products are computed: in float32, or in the precision that a run declares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from listops_bench.errors import InvalidInput


def precision_in_use(declared: str, launched: str, device: torch.device) -> str:
    """What a run computes in, as Accelerate names it: ``no`` for float32, ``tf32``, ``bf16`` or ``fp16``.

    Args:
        declared: `TrainRecipe.precision`. launched: the mixed precision that Accelerate was launched with.

    Raises:
        InvalidInput: they contradict each other, or the device does not have it.
    """
    if declared == "fp32":
        return launched
    if launched not in ("no", declared):
        raise InvalidInput(f"precision {declared!r} contradicts mixed precision {launched!r} of the launch; give one")
    if declared == "tf32" and device.type != "cuda":
        raise InvalidInput(f"precision 'tf32' needs a GPU; on {device.type!r} there are 'fp32' and 'bf16'")
    return declared


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Inside, products of float32 matrices on a GPU are those of ``tf32``, or else exact."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def autocast(precision: str, device: torch.device, *, cache_weights: bool = True) -> AbstractContextManager[None]:
    """Inside, a forward pass computes its products in bfloat16 where that is what is declared."""
    if precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=cache_weights)
