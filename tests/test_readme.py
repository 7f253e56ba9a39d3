"""What the README shows is what there is."""

import re
import shlex
from pathlib import Path

import pytest

from listops_bench.cli.command import build_parser
from listops_bench.harness.lm_eval_files import lm_eval_path
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task
from listops_bench.train.config import read_config

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_row_is_a_real_row() -> None:
    (block,) = [text for _, text in BLOCKS if text.startswith("id ")]
    task, split, number = block.split()[1].split("/")
    rows = generate(get_task(task), split, num_rows=int(number) + 1).to_arrow().to_pylist()
    for column, value in rows[int(number)].items():
        shown = f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
        assert re.search(rf"(^|\s){column}\s+{re.escape(shown.strip())}(\s|$)", block), (column, shown)


SNIPPETS = [text for language, text in BLOCKS if language == "python"]


@pytest.mark.parametrize("code", SNIPPETS, ids=range(len(SNIPPETS)))
def test_python_snippets_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_checkpoint("runs/first", build_model("looped_d008"), build_tokenizer(10), {})
    exec(compile(code, "README.md", "exec"), {})


COMMANDS = sorted(
    {shlex.join(shlex.split(c, comments=True)) for c in re.findall(r"listops-bench ([a-z][^`)\n]*)", README)}
)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_a_verb_and_flags_that_there_are(command: str) -> None:
    verb, *words = shlex.split(command)
    assert verb in build_parser().verbs
    if verb == "train":  # has a parser of its own
        read_config(words)
    else:
        build_parser().parse_args([verb, *words])


def test_harness_commands_name_what_there_is() -> None:
    tasks = re.findall(r"--tasks (\S+)", README) + re.findall(r"`(listops_\w+)`", README)
    assert len(tasks) >= 4
    for task in tasks:
        if task != "listops_bench":
            assert (lm_eval_path() / f"{task}.yaml").is_file(), task
    parameters = dict(re.findall(r"-T (\w+)=(\S+)", README))
    assert parameters == {"task": "sum_max_med", "split": "test_deeper"}
