"""The verb sweep."""

from __future__ import annotations

from typing import Any

from listops_bench._base.command import Parser, file_to_write, folder_to_write, positive, print_line
from listops_bench._base.escape import terminal
from listops_bench.sweep.options import Options, add_options


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "sweep",
        sweep,
        "train and score the runs of a grid; started again, it goes on (several hosts: accelerate launch -m "
        "listops_bench.sweep)",
        "demo --output-dir runs/demo-sweep",
    )
    add_options(verb)
    verb.add("--workers N", "processes (default: one for each GPU, or core)", type=positive)
    verb.add(
        "--plan",
        "print runs, steps, tokens and hours, with --time-limit in how many shards each fits it, and train nothing",
    )
    verb.add(
        "--declare DIR",
        "write the page's plan to a folder, with the date, before any run; train nothing",
        type=folder_to_write,
    )
    verb.add("--devices N", "devices to plan for", type=positive, default=1)

    verb = parser.add_verb(
        "sweep-export",
        export,
        "write what a sweep has come to as one file: runs, results, and states to go on from (also: sweep export)",
        "runs/demo-sweep -o demo.tar",
    )
    verb.add("folder DIR", "the folder of a sweep")
    verb.add_argument("-o", "--output", metavar="TAR", required=True, type=file_to_write, help="the file to write")

    verb = parser.add_verb(
        "sweep-merge",
        merge,
        "bring sweeps together that ran on machines without a common disk; overwrites nothing (also: sweep merge)",
        "here.tar there.tar -o runs/demo-sweep",
    )
    verb.add("sources SOURCE...", "folders of sweeps, or files that sweep export has written")
    verb.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        type=folder_to_write,
        help="the folder to bring them together in",
    )


def sweep(*, plan: bool, declare: str | None, devices: int, **options: Any) -> int:
    chosen = Options(**options)
    if not plan and declare is None:  # before torch is imported, which takes seconds
        print_line(f"sweep of {chosen.page}, in {chosen.folder}")
    from listops_bench.sweep.run import declare_plan, plan_sweep, run_sweep

    if plan:
        plan_sweep(chosen, devices)
        return 0
    if declare is not None:
        print(terminal(str(declare_plan(chosen, declare))))
        return 0
    return run_sweep(chosen)


def export(*, folder: str, output: str) -> None:
    from listops_bench.sweep.travel import export as write

    print(terminal(write(folder, output)))


def merge(*, sources: list[str], output: str) -> int:
    from listops_bench.sweep.travel import merge as bring_together

    merged = bring_together(sources, output)
    for line in merged.conflicts:
        print(terminal(f"conflict: {line}"))
    print(
        f"{merged.runs} runs and {merged.results} results taken, {merged.begun} that go on; {merged.there} were there, "
        f"{len(merged.conflicts)} conflicts"
    )
    return 1 if merged.conflicts else 0
