"""The verb sweep."""

from __future__ import annotations

from argparse import Namespace

from listops_bench.cli.parser import Parser, positive


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "sweep",
        sweep,
        "train and score the runs of a grid; started again, it goes on (several hosts: accelerate launch -m "
        "listops_bench.sweep)",
        "sweep leaderboard/sweeps/demo.yaml --output-dir runs/demo-sweep",
    )
    verb.add_argument("file", metavar="FILE", help="the grid, a YAML page such as leaderboard/sweeps/demo.yaml")
    verb.add_argument("--output-dir", metavar="DIR", help="(default: runs/ and the page's name)")
    verb.add_argument("--workers", type=positive, metavar="N", help="processes (default: one for each GPU, or core)")
    verb.add_argument("--pack", type=positive, metavar="N", help="models trained as one at most (default: 1 on a CPU)")
    verb.add_argument("--shard", type=_shard, metavar="I/N", help="the I-th of N parts, for job arrays (1/N .. N/N)")
    verb.add_argument("--retry-failed", action="store_true", help="try runs again whose loss was no number")
    verb.add_argument("--plan", action="store_true", help="print runs, steps, tokens and hours, and train nothing")
    verb.add_argument("--devices", type=positive, default=1, metavar="N", help="devices to plan for (default: 1)")


def sweep(arguments: Namespace) -> int:
    from listops_bench.sweep.options import Options
    from listops_bench.sweep.run import plan_sweep, run_sweep

    names = ("file", "output_dir", "workers", "pack", "shard", "retry_failed")
    options = Options(**{name: getattr(arguments, name) for name in names})
    if arguments.plan:
        plan_sweep(options, arguments.devices)
        return 0
    return run_sweep(options)


def _shard(text: str) -> tuple[int, int]:
    from listops_bench.sweep.options import shard

    return shard(text)
