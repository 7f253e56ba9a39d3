"""Claims as Markdown: the templates beside this file, the limits that they speak of, and how figures are spelled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from statistics import fmean
from typing import Any

from listops_bench._base.escape import markdown, markdown_code
from listops_bench._base.text import count, p_text
from listops_bench.claims._evidence import (
    CONFIDENCE,
    NO_GAIN,
    NO_ORDER,
    NO_RISE,
    NO_SAVING,
    NO_WAVE,
    SEPARATED,
    Contrast,
    Rung,
    rungs,
    scheme_of,
)
from listops_bench.claims._specs import Decision, Equal
from listops_bench.leaderboard.arms import Arm, spell_limits, spell_plateau, spell_threshold, time_to_learn
from listops_bench.leaderboard.groups import Setting
from listops_bench.result.learned import LEARNED, SEEN, View
from listops_bench.stats.differences import SIGNIFICANT, Difference
from listops_bench.stats.intervals import Summary, mean_difference
from listops_bench.stats.threshold import Ratio, Threshold
from listops_bench.tasks.curriculum import recorded_curriculum
from listops_bench.tasks.exposure import NEARLY, distinct_forms
from listops_bench.tasks.operations import OPERATIONS

DECIDED: dict[Decision, str] = {"for": "for the claim", "against": "against it", "open": "open"}
ALIKE: dict[Equal, str] = {
    "steps": "{:,} steps",
    "exposure": "reductions",
    "optimisation": "{:,} steps, learning rate chosen",
}
LIMITS = {
    "confidence": f"{CONFIDENCE:.0%}",
    "learned": f"{LEARNED:.0%}",
    "near": f"{NEARLY:.0%}",
    "no_gain": f"{100 * NO_GAIN:.0f}",
    "no_order": NO_ORDER,
    "no_rise": f"{100 * NO_RISE:.0f}",
    "no_saving": NO_SAVING,
    "no_wave": NO_WAVE,
    "separated": f"{SEPARATED:.0%}",
    "significant": SIGNIFICANT,
}


def render(name: str, **values: Any) -> str:
    """A template beside this file, filled in; what is apart in it is apart by one blank line."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("listops_bench.claims")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS | {"fill": lambda text: environment.from_string(text).render()}
    environment.tests["decides"] = lambda found, decision: decision in found.decisions()
    environment.globals |= LIMITS | _NAMES | values
    return re.sub(r"\n{3,}", "\n\n", environment.get_template(name).render()).strip() + "\n"


# --- figures ----------------------------------------------------------------------------------------------------------


def spell(number: Threshold | Ratio) -> str:
    """``12,300 (9,100 to 20,000)`` or ``&gt; 34,560``."""
    limits = spell_limits(number)
    return markdown(spell_threshold(number) + (f" ({limits})" if limits else ""))


def spell_views(views: Sequence[View]) -> str:
    """``at 90% and 95% on seen operands, and at 95% on unseen operands``; empty without views."""
    kinds: dict[str, list[str]] = {}
    for view in sorted(views, key=lambda view: (view.split, view.cut)):
        cut, _, rows = str(view).partition(" ")
        kinds.setdefault(rows, []).append(cut)
    return ", and ".join(f"at {' and '.join(cuts)} {rows}" for rows, cuts in kinds.items())


def spell_difference(found: Difference | None, digits: int = 0) -> str:
    """``+60 points (+13 to +89)``: a difference of shares in percentage points."""
    if found is None:
        return ""
    texts = (f"{100 * value:+.{digits}f}" for value in (found.estimate, found.low, found.high))
    estimate, low, high = ("0" if text in ("+0", "-0") else text.replace("-", "−") for text in texts)
    return f"{estimate} points ({low} to {high})"


def spell_figure(contrast: Contrast, confidence: float = CONFIDENCE) -> str:
    """The figure that decides, with its interval."""
    number, gain = contrast.ratio(confidence), contrast.gain(confidence)
    if number is not None:
        return spell(number)
    return f"{spell_difference(gain)} at {contrast.shared[0][0].parameters:,} parameters" if gain else "no common size"


def spell_turning(contrast: Contrast, decision: Decision, confidence: float) -> str:
    """What the interval that decides a contrast would have to do for it to be open."""
    number, gain = contrast.ratio(confidence), contrast.gain(confidence)
    if number is not None:
        limit, bound = (number.high, 1.0) if decision == "for" else (number.low, NO_SAVING)
        way = "ends" if decision == "for" else "begins"
        return f"a ratio whose interval, which {way} at {limit:.2f}, reached {bound:g}"
    if gain is None:
        return "runs of a common size"
    limit, bound = (gain.low, 0.0) if decision == "for" else (gain.high, NO_GAIN)
    way = "begins" if decision == "for" else "ends"
    return f"a gain whose interval, which {way} at {100 * limit:+.0f} points, reached {100 * bound:g}".replace("-", "−")


