"""Sweeps whose sizes are chosen by what was learned: what a page means, and that nothing changes the choices."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from listops_bench.errors import InvalidInput
from listops_bench.sweep._adaptive import Arm, Course
from listops_bench.sweep._folder import Failure, SweepFolder
from listops_bench.sweep._live import adaptive_lines
from listops_bench.sweep._worker import Worker
from listops_bench.sweep.grid import read_sweep
from listops_bench.sweep.job import Job
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep, run_sweep
from tests.support.commands import Run
from tests.support.processes import forks
from tests.support.restarts import run_sweeps
from tests.support.sweeps import TINY, hashes, page, tiny

WIDTHS = {"model": "looped_d008", "hidden_size": [4, 6, 8, 10, 12]}
PAGE: dict[str, Any] = {
    "models": [WIDTHS],
    "seeds": [],
    "adaptive": {"max_runs": 20},
    "recipe": {"eval_steps": 0},
}


def learns(arm: Arm, job: Job) -> bool:
    """As if: larger models more often, and some seeds never."""
    width = int(job.config.model_name.rpartition("size")[2])
    return width + 4 * (job.config.seed * 7 % 5 - 2) / 2 > 7


def names(course: Course, outcome: Any = learns) -> list[str]:
    return [job.name for job in course.advance(outcome)]


# --- choices ----------------------------------------------------------------------------------------------------------


def test_choices_are_those_of_results_in_the_order_of_issue(tmp_path: Path) -> None:
    """Whenever it is stopped, whether its log is there or not, and whichever run of a batch ends first."""
    (adaptive,) = tiny(tmp_path, **PAGE).sweep.adaptive
    whole = names(Course(adaptive, tmp_path / "no log"))
    assert 12 <= len(whole) <= 20
    known: set[str] = set()

    def outcome(arm: Arm, job: Job) -> bool | None:
        return learns(arm, job) if job.name in known else None

    while len(known) < len(whole):
        for logged in (True, False):
            course = Course(adaptive, tmp_path / ("log" if logged else "none"))
            now = names(course, outcome)
            assert now == whole[: len(now)]
            course.write()
            assert not course.is_over
            if not logged:
                course.path.unlink(missing_ok=True)
        known.add(next(name for name in reversed(now) if name not in known))  # the last one ends first
    log = json.loads((tmp_path / "log" / f"{adaptive.name}.json").read_text())
    assert [choice["run"] for choice in log["choices"]] == whole
    assert names(course, outcome) == whole
    assert course.is_over


def test_what_was_chosen_stands_when_the_page_changes(tmp_path: Path) -> None:
    (adaptive,) = tiny(tmp_path, **PAGE).sweep.adaptive
    course = Course(adaptive, tmp_path / "log")
    whole = names(course)
    course.write()
    (other,) = tiny(tmp_path, **{**PAGE, "adaptive": {"max_runs": 23, "batch": 2, "factor": 1.01}}).sweep.adaptive
    assert names(Course(other, tmp_path / "log"))[: len(whole)] == whole
    (fewer,) = tiny(tmp_path, **{**PAGE, "models": [{**WIDTHS, "hidden_size": [20, 24]}]}).sweep.adaptive
    with pytest.raises(InvalidInput, match="none of the page's models"):
        Course(fewer, tmp_path / "log")


def test_a_run_that_diverged_has_not_learned_and_one_that_may_be_tried_again_is_waited_for(tmp_path: Path) -> None:
    folder = tiny(tmp_path, **PAGE)
    jobs = folder.jobs()
    for job in jobs:
        folder.note_failure(job, Failure("its loss is no number", final=job is not jobs[0]))
    assert folder.jobs() == jobs
    assert not folder.waits  # no process works on it: the command ends, and the next one tries it again
    folder.note_failure(jobs[0], Failure("its loss is no number", final=True))
    assert len(folder.jobs()) == len(jobs) + 2


def test_a_sweep_trains_what_it_chooses(tmp_path: Path) -> None:
    folder = tiny(tmp_path, **{**PAGE, "adaptive": {"max_runs": 6, "batch": 3}})
    assert len(folder.jobs()) == 3
    Worker(folder).run()
    assert [len(folder.by_state()["done"]), folder.num_runs, folder.waits] == [6, 6, False]
    assert {job.config.seed for job in folder.jobs()} == set(range(6))
    (line,) = adaptive_lines(folder)
    assert "0 of 6 learned max; N50 > 3,660" in line
    assert line.endswith("ended: max_runs")
    (log,) = (tmp_path / "out" / "adaptive").glob("*.json")
    written = log.read_text()
    log.unlink()
    assert run_sweep(Options(str(tmp_path / "page.yaml"), str(tmp_path / "out")), Console(file=io.StringIO())) == 0
    assert log.read_text() == written
    again = open_sweep(Options(str(tmp_path / "page.yaml"), str(tmp_path / "out"), shard=(1, 3)))
    assert [job.name for job in again.jobs()] == [job.name for job in folder.jobs()]  # every shard takes what is left


@pytest.mark.check_all
@forks
def test_a_killed_sweep_makes_the_same_choices(tmp_path: Path) -> None:
    """Packs and runs alone, killed while they write states, checkpoints, results and logs."""
    recipe = {**TINY["recipe"], **PAGE["recipe"]}
    page(tmp_path, {**TINY, **PAGE, "recipe": recipe, "adaptive": {"max_runs": 12}})
    moments = ".pt=2 SIGTERM=3 checkpoint=2 .json=3 .json=5 SIGHUP=2 .pt=1 checkpoint=1"
    run_sweeps(tmp_path, "whole", f"killed {moments}")
    logs = [path.read_text() for path in tmp_path.glob("*/adaptive/*.json")]
    assert len(logs) == 2
    assert logs[0] == logs[1]
    assert hashes(tmp_path / "killed") == hashes(tmp_path / "whole")


# --- pages ------------------------------------------------------------------------------------------------------------


def test_an_arm_for_each_family_curriculum_and_recipe(tmp_path: Path) -> None:
    values = {
        **{**TINY, **PAGE},
        "models": [WIDTHS, "gpt2_d016", "gpt2_d032"],
        "tasks": ["max", "max_med"],
        "recipe": {"max_steps": 5, "learning_rate": [1e-3, 2e-3]},
        "adaptive": {"task": "max"},
    }
    arms = [arm for a in read_sweep(page(tmp_path, values), tmp_path).adaptive for arm in a.arms]
    assert len({arm.name for arm in arms}) == 2 * 2 * 2
    assert {(len(arm.candidates), arm.task, arm.name.partition("-")[0]) for arm in arms} == {
        (5, "max", "looped"), (2, "max", "gpt2"),
    }  # fmt: skip
    job = arms[0].candidates[2056].job(7)
    assert (job.config.seed, job.config.dataset_seed) == (7, 7)
    assert job.name.endswith("-seed7-rows7")


def test_any_page_may_be_run_adaptively(tmp_path: Path) -> None:
    file = page(tmp_path, {**TINY, "models": ["looped_d008", "looped_d012"], "seeds": [0, 1]})
    sweep = open_sweep(Options(str(file), str(tmp_path / "out"), adaptive=True, max_runs=7)).sweep
    assert (sweep.jobs, len(sweep.adaptive), sweep.adaptive[0].rule.max_runs) == ((), 1, 7)


def test_two_arms_are_compared(tmp_path: Path) -> None:
    values = {**PAGE, "tasks": ["max", "max_med"], "adaptive": {"task": "max", "looks": [8, 16]}}
    (course,) = tiny(tmp_path, **values).courses
    jobs = course.advance(learns)
    assert len(jobs) in (8, 16)
    assert {str(job.config.plan()) for job in jobs} == {"max:6", "max_med:6"}
    assert course.ended in ("smaller", "no smaller", "open")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"adaptive": {"cot": 0.9}}, "unknown key of adaptive 'cot'; did you mean 'cut'"),
        ({"adaptive": {"factor": 1}}, "factor 1 is not above 1"),
        ({"adaptive": {"choose": "stairs"}}, "unknown choose 'stairs'; did you mean 'staircase'"),
        ({"adaptive": {"looks": [32, 16]}}, "looks [32, 16] are not numbers of runs that rise"),
        ({"adaptive": {"looks": [32]}}, "looks compare two arms on one task"),
        ({"adaptive": {"task": "sum"}}, "unknown task that the runs are scored on 'sum'"),
        ({"adaptive": {"looks": "no"}}, "looks 'no' is not"),
        ({"seeds": [1]}, "gives each of its runs a seed; leave seeds out"),
        ({"models": ["looped_d008"]}, "-38d1b42c has one"),
        ({"models": ["looped_d008", {"model": "looped_d008", "n_loop": 2}]}, "has one"),
        ({"models": [WIDTHS, "looped_d008"]}, "have 2,056 parameters"),
        ({"models": [{"hidden_size": [4, 6]}]}, "names no model"),
        ({"curricula": ["max*0.5+med*0.5:4"], "tasks": []}, "adaptive needs a task"),
        ({"eval_splits": ["test_deeper"]}, "eval_splits has no 'test'"),
        ({"adaptive": {"max_runs": 10**9}, "models": [{"model": "looped_d008", "hidden_size": [*range(4, 6)] * 6000}]},
         "a page has 10,000"),
    ],
)  # fmt: skip
def test_bad_pages_are_one_line_and_exit_code_2(
    tmp_path: Path, command: Run, values: dict[str, Any], message: str
) -> None:
    file = page(tmp_path, {**TINY, **PAGE, "recipe": TINY["recipe"], **values})
    code, _, error = command("sweep", str(file), "--output-dir", str(tmp_path / "out"))
    assert message in error
    assert (code, error.count("\n")) == (2, 1)


def test_without_scores_nothing_is_chosen(tmp_path: Path, command: Run) -> None:
    file = page(tmp_path, {**TINY, **PAGE, "recipe": TINY["recipe"]})
    code, _, error = command("sweep", str(file), "--output-dir", str(tmp_path / "out"), "--train-only")
    assert (code, "leave --train-only out" in error) == (2, True)


def test_a_log_of_another_page_is_one_line(tmp_path: Path, command: Run) -> None:
    folder: SweepFolder = tiny(tmp_path, **PAGE)
    (course,) = folder.courses
    os.makedirs(course.path.parent)
    course.path.write_text('{"arms": ["other"], "choices": []}')
    code, _, error = command("sweep", str(tmp_path / "page.yaml"), "--output-dir", str(tmp_path / "out"))
    assert (code, "it is another page's" in error) == (2, True)
