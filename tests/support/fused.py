"""The fused kernels against the plain path in float64; as a program, interpreted on a CPU, a line of JSON a case.

Triton decides when it is imported whether it compiles or interprets, so a process of its own has to do it.
"""

import json
import sys
from typing import Any

import torch

from listops_bench.model.configuration_looped import LoopedConfig
from listops_bench.model.modeling_looped import LoopedForCausalLM
from listops_bench.model.packed import PackedLooped
from listops_bench.train._batches import IGNORED
from listops_bench.train.packed import _plain
from listops_bench.train.packed._data import FlatBatch, Shape
from listops_bench.train.packed._fused import FusedLooped

CASES: list[dict[str, Any]] = [
    {"hidden_size": 8, "longest": 20, "n_loop": 2},
    {"hidden_size": 12, "longest": 9, "positions": "rotary", "hidden_act": "relu", "n_loop": 2},
    {"hidden_size": 24, "longest": 70, "num_attention_heads": 2, "hidden_act": "gelu_new", "n_loop": 1, "rows": 5},
]


def compare(
    device: str, precision: str = "float32", longest: int = 25, rows: int = 12, **config: Any
) -> dict[str, Any]:
    """Relative errors of losses, gradient and an update, and whether a second time gives the same bits."""
    torch.manual_seed(0)
    model = PackedLooped(LoopedForCausalLM(LoopedConfig(**config)))
    k, on = 2, torch.device(device)
    weights = model.flatten([LoopedForCausalLM(LoopedConfig(**config)) for _ in range(k)])
    weights += 0.05 * torch.randn(weights.shape)
    batch = _batch(k, rows, longest)
    batch = FlatBatch(*(getattr(batch, name).to(on) for name in batch.__dict__ if name != "shape"), batch.shape)
    scale = 1 / (batch.targets != IGNORED).sum(1)
    state = {
        "weights": weights,
        "first_moments": 0.1 * torch.randn(weights.shape),
        "second_moments": torch.rand(weights.shape),
    }
    columns = (0.1 + torch.rand(k, 9)).split(1, dim=1)
    adam, scalars = _plain.Adam(*(x.contiguous().to(on) for x in columns[:5])), torch.cat(columns[5:], 1).to(on)
    state = {name: tensor.to(on) for name, tensor in state.items()}
    exact = {name: tensor.double() for name, tensor in state.items()}

    fused = FusedLooped(model, on, precision)
    losses, gradient = fused.loss_and_gradient(state["weights"], batch, scale.float())
    again = fused.loss_and_gradient(state["weights"], batch, scale.float())
    wide = {"loss": losses, "gradient": gradient.clone(), "norm": fused.update(state, gradient, adam, scalars), **state}
    right: dict[str, torch.Tensor] = {}
    right["loss"], right["gradient"] = _plain.loss_and_gradient(model, exact["weights"], batch, scale.double(), "no")
    doubled = _plain.Adam(*(getattr(adam, name).double() for name in adam.__dict__))
    right["norm"] = _plain.update(exact, gradient.double(), doubled, scalars.double())
    right |= exact
    errors = {name: float((wide[name] - right[name]).norm() / right[name].norm()) for name in right}
    return {**errors, "same_bits": torch.equal(again[0], losses) and torch.equal(again[1], wide["gradient"])}


def _batch(k: int, b: int, longest: int) -> FlatBatch:
    """Rows of random lengths, one of them the longest; the last member has less of them than the others."""
    lengths = torch.randint(2, longest + 1, (k, b))
    lengths[0, 0] = longest
    lengths[-1, b // 2 :] = 0
    n = int(lengths.sum(1).max()) + 5
    starts = torch.cat([torch.zeros(k, 1, dtype=torch.int64), lengths.cumsum(1)], 1)
    place = torch.arange(n).expand(k, n).contiguous()
    rows = torch.searchsorted(starts[:, 1:].contiguous(), place, right=True)
    inside = rows < b
    positions = torch.where(inside, place - starts.gather(1, rows.clamp(max=b)), 0)
    ids, targets = torch.randint(0, 22, (2, k, n))
    bears_loss = inside & (torch.rand(k, n) < 0.6)
    return FlatBatch(
        ids=ids.int(),
        starts=starts.int(),
        rows=rows.int(),
        positions=positions.int(),
        targets=torch.where(bears_loss, targets, IGNORED),
        shape=Shape(n, n, longest),
    )


if __name__ == "__main__":
    from triton.runtime import interpreter

    patch = interpreter._patch_lang_tensor

    def patch_with_index(tensor: Any, *scope: Any) -> None:
        """NumPy 2.5 makes no index of an array that is not 0-dimensional. Triton 3.2 has no scope."""
        patch(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.item())

    interpreter._patch_lang_tensor = patch_with_index
    for case in CASES:
        print(json.dumps(compare("cpu", **case)), flush=True)
    sys.exit(0)