def _names(contrast: Contrast) -> str:
    if contrast.pool:
        words = (markdown_code(scheme_of(arm.curriculum)) for arm in (contrast.first, contrast.second))
        return f"{' against '.join(words)}, {len(contrast.pool)} numbers of steps"
    return f"{_trained_on(contrast.first)} against {_trained_on(contrast.second)}"


def share(values: Iterable[float]) -> str:
    """``97.1% (95.2–98.8)``: mean and range over runs."""
    found = list(values)
    if len(found) < 2:
        return "".join(f"{value:.1%}" for value in found)
    return f"{fmean(found):.1%} ({100 * min(found):.1f}–{100 * max(found):.1f})"


def spread(values: Iterable[float]) -> str:
    """``0.87 (0.71 to 0.95)``: mean and range over runs."""
    found = list(values)
    if not found:
        return ""
    text = f"{fmean(found):.2f}" + (f" ({min(found):.2f} to {max(found):.2f})" if len(found) > 1 else "")
    return text.replace("-", "−")


def _percent(values: Iterable[float]) -> str:
    found = list(values)
    return f"{fmean(found):.0%}" if found else ""


def _wilson(rung: Rung) -> str:
    summary = Summary.of(rung.learned, rung.runs)
    return f"{100 * summary.low:.0f}–{100 * summary.high:.0f}%"


def _median(rung: Rung) -> str:
    """Steps after which half of the runs have learned."""
    time = time_to_learn(rung.groups)
    if time is None or not time.runs:
        return ""
    return f"&gt; {rung.arm.budget:,}" if time.median is None else f"{time.median:,}"


def _trained_on(arm: Arm) -> str:
    return " and ".join(map(markdown_code, arm.curricula)) + ("" if arm.recipes == 1 else " (several recipes)")


def _scored(contrast: Contrast) -> str:
    groups = (*contrast.first.groups, *contrast.second.groups)
    return " and ".join(dict.fromkeys(markdown_code(group.task) for group in groups))


def _setting(of: Setting) -> str:
    """``looped, 3 layers, 1 head, modulus 10, depth 2, parallel traces, reference track``."""
    word = "loop" if of.family.startswith(("looped", "listops_looped")) else "layer"
    shape = [count(n, noun) for n, noun in ((of.layers, word), (of.heads, "head")) if n is not None]
    data = (
        f"symbols {of.symbols}" if of.symbols else f"modulus {of.modulus}",
        f"depth {of.depth}",
        f"{of.trace} traces",
        f"{of.track} track",
    )
    return ", ".join([markdown_code(of.family), *shape, *data, *([f"regime {of.regime}"] if of.regime else [])])


_FILTERS: dict[str, Any] = {
    "code": markdown_code,
    "figure": spell_figure,
    "forms": lambda arm: distinct_forms(frozenset(recorded_curriculum(arm.curriculum).tasks)),
    "hours": lambda seconds: f"{seconds / 3600:.2f}",
    "lines": lambda text, between: between.join(filter(None, text.split("\n"))),
    "mean": lambda rung: f"{fmean(rung.accuracies()):.1%}",
    "median": _median,
    "names": _names,
    "n50": lambda arm: spell(arm.threshold) if arm.is_ladder else "one size",
    "number": spell,
    "p": lambda p: "" if p is None else markdown(p_text(p)),
    "percent": _percent,
    "plateau": lambda arm: "{} ({})".format(*spell_plateau(arm.threshold.plateau)) if arm.has_plateau else "",
    "points": spell_difference,
    "sentence": lambda text: text[:1].upper() + text[1:],
    "setting": _setting,
    "share": share,
    "spread": spread,
    "thousands": "{:,}".format,
    "trained_on": _trained_on,
    "turning": spell_turning,
    "views": spell_views,
    "wilson": _wilson,
}
_NAMES: dict[str, Any] = {
    "SEEN": SEEN,
    "alike": ALIKE,
    "count": count,
    "decided": DECIDED,
    "mean_difference": mean_difference,
    "operations": OPERATIONS,
    "rungs": rungs,
    "scheme_of": scheme_of,
    "scored": _scored,
}
