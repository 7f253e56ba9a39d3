"""The command of training: ``accelerate launch -m listops_bench.train``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from listops_bench._base.command import print_line, run_command
from listops_bench._base.stopping import StopRequest
from listops_bench.train.config import TrainConfig, read_config

if TYPE_CHECKING:
    from listops_bench.train._log import Progress
    from listops_bench.train._loop import OnStep
    from listops_bench.train.run import TrainResult


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as flags say, and returns the exit code of this process."""
    main_process = os.environ.get("RANK", "0") == "0"
    configs: list[TrainConfig] = []

    def read() -> None:
        configs.append(read_config(sys.argv[1:] if argv is None else argv))

    code = run_command(
        read, quiet=not main_process
    )  # before torch is imported: a mistake or --help is answered at once
    return code or _train(configs[0], main_process)


def _train(config: TrainConfig, main_process: bool) -> int:
    if main_process and not sys.stderr.isatty():  # a log says so before torch is imported and rows are made
        print_line(f"training {config.model_name} on {config.plan()}, in {config.output_dir}")
    from accelerate import PartialState

    from listops_bench.train._log import TrainingFailed
    from listops_bench.train.run import train

    def work() -> None:
        with StopRequest() as stop, _progress_shown(main_process) as on_step:
            result = train(config, on_step=on_step, stop=stop)
        if main_process:
            print_line(_summary(result))

    try:
        return run_command(work, failures=(TrainingFailed,), quiet=not main_process)
    finally:
        PartialState().destroy_process_group()


def _summary(result: TrainResult) -> str:
    if result.already_done:
        return f"{result.output_dir} holds this run already, finished after {result.steps} steps; nothing to do"
    words = [f"{result.steps} steps in {result.wall_seconds:.0f} s", f"loss {result.loss:.4f}"]
    if result.resumed_at:
        words.append(f"resumed at step {result.resumed_at}")
    if result.stopped_early:
        words.append("stopped early")
    words += [f"{name} {value:.1%}" for name, value in result.validation.items()]
    return f"{result.output_dir}: " + ", ".join(words)


@contextmanager
def _progress_shown(main_process: bool) -> Iterator[OnStep | None]:
    """A progress bar on a terminal; elsewhere a line whenever there are new validation figures."""
    if not main_process:
        yield None
    elif not sys.stderr.isatty():
        yield _print_validations()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress as Bar, TextColumn, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True)) as bar:
            task = bar.add_task("training", total=None, figures="")
            yield lambda now: bar.update(
                task, completed=now.step, total=now.total_steps, description=now.stage, figures=_figures(now)
            )


def _print_validations() -> OnStep:
    shown: Mapping[str, float] | None = None

    def on_step(progress: Progress) -> None:
        nonlocal shown
        begun = shown is None and progress.loss is not None  # a log says that it goes on before the first validation
        if begun or (progress.validation and progress.validation is not shown):
            shown = progress.validation
            print(f"step {progress.step}/{progress.total_steps}  {_figures(progress)}", flush=True)

    return on_step


def _figures(progress: Progress) -> str:
    words = [] if progress.loss is None else [f"loss {progress.loss:.4f}"]
    if "trace_accuracy" in progress.validation:
        words.append(f"trace accuracy {progress.validation['trace_accuracy']:.1%}")
    if progress.tokens_per_second:
        words.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    return "  ".join(words)
