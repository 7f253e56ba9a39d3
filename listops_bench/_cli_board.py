"""Verbs about the board: leaderboard build, leaderboard thresholds, leaderboard validate."""

from __future__ import annotations

import sys
from argparse import Namespace

from listops_bench._cli_parser import Parser
from listops_bench.errors import InvalidInput


def add_verbs(parser: Parser) -> None:
    board = parser.add_verb(
        "leaderboard",
        None,
        "build the board, or validate result files",
        "leaderboard build leaderboard/results --output-dir leaderboard",
    )
    verb = board.add_verb(
        "build",
        build_board,
        "make the board's Markdown, figures and static page from result files",
        "leaderboard build runs/results --output-dir runs/board",
    )
    verb.add_argument(
        "results", nargs="?", default="leaderboard/results", metavar="DIR", help="(default: leaderboard/results)"
    )
    verb.add_argument("--output-dir", default="leaderboard", metavar="DIR", help="(default: leaderboard)")
    verb.add_argument("--runs", nargs="+", default=[], metavar="DIR", help="checkpoints whose learning curves to draw")
    verb.add_argument("--curve-task", default="sum", metavar="TASK", help="of the learning curves (default: sum)")
    verb.add_argument("--title", default="listops_bench board", metavar="TEXT", help="of the page")

    verb = board.add_verb(
        "thresholds",
        print_thresholds,
        "print from which size on each task is learned, with intervals",
        "leaderboard thresholds runs/results",
    )
    verb.add_argument(
        "results", nargs="?", default="leaderboard/results", metavar="DIR", help="(default: leaderboard/results)"
    )
    verb.add_argument("--times", action="store_true", help="also print after how many steps, by size")
    verb.add_argument("--json", action="store_true", help="print everything as JSON instead")

    verb = board.add_verb(
        "validate",
        validate_results,
        "check result files: schema, counts, intervals, versions",
        "leaderboard validate leaderboard/results/*/*/*.json",
    )
    verb.add_argument("files", nargs="+", metavar="FILE")


# --- what they do ---------------------------------------------------------------------------------------------------


def build_board(arguments: Namespace) -> None:
    from listops_bench.leaderboard import build

    built = build(
        arguments.results,
        arguments.output_dir,
        runs=arguments.runs,
        curve_task=arguments.curve_task,
        title=arguments.title,
    )
    print(f"{built.num_results} results: {built.page}, {built.markdown}")


def print_thresholds(arguments: Namespace) -> None:
    from listops_bench._cli_print import print_tables
    from listops_bench._leaderboard_table import threshold_table, time_table
    from listops_bench.leaderboard import read_boards, thresholds_json

    found = read_boards(arguments.results)
    if arguments.json:
        print(thresholds_json(found), end="")
        return
    measured = [board for board in found if board.arms]
    if not measured:
        raise InvalidInput(f"{arguments.results}: no task was learned, or failed, at two sizes in one way of training")
    print_tables(*(table for b in measured for table in [threshold_table(b), *([time_table(b)] * arguments.times)]))


def validate_results(arguments: Namespace) -> int:
    from listops_bench.result import read_result

    invalid = 0
    for file in arguments.files:
        try:
            read_result(file)
        except InvalidInput as error:
            invalid += 1
            print(f"error: {error}", file=sys.stderr)
    print(f"{len(arguments.files) - invalid} of {len(arguments.files)} result files are valid")
    return 2 if invalid else 0
