"""How the runs of a cell of the board are repeated: with which commands, from which weights, and whether they agree.

A cell is a group: the runs of one recipe on one task. Its name is the anchor of its place on its model's page,
``sum-1a2b3c4d``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from listops_bench._base import records
from listops_bench._base.files import file_sha256
from listops_bench._base.text import p_number
from listops_bench.errors import unknown
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group, Run
from listops_bench.result.format import Result
from listops_bench.result.learned import learned
from listops_bench.runs.folder import RECORD, WEIGHTS
from listops_bench.runs.record import decode_run, recipe_digest
from listops_bench.runs.store import STORE, StoredRecipe, stored_recipes
from listops_bench.stats.differences import SIGNIFICANT, fisher
from listops_bench.tasks.task import single_tasks

_PLACE = "runs/again"
_USUAL = {"num_processes": 1, "mixed_precision": "no"}
_LIKE = {"curriculum": None, "model": None}
_NO_FLAGS = {"dataset_version", "model", *_USUAL}
_Identity = dict[str, Any]


@dataclass(frozen=True)
class Repeat:
    """What is known of a group.

    Attributes:
        stored: those of its runs whose weights are kept, as ``RECIPE#SEED``, or as folders.
        commands: that train the first run again and score it; empty where it is not known with which options.
    """

    stored: tuple[str, ...]
    commands: tuple[str, ...]


class Repeats:
    """What is known of the groups of a board.

    Args:
        store: the folder of the weights, which may be missing.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._recipes = {recipe: StoredRecipe(store, recipe) for recipe in stored_recipes(store)}
        weights = store.glob(f"*/{WEIGHTS}")
        self._folders = {
            file_sha256(path, kind="weights", within=store): f"{STORE}/{path.parent.name}" for path in weights
        }

    def names_of(self, group: Group) -> list[str | None]:
        """``RECIPE#SEED`` of each run of a group, or its folder; None where its weights are not kept."""
        recipe, found = group.first.recipe.id, self._recipes.get(group.first.recipe.id)
        runs = {} if found is None else {digest: f"{recipe}#{seed}" for seed, digest in found.digests.items()}
        names = self._folders | runs
        return [names.get(run.result.model.weights_sha256 or "") for run in group.runs]

    def of(self, group: Group) -> Repeat:
        return Repeat(tuple(name for name in self.names_of(group) if name), self.commands(group, group.runs[0]))

    def commands(self, group: Group, run: Run, place: str = _PLACE, results_dir: str = "") -> tuple[str, ...]:
        """Those that train a run of a group again, in the folder ``place``, and score what decides whether it has
        learned; with ``results_dir``, into files. Empty where the options are not known."""
        identity = self._identity(group, run.result)
        if identity is None:
            return ()
        model, lines = str(identity.get("model")), []
        if model != group.model:  # none of the ladder: the configuration is that of a stored run
            stored = next((name for name in self.names_of(group) if name), None)
            if stored is None:
                return ()
            recipe, _, seed = stored.rpartition("#")
            source = str(self._store / recipe) if results_dir else recipe
            lines.append(["checkpoint", source, "--seed", seed, "-o", f"{place}-config"])
            model = f"{place}-config/config.json"
        lines.append(["train", "--model", model, *_flags(identity), "--output-dir", place])
        tasks = dict.fromkeys([group.task, *single_tasks(group.task)])
        into = ["--output-dir", results_dir] if results_dir else []
        lines.append(["evaluate", place, "--task", *tasks, "--split", "test", *into])
        return tuple(shlex.join(["listops-bench", *line]) for line in lines)

    @cached_property
    def _identities(self) -> dict[str, _Identity]:
        """By recipe, that of its first stored run."""
        found = {}
        for recipe, runs in self._recipes.items():
            content = runs.read(next(iter(runs.digests)))[RECORD]
            identity = decode_run(records.loads(content, recipe), recipe).identity
            if identity is not None and _USUAL.items() <= identity.items() and "initial_weights_sha256" not in identity:
                found[recipe] = identity
        return found

    @cached_property
    def _alike(self) -> list[_Identity]:
        """One identity of each kind: those of a kind have all in common but seeds, model and curriculum."""
        kinds: dict[str, _Identity] = {}
        for identity in self._identities.values():
            kinds.setdefault(recipe_digest({**identity, **_LIKE})[0], identity)
        return list(kinds.values())

    def _identity(self, group: Group, first: Result) -> _Identity | None:
        """The identity of a run: its recipe's hash says whether it is that of a stored one, or one like it."""
        if first.training is None or first.recipe.seed is None:
            return None
        seed, rows = first.recipe.seed, first.recipe.dataset_seed or 0
        like = {"curriculum": first.training.curriculum, "model": group.model}
        own = [self._identities[first.recipe.id]] if first.recipe.id in self._identities else []
        for identity, change in [*((one, {}) for one in own), *((one, like) for one in own or self._alike)]:
            data_seed = seed if identity.get("data_seed") == identity.get("seed") else identity.get("data_seed")
            found = identity | change | {"seed": seed, "data_seed": data_seed, "dataset_seed": rows}
            if first.recipe.id.endswith(f"-{recipe_digest(found)[0]}"):
                return found
        return None


