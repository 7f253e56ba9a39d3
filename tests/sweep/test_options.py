"""A sweep's options."""

import time
from pathlib import Path

import pytest

from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput
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
