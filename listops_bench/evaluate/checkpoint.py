"""A checkpoint with what a result says of it: whose it is, how it was trained, its shape."""

from __future__ import annotations

import os
from dataclasses import dataclass

from transformers import PreTrainedConfig, PreTrainedModel

from listops_bench._base.text import slug
from listops_bench.errors import InvalidInput, unknown
from listops_bench.model.checkpoint import read_checkpoint
from listops_bench.model.ladder import FAMILIES, find_family, model_symbols
from listops_bench.model.origin import Origin, resolve
from listops_bench.result.format import Architecture, Model, Recipe
from listops_bench.runs.folder import RunFiles
from listops_bench.runs.learning import read_learning
from listops_bench.runs.record import Learning, RunRecord, Training, recipe_digest
from listops_bench.tasks.expression import TRACE_STYLES, TraceStyle
from listops_bench.tasks.symbols import Symbols


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint with what a result says of it. ``trace``: the style of completions it was trained on."""

    model: PreTrainedModel
    run: RunRecord
    identity: Model
    recipe: Recipe
    trace: TraceStyle
    learning: dict[str, Learning]

    @property
    def symbols(self) -> Symbols:
        return model_symbols(self.model.config, self.run.symbols)

    @property
    def training(self) -> Training | None:
        """Where the weights come from, as far as that is known."""
        return self.run.training


def open_checkpoint(
    checkpoint: str | os.PathLike[str], revision: str | None = None, *, trust_remote_code: bool = False
) -> Checkpoint:
    """Loads a checkpoint, with its provenance where it has some.

    Args:
        checkpoint: a folder, or a model id on the Hub; ``revision`` and ``trust_remote_code`` are those of `resolve`.

    Raises:
        InvalidInput: as `resolve` and `load_checkpoint`, or provenance that is not what `train` writes.
    """
    return open_origin(
        resolve(checkpoint, revision, trust_remote_code=trust_remote_code), trust_remote_code=trust_remote_code
    )


def open_origin(source: Origin, *, trust_remote_code: bool = False) -> Checkpoint:
    """As `open_checkpoint`, of a folder whose origin is known."""
    model, _, run, sha256 = read_checkpoint(source.folder, trust_remote_code=trust_remote_code)
    where = str(RunFiles(source.folder).record)
    recipe = recipe_of(run, model.config, where)
    identity = Model(source.id or recipe.id, source.revision, sha256)
    learning = read_learning(source.folder, run) if run.training else {}
    return Checkpoint(model, run, identity, recipe, _trace(run, where), learning)


def _trace(run: RunRecord, where: str) -> TraceStyle:
    """The style that a checkpoint was trained on. Every version of ours has written it; others train as they like."""
    style = run.config.get("trace", None if run.training else "parallel")
    if style not in TRACE_STYLES:
        raise InvalidInput(f"{where}: config: {unknown('trace style', style, TRACE_STYLES)}")
    found: TraceStyle = style
    return found


def recipe_of(run: RunRecord, config: PreTrainedConfig, where: str) -> Recipe:
    """The configuration of a run, its seeds apart: the id says what matters most in words, and the rest as a hash."""
    name = architecture(config).name
    identity, seed = run.identity, run.seed
    if identity is None:
        return Recipe(slug(f"{name}-{run.name or 'unrecorded'}"), None)
    if seed is None:
        raise InvalidInput(f"{where}: has an identity and no seed")
    digest, rows = recipe_digest(identity)
    words = slug(f"{name}-{run.curriculum or ''}")
    return Recipe(f"{words}-{digest}", seed, rows)


def architecture(config: PreTrainedConfig) -> Architecture:
    """The shape of a model. On the ladder, or at a width between its rungs, it has the family and a name of the ladder
    (``looped_d048``, ``looped_d040``): found by comparing, not what it calls itself. Off the ladder the family is the
    model type, ``llama-other`` where that is a family's name too, since another size belongs to it."""
    width, kind = _size(config, "hidden_size"), str(config.model_type)
    layers, family = _size(config, "num_hidden_layers"), find_family(config)
    parts = [family or kind, *([f"d{width:03d}"] if width else []), *([f"l{layers}"] if layers and not family else [])]
    return Architecture(
        family=family or (f"{kind}-other" if kind in FAMILIES else kind),
        name="_".join(parts),
        model_type=kind,
        hidden_size=width,
        num_layers=layers,
        num_heads=_size(config, "num_attention_heads"),
        context=_size(config, "max_position_embeddings"),
    )


def _size(config: PreTrainedConfig, name: str) -> int | None:
    """A size that a configuration names, under the name that most have for it."""
    value = getattr(config, name, None)
    return value if isinstance(value, int) and value > 0 else None
