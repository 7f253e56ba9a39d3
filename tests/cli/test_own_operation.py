"""An operation of one's own, in a package that is installed: from its page to a row of the board."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from listops_bench.cli import main
from listops_bench.errors import InvalidInput
from listops_bench.leaderboard.board import read_boards
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.result.files import read_results
from listops_bench.tasks import _own, task as task_module
from listops_bench.tasks.symbols import vocabulary
from listops_bench.tasks.task import get_task

PAGE = """
size: 7
operations:
  tick:
    table: [0 1 2 3 4 5 6, 1 2 3 4 5 6 0, 2 3 4 5 6 0 1, 3 4 5 6 0 1 2, 4 5 6 0 1 2 3, 5 6 0 1 2 3 4, 6 0 1 2 3 4 5]
    associative: true
    commutative: true
    identity: 0
  max: {like: max}
"""
PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "clock-listops"
version = "1.0"
[project.entry-points."listops_bench.symbols"]
clock = "clock_listops:PAGE"
[tool.setuptools]
packages = ["clock_listops"]
package-data = {clock_listops = ["*.yaml"]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of an installed operation, its results and their board; the package is not to be seen from here."""
    folder = tmp_path_factory.mktemp("own")
    package = folder / "source" / "clock_listops"
    package.mkdir(parents=True)
    (folder / "source" / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text("from pathlib import Path\nPAGE = Path(__file__).with_name('clock.yaml')\n")
    (package / "clock.yaml").write_text(PAGE)
    alone = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(folder / "installed")]
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install", *alone, str(folder / "source")]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    small = "--model looped_d008 --per-device-train-batch-size 4 --eval-steps 3 --eval-rows 4 --report-to none"
    out = "--output-dir"
    with pytest.MonkeyPatch.context() as here:
        here.syspath_prepend(folder / "installed")
        for words in (
            f"train --curriculum max@clock:3,tick_max@clock:3 {small} {out} {folder}/run",
            f"evaluate {folder}/run --task tick_max@clock tick@clock --split test --num-rows 9 {out} {folder}/results",
            f"leaderboard build {folder}/results {out} {folder}/board",
        ):
            assert main(words.split()) == 0
    sys.modules.pop("clock_listops")
    return folder


def test_results_are_read_where_the_package_is_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_own, "pages", {})
    task_module._named_task.cache_clear()
    with pytest.raises(InvalidInput, match="unknown symbol set 'clock'"):
        get_task("tick@clock")
    found = {result.task.name: result for result in read_results(folder / "results")}
    (word,) = next(iter(found.values())).pages or {}
    assert found.keys() == {f"tick_max_{word}", f"tick_{word}"}
    assert set(found[f"tick_{word}"].splits["test"].slices["root_operation"]) == {"tick"}
    assert get_task(f"tick@{folder}/source/clock_listops/clock.yaml").name == f"tick_{word}"
    (board,) = read_boards(folder / "results")
    assert {(group.task, group.kind) for group in board.groups} == {
        (f"tick_max_{word}", "transfer"), (f"tick_{word}", "transfer"),
    }  # fmt: skip
    assert any(f"tick_max_{word}" in path.read_text() for path in (folder / "board").rglob("*.md"))


def test_a_checkpoint_knows_its_vocabulary(folder: Path) -> None:
    record = json.loads((folder / "run" / "run.json").read_text())
    (word,) = record["pages"]
    assert record["symbols"] == word
    assert set(record["training"]["reductions"]) == {"tick", "max"}
    model, tokenizer, _ = load_checkpoint(folder / "run")
    words = vocabulary(get_task(f"tick_{word}").symbol_set)
    assert [tokenizer.convert_ids_to_tokens(i) for i in range(model.config.vocab_size)] == list(words)
    assert '"[TICK 0 1 1 ] ="' in (folder / "run" / "README.md").read_text()


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        ("s4", "a vocabulary of 14 tokens is not that of symbols 's4', which has 33"),
        ("s5", "unknown symbol set 's5'"),
        ("../../s3", "unknown symbol set"),
        ("clock_0123456789ab", "'clock_0123456789ab' is somebody's own page"),
    ],
)
def test_a_record_of_other_symbols_is_refused(folder: Path, tmp_path: Path, symbols: str, said: str) -> None:
    shutil.copytree(folder / "run", tmp_path / "run", ignore=shutil.ignore_patterns("tensorboard"))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"symbols": symbols}))
    with pytest.raises(InvalidInput, match=said) as caught:
        load_checkpoint(tmp_path / "run")
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)
