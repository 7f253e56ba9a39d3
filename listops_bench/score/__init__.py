"""The strict score: of one completion, and of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.score.completion import METRICS as METRICS
    from listops_bench.score.completion import SCORER_VERSION as SCORER_VERSION
    from listops_bench.score.completion import SLICES as SLICES
    from listops_bench.score.completion import Metrics as Metrics
    from listops_bench.score.completion import Score as Score
    from listops_bench.score.completion import score as score
    from listops_bench.score.completion import summarise as summarise
    from listops_bench.score.held_out import HeldOutSteps as HeldOutSteps
    from listops_bench.score.held_out import held_out_steps as held_out_steps

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "HeldOutSteps": "held_out",
        "METRICS": "completion",
        "Metrics": "completion",
        "SCORER_VERSION": "completion",
        "SLICES": "completion",
        "Score": "completion",
        "held_out_steps": "held_out",
        "score": "completion",
        "summarise": "completion",
    },
)
