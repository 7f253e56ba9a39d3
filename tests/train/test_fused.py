"""The fused kernels compute what the plain path computes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from listops_bench.model.ladder import load_config
from listops_bench.train.packed import _fused
from tests.support import fused


@pytest.mark.triton
def test_interpreted_they_are_as_exact_as_float32(requires: Callable[[str], None]) -> None:
    requires("triton")
    program = [sys.executable, fused.__file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    lines = subprocess.run(program, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert len(found) == len(fused.CASES)
    for case in found:
        assert case.pop("same_bits")
        assert max(case.values()) < 2e-6, case


def test_what_the_kernels_do_not_compute_takes_the_plain_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fused, "find_spec", lambda name: name)
    for name, can in (("looped_d032", True), ("looped_rope_d128", True), ("looped_d192", False), ("nrgpt_d032", False)):
        assert _fused.supported(load_config(name), "float32", torch.device("cuda"), 128) == can
    assert not _fused.supported(load_config("looped_d032"), "float32", torch.device("cuda"), 129)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "case", [*fused.CASES, {"hidden_size": 48}, {"hidden_size": 64, "positions": "rotary"}, {"hidden_size": 96}]
)
@pytest.mark.parametrize(("precision", "error"), [("float32", 5e-6), ("tf32", 3e-2), ("bf16", 1e-1)])
def test_on_a_gpu_they_are_as_exact_as_their_products(case: dict[str, Any], precision: str, error: float) -> None:
    found = fused.compare("cuda", precision, **case)
    assert found.pop("same_bits")
    assert max(found.values()) < error, found
