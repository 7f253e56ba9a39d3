"""Files that are whole or not there, and what is said of those that cannot be used."""

import errno
import fcntl
import json
import os
import sys
from pathlib import Path

import pytest

from listops_bench._base.files import files_below, read_bytes, read_json, read_yaml, take_lock, write_atomic
from listops_bench.cli.command import main
from listops_bench.errors import EnvironmentFailed, InvalidInput, file_error


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((number, InvalidInput) for number in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)),
        *((number, EnvironmentFailed) for number in (errno.EACCES, errno.ENOSPC, errno.EIO)),
    ],
)
def test_a_wrong_name_is_bad_input_and_everything_else_the_environment(number: int, kind: type[Exception]) -> None:
    error = file_error("read result", "a/b.json", OSError(number, "No luck"))
    assert type(error) is kind
    assert str(error) == "cannot read result 'a/b.json': No luck"


def test_the_command_says_which_it_was(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object, **__: object) -> None:
        raise EnvironmentFailed("cannot write 'out': No space left on device")

    monkeypatch.setattr("listops_bench.dataset.release.export", full)
    assert main(["export", "out"]) == 3
    assert capsys.readouterr().err == "error: cannot write 'out': No space left on device\n"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, "old")
    with pytest.raises(TypeError):
        write_atomic(path, 3)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    write_atomic(path, b"new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_only_one_holds_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    held = take_lock(path)
    assert held
    assert take_lock(path) is None
    held.release()
    assert take_lock(path) is not None
    with pytest.raises(InvalidInput, match="cannot write"):
        take_lock(path / "below" / "a file")


def test_a_lock_needs_no_fcntl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    held = take_lock(tmp_path / "lock")
    assert held
    assert take_lock(tmp_path / "lock") is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """As on some network mounts: it is not taken for a lock that another process holds, nor for one that is held."""

    def flock(handle: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(EnvironmentFailed, match="no locks that end with a process"):
        take_lock(tmp_path / "lock")


def test_what_is_read_is_bounded_and_well_formed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"a": 1, "a": 2}')
    assert len(read_bytes(path, max_bytes=16)) == 16
    with pytest.raises(InvalidInput, match="larger than 15 bytes"):
        read_bytes(path, max_bytes=15)
    with pytest.raises(InvalidInput, match="twice"):
        read_json(path)
    path.write_bytes(b"a: [\xff")
    with pytest.raises(InvalidInput, match="not valid YAML"):
        read_yaml(path, kind="page")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"1e400", "out of range"),
        (b"9" * 41, "digits"),
        (b"-" + b"9" * 10_000, "digits"),
        (b"[" * 65 + b"]" * 65, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b"[" * 100_000, "nested"),
        (rb'"\ud800"', "surrogate"),
        (rb'{"\uDFFF": 1}', "surrogate"),
        (b'"\xed\xa0\x80"', "not valid JSON"),
        ("{}".encode("utf-16"), "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"", "not valid JSON"),
    ],
)
def test_json_that_is_not_strict_is_refused_by_one_line_that_names_the_file(
    text: bytes, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(text)
    with pytest.raises(InvalidInput, match=reason) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 150


def test_json_that_is_strict_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    text = '{"a": [1.5, -0, true, null, "\\ud83d\\ude00", "\\\\ud800"], "b": ' + "9" * 40 + "}"
    path.write_text(text)
    assert read_json(path) == json.loads(text)
    path.write_text("[" * 64 + "]" * 64)
    read_json(path)


def test_a_key_that_stands_twice_is_found_among_many(tmp_path: Path) -> None:
    path, keys = tmp_path / "file.json", 100_000  # with every pair compared, this takes minutes
    path.write_text("{" + "".join(f'"{i}": 0, ' for i in range(keys)) + f'"{keys - 1}": 0}}')
    with pytest.raises(InvalidInput, match=f'"{keys - 1}" stands twice'):
        read_json(path)


def test_a_file_is_regular_and_where_it_seems_to_be(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_text("1")
    (folder / "inside").write_text("2")
    os.mkfifo(folder / "fifo")
    for name, place in {"good": "inside", "out": "../outside", "device": "/dev/zero", "loop": "loop"}.items():
        (folder / name).symlink_to(place)
    assert read_json(folder / "good", within=folder) == 2
    assert read_json(folder / "out") == 1
    for name in ("out", "device", "loop", "fifo", ".", "missing"):
        with pytest.raises(InvalidInput):
            read_json(folder / name, within=folder)
    with pytest.raises(InvalidInput, match="not a regular file"):
        read_bytes(folder / "device", max_bytes=10)


def test_what_is_no_character_is_written_as_its_number(tmp_path: Path) -> None:
    name = os.fsdecode(b"a-name-of-bytes-\xff")
    write_atomic(tmp_path / "page", f"<p>é {name}</p>")
    assert (tmp_path / "page").read_text(encoding="utf-8") == "<p>é a-name-of-bytes-\\udcff</p>"


def test_files_below_a_folder_are_found_however_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "b").write_text("")
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):  # deeper than Python calls itself
        os.mkdir("d")
        os.chdir("d")
    try:
        Path("last").write_text("")
        found = files_below(tmp_path)
    finally:  # what clears temporary folders does not go so deep either
        Path("last").unlink()
        for _ in range(1200):
            os.chdir("..")
            os.rmdir("d")
    assert [path.name for path in found] == ["up", "b", "last"]
    assert len(found[-1].relative_to(tmp_path).parts) == 1201
    assert files_below(tmp_path / "nothing") == []
