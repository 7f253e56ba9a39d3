"""Options as frozen dataclasses, whose annotations and docstring give flags, keys of a YAML file, and checks.

    steps: Annotated[int, Range(1)] = 3000      --steps INT    optimizer steps (default: 3000)
    optim: Literal["adamw", "sgd"] = "adamw"    --optim STR    the optimizer: adamw or sgd (default: adamw)

Help is what ``Attributes:`` says in the docstring of the class or of a base. Fields are of type int, float, str, bool,
Literal of texts, a tuple of one of these, or one of these or None.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import operator
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from listops_bench._base.records import LARGEST, Range
from listops_bench.errors import InvalidInput, shown, unknown

_KINDS: dict[Any, dict[str, Any]] = {}
_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}

Options = TypeVar("Options")


class Between(Range):
    """Narrows ``float``, both ends excluded."""

    def allows(self, value: float) -> bool:
        return self.low < value and (value <= LARGEST if self.high is None else value < self.high)

    def __str__(self) -> str:
        return f"above {self.low}" if self.high is None else f"between {self.low} and {self.high}"


@dataclass(frozen=True)
class _Kind:
    """What an annotation says of a field's values."""

    type: type
    choices: tuple[str, ...] = ()
    rule: Range | None = None
    optional: bool = False
    many: bool = False


def _kind(annotation: Any) -> _Kind:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return replace(_kind(inner), optional=True)
    if origin is Annotated:
        return replace(_kind(arguments[0]), rule=arguments[1])
    if origin is Literal:
        return _Kind(str, choices=arguments)
    if origin is tuple:
        return replace(_kind(arguments[0]), many=True)
    return _Kind(annotation)


def _kinds(cls: Any) -> dict[str, _Kind]:
    if cls not in _KINDS:
        hints = typing.get_type_hints(cls, include_extras=True)
        _KINDS[cls] = {field.name: _kind(hints[field.name]) for field in dataclasses.fields(cls)}
    return _KINDS[cls]


def check(options: Any, cls: type[Any] | None = None) -> None:
    """Checks the values of all fields, or of those of a base class.

    Raises:
        InvalidInput: a value of another type, out of its range, or that is none of the choices.
    """
    for name, kind in _kinds(cls or type(options)).items():
        value = getattr(options, name)
        if value is not None or not kind.optional:
            for item in value if kind.many and isinstance(value, tuple) else [value]:
                _check(name, item, kind)


def _check(name: str, value: Any, kind: _Kind) -> None:
    if kind.choices:
        if value not in kind.choices:
            raise unknown(name, value, kind.choices)
        return
    fits = isinstance(value, (int, float) if kind.type is float else kind.type)
    if not fits or (isinstance(value, bool) and kind.type is not bool):
        raise InvalidInput(f"{name} {shown(value)} is not {_NAMES[kind.type]}")
    rule = kind.rule
    if rule is not None and not rule.allows(value):
        near = ""
        if rule.high is not None and not isinstance(rule, Between):
            near = f"; the nearest valid one is {min(rule.high, max(rule.low, value))}"
        raise InvalidInput(f"{name} {shown(value)} is not {rule}{near}")


def check_number(name: str, value: int, low: int = 1, high: int = 2**63 - 1) -> None:
    """Raises InvalidInput unless a number that a function was given is in ``low..high``."""
    is_number = hasattr(value, "__index__") and not isinstance(value, bool)  # numpy's, too
    _check(name, operator.index(value) if is_number else value, _Kind(int, rule=Range(low, high)))


def from_mapping(cls: type[Options], values: Mapping[str, Any], *, what: str = "option") -> Options:
    """Options from a mapping, such as a YAML page.

    Args:
        what: what a key is called in the error for one that is not known: ``"training option"``.

    Raises:
        InvalidInput: an unknown key (the nearest known one is named), a missing one, or as the class.
    """
    kinds = _kinds(cls)
    for key in values:
        if key not in kinds:
            raise unknown(what, key, kinds)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise InvalidInput(f"no {field.name}: {attribute_help(cls).get(field.name, 'it must be given')}")
    return cls(**{key: _as_python(value, kinds[key]) for key, value in values.items()})


def _as_python(value: Any, kind: _Kind) -> Any:
    """Lists as tuples; and YAML 1.1 reads 2e-3, without a dot, as text."""
    if kind.many and isinstance(value, list):
        return tuple(value)
    try:
        return float(value) if kind.type is float and isinstance(value, str) else value
    except ValueError:
        return value


def add_flags(parser: argparse._ActionsContainer, cls: type[Any], *, skip: Sequence[str] = (), **aliases: str) -> None:
    """Adds a flag for every field, with dashes or underscores; those that are not given are not in the namespace.

    Args:
        skip: fields without a flag.
        aliases: a further name, by field: ``max_steps="--steps"``.
    """
    helps = attribute_help(cls)
    for field in (field for field in dataclasses.fields(cls) if field.name not in skip):
        kind = _kinds(cls)[field.name]
        names = ["--" + field.name.replace("_", "-"), "--" + field.name, aliases.get(field.name)]
        words = helps.get(field.name, "")
        if kind.choices:
            words += f": {', '.join(kind.choices[:-1])} or {kind.choices[-1]}"
        if field.default is not dataclasses.MISSING and field.default is not None and kind.type is not bool:
            default = " ".join(map(str, field.default)) if kind.many else field.default
            words += f" (default: {default})"
        options: dict[str, Any] = {"dest": field.name, "default": argparse.SUPPRESS, "help": words.replace("%", "%%")}
        if kind.type is bool:
            options["action"] = "store_true"
        else:
            options |= {"type": kind.type, "metavar": kind.type.__name__.upper(), "nargs": "+" if kind.many else None}
        parser.add_argument(*filter(None, dict.fromkeys(names)), **options)


def attribute_help(cls: type[Any]) -> dict[str, str]:
    """What the docstrings of a class and its bases say under ``Attributes:``, by name, without the last full stop."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        section = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        for names, text in re.findall(r"^ {4}([\w, ]+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
            found |= dict.fromkeys(re.split(r", *", names), " ".join(text.split()).removesuffix("."))
    return found
