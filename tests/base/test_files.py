"""Files that are whole or not there, and what is said of those that cannot be used."""

import errno
from pathlib import Path

import pytest

from listops_bench._base.files import read_bytes, read_json, read_yaml, take_lock, write_atomic
from listops_bench.cli.command import main
from listops_bench.errors import EnvironmentFailed, InvalidInput, file_error


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *((number, InvalidInput) for number in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)),
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
