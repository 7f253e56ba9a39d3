"""The command ``listops-bench``."""

from listops_bench.cli.command import main

__all__ = ["main"]
