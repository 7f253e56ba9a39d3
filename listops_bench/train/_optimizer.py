"""What is trained, by which optimizer, at which learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from transformers import PreTrainedModel

from listops_bench.errors import InvalidInput
from listops_bench.model.parts import parameters_in
from listops_bench.train.config import TrainRecipe


def make_optimizer(
    config: TrainRecipe, parameters: Iterable[torch.nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """The optimizer, on all parameters alike.

    AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) unless another is asked for. Adafactor is torch's, whose
    learning rate is relative to the size of the parameters and falls with the steps by itself.
    """
    optim = torch.optim
    lr, decay = config.learning_rate, config.weight_decay
    match config.optim:
        case "adamw_torch":
            betas, fused = (config.adam_beta1, config.adam_beta2), device.type in ("cpu", "cuda")
            return optim.AdamW(parameters, lr, betas, config.adam_epsilon, decay, fused=fused)
        case "adafactor":
            return optim.Adafactor(parameters, lr, weight_decay=decay)
        case "adagrad":
            return optim.Adagrad(parameters, lr, weight_decay=decay)
        case "rmsprop":
            return optim.RMSprop(parameters, lr, weight_decay=decay, momentum=config.momentum)
        case "sgd":
            return optim.SGD(parameters, lr, config.momentum, weight_decay=decay)


def learning_rate(config: TrainRecipe, step: int, first: int, end: int) -> float:
    """The learning rate of a step (counted from 0) on a schedule over the steps ``first .. end``.

    A linear warm-up times a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983) or an exponential from 1 down to
    ``min_lr_ratio``.
    """
    i = step - first
    warm_up = min(1.0, (i + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.lr_scheduler_type == "constant":
        return config.learning_rate * warm_up
    if config.lr_scheduler_type == "exponential":
        return config.learning_rate * warm_up * config.min_lr_ratio ** (i / (end - first))
    cosine = 0.5 * (1 + math.cos(math.pi * i / (end - first)))
    return config.learning_rate * warm_up * (config.min_lr_ratio + (1 - config.min_lr_ratio) * cosine)


def frozen_parameters(model: PreTrainedModel, patterns: Iterable[str]) -> frozenset[str]:
    """Names of the parameters that parts of the model and patterns freeze.

    Raises:
        InvalidInput: as `parameters_in`, or nothing is left to train.
    """
    frozen = parameters_in(model, patterns)
    if frozen and len(frozen) == len(list(model.parameters())):
        raise InvalidInput("a stage freezes every parameter, so there is nothing to train")
    return frozen


def has_dropout(model: torch.nn.Module) -> bool:
    """Whether training the model draws random numbers."""
    rates = [m.p for m in model.modules() if isinstance(m, torch.nn.modules.dropout._DropoutNd)]
    config = getattr(model, "config", None)
    rates += [float(getattr(config, name, 0) or 0) for name in ("attention_dropout", "attn_pdrop", "dropout")]
    return any(rate > 0 for rate in rates)
