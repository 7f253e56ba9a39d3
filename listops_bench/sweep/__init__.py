"""Sweeps: many runs, trained, scored and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.sweep.command import main as main
    from listops_bench.sweep.grid import Sweep as Sweep, read_sweep as read_sweep
    from listops_bench.sweep.options import Options as Options
    from listops_bench.sweep.run import plan_sweep as plan_sweep, run_sweep as run_sweep

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "options": "Options",
        "grid": "Sweep read_sweep",
        "command": "main",
        "run": "plan_sweep run_sweep",
    },
)
