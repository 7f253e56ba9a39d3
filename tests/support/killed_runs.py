"""Runs and packs that are killed at given moments and started again: ``python -m tests.support.killed_runs CASES``.

A case, as JSON, is the name of its folder, options, moments and processes. A moment is ``["step", 3]``,
``["state", 2]`` (when a state is written the second time) or ``["checkpoint", 1]``, when it is killed, or
``["SIGTERM", 3]``, a signal after a step that the first process is sent; after the last, the run goes to
its end and prints its name, the step it was resumed at, and the digests of its weights. A case with ``packed`` steps
is the pack of `four`. The processes are forked, so that torch is imported once; several of a run form a process group
of their own.
"""

import functools
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from listops_bench._base.stopping import Stopped, StopRequest
from listops_bench.train import _batches, _validation
from listops_bench.train.config import TrainConfig
from listops_bench.train.packed._data import Draws
from listops_bench.train.packed._step import Engine
from listops_bench.train.packed.run import train_packed
from listops_bench.train.run import train
from tests.support.runs import four


@dataclass
class Case:
    name: str
    options: dict[str, Any]
    moments: list[tuple[str, int]] = field(default_factory=list)
    processes: int = 1
    packed: int = 0

    def configs(self) -> list[TrainConfig]:
        if self.packed:
            return four(Path(self.name), self.packed, **self.options)
        return [TrainConfig(output_dir=self.name, **self.options)]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def counted(function: Callable[..., Any], number: int, ending: str) -> Callable[..., Any]:
    """The function, but its call of a number with a target of that ending kills the process."""
    calls = 0

    def call(source: Any, target: Any) -> Any:
        nonlocal calls
        calls += str(target).endswith(ending)
        return die() if calls == number else function(source, target)

    return call


def session(case: Case, kind: str, number: int) -> None:
    """Trains in this process, which kills itself at the moment."""

    def on_step(progress: Any) -> None:
        if progress.step == number and kind == "step":
            die()
        if progress.step == number and kind in signal.Signals.__members__:
            os.kill(os.getpid(), signal.Signals[kind])

    if kind == "state":
        os.replace = counted(os.replace, number, "state.pt")
    if kind == "checkpoint":
        Path.rename = counted(Path.rename, number, "")  # type: ignore[method-assign]
    try:
        with StopRequest() as stop:
            train_case(case, on_step, stop)
    except Stopped as stopped:
        os._exit(stopped.code)


def train_case(case: Case, on_step: Callable[[Any], None], stop: StopRequest) -> None:
    configs = case.configs()
    if case.packed:
        engine = Engine(torch.device("cpu"), precision="no", graph=False)
        results: list[Any] = train_packed(configs, f"{case.name}-pack", engine=engine, on_step=on_step, stop=stop)
    else:
        until = "until" in (configs[0].curriculum or "")
        validate = (lambda model, step: {"trace_accuracy": float(step >= 9)}) if until else None
        results = [train(configs[0], validate, on_step, stop)]
    if os.environ.get("RANK", "0") == "0":
        print(case.name, results[0].resumed_at, *(result.weights_sha256 for result in results), flush=True)


def start(case: Case, kind: str, number: int) -> int:
    """Trains in processes of their own, and returns the status of the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(case.processes):
        children.append(os.fork())
        if children[-1] == 0:
            if case.processes > 1:
                size, place = str(case.processes), {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true", **place}
                os.environ |= {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
            session(case, kind, number)
            os._exit(0)
    status = os.waitpid(children[0], 0)[1]
    for child in children[1:]:
        if os.WIFSIGNALED(status):
            os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == status
    return status


def main(cases: str) -> None:
    for module in (_batches, _validation):  # rows are made once, for all children
        module.generate = functools.cache(module.generate)  # type: ignore[attr-defined]
    for case in (Case(**values) for values in json.loads(cases)):
        for config in case.configs():
            Draws(config, _batches.Pools())
        gc.freeze()  # the children need not look through what is imported
        for kind, number in case.moments:
            status = start(case, kind, number)
            if kind in signal.Signals.__members__:
                assert os.waitstatus_to_exitcode(status) == 128 + signal.Signals[kind], (kind, number, status)
            else:
                assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, (kind, number, status)
            assert case.packed or not os.path.exists(case.name), (kind, number)
        assert start(case, "never", 0) == 0


if __name__ == "__main__":
    main(sys.argv[1])
