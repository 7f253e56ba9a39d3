"""Strangers' checkpoints in a process of their own: what goes wrong there is one line here."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.checkpoint import architecture, open_checkpoint
from listops_bench.evaluate.examiner import Examiner, examiner
from listops_bench.evaluate.run import evaluate_checkpoint, split_rows
from listops_bench.model.ladder import parameter_counts
from tests.fuzz import traps
from tests.fuzz.mutations import write_all
from tests.support.fake_checkpoints import make_checkpoint, make_taciturn_checkpoint, run_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_taciturn_checkpoint(tmp_path_factory.mktemp("checkpoints") / "first", run_record("sum:30"))


def test_it_says_what_this_process_would(folder: Path) -> None:
    here = open_checkpoint(folder)
    there = examiner().look(folder)
    assert (there.identity, there.recipe, there.training) == (here.identity, here.recipe, here.training)
    assert (there.parameters, there.architecture) == (parameter_counts(here.model), architecture(here.model.config))
    seen: list[tuple[str, str]] = []
    splits = ["validation", "test_unseen_operands"]
    (found,) = examiner().score(folder, None, splits, on_split=lambda *place: seen.append(place), track="open")
    (own,) = evaluate_checkpoint(folder, None, splits)
    assert (found.splits, found.model, found.parameters) == (own.splits, own.model, own.parameters)
    assert seen == [("sum", split) for split in splits]
    assert examiner().rows("sum", "validation", 40, "single") == split_rows("sum", "validation", 40, "single")


def test_a_model_from_the_hub_keeps_its_name(folder: Path) -> None:
    (found,) = examiner().score(folder, ["sum"], ["validation"], model_id="org/first", revision="0" * 40)
    assert (found.model.id, found.model.revision) == ("org/first", "0" * 40)


def test_other_weights_than_those_that_were_looked_at_are_not_scored(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="other weights than it had"):
        examiner().score(folder, ["sum"], ["validation"], weights_sha256="0" * 64)


def test_what_is_wrong_is_said_and_the_next_question_answered(folder: Path, tmp_path: Path) -> None:
    for asked in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InvalidInput, match="checkpoint"):
            examiner().look(asked)
    with pytest.raises(InvalidInput, match="unknown task 'smu'"):
        examiner().score(folder, ["smu"], ["validation"])
    assert examiner().look(folder).recipe.seed == 3


@pytest.mark.check_all
def test_a_process_that_ends_is_one_line_and_is_replaced_by_one_that_imports_nothing_from_the_working_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = examiner()
    with pytest.raises(InvalidInput, match=r"ended the process that was asked \(signal 9"):
        one.score(folder, ["sum"], ["validation"], on_split=lambda *_: os.kill(one.pid or 0, signal.SIGKILL))
    assert one.pid is None
    canary = tmp_path / "canary"
    write_all(tmp_path, {f"{name}.py": traps.python(canary) for name in traps.IN_THE_WAY})
    monkeypatch.chdir(tmp_path)
    assert one.look(folder).recipe.seed == 3
    assert not canary.exists()


def test_a_folder_is_where_the_asker_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert examiner().look(Path(folder.name)).recipe.seed == 3


def test_a_forked_process_asks_one_of_its_own(folder: Path) -> None:
    examiner().look(folder)
    mine, pid = examiner(), examiner().pid
    child = os.fork()
    if child == 0:
        mine.close()
        os._exit(0 if examiner() is not mine and examiner().pid is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (examiner().look(folder).recipe.seed, examiner().pid) == (3, pid)


def test_silence_and_memory_have_limits_and_secrets_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    large = make_checkpoint(tmp_path / "large", run_record("sum:30"), "looped_d256")
    quick = Examiner(seconds=0.01)
    with pytest.raises(InvalidInput, match=r"took more than 0 s"):
        quick.look(large)
    assert quick.pid is None
    small = Examiner(memory_bytes=2**20)
    try:
        with pytest.raises(InvalidInput, match=r"cannot be run|cannot be read|ended the process"):
            small.look(large)
        small.start()
        assert b"hf_of_somebody" not in Path(f"/proc/{small.pid}/environ").read_bytes()
    finally:
        small.close()


def test_it_ends_with_whoever_asks() -> None:
    code = """
import os, signal
from listops_bench.evaluate.examiner import examiner
examiner().start()
print(examiner().pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    assert done.returncode == -signal.SIGKILL
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:  # it has gone already
        return
    ended, _, _ = select.select([watched], [], [], 60)
    os.close(watched)
    assert ended
