"""The packed training step as a handful of Triton kernels: `_kernels` says how, this launches them.

What autograd makes of `_plain`, `FusedLooped` computes in four launches, and clipping and AdamW in two more: the rows
of a batch are put into tiles of 64 or 128 places, then come a forward and a backward pass over the tiles, and a sum
over the backward pass's programs. No launch depends on what a tensor holds, so that a CUDA graph can hold them all; all
memory is taken inside the calls, so that it comes from a graph's pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from listops_bench.model.configuration_looped import LoopedConfig
from listops_bench.model.modeling_looped import rotation_angles
from listops_bench.model.packed import PackedLooped
from listops_bench.train.packed._data import FlatBatch
from listops_bench.train.packed._plain import Adam

PRECISIONS = ("float32", "tf32", "bf16")
"""What the factors of a product are rounded to; float32: to two half-precision numbers, whose sum is as exact."""

ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
LARGEST_WIDTH = 128
LONGEST_ROW = 128
BLOCK = 1024
"""Weights that one program of the optimizer takes."""


@dataclass(frozen=True)
class Launch:
    """How a kernel is run.

    Attributes:
        warps: of a program; two do without Hopper's wide products (wgmma).
        residents: programs that a multiprocessor holds at once.
        units: hidden units taken at once.
    """

    warps: int
    residents: int = 2
    units: int = 64


def launches(padded: set[int], precision: str) -> tuple[Launch, Launch]:
    """What is fastest of what is right, forward and backward, by the padded widths of model and head.

    The ptxas that Triton 3.6 brings (12.8; CUDA 13.0's does not) moves, in some kernels with narrow factors, the sum
    that is a wide product's address before what is summed, and the product reads beyond shared memory
    (triton-lang/triton#11366). Two warps make no wide products.
    """
    if padded == {128}:
        return Launch(8, residents=1), Launch(8, residents=1)
    right = padded == {64} or (padded == {16} and precision != "tf32")
    return (Launch(4), Launch(4)) if right else (Launch(2, residents=4), Launch(2, residents=4))


def supported(config: LoopedConfig, precision: str, device: torch.device, longest: int) -> bool:
    """Whether the kernels can train a model of this shape on rows of up to so many tokens."""
    return (
        find_spec("triton") is not None
        and device.type == "cuda"
        and precision in PRECISIONS
        and fits(config)
        and longest <= LONGEST_ROW
    )


def fits(config: LoopedConfig) -> bool:
    """Whether the kernels are made for models of this shape."""
    return (
        config.hidden_act in ACTIVATIONS
        and config.tie_word_embeddings
        and config.feed_forward_bias
        and config.hidden_size <= LARGEST_WIDTH
    )


def tile_of(longest: int) -> int:
    """Places of a tile: attention computes all pairs of them, but in few places rows leave gaps."""
    return 64 if longest <= 64 else 128


class FusedLooped:
    """What `_plain` computes, in the same terms, for models of one shape.

    Args:
        precision: one of `PRECISIONS`.
    """

    def __init__(self, model: PackedLooped, device: torch.device, precision: str) -> None:
        config = model.config
        width, heads, head = config.hidden_size, config.num_attention_heads, config.head_dim
        rotary = config.positions == "rotary"
        offsets, self.size = {}, 0
        for name, shape in model.shapes.items():
            offsets[name.removeprefix("model.").removesuffix(".weight")] = self.size
            self.size += torch.Size(shape).numel()
        self.shape: dict[str, Any] = {
            "EMBEDDING": offsets["embedding"],
            "PLACES": offsets.get("position_embedding", 0),
            "NORM1": offsets["block.ln_attention"],
            "QKV": offsets["block.qkv"],
            "OUT": offsets["block.out"],
            "NORM2": offsets["block.ln_feed_forward"],
            "UP": offsets["block.up"],
            "UP_BIAS": offsets["block.up.bias"],
            "DOWN": offsets["block.down"],
            "DOWN_BIAS": offsets["block.down.bias"],
            "NORM": offsets["ln"],
            "POSITIONS": config.max_position_embeddings,
            "V": config.vocab_size,
            "TV": _padded(config.vocab_size),
            "D": width,
            "TD": _padded(width),
            "HEADS": heads,
            "C": head,
            "TC": 2 * _padded(head // 2, 8) if rotary else _padded(head),
            "HIDDEN": config.intermediate_size,
            "LOOPS": config.n_loop,
            "ACTIVATION": ACTIVATIONS[config.hidden_act],
            "ROTARY": rotary,
            "EPSILON": config.layer_norm_eps,
            "PRECISION": precision,
        }
        self.forward_launch, self.backward_launch = launches({self.shape["TD"], self.shape["TC"]}, precision)
        if device.type == "cuda":
            self._multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count
        else:
            self._multiprocessors = 1
        places = torch.arange(LONGEST_ROW, device=device)[None]
        cos, sin = rotation_angles(places, head, config.rotary_base)
        self._cos, self._sin = cos.flatten(0, 2).contiguous(), sin.flatten(0, 2).contiguous()

    def loss_and_gradient(
        self, weights: torch.Tensor, batch: FlatBatch, scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses [K] and the gradient [K, P] of their sum, of float32 weights."""
        from listops_bench.train.packed import _kernels

        k, n = batch.ids.shape
        rows, tile = batch.starts.shape[1] - 1, tile_of(batch.shape.width)
        # Two tiles that follow each other cannot both be at most half full, or best fit had made one of them.
        tiles = min(2 * n // tile + 1, rows)
        slots = tiles * tile
        width, loops = self.shape["D"], self.shape["LOOPS"]

        def new(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.empty(shape, dtype=dtype, device=weights.device)

        source, used, n_tiles = (new(k, x, dtype=torch.int32) for x in (slots, tiles, 1))
        saved, tile_losses, losses = new(3 * loops + 1, k, slots, width), new(k, tiles), new(k)
        launch = self.backward_launch
        programs = max(1, min(tiles, self._multiprocessors * launch.residents // k))
        partial, gradient = new(programs, k, self.size).zero_(), new(k, self.size)
        _kernels.place_kernel[(k,)](
            batch.starts, source, used, n_tiles, rows, slots, T=tile, TILES=_padded(tiles), num_warps=1
        )
        tokens = (batch.ids, batch.positions, batch.targets)
        given = (weights, *tokens, scale, self._cos, self._sin, source, used, n_tiles, saved)
        sizes = (n, slots, self.size)
        _kernels.forward_kernel[(tiles, k)](
            *given, tile_losses, *sizes, T=tile, **self.shape, **_options(self.forward_launch, self.shape)
        )
        _kernels.backward_kernel[(programs, k)](
            *given, partial, *sizes, T=tile, **self.shape, **_options(launch, self.shape)
        )
        _kernels.reduce_kernel[(-(-self.size // BLOCK), k)](
            partial, tile_losses, n_tiles, gradient, losses, k, self.size, programs, tiles, BLOCK=BLOCK
        )
        return losses, gradient

    @staticmethod
    def update(
        state: Mapping[str, torch.Tensor], gradient: torch.Tensor, adam: Adam, scalars_Kx4: torch.Tensor
    ) -> torch.Tensor:
        """Clips and steps, in place. Returns the gradients' norms [K] before they were clipped."""
        from listops_bench.train.packed import _kernels

        k, size = gradient.shape
        blocks = -(-size // BLOCK)
        squares = torch.empty(k, blocks, dtype=torch.float32, device=gradient.device)
        norms = torch.empty(k, dtype=torch.float32, device=gradient.device)
        _kernels.squares_kernel[(blocks, k)](gradient, squares, size, BLOCK=BLOCK)
        tensors = (state[name] for name in ("weights", "first_moments", "second_moments"))
        columns = (adam.rest1, adam.beta2, adam.rest2, adam.epsilon, adam.max_norm)
        _kernels.update_kernel[(blocks, k)](
            *tensors, gradient, squares, norms, scalars_Kx4, *columns, size, BLOCK=BLOCK, BLOCKS=_padded(blocks)
        )
        return norms


def _padded(n: int, least: int = 16) -> int:
    """The next power of two."""
    return max(least, 1 << (n - 1).bit_length())


def _options(launch: Launch, shape: dict[str, Any]) -> dict[str, int]:
    units = min(launch.units, _padded(shape["HIDDEN"]))
    return {"U": units, "num_warps": launch.warps, "num_stages": 1}
