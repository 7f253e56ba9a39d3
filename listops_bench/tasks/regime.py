"""Regimes: how a task's rows are drawn, apart from its operations, modulus and depth.

A regime is one word of a task's name, ``sum_max_med_nrgpt``. Those that ship are pages, ``tasks/regimes/NAME.yaml``::

    title: ...
    description: ...
    nest_probability: 0.25          any field of `Regime`; what is left out is as everywhere
    hold_out: triples

A page of one's own is named by its path, ``sum_max_med@pages/dense.yaml``. From there on it is known by what it says,
as ``sum_max_med_dense_3f9c0a1b2c3d``: the file's name and the hash of its values. Two pages that draw other rows never
share a name, wherever they lie. Records and results hold the values of such pages, so that their names can be read
where the page is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from listops_bench._base.files import read_yaml
from listops_bench._base.options import check, from_mapping
from listops_bench._base.records import Range, Share
from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput, shown, unknown
from listops_bench.tasks.expression import OPERATIONS, TraceStyle

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

    def takes(self, operation: str, num_operands: int) -> bool:
        """Whether an operation takes so many operands, whatever the range of their numbers."""
        return num_operands >= 2 if self.med_operands == "any" else OPERATIONS[operation].takes(num_operands)

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

DIGEST = r"[0-9a-f]{12}"
STEM = r"[a-z][a-z0-9]{0,15}"
OWN_NAME = rf"{STEM}_{DIGEST}"
_TEXTS = ("title", "description")

_own: dict[str, Regime] = {}  # pages of the user's own, by what they say: nothing here can change its meaning


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
    if word in _own:
        return _own[word]
    if re.fullmatch(OWN_NAME, word):
        stem = word.partition("_")[0]
        raise InvalidInput(f"regime {word!r} is somebody's own page; name it by its path, as in sum@{stem}.yaml")
    return _shipped(word)[0]


def describe_regime(word: str) -> Mapping[str, str]:
    """``title`` and ``description`` of a regime that ships; empty for any other."""
    return _shipped(word)[1] if word in regimes() else {}


@cache
def _shipped(word: str) -> tuple[Regime, Mapping[str, str]]:
    if word not in regimes():
        raise unknown("regime", word, regimes())
    return _read_page(resource_path("tasks", "regimes", f"{word}.yaml"))


def _read_page(path: Path) -> tuple[Regime, Mapping[str, str]]:
    where = f"regime page {str(path)!r}"
    page = read_yaml(path, kind="regime page")
    if not isinstance(page, dict):
        raise InvalidInput(f"{where} is not a mapping of fields to values")
    texts = {key: " ".join(str(page.pop(key)).split()) for key in _TEXTS if key in page}
    try:
        return from_mapping(Regime, page, what="key"), texts
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None


# --- pages of one's own -----------------------------------------------------------------------------------------------


def read_regime(path: Path) -> str:
    """Reads a page of one's own and returns the word that it is known by: ``"dense_3f9c0a1b2c3d"``.

    Raises:
        InvalidInput: no such page, a name that is no word, an unknown key (the nearest known one is named), or a value
            that does not fit.
        EnvironmentFailed: it is there and cannot be read.
    """
    regime, _ = _read_page(path)
    taken = path.stem in OPERATIONS or re.fullmatch(r"(mod|depth)\d+", path.stem)
    if taken or not re.fullmatch(STEM, path.stem):
        raise InvalidInput(
            f"regime page {str(path)!r}: its name becomes a word of task names, up to 16 small letters and digits, and "
            "no operation; call it for example 'mine.yaml'"
        )
    word = f"{path.stem}_{_digest(regime)}"
    _own[word] = regime
    return word


def _digest(regime: Regime) -> str:
    # Over what differs from everywhere, so that a field that is new in some version changes no name.
    return hashlib.sha256(json.dumps(regime.changes(), sort_keys=True).encode()).hexdigest()[:12]


def own_regimes(words: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """The values of those among some regimes (by default, all) that do not ship, for a record that names them."""
    return {word: _own[word].changes() for word in sorted(set(_own if words is None else words)) if word in _own}


def remember_regimes(regimes: Mapping[str, Any], where: str) -> None:
    """Makes the regimes of a record known, from `own_regimes`, so that its task names can be read.

    Raises:
        InvalidInput: values that do not fit, or that are not those of the name.
    """
    for word, values in regimes.items():
        if not re.fullmatch(OWN_NAME, word) or not isinstance(values, dict):
            raise InvalidInput(f"{where}: regimes: {word[:80]!r} is not a regime's name with its values")
        try:
            regime = from_mapping(Regime, values, what="key")
        except InvalidInput as error:
            raise InvalidInput(f"{where}: regimes.{word}: {error}") from None
        if not word.endswith(_digest(regime)):
            raise InvalidInput(f"{where}: regimes.{word}: its values are those of {_digest(regime)!r}")
        _own[word] = regime
