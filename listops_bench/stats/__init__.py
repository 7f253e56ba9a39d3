"""Statistics: intervals, learning thresholds, differences. Numbers in, numbers out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.stats.adaptive import Duel as Duel, Search as Search, Trial as Trial
    from listops_bench.stats.common_ratio import common_ratio as common_ratio
    from listops_bench.stats.differences import difference as difference
    from listops_bench.stats.intervals import Summary as Summary, wilson_interval as wilson_interval
    from listops_bench.stats.survival import survival as survival
    from listops_bench.stats.threshold import (
        fit_threshold as fit_threshold,
        plateau_gain as plateau_gain,
        ratio as ratio,
    )

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "adaptive": "Duel Search Trial",
        "intervals": "Summary wilson_interval",
        "common_ratio": "common_ratio",
        "differences": "difference",
        "survival": "survival",
        "threshold": "fit_threshold plateau_gain ratio",
    },
)
