"""Answers of anybody: one beside its row, and a file of them scored without the model."""

import json
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
