"""Where a run took place: package versions, the code's commit, the hardware."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from listops_bench._base.version import __version__
from listops_bench.runs.record import Environment

_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors", "numpy", "numba")


def environment(device: torch.device) -> Environment:
    """Where this process runs on a device; commit and dirty are None outside a git checkout."""
    commit, dirty = _git_state(Path(__file__).resolve().parent.parent)
    return Environment(_versions(), commit, dirty, _hardware(device))


def _versions() -> dict[str, str]:
    versions = {"listops_bench": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _git_state(package: Path) -> tuple[str | None, bool | None]:
    if shutil.which("git") is None or not (package.parent / ".git").exists():
        return None, None
    commit = _git(package, "rev-parse", "HEAD")
    status = _git(package, "status", "--porcelain", "--", str(package))
    return commit or None, None if status is None else bool(status)


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            # Without it, `status` writes the index, and leaves its lock in the checkout when it is killed meanwhile.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _hardware(device: torch.device) -> str:
    """``"AMD EPYC, 1 of 2 cores"`` or ``"NVIDIA H200"``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    return f"{_cpu_name()}, {cores}" if device.type == "cpu" else f"{device.type}, {_cpu_name()}"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
