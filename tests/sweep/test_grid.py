"""What a sweep's page means."""

from pathlib import Path
from typing import Any

import pytest

from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.evaluate.verification import verify_file
from listops_bench.result.files import find_results, read_results
from listops_bench.result.plans import read_plans
from listops_bench.runs.record import recipe_digest
from listops_bench.sweep._worker import Worker
from listops_bench.sweep.grid import read_sweep
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep
from tests.support.commands import Run
from tests.support.runs import ROOT
from tests.support.sweeps import TINY, page, tiny

CHOICE = {"over": "learning_rate", "by": "validation", "seeds": [9]}
SWEEPS = ROOT / "leaderboard" / "sweeps"


def test_lists_are_crossed_and_equal_runs_are_one(tmp_path: Path) -> None:
    values = {
        "seeds": [0, 1],
        "recipe": {"max_steps": 5, "learning_rate": ["1e-3", 2e-3]},
        "grids": [
            {"models": ["looped_d008", "looped_d012"], "tasks": ["max", "med_max"]},
            {"models": ["looped_d008"], "curricula": ["max:2,sum:3"], "recipe": {"learning_rate": 2e-3}},
            {"models": ["looped_d008"], "tasks": ["max"], "seeds": [1, 2]},
        ],
    }
    sweep = read_sweep(page(tmp_path, values), tmp_path / "out")
    assert len(sweep) == 2 * 2 * 2 * 2 + 2 + 2
    assert len({job.config.output_dir for job in sweep.jobs}) == len(sweep)
    job = next(job for job in sweep.jobs if job.name.startswith("looped_d008-max-2-sum-3"))
    assert job.name.endswith("-seed0")
    assert (job.config.seed, job.config.learning_rate, job.steps) == (0, 2e-3, 5)
    assert all(job.config.report_to == "none" for job in sweep.jobs)


def test_a_seed_draws_its_train_rows_too_unless_the_recipe_says_which(tmp_path: Path) -> None:
    values = {"models": ["looped_d008"], "tasks": ["max"], "seeds": [0, 3]}
    for recipe, rows, ends in (
        ({}, [0, 3], ["seed0", "seed3-rows3"]),
        ({"dataset_seed": 0}, [0, 0], ["seed0", "seed3"]),
    ):
        jobs = read_sweep(page(tmp_path, {**values, "recipe": recipe}), tmp_path / "out").jobs
        assert [job.config.dataset_seed for job in jobs] == rows
        assert all(job.name.endswith(end) for job, end in zip(jobs, ends, strict=True))
        assert len({job.name.partition("-seed")[0] for job in jobs}) == 1


def test_a_recipe_that_ships_is_that_of_a_grid_with_other_values(tmp_path: Path) -> None:
    values = {"models": ["nrgpt_d008"], "seeds": [1], "tasks": ["sum_nrgpt"], "curricula": ["max_nrgpt:2,sum_nrgpt:3"]}
    file = page(tmp_path, {**values, "recipe": {"config": "nrgpt", "max_steps": 5, "learning_rate": [1e-3, 2e-3]}})
    configs = [job.config for job in read_sweep(file, tmp_path / "out").jobs]
    assert [(c.task, c.max_steps, c.learning_rate) for c in configs] == [
        ("sum_nrgpt", 5, 1e-3), ("sum_nrgpt", 5, 2e-3), (None, None, 1e-3), (None, None, 2e-3),
    ]  # fmt: skip
    assert {(c.model, c.batching, c.adam_beta2) for c in configs} == {("nrgpt_d008", "windows", 0.999)}


