"""A sweep's options."""

import time
from pathlib import Path

import pytest

from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput
from listops_bench.sweep.command import main
from listops_bench.sweep.options import Options


def test_a_time_limit_counts_from_when_the_options_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    options, endless = Options("page.yaml", time_limit=60.0), Options("page.yaml")
    for passed, left in ((0, 60), (15, 45), (60, 1e-3), (1000, 1e-3)):
        now = options.begun + passed
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        assert options.seconds_left == pytest.approx(left)
    assert endless.seconds_left is None


def test_a_page_that_ships_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options("demo").page == resource_path("leaderboard", "sweeps", "demo.yaml")
    assert Options("demo").folder == Path("runs/demo")
    assert Options("pages/own.yaml").page == Path("pages/own.yaml")
    with pytest.raises(InvalidInput, match="unknown sweep 'dmo'; did you mean 'demo'"):
        _ = Options("dmo").page


@pytest.mark.parametrize("flag", ["--plan", "--workers=2"])
def test_a_launcher_is_told_which_command_plans(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", flag]) == 2
    told = f"{flag.partition('=')[0]} goes with `listops-bench sweep`; what a launcher starts trains and scores"
    assert capsys.readouterr().err == f"error: {told}\n"
