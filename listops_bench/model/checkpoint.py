"""Checkpoint folders: ordinary `transformers` folders with their provenance beside them.

    config.json  model.safetensors  generation_config.json      what `AutoModelForCausalLM` reads
    configuration_looped.py  modeling_looped.py                 so that it loads without this package
    tokenizer.json  tokenizer_config.json  chat_template.jinja  what `AutoTokenizer` reads
    README.md  run.json  train_log.jsonl                        the card, how it came about, its learning curve
    checkpoints/step-00500/...                                  the same, as it was after 500 steps (where asked for)

A folder appears whole or not at all: it is written beside its place and renamed. An empty folder that is there already
is filled, its record last: it may be the current folder of a shell, or mounted.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import yaml
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from listops_bench._base.escape import markdown, markdown_code
from listops_bench._base.files import file_sha256, read_bytes
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput, file_error, system_error
from listops_bench.model._loading import load_model, quiet
from listops_bench.model.ladder import model_symbols, parameter_counts
from listops_bench.model.origin import check_weights, resolve
from listops_bench.model.tokenizer import build_tokenizer, save_tokenizer
from listops_bench.runs.folder import LOG, RECORD, WEIGHTS, real_folder
from listops_bench.runs.record import RunRecord, read_run, write_run
from listops_bench.tasks.symbols import Symbols
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
        folder: must not exist, or be an empty folder, or a link to one.
        run: how the weights came about; their sizes and digest are added.
        finish: called with the temporary folder before it gets its name, to add files of one's own.

    Raises:
        InvalidInput: there is something at that place already, or it can be no folder.
        EnvironmentFailed: it cannot be written.
    """
    target = real_folder(folder)
    if not can_be_written(target):
        raise InvalidInput(f"{str(folder)!r} already exists; choose another folder or delete it")
    fill, moving = target.exists(), False
    temporary = (target if fill else target.parent) / f".{target.name}.{os.getpid()}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write(temporary, model, tokenizer, run or RunRecord())
        if finish is not None:
            finish(temporary)
        _flush(temporary)
        if moving := fill:
            _move_files(temporary, target)
        else:
            temporary.rename(target)
    except Exception as error:  # tokenizers and safetensors have kinds of their own for a full disk
        if (found := system_error(error)) is None:
            raise
        raise file_error("write", target, found) from None
    finally:
        if not moving:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def copy_checkpoint(checkpoint: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Path:
    """Writes a whole checkpoint folder of one that has what `load_checkpoint` reads, whose files it keeps byte by byte.

    Args:
        checkpoint: see `resolve`.
        folder: see `save_checkpoint`; errors are those of both.
    """
    source = resolve(checkpoint).folder

    def keep(target: Path) -> None:
        for path in (source / name for name in ("config.json", WEIGHTS, RECORD, LOG)):
            if path.is_file():
                (target / path.name).write_bytes(read_bytes(path, within=source))

    return save_checkpoint(folder, *load_checkpoint(source), finish=keep)


def can_be_written(folder: str | os.PathLike[str]) -> bool:
    """Whether `save_checkpoint` can make a folder: none is there, or an empty one, or one that it was filling."""
    target = Path(folder)
    return not target.exists() or (target.is_dir() and (_has_begun(target) or not any(target.iterdir())))


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Deletes what a process that was killed in `save_checkpoint` has left beside the folder's place."""
    target = real_folder(folder)
    for path in target.parent.glob(_leftovers(target)):
        shutil.rmtree(path, ignore_errors=True)


def _leftovers(target: Path) -> str:
    return f".{glob.escape(target.name)}.*.tmp"


def _has_begun(target: Path) -> bool:
    """Whether a folder is being filled, or was when its process was killed: its record comes last."""
    return not (target / RECORD).exists() and any(target.glob(_leftovers(target)))


def _move_files(temporary: Path, target: Path) -> None:
    names = sorted((path.name for path in temporary.iterdir()), key=lambda name: name == RECORD)
    for name in names:
        if (target / name).is_dir():  # of a process that was killed here
            shutil.rmtree(target / name)
        (temporary / name).replace(target / name)
    for path in target.glob(_leftovers(target)):
        shutil.rmtree(path)


def _write(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, run: RunRecord) -> None:
    model.generation_config = _generation_config(model, run)
    with quiet():
        model.save_pretrained(folder)
    shutil.copymode(folder / "config.json", folder / WEIGHTS)  # safetensors' own is for the owner alone
    save_tokenizer(tokenizer, folder)
    complete = dataclasses.replace(run, parameters=parameter_counts(model), weights_sha256=weights_sha256(folder))
    write_run(folder, complete)
    (folder / CARD).write_text(_card(model, complete), encoding="utf-8", newline="\n")


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
    paths, flags = [path for path in folder.rglob("*") if path.is_file()], os.O_RDONLY
    if hasattr(os, "O_DIRECTORY"):
        paths.append(folder)
    else:  # Windows opens no folders, and flushes what is open for writing
        flags = os.O_RDWR
    for path in paths:
        handle = os.open(path, flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def weights_sha256(folder: str | os.PathLike[str]) -> str:
    """SHA-256 of ``model.safetensors``, as ``sha256sum`` prints it."""
    path = Path(folder)
    return file_sha256(path / WEIGHTS, kind="weights", within=path)


def _card(model: PreTrainedModel, run: RunRecord) -> str:
    """A short model card."""
    header = yaml.safe_dump(CARD_DATA, sort_keys=False, default_flow_style=None)
    title = markdown(run.name or model.config.model_type)
    return f"---\n{header}---\n\n# {title}\n\n{card_text(run, model_symbols(model.config, run.symbols))}"


CARD_DATA: dict[str, Any] = {
    "library_name": "transformers",
    "pipeline_tag": "text-generation",
    "tags": ["listops", "listops_bench"],
}
"""What the front matter of every model card says."""


_TRAINED = "Trained on {}; `run.json` says how, and `train_log.jsonl` holds its learning curve."


def card_text(run: RunRecord, symbols: Symbols, place: str = "path") -> str:
    """What every model card says: size, curriculum and usage.

    Args:
        run: with the sizes and the digest of the weights.
        place: the Python expression that a reader gives `from_pretrained`.
    """
    assert run.parameters is not None
    text = files("listops_bench.model").joinpath("card.md").read_text(encoding="utf-8")
    return Template(text).substitute(
        parameters=f"{run.parameters.total:,}",
        about=f"of the symbol set {symbols.word}" if symbols.word else f"modulo {symbols.size}",
        prompt=f"{next(iter(symbols.operations.values())).token} 0 1 1 ] ="
        if symbols.word
        else "[SUM 3 [MAX 2 9 ] 4 ] =",
        trained=_TRAINED.format(markdown_code(run.curriculum)) if run.curriculum else "",
        place=place,
        weights=run.weights_sha256,
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def load_checkpoint(
    folder: str | os.PathLike[str], *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, RunRecord]:
    """The model (float32, in evaluation mode, on the CPU), its tokenizer, and its record (empty if none).

    The tokenizer is the one of the model's symbols, whatever lies in the folder.

    Args:
        trust_remote_code: have `transformers` load the model, with the code that comes with it and whatever else its
            config.json asks for. Without, nothing but config.json, model.safetensors and run.json is read, and
            nothing of them is run, whoever wrote them.

    Raises:
        InvalidInput: no such folder; a part is missing, cut off, too large, or not allowed; pickled weights only; the
            vocabulary is that of no modulus.
    """
    return read_checkpoint(folder, trust_remote_code=trust_remote_code)[:3]


def read_checkpoint(
    folder: str | os.PathLike[str], *, trust_remote_code: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, RunRecord, str]:
    """As `load_checkpoint`, and the SHA-256 of the weights' file that the model was loaded from."""
    path = Path(folder)
    if not path.is_dir():
        raise InvalidInput(f"checkpoint {str(path)!r} is not a folder")
    check_weights([file.name for file in path.iterdir()], str(path))
    run = read_run(path) or RunRecord()
    model, sha256 = _load_as_transformers_does(path) if trust_remote_code else load_model(path, run.symbols)
    model.generation_config = _generation_config(model, run)
    return model, build_tokenizer(model_symbols(model.config, run.symbols)), run, sha256


def _load_as_transformers_does(path: Path) -> tuple[PreTrainedModel, str]:
    """With code that comes with the model, which its user has asked for."""
    try:
        with quiet():
            model, report = AutoModelForCausalLM.from_pretrained(
                path,
                local_files_only=True,
                trust_remote_code=True,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are named below, where transformers points to a table
                dtype="float32",
            )
    except Exception as error:  # safetensors, json, torch and transformers each have their own kinds
        raise InvalidInput(f"checkpoint {str(path)!r} cannot be read: {one_line(error, with_type=True)}") from None
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if report.get(problem):
            first = sorted(map(str, report[problem]))[0]
            what = problem.replace("_", " ")
            raise InvalidInput(f"checkpoint {str(path)!r} does not fit its config.json: {what} {first}")
    return model.eval(), weights_sha256(path)