def _flags(identity: _Identity) -> list[str]:
    """All that decides a run, spelled out: what the defaults will be one day is no matter."""
    left_out = _NO_FLAGS | ({"data_seed"} if identity.get("data_seed") == identity.get("seed") else set())
    given = {key: value for key, value in identity.items() if key not in left_out and value is not None}
    return [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", str(value))]


# --- cells ------------------------------------------------------------------------------------------------------------


def find_cell(boards: Sequence[Board], cell: str) -> Group:
    """The group that a cell names: by its anchor, or an address that ends in it.

    Raises:
        InvalidInput: there is none; the nearest is named.
    """
    found = {group.anchor: group for board in boards for group in board.groups}
    name = cell.rpartition("#")[2]
    if name not in found:
        raise unknown("cell", name, found)
    return found[name]


def chosen_runs(group: Group, seeds: Sequence[int] | None) -> list[Run]:
    """The runs of some seeds; the first run where none is named.

    Raises:
        InvalidInput: no run has such a seed.
    """
    by_seed = {run.result.recipe.seed: run for run in group.runs}
    for seed in seeds or ():
        if seed not in by_seed:
            raise unknown("seed", seed, map(str, by_seed))
    return [by_seed[seed] for seed in dict.fromkeys(seeds)] if seeds else [group.runs[0]]


# --- do they agree? ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shares:
    """Right ones of all, here and on the board; ``p`` is of Fisher's exact test, two-sided."""

    what: str
    here: tuple[int, int]
    board: tuple[int, int]

    @property
    def points(self) -> float:
        """Percentage points, here minus board."""
        (right, n), (other, m) = self.here, self.board
        return 100 * (right / n - other / m)

    @property
    def p(self) -> float:
        return fisher(*self.here, *self.board)

    @property
    def lowest_p(self) -> float:
        """The lowest that ``p`` could have been with so many runs or rows here, beside what the board has."""
        _, n = self.here
        return min(fisher(right, n, *self.board) for right in (0, n))


@dataclass(frozen=True)
class Agreement:
    """How runs that were repeated compare with those of the board.

    Attributes:
        learned: runs that have learned the task; the board's are all of the cell.
        rows: exact traces of each repeated run, beside the run of the same seed.
        identical: whether each has the very weights of the run that it repeats.
    """

    learned: Shares
    rows: tuple[Shares, ...]
    identical: bool

    @property
    def differs(self) -> bool:
        """Whether the task was learned more or less often than on the board, by more than luck."""
        return self.learned.p < SIGNIFICANT

    @property
    def verdict(self) -> str:
        if self.identical:
            return "same: the weights are identical"
        by = f"{self.learned.points:+.0f} points of the runs learned (p {_equals(self.learned.p)})"
        if self.differs:
            return f"different: {by}"
        if self.learned.lowest_p >= SIGNIFICANT:
            sizes = f"{self.learned.here[1]} beside {self.learned.board[1]}"
            by += f", and could not be below {SIGNIFICANT} with {sizes} runs: more seeds would tell"
        apart = [row for row in self.rows if row.p < SIGNIFICANT]
        if not apart:
            return f"same: neither runs nor rows can be told apart; {by}"
        furthest = max(apart, key=lambda row: abs(row.points))
        rows = f"{furthest.what} has {furthest.points:+.1f} points (p {_equals(furthest.p)})"
        return f"same as far as runs tell, though other weights: {by}; {rows}, as two draws of one training may"


def _equals(p: float) -> str:
    text = p_number(p)
    return text if text.startswith("<") else f"= {text}"


def agreement(group: Group, repeated: Sequence[tuple[Run, Mapping[str, Result]]]) -> Agreement:
    """Compares runs of a group with what repeating them gave: for each, its results by task.

    Raises:
        ValueError: nothing was repeated, or a result that decides is missing.
    """
    verdicts = [learned(found, group.task) for _, found in repeated]
    known = [run.learned for run in group.runs if run.learned is not None]
    if not verdicts or None in verdicts or not known:
        raise ValueError(f"{group.anchor}: a result that decides is missing")
    rows, identical = [], True
    for run, found in repeated:
        here, there = found[group.task], run.summary()
        identical &= here.model.weights_sha256 == run.result.model.weights_sha256
        if there is not None:
            now = here.splits["test"].metrics.trace_accuracy
            rows.append(Shares(f"exact traces, {run.seed}", (now.correct, now.n), (there.correct, there.n)))
    counts = (verdicts.count(True), len(verdicts)), (known.count(True), len(known))
    return Agreement(Shares("runs that learned", *counts), tuple(rows), identical)
