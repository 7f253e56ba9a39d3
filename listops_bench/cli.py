"""The command ``listops-bench``: verbs, their flags and examples. What a verb does stands in the module it calls.

Bad input is one line on stderr and exit code 2, with the nearest valid name. Ctrl-C ends quietly with 130.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from listops_bench import __version__, _commands
from listops_bench._demo_config import DemoConfig
from listops_bench.errors import InvalidInput, unknown
from listops_bench.task import TaskSpec

PROGRAM = "listops-bench"
EXIT_FAILED, EXIT_INVALID, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141

Run = Callable[[argparse.Namespace], int | None]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return build_parser().run(words)
    except InvalidInput as error:
        return _fail(str(error), EXIT_INVALID)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `listops-bench tasks | head -1`: the reader has left. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.strerror}: {error.filename}", EXIT_FAILED)


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def build_parser() -> _Parser:
    """The whole command line; ``parser.verbs`` are its verbs."""
    parser = _Parser(
        prog=PROGRAM,
        description="Which curriculum lets how small a model learn which task?",
        epilog=f"example: {PROGRAM} tasks sum_max_med      (every verb has --help with an example)",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    _add_data_verbs(parser)
    _add_model_verbs(parser)
    _add_board_verbs(parser)
    _add_demo(parser)
    return parser


# --- verbs ------------------------------------------------------------------------------------------------------------


def _add_data_verbs(parser: _Parser) -> None:
    verb = parser.add_verb(
        "tasks", _commands.tasks, "list the tasks, or show one with sample rows", "tasks sum_max_med --rows 5"
    )
    verb.add_argument("task", nargs="?", metavar="TASK", help="a task to show: any operations joined by _")
    verb.add_argument("--split", default="test", metavar="NAME", help="where sample rows come from (default: test)")
    verb.add_argument("--rows", type=positive, default=3, metavar="N", help="sample rows to show (default: 3)")
    _add_task_parameters(verb)

    verb = parser.add_verb(
        "baselines",
        _commands.baselines,
        "a task's splits, answers, overlap with train and shortcuts: what a model gets above these means something",
        "baselines sum_max_med --split test",
    )
    verb.add_argument("task", metavar="TASK", help="any operations joined by _")
    verb.add_argument("--split", default="test", metavar="NAME", help="(default: test)")
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="of the train rows (default: 0)")
    _add_task_parameters(verb)

    verb = parser.add_verb(
        "prepare",
        _commands.prepare,
        "generate a task into the cache of datasets, so that load_dataset needs no time later",
        "prepare sum_max_med --num-proc 2",
    )
    verb.add_argument("task", metavar="TASK", help="any operations joined by _")
    verb.add_argument("--seed", type=int, metavar="N", help="of the train split (default: 0)")
    verb.add_argument("--num-proc", type=positive, metavar="N", help="processes (default: one)")
    verb.add_argument("--cache-dir", metavar="DIR", help="(default: that of datasets)")
    _add_task_parameters(verb)

    verb = parser.add_verb(
        "export",
        _commands.export,
        "write tasks as a dataset folder: parquet, card and checksums, loadable by path and ready for the Hub",
        "export runs/dataset --task sum sum_max_med",
    )
    verb.add_argument("folder", metavar="DIR")
    verb.add_argument("--task", nargs="+", metavar="TASK", help="(default: the tasks of the frozen release)")
    verb.add_argument("--check", action="store_true", help="write nothing: compare the folder with its checksums")

    verb = parser.add_verb(
        "trace", _commands.trace, "solve an expression step by step", 'trace "[SUM 3 [MAX 2 9 ] 4 ] =" --modulus 10'
    )
    verb.add_argument("expression", metavar="EXPRESSION", help="in ListOps brackets, quoted")
    verb.add_argument("--modulus", type=int, default=10, metavar="N", help="numbers are 0 .. N-1 (default: 10)")
    verb.add_argument(
        "--style", default="parallel", metavar="NAME", help="parallel, single or none (default: parallel)"
    )


def _add_task_parameters(parser: _Parser) -> None:
    """Every parameter of a task that is not part of its name as a flag: ``--modulus 20 --max-operands 4``."""
    group = parser.add_argument_group("task parameters", "instead of the task's own")
    for field in dataclasses.fields(TaskSpec):
        if field.name == "operations":
            continue
        read = _FLAG_TYPES.get(type(field.default), str)
        group.add_argument(
            "--" + field.name.replace("_", "-"),
            type=read,
            metavar=read.__name__.upper(),
            help=f"(default: {field.default})",
        )


def boolean(text: str) -> bool:
    """``true`` or ``false``."""
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def positive(text: str) -> int:
    """``1``, ``2``, ..."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def shares(text: str) -> tuple[float, ...]:
    """``0.015,0.985``."""
    return tuple(float(word) for word in text.split(","))


_FLAG_TYPES: dict[type, Callable[[str], Any]] = {int: int, float: float, bool: boolean, tuple: shares}


