import pytest

from listops_bench.tasks.baselines import baselines, score_shortcuts
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task

NAMES = ["majority", "root_operation", "ignore_subtrees", "visible_operands", "bag_of_operands", "root_on_leaves"]


def _accuracies(name: str, split: str = "test") -> dict[str, float]:
    return {baseline.name: baseline.accuracy for baseline in baselines(get_task(name), split)}


def test_every_shortcut_is_scored_on_every_row() -> None:
    found = baselines(get_task("sum_max_med"), "validation")
    assert [baseline.name for baseline in found] == NAMES
    assert {baseline.n for baseline in found} == {1_000}


def test_shortcuts_by_hand() -> None:
    """Depth-1 rows are answered by their root, on the operands that are all there."""
    task = get_task("max", max_depth=1, depth_weights=(1.0,), num_train=200)
    rows = generate(task, "train")
    found = {baseline.name: baseline.accuracy for baseline in score_shortcuts(rows, rows)}
    assert found["ignore_subtrees"] == found["root_on_leaves"] == found["bag_of_operands"] == 1
    assert found["visible_operands"] == 1
    assert found["majority"] == found["root_operation"] == pytest.approx((rows.answer == 9).mean())


@pytest.mark.parametrize("name", ["sum", "prod", "ssum", "max", "min"])
def test_no_lookup_helps_where_nesting_flattens(name: str) -> None:
    """A look-up of the operands finds nothing in train, since equal multisets of operands are one problem."""
    found = _accuracies(name)
    assert found["bag_of_operands"] == found["root_operation"]
    assert found["root_on_leaves"] == 1


def test_operands_that_are_seen_say_more_than_the_root_on_them() -> None:
    """What is hidden moves the answer: the most frequent one is right more often than that of the seen ones alone."""
    found = _accuracies("sum_max_med")
    assert found["ignore_subtrees"] + 0.01 < found["visible_operands"] < found["ignore_subtrees"] + 0.1


def test_the_headline_mixture_is_far_from_solved_by_shortcuts() -> None:
    assert max(_accuracies("sum_max_med").values()) < 0.5
    assert _accuracies("sum_max_med")["majority"] < 0.2
