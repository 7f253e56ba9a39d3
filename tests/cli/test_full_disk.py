"""A disk that takes no more, under every command that writes: one line that names the file, and exit code 3."""

import threading
from pathlib import Path

import pytest

from listops_bench.cli.command import build_parser
from listops_bench.train._processes import quiet_trackers
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record
from tests.support.fake_results import demo_results, write
from tests.support.full_disk import files_of_at_most

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


SLOW = {name: [pytest.mark.check_all] if name in ("analyze", "export") else [] for name in WRITES}


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in SLOW.items()])
def test_a_full_disk_is_one_line(name: str, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_taciturn_checkpoint(tmp_path / "c", run_record("max:30"))
    write(tmp_path / "results", demo_results()[:4])
    with files_of_at_most(100):
        code, _, err = command(*WRITES[name])
    assert code == 3, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: ")
    assert "File too large" in err.splitlines()[-1]
    assert "new" in err.splitlines()[-1]


READ = {"--results", "--runs", "--checkpoints", "--analysis"}
"""The flags that name a file or folder to read; all others name one to write."""


def places() -> list[tuple[list[str], str]]:
    """The words of a verb, with what it always needs, and each of its flags for a place to write."""
    verbs = dict(build_parser().verbs)
    verbs |= {f"leaderboard {name}": verb for name, verb in verbs["leaderboard"].verbs.items()}
    found = []
    for name, verb in verbs.items():
        flags = {one.option_strings[-1]: one for one in verb._actions if one.option_strings}
        to_write = [flag for flag, one in flags.items() if one.metavar in ("DIR", "FILE", "TAR") and flag not in READ]
        needed = [word for flag, one in flags.items() if one.required and flag not in to_write for word in (flag, "x")]
        found += [([*name.split(), *needed], flag) for flag in to_write]
    return found


def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where a folder should be, and a disk that takes nothing: whatever else stands in the line."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    assert len(places()) >= 12
    for words, flag in places():
        code, _, err = command(*words, flag, "file/below/it")
        assert (code, err.startswith("error: argument"), flag in err) == (2, True, True), (words, flag, err)
        assert "file/below" in err
    for words, flag in places():
        with files_of_at_most(0):
            code, _, err = command(*words, flag, "new/below/it")
        assert (code, err.count("\n"), "File too large" in err) == (3, 1, True), (words, flag, err)
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
