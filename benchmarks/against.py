"""Training and scoring on a CPU by this checkout and by another one, step by step in turns.

    git worktree add --detach build/before 5d080e9
    python benchmarks/against.py build/before > benchmarks/results/against.json

Prints one JSON object. For each work: the median seconds of a step before (the other checkout) and after (this one),
and the median of after / before over pairs of steps, with its 95% interval. Two processes on one core do the same work,
one waiting while the other takes a step, so that a neighbour on the machine disturbs both; seconds are the CPU's.
Single-step rows are those of the most different lengths.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from math import sqrt
from pathlib import Path
from statistics import median
from typing import Any

MEMBERS = 8
CURRICULA = ("sum:3000", "sum_max_med:3000", "max_med:1200,sum:1800")
STEPS, UNTIMED = 240, 40
WORKS: dict[str, dict[str, Any]] = {
    **{f"one {model}": {"model": model} for model in ("looped_d016", "looped_d048", "gpt2_d048")},
    **{f"{MEMBERS} packed {model}": {"model": model, "packed": True} for model in ("looped_d008", "looped_d048")},
    f"{MEMBERS} packed looped_d016, single-step rows": {"model": "looped_d016", "packed": True, "trace": "single"},
    "scoring looped_d048": {"model": "looped_d048", "scored": True},
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path, help="a folder with another commit of this repository")
    parser.add_argument("--works", nargs="+", choices=WORKS, metavar="WORK", default=[*WORKS], help=", ".join(WORKS))
    parser.add_argument("--steps", type=int, default=STEPS, help="of a model alone; an eighth as many of others")
    options = parser.parse_args(argv)
    checkouts = [options.before.resolve(), Path(__file__).resolve().parents[1]]
    figures: dict[str, Any] = {"before": _commit(checkouts[0]), "after": _commit(checkouts[1]), "works": {}}
    for name in options.works:
        figures["works"][name] = compare(checkouts, name, options.steps)
        print(name, figures["works"][name], file=sys.stderr)
    print(json.dumps({**figures, "environment": _environment()}, indent=2))


def compare(checkouts: Sequence[Path], name: str, steps: int) -> dict[str, Any]:
    """Both on one work: the seconds of their steps, and the ratio."""
    alone = not {"packed", "scored"} & set(WORKS[name])
    steps, untimed = (steps, UNTIMED) if alone else (steps // MEMBERS, UNTIMED // MEMBERS)
    seconds: list[list[float]] = [[], []]
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(checkout, name)) for checkout in checkouts]
        for i in range(untimed + steps):
            for k in (0, 1) if i % 2 else (1, 0):
                seconds[k].append(workers[k]())
    before, after = (own[untimed:] for own in seconds)
    ratios = sorted(y / x for x, y in zip(before, after, strict=True))
    middle, reach = len(ratios) / 2, 0.98 * sqrt(len(ratios))  # the interval of a median, by binomial ranks
    low, high = (ratios[round(at)] for at in (max(0, middle - reach), min(len(ratios) - 1, middle + reach)))
    return {
        "seconds_before": round(median(before), 5),
        "seconds_after": round(median(after), 5),
        "ratio": round(median(ratios), 3),
        "interval": [round(low, 3), round(high, 3)],
        "pairs": len(ratios),
    }  # fmt: skip


@contextmanager
def _worker(checkout: Path, name: str) -> Iterator[Callable[[], float]]:
    """A process of a checkout; a call takes a step and gives its seconds."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, "--work", name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    with process, process.stdin as asked, process.stdout as given:
        assert given.readline() == f"{checkout / 'listops_bench'}\n", f"{checkout} cannot be used for {name!r}"

        def step() -> float:
            asked.write("\n")
            asked.flush()
            return float(given.readline())

        yield step


class _Over(Exception):
    """Ends a work: nobody asks for more."""


def work(name: str) -> None:
    """In a process of its own: says where the package lies, then for every line that comes, what a step takes."""
    import torch

    import listops_bench

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")  # what the package prints goes elsewhere
    os.dup2(2, 1)
    print(Path(listops_bench.__file__).parent, file=answers, flush=True)
    since: list[float] = []

    def turn(*_: object) -> None:
        if since:
            print(time.process_time() - since.pop(), file=answers, flush=True)
        if not sys.stdin.readline():
            raise _Over
        since.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        try:
            turn()
            _do(folder, turn, **WORKS[name])
        except _Over:
            return


def _do(
    folder: str, turn: Callable[..., None], model: str, packed: bool = False, scored: bool = False, **recipe: Any
) -> None:
    from listops_bench.train.config import TrainConfig
    from listops_bench.train.run import train

    quiet = {"logging_steps": 3000, "eval_steps": 0, "save_steps": 0, "report_to": "none"}
    shared = {"model": model, **quiet, **recipe}
    if packed:
        from listops_bench.train.packed.run import train_packed

        runs = [(f"{folder}/{i}", CURRICULA[i % len(CURRICULA)]) for i in range(MEMBERS)]
        configs = [TrainConfig(output_dir=out, curriculum=plan, **shared) for out, plan in runs]
        train_packed(configs, f"{folder}/p", on_step=turn)
    elif scored:
        from listops_bench.evaluate.run import evaluate_checkpoint

        train(TrainConfig(output_dir=f"{folder}/run", task="sum_max_med", max_steps=100, **shared))
        while True:
            evaluate_checkpoint(f"{folder}/run", "sum_max_med", ["test"], num_rows=1000)
            turn()
    else:
        train(TrainConfig(output_dir=f"{folder}/run", task="sum_max_med", max_steps=3000, **shared), on_step=turn)


def _commit(checkout: Path) -> str:
    words = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def _environment() -> dict[str, Any]:
    import torch

    from listops_bench.runs.provenance import environment

    torch.set_num_threads(1)  # as every worker does
    return asdict(environment(torch.device("cpu")))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2])
    else:
        main()