def test_a_run_has_one_name_wherever_it_is_asked_for(tmp_path: Path) -> None:
    (one,) = tiny(tmp_path).sweep.jobs
    others = tiny(tmp_path, seeds=[0, 3], tasks=["sum", "max"], models=["looped_d012", "looped_d008"]).sweep.jobs
    assert one.name in {job.name for job in others}
    (recipe,) = tiny(tmp_path, recipe={"weight_decay": 0.5}).sweep.jobs
    assert recipe.name != one.name
    (watching,) = tiny(tmp_path, recipe={"logging_steps": 1, "save_steps": 1, "eval_rows": 3}).sweep.jobs
    assert watching.name == one.name


def test_names_of_runs_stay_as_they_are(tmp_path: Path) -> None:
    """Runs of a sweep that has begun are found by their names: these were given by an earlier version."""
    folder = tiny(tmp_path, models=["looped_d048", "gpt2_d016"], curricula=["max_med:2,sum:4"])
    assert [job.name for job in folder.jobs()] == [
        "looped_d048-max-6-lr0.002-38d1b42c-seed0",
        "gpt2_d016-max-6-lr0.002-6f5747f9-seed0",
        "looped_d048-max_med-2-sum-4-lr0.002-c4103572-seed0",
        "gpt2_d016-max_med-2-sum-4-lr0.002-6def4bcb-seed0",
    ]


