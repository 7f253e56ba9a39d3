"""Submitting to the board: evaluate at a pinned revision, check as a verifier would, hand over as a pull request."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from listops_bench.errors import InvalidInput, unknown
from listops_bench.evaluate.examiner import Description, OnSplit, examiner
from listops_bench.evaluate.verification import check_checkpoints, validate_files
from listops_bench.hub.client import Publication, check_access, open_pull_request, push
from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.challenges import entries, get_challenge
from listops_bench.leaderboard.groups import RANKED_SEEDS
from listops_bench.model.origin import Origin, resolve
from listops_bench.result.files import result_path, write_result
from listops_bench.result.format import TRACKS, Result, Track
from listops_bench.tasks.split import EVALUATION_SPLITS
from listops_bench.tasks.task import DATASET_VERSION, get_task

RESULTS_REPO = "LISTOPS_BENCH_RESULTS_REPO"
"""The environment variable that names the results dataset on the Hub; there is no default."""


@dataclass(frozen=True)
class Submission:
    """What was handed over.

    Attributes:
        results: one for each checkpoint and task; none where the submission was open already, and nothing was scored.
        paths: the files that were written, where a folder was given.
        pull_request: its address, where a results dataset was given.
        opened: False where the same submission was open there already.
    """

    results: tuple[Result, ...]
    paths: tuple[Path, ...] = ()
    pull_request: str | None = None
    opened: bool = True


def submit(
    checkpoints: Sequence[str | os.PathLike[str]],
    *,
    track: Track = "open",
    tasks: Sequence[str] | None = None,
    repo_id: str | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    device: str | None = None,
    challenge: str | None = None,
    on_split: OnSplit | None = None,
) -> Submission:
    """Evaluates checkpoints on all splits of their tasks and submits the results.

    Args:
        checkpoints: folders, or models on the Hub as ``org/name`` or ``org/name@revision``; a revision is pinned to its
            commit. Several seeds of one recipe make one row.
        track: see ``leaderboard/SUBMITTING.md``.
        tasks: by default those that a checkpoint was trained on, and each of their operations alone.
        repo_id: the results dataset on the Hub to open a pull request on (default: ``$LISTOPS_BENCH_RESULTS_REPO``).
        output_dir: write the files here instead, for a git pull request.
        challenge: submit only what enters it, see `leaderboard.challenges`.

    Raises:
        InvalidInput: nowhere to submit to; a checkpoint that verifiers could not load or fetch; a result that would
            not be valid; or no entry of the challenge, with the rule that it breaks.
        EnvironmentFailed: no token, no permission, or no network.
    """
    if track not in TRACKS:
        raise unknown("track", track, TRACKS)
    asked = None if challenge is None else get_challenge(challenge)
    repo_id = None if output_dir is not None else repo_id or os.environ.get(RESULTS_REPO) or None
    if output_dir is None and repo_id is None:
        raise InvalidInput(
            "say where to: --output-dir leaderboard/results writes files for a git pull request; --repo ORG/NAME (or "
            f"{RESULTS_REPO}) opens one on a results dataset on the Hub"
        )
    if repo_id is not None:
        check_access(repo_id, dataset=True, must_exist=True)
    sources = [_source(checkpoint) for checkpoint in checkpoints]
    for checkpoint, source in zip(checkpoints, sources, strict=True):
        if repo_id is not None and source.id is None:
            raise InvalidInput(
                f"{str(checkpoint)!r} is on this machine only, where no verifier can fetch it: push it first "
                f"(`listops-bench push {checkpoint} ORG/NAME`) and submit ORG/NAME"
            )
    looked = [examiner().look(source.folder) for source in sources]
    try:
        check_checkpoints(list(zip(map(str, checkpoints), looked, strict=True)), track)
    except InvalidInput as error:
        raise InvalidInput(f"this would not be accepted: {error}") from None
    if repo_id is not None:
        named = [name for one in looked for name in _tasks_of(one, tasks)]
        there = open_pull_request(Publication("dataset", repo_id, _title(sources, named, track), {}))
        if there is not None:
            return Submission((), pull_request=there, opened=False)
    results = [result for source in sources for result in _evaluate(source, tasks, track, device, on_split)]
    with tempfile.TemporaryDirectory() as scratch:
        for path, problem in validate_files([write_result(scratch, result) for result in results]):
            if problem is not None:
                raise InvalidInput(f"this would not be accepted: {problem.removeprefix(str(path) + ': ')}")
        if asked is not None:
            models = {run.result.model for group in entries(asked, boards(results)[0].groups) for run in group.runs}
            results = [result for result in results if result.model in models]
            ids = {None, *(model.id for model in models)}
            sources = [source for source in sources if source.id in ids]
        if repo_id is not None:
            title = _title(sources, [result.task.name for result in results], track)
            return _open_pull_request(repo_id, title, results, Path(scratch))
    assert output_dir is not None
    return Submission(tuple(results), tuple(write_result(output_dir, result) for result in results))


def _source(checkpoint: str | os.PathLike[str]) -> Origin:
    name, revision = os.fspath(checkpoint), ""
    if not Path(name).is_dir():
        name, _, revision = name.partition("@")
    return resolve(name, revision or None)


def _evaluate(
    source: Origin,
    tasks: Sequence[str] | None,
    track: Track,
    device: str | None,
    on_split: OnSplit | None,
) -> list[Result]:
    return examiner().score(
        source.folder,
        None if tasks is None else list(tasks),
        EVALUATION_SPLITS,
        model_id=source.id,
        revision=source.revision,
        on_split=on_split,
        track=track,
        device=device,
    )


def _tasks_of(checkpoint: Description, tasks: Sequence[str] | None) -> list[str]:
    """What a checkpoint will be scored on. Nothing where its tasks are of a page that is not known here yet."""
    try:
        if tasks is None and checkpoint.training is not None:
            tasks = checkpoint.training.tasks
        return [get_task(name).name for name in tasks or ()]
    except InvalidInput:
        return []


def _open_pull_request(repo_id: str, title: str, results: Sequence[Result], folder: Path) -> Submission:
    paths = [result_path(folder, result) for result in results]
    files = {f"results/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in paths}
    publication = Publication("dataset", repo_id, title, files, "\n".join(summary(results)))
    there = open_pull_request(publication)  # whatever its files hold: another evaluation has other times
    if there is not None:
        return Submission(tuple(results), pull_request=there, opened=False)
    done = push(publication, create_pr=True)
    return Submission(tuple(results), pull_request=done.url)


def _title(sources: Sequence[Origin], tasks: Sequence[str], track: Track) -> str:
    """Says which weights and tasks, so that the same submission has the same title."""
    first, *others = dict.fromkeys(f"{source.id}@{(source.revision or '')[:12]}" for source in sources)
    more = f" and {len(others)} more" if others else ""
    return f"{first}{more}: {', '.join(dict.fromkeys(tasks))} ({track}, dataset {DATASET_VERSION})"[:200]


def summary(results: Sequence[Result]) -> list[str]:
    """A line for each recipe: its seeds, and whether they make a ranked row."""
    constructed = any(result.track == "constructed" for result in results)  # a submission has one track
    seeds: dict[str, dict[str, int | None]] = defaultdict(dict)
    for result in results:
        seeds[result.recipe.id][result.model.weights_sha256 or result.model.id] = result.recipe.seed
    lines = []
    for recipe, found in seeds.items():
        named = ", ".join(str(seed) for seed in found.values() if seed is not None) or "not stated"
        ranked = constructed or len(found) >= RANKED_SEEDS
        rank = "one ranked row" if ranked else f"one row, ranked from {RANKED_SEEDS} seeds of this recipe on"
        lines.append(f"{recipe}: {rank}" if constructed else f"{recipe}: seeds {named}; {rank}")
    return lines
