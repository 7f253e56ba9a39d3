"""What of the models of a pack a stage freezes, and what it starts afresh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from transformers import PreTrainedModel

from listops_bench.model.packed import PackedLooped
from listops_bench.model.parts import parameters_in
from listops_bench.train._batches import Ints
from listops_bench.train._run_state import renew
from listops_bench.train.config import TrainRecipe


class Stages:
    """The stages that K models are in."""

    def __init__(
        self, configs: Sequence[TrainRecipe], model: PackedLooped, template: PreTrainedModel, device: torch.device
    ) -> None:
        self._configs, self._model, self._template = configs, model, template
        self._patterns = [[stage.freeze for stage in config.plan().stages] for config in configs]
        self._now = np.full(len(configs), -1)
        self._frozen: torch.Tensor | None = None  # [K, P]; always the same tensor, for a graph
        if any(any(patterns) for patterns in self._patterns):
            size = sum(parameter.numel() for parameter in template.parameters())
            self._frozen = torch.zeros(len(configs), size, dtype=torch.bool, device=device)

    def enter(self, stages: Ints) -> None:
        """The models are in these stages [K] from now on."""
        if self._frozen is None or np.array_equal(stages, self._now):
            return
        for k in np.flatnonzero(stages != self._now).tolist():
            names = parameters_in(self._template, self._patterns[k][stages[k]])
            parts = [torch.full((p.numel(),), name in names) for name, p in self._template.named_parameters()]
            self._frozen[k].copy_(torch.cat(parts))
        self._now = stages.copy()

    @contextmanager
    def freezing(self, tensors: Mapping[str, torch.Tensor], gradient: torch.Tensor) -> Iterator[None]:
        """Inside, an optimizer takes a step: what is frozen has no part in the gradient [K, P], nor in its norm, and
        stays as it was in each of the tensors [K, P]."""
        if self._frozen is None:
            yield
            return
        gradient.masked_fill_(self._frozen, 0)
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        yield
        for name, tensor in tensors.items():
            torch.where(self._frozen, before[name], tensor, out=tensor)

    def renew(self, weights_P: torch.Tensor, k: int, stage: int) -> None:
        """A model begins a stage: what of its weights the stage does not go on with is made anew."""
        if self._configs[k].plan().stages[stage].init_parts:
            self._model.write_into(self._template, weights_P)
            renew(self._configs[k], stage, self._template)
            weights_P.copy_(self._model.flatten([self._template])[0])
