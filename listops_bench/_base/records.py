"""Frozen dataclasses as strict JSON: what is read has exactly the fields and types that the class declares.

A record's JSON is the object of its fields. ``Annotated`` types narrow a field, and the same declaration gives the JSON
Schema, so that the schema file, the reader and the class cannot drift apart::

    @dataclass(frozen=True)
    class Recipe:
        id: Annotated[str, Text(r"[a-z]+")]
        seed: int | None

    {"id": "x", "seed": 0}             Recipe("x", 0)
    {"id": "x", "seed": true}          error: recipe.seed: true is not an integer
    {"id": "x", "sede": 0}             error: recipe: unknown key 'sede'; did you mean 'seed'?
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import types
import typing
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache, cached_property
from types import NoneType
from typing import Annotated, Any, Literal

from listops_bench._base.escape import terminal
from listops_bench.errors import InvalidInput, unknown

MAX_TEXT = 2000
MAX_DEPTH = 64
"""Objects and lists within one another, in JSON that is read."""
MAX_DIGITS = 40
"""Of an integer, in JSON that is read."""
_LINE = 110

Definitions = dict[str, dict[str, Any]]


# --- rules that narrow a type -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """Narrows ``str``: the whole of it matches the pattern, and it is not longer than that."""

    pattern: str = r"[\s\S]*"
    max_length: int = MAX_TEXT

    @cached_property
    def _fits(self) -> Callable[[str], Any]:
        return re.compile(self.pattern).fullmatch

    def allows(self, value: str) -> bool:
        return len(value) <= self.max_length and self._fits(value) is not None

    def __str__(self) -> str:
        return f"a text of the form {self.pattern}"

    def schema(self, of_type: dict[str, Any]) -> dict[str, Any]:
        return of_type | {"pattern": f"^(?:{self.pattern})$", "maxLength": self.max_length}


LARGEST = sys.float_info.max
"""An integer may be larger, and is no number of anything."""


@dataclass(frozen=True)
class Range:
    """Narrows ``int`` and ``float``, both ends included."""

    low: float
    high: float | None = None

    def allows(self, value: float) -> bool:
        return self.low <= value <= (LARGEST if self.high is None else self.high)

    def __str__(self) -> str:
        return f"at least {self.low}" if self.high is None else f"in {self.low}..{self.high}"

    def schema(self, of_type: dict[str, Any]) -> dict[str, Any]:
        return of_type | {"minimum": self.low} | ({} if self.high is None else {"maximum": self.high})


@dataclass(frozen=True)
class OneOf:
    """Narrows any type to the values of a registry."""

    values: tuple[Any, ...]

    def allows(self, value: Any) -> bool:
        return any(value == allowed and type(value) is type(allowed) for allowed in self.values)

    def __str__(self) -> str:
        return f"one of: {', '.join(map(str, self.values))}"

    def schema(self, of_type: dict[str, Any]) -> dict[str, Any]:
        return {"const": self.values[0]} if len(self.values) == 1 else {"enum": list(self.values)}


MOST = 10**15
"""More than anything here counts; far below where a float, or another program's integer, ends."""
Count = Annotated[int, Range(0, MOST)]
Positive = Annotated[int, Range(1, MOST)]
Share = Annotated[float, Range(0, 1)]
Seconds = Annotated[float, Range(0, 10**10)]
VISIBLE = (
    r"[^\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
"""A character that ends no line, and neither hides nor turns around what stands beside it."""
Line = Annotated[str, Text(rf"{VISIBLE}*", 300)]
Sha256 = Annotated[str, Text(r"[0-9a-f]{64}", 64)]
Timestamp = Annotated[str, Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", 20)]


# --- JSON text --------------------------------------------------------------------------------------------------------


def loads(text: str | bytes, where: str) -> Any:
    """JSON as RFC 8259 has it, in UTF-8: no duplicate keys, no NaN or infinity, no half of a surrogate pair.

    It takes time and memory in proportion to the text, whoever wrote it.

    Raises:
        InvalidInput: with ``where`` (a file name) in front; also beyond `MAX_DEPTH` and `MAX_DIGITS`.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
        if not (text.isascii() and "\\u" not in text) and _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
    except UnicodeEncodeError:
        raise InvalidInput(f"{where}: holds half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise InvalidInput(f"{where}: nested too deeply") from None
    except ValueError as error:  # not JSON, or not UTF-8
        raise InvalidInput(f"{where}: not valid JSON ({error})") from None
    _check_depth(value, where)
    return value


_SURROGATE = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")


_CONTAINERS = frozenset({dict, list})


def _check_depth(value: Any, where: str) -> None:
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        inside = (item for one in level for item in (one.values() if type(one) is dict else one))
        level = [item for item in inside if type(item) in _CONTAINERS]
        if not level:
            return
    raise InvalidInput(f"{where}: nested too deeply; at most {MAX_DEPTH} objects and lists within one another")


def dumps(record: Any) -> str:
    """The record's JSON, indented, small objects on one line; the same record gives the same text."""
    return _lines(encode(record), "") + "\n"


def _lines(value: Any, indent: str) -> str:
    flat = json.dumps(value, allow_nan=False)
    if not isinstance(value, dict) or not value:
        return flat
    if len(flat) <= _LINE and not any(isinstance(item, (dict, list)) for item in value.values()):
        return flat
    deeper = indent + " "
    inner = ",\n".join(f"{deeper}{json.dumps(key)}: {_lines(item, deeper)}" for key, item in value.items())
    return f"{{\n{inner}\n{indent}}}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise InvalidInput(f"key {_short(twice)} stands twice in one object")
    return result


def _no_constant(name: str) -> float:
    raise InvalidInput(f"{name} is not a number that JSON has")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise InvalidInput(f"number {_short(text)} has more than {MAX_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidInput(f"number {_short(text)} is out of range")
    return value


# --- records ----------------------------------------------------------------------------------------------------------


IF_ANY = {"left out where None": True}
"""Metadata of a field that is left out of the JSON where it is None: of records that were written before the field was
there, not a byte changes."""


def canonical(record: Any) -> str:
    """The record's JSON with sorted keys and without spaces, for a checksum."""
    return json.dumps(record, default=_members, sort_keys=True, separators=(",", ":"), check_circular=False)


def encode(record: Any) -> Any:
    """A record as dictionaries, lists and plain values, fields in their order of declaration."""
    if isinstance(record, (str, int, float, NoneType)):
        return record
    if isinstance(record, dict):
        return {key: encode(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [encode(value) for value in record]
    if not dataclasses.is_dataclass(record):
        return record
    return {name: encode(value) for name, value in _members(record).items()}


def _members(record: Any) -> dict[str, Any]:
    """The fields of a record that its JSON has, with their values as they are."""
    cls: Any = type(record)
    found = {name: getattr(record, name) for name, _ in _fields(cls)}
    return {name: found[name] for name, if_any in _fields(cls) if found[name] is not None or not if_any}


@cache
def _fields(cls: Any) -> tuple[tuple[str, bool], ...]:
    """The names of a record's fields, and whether one is left out where it is None."""
    return tuple((field.name, field.metadata == IF_ANY) for field in dataclasses.fields(cls))


def decode(cls: Any, value: Any, where: str) -> Any:
    """The record of type ``cls`` that JSON value ``value`` describes.

    Raises:
        InvalidInput: a missing or unknown key, a wrong type, or a value out of range, with the path to it.
    """
    return _shape(cls).read(value, where)


def json_schema(cls: Any, *, title: str, description: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record: every key without a default required, no other allowed."""
    definitions: Definitions = {}
    _shape(cls).schema(definitions)
    own = definitions.pop(cls.__name__)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "description": description}
    return head | own | {"$defs": dict(sorted(definitions.items()))}


_Place = str | tuple[Any, str | int]
"""Where a value stands: a file's name, or a place and the key or number below it. Spelt only in errors."""


def _spelt(place: _Place) -> str:
    if isinstance(place, str):
        return place
    above, key = place
    return f"{_spelt(above)}.{terminal(key[:80]) if isinstance(key, str) else key}"


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a type is in JSON: how a value is checked and read, and its schema."""

    read: Callable[[Any, _Place], Any]
    schema: Callable[[Definitions], dict[str, Any]]


@cache
def _shape(kind: Hashable) -> _Shape:
    """The shape of a type. Built once: a board reads thousands of files."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record(kind)
    if origin is Annotated:
        inner = _TEXT if arguments[0] is str else _shape(arguments[0])  # a rule may allow more text than MAX_TEXT
        return _narrowed(inner, arguments[1], arguments[0])
    if origin is Literal:
        return _narrowed(_ANYTHING, OneOf(arguments), type(arguments[0]))
    if origin in (list, dict):
        make: Callable[..., _Shape] = _list if origin is list else _dict
        return make(*map(_shape, arguments))
    if origin in (typing.Union, types.UnionType):
        (inner,) = (_shape(argument) for argument in arguments if argument is not NoneType)
        return _optional(inner)
    return _PLAIN[kind]


def _plain(allows: Callable[[Any], bool], description: str, **schema: Any) -> _Shape:
    def read(value: Any, where: _Place) -> Any:
        if not allows(value):
            raise InvalidInput(f"{_spelt(where)}: {_short(value)} is not {description}")
        return value

    return _Shape(read, lambda definitions: schema)


def _is_float(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**53)


_ANYTHING = _plain(lambda value: True, "anything")
_TEXT = _plain(lambda value: isinstance(value, str), "a text", type="string")
_NUMBER = _plain(_is_float, "a number", type="number")
_PLAIN: dict[Any, _Shape] = {
    str: _plain(
        lambda value: isinstance(value, str) and len(value) <= MAX_TEXT,
        f"a text of at most {MAX_TEXT} characters",
        type="string",
        maxLength=MAX_TEXT,
    ),
    bool: _plain(lambda value: isinstance(value, bool), "true or false", type="boolean"),
    int: _plain(lambda value: type(value) is int, "an integer", type="integer"),
    Any: _ANYTHING,
    float: _Shape(lambda value, where: float(_NUMBER.read(value, where)), _NUMBER.schema),
}


def _narrowed(inner: _Shape, rule: Text | Range | OneOf, kind: Any) -> _Shape:
    allows = rule.allows

    def read(value: Any, where: _Place) -> Any:
        if type(value) is kind and allows(value):  # nearly always: the rule allows nothing that the type does not
            return value
        found = inner.read(value, where)
        if not allows(found):
            raise InvalidInput(f"{_spelt(where)}: {_short(value)} is not {rule}")
        return found

    return _Shape(read, lambda definitions: rule.schema(inner.schema(definitions)))


def _optional(inner: _Shape) -> _Shape:
    return _Shape(
        lambda value, where: None if value is None else inner.read(value, where),
        lambda definitions: {"anyOf": [inner.schema(definitions), {"type": "null"}]},
    )


def _list(item: _Shape) -> _Shape:
    def read(value: Any, where: _Place) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidInput(f"{_spelt(where)}: {_short(value)} is not a list")
        return [item.read(each, (where, place)) for place, each in enumerate(value)]

    return _Shape(read, lambda definitions: {"type": "array", "items": item.schema(definitions)})


def _dict(key: _Shape, item: _Shape) -> _Shape:
    read_key, read_item = key.read, item.read

    def read(value: Any, where: _Place) -> dict[Any, Any]:
        _check_object(value, where)
        return {read_key(k, where): read_item(each, (where, k)) for k, each in value.items()}

    def schema(definitions: Definitions) -> dict[str, Any]:
        names = {word: rule for word, rule in key.schema(definitions).items() if word != "type"}
        return {
            "type": "object",
            "additionalProperties": item.schema(definitions),
            **({"propertyNames": names} if names else {}),
        }

    return _Shape(read, schema)


def _record(cls: Any) -> _Shape:
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: _shape(hints[field.name]) for field in dataclasses.fields(cls)}
    readers = [(name, shape.read) for name, shape in fields.items()]
    defaults = _defaults(cls)

    def read(value: Any, where: _Place) -> Any:
        _check_object(value, where)
        if value.keys() != fields.keys():
            value = defaults | value
            for key in value:
                if key not in fields:
                    raise InvalidInput(f"{_spelt(where)}: {unknown('key', key, fields)}")
            for name in fields:
                if name not in value:
                    raise InvalidInput(f"{_spelt(where)}: key {name!r} is missing")
        return cls(*[read_field(value[name], (where, name)) for name, read_field in readers])

    def schema(definitions: Definitions) -> dict[str, Any]:
        if cls.__name__ not in definitions:
            definitions[cls.__name__] = {
                "type": "object",
                "properties": {name: shape.schema(definitions) for name, shape in fields.items()},
                "required": [name for name in fields if name not in defaults],
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{cls.__name__}"}

    return _Shape(read, schema)


def _defaults(cls: Any) -> dict[str, Any]:
    """The JSON of fields that may be left away: those that a class was given later, so that older files still read."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            found[field.name] = encode(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = encode(field.default_factory())
    return found


def _check_object(value: Any, where: _Place) -> None:
    if not isinstance(value, dict):
        raise InvalidInput(f"{_spelt(where)}: {_short(value)} is not an object")


def _short(value: Any) -> str:
    # Error messages are one line, whatever stands in the file.
    text = json.dumps(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
