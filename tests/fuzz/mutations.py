"""Changes to honest input, drawn from a generator: to JSON and YAML values, to text, to files and to safetensors.

``random.Random(seed)`` repeats a failure; in hypothesis, ``st.randoms(use_true_random=False)`` shrinks one.
"""

from __future__ import annotations

import copy
import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

DEEP: list[Any] = []
for _ in range(80):
    DEEP = [DEEP]

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 255, 256, 10**5, 2**31, 2**53 + 1, 2**63, 10**18, 10**309, -(10**20)),
    *(0.0, -0.0, 0.5, 1.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), 10**4000),
    *("", " ", "0", "1", "None", "true", "inf", "1e999", "x" * 70_000, "9" * 5000, "é", "\N{RIGHT-TO-LEFT OVERRIDE}x"),
    *(
        "\ud800",
        "\x00",
        "a\n::error::b\n0 of 0",
        "\x1b[31m",
        "<script>alert(1)</script>",
        "{{7*7}}",
        "[a](javascript:x)",
    ),
    *("../../../x", "/etc/passwd", "/dev/zero", "org/name", "org/a--b", "http://127.0.0.1:9/x", "=1+1", "１２", "1_0"),
    *([], {}, [[]], [1, 2], {"": {}}, {"a": 1}, [None] * 300, DEEP, "looped_d008", "sum", "test", "-", "__class__"),
)
"""What stands for a value of another type, out of range, or of a meaning of its own somewhere."""


def changed_value(draw: Random, value: Any, values: tuple[Any, ...] = VALUES) -> Any:
    """A copy of a JSON value with one place of it changed."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places or draw.random() < 0.02:
        return draw.choice(values)
    holder, key = draw.choice(places)
    _CHANGES[draw.randrange(len(_CHANGES))](draw, holder, key, values)
    return value


def _places(value: Any, depth: int = 0) -> Any:
    """Every (container, key or index) in a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items if depth < 12 else ():
        yield value, key
        yield from _places(inner, depth + 1)


Change = Callable[[Random, Any, Any, tuple[Any, ...]], None]


def _replace(draw: Random, holder: Any, key: Any, values: tuple[Any, ...]) -> None:
    holder[key] = draw.choice(values)


def _near(draw: Random, holder: Any, key: Any, values: tuple[Any, ...]) -> None:
    """Another number of the same size, or another text of the same kind."""
    old = holder[key]
    if (
        isinstance(old, bool)
        or not isinstance(old, int | float | str)
        or (not isinstance(old, str) and abs(old) > 1e300)
    ):
        holder[key] = draw.choice(values)
    elif isinstance(old, str):
        holder[key] = changed_text(draw, old)
    else:
        holder[key] = draw.choice([old + 1, old - 1, old * 2, -old, old * 1000, str(old), float(old), old / 2, [old]])


def _delete(draw: Random, holder: Any, key: Any, values: tuple[Any, ...]) -> None:
    del holder[key]


def _rename(draw: Random, holder: Any, key: Any, values: tuple[Any, ...]) -> None:
    if isinstance(holder, dict):
        holder[changed_text(draw, str(key))] = holder.pop(key)
    else:
        holder.insert(key, holder[key])


def _add(draw: Random, holder: Any, key: Any, values: tuple[Any, ...]) -> None:
    if isinstance(holder, dict):
        holder[draw.choice(["extra", "", "a\nb", "\x1b[2J", "__proto__", "x" * 500, f"{key} "])] = draw.choice(values)
    else:
        holder.append(draw.choice(values))


def _swap(draw: Random, holder: Any, key: Any, values: tuple[Any, ...]) -> None:
    other = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], holder[key]


_CHANGES: tuple[Change, ...] = (_replace, _replace, _near, _near, _near, _delete, _rename, _add, _swap)


# --- text -------------------------------------------------------------------------------------------------------------

PIECES = (
    *(
        "\x00",
        "\n",
        "\r",
        "\t",
        "\u2028",
        "\ufeff",
        "é",
        "１",
        "\x1b[31m",
        "::error::",
        '"',
        "'",
        "\\",
        "{",
        "}",
        "[",
        "]",
    ),
    *(
        "(",
        ")",
        ":",
        ",",
        "/",
        "..",
        "*",
        "+",
        "-",
        "%",
        "&",
        "=",
        "|",
        "#",
        "!",
        "<<",
        "~",
        "0",
        "9" * 5000,
        "1e999",
        "0x10",
    ),
    *(
        "_",
        "sum",
        "max",
        "mod",
        "depth",
        "until",
        "SUM",
        "nan",
        "None",
        "true",
        " ",
        "," * 3000,
        "[" * 3000,
        "{a: " * 500,
    ),
)


def changed_text(draw: Random, text: str, pieces: tuple[str, ...] = PIECES) -> str:
    """A text with something put in, taken out, repeated or moved."""
    start, end = sorted(draw.randrange(len(text) + 1) for _ in range(2))
    end = draw.choice([start, min(start + 1, len(text)), end])
    middle = draw.choice(["", draw.choice(pieces), text[start:end] * draw.choice([2, 3, 50]), text[start:end][::-1]])
    return text[:start] + middle + text[end:]


