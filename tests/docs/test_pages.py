"""What the README and the documentation show is what there is."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listops_bench.cli.command import build_parser
from listops_bench.harness.lm_eval_files import lm_eval_path
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.tasks.generator import generate
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.task import get_task
from listops_bench.train.config import read_config
from tests.docs.shortened import NOT_RUN, PAGES, ROOT, blocks, files, script, shortened

TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8")) <= 8_000


def test_the_row_is_a_real_row() -> None:
    (block,) = [one.text for page in PAGES for one in blocks(page) if one.text.startswith("id ")]
    task, split, number = block.split()[1].split("/")
    rows = generate(get_task(task), split, num_rows=int(number) + 1).to_arrow().to_pylist()
    for column, value in rows[int(number)].items():
        shown = f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
        assert re.search(rf"(^|\s){column}\s+{re.escape(shown.strip())}(\s|$)", block), (column, shown)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snippets = [one for one in blocks(page) if one.language == "python"]
    if snippets:
        save_checkpoint("runs/first", build_model("looped_d008"), build_tokenizer(10), {})
    for snippet in snippets:
        exec(compile(snippet.text, f"{page.name}:{snippet.line}", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_have_a_verb_and_flags_that_there_are(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, content in files(page).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    text = page.read_text(encoding="utf-8")
    found = {line for one in blocks(page) if one.language in ("bash", "sh") for line in one.commands()}
    found |= {" ".join(line.split()) for line in re.findall(r"`(listops-bench [a-z][^`]*)`", text)}
    for line in sorted(found):
        *_, command = re.split(r"(?:^|\s)(?=listops-bench )", line)
        if not command.startswith("listops-bench ") or "..." in command:
            continue
        command = re.sub(r"(?<=sweep) (?=export|merge)", "-", command.replace("$SLURM_ARRAY_TASK_ID", "1"))
        _, verb, *words = shlex.split(command.rstrip(")"))
        assert verb in build_parser().verbs, command
        if verb == "train" and words:  # has a parser of its own
            read_config(words)
        elif len(words) > 1:
            build_parser().parse_args([verb, *words])


def test_harness_commands_name_what_there_is() -> None:
    tasks = re.findall(r"--tasks (\S+)", TEXT) + re.findall(r"`(listops_\w+)`", TEXT)
    assert len(tasks) >= 4
    for task in tasks:
        if task != "listops_bench":
            assert (lm_eval_path() / f"{task}.yaml").is_file(), task
    parameters = re.findall(r"-T (\w+)=([a-z_]+)", TEXT)
    assert {name for name, _ in parameters} == {"task", "split"}
    for parameter, value in parameters:
        assert value in SPLITS if parameter == "split" else get_task(value)


def test_what_is_not_run_stands_in_some_page() -> None:
    lines = [line for page in PAGES for one in blocks(page) for line in one.commands()]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, line) for line in lines)] == []


def test_the_tests_that_everyday_questions_name_are_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "everyday.md").read_text(encoding="utf-8"))
    assert len(named) > 30
    for path, test in named:
        assert f"def {test}(" in (ROOT / "tests" / path).read_text(encoding="utf-8"), (path, test)


# --- from top to bottom -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What commands are given of this checkout, and the run that the README trains."""
    folder = tmp_path_factory.mktemp("docs") / "checkout"
    for part in ("leaderboard", "recipes", "examples"):
        shutil.copytree(ROOT / part, folder / part)
    run(folder, shortened("listops-bench train --task sum_max_med --model looped_d008 --output-dir runs/first"))
    return folder


def run(folder: Path, commands: str, **environment: str) -> None:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", **environment}
    done = subprocess.run(
        ["bash", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.check_all
@pytest.mark.parametrize("page", [page for page in PAGES if "== " in script(page)], ids=name)
def test_a_page_runs_from_top_to_bottom(
    page: Path, template: Path, hub_server: Any, tmp_path: Path, requires: Callable[[str], None]
) -> None:
    for package in ("reasoning_gym", "verifiers"):
        if package in script(page):
            requires(package)
    folder = tmp_path / "checkout"
    left_out = shutil.ignore_patterns("runs") if page.name == "README.md" else None  # which trains it
    shutil.copytree(template, folder, ignore=left_out, copy_function=os.link)
    run(folder, script(page), **hub_server.environment(tmp_path / "hub"))
