"""Many runs: a grid of tasks, curricula, models, seeds and recipes, trained, scored and kept.

    listops-bench sweep leaderboard/sweeps/demo.yaml --output-dir runs/demo-sweep    one process a core, or a GPU
    accelerate launch -m listops_bench.sweep FILE.yaml --output-dir DIR              one process a rank, on many hosts
    listops-bench sweep FILE.yaml --output-dir DIR --shard 1/8                       an eighth of it, as in a job array

However it is started, started again it goes on: a run that is done is left alone, one that was stopped goes on from its
last state, and one that failed does not stop the others. Processes share the work by claims on the disk, so any of
them may die. On a GPU, runs of one model shape are trained packed (`listops_bench.train.packed`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, MutableMapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from listops_bench._base.escape import terminal
from listops_bench._base.processes import ONE_THREAD, Command, own_imports, own_python, run_commands, usable_cores
from listops_bench._base.stopping import EXIT_TIME_IS_UP, Stopped, StopRequest
from listops_bench.errors import InvalidInput, file_error
from listops_bench.pages.console import make_console
from listops_bench.sweep._folder import SECONDS_BETWEEN_LOOKS, SweepFolder
from listops_bench.sweep._live import Display, print_summary
from listops_bench.sweep.grid import read_sweep
from listops_bench.sweep.options import Options

if TYPE_CHECKING:
    from rich.console import Console


def open_sweep(options: Options) -> SweepFolder:
    """Reads a sweep's page and opens its folder.

    Raises:
        InvalidInput: a page that cannot be read or crossed.
    """
    sweep = read_sweep(options.page, options.folder, adaptive=options.adaptive, max_runs=options.max_runs)
    if sweep.adaptive and options.part == "train":
        raise InvalidInput("an adaptive sweep chooses by scores; leave --train-only out")
    if options.shard is not None:
        sweep = sweep.shard(*options.shard)
    return SweepFolder(options.folder, sweep, options.part)


# --- the command: a process for each core or GPU ----------------------------------------------------------------------


def run_sweep(options: Options, console: Console | None = None) -> int:
    """Runs a sweep to its end with processes of its own, shows how it goes, and returns 0, or 1 where a run failed.

    Raises:
        InvalidInput: a page that cannot be read or crossed, or a folder that cannot be made.
        EnvironmentFailed: a folder that cannot be written.
        Stopped: it was asked to end, or its time is up; all is saved.
    """
    console = console or make_console()
    folder = open_sweep(options)
    work_side_by_side(folder, options, console)
    return _end(folder, console)


def work_side_by_side(
    folder: SweepFolder, options: Options, console: Console, environment: Mapping[str, str] = os.environ
) -> None:
    """Trains and scores what is left of a sweep, with processes of its own, and shows how it goes.

    Args:
        folder: of the sweep.
        options: as it was opened with.
        console: where to show it.
        environment: of the processes; with ``ACCELERATE_USE_CPU`` they compute on the CPU.
    """
    _begin(folder, options)
    own = {**ONE_THREAD, **own_imports()}
    with StopRequest(options.seconds_left) as stop:
        while left := _left(folder):
            size = min(options.workers or _devices(environment), left)
            console.print(f"{folder.num_runs} runs, {left} to do, {size} at a time; logs in {folder.path / 'logs'}")
            workers = [
                Command(f"worker {i}", _words(options, i, size, stop), folder.path / "logs" / f"worker{i}.txt")
                for i in range(size)
            ]
            before = folder.attempts.snapshot()
            with Display(console, folder):
                run_commands(workers, at_once=size, environment={**environment, **own}, stop=stop)
                if any(worker.exit_code == EXIT_TIME_IS_UP for worker in workers):
                    raise Stopped(EXIT_TIME_IS_UP, "stopped")
                waited = _wait_for_others(folder, stop)  # another command's, or those of one that was killed
            for worker in (worker for worker in workers if worker.status == "failed"):
                line = terminal(f"{worker.name} ended: {worker.last_line()} (see {worker.log})")
                console.print(line, style="red", markup=False)
            if any(worker.status == "failed" for worker in workers):
                _count_crashes(folder)
            # What others held and left, and what a process has died under, is taken up again.
            if not waited and folder.attempts.snapshot() == before:
                return


def _count_crashes(folder: SweepFolder) -> None:
    """Notes which runs the processes of ours that have died worked on."""
    left = folder.by_state()["left"]
    claims = folder.claim(left)
    for job in (job for job in left if job.name in claims):
        folder.attempts.count_crash(job)
        claims[job.name].release()


def _left(folder: SweepFolder) -> int:
    """How many runs are to be done here, those of choices that are still to be made included."""
    states = folder.by_state()
    undecided = 0 if folder.part == "score" else folder.num_runs - sum(map(len, states.values()))
    return len(states["left"]) + undecided


def plan_sweep(options: Options, devices: int) -> None:
    """Prints what is left to do, and what it would cost on so many devices like this one; trains nothing.

    With a time limit, also in how many shards each would fit it on one GPU.
    """
    from listops_bench.sweep._cost import print_estimate, print_shards

    folder, console = open_sweep(options), make_console()
    print_estimate(folder, options.pack, devices, console)
    if options.time_limit is not None and options.shard is None and not folder.sweep.adaptive:
        print_shards(folder, options.pack, options.time_limit, console)


def declare_plan(options: Options, plans: str) -> Path:
    """Writes the record of the page's plan to a folder, before its first run, and returns its path; trains nothing."""
    from listops_bench.sweep._plan import declare

    folder = open_sweep(options)
    if any(folder.by_state()[state] for state in ("done", "failed")):
        raise InvalidInput(f"{str(folder.path)!r} has runs of the page: a plan is declared before the first")
    sweep = folder.sweep
    chosen = (selection.over for selection in sweep.selections)
    return declare(options.page, sweep.plan, sweep.reportable(), chosen, Path(plans))


