"""How a task was trained: alone, jointly, or after other tasks."""

from __future__ import annotations

from functools import cache

from listops_bench.errors import InvalidInput
from listops_bench.tasks.curriculum import recorded_curriculum
from listops_bench.tasks.task import get_task, task_order

KINDS = {
    "alone": "on one operation",
    "joint": "on a mixture",
    "transfer": "in stages",
    "other": "otherwise",
}
"""How a model was trained, as seen from the task it is scored on, in the order of all tables."""


@cache
def training_kind(curriculum: str, task: str) -> str:
    """One of `KINDS`: what a curriculum is to a task that is scored.

    Trained on its one operation only, it is ``alone``; on several operations together, ``joint``; on different things
    one after the other, ``transfer``. Anything else is ``other``: weights not trained here, parts of such weights,
    without the task's operations, or on rows of another regime or of other symbols.
    """
    try:
        plan = recorded_curriculum(curriculum)
    except InvalidInput:
        return "other"
    specs, scored = [get_task(name) for name in plan.tasks], get_task(task)
    trained = {operation for spec in specs for operation in spec.operations}
    if (
        plan.stages[0].init_parts
        or not set(scored.operations) <= trained
        or {spec.page_words for spec in specs} != {scored.page_words}
    ):
        return "other"
    if len({frozenset(stage.mixture) for stage in plan.stages}) > 1:
        return "transfer"
    return "alone" if len(trained) == 1 else "joint"


@cache
def plan_of(curriculum: str) -> str:
    """A curriculum in words: ``"max_med:1200,sum:1800"`` is ``"max_med, then sum"``; anything else stays as it is.

    What a stage freezes or starts afresh stands with it: ``"max_med, then sum/freeze=embeddings"``.
    """
    try:
        stages = recorded_curriculum(curriculum).stages
    except InvalidInput:
        return curriculum
    mixtures = (" + ".join(sorted(stage.tasks, key=task_order)) + stage.moves for stage in stages)
    return ", then ".join(dict.fromkeys(mixtures))
