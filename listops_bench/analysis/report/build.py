"""The report: the only module that draws. Analyses in; a page, figures and JSON out.

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
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from listops_bench._base.files import remove_others, write_atomic
from listops_bench._base.text import count
from listops_bench._base.version import __version__
from listops_bench.analysis.anatomy import KINDS as SUBLAYERS
from listops_bench.analysis.comparison import Comparison, compare_checkpoints
from listops_bench.analysis.embedding import NUM_PERMUTATIONS, Statistic
from listops_bench.analysis.findings import FILE_NAME
from listops_bench.analysis.report import _text as text
from listops_bench.analysis.report._figures import checkpoint_figures, comparison_figures
from listops_bench.analysis.report._style import p_text
from listops_bench.analysis.study import Analysis
from listops_bench.pages.chart import Figure

TITLE = "What the models learned"
_DIGITS = 6


@dataclass(frozen=True)
class Written:
    """What a report consists of."""

    page: Path
    files: tuple[Path, ...]


def write_report(analyses: Sequence[Analysis], out_dir: str | os.PathLike[str]) -> Written:
    """Writes the report of one or more checkpoints, replacing an earlier one."""
    out = Path(out_dir)
    comparison = compare_checkpoints(analyses) if len(analyses) > 1 else None
    beside = comparison_figures(comparison) if comparison else []
    single = len(analyses) == 1
    drawn = [checkpoint_figures(analysis, "" if single else f"{i}-") for i, analysis in enumerate(analyses, 1)]
    contents: dict[Path, str | bytes] = {
        out / "analysis.json": _dumps({"version": __version__, "checkpoints": [_encode(a) for a in analyses]}),
        out / "index.html": page(analyses, drawn, comparison, beside),
    }
    if comparison:
        contents[out / "comparison.md"] = text.markdown(comparison)
        contents[out / FILE_NAME] = _dumps(comparison_record(comparison))
    for figure in [*beside, *(figure for of_one in drawn for figure in of_one)]:
        contents[out / "figures" / f"{figure.name}.svg"] = figure.svg
        contents[out / "figures" / f"{figure.name}.png"] = figure.png
    for path, content in contents.items():
        write_atomic(path, content)
    remove_others(out, ("figures/*.svg", "figures/*.png", "comparison.*"), set(contents))
    return Written(out / "index.html", tuple(contents))


# --- the page ---------------------------------------------------------------------------------------------------------


def page(
    analyses: Sequence[Analysis],
    drawn: Sequence[Sequence[Figure]],
    comparison: Comparison | None,
    beside: Sequence[Figure],
) -> str:
    """The page; ``drawn`` are the figures of each checkpoint, ``beside`` those that set them side by side."""
    return _template().render(
        title=TITLE,
        made=f"listops-bench {__version__}, {count(len(analyses), 'checkpoint')}",
        comparison=comparison and _comparison_part(comparison, beside),
        checkpoints=[_checkpoint(analysis, figures) for analysis, figures in zip(analyses, drawn, strict=True)],
        moduli=" or ".join(map(str, sorted({analysis.modulus for analysis in analyses}))),
        permutations=f"{NUM_PERMUTATIONS:,} (or all)",
        style=Markup(_read("style.css")),
        script=Markup(_read("report.js")),
    )


def _comparison_part(comparison: Comparison, figures: Sequence[Figure]) -> dict[str, Any]:
    head, rows = text.comparison_table(comparison)
    return {
        "operation": comparison.operation,
        "words": text.comparison(comparison),
        "head": head,
        "rows": rows,
        "first": head.index("seed") + 1,
        "note": text.table_note(comparison),
        "figures": figures,
    }


_PARTS = {
    "Representation": (text.representation, ("axes", "chance", "waves", "cosine")),
    "Reliance": (text.reliance, ("norms", "ablations")),
    "Memorisation": (text.memorisation, ("pairs", "triples")),
    "Over training": (lambda analysis: text.dynamics(analysis.moments), ("dynamics",)),
}
"""The sections of a checkpoint: what is said, and the figures."""


def _checkpoint(analysis: Analysis, figures: Sequence[Figure]) -> dict[str, Any]:
    parts = []
    for title, (say, names) in _PARTS.items():
        own = [figure for figure in figures if figure.name.rpartition("-")[2] in names]
        part = {"title": title, "words": say(analysis), "figures": own, "rows": [], "head": (), "note": ""}
        if title == "Representation":
            part |= {"head": _TEST_HEAD, "rows": _test_rows(analysis), "note": _TEST_NOTE}
        if part["words"] or own:
            parts.append(part)
    seed = "no seed" if analysis.seed is None else f"seed {analysis.seed}"
    facts = (
        f"{analysis.architecture}, {analysis.parameters:,} parameters, {seed}; curriculum {analysis.curriculum}; "
        f"residual states from {', '.join(analysis.asked).upper()} prompts; weights {analysis.weights_sha256[:12]}"
    )
    return {"name": analysis.name, "plan": analysis.plan, "facts": facts, "parts": parts}


_TEST_HEAD = ("of", "question", "value", "exchanged names", "p", "random vectors", "their 95th percentile")
_TEST_NOTE = (
    "Order: rank correlation. Axis: the best of the first three principal axes. Residue classes: accuracy, each number "
    "told from the others. Waves: the frequency furthest above what is expected, in standard deviations. States: "
    "probes of single residual states, in held-out prompts or of held-out numbers. p is not adjusted here."
)


def _test_rows(analysis: Analysis) -> list[tuple[bool, tuple[str, ...]]]:
    rows = []
    for place in analysis.places:
        of = place.numbers
        tests: dict[str, Statistic] = {"order": of.order.regression, "order, axis": of.order.axis}
        tests |= {"parity" if m == 2 else f"classes mod {m}": statistic for m, statistic in of.residues.items()}
        tests[f"waves (frequency {of.waves.strongest_frequency})"] = of.waves.strongest
        if place.probe is not None:
            tests["states: parity, held-out prompts"] = place.probe.parity_in_contexts
            tests["states: parity, held-out numbers"] = place.probe.parity_of_numbers
            tests["states: order, held-out numbers"] = place.probe.order_of_numbers
        for i, (question, statistic) in enumerate(tests.items()):
            rows.append((False, (place.name if i == 0 else "", question, *_statistic_cells(statistic))))
    return rows


def _statistic_cells(of: Statistic) -> tuple[str, ...]:
    value, chance, control, high = (
        "–" if math.isnan(x) else text.signed(x) for x in (of.value, of.chance, of.control, of.control_high)
    )
    return value, chance, p_text(of.p).removeprefix("p = ").removeprefix("p "), control, high


def _template() -> Any:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html")


def _read(name: str) -> str:
    return files("listops_bench.analysis.report").joinpath("_template", name).read_text(encoding="utf-8").strip()


# --- the numbers ------------------------------------------------------------------------------------------------------


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """The numbers behind the comparison's table, with the checkpoints' hashes."""
    record: dict[str, Any] = {"version": __version__, "operation": comparison.operation, "groups": []}
    for group in comparison.groups:
        lines = [
            {
                "name": line.analysis.name, "seed": line.analysis.seed, "curriculum": line.analysis.curriculum,
                "parameters": line.analysis.parameters, "weights_sha256": line.analysis.weights_sha256,
                **{f.name: _encode(getattr(line, f.name)) for f in dataclasses.fields(line) if f.name != "analysis"},
                **_last_steps(line.analysis, comparison.operation or line.analysis.operations[0]),
            }
            for line in group.lines
        ]  # fmt: skip
        record["groups"].append({
            "plan": group.plan, "architecture": group.architecture, "order_mean": _encode(group.order),
            "order_p_adjusted": group.order_p, "parity_mean": _encode(group.parity),
            "parity_p_adjusted": group.parity_p,
            "checkpoints": lines,
        })  # fmt: skip
    return record


def _last_steps(analysis: Analysis, operation: str) -> dict[str, Any]:
    """Answers right given the lines before them: as the model is, and with sublayers of a kind at their mean output.

    ``without["attention"]`` has the layers ``"1"``, ``"2"``, ... and ``"all"`` of them at once.
    """
    of = analysis.reliance
    without: dict[str, dict[str, Any]] = {kind: {} for kind in SUBLAYERS}
    for ablation in of.ablations:
        if ablation.method == "mean":
            layer = "all" if ablation.layer is None else str(ablation.layer + 1)
            without[ablation.kind][layer] = _encode(ablation.accuracy[operation].last_step)
    return {"last_step": _encode(of.intact[operation].last_step), "without": without}


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


def _dumps(record: Any) -> str:
    return json.dumps(record, indent=1, allow_nan=False) + "\n"
