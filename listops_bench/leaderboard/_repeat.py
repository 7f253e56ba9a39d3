"""How the runs of a group are repeated: with which commands, and which weights the store has."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from listops_bench._base import records
from listops_bench.leaderboard.groups import Group
from listops_bench.runs.folder import RECORD
from listops_bench.runs.record import decode_run, recipe_digest
from listops_bench.runs.store import StoredRecipe, stored_recipes

_PLACE = "runs/again"
_USUAL = {"num_processes": 1, "mixed_precision": "no"}
_NO_FLAGS = {"dataset_version", "model", *_USUAL}
_Identity = dict[str, Any]


@dataclass(frozen=True)
class Repeat:
    """What is known of a group.

    Attributes:
        stored: those of its runs whose weights are kept, as ``RECIPE#SEED``.
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
        self._recipes = {recipe: StoredRecipe(store, recipe) for recipe in stored_recipes(store)}

    def names_of(self, group: Group) -> list[str | None]:
        """``RECIPE#SEED`` of each run of a group; None where its weights are not kept."""
        recipe, found = group.first.recipe.id, self._recipes.get(group.first.recipe.id)
        names = {} if found is None else {sha256: f"{recipe}#{seed}" for seed, sha256 in found.digests.items()}
        return [names.get(run.result.model.weights_sha256 or "") for run in group.runs]

    def of(self, group: Group) -> Repeat:
        stored, identity = tuple(name for name in self.names_of(group) if name), self._identity(group)
        return Repeat(stored, () if identity is None else tuple(_commands(group, stored, identity)))

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

    def _identity(self, group: Group) -> _Identity | None:
        """The identity of the first run: its recipe's hash says whether it is that of a stored one, or one like it."""
        first = group.first
        if first.training is None or first.recipe.seed is None:
            return None
        seed, rows = first.recipe.seed, first.recipe.dataset_seed or 0
        like = {"curriculum": first.training.curriculum, "model": group.model}
        for identity in self._candidates(first.recipe.id):
            data_seed = seed if identity.get("data_seed") == identity.get("seed") else identity.get("data_seed")
            for change in ({}, like):
                found = identity | change | {"seed": seed, "data_seed": data_seed, "dataset_seed": rows}
                if first.recipe.id.endswith(f"-{recipe_digest(found)[0]}"):
                    return found
        return None

    def _candidates(self, recipe: str) -> Iterable[_Identity]:
        return [self._identities[recipe]] if recipe in self._identities else self._identities.values()


def _commands(group: Group, stored: tuple[str, ...], identity: _Identity) -> Iterable[str]:
    model = str(identity.get("model"))
    if model != group.model:  # none of the ladder: the configuration is that of a stored run
        if not stored:
            return
        recipe, _, seed = stored[0].rpartition("#")
        yield shlex.join(["listops-bench", "checkpoint", recipe, "--seed", seed, "-o", "runs/first"])
        model = "runs/first/config.json"
    yield shlex.join(["listops-bench", "train", "--model", model, *_flags(identity), "--output-dir", _PLACE])
    yield shlex.join(["listops-bench", "evaluate", _PLACE, "--task", group.task])


def _flags(identity: _Identity) -> list[str]:
    """All that decides a run, spelled out: what the defaults will be one day is no matter."""
    left_out = _NO_FLAGS | ({"data_seed"} if identity.get("data_seed") == identity.get("seed") else set())
    given = {key: value for key, value in identity.items() if key not in left_out and value is not None}
    return [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", str(value))]