def changed_bytes(draw: Random, content: bytes) -> bytes:
    """A file's content cut off, overwritten, encoded otherwise, or with a number of its own length."""
    place = draw.randrange(len(content) + 1)
    junk = bytes(draw.randrange(256) for _ in range(draw.choice([1, 1, 4, 64])))
    return draw.choice(
        [
            content[:place],
            content[:place] + junk + content[place + len(junk) :],
            content[:place] + junk + content[place:],
            content * 2,
            b"",
            b"\xef\xbb\xbf" + content,
            content.decode("utf-8", "replace").encode("utf-16"),
            content[:place] + b"\x00" * 100 + content[place:],
            content[:place] + b"9" * 6000 + content[place:],
            content[:place] + b"[" * 200_000 + content[place:],
            content + b"\n" * 1_000_000,
        ]
    )


def json_bytes(draw: Random, value: Any) -> bytes:
    """A value as JSON, now and then with a key twice, or spoiled as bytes."""
    text = json.dumps(value, indent=draw.choice([None, 1]), ensure_ascii=draw.random() < 0.9)
    if draw.random() < 0.05 and isinstance(value, dict) and value:
        key = draw.choice(list(value))
        text = f"{{{json.dumps(key)}: {json.dumps(draw.choice(VALUES[:6]))}, {text[1:]}"
    content = text.encode("utf-8", "surrogatepass")
    return changed_bytes(draw, content) if draw.random() < 0.1 else content


# --- files ------------------------------------------------------------------------------------------------------------


def content_of(path: Path) -> bytes | None:
    """What a file holds; None where it is none any more, or too large."""
    good = path.is_file() and not path.is_symlink() and path.stat().st_size < 10**7
    return path.read_bytes() if good else None


def spoil_file(draw: Random, path: Path) -> None:
    """Makes of a file something that is none, or another one."""
    content = content_of(path) or b""
    kind = draw.randrange(10)
    if path.is_dir() and not path.is_symlink():
        return
    path.unlink(missing_ok=True)
    if kind == 0:
        path.mkdir(exist_ok=True)
    elif kind == 1:
        os.mkfifo(path)
    elif kind in (2, 3):
        path.symlink_to(draw.choice(["/dev/zero", "../../../../outside", path.name, "/dev/stdin", "nowhere", "."]))
    elif kind == 4:
        with path.open("wb") as file:
            file.truncate(draw.choice([10**7, 10**9, 10**11]))  # sparse: takes no room on the disk
    elif kind < 9:
        path.write_bytes(changed_bytes(draw, content))


def changed_weights(draw: Random, content: bytes) -> bytes:
    """Weights with another header, other numbers, or spoiled as bytes."""
    try:
        return _changed_safetensors(draw, content) if draw.random() < 0.8 else changed_bytes(draw, content)
    except (ValueError, LookupError, TypeError, AttributeError, struct.error):  # they were changed before
        return changed_bytes(draw, content)


def _changed_safetensors(draw: Random, content: bytes) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    name, other = draw.choice(names), draw.choice(names)
    kind = draw.randrange(14)
    if kind == 0:
        header = changed_value(draw, header)
    elif kind == 1:
        header[name]["dtype"] = draw.choice(["F64", "F16", "BF16", "I8", "U8", "BOOL", "I64", "F8_E4M3", "X", 5])
    elif kind == 2:
        header[name]["shape"] = draw.choice(
            [[0], [2**40, 2**40], [-1], [], header[name]["shape"][::-1], "x", [1] * 999]
        )
    elif kind == 3:
        header[name]["data_offsets"] = draw.choice([header[other]["data_offsets"], [0, 10**18], [5, 1], [-1, 3], "x"])
    elif kind == 4:
        header[draw.choice([other + ".copy", "lm_head.weight", "x", "", "a\nb"])] = header[name]
    elif kind == 5:
        header[draw.choice(["lm_head.weight", other, "y"])] = header.pop(name)
    elif kind == 6:
        header["__metadata__"] = draw.choice([{"format": "tf"}, {"a": "b" * 10**6}, 5, {"x": 1}, {}, None])
    elif kind == 7:
        del header[name]
    elif kind == 8:
        number = draw.choice([float("nan"), float("inf"), 0.0, 1e30, -1.0])
        data = struct.pack("<f", number) * (len(data) // 4)
    elif kind == 9:
        data = changed_bytes(draw, data)
    elif kind == 10:
        head = json.dumps(header).encode()
        return struct.pack("<Q", draw.choice([0, 1, length - 1, length + 1, 10**8, 2**63, 2**64 - 1])) + head + data
    elif kind == 11:
        header = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(20_000)} | header
    elif kind == 12:
        header["more"] = {"dtype": "F32", "shape": [1000], "data_offsets": [len(data), len(data) + 4000]}
        data += b"\x00" * 4000
    else:
        place = draw.randrange(len(data) // 4) * 4
        data = data[:place] + struct.pack("<f", draw.choice([0.0, 1.0, float("nan"), 3e38])) + data[place + 4 :]
    head = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(head)) + head + data


def write_all(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Files by their names below a folder, never through a link; folders of these names stay."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            continue
        path.unlink(missing_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
