"""Commands as a user gives them: the installed scripts of this environment, in a directory of one's choice."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
"""Runs the command line in this process: exit code, output and errors. The fixture ``command`` is one."""


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Begins a command in a new directory."""
    folder.mkdir()
    script = Path(sys.executable).with_name(words[0])
    command = [str(script), *words[1:]]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    """What it printed, once it has ended well."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def run(*words: str) -> str:
    """Runs a command and returns what it printed on stdout."""
    script = Path(sys.executable).with_name(words[0])
    done = subprocess.run([str(script), *words[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a new process in an empty directory, with a cache of its own."""
    environment = {**os.environ, "HF_HOME": str(cwd / "hf"), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
