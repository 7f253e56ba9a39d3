"""Linear layers through oneDNN, for training in float32 on CPUs.

torch multiplies float32 matrices with MKL, which on AMD processors stays below half of what oneDNN reaches (Zen 5, one
thread, the ladder's shapes: 95 against 200 GFLOP/s, forward and backward). Both are compiled into torch's x86 builds.
The arithmetic is float32 either way; sums are taken in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

TOKEN_MULTIPLE = 64
"""oneDNN compiles a kernel per shape, so token counts are rounded up to a multiple; others go the usual way."""

_SMALLEST_GRADIENT = 1536
"""Entries of the weight below which the gradient's matrix product is quicker in MKL (measured)."""


@lru_cache
def available() -> bool:
    """Whether this build of torch has the kernel, and it computes what `linear` does."""
    if not torch.backends.mkldnn.is_available():
        return False
    x, weight = torch.linspace(-1, 1, 12).view(4, 3), torch.linspace(-1, 1, 6).view(2, 3)
    try:
        return torch.allclose(_product(x, weight), linear(x, weight), atol=1e-5)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


def _product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``a @ b.T + bias``."""
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_x = _product(grad, weight.t()) if ctx.needs_input_grad[0] else None
        grad_weight = _weight_gradient(grad.flatten(0, -2), x.flatten(0, -2)) if ctx.needs_input_grad[1] else None
        grad_bias = grad.flatten(0, -2).sum(0) if ctx.needs_input_grad[2] else None
        return grad_x, grad_weight, grad_bias


def _weight_gradient(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """``grad.T @ x``, computed with the narrower of the two as first operand: that is up to twice as quick."""
    if grad.shape[1] * x.shape[1] < _SMALLEST_GRADIENT:
        return grad.t() @ x
    if grad.shape[1] <= x.shape[1]:
        return _product(grad.t(), x.t())
    return _product(x.t(), grad.t()).t()


def _forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    tokens = x.numel() // layer.in_features
    fits = torch.is_grad_enabled() and tokens > 0 and tokens % TOKEN_MULTIPLE == 0 and x.dtype == torch.float32
    if not fits or torch.is_autocast_enabled("cpu"):
        return linear(x, layer.weight, layer.bias)
    result: torch.Tensor = _Linear.apply(x, layer.weight, layer.bias)
    return result


@contextmanager
def fast_linear(model: nn.Module) -> Iterator[None]:
    """Inside, the model's linear layers use oneDNN where that is right: float32, on a CPU, while training."""
    parameter = next(model.parameters())
    usable = parameter.device.type == "cpu" and parameter.dtype == torch.float32 and available()
    layers = [m for m in model.modules() if type(m) is nn.Linear] if usable else []
    for layer in layers:
        layer.forward = partial(_forward, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
