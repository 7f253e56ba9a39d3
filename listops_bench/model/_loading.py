"""The one door for checkpoints: a folder's config.json and model.safetensors, and nothing else of it, as a model.

    config.json        -> a configuration, by an allow-list of types, keys and values     (`_config_file`)
                       -> the model without memory, on the meta device: not too large, and it stores exactly
    model.safetensors  -> these tensors, read once, hashed and loaded from the same bytes  (`_weights_file`)

Nothing is fetched, imported or asked; no file but these two is looked at, so that no quantisation, adapter, template,
shard or generation setting of somebody else's gets in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.utils import logging as transformers_logging

from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput
from listops_bench.model._config_file import read_config
from listops_bench.model._weights_file import MAX_PARAMETERS, match, read_weights, stored_tensors
from listops_bench.model.ladder import model_symbols, use_our_vocabulary
from listops_bench.runs.folder import WEIGHTS
from listops_bench.tasks.symbols import EOS_ID, Symbols

_NAMES_IN_FILES = {"gpt_neox": {"embed_out.weight": "lm_head.weight"}}
"""Where `transformers` writes another name than the model has."""


def load_model(folder: Path, symbols: str | None = None) -> tuple[PreTrainedModel, str]:
    """The model of a checkpoint folder, in float32, in evaluation mode and on the CPU, and its file's SHA-256.

    Args:
        symbols: the word of its symbol set, see `model_symbols`.

    Raises:
        InvalidInput: one line that names the file and the rule; see `_config_file` and `_weights_file`.
    """
    file = folder / "config.json"
    with quiet():
        config = read_config(file)
        use_our_vocabulary(config, _symbols(config, symbols, file), str(file))
        with torch.device("meta"):
            empty = _build(config, file)
        _check_size(empty, file)
        tensors, sha256 = read_weights(folder / WEIGHTS)
        for stored, name in _NAMES_IN_FILES.get(config.model_type, {}).items():
            if stored in tensors and name not in tensors:
                tensors[name] = tensors.pop(stored)
        found = match(empty, tensors, str(folder / WEIGHTS))
        model = _build(config, file)
    with torch.no_grad():
        for names, tensor in stored_tensors(model):
            tensor.copy_(found[names[0]])
    _try(model.eval(), file)
    return model, sha256


def _symbols(config: PreTrainedConfig, word: str | None, file: Path) -> Symbols:
    try:
        return model_symbols(config, word)
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None


@torch.no_grad()
def _try(model: PreTrainedModel, file: Path) -> None:
    """Some shapes fit a class, and no row."""
    ids = torch.full((1, 3), EOS_ID)
    try:
        model(input_ids=ids, use_cache=False)
    except Exception as error:
        kind = model.config.model_type
        raise InvalidInput(f"{file}: the {kind} cannot be run: {one_line(error, with_type=True)}") from None


def _build(config: PreTrainedConfig, file: Path) -> PreTrainedModel:
    """The model with whatever its memory holds, but for what the class computes itself (angles, masks)."""
    try:
        with no_init_weights():
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        model.tie_weights()
    except Exception as error:  # every class checks its values in its own way
        kind = config.model_type
        raise InvalidInput(f"{file}: no {kind} can be made from it: {one_line(error, with_type=True)}") from None
    return model


def _check_size(model: PreTrainedModel, file: Path) -> None:
    held = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    if held > MAX_PARAMETERS:
        raise InvalidInput(f"{file}: asks for {held:,} parameters, and the most that is loaded is {MAX_PARAMETERS:,}")


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' warnings, progress bars and load reports: files of some kilobytes."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
