"""Publish and submit: checkpoints and datasets to the Hub, results to the board.

push(prepare_model("runs/sum", "org/sum"))                        card with results, weights, provenance: one commit
prepare_revisions(["runs/sum"], "org/sum")                        the same, and the checkpoints along the way
push(prepare_dataset("runs/dataset", "org/listops_bench"))        a folder of `listops-bench export`
submit(["org/sum"], track="open", output_dir="leaderboard/results")

A second push of the same files makes no commit.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from listops_bench._base.files import open_regular
from listops_bench.dataset.release import CHECKSUMS, check
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.checkpoint import Checkpoint, open_checkpoint
from listops_bench.evaluate.run import OnSplit, evaluate_checkpoint
from listops_bench.hub._card import CURVE, learning_curve, write_model_card
from listops_bench.hub.client import Publication
from listops_bench.hub.formats import EVAL_RESULTS, eval_results
from listops_bench.model import configuration_looped, modeling_looped
from listops_bench.model.checkpoint import CARD, copy_checkpoint
from listops_bench.model.ladder import parameter_counts
from listops_bench.model.origin import check_repo_id
from listops_bench.result.files import read_results
from listops_bench.result.format import Result
from listops_bench.runs.folder import LOG, RECORD, WEIGHTS, RunFiles
from listops_bench.runs.record import RunRecord
from listops_bench.runs.store import names_stored_run
from listops_bench.tasks.task import DATASET_VERSION, get_task

DATASET_NAME = "listops_bench"
CHECKPOINT_FILES = (
    *("config.json", WEIGHTS, "generation_config.json", "configuration_looped.py", "modeling_looped.py"),
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", LOG),
)
"""What of a checkpoint folder is published as it stands; nothing else that lies there is."""


def prepare_model(
    checkpoint: str | os.PathLike[str],
    repo_id: str,
    *,
    tasks: Sequence[str] | None = None,
    results_dir: str | os.PathLike[str] | None = None,
    dataset_id: str | None = None,
    device: str | None = None,
    on_split: OnSplit | None = None,
    revision: str | None = None,
    revisions: Sequence[str] = (),
) -> Publication:
    """What publishing a checkpoint uploads. Needs no network.

    Args:
        checkpoint: a folder as `train` writes it, or a run of a store.
        tasks: to score it on; by default those it was trained on, and their operations alone.
        results_dir: take the results of this checkpoint from there instead of scoring it.
        dataset_id: of the dataset on the Hub that the card refers to (default: ``listops_bench`` of the same owner).
        on_split: called with task and split before each is scored.
        revision: where the card says that these weights are (default: ``main``).
        revisions: others that the card names.

    Raises:
        InvalidInput: a broken folder, a repository id that is none, or no results of this checkpoint.
    """
    if names_stored_run(os.fspath(checkpoint)):  # what else belongs into a folder is made now
        with tempfile.TemporaryDirectory() as scratch:
            folder = copy_checkpoint(checkpoint, Path(scratch) / "checkpoint")
            options = {"tasks": tasks, "results_dir": results_dir, "dataset_id": dataset_id, "device": device}
            card: dict[str, Any] = {"revision": revision, "revisions": revisions, "on_split": on_split}
            made = prepare_model(folder, repo_id, **options, **card)  # type: ignore[arg-type]
            return replace(
                made, files={n: f if isinstance(f, bytes) else f.read_bytes() for n, f in made.files.items()}
            )
    check_repo_id(repo_id)
    dataset_id = check_repo_id(dataset_id or f"{repo_id.partition('/')[0]}/{DATASET_NAME}")
    loaded = open_checkpoint(checkpoint)
    if results_dir is None:
        results = evaluate_checkpoint(checkpoint, tasks, device=device, on_split=on_split)
    else:
        results = _results_of(loaded.identity.weights_sha256 or "", results_dir, tasks)
    made = _publication(loaded, checkpoint, results, repo_id, dataset_id, revision, revisions)
    return replace(made, files={**made.files, EVAL_RESULTS: eval_results(results, dataset_id).encode()})


def prepare_revisions(
    checkpoints: Sequence[str | os.PathLike[str]], repo_id: str, *, branch: str | None = None, **options: Any
) -> dict[str | None, Publication]:
    """What publishing a run uploads with its checkpoints along the way, or a recipe with all its seeds.

    A run lies in ``main`` (the key None), and its checkpoints along the way in ``step-00400`` and so on. Of several
    seeds each lies in ``seed-0`` (its steps in ``seed-0-step-00400``), and the first that is named in ``main``, too.

    Args:
        branch: takes the place of ``main``, and stands before the names of the others.
        options: of `prepare_model`. Checkpoints along the way are not scored.

    Raises:
        InvalidInput: as `prepare_model`, several recipes, or a seed twice.
    """
    names = _seeds(checkpoints, branch) if len(checkpoints) > 1 else [branch]
    steps = [
        {"-".join(filter(None, (name, folder.name))): folder for _, folder in RunFiles(one).step_checkpoints()}
        for name, one in zip(names, checkpoints, strict=True)
    ]
    every = [one for name, own in zip(names, steps, strict=True) for one in (name, *own) if one and one != branch]
    found: dict[str | None, Publication] = {}
    for name, own, checkpoint in zip(names, steps, checkpoints, strict=True):
        made = prepare_model(checkpoint, repo_id, revision=name, revisions=every, **options)
        found |= {name: made} if found or name == branch else {branch: made, name: made}
        for step, folder in own.items():
            dataset_id = options.get("dataset_id") or f"{repo_id.partition('/')[0]}/{DATASET_NAME}"
            found[step] = _publication(open_checkpoint(folder), folder, [], repo_id, dataset_id, step, every)
    return found


def _seeds(checkpoints: Sequence[str | os.PathLike[str]], branch: str | None) -> list[str | None]:
    """The branches of several seeds of one recipe, ``seed-0``, or ``BRANCH-seed-0``."""
    first, found = None, list[str | None]()
    for checkpoint in checkpoints:
        loaded = open_checkpoint(checkpoint)
        first = first or loaded.recipe.id
        seed = loaded.run.seed
        name = "-".join(filter(None, (branch, f"seed-{seed}")))
        if loaded.recipe.id != first or name in found or seed is None:
            raise InvalidInput(
                f"checkpoint {str(checkpoint)!r} is seed {seed} of recipe {loaded.recipe.id!r}; a repository takes the"
                f" seeds of one recipe, {first!r}, each once"
            )
        found.append(name)
    return found


def _publication(
    loaded: Checkpoint,
    checkpoint: str | os.PathLike[str],
    results: Sequence[Result],
    repo_id: str,
    dataset_id: str,
    revision: str | None,
    revisions: Sequence[str],
) -> Publication:
    """A checkpoint with its card."""
    folder = Path(checkpoint)
    files: dict[str, Path | bytes] = {**_files_in(folder, CHECKPOINT_FILES)}
    for module in (configuration_looped, modeling_looped):  # whatever a folder holds under these names
        if (path := Path(str(module.__file__))).name in files:
            files[path.name] = path
    run = replace(
        _without_places(loaded.run),
        parameters=parameter_counts(loaded.model),
        weights_sha256=loaded.identity.weights_sha256,
    )
    picture = learning_curve(results)
    card = write_model_card(
        run,
        results,
        loaded.symbols,
        repo_id=repo_id,
        dataset_id=dataset_id,
        curve=picture is not None,
        revision=revision,
        revisions=[name for name in revisions if name != revision],
    )
    files[CARD] = card.encode()
    if loaded.run != RunRecord():
        files[RECORD] = run.text().encode()
    if picture is not None:
        files[CURVE] = picture
    absent = tuple(name for name in (CURVE, EVAL_RESULTS) if name not in files and not results)
    return Publication("model", repo_id, "Checkpoint, card and results by listops_bench", files, absent=absent)


def _files_in(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Those of these files that are there. A link could lead to what is nobody's business: it is refused by name."""
    found = {name: folder / name for name in names if (folder / name).is_file()}
    for path in found.values():
        open_regular(path, within=folder).close()
    return found


