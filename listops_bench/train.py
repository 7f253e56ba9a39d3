"""Trains one model with Accelerate: on one core, one GPU, or many.

    accelerate launch -m listops_bench.train --task sum_max_med --model looped_d048 --output-dir runs/first
    accelerate launch -m listops_bench.train --curriculum max_med:1200,sum:1800 --output-dir runs/transfer

Started again with the same options, a run that was stopped goes on where it was and ends with the same weights as one
that never stopped; a finished one says so and does nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from listops_bench._train_config import TrainConfig, make_config, read_config
from listops_bench._train_log import Progress, TrainingFailed
from listops_bench._train_loop import OnStep, Trainer, Validate
from listops_bench._train_optimizer import learning_rate
from listops_bench._train_processes import make_accelerator, on_main
from listops_bench._train_record import run_identity
from listops_bench._train_state import TRACKERS, RunFolder, read_failure, working_dir
from listops_bench.errors import InvalidInput

__all__ = [
    "Progress",
    "TrainConfig",
    "TrainResult",
    "TrainingFailed",
    "learning_rate",
    "main",
    "make_config",
    "read_config",
    "read_failure",
    "train",
    "working_dir",
]


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        loss: mean over the last logging interval.
        validation: the last figures, by name; ``trace_accuracy`` among them.
        tokens, wall_seconds: over all its sessions.
        already_done: it had finished before; nothing was trained.
        resumed_at: the step that this session went on from; 0 where it began.
    """

    output_dir: Path
    steps: int
    loss: float
    validation: dict[str, float]
    tokens: int
    wall_seconds: float
    weights_sha256: str
    stopped_early: bool
    already_done: bool
    resumed_at: int


def train(config: TrainConfig, validate: Validate | None = None, on_step: OnStep | None = None) -> TrainResult:
    """Trains a model and writes its checkpoint folder.

    Args:
        validate: called every ``eval_steps`` with the model (in evaluation mode, with its ordinary attention) and the
            step, on the main process. Its figures go to the log and the trackers; ``early_stop`` looks at the one named
            ``trace_accuracy``. By default, exact traces on validation rows under teacher forcing.
        on_step: called after every step, on the main process.

    Raises:
        InvalidInput: the output folder holds another run or cannot be written; an unknown model, tracker or parameter
            to freeze; a checkpoint to start from that does not fit; fewer processes than were asked for.
        TrainingFailed: the loss is no longer finite; `read_failure` says so afterwards too.
    """
    accelerator = make_accelerator(config.report_to, config.num_processes, working_dir(config.output_dir) / TRACKERS)
    identity = run_identity(
        config, num_processes=accelerator.num_processes, mixed_precision=accelerator.mixed_precision
    )
    folder = RunFolder(config.output_dir, identity)
    finished = on_main(accelerator, folder.finished_run)
    if finished is not None:
        _check_checkpoints(config, finished)
        return result_of(folder.output_dir, finished, already_done=True)
    trainer = Trainer(config, accelerator, folder, validate, on_step)
    try:
        run = trainer.run()
    except TrainingFailed as error:
        if accelerator.is_main_process:
            folder.mark_failed(error.step, str(error))
        raise
    finally:
        folder.close()
        trainer.release()
    return result_of(folder.output_dir, run, resumed_at=trainer.resumed_at)


def _check_checkpoints(config: TrainConfig, finished: dict[str, Any]) -> None:
    """A finished run cannot be asked for checkpoints along the way any more."""
    kept = finished["config"].get("checkpoint_steps", 0)
    if config.checkpoint_steps not in (0, kept):
        raise InvalidInput(
            f"output_dir {config.output_dir!r} holds this run already, with checkpoint_steps {kept} and not "
            f"{config.checkpoint_steps}; choose another folder or delete it"
        )


def result_of(
    output_dir: Path, run: Mapping[str, Any], *, already_done: bool = False, resumed_at: int = 0
) -> TrainResult:
    """What run.json says a run came to."""
    training = run["training"]
    return TrainResult(
        output_dir=output_dir,
        steps=training["steps"],
        loss=run["loss"],
        validation=run["validation"],
        tokens=training["tokens"],
        wall_seconds=training["wall_seconds"],
        weights_sha256=run["weights_sha256"],
        stopped_early=run["stopped_early"],
        already_done=already_done,
        resumed_at=resumed_at,
    )


# --- the command ------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as flags say. Returns 0, or after one line on stderr 2 for bad input and 1 for a run that failed."""
    main_process = os.environ.get("RANK", "0") == "0"
    try:
        config = read_config(sys.argv[1:] if argv is None else argv)
        with _progress_shown(main_process) as on_step:
            result = train(config, on_step=on_step)
    except InvalidInput as error:
        return _fail(str(error), 2, main_process)
    except TrainingFailed as error:
        return _fail(str(error), 1, main_process)
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.strerror}: {error.filename}", 1, main_process)
    finally:
        PartialState().destroy_process_group()
    if main_process:
        print(_summary(result))
    return 0


def _fail(message: str, code: int, main_process: bool) -> int:
    if main_process:
        print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


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
    elif sys.stderr.isatty():
        with _bar() as on_step:
            yield on_step
    else:
        yield _Lines()


class _Lines:
    """Prints a line after every validation."""

    def __init__(self) -> None:
        self.shown: object = None

    def __call__(self, progress: Progress) -> None:
        if progress.validation and progress.validation is not self.shown:
            self.shown = progress.validation
            print(f"step {progress.step}/{progress.total_steps}  {_figures(progress)}", flush=True)


@contextmanager
def _bar() -> Iterator[OnStep]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=None, figures="")

        def on_step(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.step,
                total=progress.total_steps,
                description=progress.stage,
                figures=_figures(progress),
            )

        yield on_step


def _figures(progress: Progress) -> str:
    words = [] if progress.loss is None else [f"loss {progress.loss:.4f}"]
    if "trace_accuracy" in progress.validation:
        words.append(f"trace accuracy {progress.validation['trace_accuracy']:.1%}")
    if progress.tokens_per_second:
        words.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    return "  ".join(words)


if __name__ == "__main__":
    sys.exit(main())
