"""Where a checkpoint comes from: a folder, a run of a store, or a repository on the Hugging Face Hub at one commit.

    resolve("runs/first")                  Origin(folder=runs/first, id=None, revision=None)
    resolve("looped_d008-max-00ab9844#3")  the same, of a folder with the files of the stored run
    resolve("org/name", revision="v1.0")   Origin(folder=~/.cache/.../<commit>, id="org/name", revision="<commit>")

Nothing is opened here but the list of files; `load_checkpoint` reads the folder.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from listops_bench._base.text import one_line
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.runs.folder import LOG, RECORD, WEIGHTS
from listops_bench.runs.store import run_folder

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# What a checkpoint is read from. Whoever trusts one has `transformers` read what it likes, code among it.
_FILES = ("config.json", WEIGHTS, RECORD, LOG)
_ALL_FILES = ("*.safetensors", "*.json", "*.jsonl", "*.jinja", "*.txt", "*.model", "README.md", "*.py")
MAX_CHECKPOINT_BYTES = 1_000_000_000
"""Of all files together that are fetched of a repository; the largest rung of the ladder has 3.4 MB."""


@dataclass(frozen=True)
class Origin:
    """A checkpoint folder on this machine.

    Attributes:
        folder: holds config.json, model.safetensors and the tokenizer's files.
        id: ``org/name`` on the Hub; None for a folder of one's own.
        revision: the commit (40 hexadecimal digits) that ``folder`` holds; None for a folder of one's own.
    """

    folder: Path
    id: str | None = None
    revision: str | None = None


def resolve(
    checkpoint: str | os.PathLike[str],
    revision: str | None = None,
    *,
    trust_remote_code: bool = False,
) -> Origin:
    """The folder of a checkpoint, downloaded into the Hub's cache where it is not on this machine yet.

    Args:
        checkpoint: a folder, a run of a store (``RECIPE#SEED``), or else a model id on the Hub (``org/name``). A folder
            of that name comes first.
        revision: a branch, tag or commit on the Hub; by default the head of its main branch. It is looked up once, and
            what is returned names the commit.
        trust_remote_code: fetch all that `transformers` could read, of any size, the repository's Python files among
            it. They are never run here.

    Raises:
        InvalidInput: neither a folder, a stored run nor a model on the Hub; its weights are pickled, which may run code
            when they are loaded; or it is too large.
        EnvironmentFailed: no access to the model, or no connection and nothing in the cache.
    """
    folder = run_folder(os.fspath(checkpoint))
    if folder.is_dir():
        if revision is not None:
            raise InvalidInput(f"checkpoint {str(checkpoint)!r} is a folder, and only a model on the Hub has revisions")
        return Origin(folder)
    name = os.fspath(checkpoint)
    try:
        check_repo_id(name)
    except InvalidInput as error:
        why = f": {error}" if name.count("/") == 1 else ""
        raise InvalidInput(f"checkpoint {name!r} is not a folder, nor a model id such as 'org/name'{why}") from None
    return _from_hub(name, revision, trust_remote_code)


def check_repo_id(repo_id: str) -> str:
    """Returns an ``ORG/NAME`` that the Hub takes.

    Raises:
        InvalidInput: it is none.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
        # Older releases of the Hub's client take letters of any script, and a line end.
        reason = "" if re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id, re.ASCII) else "such as 'org/name'"
    except HFValidationError as error:
        reason = one_line(error)
    if reason:
        raise InvalidInput(f"{repo_id!r} is no repository id of the form ORG/NAME: {reason}")
    return repo_id


def check_weights(names: Collection[str], where: str) -> None:
    """Refuses a folder or repository, given the names of its files, without weights as safetensors.

    Raises:
        InvalidInput: saying whether there are pickled ones instead.
    """
    if WEIGHTS in names:
        return
    if any(fnmatch.filter(names, pattern) for pattern in _PICKLES):
        raise InvalidInput(f"checkpoint {where!r} has pickled weights, which may run code; save it as {WEIGHTS}")
    raise InvalidInput(f"checkpoint {where!r} has no {WEIGHTS}")


def _from_hub(name: str, revision: str | None, trust_remote_code: bool) -> Origin:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    patterns = [*(_ALL_FILES if trust_remote_code else _FILES)]
    try:
        found = HfApi().model_info(name, revision=revision, files_metadata=not trust_remote_code)
        sizes = {file.rfilename: file.size for file in found.siblings or ()}
        check_weights(sizes, name)
        if not trust_remote_code:
            _check_sizes({file: sizes[file] for file in _FILES if file in sizes}, name)
        folder = snapshot_download(name, revision=found.sha, allow_patterns=patterns)
    except InvalidInput:
        raise
    except HfHubHTTPError as error:  # the Hub's answer: no such repository or revision, or no access to it
        unknown = isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError))
        kind = InvalidInput if unknown and not isinstance(error, GatedRepoError) else EnvironmentFailed
        raise kind(f"checkpoint {_at(name, revision)} is no folder here, and the Hub says: {one_line(error)}") from None
    except Exception as error:  # no connection, or told to be offline: each layer below has an error of its own
        folder = _from_cache(name, revision, patterns, error)
    return Origin(Path(folder), name, Path(folder).name)


def _check_sizes(sizes: Mapping[str, int | None], where: str) -> None:
    total = sum(size or 0 for size in sizes.values())
    if total > MAX_CHECKPOINT_BYTES or None in sizes.values():
        known = "some size that the Hub does not tell" if None in sizes.values() else f"{total:,} bytes"
        raise InvalidInput(f"checkpoint {where!r} is {known}, and the most that is fetched is {MAX_CHECKPOINT_BYTES:,}")


def _from_cache(name: str, revision: str | None, patterns: list[str], reason: Exception) -> str:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True)
    except LocalEntryNotFoundError:
        raise EnvironmentFailed(
            f"checkpoint {_at(name, revision)} is no folder here, is not in the cache, and the Hub cannot be reached "
            f"at {constants.ENDPOINT}: {one_line(reason, with_type=True)}"
        ) from None
    check_weights([path.name for path in Path(folder).iterdir()], name)
    return folder


def _at(name: str, revision: str | None) -> str:
    return repr(name if revision is None else f"{name}@{revision}")
