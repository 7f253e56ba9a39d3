"""Limits on what strangers have us compute, in the process of a command."""

import resource
import signal
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import NoReturn

import numpy as np
import pytest

from listops_bench._base.limits import limits_of_strangers
from listops_bench.errors import EnvironmentFailed, InvalidInput, OutOfTime
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record


def test_memory_is_limited_and_given_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(InvalidInput, match=r"^x cannot be run: .+$"), limits_of_strangers("x", 2**20):
        np.ones(2**27)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def for_ever(*_: object, **__: object) -> NoReturn:
    # The rest of what time there is passes at once: an alarm elsewhere could leave a lock of logging's taken for good.
    signal.setitimer(signal.ITIMER_REAL, 0.01, 10)
    while True:
        with suppress(Exception):
            for _ in iter(int, 1):
                pass


def test_time_is_limited_and_nothing_on_the_way_takes_it_for_a_failure() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(OutOfTime, match=r"^x took more than 300 s .+$"), limits_of_strangers("x", seconds=300):
        for_ever()
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (before, (0, 0))


def test_each_split_has_its_time() -> None:
    with limits_of_strangers("x", seconds=1000) as begin:
        signal.setitimer(signal.ITIMER_REAL, 500)
        begin()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900


def test_a_thread_has_no_alarm_and_works() -> None:
    done: list[int] = []

    def work() -> None:
        with limits_of_strangers("x", seconds=0.001) as begin:
            begin()
            done.append(1)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), EnvironmentFailed("x"), InvalidInput("x")])
def test_errors_that_say_more_are_left_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, limits_of_strangers("x"):
        raise error
    assert caught.value is error


VERBS = {
    "evaluate": [],
    "push": ["org/c", "--dry-run"],
    "analyze": ["--output-dir", "x"],
    "import-lm-eval": ["--output-dir", "x"],
}


def test_a_model_that_fails_when_it_is_run_or_runs_for_ever_is_one_line(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not fit\nsomewhere")

    folder = str(make_taciturn_checkpoint(tmp_path / "c", run_record("max:30")))
    for does, more, exit_code, said in (
        (fails, [], 2, "cannot be run: RuntimeError: shapes do not fit somewhere"),
        (for_ever, ["--time-limit", "300"], 4, "took more than 300 s"),
    ):
        monkeypatch.setattr("listops_bench.evaluate.run.predict_many", does)
        monkeypatch.setattr("listops_bench.analysis.study.open_checkpoint", does)
        monkeypatch.setattr("listops_bench.harness.lm_eval_import.import_lm_eval", does)
        for verb, needed in VERBS.items():
            code, _, err = command(verb, folder, *needed, *more)
            assert (code, said in err.splitlines()[-1]) == (exit_code, True), err
            assert "Traceback" not in err
