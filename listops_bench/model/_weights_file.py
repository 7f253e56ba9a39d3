"""The tensors of one safetensors file that anybody may have written, read once: what is hashed is what is loaded."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from listops_bench._base import records
from listops_bench._base.files import read_bytes
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput

MAX_PARAMETERS = 100_000_000
"""What a checkpoint may hold; the largest rung of the ladder has 1.1 million."""
_MAX_HEADER_BYTES = 1_000_000
MAX_WEIGHTS_BYTES = 8 + _MAX_HEADER_BYTES + 4 * MAX_PARAMETERS
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors by name, and the SHA-256 of the file, as ``sha256sum`` prints it.

    Raises:
        InvalidInput: no regular file in its folder, too large, or not such a file: a header that is no strict JSON,
            tensors that overlap or leave gaps, or of a type that no weights are of.
    """
    content = read_bytes(path, max_bytes=MAX_WEIGHTS_BYTES, within=path.parent)
    size = int.from_bytes(content[:8], "little")
    if size > _MAX_HEADER_BYTES:
        raise InvalidInput(f"{path}: a header of {size:,} bytes, and the most is {_MAX_HEADER_BYTES:,}")
    records.loads(content[8 : 8 + size], f"{path}: header")  # a name that stands twice would be one of two tensors
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise InvalidInput(f"{path}: cannot be read: {one_line(error, with_type=True)}") from None
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InvalidInput(f"{path}: tensor {name[:80]!r} is {kind}, and weights are float32, float16 or bfloat16")
    return tensors, hashlib.sha256(content).hexdigest()


def stored_tensors(model: torch.nn.Module) -> list[tuple[list[str], torch.Tensor]]:
    """What a model stores, parameters and buffers, each once, with all names it has: tied ones have two."""
    names, tensors = defaultdict[int, list[str]](list), dict[int, torch.Tensor]()
    for name, tensor in model.state_dict(keep_vars=True).items():
        names[id(tensor)].append(name)
        tensors[id(tensor)] = tensor
    return [(names[key], tensor) for key, tensor in tensors.items()]


def match(model: torch.nn.Module, tensors: dict[str, torch.Tensor], where: str) -> dict[str, torch.Tensor]:
    """Each tensor that a model stores, by the first of its names.

    Args:
        model: may be on the meta device.
        tensors: of its file.
        where: stands in front of errors.

    Raises:
        InvalidInput: one is missing, stored twice, of another shape, or none of the model's.
    """
    found, spare = dict[str, torch.Tensor](), set(tensors)
    for names, wanted in stored_tensors(model):
        here = [name for name in names if name in spare]
        if len(here) != 1:
            raise InvalidInput(
                f"{where}: {names[0]!r} is missing" if not here else f"{where}: {' and '.join(here)} are one tensor"
            )
        tensor = tensors[here[0]]
        if tensor.shape != wanted.shape or not wanted.is_floating_point():
            shapes = f"{list(tensor.shape)}, and config.json asks for {list(wanted.shape)}"
            raise InvalidInput(f"{where}: {here[0]!r} is {shapes}")
        found[names[0]] = tensor
        spare.discard(here[0])
    if spare:
        name = min(spare)
        raise InvalidInput(f"{where}: {name[:80]!r} is no tensor of the model; {len(spare)} such are there")
    return found
