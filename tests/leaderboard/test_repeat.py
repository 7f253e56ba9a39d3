"""A cell of the board repeated: it is found, its runs are chosen, and what came out is compared by runs and by rows."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.groups import Group
from listops_bench.leaderboard.repeat import agreement, chosen_runs, find_cell
from listops_bench.result.format import Result
from tests.support.fake_results import result, sha256, write

SEEDS = 6


@pytest.fixture(scope="module")
def cell() -> Group:
    return boards([result("sum", 0.96 + seed / 1000, seed=seed) for seed in range(SEEDS)])[0].groups[0]


def again(cell: Group, seed: int, accuracy: float) -> dict[str, Result]:
    """What another machine makes of a run: other weights, and so many right rows."""
    made = result("sum", accuracy, seed=seed)
    return {cell.task: dataclasses.replace(made, model=dataclasses.replace(made.model, weights_sha256=sha256("other")))}


def test_a_cell_is_named_by_its_anchor_or_address_and_a_wrong_name_gets_the_nearest(cell: Group) -> None:
    board = boards([run.result for run in cell.runs])
    assert find_cell(board, cell.anchor) == find_cell(board, f"site/models/x.html#{cell.anchor}") == cell
    with pytest.raises(InvalidInput, match=f"unknown cell '{cell.anchor[:-1]}'; did you mean '{cell.anchor}'"):
        find_cell(board, cell.anchor[:-1])


def test_the_first_run_is_repeated_or_those_of_the_seeds_named(cell: Group) -> None:
    assert chosen_runs(cell, None) == [cell.runs[0]]
    assert chosen_runs(cell, [4, 2, 4]) == [cell.runs[4], cell.runs[2]]
    with pytest.raises(InvalidInput, match="unknown seed '9'"):
        chosen_runs(cell, [9])


def test_the_same_weights_are_said_to_be_the_same(cell: Group) -> None:
    found = agreement(cell, [(cell.runs[1], {"sum": cell.runs[1].result})])
    assert (found.identical, found.differs, found.verdict) == (True, False, "same: the weights are identical")


@pytest.mark.parametrize(
    ("accuracies", "differs", "rows_told_apart"),
    [([0.961], False, False), ([0.99], False, True), ([0.3], False, True), ([0.3] * 4, True, True)],
)
def test_runs_decide_and_rows_are_said_beside_them(
    cell: Group, accuracies: list[float], differs: bool, rows_told_apart: bool
) -> None:
    """One run that failed beside six that learned is p = 1/7; four are 1/210."""
    found = agreement(cell, [(cell.runs[seed], again(cell, seed, share)) for seed, share in enumerate(accuracies)])
    learned = sum(share >= 0.95 for share in accuracies)
    assert (found.learned.here, found.learned.board) == ((learned, len(accuracies)), (SEEDS, SEEDS))
    assert (found.identical, found.differs) == (False, differs)
    assert any(row.p < 0.05 for row in found.rows) == rows_told_apart
    assert found.rows[0].points == pytest.approx(100 * (accuracies[0] - 0.96))
    assert found.verdict.startswith("different" if differs else "same")


def test_a_failure_alone_against_many_is_no_proof_but_its_p_is_exact(cell: Group) -> None:
    found = agreement(cell, [(cell.runs[0], again(cell, 0, 0.3))])
    assert found.learned.p == found.learned.lowest_p == pytest.approx(1 / 7)
    assert "could not be below 0.05 with 1 beside 6 runs" in found.verdict


def test_four_failures_could_have_told(cell: Group) -> None:
    found = agreement(cell, [(cell.runs[seed], again(cell, seed, 0.97)) for seed in range(4)])
    assert found.learned.lowest_p == pytest.approx(1 / 210)
    assert "could not be" not in found.verdict


def test_what_nobody_knows_how_to_repeat_is_one_line(
    cell: Group, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    results = write(tmp_path / "results", [run.result for run in cell.runs])
    code, _, error = command("leaderboard", "repeat", cell.anchor, "--results", str(results))
    assert (code, error.count("\n")) == (2, 1)
    assert "is not recorded here" in error


@pytest.mark.check_all
def test_from_a_cell_to_a_verdict(tmp_path: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    run, results = str(tmp_path / "run"), str(tmp_path / "results")
    words = ("--task", "max", "--model", "looped_d008", "--max-steps", "20", "--output-dir", run)
    assert command("train", *words)[0] == 0
    assert command("evaluate", run, "--split", "test", "--output-dir", results)[0] == 0
    assert command("leaderboard", "store", run, "--output-dir", str(tmp_path / "weights"))[0] == 0
    from listops_bench.leaderboard.board import read_boards

    anchor = read_boards(results)[0].groups[0].anchor
    words = ("leaderboard", "repeat", anchor, "--results", results, "--output-dir", str(tmp_path / "again"))
    for _ in range(2):  # the second time nothing is left to train
        code, out, _ = command(*words)
        assert (code, out.splitlines()[-1]) == (0, "same: the weights are identical")
    assert "nothing to do" in out
