"""The tasks in verifiers: a taskset of rows for its environments and trainers, whose reward is our score.

    tasks = load_taskset("sum_max_med", split="train", num_rows=1000)

A prompt is that of a row, below a description of the operations. The reward of a rollout is the right answer; whether
the whole trace is right, and its valid steps, are metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf

from listops_bench.harness.lm_eval_files import description
from listops_bench.score.completion import Score
from listops_bench.score.row import score_answer
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task


class ListOpsData(vf.TaskData):
    """A row, with all of its columns."""

    row: dict[str, Any]


class ListOpsTask(vf.Task[ListOpsData]):
    """One row: rewarded for the right answer; whether the whole trace is right, and its steps, are metrics."""

    async def validate(self, runtime: vf.Runtime) -> bool:
        """Whether the row's own completion has the whole reward: what ``vf-validate`` asks."""
        found = score_answer(self.data.row["completion"], self.data.row)
        return found.answer and found.trace

    def _score(self, trace: vf.Trace) -> Score:
        return score_answer(trace.last_reply, self.data.row)

    @vf.reward(weight=1.0)
    async def right_answer(self, trace: vf.Trace) -> float:
        """1.0 where the completion ends in its first lone number, and that is right."""
        return float(self._score(trace).answer)

    @vf.metric
    async def exact_trace(self, trace: vf.Trace) -> float:
        """1.0 where the whole completion is right."""
        return float(self._score(trace).trace)

    @vf.metric
    async def valid_steps(self, trace: vf.Trace) -> float:
        """The share of lines that are correct reductions of the line before."""
        found = self._score(trace)
        return found.valid_steps / found.num_steps if found.num_steps else 0.0


class ListOpsConfig(vf.TasksetConfig):
    """Which rows: those of `generate`; evaluation splits ignore the seed."""

    task_name: str = "sum_max_med"
    split: str = "train"
    num_rows: int | None = None
    seed: int = 0
    described: bool = True


class ListOpsTaskset(vf.Taskset[ListOpsTask, ListOpsConfig]):
    """The rows of a split, in their order."""

    def load(self) -> Iterator[ListOpsTask]:
        """Yields the tasks."""
        config = self.config
        spec = get_task(config.task_name)
        told = description(spec) if config.described else ""
        rows = generate(spec, config.split, seed=config.seed, num_rows=config.num_rows)
        for row in rows.to_arrow().to_pylist():
            data = ListOpsData(id=row["id"], name=row["id"], prompt=told + row["prompt"], row=row)
            yield ListOpsTask(data, config.task)


def load_taskset(task: str = "sum_max_med", **options: Any) -> ListOpsTaskset:
    """The taskset; ``options`` are the other fields of `ListOpsConfig`."""
    return ListOpsTaskset(ListOpsConfig(id="listops", task_name=task, **options))


__all__ = ["ListOpsTaskset"]
