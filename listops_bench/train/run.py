"""Trains one model with Accelerate: on one core, one GPU, or many.

    accelerate launch -m listops_bench.train --task sum_max_med --model looped_d048 --output-dir runs/first
    accelerate launch -m listops_bench.train --curriculum max_med:1200,sum:1800 --output-dir runs/transfer

Started again with the same options, a run that was stopped goes on where it was and ends with the same weights as one
that never stopped; a finished one says so and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from listops_bench._base.memory import keep_freed_memory
from listops_bench._base.stopping import never
from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput
from listops_bench.model.ladder import build_model, parameter_counts
from listops_bench.model.parts import matching_parameters, parameters_in
from listops_bench.model.threads import threads_kept
from listops_bench.runs.folder import working_files
from listops_bench.runs.record import RunRecord
from listops_bench.tasks.symbols import Symbols
from listops_bench.train._log import TrainingFailed
from listops_bench.train._loop import OnStep, Trainer, Validate
from listops_bench.train._optimizer import frozen_parameters
from listops_bench.train._precision import float32_products, precision_in_use
from listops_bench.train._processes import make_accelerator, on_main, quiet_trackers
from listops_bench.train._run_state import check_context, starting_point
from listops_bench.train._state import RunFolder
from listops_bench.train.config import WINDOW, TrainConfig

MOST_PARAMETERS, _SMALL = 10**9, 10**7


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


def train(
    config: TrainConfig,
    validate: Validate | None = None,
    on_step: OnStep | None = None,
    stop: Callable[[], int] = never,
) -> TrainResult:
    """Trains a model and writes its checkpoint folder.

    Args:
        validate: called every ``eval_steps`` with the model (in evaluation mode, with its ordinary attention) and the
            step, on the main process. Its figures go to the log and the trackers; ``early_stop`` looks at the one named
            ``trace_accuracy``. By default, exact traces on validation rows under teacher forcing.
        on_step: called after every step, on the main process.
        stop: asked before every step: the exit code to end with once the state is saved, 0 to go on.

    Raises:
        InvalidInput: the output folder holds another run; an unknown model, tracker or parameter to freeze; a
            checkpoint to start from that does not fit; fewer processes than were asked for.
        EnvironmentFailed: the output folder cannot be written.
        TrainingFailed: the loss is no longer finite; failed.json in the working folder says so afterwards too.
        Stopped: the run was asked to end; called again, it goes on.
    """
    accelerator = make_accelerator(config.report_to, config.num_processes, working_files(config.output_dir).trackers)
    precision = precision_in_use(config.precision, accelerator.mixed_precision, accelerator.device)
    identity = config.identity(num_processes=accelerator.num_processes, mixed_precision=precision)
    folder = RunFolder(config.output_dir, identity)
    finished = on_main(accelerator, folder.finished_run)
    if finished is not None:
        _check_checkpoints(config, finished)
        return result_of(folder.output_dir, finished, already_done=True)
    keep_freed_memory()
    with threads_kept():
        trainer = Trainer(config, accelerator, folder, validate, on_step, stop)
        try:
            with quiet_trackers(), float32_products(precision):
                run = trainer.run()
        except TrainingFailed as error:
            if accelerator.is_main_process:
                folder.mark_failed(error.step, str(error))
            raise
        finally:
            folder.close()
            trainer.release()
    return result_of(folder.output_dir, run, resumed_at=trainer.resumed_at)


def check_model(config: TrainConfig) -> None:
    """Finds what would end a run before its first step, without the memory and time of making its model.

    Raises:
        InvalidInput: a model that cannot be built, or parts to take or freeze that it does not have; a checkpoint to
            start from that does not fit.
    """
    plan = config.plan()
    parts = tuple((stage.init_parts, stage.freeze) for stage in plan.stages)
    _check_model(
        config.fresh_model, config.init_from, plan.symbol_set, parts, WINDOW if config.batching == "windows" else 0
    )


@cache
def _check_model(
    fresh: str,
    init_from: str | None,
    symbols: Symbols,
    parts: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...],
    longest: int,
) -> None:
    source = None if init_from is None else starting_point(init_from, symbols)
    if source is not None and not parts[0][0]:
        model = source
    else:
        try:
            with torch.device("meta"):
                model = build_model(fresh, symbols)
            size = sum(parameter.numel() for parameter in model.parameters())
            if size <= _SMALL:
                parameter_counts(build_model(fresh, symbols))  # applies it to a token
        except InvalidInput:
            raise
        except Exception as error:  # of any kind: what a config.json says need fit nothing
            reason = one_line(error, with_type=True)
            raise InvalidInput(f"model {fresh!r} cannot be built or applied: {reason}") from None
        if size > MOST_PARAMETERS:
            raise InvalidInput(f"model {fresh!r} has {size:,} parameters; at most {MOST_PARAMETERS:,} are trained here")
    check_context(model.config, fresh, longest)
    if source is not None and init_from is not None:
        matching_parameters(model, source, parts[0][0], init_from)
    for taken, frozen in parts:
        parameters_in(model, taken)
        frozen_parameters(model, frozen)


def _check_checkpoints(config: TrainConfig, finished: RunRecord) -> None:
    """A finished run cannot be asked for checkpoints along the way any more."""
    kept = finished.config.get("checkpoint_steps", 0)
    if config.checkpoint_steps not in (0, kept):
        raise InvalidInput(
            f"output_dir {config.output_dir!r} holds this run already, with checkpoint_steps {kept} and not "
            f"{config.checkpoint_steps}; choose another folder or delete it"
        )


def result_of(output_dir: Path, run: RunRecord, *, already_done: bool = False, resumed_at: int = 0) -> TrainResult:
    """What the record of a run says it came to."""
    training = run.training
    assert training
    assert run.loss is not None
    assert run.weights_sha256
    return TrainResult(
        output_dir=output_dir,
        steps=training.steps,
        loss=run.loss,
        validation=run.validation,
        tokens=training.tokens,
        wall_seconds=training.wall_seconds,
        weights_sha256=run.weights_sha256,
        stopped_early=run.stopped_early,
        already_done=already_done,
        resumed_at=resumed_at,
    )
