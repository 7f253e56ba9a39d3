"""Runs that were declared before any of them was begun: files that ``listops-bench sweep PAGE --declare DIR`` writes.

    leaderboard/plans/optimised.json    which claims, recipes, seeds, cuts and looks; when, and at which commit

What a plan declares is told apart from what was looked at with results in view. Its date is the word of who wrote it;
that the file was committed before the runs, the history of the repository shows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from listops_bench._base import records
from listops_bench._base.files import files_below, read_json
from listops_bench._base.records import Count, Line, Positive, Sha256, Share, Text, Timestamp
from listops_bench.result.format import Result

FOLDER = "plans"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep's page declares.

    Attributes:
        page: its name.
        declared: when; a result that is older is none of the plan's.
        commit, dirty: the code's, when it was declared.
        claims: which are to be decided by its runs.
        cuts: shares of exact traces from which on a task counts as learned.
        looks: numbers of runs of one size and recipe at which is looked; none where only the end is.
        chosen: options that are chosen for each arm with seeds that do nothing else.
        runs: seeds, by the digest that ends the id of their recipe.
    """

    schema_version: Literal[1]
    page: Line
    page_sha256: Sha256
    declared: Timestamp
    commit: Line | None
    dirty: bool | None
    claims: list[Line]
    cuts: list[Share]
    looks: list[Positive]
    chosen: list[Line]
    runs: dict[Annotated[str, Text(r"[0-9a-f]{8}", 8)], list[Count]]

    def has_recipe(self, result: Result) -> bool:
        return recipe_of(result) in self.runs

    def declares(self, result: Result) -> bool:
        """Whether a result is of a run of the plan, and not older than it."""
        return result.recipe.seed in self.runs.get(recipe_of(result), ()) and result.evaluation.created >= self.declared


def recipe_of(result: Result) -> str:
    """The digest that ends the id of a result's recipe."""
    return result.recipe.id.rpartition("-")[2]


def read_plans(folder: str | os.PathLike[str]) -> Sequence[Plan]:
    """The plans of a folder, by name; none where there is no such folder.

    Raises:
        InvalidInput: a file that is no plan.
    """
    paths = sorted(path for path in files_below(Path(folder)) if path.suffix == ".json")
    return [records.decode(Plan, read_json(path), str(path)) for path in paths]
