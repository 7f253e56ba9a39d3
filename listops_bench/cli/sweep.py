"""The verb sweep."""

from __future__ import annotations

from typing import Any

from listops_bench._base.command import Parser, positive
from listops_bench.sweep.options import Options, add_options


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "sweep",
        sweep,
        "train and score the runs of a grid; started again, it goes on (several hosts: accelerate launch -m "
        "listops_bench.sweep)",
        "leaderboard/sweeps/demo.yaml --output-dir runs/demo-sweep",
    )
    add_options(verb)
    verb.add("--workers N", "processes (default: one for each GPU, or core)", type=positive)
    verb.add("--plan", "print runs, steps, tokens and hours, and train nothing")
    verb.add("--devices N", "devices to plan for", type=positive, default=1)


def sweep(*, plan: bool, devices: int, **options: Any) -> int:
    from listops_bench.sweep.run import plan_sweep, run_sweep

    if plan:
        plan_sweep(Options(**options), devices)
        return 0
    return run_sweep(Options(**options))
