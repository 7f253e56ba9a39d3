"""The model that a run starts from."""

from __future__ import annotations

from transformers import PreTrainedModel

from listops_bench.errors import InvalidInput
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.model.ladder import build_model, modulus_of
from listops_bench.train.config import TrainRecipe


def initial_model(config: TrainRecipe) -> PreTrainedModel:
    """The model that a run starts from, on the CPU.

    Raises:
        InvalidInput: an unknown model, or a checkpoint that does not fit.
    """
    modulus = config.plan().modulus
    if config.init_from is None:
        return build_model(config.fresh_model, modulus, config.seed).train()
    model, _, _ = load_checkpoint(config.init_from)
    found = modulus_of(model.config)
    if found != modulus:
        where = config.init_from
        raise InvalidInput(f"checkpoint {where!r} has the vocabulary of modulus {found}, the curriculum's is {modulus}")
    return model.train()
