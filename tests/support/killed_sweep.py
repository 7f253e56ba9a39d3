"""A sweep whose process is killed at given moments and started again: ``python -m tests.support.killed_sweep``.

Each argument is a folder for the sweep ``page.yaml`` of the current directory, and moments such as ``.pt=2``, when the
second file of that ending is put in its place; ``gpt2_d016=1``, when the first run of a model begins; or ``SIGTERM=7``,
a signal at the seventh step or split. After the last, it is run to its end.
"""

import functools
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from listops_bench._base.stopping import Stopped, StopRequest
from listops_bench.evaluate import run as evaluate
from listops_bench.sweep._worker import Worker
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep
from listops_bench.train import _batches, _validation
from listops_bench.train.packed._data import Draws


def session(output_dir: str, moment: str, number: int) -> None:
    """Works on the sweep in this process, which kills itself at the moment."""
    seen = 0

    def counting(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(source: Any, target: Any, *rest: Any) -> Any:
            nonlocal seen
            seen += "attempts" not in str(target) and str(target).endswith(moment if moment != "checkpoint" else "")
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(source, target, *rest)

        return call

    if moment == "checkpoint":
        Path.rename = counting(Path.rename)  # type: ignore[method-assign]
    elif moment.startswith("."):
        os.replace = counting(os.replace)

    def report_progress(worker: Worker, *now: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.Signals[moment])
        original_report(worker, *now)

    original_report, original_train = Worker._report_progress, Worker._train
    if moment in signal.Signals.__members__:
        Worker._report_progress = report_progress  # type: ignore[method-assign]

    def train(worker: Worker, unit: Any) -> None:
        if unit.jobs[0].config.model == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        original_train(worker, unit)

    Worker._train = train  # type: ignore[method-assign]
    try:
        with StopRequest() as stop:
            Worker(open_sweep(Options("page.yaml", output_dir)), pack=2, stop=stop).run()
    except Stopped as stopped:
        os._exit(stopped.code)


def main(*sweeps: str) -> None:
    for module in (_batches, _validation, evaluate):  # rows are made once, for all children
        module.generate = functools.cache(module.generate)  # type: ignore[attr-defined]
    for sweep in sweeps:
        output_dir, *moments = sweep.split()
        for job in open_sweep(Options("page.yaml", output_dir)).jobs():
            Draws(job.config, _batches.Pools())
        gc.freeze()  # the children need not look through what is imported
        for text in [*moments, ""]:
            moment, _, number = text.partition("=")
            child = os.fork()
            if child == 0:
                session(output_dir, moment, int(number or 0))
                os._exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            stops = moment in signal.Signals.__members__
            assert code == (128 + signal.Signals[moment] if stops else -signal.SIGKILL if text else 0), (text, code)


if __name__ == "__main__":
    main(*sys.argv[1:])
