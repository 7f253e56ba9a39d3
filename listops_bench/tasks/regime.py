"""Regimes: how a task's rows are drawn, apart from its operations, modulus and depth.

A regime is one word of a task's name, ``sum_max_med_nrgpt``. Those that ship are pages, ``tasks/regimes/NAME.yaml``::

    title: ...
    description: ...
    nest_probability: 0.25          any field of `Regime`; what is left out is as everywhere
    hold_out: triples

A page of one's own is named by its path, ``sum_max_med@pages/dense.yaml``. From there on it is known by what it says,
as ``sum_max_med_dense_3f9c0a1b2c3d``: the file's name and the hash of its values. Two pages that draw other rows never
share a name, wherever they lie. Records and results hold the values of such pages, so that their names can be read
where the page is not; see `pages`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from listops_bench._base.files import read_yaml
from listops_bench._base.options import check, from_mapping
from listops_bench._base.records import Range, Share
from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput, shown, unknown
from listops_bench.tasks._own import OWN_NAME, kept, not_read
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.operations import Operation

MAX_OPERANDS, MAX_DEPTH, MAX_TOKENS = 8, 8, 1024

MedOperands = Literal["odd", "any"]
HoldOut = Literal["multisets", "triples"]


@dataclass(frozen=True, kw_only=True)
class Regime:
    """What decides a task's rows, besides its operations, modulus and depth and the numbers of rows.

    Attributes:
        min_operands, max_operands: operands of one operation. MED takes the odd counts among them.
        med_operands: ``"any"`` lets MED take every count; of an even one it is the upper of the middle two.
        nest_probability: the chance that an operand is an expression, where the depth allows one.
        depth_weights: shares of the rows of depth 1, 2, ...; the last one is that of all deeper rows together, so
            ``(1,)`` takes depths as they fall. The same for single and joint tasks, since the share of depth 1 decides
            whether an operation can be learned as a table.
        max_tokens: longest row, ``<eos>`` included, in the longest trace style: so the prompts of a
            task do not depend on the style, and each style fits the context.
        trace: style of the completions.
        unique: no train row stands twice. False keeps the multiplicity of sampling.
        hold_out: what keeps test rows out of train: a rule of `split.RULES`.
    """

    min_operands: Annotated[int, Range(2, MAX_OPERANDS)] = 2
    max_operands: Annotated[int, Range(2, MAX_OPERANDS)] = 3
    med_operands: MedOperands = "odd"
    nest_probability: Share = 0.5
    depth_weights: tuple[float, ...] = (0.015, 0.985)
    max_tokens: Annotated[int, Range(8, MAX_TOKENS)] = 128
    trace: TraceStyle = "parallel"
    unique: bool = True
    hold_out: HoldOut = "multisets"

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth_weights", _as_weights(self.depth_weights))
        check(self)
        if self.max_operands < self.min_operands:
            raise InvalidInput(f"max_operands {self.max_operands} is not in {self.min_operands}..{MAX_OPERANDS}")

    def takes(self, operation: Operation, num_operands: int) -> bool:
        """Whether an operation takes so many operands, whatever the range of their numbers."""
        if self.med_operands == "any" and operation.like == "med":
            return num_operands >= 2
        return operation.takes(num_operands)

    def changes(self) -> dict[str, Any]:
        """The values that are not as everywhere."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Regime)}
        usual = {field.name: field.default for field in dataclasses.fields(Regime)}
        changed = {name: value for name, value in values.items() if value != usual[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}


def _as_weights(weights: Any) -> tuple[float, ...]:
    try:
        shares = tuple(float(weight) for weight in weights)
    except (TypeError, ValueError, OverflowError):
        shares = ()
    if not shares or any(not 0 <= x <= 1 for x in shares) or abs(sum(shares) - 1) > 1e-9:
        raise InvalidInput(f"depth_weights {shown(weights)} are not shares that add up to 1, such as (0.015, 0.985)")
    return shares


# --- by word ----------------------------------------------------------------------------------------------------------

_TEXTS = ("title", "description")


@cache
def regimes() -> tuple[str, ...]:
    """Names of the regimes that ship."""
    return tuple(sorted(path.stem for path in resource_path("tasks", "regimes").glob("*.yaml")))


def find_regime(word: str) -> Regime:
    """The regime of a word of a task's name; ``""`` is what holds everywhere.

    Raises:
        InvalidInput: no such regime, or a page of somebody's own that was not read yet.
    """
    if not word:
        return Regime()
    if found := kept(word, Regime):
        return found
    if not isinstance(word, str):
        raise unknown("regime", word, regimes())
    if re.fullmatch(OWN_NAME, word):
        raise not_read(word)
    return _shipped(word)[0]


def describe_regime(word: str) -> Mapping[str, str]:
    """``title`` and ``description`` of a regime that ships; empty for any other."""
    return _shipped(word)[1] if word in regimes() else {}


@cache
def _shipped(word: str) -> tuple[Regime, Mapping[str, str]]:
    if word not in regimes():
        raise unknown("regime", word, regimes())
    path = resource_path("tasks", "regimes", f"{word}.yaml")
    page = read_yaml(path, kind="page")
    return parse_regime(page, f"page {str(path)!r}"), {key: " ".join(page[key].split()) for key in _TEXTS}


def parse_regime(page: Any, where: str) -> Regime:
    """The regime that the values of a page describe; ``where`` stands in front of errors.

    Raises:
        InvalidInput: an unknown key (the nearest known one is named), or a value that does not fit.
    """
    if not isinstance(page, dict):
        raise InvalidInput(f"{where} is not a mapping of fields to values")
    try:
        return from_mapping(Regime, {key: page[key] for key in page if key not in _TEXTS}, what="key")
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
