"""What every command of ours has in common: its flags, one line for a mistake, and its exit codes.

0 is success, 1 a run or check that failed, 2 bad input, 3 a disk or network that failed, 4 a time limit, 130 Ctrl-C
(129 and 143 the signals HUP and TERM), and 141 a reader of the output that has gone.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from listops_bench._base.escape import terminal
from listops_bench._base.files import check_can_write
from listops_bench._base.stopping import EXIT_TIME_IS_UP, Stopped
from listops_bench.errors import (
    EXIT_ENVIRONMENT,
    EXIT_INVALID,
    MAX_ERROR,
    EnvironmentFailed,
    InvalidInput,
    OutOfTime,
    shortened,
    system_error,
    unknown,
)

EXIT_FAILED, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 130, 141


class Parser(argparse.ArgumentParser):
    """An argument parser that raises InvalidInput, with the nearest known verb or flag, instead of ending the process.

    Attributes:
        verbs: the parsers of its verbs, by name.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self.verbs: dict[str, Parser] = {}
        self._subparsers_action: Any = None

    def add_verb(self, name: str, run: Callable[..., int | None] | None, help: str, example: str) -> Parser:
        """Adds a verb.

        Args:
            run: does the work, with the parsed arguments as keywords. None where the verb has verbs of its own.
            example: arguments that show how it is used.
        """
        if self._subparsers_action is None:
            self._subparsers_action = self.add_subparsers(title="verbs", metavar="VERB", required=True)
        description = help[:1].upper() + help[1:] + "."
        parser: Parser = self._subparsers_action.add_parser(name, help=help, description=description)
        parser.epilog = f"example: {parser.prog} {example}".rstrip()
        parser.set_defaults(run=run)
        self.verbs[name] = parser
        return parser

    def add(self, spec: str, help: str = "", **options: Any) -> None:
        """Adds an argument.

        Args:
            spec: ``--num-rows N``, ``--task TASK...`` for one or more, ``--dry-run`` for a flag without a value, or
                ``checkpoint CHECKPOINT`` for an argument that is no flag.
            help: to which the default is added.
            options: of ``add_argument``.
        """
        name, _, metavar = spec.partition(" ")
        if metavar:
            options["metavar"] = metavar.removesuffix("...")
        else:
            options["action"] = "store_true"
        if metavar.endswith("..."):
            options["nargs"] = "+"
        if options.get("default") not in (None, [], argparse.SUPPRESS):
            help = f"{help} (default: %(default)s)".strip()
        self.add_argument(name, help=help, **options)

    def add_time_limit(self) -> None:
        """Adds ``--time-limit``, for `limits_of_strangers`."""
        self.add(
            "--time-limit TIME",
            "what opening a file or checkpoint, or one split or stage, may take",
            type=duration,
            default="10m",
        )

    def run(self, words: Sequence[str]) -> int | None:
        """Does what the verb of a command line does with its arguments, and returns its exit code, None for 0."""
        arguments = vars(self.parse_args(words))
        run: Callable[..., int | None] = arguments.pop("run")
        return run(**arguments)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parses arguments, of which none may be unknown; argparse comes through here for verbs, too."""
        values, rest = super().parse_known_args(args, namespace)
        if rest and rest[0].startswith("-"):
            flags = [flag for action in self._actions for flag in action.option_strings]
            raise unknown("option", rest[0].partition("=")[0], flags)
        if rest:
            self.error(f"unexpected argument {rest[0]!r}")
        return values, []

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise unknown(str(action.metavar or action.dest).lower(), value, action.choices)

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{message} (see: {self.prog} --help)")


def run_command(
    work: Callable[[], int | None], *, failures: tuple[type[Exception], ...] = (), quiet: bool = False
) -> int:
    """Does the work of a command and returns its exit code, after one line on stderr where it did not succeed.

    Args:
        failures: errors that are no defect of ours and no mistake of the user's: exit code 1.
        quiet: print nothing: another process of the same command does.
    """
    codes: dict[type[Exception], int] = {
        OutOfTime: EXIT_TIME_IS_UP,
        InvalidInput: EXIT_INVALID,
        EnvironmentFailed: EXIT_ENVIRONMENT,
        **dict.fromkeys(failures, EXIT_FAILED),
    }
    try:
        code = work() or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Stopped as stopped:
        if not quiet:
            print_line(f"{stopped}; the same command goes on from there", file=sys.stderr)
        return stopped.code
    except BrokenPipeError:
        _close_output()  # `listops-bench tasks | head -1`: the reader has left
        return EXIT_BROKEN_PIPE
    except tuple(codes) as error:
        if not quiet:
            print_error(str(error))
        return next(code for kind, code in codes.items() if isinstance(error, kind))
    except Exception as error:
        found = system_error(error)
        if found is not None:
            name = found.filename or (None if _close_output() or found.errno == errno.ENOMEM else "standard output")
            said = str(found.strerror) if name is None else f"{found.strerror}: {name}"
        elif isinstance(error, NotImplementedError) and "MPS" in str(error):  # torch says so over ten lines
            said = f"{str(error).partition('. ')[0]}; use the CPU: --device cpu, or ACCELERATE_USE_CPU=true for train"
        else:
            raise
        if not quiet:
            print_error(said)
        return EXIT_ENVIRONMENT


def _close_output() -> bool:
    """Whether all that was printed could be written. Where not, Python would complain once more when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def print_error(message: str) -> None:
    """Prints one line on stderr, however many the message has, and however long it goes on."""
    print_line("error: " + shortened(" ".join(message.split()), MAX_ERROR), file=sys.stderr)


def print_line(text: object, file: TextIO | None = None) -> None:
    """Prints one line of which parts come from outside: names of files, what stands in them. A log has it at once."""
    print(terminal(str(text)), file=file, flush=True)


# --- what flags take --------------------------------------------------------------------------------------------------


def positive(text: str) -> int:
    """``1``, ``2``, ..."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def boolean(text: str) -> bool:
    """``true`` or ``false``."""
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def shard(text: str) -> tuple[int, int]:
    """``2/8`` as (1, 8)."""
    index, slash, count = text.partition("/")
    if not slash or not index.isdecimal() or not count.isdecimal() or not 1 <= int(index) <= int(count):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N, with I in 1..N")
    return int(index) - 1, int(count)


def folder_to_write(text: str) -> str:
    """A folder that is refused at once where nothing could be written in it after the work."""
    try:
        check_can_write(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def file_to_write(text: str) -> str:
    """A file that is refused at once where it could not be written after the work."""
    if Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder")
    folder_to_write(str(Path(text).parent))
    return text


def duration(text: str) -> float:
    """Seconds: ``8m`` as 480.0, ``1h30m``, ``90s`` or ``90``."""
    parts = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6}(?:\.\d{1,3})?)s?)?", text, re.ASCII)
    hours, minutes, seconds = (float(part or 0) for part in (parts.groups() if parts else "000"))
    seconds += 3600 * hours + 60 * minutes
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 8m, 1h30m or 90s")
    return seconds
