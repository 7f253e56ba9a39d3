"""What a training leaves behind: its record, its files, its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.runs.exposure import exposure_of_run as exposure_of_run
    from listops_bench.runs.folder import RunFiles as RunFiles, working_dir as working_dir
    from listops_bench.runs.learning import read_learning as read_learning
    from listops_bench.runs.record import (
        Environment as Environment,
        Learning as Learning,
        Parameters as Parameters,
        RunRecord as RunRecord,
        Training as Training,
        read_run as read_run,
    )

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "record": "Environment Learning Parameters RunRecord Training read_run",
        "exposure": "exposure_of_run",
        "learning": "read_learning",
        "folder": "RunFiles working_dir",
    },
)