def _add_model_verbs(parser: _Parser) -> None:
    parser.add_verb("models", _commands.models, "list the model ladder with its sizes", "models")

    verb = parser.add_verb(
        "train",
        None,
        "train one model on this machine (several devices: accelerate launch -m listops_bench.train)",
        "train --task sum_max_med --model looped_d016 --output-dir runs/first --steps 500",
    )
    verb.forward = _commands.train

    verb = parser.add_verb(
        "evaluate",
        _commands.evaluate,
        "score a checkpoint on tasks, or have it answer one prompt",
        "evaluate runs/first --task sum max --split test --output-dir runs/results",
    )
    verb.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint folder")
    verb.add_argument(
        "--task", nargs="+", metavar="TASK", help="(default: those it was trained on, and their operations alone)"
    )
    verb.add_argument("--split", nargs="+", metavar="NAME", help="(default: all test splits)")
    verb.add_argument("--num-rows", type=positive, metavar="N", help="the first rows of each split (default: all)")
    verb.add_argument("--batch-size", type=positive, metavar="N", help="rows at a time (default: chosen by length)")
    verb.add_argument("--device", metavar="NAME", help="(default: a GPU if there is one)")
    verb.add_argument("--track", default="open", metavar="NAME", help="reference, open or constructed (default: open)")
    verb.add_argument("--output-dir", metavar="DIR", help="write a result file for each task below this folder")
    verb.add_argument("--predictions-dir", metavar="DIR", help="write every answer with its score below this folder")
    verb.add_argument("--prompt", metavar="TEXT", help='answer this instead: "[SUM 3 [MAX 2 9 ] 4 ] ="')


def _add_board_verbs(parser: _Parser) -> None:
    board = parser.add_verb(
        "leaderboard",
        None,
        "build the board, or validate result files",
        "leaderboard build leaderboard/results --output-dir leaderboard",
    )
    verb = board.add_verb(
        "build",
        _commands.build_board,
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
        "validate",
        _commands.validate_results,
        "check result files: schema, counts, intervals, versions",
        "leaderboard validate leaderboard/results/*/*/*.json",
    )
    verb.add_argument("files", nargs="+", metavar="FILE")


def _add_demo(parser: _Parser) -> None:
    verb = parser.add_verb(
        "demo",
        _commands.demo,
        "train three curricula, score them on the same SUM rows, and make a page (some minutes)",
        "demo --seeds 0 1 --output-dir runs/demo",
    )
    verb.add_argument("--fresh", action="store_true", help="train everything again")
    verb.add_argument("--output-dir", metavar="DIR", help="(default: %(default)s)")
    verb.add_argument("--seeds", type=int, nargs="+", metavar="N", help="(default: 0 1)")
    verb.add_argument("--steps", type=positive, metavar="N", help="steps of every run (default: %(default)s)")
    verb.add_argument("--model", metavar="NAME", help="(default: %(default)s)")
    verb.add_argument("--learning-rate", type=float, metavar="X", help="(default: %(default)s)")
    verb.set_defaults(**dataclasses.asdict(DemoConfig()))


# --- argparse with our manners ----------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line that names the nearest verb or flag."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self.verbs: dict[str, _Parser] = {}
        self.forward: Callable[[Sequence[str]], int | None] | None = None
        self._actions_of_verbs: Any = None

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{message} (see: {self.prog} --help)")

    def add_verb(self, name: str, run: Run | None, help: str, example: str) -> _Parser:
        """A verb of this parser; ``run`` gets the parsed arguments (None where the verb has verbs of its own)."""
        if self._actions_of_verbs is None:
            self._actions_of_verbs = self.add_subparsers(title="verbs", metavar="VERB", required=True)
        description = help[:1].upper() + help[1:] + "."
        parser: _Parser = self._actions_of_verbs.add_parser(
            name, help=help, description=description, epilog=f"example: {PROGRAM} {example}"
        )
        parser.set_defaults(run=run)
        self.verbs[name] = parser
        return parser

    def run(self, words: list[str]) -> int:
        """Parses the words after the program's name and does what they say; without any, shows what there is."""
        if not words:
            self.print_help()
            return 0
        parser, rest = self._chosen(words)
        if parser.forward is not None:
            return parser.forward(rest) or 0
        arguments, extra = self.parse_known_args(words)
        if extra:
            raise parser._unexpected(extra[0])
        return arguments.run(arguments) or 0

    def _chosen(self, words: list[str]) -> tuple[_Parser, list[str]]:
        """The parser of the verb that the words begin with, and the words after it.

        Looked up before argparse does, whose own message for a wrong verb names no near one.
        """
        if not self.verbs or not words or words[0].startswith("-"):
            return self, words
        if words[0] not in self.verbs:
            raise unknown("verb", words[0], self.verbs)
        return self.verbs[words[0]]._chosen(words[1:])

    def _unexpected(self, word: str) -> InvalidInput:
        if not word.startswith("-"):
            return InvalidInput(f"unexpected argument {word!r} (see: {self.prog} --help)")
        return unknown("option", word.partition("=")[0], [f for action in self._actions for f in action.option_strings])
