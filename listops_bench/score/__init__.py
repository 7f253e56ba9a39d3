"""The strict score: of one completion, and of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.score.completion import (
        METRICS as METRICS,
        SCORER_VERSION as SCORER_VERSION,
        SLICES as SLICES,
        ByForm as ByForm,
        Metrics as Metrics,
        Score as Score,
        score as score,
        summarise as summarise,
    )
    from listops_bench.score.held_out import HeldOutSteps as HeldOutSteps, held_out_steps as held_out_steps
    from listops_bench.score.row import score_answer as score_answer

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "held_out": "HeldOutSteps held_out_steps",
        "row": "score_answer",
        "completion": "ByForm METRICS Metrics SCORER_VERSION SLICES Score score summarise",
    },
)
