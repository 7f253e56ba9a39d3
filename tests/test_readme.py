"""What the README shows is what there is."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from listops_bench.cli.command import build_parser
from listops_bench.harness.lm_eval_files import lm_eval_path
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_row_is_a_real_row() -> None:
    (block,) = [text for _, text in BLOCKS if text.startswith("id ")]
    task, split, number = block.split()[1].split("/")
    rows = generate(get_task(task), split, num_rows=int(number) + 1).to_arrow().to_pylist()
    for column, value in rows[int(number)].items():
        shown = f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
        assert re.search(rf"(^|\s){column}\s+{re.escape(shown.strip())}(\s|$)", block), (column, shown)


@pytest.mark.parametrize("code", [text for language, text in BLOCKS if language == "python"])
def test_python_snippets_are_python(code: str) -> None:
    ast.parse(code)


COMMANDS = re.findall(r"listops-bench ([a-z][^`)\n]*)", README)


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_commands_parse(command: str) -> None:
    words = shlex.split(command, comments=True)
    parser = build_parser()
    verb, _ = parser._chosen(words)
    assert verb is not parser
    if verb.forward is None and not verb.verbs:
        assert parser.parse_known_args(words)[1] == []


def test_harness_commands_name_what_there_is() -> None:
    tasks = re.findall(r"--tasks (\S+)", README) + re.findall(r"`(listops_\w+)`", README)
    assert len(tasks) >= 4
    for task in tasks:
        if task != "listops_bench":
            assert (lm_eval_path() / f"{task}.yaml").is_file(), task
    parameters = dict(re.findall(r"-T (\w+)=(\S+)", README))
    assert parameters == {"task": "sum_max_med", "split": "test_deeper"}
