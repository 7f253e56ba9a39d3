"""A disk that takes no more, under every command that writes: one line that names the file, and exit code 3."""

import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from listops_bench.cli.command import build_parser
from listops_bench.train._processes import quiet_trackers
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record
from tests.support.fake_results import demo_results, write

SCORE = ["evaluate", "c", "--task", "max", "--split", "validation", "--num-rows", "4"]
WRITES = {
    "build": ["leaderboard", "build", "results", "--output-dir", "new"],
    "claims": ["leaderboard", "claims", "results", "--output", "new/CLAIMS.md"],
    "lm-eval-path": ["lm-eval-path", "--write", "new", "--task", "sum"],
    "export": ["export", "new", "--task", "max"],
    "evaluate": [*SCORE, "--output-dir", "new"],
    "predictions": [*SCORE, "--predictions-dir", "new"],
    "analyze": ["analyze", "c", "--output-dir", "new", "--num-rows", "4"],
    "store": ["leaderboard", "store", "c", "--output-dir", "new"],
    "train": ["train", "--task", "max", "--model", "looped_d008", "--steps", "2", "--output-dir", "new"],
}  # fmt: skip


@pytest.fixture
def full() -> Iterator[None]:
    """No file grows beyond some bytes, whoever writes it and in whatever language."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


SLOW = {name: [pytest.mark.check_all] if name in ("analyze", "export") else [] for name in WRITES}


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in SLOW.items()])
@pytest.mark.usefixtures("full")
def test_a_full_disk_is_one_line(name: str, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_taciturn_checkpoint(tmp_path / "c", run_record("max:30"))
    write(tmp_path / "results", demo_results()[:4])
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    code, _, err = command(*WRITES[name])
    assert code == 3, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: ")
    assert "File too large" in err.splitlines()[-1]
    assert "new" in err.splitlines()[-1]


READ = {"--results", "--runs", "--checkpoints", "--analysis"}
"""The flags that name a file or folder to read; all others name one to write."""


def places() -> list[tuple[str, str]]:
    verbs = dict(build_parser().verbs)
    verbs |= {f"leaderboard {name}": verb for name, verb in verbs["leaderboard"].verbs.items()}
    flags = [
        (name, one) for name, verb in verbs.items() for one in verb._actions if one.metavar in ("DIR", "FILE", "TAR")
    ]
    found = [(name, one.option_strings[-1]) for name, one in flags if one.option_strings]
    return [(name, flag) for name, flag in found if flag not in READ]


def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    full: None, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where a folder should be, and a disk that takes nothing: whatever else stands in the line."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    assert len(places()) >= 12
    for name, flag in places():
        code, _, err = command(*name.split(), flag, "file/below/it")
        assert (code, err.startswith("error: argument"), flag in err) == (2, True, True), (name, flag, err)
        assert "file/below" in err
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    for name, flag in places():
        code, _, err = command(*name.split(), flag, "new/below/it")
        assert (code, err.count("\n"), "File too large" in err) == (3, 1, True), (name, flag, err)
    assert not Path("new").exists()


def test_a_trackers_thread_says_nothing_of_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda found: said.append(found.exc_value))

    def fail(error: Exception) -> None:
        raise error

    defect = KeyError("a defect")
    with quiet_trackers():
        for error in (OSError(28, "No space left on device"), defect):
            thread = threading.Thread(target=fail, args=(error,))
            thread.start()
            thread.join()
    assert said == [defect]