def _without_places(run: RunRecord) -> RunRecord:
    """Where on the trainer's disk things lay is nobody's business: files keep their names, and folders go."""
    config = {
        key: _file_name(value) if isinstance(value, str) and key in ("model", "init_from") else _clean(value)
        for key, value in run.config.items()
        if key != "output_dir"
    }
    curriculum = config.get("curriculum")
    if isinstance(curriculum, str) and curriculum.strip().endswith((".yaml", ".yml")):
        config["curriculum"] = _file_name(curriculum)
    return replace(run, config=config, model=None if run.model is None else _file_name(run.model))


def _file_name(path: str) -> str:
    return re.split(r"[/\\]", path.strip().rstrip("/\\"))[-1]


def _clean(value: Any) -> Any:
    """A value without the folders of what looks like a path from the root, a home or a drive."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return _FOLDERS.sub("", value) if isinstance(value, str) else value


_FOLDERS = re.compile(r"(?<=@)(?:[^\s,;:@'\"/\\]+[/\\])+|(?:~|\.{1,2}|\b[A-Za-z]:)?[/\\](?:[^\s,;:@'\"/\\]+[/\\])+")


def _results_of(sha256: str, results_dir: str | os.PathLike[str], tasks: Sequence[str] | None) -> list[Result]:
    found = [result for result in read_results(results_dir) if result.model.weights_sha256 == sha256]
    if tasks is not None:
        names = {get_task(name).name for name in tasks}
        found = [result for result in found if result.task.name in names]
    if not found:
        raise InvalidInput(f"results folder {str(results_dir)!r} holds no result of the weights {sha256[:12]}")
    return found


def prepare_dataset(folder: str | os.PathLike[str], repo_id: str) -> Publication:
    """What publishing an exported folder uploads, once its rows have been compared with its checksums.

    Raises:
        InvalidInput: no such folder, or a file that does not hold the rows that its checksum says.
    """
    check_repo_id(repo_id)
    place = Path(folder)
    if not (place / CHECKSUMS).is_file():
        raise InvalidInput(f"{str(folder)!r} is no dataset folder; `listops-bench export {folder}` writes one")
    rows = [line.path.as_posix() for line in check(place)]
    if not rows:
        raise InvalidInput(f"{str(place / CHECKSUMS)!r} names no file of rows")
    files = _files_in(place, [CARD, "eval.yaml", CHECKSUMS.as_posix(), *rows])
    if CARD not in files:
        raise InvalidInput(f"{str(folder)!r} is no dataset folder: it has no {CARD}")
    return Publication("dataset", repo_id, f"Dataset version {DATASET_VERSION} by listops_bench", files)
