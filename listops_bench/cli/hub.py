"""Verbs about the Hub and the board's results: push, submit."""

from __future__ import annotations

from argparse import SUPPRESS
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from listops_bench._base.command import Parser, folder_to_write, print_line
from listops_bench._base.limits import limits_of_strangers
from listops_bench.cli.board import RESULTS
from listops_bench.cli.model import showing_splits
from listops_bench.errors import InvalidInput
from listops_bench.pages.console import make_table, print_tables

if TYPE_CHECKING:
    from listops_bench.hub.client import Publication
    from listops_bench.result.format import Result


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "push",
        push,
        "publish a checkpoint (with card, results and learning curve) or a dataset folder on the Hub",
        "runs/first my-org/listops-first --dry-run",
    )
    verb.add(
        "folders CHECKPOINT...",
        "a checkpoint folder or RECIPE#SEED; its checkpoints along the way become revisions such as step-00500, several"
        " seeds of a recipe seed-0 and so on; with --dataset, a folder of `export`",
    )
    verb.add("repo ORG/NAME", "the repository; made where there is none")
    verb.add("--dataset", "the folder is a dataset written by `export`")
    verb.add("--private", "make a private repository")
    verb.add("--collection TITLE", "put it into this collection of ORG too, made where there is none")
    branch = verb.add_mutually_exclusive_group()
    branch.add_argument("--revision", metavar="BRANCH", help="push to this branch (default: main)")
    branch.add_argument("--create-pr", action="store_true", help="open a pull request instead of pushing to main")
    verb.add("--dry-run", "show what would be uploaded; needs no network")
    for spec, name, help in (
        ("--results DIR", "results_dir", "take its results from here (default: score it now)"),
        ("--task TASK...", "tasks", "(default: those it was trained on, and their operations alone)"),
        ("--dataset-id ORG/NAME", "dataset_id", "the dataset the card refers to (default: listops_bench of that ORG)"),
        ("--device NAME", "device", "to score on (default: a GPU if there is one)"),
    ):
        verb.add(spec, help, dest=name, default=SUPPRESS)  # absent where it is not given
    verb.add_time_limit()

    verb = parser.add_verb(
        "submit",
        submit,
        "evaluate checkpoints on all splits at a pinned revision, and hand the results to the board",
        "my-org/first@main --track open --output-dir leaderboard/results",
    )
    verb.add(
        "checkpoints CHECKPOINT...",
        "ORG/NAME or ORG/NAME@REVISION on the Hub, a folder or RECIPE#SEED; name all seeds of a recipe together",
    )
    verb.add("--track NAME", "reference, open or constructed", default="open")
    verb.add("--task TASK...", "(default: those it was trained on, and their operations alone)", dest="tasks")
    verb.add("--challenge NAME", "smallest, steps or curriculum: hand over what enters it, and say where it stands")
    place = verb.add_mutually_exclusive_group()
    place.add_argument(
        "--output-dir",
        metavar="DIR",
        type=folder_to_write,
        help="write the files below this folder, for a git pull request",
    )
    place.add_argument(
        "--repo",
        dest="repo_id",
        metavar="ORG/NAME",
        help="open a pull request on this results dataset on the Hub (default: $LISTOPS_BENCH_RESULTS_REPO)",
    )
    verb.add("--device NAME", "to score on (default: a GPU if there is one)")


# --- what they do ---------------------------------------------------------------------------------------------------


def push(
    *, folders: Sequence[str], repo: str, dataset: bool, dry_run: bool, private: bool, collection: str | None,
    revision: str | None, create_pr: bool, time_limit: float, **about_model: Any,
) -> None:  # fmt: skip
    from listops_bench.hub import publish, push as upload
    from listops_bench.hub.client import add_to_collection, check_access

    if collection is not None and create_pr:
        raise InvalidInput("--collection goes with a repository of your own, and --create-pr with somebody else's")
    if not dry_run:
        check_access(repo, dataset=dataset, must_exist=create_pr)
    if dataset and about_model:
        raise InvalidInput("--results, --task, --dataset-id and --device are about checkpoints, not about a --dataset")
    if dataset and len(folders) > 1:
        raise InvalidInput(f"a repository holds one dataset; {len(folders)} folders were given")
    with limits_of_strangers(f"{'dataset' if dataset else 'checkpoint'} {folders[0]!r}", seconds=time_limit) as begin:
        if dataset:
            found = {revision: publish.prepare_dataset(folders[0], repo)}
        elif create_pr:
            if len(folders) > 1:
                raise InvalidInput("a pull request holds one checkpoint")
            found = {None: publish.prepare_model(folders[0], repo, **about_model, on_split=showing_splits(begin))}
        else:
            found = publish.prepare_revisions(
                folders, repo, branch=revision, **about_model, on_split=showing_splits(begin)
            )
    if dry_run:
        _show(found[revision])
        if others := [name for name in found if name != revision]:
            print_line(f"and as revisions: {', '.join(map(str, others))}")
        return
    for branch, publication in found.items():
        done = upload(publication, private=private, revision=branch, create_pr=create_pr)
        place = f"{done.url} {branch}" if branch else done.url
        print_line(f"{place} at {done.commit}" if done.changed else f"{place}: nothing has changed since {done.commit}")
    if collection is not None:
        print_line(f"in {add_to_collection(found[revision], collection, private=private)}")


def _show(publication: Publication) -> None:
    table = make_table("file", "bytes")
    table.columns[1].justify = "right"
    for path, file in sorted(publication.files.items()):
        table.add_row(path, f"{len(file) if isinstance(file, bytes) else file.stat().st_size:,}")
    print_tables(f"would be uploaded to {publication.repo_type} {publication.repo_id}:", table)
    card = publication.files["README.md"]
    for line in (card.decode() if isinstance(card, bytes) else card.read_text(encoding="utf-8")).splitlines():
        print_line(line)


def _places(results: Sequence[Result], name: str) -> list[str]:
    """Where entries of a challenge stand among the published results, where those are at hand."""
    from listops_bench.leaderboard.board import boards, read_boards
    from listops_bench.leaderboard.challenges import entries, get_challenge, place_of

    challenge, ours = get_challenge(name), {result.model.id for result in results}
    published = read_boards(RESULTS, on_left_out=lambda _: None) if Path(RESULTS).is_dir() else []
    constructed = results[0].track == "constructed"
    others = [
        group
        for group in (published[0].groups if published else ())
        if group.first.model.id not in ours and (group.first.track == "constructed") == constructed
    ]
    return [place_of(challenge, group, others) for group in entries(challenge, boards(results)[0].groups)]


def submit(**options: Any) -> None:
    from listops_bench.hub.submission import submit as hand_over, summary

    done = hand_over(**options, on_split=showing_splits())
    challenge = options["challenge"]
    for line in [*summary(done.results), *(_places(done.results, challenge) if challenge and done.results else [])]:
        print_line(line)
    if done.pull_request is not None:
        print_line(f"{'opened' if done.opened else 'open already:'} {done.pull_request}")
        print("next: a maintainer runs `listops-bench leaderboard verify` on it, and merges what is verified")
        return
    for path in done.paths:
        print_line(path)
    if any(result.model.revision is None for result in done.results):
        print(
            "next: let verifiers have the weights: push the checkpoint and submit ORG/NAME instead, or add it with"
            " `listops-bench leaderboard store FOLDER`"
        )
    print("next: commit these files and open a pull request; its checks run `leaderboard validate` and `verify`")
