"""A sweep's options."""

import time

import pytest

from listops_bench.sweep.options import Options


def test_a_time_limit_counts_from_when_the_options_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    options, endless = Options("page.yaml", time_limit=60.0), Options("page.yaml")
    for passed, left in ((0, 60), (15, 45), (60, 1e-3), (1000, 1e-3)):
        now = options.begun + passed
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        assert options.seconds_left == pytest.approx(left)
    assert endless.seconds_left is None
