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
import types
import typing
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

from listops_bench.errors import InvalidInput, unknown

MAX_TEXT = 2000


_LINE = 110


@dataclass(frozen=True)
class Text:
    """Narrows ``str``: the whole of it matches the pattern, and it is not longer than that."""

    pattern: str = r"[\s\S]*"
    max_length: int = MAX_TEXT


@dataclass(frozen=True)
class Range:
    """Narrows ``int`` and ``float``, both ends included."""

    low: float
    high: float | None = None


Count = Annotated[int, Range(0)]


Share = Annotated[float, Range(0, 1)]


Sha256 = Annotated[str, Text(r"[0-9a-f]{64}", 64)]


Decoder = Callable[[Any, str], Any]


# --- JSON text --------------------------------------------------------------------------------------------------------


def loads(text: str | bytes, where: str) -> Any:
    """JSON as RFC 8259 has it: no duplicate keys, no NaN or infinity.

    Raises:
        InvalidInput: with ``where`` (a file name) in front.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None
    except RecursionError:
        raise InvalidInput(f"{where}: nested too deeply") from None
    except ValueError as error:  # not JSON, not UTF-8, or an integer of thousands of digits
        raise InvalidInput(f"{where}: not valid JSON ({error})") from None


def dumps(record: Any) -> str:
    """The record's JSON, indented, small objects on one line; the same record gives the same text."""
    return _lines(encode(record), "") + "\n"


def _lines(value: Any, indent: str) -> str:
    flat = json.dumps(value, allow_nan=False)
    if not isinstance(value, dict) or not value or (len(flat) <= _LINE and _is_flat(value)):
        return flat
    deeper = indent + " "
    inner = ",\n".join(f"{deeper}{json.dumps(key)}: {_lines(item, deeper)}" for key, item in value.items())
    return f"{{\n{inner}\n{indent}}}"


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(item, (dict, list)) for item in value.values())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidInput(f"key {_short(twice)} stands twice in one object")
    return result


def _no_constant(name: str) -> float:
    raise InvalidInput(f"{name} is not a number that JSON has")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InvalidInput(f"number {_short(text)} is out of range")
    return value


# --- records ----------------------------------------------------------------------------------------------------------


