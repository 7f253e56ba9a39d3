"""A sweep whose process is killed at given moments and started again: ``python -m tests.support.killed_sweep``.

The arguments are the folder for the sweep ``page.yaml`` of the current directory, and moments such as ``.pt=2``: when
the second file of that ending is put in its place. After the last, it is run to its end.
"""

import functools
import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
            seen += str(target).endswith(moment if moment != "checkpoint" else "")
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(source, target, *rest)

        return call

    if moment == "checkpoint":
        Path.rename = counting(Path.rename)  # type: ignore[method-assign]
    elif moment:
        os.replace = counting(os.replace)
    Worker(open_sweep(Options("page.yaml", output_dir)), pack=2).run()


def main(output_dir: str, *moments: str) -> None:
    for module in (_batches, _validation, evaluate):  # rows are made once, for all children
        module.generate = functools.cache(module.generate)  # type: ignore[attr-defined]
    for job in open_sweep(Options("page.yaml", output_dir)).jobs():
        Draws(job.config, _batches.Pools())
    gc.freeze()  # the children need not look through what is imported
    for text in [*moments, ""]:
        moment, _, number = text.partition("=")
        child = os.fork()
        if child == 0:
            session(output_dir, moment, int(number or 0))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert os.WTERMSIG(status) == signal.SIGKILL if text else status == 0, text


if __name__ == "__main__":
    main(*sys.argv[1:])
