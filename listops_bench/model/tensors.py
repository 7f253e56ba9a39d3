"""What weights are, whatever file holds them."""

from __future__ import annotations

import hashlib

from transformers import PreTrainedModel

from listops_bench.model._weights_file import stored_tensors


def tensors_sha256(model: PreTrainedModel) -> str:
    """SHA-256 over what a model stores: each tensor once, by its first name, with its shape and bytes, sorted by name.

    Models that `load_checkpoint` gives are float32. So neither the header, the order, the metadata or the precision of
    a file makes other weights of the same ones, nor a second name of a shared tensor.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted((min(names), tensor) for names, tensor in stored_tensors(model)):
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