@pytest.mark.check_all
def test_a_rung_with_other_values_is_the_same_wherever_its_sweep_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and recipes tell overrides apart, and know no folder; `verify` takes the results."""
    overrides: list[dict[str, Any]] = [{"num_attention_heads": 4}, {"num_attention_heads": 2}, {"n_loop": 2}]
    models = ["looped_d008", *({"model": "looped_d008", **values} for values in overrides)]
    file = page(tmp_path, {**TINY, "models": models})
    monkeypatch.chdir(tmp_path)
    folders = [open_sweep(Options(str(file), out)) for out in (str(tmp_path / "one"), "elsewhere/two")]
    names = [[job.name for job in folder.jobs()] for folder in folders]
    assert names[0] == names[1]
    assert len(set(names[0])) == 4
    assert names[0][1].startswith("looped_d008-num_attention_heads4-max-6-lr0.002-")
    recipes = []
    for folder in folders:
        Worker(folder).run()
        found = read_results(folder.results)
        recipes.append({result.recipe.id for result in found})
        assert sorted((r.architecture.name, r.architecture.num_heads, r.architecture.num_layers) for r in found) == [
            ("listops_looped_d008_l2", 1, 2), ("listops_looped_d008_l3", 2, 3), ("listops_looped_d008_l3", 4, 3),
            ("looped_d008", 1, 3),
        ]  # fmt: skip
        assert {(r.parameters.total, r.architecture.hidden_size) for r in found} == {(2056, 8)}
    assert recipes[0] == recipes[1]
    assert len(recipes[0]) == 4
    runs = folders[1].path / "runs"
    evaluate_checkpoint(runs / names[1][1], "max", ["validation"], results_dir=tmp_path / "whole")
    (path,) = find_results(tmp_path / "whole")
    assert verify_file(path, Checkpoints(runs)).status == "verified"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modles": ["looped_d008"]}, "unknown key in page.yaml 'modles'; did you mean 'models'"),
        ({"models": ["looped_d09"]}, "unknown model 'looped_d09'; did you mean 'looped_d008'"),
        ({"models": [{"model": "looped_d008", "n_lop": 2}]}, "unknown model option in page.yaml 'n_lop'; did you mean"),
        ({"models": [{"n_loop": 2}]}, "names no model"),
        ({"tasks": ["sun"]}, "unknown task 'sun'; did you mean 'sum'"),
        ({"tasks": "sum"}, "tasks 'sum' is not a list"),
        ({"recipe": {"lerning_rate": 1}}, "unknown training option 'lerning_rate'; did you mean 'learning_rate'"),
        ({"recipe": {"config": "nrgtp"}}, "unknown recipe 'nrgtp'; did you mean 'nrgpt'"),
        ({"recipe": {"config": 3}}, "recipe: config 3 is not text"),
        ({"recipe": {"seed": [1, 2]}}, "seed does not belong into the recipe"),
        ({"recipe": {"max_steps": [5, 0]}}, "max_steps 0 is not"),
        ({"eval_splits": ["tset"]}, "unknown split 'tset'; did you mean 'test'"),
        ({"eval_tasks": ["som"]}, "unknown task 'som'"),
        ({"track": "opened"}, "unknown track 'opened'; did you mean 'open'"),
        ({"seeds": []}, "has no run"),
        ({"grids": {}}, "grids {} is not a list"),
        ({"grids": [{"grids": []}]}, "unknown key in page.yaml 'grids'"),
        ({"select": {"over": "learning_rate"}}, "select has no 'by'"),
        ({"models": [{"model": "looped_d008", "num_attention_heads": 0}]}, "'num_attention_heads': 0 is not in"),
        ({"models": [{"model": "looped_d008", "num_attention_heads": 3}]}, "3 heads do not divide"),
        ({"models": [{"model": "looped_d008", "hidden_size": 10**15}]}, "hidden_size 1000000000000000 is not in"),
        ({"models": [{"model": "looped_d008", "hidden_size": 2**16}]}, "parameters; at most"),
        ({"models": [{"model": "gpt2_d016", "activation_function": "sine"}]}, "'activation_function': \"sine\" is no"),
        ({"models": [3]}, "models 3 is not text or a mapping"),
        ({"tasks": [None]}, "tasks None is not text"),
        ({"seeds": [True]}, "seeds True is not a whole number"),
        ({"seeds": ["0"]}, "seeds '0' is not a whole number"),
        ({"curricula": ["max:3/freeze=blok*,sum:2"]}, "unknown parameter 'blok*'"),
        ({"recipe": {"learning_rate": []}}, "learning_rate [] is no value"),
        ({"recipe": {"learning_rate": [[1]]}}, "learning_rate [[1]] is no value"),
        ({"recipe": {"max_steps": 1.5}}, "max_steps 1.5 is not a whole number"),
        ({"eval_num_rows": "lots"}, "eval_num_rows 'lots' is not a whole number"),
        ({"eval_num_rows": 0}, "eval_num_rows 0 is not at least 1"),
        ({"eval_num_rows": 2.5}, "eval_num_rows 2.5 is not a whole number"),
        ({"eval_num_rows": True}, "eval_num_rows True is not a whole number"),
        ({"eval_tasks": ["sum_mod11"]}, "eval_tasks 'sum_mod11' has modulus 11"),
        ({"seeds": [*range(1000)], "recipe": {"learning_rate": [*range(1, 1001)]}}, "has 1,000,000 runs"),
        ({"select": CHOICE, "recipe": {"learning_rate": [1, 2], "eval_steps": 0}}, "select goes by validation"),
        ({"select": {**CHOICE, "seeds": []}, "recipe": {"learning_rate": [1, 2]}}, "select needs seeds that choose"),
        (
            {"select": {**CHOICE, "seeds": ["a"]}, "recipe": {"learning_rate": [1, 2]}},
            "seeds 'a' is not a whole number",
        ),
        ({"select": CHOICE, "recipe": {"learning_rate": [1, 1]}}, "the recipe has no list of it"),
        ({"select": CHOICE, "recipe": {"learning_rate": [[1], [2]]}}, "is no value"),
        ({"select": {"over": "learning_rate", "by": "test", "seeds": [9]}}, "unknown way to select 'test'"),
        ({"select": {"over": "learning_rate", "by": "validation", "seeds": [9]}}, "the recipe has no list of it"),
        (
            {"select": {**CHOICE, "seeds": [0]}, "recipe": {"learning_rate": [1, 2]}},
            "seed 0 would choose the recipe and be reported",
        ),
        ({"select": {**CHOICE, "at": ["looped_d9"]}, "recipe": {"learning_rate": [1, 2]}}, "looped_d9"),
        ({"select": {**CHOICE, "at": []}, "recipe": {"learning_rate": [1, 2]}}, "at names no model"),
        ({"plan": {"claim": ["R4"]}}, "unknown key of plan 'claim'; did you mean 'claims'"),
        ({"plan": {"claims": ["R44"]}}, "R44"),
        ({"plan": {"claims": []}}, "claims names none"),
        ({"plan": {"claims": ["R4"], "cuts": [95]}}, "cut 95"),
        ({"plan": {"claims": ["R4"], "looks": [5, 3]}}, "looks [5, 3] are not numbers of runs that rise"),
        ({"grids": [{"plan": {"claims": ["R4"]}}]}, "unknown key in page.yaml 'plan'"),
    ],
)
def test_bad_pages_are_one_line_and_exit_code_2(
    tmp_path: Path, command: Run, values: dict[str, Any], message: str
) -> None:
    file = page(tmp_path, {**TINY, **values})
    code, _, error = command("sweep", str(file), "--output-dir", str(tmp_path / "out"))
    assert message in error
    assert (code, error.count("\n")) == (2, 1)


def test_one_choice_for_all_sizes_of_an_arm_is_made_at_some(tmp_path: Path) -> None:
    models = ["looped_d008", "looped_d012", "looped_d016"]
    select = {**CHOICE, "at": ["looped_d008", "looped_d016"]}
    recipe = {"max_steps": 5, "learning_rate": [1e-3, 2e-3]}
    values = {**TINY, "models": models, "tasks": ["max", "sum"], "seeds": [0, 1], "select": select, "recipe": recipe}
    sweep = read_sweep(page(tmp_path, values), tmp_path / "out")
    assert len(sweep) == 2 * (2 * 2 + 3 * 2)
    assert len(sweep.selections) == 2
    one = sweep.selections[0]
    assert [job.config.model for job in one.choosing[1e-3]] == select["at"]
    reported = [(job.config.model, job.config.seed) for job in one.reported[2e-3]]
    assert reported == [(model, seed) for model in models for seed in (0, 1)]


def test_a_plan_is_declared_once_before_the_first_run(tmp_path: Path, command: Run) -> None:
    """The record holds what results will be known by."""
    recipe = {"max_steps": 5, "learning_rate": [1e-3, 2e-3]}
    values = {
        **TINY,
        "plan": {"claims": ["R4", "R7"], "looks": [2]},
        "select": CHOICE,
        "recipe": recipe,
        "seeds": [0, 1],
    }
    file = page(tmp_path, values)
    words = ("sweep", str(file), "--output-dir", str(tmp_path / "out"), "--declare", str(tmp_path / "plans"))
    assert command(*words)[0] == 0
    (plan,) = read_plans(tmp_path / "plans")
    assert (plan.page, plan.claims, plan.cuts, plan.looks) == ("page.yaml", ["R4", "R7"], [0.9, 0.95, 0.99], [2])
    assert (plan.chosen, sorted(plan.runs.values())) == (["learning_rate"], [[0, 1], [0, 1]])
    (selection,) = read_sweep(file, tmp_path / "out").selections
    job = selection.reported[2e-3][1]
    assert job.config.seed in plan.runs[recipe_digest(job.config.identity())[0]]
    code, _, error = command(*words)
    assert (code, "declared once" in error) == (2, True)
    code, _, error = command("sweep", str(page(tmp_path, TINY)), *words[2:])
    assert (code, "no plan to declare" in error) == (2, True)


@pytest.mark.check_all  # each is read by the golden values of its runs, or planned by tests/sweep/test_pages.py, too
@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sweeps_that_we_bring_can_be_read(path: Path, tmp_path: Path) -> None:
    sweep = read_sweep(path, tmp_path)
    assert len(sweep) >= 12 or sweep.adaptive
    assert len({job.name for job in sweep.jobs}) == len(sweep.jobs)
