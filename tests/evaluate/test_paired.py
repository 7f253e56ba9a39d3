"""Two checkpoints side by side: the counts are those that each gets by itself."""

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.paired import compare_checkpoints
from listops_bench.evaluate.run import evaluate_checkpoint
from tests.support.commands import Run

FIRST, SECOND = "looped_d032-sum-6000-6cc1f1bc#0", "looped_d032-sum_max_med-6000-e7a4a065#0"


def test_shares_are_those_of_each_alone_and_a_checkpoint_does_not_differ_from_itself() -> None:
    (found,) = compare_checkpoints(FIRST, SECOND, splits=["validation"], num_rows=60)
    assert (found.task, found.split, found.trace.n) == ("sum", "validation", 60)
    for name, alone in ((FIRST, "first"), (SECOND, "second")):
        (result,) = evaluate_checkpoint(name, "sum", "validation", num_rows=60)
        metrics = result.splits["validation"].metrics
        assert found.trace.both + getattr(found.trace, alone) == metrics.trace_accuracy.correct
        assert found.answer.both + getattr(found.answer, alone) == metrics.answer_accuracy.correct
    assert found.trace.first < found.trace.second
    (same,) = compare_checkpoints(FIRST, FIRST, ["sum"], num_rows=30)
    assert (same.trace.first, same.trace.second, same.trace.p) == (0, 0, 1)


def test_what_cannot_be_compared_is_one_line(command: Run) -> None:
    with pytest.raises(InvalidInput, match="no task is known that both"):
        compare_checkpoints(FIRST, "looped_d016-max_med-6000-91ad04df#0")
    code, _, err = command("compare", FIRST, SECOND, "--task", "sum_mod20", "--num-rows", "5")
    assert (code, "sum_mod20" in err) == (2, True)
