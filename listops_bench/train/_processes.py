"""The processes of a run: the accelerator, trackers, and work that only the main process does."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import broadcast_object_list

from listops_bench._base.files import write_atomic
from listops_bench.errors import EnvironmentFailed, InvalidInput

_STEPS_BETWEEN_LOOKS = 10

_SHARDED = ("false", "models here fit one device, and their processes share rows alone")
_OF_LAUNCHERS = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1", "give the training --gradient-accumulation-steps, which counts"),
    "ACCELERATE_DYNAMO_BACKEND": ("no", "leave --dynamo_backend out; a training here has kernels of its own"),
    "ACCELERATE_USE_DEEPSPEED": _SHARDED,
    "ACCELERATE_USE_FSDP": _SHARDED,
    "ACCELERATE_USE_MEGATRON_LM": _SHARDED,
    "ACCELERATE_USE_PARALLELISM_CONFIG": _SHARDED,
}
"""What `accelerate launch` leaves in the environment that would change weights unseen, or fail on the way: the value
that does neither, and what to do instead."""


def make_accelerator(report_to: str, num_processes: int | None, tracker_dir: Path) -> Accelerator:
    """Device, precision and processes as the launcher (or nobody) set them.

    Raises:
        InvalidInput: fewer processes than were asked for, a tracker that is not installed, or an option of the launcher
            that trainings do not take.
    """
    check_launcher()
    accelerator = Accelerator(log_with=_trackers(report_to) or None, project_dir=str(tracker_dir))
    check_processes(num_processes, accelerator.num_processes)
    return accelerator


def check_launcher() -> None:
    """Raises InvalidInput where a launcher asks for what trainings here do not take."""
    for name, (usual, told) in _OF_LAUNCHERS.items():
        if (value := os.environ.get(name, usual)).lower() != usual:
            raise InvalidInput(f"{name} is {value!r}, from `accelerate launch` or its configuration: {told}")


def check_processes(expected: int | None, actual: int) -> None:
    """Raises InvalidInput where a launch asked for more processes than it got."""
    # `accelerate launch --cpu --num_processes 2` starts one process. All that it leaves of the two is a rendezvous
    # address without the world size that goes with it. Without ACCELERATE_USE_CPU=true, `--multi_gpu` starts two that
    # do not know of each other.
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_PORT" in os.environ
    silently_one = launched and actual == 1 and "WORLD_SIZE" not in os.environ
    wanted = max(expected or 1, int(os.environ.get("WORLD_SIZE", "1")))
    if actual < wanted or silently_one:
        number = str(wanted) if wanted > 1 else "several"
        raise InvalidInput(
            f"{number} processes were asked for and {actual} take part; on CPUs, ACCELERATE_USE_CPU=true "
            "accelerate launch --multi_gpu --num_processes N ... starts N"
        )


def _trackers(report_to: str) -> list[str]:
    available = [str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()]
    if report_to == "auto":
        return [name for name in available if name == "tensorboard"]
    names = [name.strip() for name in report_to.split(",") if name.strip() not in ("", "none")]
    for name in names:
        if name not in available:
            raise InvalidInput(f"tracker {name!r} is not installed; there are: {', '.join(available) or 'none'}")
    return names


def begin_trackers(accelerator: Accelerator, folder: Path, step: int, config: Mapping[str, Any]) -> None:
    """Begins the trackers of a run, or goes on with them, so that a run is one curve however often it was stopped.

    Args:
        folder: where they write; what an earlier attempt has left of a run that begins anew is deleted.
        step: the run goes on after it; figures of later steps, of the process that was stopped, do not count.
        config: what they show of the run.
    """
    name = folder / "run_id"
    if accelerator.is_main_process:
        if step == 0:
            shutil.rmtree(folder, ignore_errors=True)
        if accelerator.log_with and not name.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(name, uuid.uuid4().hex)
    accelerator.wait_for_everyone()
    run_id = name.read_text() if name.exists() else ""
    options: dict[str, dict[str, Any]] = {
        "tensorboard": {"purge_step": step + 1},
        "wandb": {"id": run_id, "resume": "allow"},
        "trackio": {"name": run_id, "resume": "allow"},
    }
    shown = {key: value for key, value in config.items() if value is not None}
    accelerator.init_trackers("listops_bench", config=shown if step == 0 else None, init_kwargs=options)


@contextmanager
def quiet_trackers() -> Iterator[None]:
    """Inside, a tracker's thread that cannot write prints no traceback: its next figure raises that."""
    usual = threading.excepthook

    def hook(found: threading.ExceptHookArgs) -> None:
        if not isinstance(found.exc_value, OSError):
            usual(found)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = usual


def agreed(accelerator: Accelerator, code: int, step: int) -> int:
    """The exit code with which all processes of a run end after a step, 0 where none was asked to end.

    Looked at every step on CPUs; elsewhere every `_STEPS_BETWEEN_LOOKS`, since it waits for the device.
    """
    if accelerator.num_processes == 1:
        return code
    if accelerator.device.type != "cpu" and step % _STEPS_BETWEEN_LOOKS:
        return 0
    return int(accelerator.gather(torch.tensor([code], device=accelerator.device)).max())


def on_main(accelerator: Accelerator, work: Callable[[], Any]) -> Any:
    """Does something on the main process and gives every process its outcome, also an error of `errors`."""
    outcome: list[Any] = [None, None]
    if accelerator.is_main_process:
        try:
            outcome = [work(), None]
        except (InvalidInput, EnvironmentFailed) as error:
            if accelerator.num_processes == 1:
                raise
            outcome = [None, error]
    if accelerator.num_processes > 1:
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