def _begin(folder: SweepFolder, options: Options) -> None:
    try:
        folder.check_writable()
        folder.forget_failures(final_ones_too=options.retry_failed)
    except OSError as error:
        raise file_error("write", folder.path, error) from None


def _end(folder: SweepFolder, console: Console) -> int:
    folder.write_choices()
    print_summary(console, folder)
    states = folder.by_state()
    if folder.part == "score":  # what is not trained yet is not its concern
        return 1 if states["left"] or states["failed"] else 0
    return 0 if len(states["done"]) == folder.num_runs else 1


def _devices(environment: Mapping[str, str]) -> int:
    """GPUs that this process may use, or cores where there is none."""
    import torch

    if torch.cuda.is_available() and environment.get("ACCELERATE_USE_CPU", "").lower() not in ("1", "true"):
        return torch.cuda.device_count()
    return usable_cores()


def _words(options: Options, number: int, size: int, stop: StopRequest) -> list[str]:
    words = [*own_python(), "-m", "listops_bench.sweep", options.file, "--output-dir", str(options.folder)]
    words += ["--worker", f"{number + 1}/{size}"]
    if options.shard is not None:
        words += ["--shard", f"{options.shard[0] + 1}/{options.shard[1]}"]
    if options.pack is not None:
        words += ["--pack", str(options.pack)]
    if stop.deadline is not None:
        words += ["--time-limit", f"{max(stop.seconds_left, 0.001):.3f}"]
    words += [] if options.part == "all" else [f"--{options.part}-only"]
    words += ["--adaptive"] if options.adaptive else []
    words += [] if options.max_runs is None else ["--max-runs", str(options.max_runs)]
    return [*words, "--order", options.order]


# --- one process: a rank of a launcher, or a worker of the command ----------------------------------------------------

_RANK_VARIABLES = ("RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def work(options: Options, worker: tuple[int, int] | None) -> int:
    """Does the work of one process, and returns its exit code.

    Args:
        options: of the sweep.
        worker: (number, size) of a worker of `run_sweep`; None for a rank of a launcher, the first of which shows how
            it goes.
    """
    number, size = _leave_launcher(os.environ) if worker is None else worker
    if worker is not None:
        _take_gpu(os.environ, number, size)
    from listops_bench.sweep._worker import Worker

    folder = open_sweep(options)
    leads = worker is None and number == 0
    if leads:
        _begin(folder, options)
    console = make_console()

    def print_event(line: str) -> None:
        if not console.is_terminal or worker is not None:
            print(terminal(line), flush=True)

    with StopRequest(options.seconds_left) as stop, Display(console, folder) if leads else nullcontext():
        own = Worker(folder, number, size, pack=options.pack, order=options.order, stop=stop, on_event=print_event)
        own.run()
        while leads and _wait_for_others(folder, stop):
            own.run()
    return _end(folder, console) if leads else 0


def _leave_launcher(environment: MutableMapping[str, str]) -> tuple[int, int]:
    """This process's rank and their number, as a launcher says, whose variables are removed.

    Ranks train different models and agree through files, so none waits for another, and one that dies takes no other
    with it.
    """
    rank, size = int(environment.get("RANK", "0")), int(environment.get("WORLD_SIZE", "1"))
    if size > 1 and "LOCAL_RANK" in environment:
        _take_gpu(environment, int(environment["LOCAL_RANK"]), int(environment.get("LOCAL_WORLD_SIZE", "1")))
    for name in list(environment):
        if name in _RANK_VARIABLES or name.startswith(("TORCHELASTIC_", "ROLE_")):
            del environment[name]
    return rank, size


def _take_gpu(environment: MutableMapping[str, str], number: int, count: int) -> None:
    """Leaves this process one of the GPUs that it may see; without any, it changes nothing that matters."""
    visible = environment.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    environment["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]


def _wait_for_others(folder: SweepFolder, stop: StopRequest) -> bool:
    """Waits until every run has ended or no process works on it: only then is what is printed the end, and a launcher
    ends all ranks once the first one has. Returns whether others have left something to do."""
    waited = False
    while True:
        with stop.raising():
            left = folder.by_state()["left"]
            claims = folder.claim(left)
            for lock in claims.values():
                lock.release()
            if len(claims) == len(left):
                return waited and bool(left)
            waited = True
            time.sleep(SECONDS_BETWEEN_LOOKS)
