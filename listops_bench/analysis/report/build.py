"""The report: analyses in; a page, figures and JSON out.

DIR/index.html        one page that works from a file: style, figures and script inside
DIR/analysis.json     every number of every checkpoint
DIR/comparison.md     the table that sets several checkpoints side by side; comparison.json: its numbers
DIR/figures/          the figures, SVG and PNG
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from listops_bench._base.files import remove_others, write_atomic
from listops_bench._base.version import __version__
from listops_bench.analysis.comparison import compare_checkpoints
from listops_bench.analysis.findings import FILE_NAME
from listops_bench.analysis.report._figures import checkpoint_figures, comparison_figures
from listops_bench.analysis.report._page import comparison_table, page
from listops_bench.analysis.study import Analysis
from listops_bench.pages.tables import to_markdown

_DIGITS = 6


@dataclass(frozen=True)
class Written:
    """What a report consists of."""

    page: Path
    files: tuple[Path, ...]


def write_report(analyses: Sequence[Analysis], out_dir: str | os.PathLike[str]) -> Written:
    """Writes the report of one or more checkpoints, replacing an earlier one."""
    out = Path(out_dir)
    findings = compare_checkpoints(analyses) if len(analyses) > 1 else None
    beside = comparison_figures(findings, analyses) if findings else []
    drawn = [checkpoint_figures(one, f"{i}-" if findings else "") for i, one in enumerate(analyses, 1)]
    contents: dict[Path, str | bytes] = {
        out / "analysis.json": _dumps({"version": __version__, "checkpoints": analyses}),
        out / "index.html": page(analyses, drawn, findings, beside),
    }
    if findings:
        table = comparison_table(findings)
        contents[out / "comparison.md"] = "\n\n".join([to_markdown(table), *table.notes]) + "\n"
        contents[out / FILE_NAME] = _dumps(findings)
    for figure in [*beside, *(figure for of_one in drawn for figure in of_one)]:
        contents[out / "figures" / f"{figure.name}.svg"] = figure.svg
        contents[out / "figures" / f"{figure.name}.png"] = figure.png
    for path, content in contents.items():
        write_atomic(path, content)
    remove_others(out, ("figures/*.svg", "figures/*.png", "comparison.*"), contents)
    return Written(out / "index.html", tuple(contents))


def _dumps(record: Any) -> str:
    return json.dumps(_encode(record), indent=1, allow_nan=False) + "\n"


def _encode(value: Any) -> Any:
    """Dataclasses, arrays and mappings as JSON values; permuted values, of which there are thousands, left away."""
    if dataclasses.is_dataclass(value):
        return {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "null"}
    if isinstance(value, np.ndarray):
        return _encode(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    return value
