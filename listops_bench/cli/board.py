"""Verbs about the board: leaderboard build, claims, thresholds, repeat, compare, export, validate, verify, store."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from listops_bench._base.command import EXIT_FAILED, Parser, file_to_write, folder_to_write, print_error, print_line
from listops_bench._base.files import check_can_write
from listops_bench._base.text import count, p_number, slug
from listops_bench.cli import model
from listops_bench.errors import InvalidInput
from listops_bench.pages.console import make_table, print_tables

if TYPE_CHECKING:
    from listops_bench.leaderboard.board import Board
    from listops_bench.leaderboard.groups import Group, Run

RESULTS, HOME = "leaderboard/results", "leaderboard"
"""The published results, and the folder that their board and claims lie in. Other results never replace it."""
_BOARD_PLACE = f"(default: {HOME} for the published results, board beside any others)"


def add_verbs(parser: Parser) -> None:
    board = parser.add_verb(
        "leaderboard",
        None,
        "build the board and its thresholds; validate and verify result files",
        "build leaderboard/results --output-dir leaderboard",
    )
    verb = board.add_verb(
        "build",
        build_board,
        "make the board's Markdown, figures and static page from result files, and the page of the claims",
        "runs/results --output-dir runs/board",
    )
    verb.add("results DIR", default=RESULTS, nargs="?")
    verb.add("--output-dir DIR", _BOARD_PLACE, type=folder_to_write)
    verb.add("--runs DIR...", "checkpoints whose learning curves to draw", default=[])
    verb.add("--curve-task TASK", "of the learning curves", default="sum")
    verb.add("--title TEXT", "of the page", default="listops_bench board")
    verb.add("--verified-only", "show those results alone that have been verified")

    verb = board.add_verb(
        "claims",
        print_claims,
        "say of each of the paper's claims whether results and analyses decide it, as Markdown",
        "runs/results --analysis runs/analysis --output runs/CLAIMS.md",
    )
    verb.add("results DIR", default=RESULTS, nargs="?")
    verb.add("--analysis DIR", "folders that analyze wrote lie below it (default: analysis beside the page)")
    verb.add("--output FILE", f"(default: CLAIMS.md in {_BOARD_PLACE[10:]}", type=file_to_write)
    verb.add("--verified-only", "decide by those results alone that have been verified")

    verb = board.add_verb(
        "thresholds",
        show_thresholds,
        "print from which size on each task is learned, with intervals",
        "runs/results",
    )
    verb.add("results DIR", default=RESULTS, nargs="?")
    verb.add("--verified-only", "count those results alone that have been verified")
    verb.add("--times", "also print after how many steps, by size")
    verb.add("--json", "print everything as JSON instead")

    verb = board.add_verb(
        "repeat",
        repeat_cell,
        "train runs of a cell of the board again, score them, and say whether they agree; started again, it goes on",
        "max-852c995a --output-dir runs/repeated",
    )
    verb.add("cell CELL", "the end of its address on a model's page, after the #; or the whole address")
    verb.add("--results DIR", "of the board", default=RESULTS)
    verb.add("--seed N...", "of the runs to repeat (default: the first)", type=int, dest="seeds")
    verb.add("--output-dir DIR", "(default: a temporary folder, which is deleted)", type=folder_to_write)
    verb.add("--dry-run", "print the commands, and run none")

    verb = board.add_verb(
        "compare",
        compare_results,
        "say in which cells two sets of results differ in how many runs learn, and by how much",
        "runs/results leaderboard/results",
    )
    verb.add("first DIR", "results, such as your own")
    verb.add("second DIR", "the results beside which they are put", default=RESULTS, nargs="?")

    verb = board.add_verb(
        "export",
        export_results,
        "write results in a format that others read: every-eval-ever, eval-results or model-index",
        "leaderboard/results --format every-eval-ever --output-dir runs/every-eval-ever",
    )
    verb.add("results DIR", default=RESULTS, nargs="?")
    verb.add("--format NAME", "every-eval-ever, eval-results or model-index", dest="form", required=True)
    verb.add("--output-dir DIR", "the folder to write to", required=True, type=folder_to_write)
    verb.add("--dataset-id ORG/NAME", "the dataset that they refer to", default="listops_bench/listops_bench")

    verb = board.add_verb(
        "validate",
        validate_results,
        "check result files: schema, place, pins, rows, counts, intervals, sizes",
        "leaderboard/results",
    )
    verb.add("files FILE...", "result files, or folders of them")
    verb.add("--checkpoints DIR", "compare with those checkpoints that lie below this folder, in folders or stores")

    verb = board.add_verb(
        "verify",
        verify_results,
        "evaluate the checkpoints of result files again, and compare; records what holds in verified.json",
        "leaderboard/results --checkpoints leaderboard/weights",
    )
    verb.add("files FILE...", "result files, or folders of them")
    verb.add("--checkpoints DIR", "look for checkpoints below this folder, and only then on the Hub")
    verb.add("--device NAME", "to score on (default: a GPU if there is one)")
    verb.add("--jobs N", "processes that score at the same time (default: one for each core, one on a GPU)", type=int)
    verb.add("--resume", "go on: leave out what this very commit has verified before")
    verb.add("--dry-run", "compare, and record nothing")

    verb = board.add_verb(
        "store",
        store_weights,
        "add checkpoints to a store: all seeds of a recipe in one file, each to be had again byte by byte",
        "runs/pocket/runs/* --output-dir runs/weights",
    )
    verb.add("folders CHECKPOINT...", "checkpoint folders")
    verb.add("--output-dir DIR", "the store", default="leaderboard/weights", type=folder_to_write)


# --- what they do ---------------------------------------------------------------------------------------------------


def _place(results: str) -> Path:
    """Where the board of results goes unless another place is given."""
    return Path(HOME) if Path(results) == Path(RESULTS) else Path(results).parent / "board"


def build_board(*, results: str, output_dir: str | None, **options: Any) -> None:
    from listops_bench._base.beside import beside
    from listops_bench._base.files import write_atomic
    from listops_bench._base.memory import uncollected
    from listops_bench.claims.page import FILE_NAME, make_claims
    from listops_bench.leaderboard.output import build, check_replaced

    _result_files([results])
    place = _place(results) if output_dir is None else Path(output_dir)
    check_can_write(place)
    claims, deciding = place / FILE_NAME, list[Callable[[], str]]()

    def decide(boards: Sequence[Board]) -> None:
        check_replaced(boards, results, claims)
        deciding.append(beside(lambda: make_claims(boards, results, claims)))

    with uncollected():  # in copies of this process, too
        built = build(results, place, **options, on_left_out=_warn_left_out, on_read=decide)
        write_atomic(claims, deciding[0]())
    print_line(f"{count(built.num_results, 'result')}: {built.page}, {built.markdown}, {claims}")


def print_claims(*, results: str, analysis: str | None, output: str | None, verified_only: bool) -> None:
    from listops_bench.claims.page import FILE_NAME, write_claims
    from listops_bench.leaderboard.board import read_boards

    _result_files([results])
    page = Path(output) if output else _place(results) / FILE_NAME
    check_can_write(page.parent)
    found = read_boards(results, verified_only=verified_only, on_left_out=_warn_left_out)
    print_line(write_claims(found, results, page, analysis))


def show_thresholds(*, results: str, times: bool, json: bool, verified_only: bool) -> None:
    from listops_bench.leaderboard.board import read_boards
    from listops_bench.leaderboard.records import thresholds_json
    from listops_bench.leaderboard.tables import print_thresholds

    _result_files([results])
    found = read_boards(results, verified_only=verified_only, on_left_out=_warn_left_out)
    if json:
        print(thresholds_json(found), end="")
        return
    measured = [board for board in found if board.arms]
    if not measured:
        raise InvalidInput(f"{results}: no task was learned, or failed, at two sizes in one way of training")
    for board in measured:
        print_thresholds(board, times=times)


def _warn_left_out(problem: str) -> None:
    print_line(f"left out: {problem}", file=sys.stderr)


def repeat_cell(*, cell: str, results: str, seeds: Sequence[int] | None, output_dir: str | None, dry_run: bool) -> int:
    from listops_bench.leaderboard.board import read_boards
    from listops_bench.leaderboard.repeat import Repeats, chosen_runs, find_cell
    from listops_bench.runs.store import STORE

    _result_files([results])
    group = find_cell(read_boards(results, on_left_out=_warn_left_out), cell)
    repeats, runs = Repeats(Path(results).parent / STORE.name), chosen_runs(group, seeds)
    kept = output_dir or ("runs/repeated" if dry_run else None)
    with TemporaryDirectory(prefix="listops-repeat-") if kept is None else nullcontext(kept) as place:
        places = [str(Path(place) / slug(run.seed)) for run in runs]
        scores = str(Path(place) / "results")
        commands = [repeats.commands(group, run, at, scores) for run, at in zip(runs, places, strict=True)]
        if not all(commands):
            raise InvalidInput(f"cell {group.anchor!r}: with which options it was trained is not recorded here")
        for line in (line for lines in commands for line in lines):
            print_line(line)
            code = 0 if dry_run else _run(line)
            if code:
                return code
        return 0 if dry_run else _show_agreement(group, runs, places, scores)


def _run(line: str) -> int:
    """Runs a printed command in this process; a folder that `checkpoint` has written before is there."""
    words = shlex.split(line)[1:]
    if words[0] == "train":
        from listops_bench.train.command import main as train

        return train(words[1:])
    if words[0] == "checkpoint" and Path(words[-1]).exists():
        return 0
    parser = Parser()
    model.add_verbs(parser)
    return parser.run(words) or 0


def _show_agreement(group: Group, runs: Sequence[Run], places: Sequence[str], results_dir: str) -> int:
    from listops_bench.leaderboard.repeat import agreement
    from listops_bench.model.checkpoint import weights_sha256
    from listops_bench.result.files import find_results, read_result

    repeated = []
    for run, place in zip(runs, places, strict=True):
        found = [read_result(path) for path in find_results(results_dir, weights_sha256(place))]
        repeated.append((run, {result.task.name: result for result in found}))
    verdict = agreement(group, repeated)
    table = make_table(group.anchor, "here", "board", "points", "p")
    for row in (verdict.learned, *verdict.rows):
        shares = (f"{right:,} of {n:,}" for right, n in (row.here, row.board))
        table.add_row(row.what, *shares, f"{row.points:+.1f}", p_number(row.p))
    print_tables(table)
    print_line(verdict.verdict)
    return EXIT_FAILED if verdict.differs else 0


def compare_results(*, first: str, second: str) -> int:
    from listops_bench.leaderboard.board import read_boards
    from listops_bench.leaderboard.compare import side_by_side

    for folder in (first, second):
        _result_files([folder])
    found = side_by_side(*(read_boards(folder, on_left_out=_warn_left_out) for folder in (first, second)))
    if not found.cells:
        raise InvalidInput(
            f"{first} and {second} have no cell in common: no task, model and curriculum whose runs are decided in both"
        )
    names = ("learned", "beside", "points", "exact traces", "same weights", "p", "Holm")
    table = make_table("task", "model", "trained on", *names)
    for column in table.columns[3:]:
        column.justify = "right"
    for cell, adjusted in zip(found.cells, found.adjusted, strict=True):
        right, n, other_right, other_n = cell.counts
        shares = (f"{right:,} of {n:,}", f"{other_right:,} of {other_n:,}")
        points = (f"{cell.points:+.0f}", f"{cell.exact_points:+.1f}")
        ps = (p_number(cell.p), "" if adjusted is None else p_number(adjusted))
        table.add_row(cell.task, cell.model, cell.curriculum, *shares, *points, f"{cell.num_identical:,}", *ps)
    print_tables(table)
    for line in found.verdict:
        print_line(line)
    return EXIT_FAILED if found.differs else 0


def export_results(*, results: str, form: str, output_dir: str, dataset_id: str) -> None:
    from listops_bench._base.files import write_atomic
    from listops_bench.hub.formats import export
    from listops_bench.result.files import read_result

    files = export([read_result(path) for path in _result_files([results])], form, dataset_id)
    for name, content in files.items():
        write_atomic(Path(output_dir) / name, content)
    print_line(f"{output_dir}: {count(len(files), 'file')}")


def validate_results(*, files: Sequence[str], checkpoints: str | None) -> int:
    from listops_bench.evaluate.examiner import examiner

    if checkpoints is not None:
        examiner().start()  # while this process imports what it needs itself
    from listops_bench.evaluate.strangers import Checkpoints
    from listops_bench.evaluate.verification import validate_files

    paths = _result_files(files)
    problems = [problem for _, problem in validate_files(paths, Checkpoints(checkpoints)) if problem is not None]
    for problem in problems:
        print_error(problem)
    print(f"{len(paths) - len(problems)} of {len(paths)} result files are valid")
    return 2 if problems else 0


def verify_results(*, files: Sequence[str], checkpoints: str | None, dry_run: bool, **options: Any) -> int:
    from listops_bench.evaluate.examiner import examiner

    examiner().start()
    from listops_bench.evaluate.measuring import Verdict
    from listops_bench.evaluate.strangers import Checkpoints
    from listops_bench.evaluate.verification import verify_files

    def show(verdict: Verdict) -> None:
        if verdict.status == "verified":
            print_line(f"verified: {verdict.path} ({verdict.reason})")
        else:
            print_line(f"{verdict.status}: {verdict.reason}", file=sys.stderr)

    paths = _result_files(files)
    verdicts = verify_files(paths, Checkpoints(checkpoints), write=not dry_run, on_file=show, **options)
    verified = sum(verdict.status == "verified" for verdict in verdicts)
    print(f"{verified} of {len(paths)} result files are verified")
    return 0 if verified == len(paths) else 2


def store_weights(*, folders: Sequence[str], output_dir: str) -> None:
    from listops_bench.evaluate.storing import store_checkpoints

    added = store_checkpoints(folders, output_dir)
    print_line(f"{output_dir}: {added} of {len(folders)} checkpoints added")


def _result_files(names: Sequence[str]) -> list[Path]:
    """Files as they are named, and those below folders, each of which has some."""
    from listops_bench.result.files import results_below

    found: list[Path] = []
    for name in names:
        found += results_below(name) if Path(name).is_dir() else [Path(name)]
    return found
