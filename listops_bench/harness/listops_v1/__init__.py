"""The taskset by the name that the commands of verifiers import (``vf-validate listops-v1``); installed beside us."""

from listops_bench.harness.verifiers import ListOpsTaskset

__all__ = ["ListOpsTaskset"]
