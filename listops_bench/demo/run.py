"""The demo: does training on MAX and MED help a small transformer learn SUM?

Three curricula of equal length, the same model, some seeds; each run a process of its own; all scored on the same SUM
test rows. What it prints and draws is what it measured, whatever that is::

    runs/demo/checkpoints/transfer-seed0    an ordinary checkpoint folder for every run
    runs/demo/results/                      result files, and board/ built from them
    runs/demo/index.html                    the page, its figures beside it
    runs/demo/logs/transfer-seed0.txt       what the run printed

Started again, it trains what is missing and no more; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from listops_bench._base.processes import Job, run_jobs
from listops_bench.demo._live import Display
from listops_bench.demo._page import Report, Run, write_page
from listops_bench.demo._story import ARMS
from listops_bench.demo.config import MIXTURE, DemoConfig
from listops_bench.errors import InvalidInput
from listops_bench.result.files import read_results
from listops_bench.result.format import Result
from listops_bench.runs.folder import RunFiles, working_dir, working_files
from listops_bench.runs.record import RunRecord, read_run
from listops_bench.score.completion import SCORER_VERSION
from listops_bench.tasks.task import DATASET_VERSION, get_task
from listops_bench.train.config import TrainConfig

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Plan:
    """One run of the demo: its place and its training configuration."""

    arm: str
    seed: int
    training: TrainConfig

    @property
    def name(self) -> str:
        return f"{ARMS[self.arm]}, seed {self.seed}"

    @property
    def checkpoint(self) -> Path:
        return Path(self.training.output_dir)

    @property
    def log(self) -> Path:
        """The training log: in the checkpoint once the run has finished, beside it while it runs."""
        finished = RunFiles(self.checkpoint).log
        return finished if finished.exists() else working_files(self.checkpoint).log

    @property
    def working_dir(self) -> Path:
        return working_dir(self.checkpoint)

    def record(self) -> RunRecord | None:
        """The record of the finished run; None where there is none.

        Raises:
            InvalidInput: it is of another run than the one planned.
        """
        record = read_run(self.checkpoint)
        if record is None:
            return None
        identity = {"dataset_version": DATASET_VERSION, **self.training.resolved(), "num_processes": 1}
        for key, value in identity.items():
            found = (record.identity or {}).get(key)
            if found != value:
                raise InvalidInput(
                    f"{str(self.checkpoint)!r} holds another run: its {key} is {found!r}, this "
                    f"one's {value!r}; choose another --output-dir, or --fresh to delete it"
                )
        return record


def plan_runs(config: DemoConfig) -> list[Plan]:
    """All runs, in the order in which they are started: every curriculum with the first seed, then with the next."""
    checkpoints = Path(config.output_dir) / "checkpoints"
    return [
        Plan(
            arm,
            seed,
            TrainConfig(
                output_dir=str(checkpoints / f"{arm}-seed{seed}"),
                curriculum=config.curriculum(arm),
                model=config.model,
                learning_rate=config.learning_rate,
                seed=seed,
                logging_steps=max(1, config.steps // 120),
                eval_steps=max(1, config.steps // 30),
                report_to="none",
            ),
        )
        for seed in config.seeds
        for arm in ARMS
    ]


def run_demo(config: DemoConfig, console: Console | None = None) -> int:
    """Trains, scores, draws and prints. Returns 0, or 1 where a run failed (the others are shown all the same).

    Raises:
        InvalidInput: an unknown model, or a folder that holds another demo.
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    started = time.monotonic()
    folder = Path(config.output_dir)
    if config.fresh:
        _clear(folder)
    plans = plan_runs(config)
    _check_model(config.model)
    failed = _train(plans, config, console)
    runs = _score([plan for plan in plans if plan.record() is not None], folder / "results", console)
    report = _report(config, runs, failed)
    page = write_page(report, folder)
    _build_board(folder, report)
    _print_report(console, report, page, time.monotonic() - started)
    return 1 if failed else 0


def _clear(folder: Path) -> None:
    """Deletes what a demo makes, and nothing else that may lie in the folder."""
    for name in ("checkpoints", "results", "board", "logs"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _check_model(name: str) -> None:
    from listops_bench._base.resources import resource_path
    from listops_bench.errors import unknown

    # Here, and not in six processes: but without waiting for torch.
    rungs = [path.parent.name for path in resource_path("model_configs").glob("*/config.json")]
    if name not in rungs and not Path(name).exists():
        raise unknown("model", name, rungs)


# --- training ---------------------------------------------------------------------------------------------------------


def _train(plans: Sequence[Plan], config: DemoConfig, console: Console) -> list[str]:
    """Runs what is not done; returns a line for every run that failed."""
    logs = Path(config.output_dir) / "logs"
    jobs = [Job(plan.name, _command(plan), logs / f"{plan.checkpoint.name}.txt") for plan in plans]
    for plan, job in zip(plans, jobs, strict=True):
        if plan.record() is not None:
            job.status = "done"
    waiting = sum(job.status == "waiting" for job in jobs)
    if waiting == 0:
        console.print(f"all {len(jobs)} runs are there already (--fresh trains them again)")
        return []
    at_once = min(waiting, _cores())
    console.print(f"{config.model}, {config.steps:,} steps a run; {waiting} runs to train, {at_once} at a time")
    display = Display(console, jobs, plans, config.steps, at_once)
    with display:
        run_jobs(jobs, at_once=at_once, environment=_environment(), on_tick=display.show)
    failed = [f"{job.name} failed: {job.last_words()} (see {job.log})" for job in jobs if job.status == "failed"]
    for line in failed:
        console.print(line, style="red", markup=False)
    return failed


def _command(plan: Plan) -> list[str]:
    """The training's command line, every option that differs from its default spelt out."""
    import dataclasses

    words = [sys.executable, "-m", "listops_bench.train"]
    for field in dataclasses.fields(TrainConfig):
        value = getattr(plan.training, field.name)
        if value != field.default:
            words += ["--" + field.name.replace("_", "-"), str(value)]
    return words


def _environment() -> dict[str, str]:
    # One thread a run: for models so small a second one costs more than it brings, and the runs share the cores.
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **threads, "ACCELERATE_USE_CPU": "true"}


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


