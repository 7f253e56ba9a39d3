"""Sweeps where there is no fcntl, no fork, no group of processes and no alarm, as on Windows (make check-all)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import ROOT, environment


@pytest.mark.check_all
@pytest.mark.slow
def test_the_tests_of_sweeps_pass_on_a_platform_that_lacks_what_windows_lacks(tmp_path: Path) -> None:
    """Those of locks, processes and sweeps, but for those that themselves fork, send signals or make a FIFO."""
    own = environment(PYTHONPATH=f"{ROOT / 'tests' / 'support' / 'bare_platform'}{os.pathsep}{ROOT}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore:only soft:UserWarning"]
    command += [
        f"--basetemp={tmp_path / 'temp'}",
        "tests/sweep",
        "tests/runs",
        "-m",
        "not check_all",
        "-k",
        "not alarm and not FIFO",
    ]
    done = subprocess.run(command, cwd=ROOT, env=own | {"CI": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 100
