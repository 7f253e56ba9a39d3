"""An argument parser with our manners: one line for a mistake, the nearest valid name, an example for every verb."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from listops_bench.errors import InvalidInput, unknown

PROGRAM = "listops-bench"

Run = Callable[[argparse.Namespace], int | None]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line that names the nearest verb or flag."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        self.verbs: dict[str, Parser] = {}
        self.forward: Callable[[Sequence[str]], int | None] | None = None
        self._actions_of_verbs: Any = None

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{message} (see: {self.prog} --help)")

    def add_verb(self, name: str, run: Run | None, help: str, example: str) -> Parser:
        """A verb of this parser; ``run`` gets the parsed arguments (None where the verb has verbs of its own)."""
        if self._actions_of_verbs is None:
            self._actions_of_verbs = self.add_subparsers(title="verbs", metavar="VERB", required=True)
        description = help[:1].upper() + help[1:] + "."
        parser: Parser = self._actions_of_verbs.add_parser(
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

    def _chosen(self, words: list[str]) -> tuple[Parser, list[str]]:
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


# --- what flags take --------------------------------------------------------------------------------------------------


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
