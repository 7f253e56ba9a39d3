"""Limits on what strangers have us compute, in the process of a command."""

import resource
from pathlib import Path

import numpy as np
import pytest

from listops_bench._base.limits import limits_of_strangers
from listops_bench.errors import EnvironmentFailed, InvalidInput
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record


def test_memory_is_limited_and_given_back() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(InvalidInput, match=r"^x cannot be run: .+$"), limits_of_strangers("x", 2**20):
        np.ones(2**27)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), EnvironmentFailed("x"), InvalidInput("x")])
def test_errors_that_say_more_are_left_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, limits_of_strangers("x"):
        raise error
    assert caught.value is error


def test_a_model_that_fails_when_it_is_run_is_one_line(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not fit\nsomewhere")

    folder = str(make_taciturn_checkpoint(tmp_path / "c", run_record("max:30")))
    monkeypatch.setattr("listops_bench.evaluate.run.predict", fails)
    monkeypatch.setattr("listops_bench.analysis.study.open_checkpoint", fails)
    for verb, more in {"evaluate": [], "push": ["org/c", "--dry-run"], "analyze": ["--output-dir", "x"]}.items():
        code, _, err = command(verb, folder, *more)
        assert (code, err.splitlines()[-1].partition("run: ")[2]) == (2, "RuntimeError: shapes do not fit somewhere")
        assert "Traceback" not in err
