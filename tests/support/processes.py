"""Waiting for what other processes do."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

WAIT_SECONDS = 120.0

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the test forks")


def eventually(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> bool:
    """Whether something becomes true before time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
