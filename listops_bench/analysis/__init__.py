"""What a model learned: representation, reliance, memorisation and dynamics of checkpoints.

    embedding     vectors of the numbers: principal axes, order, residue classes, waves, each against its controls
    probe         the same questions asked of single residual states, in held-out contexts and of held-out numbers
    anatomy       where attention and feed-forward layers of each family write, and where the residual stream is read
    reliance      how much they write, and what is lost without them
    memorisation  the operation tables: which facts a model knows, seen and held out
    study         a checkpoint folder in, all of these out; dynamics over the saved steps
    comparison    checkpoints side by side, seeds together
    findings      what a comparison found, as a file; loads no torch
    report        the only package that draws: a page, figures, JSON

The analyses take arrays (or a model and rows) and return frozen dataclasses, so they serve in a notebook as they do
here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.analysis.comparison import compare_checkpoints as compare_checkpoints
    from listops_bench.analysis.embedding import represent as represent
    from listops_bench.analysis.findings import read_findings as read_findings
    from listops_bench.analysis.report.build import write_report as write_report
    from listops_bench.analysis.study import analyse as analyse

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "study": "analyse",
        "comparison": "compare_checkpoints",
        "findings": "read_findings",
        "embedding": "represent",
        "report.build": "write_report",
    },
)
