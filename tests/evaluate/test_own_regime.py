"""A page of one's own from training to the board, where it is named by what it says."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.evaluate import _examined, verification
from listops_bench.evaluate.examiner import Examiner
from listops_bench.evaluate.run import evaluate_checkpoint, split_rows
from listops_bench.evaluate.verification import validate_file
from listops_bench.harness.lm_eval_files import task_name
from listops_bench.harness.lm_eval_import import import_lm_eval
from listops_bench.leaderboard.board import read_boards
from listops_bench.leaderboard.groups import Setting
from listops_bench.result.files import find_results, read_result, read_results
from listops_bench.runs.record import read_run
from listops_bench.tasks import _own, task as task_module
from listops_bench.tasks.generator import generate
from listops_bench.tasks.pages import own_pages
from listops_bench.tasks.task import get_task
from listops_bench.train.config import TrainConfig, make_config
from listops_bench.train.run import train

PAGE = "nest_probability: 0.3\nmed_operands: any\nunique: false\nhold_out: triples\ntrace: single\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of its own page and one of rows as usual, with their results; the page is gone."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.yaml").write_text(PAGE)
    for name, curriculum in (
        ("own", f"max_med@{folder}/mine.yaml:3,med@{folder}/mine.yaml:3"),
        ("usual", "max:3,med:3"),
    ):
        train(config_of(folder / name, curriculum))
        evaluate_checkpoint(folder / name, splits="test_unseen_operands", num_rows=20, results_dir=folder / "results")
    (folder / "mine.yaml").rename(folder / "moved.yaml")
    return folder


def config_of(output_dir: Path, curriculum: str, **options: Any) -> TrainConfig:
    small = {
        "model": "looped_d008",
        "per_device_train_batch_size": 4,
        "eval_steps": 3,
        "eval_rows": 4,
        "report_to": "none",
    }
    return make_config({"output_dir": str(output_dir), "curriculum": curriculum, **small, **options})


@pytest.fixture
def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has read no page."""
    monkeypatch.setattr(_own, "pages", {})
    task_module._named_task.cache_clear()


def own_name(folder: Path, operations: str = "med") -> str:
    content = json.loads((folder / "own" / "run.json").read_text())
    (word,) = content["pages"]
    return f"{operations}_{word}"


def test_records_and_results_name_the_page_by_what_it_says(folder: Path, another_process: None) -> None:
    name = own_name(folder)
    with pytest.raises(InvalidInput, match="somebody's own page"):
        get_task(name)
    record = read_run(folder / "own")
    assert record is not None
    assert record.identity is not None
    assert record.curriculum == record.identity["curriculum"] == f"max_{name}:3,{name}:3"
    assert record.identity["trace"] == "single"
    assert get_task(name).nest_probability == 0.3
    assert (read_run(folder / "usual") or record).pages is None


def test_results_are_read_where_the_page_is_not(folder: Path, another_process: None) -> None:
    name = own_name(folder)
    found = {result.task.name: result for result in read_results(folder / "results")}
    assert found.keys() == {f"max_{name}", name, name.replace("med", "max", 1), "max", "med"}
    assert found[name].pages == {
        name.partition("_")[2]: json.loads((folder / "own" / "run.json").read_text())["pages"][name.partition("_")[2]]
    }
    assert found["med"].pages is None
    assert found[name].task.trace == "single"
    assert sum(step.steps for step in found[name].splits["test_unseen_operands"].held_out.values()) >= 20
    assert {Setting.of(result).regime for result in found.values()} == {"", name.partition("_")[2]}
    (board,) = read_boards(folder / "results")
    assert board.num_results == 5


def test_a_result_whose_page_says_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "results", tmp_path / "results")
    (path,) = (tmp_path / "results").rglob(f"{own_name(folder)}.json")
    content = json.loads(path.read_text())
    (word,) = content["pages"]
    content["pages"][word]["nest_probability"] = 0.4
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match=f"pages.{word}: its values are those of"):
        read_result(path)


def test_rows_of_a_page_are_drawn_where_that_can_be_ended(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page may make every row one of ten thousand: whoever checks a result of it would draw for minutes."""
    name = own_name(folder)
    evaluate_checkpoint(folder / "own", name, "validation", results_dir=tmp_path)
    (path,) = find_results(tmp_path)
    monkeypatch.setattr(Examiner, "rows", lambda self, *asked: split_rows(*asked))
    assert validate_file(path).task.name == name

    def never(*asked: Any) -> None:
        raise InvalidInput("drawing took more than 120 s")

    monkeypatch.setattr(Examiner, "rows", never)
    verification._rows_of.cache_clear()
    with pytest.raises(InvalidInput, match=r"splits\.validation\.rows_sha256: drawing took more .* \(rule rows\)"):
        validate_file(path)


def test_the_same_page_elsewhere_is_the_same_run(folder: Path) -> None:
    a, b = (config_of(folder / "own", f"med@{path}:3") for path in (folder / "moved.yaml", page_in(folder / "else")))
    assert a.identity() == b.identity()
    c = config_of(folder / "own", f"med@{page_in(folder / 'other', PAGE + 'max_operands: 4')}:3")
    assert c.identity() != a.identity()


def page_in(folder: Path, text: str = PAGE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "moved.yaml").write_text(text)
    return folder / "moved.yaml"


def test_a_child_is_told_of_the_pages(folder: Path, another_process: None) -> None:
    record = read_run(folder / "own")
    assert record is not None
    question = {
        "what": "x",
        "folder": str(folder / "usual"),
        "asked": "ties",
        "tasks": [own_name(folder)],
        "splits": [],
    }
    told = question | {
        "weights_sha256": None,
        "options": {"trace": "single", "device": "cpu"},
        "pages": own_pages(),
    }
    _own.pages.clear()
    task_module._named_task.cache_clear()
    assert _examined._answer(told, io.BytesIO()) == {}


def test_a_log_of_lm_eval_brings_its_page_along(tmp_path: Path, another_process: None) -> None:
    task = get_task(f"max@{page_in(tmp_path)}")
    name, rows = task_name(task, few_shot=True), generate(task, "test", num_rows=4)
    told = {"task": task.name, "split": "test", "few_shot": True, "pages": own_pages(task.page_words)}
    log = {"configs": {name: {"dataset_kwargs": told}}, "n-shot": {name: 4}, "date": 1.0, "config": {
        "model": "hf", "model_args": "pretrained=org/large", "model_num_parameters": 9, "model_sha": "f" * 40,
    }, "total_evaluation_time_seconds": "2.0"}  # fmt: skip
    docs = enumerate(rows.to_arrow().to_pylist())
    lines = [{"doc_id": i, "doc": row, "resps": [[row["completion"]]]} for i, row in docs]
    (tmp_path / "results_1.json").write_text(json.dumps(log))
    (tmp_path / f"samples_{name}_1.jsonl").write_text("\n".join(map(json.dumps, lines)))
    _own.pages.clear()
    task_module._named_task.cache_clear()
    (found,) = import_lm_eval(tmp_path)
    assert (found.task.name, found.splits["test"].metrics.trace_accuracy.correct) == (task.name, 4)
    assert found.pages == told["pages"]
