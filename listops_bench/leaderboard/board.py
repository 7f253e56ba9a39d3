"""What the board shows, before it is drawn: a matrix of sizes and tasks, and the smallest models."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from listops_bench._base.beside import beside
from listops_bench._base.memory import uncollected
from listops_bench._base.text import count, version_order
from listops_bench.errors import InvalidInput
from listops_bench.leaderboard.arms import Arm, Comparison, all_arms, by_difficulty, comparisons, difficulty
from listops_bench.leaderboard.groups import NONE, Group, groups
from listops_bench.result.files import find_results, read_result
from listops_bench.result.format import TRACKS, Model, Result
from listops_bench.result.identity import conflicts
from listops_bench.result.verified import Verification, verified_files
from listops_bench.tasks.pages import remember_pages
from listops_bench.tasks.training_kinds import KINDS


@dataclass(frozen=True)
class Size:
    """A row of the matrix: one model of one size, trained in one way."""

    family: str
    model: str
    parameters: int
    kind: str


@dataclass(frozen=True)
class Board:
    """The results of one dataset version and one scorer version, which alone may be compared."""

    dataset_version: str
    scorer_version: str
    groups: tuple[Group, ...]

    @property
    def version(self) -> str:
        return f"dataset {self.dataset_version}, scorer {self.scorer_version}"

    @property
    def summary(self) -> str:
        """``8 results of 6 models on 2 tasks, 3 of the results verified``."""
        models, results = count(self.num_models, "model"), count(self.num_results, "result")
        verified = sum(run.verified for group in self.groups for run in group.runs)
        return f"{results} of {models} on {count(len(self.tasks), 'task')}, {verified:,} of the results verified"

    @cached_property
    def all_arms(self) -> tuple[Arm, ...]:
        """Every ladder of sizes, those of one size among them."""
        return tuple(all_arms(self.groups))

    @property
    def _ladders(self) -> list[Arm]:
        return [arm for arm in self.all_arms if arm.is_ladder]

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """What learning thresholds are estimated from, in the order of ``tasks``."""
        return tuple(sorted(self._ladders, key=lambda arm: self.tasks.index(arm.task)))

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The arms that there is one to compare with, each beside it."""
        return tuple(comparisons(self.arms))

    def comparison(self, arm: Arm) -> Comparison | None:
        """The one of an arm of this board."""
        return next((found for found in self.comparisons if found.arm is arm), None)

    def estimate(self) -> None:
        """Estimates all thresholds and plateaus now, which are else estimated where they are first asked for."""
        ladders = self._ladders
        others = beside(lambda: [arm.estimates() for arm in ladders[1::2]])
        for arm in ladders[::2]:
            arm.estimates()
        for arm, found in zip(ladders[1::2], others(), strict=True):
            vars(arm).update(found)
        _ = self.comparisons

    @cached_property
    def measured(self) -> dict[str, Arm]:
        """The arms that say how hard the tasks are."""
        return difficulty(self._ladders)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """By their measured difficulty."""
        return tuple(by_difficulty({group.task for group in self.groups}, self.measured))

    @cached_property
    def rows(self) -> tuple[Group, ...]:
        """All groups in the order of the tasks."""
        place = {task: number for number, task in enumerate(self.tasks)}
        return tuple(sorted(self.groups, key=lambda group: place[group.task]))

    @cached_property
    def smallest(self) -> tuple[Group, ...]:
        """The smallest models that have learned each task, by track and task; those of one size share the place.

        Of a task that only unranked groups have learned, the smallest of these.
        """
        found: list[Group] = []
        for track in sorted({group.first.track for group in self.groups}, key=TRACKS.index):
            for task in self.tasks:
                able = [g for g in self.groups if g.first.track == track and g.task == task and g.has_learned]
                able = [group for group in able if group.ranked] or able
                size = min((group.parameters for group in able), default=0)
                found += [group for group in able if group.parameters == size]
        return tuple(found)

    @cached_property
    def matrix(self) -> dict[Size, dict[str, list[Group]]]:
        """For each size, by family, size and kind of training: by task, the groups with results, best mean first."""
        found: dict[Size, dict[str, list[Group]]] = defaultdict(lambda: defaultdict(list))
        for group in sorted(self.groups, key=lambda group: -(group.mean() or 0.0)):
            if group.mean() is not None:
                size = Size(group.first.architecture.family, group.model, group.parameters, group.kind)
                found[size][group.task].append(group)
        return {size: found[size] for size in sorted(found, key=_size_order)}

    @property
    def num_models(self) -> int:
        return len({(m.weights_sha256 or m) for group in self.groups for m in (run.result.model for run in group.runs)})

    @property
    def num_results(self) -> int:
        return sum(len(group.runs) for group in self.groups)


