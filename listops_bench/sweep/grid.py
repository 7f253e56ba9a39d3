"""A sweep as it is written: a YAML page whose lists are crossed into runs.

    models: [looped_d016, looped_d048]
    tasks: [sum, sum_max_med]                   # each for recipe.max_steps steps
    curricula: ["max_med:1200,sum:1800"]        # with steps of their own
    seeds: [0, 1, 2]                            # of the weights, and of the train rows but for a recipe's dataset_seed
    recipe:                                     # any option of training; lists are crossed
      config: nrgpt                             # a file of them, or a recipe that ships; those beside it override it
      max_steps: 3000
      learning_rate: [1e-3, 2e-3]
    eval_tasks: [sum]                           # default: what each run was trained on, and its operations alone
    eval_splits: [test]                         # default: all test splits
    eval_num_rows: 1000                         # default: all rows
    track: reference                            # default: open

A page may hold several grids. Each has the keys above, and what stands beside ``grids`` counts for all that do not say
otherwise (recipes are merged)::

    recipe: {max_steps: 3000}
    grids:
      - {models: [looped_d016], tasks: [sum], seeds: [0, 1, 2, 3, 4]}
      - {models: [looped_d048], tasks: [sum], seeds: [0, 1]}

A model may be a mapping, ``{model: looped_d048, num_attention_heads: 4}``: a rung with other values in its config.json.
Lists in it are crossed.

``plan: {claims: [R4]}`` declares beforehand what the runs are for (its keys: `_plan.Declared`).

``adaptive: {}`` in place of ``seeds`` has sizes chosen by what was learned so far (its keys: `_adaptive.Rule`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from listops_bench._base.files import read_yaml, write_atomic
from listops_bench._base.options import from_mapping
from listops_bench._base.text import slug
from listops_bench.errors import InvalidInput, shortened, unknown
from listops_bench.model.ladder import load_config
from listops_bench.result.format import TRACKS, Track
from listops_bench.sweep._adaptive import Adaptive, Arm, Rule, make_arm
from listops_bench.sweep._plan import Declared
from listops_bench.sweep._select import Selection
from listops_bench.sweep.job import Job, cost
from listops_bench.tasks.split import EVALUATION_SPLITS
from listops_bench.tasks.task import get_task
from listops_bench.train.config import DEFAULT_MODEL, TrainRecipe, make_config, read_recipe, recipe_in
from listops_bench.train.run import check_model

MOST_RUNS = 10_000
"""Of one page: more are a mistake, and would keep every process busy with looking for what is left."""

_LISTS: dict[str, tuple[type, ...]] = {
    "models": (str, dict),
    "tasks": (str,),
    "curricula": (str,),
    "seeds": (int,),
    "eval_tasks": (str,),
    "eval_splits": (str,),
}
"""Keys whose values are lists, and what stands in them."""
_GRID: dict[str, type] = {
    **dict.fromkeys(_LISTS, list),
    "recipe": dict,
    "eval_num_rows": int,
    "track": str,
    "select": dict,
    "adaptive": dict,
}
_PAGE = {**_GRID, "grids": list, "plan": dict}
_SELECT: dict[str, type] = {"over": str, "by": str, "seeds": list, "at": list}
_NOT_NEEDED = ("at",)
_TYPE_NAMES = {list: "a list", dict: "a mapping", int: "a whole number", str: "text"}
_LARGEST = 2**16
_SET_BY_SWEEP = ("output_dir", "task", "curriculum", "model", "seed", "report_to", "num_processes")


@dataclass(frozen=True)
class Sweep:
    """All runs of a page: those that stand from the beginning, and those that a choice of recipe or size decides.

    How many the latter are is not known beforehand: its length is without them.
    """

    name: str
    jobs: tuple[Job, ...]
    selections: tuple[Selection, ...]
    adaptive: tuple[Adaptive, ...] = ()
    plan: Declared | None = None

    def reportable(self) -> Iterator[Job]:
        """All runs that may be reported, whatever is chosen on the way."""
        yield from self.jobs
        for selection in self.selections:
            yield from itertools.chain.from_iterable(selection.reported.values())
        for course in self.adaptive:
            seeds = range(course.rule.first_seed, course.rule.first_seed + course.rule.max_runs)
            for candidate in (one for arm in course.arms for one in arm.candidates.values()):
                yield from map(candidate.job, seeds)

    def shard(self, index: int, count: int) -> Sweep:
        """Every n-th run, in the order of their cost; a choice of recipe stays in one piece.

        What is adaptive is every shard's: each choice needs the results of all.
        """

        def chosen(selection: Selection) -> float:
            parts = (*selection.choosing.values(), *selection.reported.values())
            return sum(map(cost, itertools.chain.from_iterable(parts)))

        jobs = sorted(self.jobs, key=lambda job: (-cost(job), job.name))
        selections = sorted(self.selections, key=lambda selection: (-chosen(selection), selection.name))
        return replace(self, jobs=tuple(jobs[index::count]), selections=tuple(selections[index::count]))

    def __len__(self) -> int:
        return len(self.jobs) + sum(selection.num_runs for selection in self.selections)


def read_sweep(
    path: str | Path, output_dir: str | Path, *, adaptive: bool = False, max_runs: int | None = None
) -> Sweep:
    """Reads a page and crosses its lists; runs that stand in several grids are one run.

    Args:
        adaptive: every grid is, whatever seeds it has.
        max_runs: of an adaptive arm, instead of what the page says.

    Raises:
        InvalidInput: unreadable, an unknown key, task, model or option (the nearest known one is named), or no run.
    """
    path, folder = Path(path), Path(output_dir)
    shared = dict(_checked(read_yaml(path, kind="sweep file"), _PAGE, path))
    plan = from_mapping(Declared, shared.pop("plan"), what="key of plan") if "plan" in shared else None
    jobs: dict[str, Job] = {}
    selections: dict[str, Selection] = {}
    grids = []
    for own in shared.pop("grids", [{}]):
        recipe = {**shared.get("recipe", {}), **_checked(own, _GRID, path).get("recipe", {})}
        values = {**shared, **own, "recipe": recipe}
        if adaptive:
            values = {**values, "seeds": [], "adaptive": values.get("adaptive", {})}
        grids.append(_Grid(values, path, folder, max_runs))
    if (runs := sum(grid.num_runs for grid in grids)) > MOST_RUNS:
        raise InvalidInput(f"{str(path)!r} has {runs:,} runs; a page has {MOST_RUNS:,} at the most")
    for grid in grids:
        for job in grid.jobs():
            jobs.setdefault(job.name, job)
        for selection in grid.selections():
            selections.setdefault(selection.name, selection)
    courses = tuple(itertools.chain.from_iterable(grid.adaptive() for grid in grids))
    if len({course.name for course in courses}) < len(courses):
        raise InvalidInput(f"{str(path)!r}: one adaptive arm stands in two grids; give it all its models in one")
    if not jobs and not selections and not courses:
        raise InvalidInput(f"{str(path)!r} has no run: it needs models, seeds, and tasks or curricula")
    sweep = Sweep(path.stem, tuple(jobs.values()), tuple(selections.values()), courses, plan)
    _check_jobs(sweep, path)
    return sweep


def _check_jobs(sweep: Sweep, path: Path) -> None:
    """Finds before anything is trained what a run would end with: each kind of model is built once.

    Raises:
        InvalidInput: a model that cannot be built or does not fit, or tasks to score of other symbols.
    """
    chosen = (jobs for s in sweep.selections for jobs in (*s.choosing.values(), *s.reported.values()))
    arms = (arm for course in sweep.adaptive for arm in course.arms)
    sized = (candidate.job(0) for arm in arms for candidate in arm.candidates.values())
    # Jobs of one key meet the same checks.
    jobs = {
        (c.model, c.init_from, c.task, c.curriculum, job.eval_tasks): job
        for job in (*sweep.jobs, *itertools.chain.from_iterable(chosen), *sized)
        for c in (job.config,)
    }
    for job in jobs.values():
        try:
            check_model(job.config)
        except InvalidInput as error:
            raise InvalidInput(f"{str(path)!r}: {job.config.model_name}: {error}") from None
        symbols = job.config.plan().symbol_set
        for task in job.tasks:
            if (found := get_task(task).symbol_set) != symbols:
                raise InvalidInput(
                    f"{str(path)!r}: eval_tasks {task!r} has {found}, and {job.config.plan()} trains for {symbols}"
                )


def _checked(page: Any, types: Mapping[str, type], path: Path) -> dict[str, Any]:
    """A part of a page whose keys and their types are known."""
    if not isinstance(page, dict):
        shown = shortened(repr(page), 60)
        raise InvalidInput(f"{str(path)!r}: {shown} is not a mapping with the keys {', '.join(types)}")
    for key, value in page.items():
        if key not in types:
            raise unknown(f"key in {path.name}", key, types)
        _check_type(key, value, (types[key],), path)
        for item in value if key in _LISTS else ():
            _check_type(key, item, _LISTS[key], path)
    return page


def _check_type(key: str, value: Any, types: Sequence[type], path: Path) -> None:
    if type(value) not in types:
        names = " or ".join(_TYPE_NAMES[one] for one in types)
        raise InvalidInput(f"{str(path)!r}: {key} {shortened(repr(value), 60)} is not {names}")


class _Grid:
    """One grid of a page, its values checked."""

    def __init__(self, values: Mapping[str, Any], path: Path, folder: Path, max_runs: int | None) -> None:
        self.path, self.folder = path, folder
        lists = {key: values.get(key, []) for key in _LISTS}
        given, self.seeds = dict(values["recipe"]), lists["seeds"]
        file = given.pop("config", "")
        _check_type("recipe: config", file, (str,), path)
        from_file = read_recipe(file) if file else {}
        self.recipe = {**{key: value for key, value in from_file.items() if key not in _SET_BY_SWEEP}, **given}
        for key, value in self.recipe.items():
            if key in _SET_BY_SWEEP:
                raise InvalidInput(f"{str(path)!r}: {key} does not belong into the recipe: it is the sweep's to set")
            if value == [] or any(isinstance(item, (list, dict)) for item in _listed(value)):
                raise InvalidInput(
                    f"{str(path)!r}: recipe: {key} {shortened(repr(value), 60)} is no value or list of some"
                )
        self._models = lists["models"]
        curricula = ({"curriculum": curriculum, "max_steps": None} for curriculum in lists["curricula"])
        self.trained_on = [*({"task": task} for task in lists["tasks"]), *curricula]
        self.eval_tasks = tuple(get_task(str(name)).name for name in lists["eval_tasks"]) or None
        self.eval_splits = tuple(_choice("split", s, EVALUATION_SPLITS) for s in lists["eval_splits"]) or None
        self.eval_num_rows = values.get("eval_num_rows")
        if self.eval_num_rows is not None and self.eval_num_rows < 1:
            raise InvalidInput(f"{str(path)!r}: eval_num_rows {self.eval_num_rows} is not at least 1")
        self.track: Track = _choice("track", values.get("track", "open"), TRACKS)
        self.select = values.get("select")
        self.rule: Rule | None = None
        if "adaptive" in values:
            self.rule = from_mapping(Rule, values["adaptive"], what="key of adaptive")
            self.rule = self.rule if max_runs is None else replace(self.rule, max_runs=max_runs)
            if self.select is not None or self.seeds:
                own = "seeds" if self.seeds else "select"
                raise InvalidInput(f"{str(path)!r}: an adaptive grid gives each of its runs a seed; leave {own} out")

    @property
    def num_runs(self) -> int:
        """How many there are, before any is made: once for all values of what is chosen, where there is a choice."""
        options = {key: len(_listed(value)) for key, value in self.recipe.items()}
        models = sum(1 for given in self._models for _ in _spelled_out(given))
        runs = models * (len(self.seeds) if self.rule is None else 1)
        if self.select is not None:
            over, choosing = self._selected()
            runs += len(self.select.get("at", range(models))) * options.pop(over) * len(choosing)
        return len(self.trained_on) * math.prod(options.values()) * runs

    @cached_property
    def models(self) -> list[str]:
        return [self._model(model) for given in self._models for model in _spelled_out(given)]

    def jobs(self) -> Iterator[Job]:
        if self.select is None:
            for values in itertools.product(self.trained_on, self.models, _crossed(self.recipe), self.seeds):
                yield self._job(*values)

    def selections(self) -> Iterator[Selection]:
        if self.select is None:
            return
        over, seeds = self._selected()
        candidates = self.recipe[over]
        others = {key: value for key, value in self.recipe.items() if key != over}
        for trained_on, (anchors, models), recipe in itertools.product(
            self.trained_on, self._anchored, _crossed(others)
        ):
            recipes = {value: {**recipe, over: value} for value in candidates}
            choosing, reported = (
                {
                    value: tuple(
                        self._job(trained_on, model, recipes[value], s, scored) for model in sizes for s in own
                    )
                    for value in recipes
                }
                for sizes, own, scored in ((anchors, seeds, False), (models, self.seeds, True))
            )
            yield Selection(over, choosing, reported)

    @property
    def _anchored(self) -> list[tuple[list[str], list[str]]]:
        """Models that a choice is made with, and those that are trained as chosen: each by itself without ``at``."""
        at = None if self.select is None else self.select.get("at")
        if at is None:
            return [([model], [model]) for model in self.models]
        return [([self._model(model) for model in at], self.models)]

    def adaptive(self) -> list[Adaptive]:
        """Each arm by itself, or the two that are compared."""
        if self.rule is None:
            return []
        by_family: dict[str, list[str]] = {}
        for given in self._models:
            for model in _spelled_out(given):
                path = self._model(model)
                by_family.setdefault(_family(model), []).append(path)
        kinds = itertools.product(by_family.items(), self.trained_on, _crossed(self.recipe))
        arms = [self._arm(family, models, on, recipe) for (family, models), on, recipe in kinds]
        if not self.rule.looks:
            return [Adaptive(self.rule, (arm,)) for arm in arms]
        if len(arms) != 2 or arms[0].task != arms[1].task:
            shown = ", ".join(f"{arm.name} on {arm.task}" for arm in arms)
            raise InvalidInput(
                f"{str(self.path)!r}: looks compare two arms on one task; the page has {shown or 'none'}"
            )
        return [Adaptive(self.rule, tuple(arms))]

    def _arm(self, family: str, models: Sequence[str], on: Mapping[str, Any], recipe: Mapping[str, Any]) -> Arm:
        def runs(model: str) -> Callable[[int], Job]:
            return cache(lambda seed: self._job(on, model, recipe, seed))

        name = _name(recipe_in({**recipe, **on, "model": DEFAULT_MODEL, "seed": 0})).removesuffix("-seed0")
        name = f"{slug(family, keep='.')}-{name.removeprefix(f'{DEFAULT_MODEL}-')}"
        assert self.rule is not None
        try:
            return make_arm(name, self.rule, [runs(model) for model in models])
        except InvalidInput as error:
            raise InvalidInput(f"{str(self.path)!r}: {error}") from None

    def _selected(self) -> tuple[str, list[Any]]:
        """Over which option a recipe is chosen, and on which seeds."""
        select = _checked(self.select, _SELECT, self.path)
        for key in _SELECT:
            if key not in select and key not in _NOT_NEEDED:
                raise InvalidInput(f"{str(self.path)!r}: select has no {key!r}")
        _choice("way to select", select["by"], ("validation",))
        for model in select.get("at", ()):
            _check_type("select: at", model, _LISTS["models"], self.path)
        if select.get("at") == []:
            raise InvalidInput(f"{str(self.path)!r}: select: at names no model to choose with")
        over, candidates = select["over"], self.recipe.get(select["over"])
        if not isinstance(candidates, list) or len(set(candidates)) < 2:
            raise InvalidInput(f"{str(self.path)!r}: select over {over}, but the recipe has no list of it")
        for seed in select["seeds"]:
            _check_type("select: seeds", seed, (int,), self.path)
        if not select["seeds"] or not self.seeds:
            raise InvalidInput(f"{str(self.path)!r}: select needs seeds that choose, and seeds that are reported")
        if 0 in _listed(self.recipe.get("eval_steps", 1)):
            raise InvalidInput(f"{str(self.path)!r}: select goes by validation; eval_steps is 0")
        if both := set(select["seeds"]) & set(self.seeds):
            raise InvalidInput(
                f"{str(self.path)!r}: seed {min(both)} would choose the recipe and be reported; select with other seeds"
            )
        return over, select["seeds"]

    def _job(
        self, trained_on: Mapping[str, Any], model: str, recipe: Mapping[str, Any], seed: Any, scored: bool = True
    ) -> Job:
        # A draw of the train rows for each seed: neither alone says what another would be.
        values = {"dataset_seed": seed, **recipe, **trained_on, "model": model, "seed": seed, "report_to": "none"}
        name = _name(recipe_in(values))
        config = make_config({**values, "output_dir": str(self.folder / "runs" / name)})
        return Job(name, config, self.eval_tasks, self.eval_splits, self.eval_num_rows, self.track, scored)

    def _model(self, model: Any) -> str:
        """The name of a rung; for a rung with other values, the folder of its config.json, which is written."""
        if not isinstance(model, Mapping):
            load_config(str(model))
            return str(model)
        if "model" not in model:
            raise InvalidInput(f"{str(self.path)!r}: {dict(model)} names no model, as {{model: looped_d048}} does")
        rung = load_config(str(model["model"]))
        own = [_choice(f"model option in {self.path.name}", key, rung.to_dict()) for key in model if key != "model"]
        for key in own:
            if isinstance(model[key], int) and not 0 <= model[key] <= _LARGEST:
                raise InvalidInput(f"{str(self.path)!r}: model option {key} {model[key]} is not in 0..{_LARGEST:,}")
        values = {**rung.to_diff_dict(), **{key: model[key] for key in own}}
        values.pop("transformers_version", None)
        words = "-".join(f"{key}{model[key]}" for key in sorted(own))
        folder = self.folder / "models" / slug(f"{model['model']}-{words}", keep=".", max_length=None)
        text = json.dumps(values, indent=2, sort_keys=True) + "\n"
        path = folder / "config.json"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomic(path, text)
        load_config(folder)
        return str(folder)


def _spelled_out(model: Any) -> Iterator[Any]:
    """``{model: looped_d048, hidden_size: [36, 40]}`` stands for two models."""
    yield from _crossed(model) if isinstance(model, Mapping) else [model]


def _family(model: Any) -> str:
    """Whose sizes a model is one of: all of a rung's name and values but the width."""
    if not isinstance(model, Mapping):
        rung, _, width = str(model).rpartition("_d")
        return rung if width.isdecimal() else load_config(str(model)).model_type
    own = (f"{key}{model[key]}" for key in sorted(model) if key not in ("model", "hidden_size"))
    return "-".join([_family(model["model"]), *own])


def _choice(kind: str, value: Any, known: Collection[Any]) -> Any:
    if value not in known:
        raise unknown(kind, value, known)
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _crossed(recipe: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """``{a: [1, 2], b: 3}`` gives ``{a: 1, b: 3}`` and ``{a: 2, b: 3}``."""
    columns = map(_listed, recipe.values())
    for values in itertools.product(*columns):
        yield dict(zip(recipe, values, strict=True))


def _name(config: TrainRecipe) -> str:
    """``looped_d048-sum-3000-lr0.002-1a2b3c4d-seed0``: words for people, and a digest of all that makes the recipe."""
    values = config.resolved()
    seed = values.pop("seed")
    if values["data_seed"] == seed:
        del values["data_seed"]
    rows = f"-rows{values['dataset_seed']}" if values["dataset_seed"] else ""
    values["dataset_seed"] = 0  # a replicate, as the seed is
    digest = hashlib.sha256(json.dumps([values.pop("model"), values], sort_keys=True).encode()).hexdigest()[:8]
    words = slug(f"{config.model_name}-{values['curriculum']}", keep=".", max_length=None)[:80]
    return f"{words}-lr{config.learning_rate:g}-{digest}-seed{seed}{rows}"
