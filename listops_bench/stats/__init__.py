"""Statistics: intervals, learning thresholds, differences. Numbers in, numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.stats.common_ratio import common_ratio as common_ratio
    from listops_bench.stats.differences import difference as difference
    from listops_bench.stats.intervals import Summary as Summary
    from listops_bench.stats.intervals import wilson_interval as wilson_interval
    from listops_bench.stats.threshold import fit_threshold as fit_threshold
    from listops_bench.stats.threshold import ratio as ratio
    from listops_bench.stats.threshold import survival as survival

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Summary": "intervals",
        "common_ratio": "common_ratio",
        "difference": "differences",
        "fit_threshold": "threshold",
        "ratio": "threshold",
        "survival": "threshold",
        "wilson_interval": "intervals",
    },
)
