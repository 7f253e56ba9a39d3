"""Verbs about other harnesses: lm-eval-path, import-lm-eval."""

from __future__ import annotations

import sys
from argparse import Namespace

from listops_bench._cli_parser import Parser


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "lm-eval-path",
        lm_eval_path,
        "print the folder of lm-eval's task files, for its --include_path",
        "lm-eval-path",
    )
    verb.add_argument("--write", metavar="DIR", help="make the task files there from the task registry instead")


# --- what they do ---------------------------------------------------------------------------------------------------


def lm_eval_path(arguments: Namespace) -> None:
    from listops_bench.harness import lm_eval_files

    if arguments.write is None:
        print(lm_eval_files.lm_eval_path())
        return
    written = lm_eval_files.write_files(arguments.write)
    print(f"{arguments.write}: {len(written)} files", file=sys.stderr)
