"""Verbs about the board: leaderboard build, thresholds, validate, verify."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from listops_bench._base.command import Parser
from listops_bench.errors import InvalidInput


def add_verbs(parser: Parser) -> None:
    board = parser.add_verb(
        "leaderboard",
        None,
        "build the board and its thresholds; validate and verify result files",
        "leaderboard/results --output-dir leaderboard",
    )
    verb = board.add_verb(
        "build",
        build_board,
        "make the board's Markdown, figures and static page from result files, and the page of the claims",
        "runs/results --output-dir runs/board",
    )
    verb.add("results DIR", default="leaderboard/results", nargs="?")
    verb.add("--output-dir DIR", default="leaderboard")
    verb.add("--runs DIR...", "checkpoints whose learning curves to draw", default=[])
    verb.add("--curve-task TASK", "of the learning curves", default="sum")
    verb.add("--title TEXT", "of the page", default="listops_bench board")

    verb = board.add_verb(
        "claims",
        print_claims,
        "say of each of the paper's claims whether results and analyses decide it, as Markdown",
        "runs/results --analysis runs/analysis --output runs/CLAIMS.md",
    )
    verb.add("results DIR", default="leaderboard/results", nargs="?")
    verb.add("--analysis DIR", "folders that analyze wrote lie below it (default: analysis beside the page)")
    verb.add("--output FILE", default="leaderboard/CLAIMS.md")

    verb = board.add_verb(
        "thresholds",
        show_thresholds,
        "print from which size on each task is learned, with intervals",
        "runs/results",
    )
    verb.add("results DIR", default="leaderboard/results", nargs="?")
    verb.add("--times", "also print after how many steps, by size")
    verb.add("--json", "print everything as JSON instead")

    verb = board.add_verb(
        "validate",
        validate_results,
        "check result files: schema, place, pins, rows, counts, intervals, sizes",
        "leaderboard/results",
    )
    verb.add("files FILE...", "result files, or folders of them")
    verb.add("--checkpoints DIR", "compare with those checkpoints that lie below this folder")

    verb = board.add_verb(
        "verify",
        verify_results,
        "evaluate the checkpoints of result files again, and compare; records what holds in verified.json",
        "leaderboard/results --checkpoints leaderboard/checkpoints",
    )
    verb.add("files FILE...", "result files, or folders of them")
    verb.add("--checkpoints DIR", "look for checkpoints below this folder, and only then on the Hub")
    verb.add("--device NAME", "to score on (default: a GPU if there is one)")
    verb.add("--dry-run", "compare, and record nothing")


# --- what they do ---------------------------------------------------------------------------------------------------


def build_board(arguments: Namespace) -> None:
    from listops_bench.claims.page import FILE_NAME, write_claims
    from listops_bench.leaderboard.output import build

    built = build(
        arguments.results,
        arguments.output_dir,
        runs=arguments.runs,
        curve_task=arguments.curve_task,
        title=arguments.title,
    )
    claims = write_claims(built.boards, arguments.results, Path(arguments.output_dir) / FILE_NAME)
    print(f"{built.num_results} results: {built.page}, {built.markdown}, {claims}")


def print_claims(arguments: Namespace) -> None:
    from listops_bench.claims.page import write_claims
    from listops_bench.leaderboard.board import read_boards

    print(write_claims(read_boards(arguments.results), arguments.results, arguments.output, arguments.analysis))


def show_thresholds(arguments: Namespace) -> None:
    from listops_bench.leaderboard.board import read_boards
    from listops_bench.leaderboard.records import thresholds_json
    from listops_bench.leaderboard.tables import print_thresholds

    found = read_boards(arguments.results)
    if arguments.json:
        print(thresholds_json(found), end="")
        return
    measured = [board for board in found if board.arms]
    if not measured:
        raise InvalidInput(f"{arguments.results}: no task was learned, or failed, at two sizes in one way of training")
    for board in measured:
        print_thresholds(board, times=arguments.times)


def validate_results(arguments: Namespace) -> int:
    from listops_bench.evaluate.strangers import Checkpoints
    from listops_bench.evaluate.verification import validate_files

    files = _result_files(arguments.files)
    places = Checkpoints(arguments.checkpoints)
    problems = [problem for _, problem in validate_files(files, places) if problem is not None]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"{len(files) - len(problems)} of {len(files)} result files are valid")
    return 2 if problems else 0


def verify_results(arguments: Namespace) -> int:
    from listops_bench.evaluate.strangers import Checkpoints
    from listops_bench.evaluate.verification import Verdict, verify_files

    def show(verdict: Verdict) -> None:
        if verdict.status == "verified":
            print(f"verified: {verdict.path} ({verdict.reason})")
        else:
            print(f"{verdict.status}: {verdict.reason}", file=sys.stderr)

    files = _result_files(arguments.files)
    places = Checkpoints(arguments.checkpoints)
    verdicts = verify_files(files, places, device=arguments.device, write=not arguments.dry_run, on_file=show)
    verified = sum(verdict.status == "verified" for verdict in verdicts)
    print(f"{verified} of {len(files)} result files are verified")
    return 0 if verified == len(files) else 2


def _result_files(names: Sequence[str]) -> list[Path]:
    """Files as they are named, and those below folders."""
    from listops_bench.result.files import find_results

    return [file for name in names for file in (find_results(name) if Path(name).is_dir() else [Path(name)])]