# --- scoring ----------------------------------------------------------------------------------------------------------


def _score(plans: Sequence[Plan], results_dir: Path, console: Console) -> list[Run]:
    """The test scores of the finished runs; those that lie there already are taken from their files."""
    there = _results_there(results_dir)
    runs = []
    for plan in plans:
        record = plan.record()
        assert record is not None
        tasks = ("sum", MIXTURE) if plan.arm == "joint" else ("sum",)
        weights = record.weights_sha256 or ""
        results = {task: there[weights, task] for task in tasks if (weights, task) in there}
        missing = [task for task in tasks if task not in results]
        if missing:
            console.print(f"scoring {plan.name} on the test rows of {' and '.join(missing)}")
            for result in _evaluate(plan.checkpoint, missing, results_dir):
                results[result.task.name] = result
        runs.append(Run(plan.arm, plan.seed, plan.checkpoint, results["sum"], results.get(MIXTURE)))
    return sorted(runs, key=lambda run: (list(ARMS).index(run.arm), run.seed))


def _results_there(results_dir: Path) -> dict[tuple[str, str], Result]:
    """Results of today's rows and scorer, by weights and task."""
    if not results_dir.is_dir():
        return {}
    try:
        results = read_results(results_dir)
    except InvalidInput:  # of an earlier version, or damaged: they are made again from the checkpoints
        shutil.rmtree(results_dir)
        return {}
    return {
        (result.model.weights_sha256 or "", result.task.name): result
        for result in results
        if (result.dataset_version, result.scorer_version) == (DATASET_VERSION, SCORER_VERSION) and _enough_rows(result)
    }


def _enough_rows(result: Result) -> bool:
    return "test" in result.splits and result.splits["test"].n == get_task(result.task.name).num_test


def _evaluate(checkpoint: Path, tasks: Sequence[str], results_dir: Path) -> list[Result]:
    from listops_bench.evaluate.run import evaluate_checkpoint

    return evaluate_checkpoint(checkpoint, tasks, "test", device="cpu", results_dir=results_dir)


# --- what is shown ----------------------------------------------------------------------------------------------------


def _report(config: DemoConfig, runs: Sequence[Run], failed: Sequence[str]) -> Report:
    from listops_bench.tasks import expression

    example = expression.parse("[SUM 3 [MAX 2 9 ] 4 ]")
    return Report(
        runs=runs,
        failed=failed,
        model=config.model,
        steps=config.steps,
        example=(expression.prompt_text(example), expression.completion_text(example)),
        command=_demo_command(config),
    )


def _demo_command(config: DemoConfig) -> str:
    seeds = " ".join(map(str, config.seeds))
    recipe = f"--model {config.model} --steps {config.steps} --learning-rate {config.learning_rate:g}"
    return f"listops-bench demo {recipe} --seeds {seeds}"


def _build_board(folder: Path, report: Report) -> None:
    from listops_bench.leaderboard.output import build

    if report.runs:
        runs = [run.checkpoint for run in report.runs]
        build(folder / "results", folder / "board", runs=runs, title="listops_bench demo board", lead=report.sentence)


def _print_report(console: Console, report: Report, page: Path, seconds: float) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("trained on", "seed", "SUM exact", "95% interval", "n", "mixture", "time"):
        table.add_column(name, justify="left" if name == "trained on" else "right", no_wrap=True)
    for run in report.runs:
        low, high = run.exact.interval
        table.add_row(
            ARMS[run.arm],
            str(run.seed),
            f"{run.exact.accuracy:.1%}",
            f"{100 * low:.1f} to {high:.1%}",
            f"{run.exact.n:,}",
            f"{run.mixture.accuracy:.1%}" if run.mixture else "",
            f"{run.training.wall_seconds:.0f} s",
        )
    if report.runs:
        console.print(table)
    console.print(report.sentence, markup=False)
    console.print(f"\npage: {page}   ({int(seconds) // 60} min {int(seconds) % 60:02d} s)", markup=False)
