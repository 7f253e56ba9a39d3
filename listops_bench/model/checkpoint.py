"""Checkpoint folders: ordinary `transformers` folders with their provenance beside them.

    config.json  model.safetensors  generation_config.json      what `AutoModelForCausalLM` reads
    configuration_looped.py  modeling_looped.py                 so that it loads without this package
    tokenizer.json  tokenizer_config.json  chat_template.jinja  what `AutoTokenizer` reads
    README.md  run.json  train_log.jsonl                        the card, how it came about, its learning curve
    checkpoints/step-00500/...                                  the same, as it was after 500 steps (where asked for)

A folder appears whole or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import yaml
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from listops_bench._base.files import read_json
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput, file_error
from listops_bench.model.ladder import modulus_of, parameter_counts
from listops_bench.model.origin import WEIGHTS, check_weights
from listops_bench.model.tokenizer import modulus_of as modulus_of_tokenizer, save_tokenizer
from listops_bench.runs.record import RunRecord, read_run, write_run
from listops_bench.tasks.task import TaskSpec

CARD = "README.md"


# --- writing ----------------------------------------------------------------------------------------------------------


def save_checkpoint(
    folder: str | os.PathLike[str],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    run: RunRecord | None = None,
    *,
    finish: Callable[[Path], None] | None = None,
) -> Path:
    """Writes a checkpoint folder, whole or not at all.

    Args:
        folder: must not exist, or be an empty folder.
        run: how the weights came about; their sizes and digest are added.
        finish: called with the temporary folder before it gets its name, to add files of one's own.

    Raises:
        InvalidInput: there is something at that place already, or it can be no folder.
        EnvironmentFailed: it cannot be written.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInput(f"{str(target)!r} already exists; choose another folder or delete it")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write(temporary, model, tokenizer, run or RunRecord())
        if finish is not None:
            finish(temporary)
        _flush(temporary)
        temporary.rename(target)
    except OSError as error:
        raise file_error("write", target, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Deletes what a process that was killed in `save_checkpoint` has left beside the folder's place."""
    target = Path(folder)
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _write(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, run: RunRecord) -> None:
    model.generation_config = _generation_config(model, run)
    with _quiet():
        model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    complete = dataclasses.replace(run, parameters=parameter_counts(model), weights_sha256=weights_sha256(folder))
    write_run(folder, complete)
    (folder / CARD).write_text(_card(model, complete), encoding="utf-8")


def _generation_config(model: PreTrainedModel, run: RunRecord) -> GenerationConfig:
    """A plain ``generate()`` cuts where evaluation does (`TaskSpec.completion_limit`), and never within the context."""
    longest_row: int = TaskSpec.max_tokens
    context = int(getattr(model.config, "max_position_embeddings", None) or longest_row)
    if run.config.get("trace") == "single":
        limit = {"max_length": context}  # these traces can be longer than half a row
    else:
        limit = {"max_new_tokens": min(longest_row, context) // 2}
    return GenerationConfig(
        **limit,
        do_sample=False,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )


def _flush(folder: Path) -> None:
    """Sees to it that the files are on the disk before the name is: a crash leaves no folder of empty files."""
    for path in (*(p for p in folder.rglob("*") if p.is_file()), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def weights_sha256(folder: str | os.PathLike[str]) -> str:
    """SHA-256 of ``model.safetensors``, as ``sha256sum`` prints it."""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _card(model: PreTrainedModel, run: RunRecord) -> str:
    """A short model card."""
    header = yaml.safe_dump(CARD_DATA, sort_keys=False, default_flow_style=None)
    title = run.name or model.config.model_type
    return f"---\n{header}---\n\n# {title}\n\n{card_text(run, modulus_of(model.config))}"


CARD_DATA: dict[str, Any] = {
    "library_name": "transformers",
    "pipeline_tag": "text-generation",
    "tags": ["listops", "listops_bench"],
}
"""What the front matter of every model card says."""


def card_text(run: RunRecord, modulus: int, place: str = "path") -> str:
    """What every model card says: size, curriculum and usage.

    Args:
        run: with the sizes and the digest of the weights.
        place: the Python expression that a reader gives `from_pretrained`.
    """
    assert run.parameters is not None
    text = files("listops_bench.model").joinpath("card.md").read_text(encoding="utf-8")
    return Template(text).substitute(
        parameters=f"{run.parameters.total:,}",
        modulus=modulus,
        trained=f"Trained on `{run.curriculum}`." if run.curriculum else "",
        place=place,
        weights=run.weights_sha256,
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def load_checkpoint(
    folder: str | os.PathLike[str], *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, RunRecord]:
    """The model (float32, in evaluation mode, on the CPU), its tokenizer, and its record (empty if none).

    Reads safetensors only, and runs no code from the folder unless ``trust_remote_code`` says so.

    Raises:
        InvalidInput: no such folder; a part is missing, cut off or does not fit; pickled weights only; a model that
            needs code of its own, unasked for; the tokenizer is not that of a ListOps modulus, or not the model's.
    """
    path = Path(folder)
    _check_files(path)
    run = read_run(path) or RunRecord()
    if not trust_remote_code:
        _check_architecture(path)
    try:
        with _quiet():
            model, report = AutoModelForCausalLM.from_pretrained(
                path,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
                dtype="float32",
            )
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # safetensors, json, torch and transformers each have their own kinds
        raise InvalidInput(f"checkpoint {str(path)!r} cannot be read: {one_line(error, with_type=True)}") from None
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if report.get(problem):
            first = sorted(map(str, report[problem]))[0]
            what = problem.replace("_", " ")
            raise InvalidInput(f"checkpoint {str(path)!r} does not fit its config.json: {what} {first}")
    ours, theirs = modulus_of(model.config), modulus_of_tokenizer(tokenizer)
    if ours != theirs:
        raise InvalidInput(
            f"checkpoint {str(path)!r} has a tokenizer of modulus {theirs} and a model of modulus {ours}"
        )
    return model.eval(), tokenizer, run


def _check_files(path: Path) -> None:
    if not path.is_dir():
        raise InvalidInput(f"checkpoint {str(path)!r} is not a folder")
    check_weights([file.name for file in path.iterdir() if file.is_file()], str(path))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if not (path / name).is_file():
            raise InvalidInput(f"checkpoint {str(path)!r} has no {name}")


def _check_architecture(path: Path) -> None:
    """Refuses a model that `transformers` and this package know nothing of, but for code that lies beside it."""
    config = read_json(path / "config.json")
    if not isinstance(config, dict):
        raise InvalidInput(f"checkpoint {str(path)!r} has a config.json that is no object")
    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise InvalidInput(
            f"checkpoint {str(path)!r} needs code of its own to be loaded ({config['auto_map']}), which is not run "
            "unless you say --trust-remote-code"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and load reports: files of some kilobytes."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