def read_boards(
    results_dir: str | os.PathLike[str],
    *,
    verified_only: bool = False,
    on_left_out: Callable[[str], None] | None = None,
) -> list[Board]:
    """The boards of a results folder, the newest dataset and scorer first.

    Where evaluating a checkpoint again gave other figures than its result has, those of the evaluation are shown.

    Args:
        results_dir: ``MODEL/REVISION/TASK.json``.
        verified_only: show those alone that have been verified.
        on_left_out: called with a line for each file that is no valid result, or must not stand beside another; they
            are left out. Without it, the first of them is an error.

    Raises:
        InvalidInput: no such folder, or a file that cannot be shown.
    """
    if not Path(results_dir).is_dir():
        raise InvalidInput(f"results folder {str(results_dir)!r} does not exist")

    def leave_out(error: InvalidInput) -> None:
        if on_left_out is None:
            raise error
        on_left_out(str(error))

    paths = find_results(results_dir)
    with uncollected():
        second = beside(lambda: _read(paths[1::2], results_dir))
        own, others = _read(paths[::2], results_dir), second()
        for result in others.files.values():
            remember_pages(result.pages or {}, "result")  # which its own process has done for itself
    for _, problem in sorted((own.problems | others.problems).items()):
        leave_out(InvalidInput(problem))
    files = dict(sorted((own.files | others.files).items()))
    verified = own.verified | others.verified
    for path, conflict in conflicts(files, verified).items():
        leave_out(InvalidInput(conflict.problem))
        del files[path]
    if verified_only:
        files = {path: result for path, result in files.items() if path in verified}
    measured = {
        path: replace(result, splits=result.splits | verified[path].splits) if path in verified else result
        for path, result in files.items()
    }
    records = {(files[p].model, files[p].task.name): record for p, record in verified.items() if p in files}
    return boards(measured.values(), records)


@dataclass(frozen=True)
class _Read:
    """Result files of a folder: those that are valid, the records of those that are verified, and what is wrong."""

    files: dict[Path, Result]
    verified: dict[Path, Verification]
    problems: dict[Path, str]


def _read(paths: Iterable[Path], results_dir: str | os.PathLike[str]) -> _Read:
    files, problems = dict[Path, Result](), dict[Path, str]()
    for path in paths:
        try:
            files[path] = read_result(path, results_dir)
        except InvalidInput as error:
            problems[path] = str(error)
    return _Read(files, verified_files(results_dir, files), problems)


def boards(results: Iterable[Result], verified: Mapping[tuple[Model, str], Verification] = NONE) -> list[Board]:
    """The boards of some results, the newest dataset and scorer first; of ``verified``, see `groups`."""
    by_version: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        by_version[result.dataset_version, result.scorer_version].append(result)
    newest_first = sorted(by_version, key=lambda pair: [version_order(text) for text in pair], reverse=True)
    return [Board(*version, groups(by_version[version], verified)) for version in newest_first]


def _size_order(size: Size) -> tuple[object, ...]:
    return *family_order(size.family), size.parameters, size.model, list(KINDS).index(size.kind)


def family_order(family: str) -> tuple[bool, bool, str]:
    """The reference family first, the families that vary it after it."""
    return family != "looped", not family.startswith("looped"), family
