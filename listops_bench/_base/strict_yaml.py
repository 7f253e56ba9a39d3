"""YAML that means one thing: what YAML 1.1 and 1.2 read differently, or a stranger could hide something in, is refused.

    learning_rate: [1e-3, 0.002]     numbers, true, false and null as YAML 1.2's core schema and JSON have them
    tasks: [sum, sum_max_med]        all else is text
    steps: 010                       refused: 8 to one reader and 10 to another, as yes, 1:30, 0x10, 1_000, 2026-01-31

Nothing is shared or tagged (``&``, ``*``, ``!``), no key stands twice, every key is text, and size, depth, number and
length of what there is are bounded, so that reading takes no longer than a page of people takes.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from listops_bench._base.text import one_line
from listops_bench.errors import InvalidInput, shortened

MAX_BYTES, MAX_DEPTH = 200_000, 16
MAX_DIGITS = 18

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {"": None, "~": None} | {
    spelling: value
    for word, value in {"null": None, "true": True, "false": False}.items()
    for spelling in (word, word.capitalize(), word.upper())
}
_TWO_MEANINGS = re.compile(
    r"[-+]?0[0-9_]+|[-+]?0[box][0-9a-fA-F_]+"  # octal, binary, hexadecimal
    r"|[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?"  # 1_000
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # 1:30, in sixties
    r"|[-+]?0[0-9]+\.[0-9.eE+-]*"  # 01.5
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"  # dates
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    r"|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"
)


def loads(content: bytes, where: str) -> Any:
    """The value of a YAML page: mappings, lists, text, numbers, true, false and null.

    Args:
        where: stands in front of errors: ``"sweep file 'x.yaml'"``.

    Raises:
        InvalidInput: not YAML, or nothing that has one meaning; the line is named.
    """
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"{where}: {len(content):,} bytes; a page has {MAX_BYTES:,} at the most")
    try:
        return _document(bounded_events(content.decode("utf-8")))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{where} is not valid YAML: {one_line(error)}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from None


def bounded_events(text: str) -> list[Any]:
    """The events of YAML that a reader of plain values takes in no more time and memory than it has characters.

    Raises:
        InvalidInput: nested too deeply, or with anchors, aliases or tags.
        yaml.YAMLError: not YAML.
    """
    return list(_bounded(yaml.parse(text, Loader=yaml.SafeLoader)))


def _bounded(events: Any) -> Any:
    """The events, up to the first that goes too deep or means more than it says."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _refused(event, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused(event, "anchors (&) and aliases (*) are not read; write the value where it is meant")
        if getattr(event, "tag", None) is not None:
            raise _refused(event, f"tags such as {event.tag[:40]!r} are not read")
        yield event


def _document(events: list[Any]) -> Any:
    starts = [event for event in events if isinstance(event, yaml.DocumentStartEvent)]
    if len(starts) > 1:
        raise _refused(starts[1], "a second document begins; a page is one")
    if not starts:
        return None
    return _value(iter(events[2:]))


def _value(events: Any, event: Any = None) -> Any:
    event = event or next(events)
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_value(events, item))
        return items
    found: dict[str, Any] = {}
    while not isinstance(key_event := next(events), yaml.MappingEndEvent):
        if not isinstance(key_event, yaml.ScalarEvent) or not isinstance(key := _scalar(key_event), str):
            raise _refused(key_event, "a key that is no text")
        if key in found:
            raise _refused(key_event, f"key {key[:60]!r} stands twice in one mapping")
        found[key] = _value(events)
    return found


def _scalar(event: Any) -> Any:
    """What a scalar means: text where it is quoted or a block, and where it looks like nothing else."""
    text = event.value
    if event.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        if len(text.lstrip("+-")) > MAX_DIGITS:
            raise _refused(event, f"number {_short(text)} has more than {MAX_DIGITS} digits")
        return int(text)
    if _FLOAT.fullmatch(text):
        if not math.isfinite(number := float(text)):
            raise _refused(event, f"number {_short(text)} is out of range")
        return number
    if _TWO_MEANINGS.fullmatch(text):
        raise _refused(event, f"{_short(text)} is not the same to all readers; quote it, or write a plain number")
    return text


def _short(text: str) -> str:
    return repr(shortened(text, 60))


def _refused(event: Any, reason: str) -> InvalidInput:
    return InvalidInput(f"line {event.start_mark.line + 1}: {reason}")