def encode(record: Any) -> Any:
    """A record as dictionaries, lists and plain values, fields in their order of declaration."""
    if dataclasses.is_dataclass(record):
        return {field.name: encode(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, dict):
        return {key: encode(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [encode(value) for value in record]
    return record


def decode(cls: Any, value: Any, where: str) -> Any:
    """The record of type ``cls`` that JSON value ``value`` describes.

    Raises:
        InvalidInput: a missing or unknown key, a wrong type, or a value out of range, with the path to it.
    """
    return decoder(cls)(value, where)


@cache
def decoder(kind: Hashable) -> Decoder:
    """The function that checks and builds values of a type. Built once: a board reads thousands of files."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _record_decoder(kind)
    if origin is Annotated:
        return _narrowed(decoder(arguments[0]), arguments[1])
    if origin is Literal:
        return _literal_decoder(arguments)
    if origin in (dict, list):
        read: Callable[..., Decoder] = _dict_decoder if origin is dict else _list_decoder
        return read(*map(decoder, arguments))
    if origin in (typing.Union, types.UnionType):
        (inner,) = (decoder(argument) for argument in arguments if argument is not types.NoneType)
        return lambda value, where: None if value is None else inner(value, where)
    return _PLAIN[kind]


def _record_decoder(kind: Any) -> Decoder:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    fields = [(name, decoder(hints[name])) for name in names]
    known, defaults = set(names), _defaults(kind)

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise InvalidInput(f"{where}: {_short(value)} is not an object")
        if value.keys() != known:
            value = defaults | value
            if value.keys() != known:
                _wrong_keys(value, names, where)
        return kind(*[read_field(value[name], f"{where}.{name}") for name, read_field in fields])

    return read


def _defaults(kind: Any) -> dict[str, Any]:
    """The JSON of fields that may be left away: those that a class was given later, so that older files still read."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = encode(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = encode(field.default_factory())
    return found


def _wrong_keys(value: dict[str, Any], names: list[str], where: str) -> None:
    for key in value:
        if key not in names:
            raise InvalidInput(f"{where}: {unknown('key', key[:80], names)}")
    missing = next(name for name in names if name not in value)
    raise InvalidInput(f"{where}: key {missing!r} is missing")


def _dict_decoder(read_key: Decoder, read_value: Decoder) -> Decoder:
    def read(value: Any, where: str) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise InvalidInput(f"{where}: {_short(value)} is not an object")
        return {read_key(key, where): read_value(item, f"{where}.{key[:80]}") for key, item in value.items()}

    return read


def _list_decoder(read_item: Decoder) -> Decoder:
    def read(value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidInput(f"{where}: {_short(value)} is not a list")
        return [read_item(item, f"{where}.{place}") for place, item in enumerate(value)]

    return read


def _literal_decoder(values: tuple[Any, ...]) -> Decoder:
    def read(value: Any, where: str) -> Any:
        if not any(value == allowed and type(value) is type(allowed) for allowed in values):
            raise InvalidInput(f"{where}: {_short(value)} is not one of: {', '.join(map(str, values))}")
        return value

    return read


def _narrowed(read: Decoder, rule: Text | Range) -> Decoder:
    if isinstance(rule, Text):
        pattern = re.compile(rule.pattern)

        def read_text(value: Any, where: str) -> str:
            text: str = value if isinstance(value, str) else read(value, where)
            if len(text) > rule.max_length or not pattern.fullmatch(text):
                raise InvalidInput(f"{where}: {_short(text)} is not a text of the form {rule.pattern}")
            return text

        return read_text

    low, high = rule.low, math.inf if rule.high is None else rule.high

    def read_number(value: Any, where: str) -> float:
        number: float = read(value, where)
        if not low <= number <= high:
            span = f"{rule.low} or more" if rule.high is None else f"between {rule.low} and {rule.high}"
            raise InvalidInput(f"{where}: {_short(number)} is not {span}")
        return number

    return read_number


def _read_str(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidInput(f"{where}: {_short(value)} is not a text of at most {MAX_TEXT} characters")
    return value


def _read_bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{where}: {_short(value)} is neither true nor false")
    return value


def _read_int(value: Any, where: str) -> int:
    if type(value) is not int:
        raise InvalidInput(f"{where}: {_short(value)} is not an integer")
    return value


def _read_float(value: Any, where: str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int and abs(value) < 2**53:
        return float(value)
    raise InvalidInput(f"{where}: {_short(value)} is not a number")


_PLAIN: dict[Any, Decoder] = {
    str: _read_str,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    Any: lambda value, where: value,
}


def _short(value: Any) -> str:
    # Error messages are one line, whatever stands in the file.
    text = json.dumps(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


# --- JSON Schema ------------------------------------------------------------------------------------------------------


def json_schema(kind: type[Any], *, title: str, description: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a record: every key without a default required, no other allowed."""
    definitions: dict[str, Any] = {}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        **_object_schema(kind, definitions),
    }
    return schema | {"$defs": dict(sorted(definitions.items()))}


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        assert isinstance(kind, type)
        name = kind.__name__
        if name not in definitions:
            definitions[name] = _object_schema(kind, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if origin is Annotated:
        return _schema(arguments[0], definitions) | _rule_schema(arguments[1])
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in (dict, list):
        return _container_schema(arguments, definitions)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (_schema(argument, definitions) for argument in arguments if argument is not types.NoneType)
        return {"anyOf": [inner, {"type": "null"}]}
    return dict(_PLAIN_SCHEMAS[kind])


def _container_schema(arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    """Of a list, which has one argument, or of a dictionary."""
    if len(arguments) == 1:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    keys = {key: item for key, item in _schema(arguments[0], definitions).items() if key != "type"}
    names = {"propertyNames": keys} if keys else {}
    return {"type": "object", "additionalProperties": _schema(arguments[1], definitions), **names}


def _rule_schema(rule: Text | Range) -> dict[str, Any]:
    if isinstance(rule, Text):
        return {"pattern": f"^(?:{rule.pattern})$", "maxLength": rule.max_length}
    return {"minimum": rule.low} | ({} if rule.high is None else {"maximum": rule.high})


def _object_schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    return {
        "type": "object",
        "properties": {name: _schema(hints[name], definitions) for name in names},
        "required": [name for name in names if name not in _defaults(kind)],
        "additionalProperties": False,
    }


_PLAIN_SCHEMAS: dict[Any, dict[str, Any]] = {
    str: {"type": "string", "maxLength": MAX_TEXT},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
}


Line = Annotated[str, Text(r"[^\x00-\x1f\x7f]*", 300)]


Positive = Annotated[int, Range(1)]


Seconds = Annotated[float, Range(0)]


Timestamp = Annotated[str, Text(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", 20)]
