"""How much a model leans on attention and on feed-forward layers.

Two measures, sublayer by sublayer (for a looped model: loop by loop):

- norms: the length of what a sublayer adds to the residual stream, over the length of the stream before it;
- ablations: what the model still gets right when a sublayer adds nothing (``zero``), or always the mean of what it adds
  on other, held-out rows (``mean``), which leaves the stream where later layers expect it.

Accuracies are teacher-forced: the model reads the reference and is asked for each next token. A row is ``exact`` where
all tokens of its completion come first; that is the same as a greedy completion without a mistake, so ``exact`` is
`score`'s trace accuracy. ``last_step`` asks for the answer alone, given the right lines before it: it also tells
something about models that never get a whole trace right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedModel

from listops_bench.analysis.anatomy import anatomy_of, batches, hooks
from listops_bench.analysis.findings import SUBLAYER_KINDS, SublayerKind
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.generator import Rows

Method = Literal["mean", "zero"]
METHODS: tuple[Method, ...] = ("mean", "zero")


@dataclass(frozen=True)
class Accuracy:
    """Over n rows, each with its Wilson interval."""

    exact: Summary
    last_step: Summary


@dataclass(frozen=True)
class Norm:
    """|output| / |stream before| of one sublayer: quartiles over all tokens of the rows."""

    kind: SublayerKind
    layer: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Ablation:
    """What is left without a sublayer; ``layer`` None means those of the kind in all layers at once."""

    kind: SublayerKind
    layer: int | None
    method: Method
    accuracy: Mapping[str, Accuracy]


@dataclass(frozen=True)
class Reliance:
    """Norms and ablations of one model. ``intact`` and each ablation have an `Accuracy` for every operation."""

    norms: tuple[Norm, ...]
    intact: Mapping[str, Accuracy]
    ablations: tuple[Ablation, ...]
    layer_word: str

    @property
    def attention_share(self) -> float:
        """Attention's part of the sum of all median norm ratios; 0.5 where both kinds write alike."""
        written = {kind: sum(norm.median for norm in self.norms if norm.kind == kind) for kind in SUBLAYER_KINDS}
        total = sum(written.values())
        return written["attention"] / total if total else 0.0

    def find(self, kind: SublayerKind, layer: int | None, method: Method) -> Ablation:
        return next(a for a in self.ablations if (a.kind, a.layer, a.method) == (kind, layer, method))


def reliance(model: PreTrainedModel, rows: Mapping[str, Rows], held_out: Sequence[Rows]) -> Reliance:
    """Measures a model in evaluation mode.

    Args:
        rows: to score, by operation; norms are taken over all of them.
        held_out: other rows, whose mean outputs stand in under mean-ablation.

    Raises:
        InvalidInput: a family that `anatomy` does not know.
    """
    anatomy = anatomy_of(model)
    means = mean_outputs(model, held_out)
    ablations = [
        Ablation(
            kind, layer, method, {name: ablated(model, of, kind, layer, method, means) for name, of in rows.items()}
        )
        for kind in SUBLAYER_KINDS
        for layer in (*range(anatomy.num_layers), None)
        for method in METHODS
    ]
    intact = {name: accuracy(model, of) for name, of in rows.items()}
    return Reliance(norm_ratios(model, list(rows.values())), intact, tuple(ablations), anatomy.layer_word)


def accuracy(model: PreTrainedModel, rows: Rows) -> Accuracy:
    """How many rows the model gets exactly right, and how many answers given the lines before them."""
    exact = last = 0
    for batch in batches(rows):
        right = batch.logits(model).argmax(-1).cpu() == batch.ids[:, 1:]
        exact += int((right | ~batch.answers).all(1).sum())
        last += int(right[:, -2].sum())  # the last two targets are the answer and <eos>
    return Accuracy(Summary.of(exact, len(rows)), Summary.of(last, len(rows)))


def ablated(
    model: PreTrainedModel,
    rows: Rows,
    kind: SublayerKind,
    layer: int | None,
    method: Method,
    means: Sequence[torch.Tensor],
) -> Accuracy:
    """`accuracy` while sublayers add their mean output, or nothing."""
    sublayers = anatomy_of(model).sublayers
    chosen = {i for i, s in enumerate(sublayers) if s.kind == kind and layer in (s.layer, None)}

    def write(number: int, output: torch.Tensor) -> torch.Tensor | None:
        if number not in chosen:
            return None
        return torch.zeros_like(output) if method == "zero" else means[number].to(output).expand_as(output)

    with hooks(model, write=write):
        return accuracy(model, rows)


def mean_outputs(model: PreTrainedModel, rows: Sequence[Rows]) -> list[torch.Tensor]:
    """The mean output [D] of every sublayer over all tokens of some rows."""
    sums: dict[int, torch.Tensor] = {}

    def visit(number: int, before: torch.Tensor, output: torch.Tensor) -> None:
        sums[number] = sums.get(number, 0) + output.double().sum(0)

    count = _visit(model, rows, visit)
    return [sums[number] / count for number in sorted(sums)]


def norm_ratios(model: PreTrainedModel, rows: Sequence[Rows]) -> tuple[Norm, ...]:
    """The norms of every sublayer."""
    ratios: dict[int, list[npt.NDArray[np.float32]]] = {}

    def visit(number: int, before: torch.Tensor, output: torch.Tensor) -> None:
        ratio = output.norm(dim=-1) / before.norm(dim=-1).clamp(min=torch.finfo(before.dtype).tiny)
        ratios.setdefault(number, []).append(ratio.cpu().numpy())

    _visit(model, rows, visit)
    quartiles = {i: np.quantile(np.concatenate(parts), (0.25, 0.5, 0.75)) for i, parts in ratios.items()}
    return tuple(Norm(s.kind, s.layer, *map(float, quartiles[i])) for i, s in enumerate(anatomy_of(model).sublayers))


def _visit(
    model: PreTrainedModel, rows: Sequence[Rows], visit: Callable[[int, torch.Tensor, torch.Tensor], None]
) -> int:
    """Calls ``visit`` with every sublayer's number, the stream before it and its output, both [N, D]; counts tokens."""
    before: dict[int, torch.Tensor] = {}
    tokens = 0

    def write(number: int, output: torch.Tensor) -> None:
        visit(number, before[number].flatten(0, 1), output.flatten(0, 1))

    with hooks(model, read=before.__setitem__, write=write):
        for part in rows:
            for batch in batches(part):
                batch.logits(model)
                tokens += batch.answers.numel()
    return tokens
