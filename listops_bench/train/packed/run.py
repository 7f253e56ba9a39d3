"""Many tiny models trained as one, on one device.

    train_packed([TrainConfig(...), TrainConfig(...)], "runs/packs/first")

A model this small leaves a GPU idle between the launches of its kernels. Packed, K models of one shape share every
launch: each weight becomes [K, ...], each activation [K, tokens, width]. Tasks, curricula, seeds, learning rates,
schedules, clipping, weight decay, budgets and early stops are each model's own. A packed model ends with the weights
of the same model trained alone, up to rounding (and a network in training amplifies rounding, so after thousands of
steps the two are two draws of one experiment, as the same run on another machine would be). On one CPU
thread 8 packed models take 1.9 times as many steps a second as one at a time at width 8, and 1.2 times at width 48,
where arithmetic is nearly all there is (``benchmarks/results/packed.json``); it is a GPU that packing is for (``make
gpu-check``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from listops_bench._base.memory import keep_freed_memory
from listops_bench._base.stopping import never
from listops_bench.errors import InvalidInput
from listops_bench.model.ladder import load_config
from listops_bench.model.packed import shape_of
from listops_bench.train._log import TrainingFailed
from listops_bench.train._precision import float32_products
from listops_bench.train._run_state import check_context
from listops_bench.train.config import TrainConfig, rows_per_step
from listops_bench.train.packed._fused import fits
from listops_bench.train.packed._loop import OnPackStep, PackProgress, PackTrainer
from listops_bench.train.packed._members import MOST_ROWS
from listops_bench.train.packed._step import Engine
from listops_bench.train.run import TrainResult, result_of

__all__ = ["MOST_ROWS", "Engine", "PackProgress", "has_kernels", "pack_key", "this_engine", "train_packed", "why_not"]

_SHARED = ("logging_steps", "eval_steps", "save_steps", "eval_rows", "precision", "batching")


def why_not(config: TrainConfig) -> str | None:
    """Why a run cannot be packed, in a few words; None where it can.

    Raises:
        InvalidInput: its model is unknown.
    """
    if shape_of(_model_config(config)) is None:
        return "its model is not of the looped family"
    plan = config.plan()
    reasons = {
        "a stage of its curriculum freezes other parameters and keeps the optimizer": plan.refreezes,
        "a stage of its curriculum ends at an accuracy": any(stage.until is not None for stage in plan.stages),
        "its optimizer is not AdamW": config.optim != "adamw_torch",
        "it keeps checkpoints along the way": config.checkpoint_steps > 0,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def has_kernels(config: TrainConfig) -> bool:
    """Whether our kernels for GPUs are made for a run that can be packed."""
    return fits(_model_config(config))


def pack_key(config: TrainConfig) -> tuple[Any, ...]:
    """What runs must have in common to be packed together."""
    shared = (getattr(config, name) for name in _SHARED)
    return (shape_of(_model_config(config)), config.plan().symbol_set, rows_per_step(config), *shared)


def _model_config(config: TrainConfig) -> Any:
    return load_config(config.fresh_model, config.plan().symbol_set)


def this_engine(*, graph: bool | None = None) -> Engine:
    """This process's device and precision, as Accelerate has them; the step is captured as a graph on a GPU.

    Raises:
        InvalidInput: a precision that packs are not computed in.
    """
    accelerator = Accelerator()
    if accelerator.mixed_precision not in ("no", "bf16"):
        raise InvalidInput(f"packed training is done in float32 or bf16, not in {accelerator.mixed_precision}")
    device = accelerator.device
    return Engine(device, accelerator.mixed_precision, device.type == "cuda" if graph is None else graph)


def train_packed(
    configs: Sequence[TrainConfig],
    folder: str | Path,
    *,
    engine: Engine | None = None,
    on_step: OnPackStep | None = None,
    stop: Callable[[], int] = never,
) -> list[TrainResult | TrainingFailed]:
    """Trains several models as one and writes the checkpoint folder of each.

    Args:
        configs: of one `pack_key`, each with an output_dir of its own.
        folder: where the pack keeps its state and log while it trains, with ``.training`` added to its name. Called
            again with the same configurations, a pack that was stopped goes on from there.
        engine: how to compute; by default on what Accelerate finds.
        on_step: called after every step.
        stop: asked before every step: the exit code to end with once the state is saved, 0 to go on.

    Returns:
        In the order of the configurations, what each run came to, or why it failed. One run's failure does not
        stop the others.

    Raises:
        InvalidInput: runs that cannot be packed, or not with each other; a folder that holds something else or cannot
            be written.
        Stopped: the pack was asked to end; called again, it goes on.
    """
    _check(configs)
    keep_freed_memory()
    trainer = PackTrainer(configs, folder, engine or this_engine(), on_step, stop)
    for member in trainer.members:
        check_context(_model_config(member.config), member.config.model_name, max(member.draws.longest_rows) - 1)
    records = [trainer.finished_run(member) for member in trainer.members]
    if all(record is not None for record in records):
        return [result_of(Path(c.output_dir), r, already_done=True) for c, r in zip(configs, records, strict=True) if r]
    try:
        with float32_products(trainer.engine.precision):
            members = trainer.run()
    finally:
        trainer.folder.close()
    return [trainer.outcome(member) for member in members]


def _check(configs: Sequence[TrainConfig]) -> None:
    if not configs:
        raise InvalidInput("a pack needs a run")
    for config in configs:
        reason = why_not(config)
        if reason is not None:
            raise InvalidInput(f"{config.output_dir!r} cannot be packed: {reason}")
    if len({pack_key(config) for config in configs}) > 1:
        raise InvalidInput(f"a pack's runs need one model shape, batch size and {', '.join(_SHARED)}")
    if len({Path(config.output_dir).resolve() for config in configs}) < len(configs):
        raise InvalidInput("two runs of a pack have the same output_dir")
    if len(configs) * rows_per_step(configs[0]) > MOST_ROWS:
        raise InvalidInput(f"{len(configs)} runs are more than {MOST_ROWS:,} rows a step; make smaller packs")
