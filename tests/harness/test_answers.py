"""Answers of anybody: one beside its row, and a file of them scored without the model."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import listops_bench
from listops_bench.harness.predictions import score_file
from listops_bench.score.completion import score
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task
from tests.support.commands import Run


def answers(row: dict[str, str]) -> list[str]:
    """Right, right by luck, too long, and none."""
    return [row["completion"], " 3 = " + row["completion"].strip(), row["completion"] + " = 0", ""]


@pytest.mark.parametrize("task", ["sum_max_med", "sum_mod11"])
def test_a_row_knows_how_its_answer_is_scored(task: str) -> None:
    rows = generate(get_task(task), "test", num_rows=250).to_arrow().to_pylist()
    assert len([1 for row in rows for answer in answers(row)]) == 1000
    for row in rows:
        for answer in answers(row):
            expected = score(row["prompt"], answer, row["completion"], modulus=get_task(task).modulus)
            assert listops_bench.score_answer(answer, row) == expected


def test_a_row_without_its_columns_is_named() -> None:
    with pytest.raises(listops_bench.InvalidInput, match="completion is None"):
        listops_bench.score_answer(" 6", {"id": "sum/test/00000", "prompt": "[SUM 3 3 ] ="})


def write(path: Path, lines: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_file_of_answers_has_the_scores_of_its_rows(tmp_path: Path, command: Run) -> None:
    """Whatever order they are in, and whatever the file says that they are worth."""
    rows = generate(get_task("sum"), "test", num_rows=20).to_arrow().to_pylist()
    lines = [
        {"id": row["id"], "completion": row["completion"] if i % 4 else "", "trace": True} for i, row in enumerate(rows)
    ]
    path = write(tmp_path / "answers.jsonl", lines[::-1])
    ((key, found),) = score_file(path).items()
    assert (key, found.n, found.metrics.trace_accuracy.correct) == (("sum", "test"), 20, 15)
    code, printed, _ = command("score", str(path), "--json")
    assert (code, json.loads(printed)["sum/test"]["n"]) == (0, 20)
    single = score_file(write(tmp_path / "single.jsonl", lines), trace="single")
    assert single["sum", "test"].metrics.answer_accuracy == found.metrics.answer_accuracy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines, lines[0]], "line 4: row 'sum/test/00000' is answered twice"),
        (lambda lines: lines[1:], "none to its row 'sum/test/00000'"),
        (lambda lines: [{"id": "summ/test/00000", "completion": ""}], "did you mean 'sum'"),
        (lambda lines: [{"id": "sum/train/00000", "completion": ""}], "rows of sum/train"),
        (lambda lines: [{"prompt": "x"}], "line 1: an answer has an id"),
        (lambda lines: [], "holds no answer"),
    ],
)  # fmt: skip
def test_answers_to_no_rows_are_named(change, said: str, tmp_path: Path, command: Run) -> None:  # type: ignore[no-untyped-def]
    lines = [{"id": f"sum/test/{number:05d}", "completion": " 1"} for number in range(3)]
    code, _, errors = command("score", str(write(tmp_path / "answers.jsonl", change(lines))))
    assert code == 2
    assert said in errors


# --- where models are trained by reward -------------------------------------------------------------------------------


@pytest.mark.check_all
def test_reasoning_gym_gives_every_answer_our_score(requires: Callable[[str], None]) -> None:
    requires("reasoning_gym")
    from reasoning_gym.factory import create_curriculum, create_dataset

    from listops_bench.harness.reasoning_gym import register_to_reasoning_gym

    for _ in range(2):
        register_to_reasoning_gym()
    rows, again = (create_dataset("listops", task="sum_max_med", seed=1, size=250) for _ in range(2))
    exact = create_dataset("listops", task="sum_max_med", seed=1, size=250, exact=True)
    assert list(rows) == list(again)
    assert len(rows) == 250
    for entry in rows:
        row = entry["metadata"]
        assert entry["question"].endswith(row["prompt"])
        assert rows.score_answer(entry["answer"], entry) == exact.score_answer(entry["answer"], entry) == 1
        assert rows.score_answer(None, entry) == 0
        for answer in answers(row):
            expected = score(row["prompt"], answer, row["completion"])
            assert rows.score_answer(answer, entry) == expected.answer
            assert exact.score_answer(answer, entry) == expected.trace
    levels = create_curriculum("listops")
    while levels.increment_attr_level("max_depth") or levels.increment_attr_level("max_operands"):
        config = levels.generate_configuration({"seed": 1, "size": 100})
        config.validate()
        found = create_dataset("listops", **vars(config))
        assert max(entry["metadata"]["depth"] for entry in found) == config.max_depth
    with pytest.raises(listops_bench.InvalidInput, match="did you mean 'sum'"):
        create_dataset("listops", task="summ")


@pytest.mark.check_all
def test_verifiers_gives_every_answer_our_score(requires: Callable[[str], None]) -> None:
    requires("verifiers")
    import verifiers.v1 as vf

    from listops_bench.harness.verifiers import load_taskset

    tasks = list(load_taskset("sum_max_med", split="test", num_rows=250))
    assert len({task.key for task in tasks}) == 250
    for task in tasks:
        row = task.data.row
        assert task.data.prompt.endswith(row["prompt"])
        for answer in answers(row):
            trace = vf.Trace.model_construct(root_reply=answer, rewards={}, metrics={}, nodes=[])
            asyncio.run(task.score(trace))
            expected = score(row["prompt"], answer, row["completion"])
            assert trace.reward == expected.answer
            assert trace.metrics["exact_trace"] == expected.trace
    assert len(list(load_taskset("sum", num_rows=9).shuffle(1).take(5))) == 5


@pytest.mark.check_all
def test_verifiers_own_validation_accepts_our_rows(
    requires: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``vf-validate``: each row's own completion is right, and no answer at all is wrong."""
    requires("verifiers")
    from verifiers.v1.cli.validate import run_validate
    from verifiers.v1.configs.cli.validate import ValidateConfig

    from listops_bench.harness import listops_v1

    monkeypatch.setitem(sys.modules, "listops_v1", listops_v1)  # as it is installed
    taskset = {"id": "listops-v1", "task_name": "sum_max_med", "split": "test", "num_rows": 20}
    config = {"taskset": taskset, "runtime": {"type": "subprocess"}, "output_dir": tmp_path, "rich": False}
    rows = asyncio.run(run_validate(ValidateConfig.model_validate(config)))
    assert [row["reason"] for row in rows] == ["valid"] * 20
