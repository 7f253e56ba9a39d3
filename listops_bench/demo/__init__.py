"""The demo: one small sweep with a story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.demo.config import DemoConfig as DemoConfig
    from listops_bench.demo.run import run_demo as run_demo

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "config": "DemoConfig",
        "run": "run_demo",
    },
)
