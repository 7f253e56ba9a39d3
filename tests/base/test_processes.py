"""Processes side by side: all are run, failures are noted, none outlives its parent."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from listops_bench._base import stopping
from listops_bench._base.processes import Command, own_imports, own_python, run_commands, without_secrets
from tests.support.processes import WAIT_SECONDS, alive, eventually


def job(tmp_path: Path, name: str, code: str) -> Command:
    return Command(name, [sys.executable, "-c", textwrap.dedent(code)], tmp_path / "logs" / f"{name}.txt")


def run(jobs: list[Command], at_once: int = 2, **options: object) -> None:
    run_commands(jobs, at_once=at_once, environment=os.environ, interval=0.01, **options)  # type: ignore[arg-type]


BESIDE = """
import os, signal, sys, threading
from listops_bench._base import beside as module
module.usable_cores = lambda: 2
here, memory = os.getpid(), [1]

def fails():
    raise ValueError("of the copy")

def dies():
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done here"

memory.append(2)
pid, failing, dying = module.beside(lambda: (os.getpid(), memory)), module.beside(fails), module.beside(dies)
assert pid() == pid() and pid()[1] == [1, 2] and (pid()[0] != here) == (sys.platform == "linux")
try:
    failing()
except ValueError as error:
    assert str(error) == "of the copy"
assert dying() == "done here"
waiting = threading.Event()
threading.Thread(target=waiting.wait).start()
assert module.beside(os.getpid)() == here
waiting.set()
"""


def test_work_is_done_beside_in_a_copy_where_a_process_can_be_copied() -> None:
    """What it gives or raises comes back; what a killed copy was to do is done here, as where there are threads."""
    own = {**os.environ, **own_imports()}
    done = subprocess.run([*own_python(), "-c", BESIDE], env=own, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def run_until_it_prints(one: Command) -> None:
    """Runs a job that is interrupted (Ctrl-C) once it has printed a line."""

    def interrupt() -> None:
        if one.log.exists() and one.log.read_text().endswith("\n"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([one], on_tick=interrupt)


def test_a_failing_job_stops_no_other(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, "good", "print('fine')"),
        job(tmp_path, "bad", "print('line'); raise SystemExit('disk is full')"),
        job(tmp_path, "later", "print('fine too')"),
    ]
    run(jobs)
    assert [j.status for j in jobs] == ["done", "failed", "done"]
    assert jobs[1].exit_code == 1
    assert jobs[1].last_line() == "disk is full"
    assert jobs[0].log.read_text() == "fine\n"


def test_a_killed_job_is_reported_as_killed(tmp_path: Path) -> None:
    jobs = [job(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)"), job(tmp_path, "next", "")]
    run(jobs, at_once=1)
    assert [j.status for j in jobs] == ["failed", "done"]
    assert jobs[0].last_line() == "killed by signal 9; no output"


def test_what_is_done_is_not_run(tmp_path: Path) -> None:
    done = job(tmp_path, "done", "raise SystemExit(1)")
    done.status = "done"
    run([done, job(tmp_path, "other", "")])
    assert done.status == "done"
    assert not done.log.exists()


@pytest.mark.parametrize("at_once", [1, 2])
def test_so_many_at_a_time(tmp_path: Path, at_once: int) -> None:
    most = 0

    def count() -> None:
        nonlocal most
        most = max(most, sum(j.status == "running" for j in jobs))

    jobs = [job(tmp_path, str(i), "import time; time.sleep(0.1)") for i in range(4)]
    run(jobs, at_once, on_tick=count)
    assert most == at_once
    assert all(j.seconds > 0 for j in jobs)


def test_an_interruption_ends_the_processes_and_their_children(tmp_path: Path) -> None:
    code = """
        import os, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(os.getpid(), child.pid, flush=True)
        child.wait()
    """
    long = job(tmp_path, "long", code)
    run_until_it_prints(long)
    pids = [int(word) for word in long.log.read_text().split()]
    assert eventually(lambda: not any(alive(pid) for pid in pids), 2.0)


@pytest.mark.parametrize("groups", [True, False])
def test_a_process_that_does_not_listen_is_killed(
    groups: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without process groups, as on Windows, too."""
    if not groups:
        monkeypatch.delattr(os, "killpg")
    monkeypatch.setattr("listops_bench._base.processes.GRACE_SECONDS", 0.2)
    code = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(60)
    """
    deaf = job(tmp_path, "deaf", code)
    run_until_it_prints(deaf)
    assert deaf._process.poll() == -signal.SIGKILL


def test_without_process_groups_a_closed_input_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' signals would end it with nothing saved."""
    monkeypatch.delattr(os, "killpg")
    listens = job(tmp_path, "listens", "import sys; print('begun', flush=True); sys.stdin.read(); print('saved')")
    run_until_it_prints(listens)
    assert listens.exit_code == 0
    assert listens.log.read_text() == "begun\nsaved\n"


def test_what_asks_itself_to_end_saves_first_without_process_groups_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((os, "killpg"), (os, "kill"), (signal, "SIGALRM")):
        monkeypatch.delattr(module, name)
    monkeypatch.setattr(os, "_exit", lambda code: None)
    monkeypatch.setattr(stopping, "SECONDS_OF_AN_ORPHAN", 0.0)
    with stopping.StopRequest(seconds=3600) as stop:
        assert stop() == 0
        stopping._end()
        assert stop() == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_parent_asked_to_end_ends_its_processes_first(tmp_path: Path, number: signal.Signals) -> None:
    parent = """
        import os, signal, sys
        from pathlib import Path
        from listops_bench._base.processes import Command, run_commands
        from listops_bench._base.stopping import Stopped
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where tests run
        command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
        jobs = [Command("child", command, Path("child.txt"))]
        try:
            run_commands(jobs, at_once=1, environment=os.environ, interval=0.01)
        except Stopped as stopped:
            sys.exit(stopped.code)
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)], cwd=tmp_path, env=environment)
    log = tmp_path / "child.txt"
    assert eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    process.send_signal(number)
    assert process.wait(WAIT_SECONDS) == 128 + number
    assert eventually(lambda: not alive(int(log.read_text())), 2.0)


def test_a_process_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """At any time: while it imports, while it works, and where it takes no notice."""
    child = """
        import os, signal, sys, time
        from listops_bench._base import stopping
        stopping.SECONDS_OF_AN_ORPHAN = 0.3
        stopping.end_with_parent(0.05) if sys.argv[1] == "rank" else stopping.end_with_stdin()
        if sys.argv[1] == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        time.sleep(60)
    """
    parent = """
        import os, sys
        from pathlib import Path
        from listops_bench._base.processes import Command, run_commands
        jobs = [Command(n, [sys.executable, "child.py", n], Path(n)) for n in ("listens", "deaf", "rank")]
        run_commands(jobs, at_once=3, environment=os.environ, interval=0.01)
    """
    (tmp_path / "child.py").write_text(textwrap.dedent(child))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)], cwd=tmp_path, env=environment)
    logs = [tmp_path / name for name in ("listens", "deaf", "rank")]
    assert eventually(lambda: all(log.exists() and log.read_text().endswith("\n") for log in logs))
    process.kill()
    process.wait()
    assert eventually(lambda: not any(alive(int(log.read_text())) for log in logs), 5.0)


def test_a_worker_is_watched_before_it_imports(tmp_path: Path) -> None:
    """Its parent is gone at once: it ends by that, and not later by the page that is not there."""
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-m", "listops_bench.sweep", "nowhere.yaml", "--worker", "1/1"]
    launcher = f"import subprocess; print(subprocess.Popen({words!r}, stdin=subprocess.PIPE).pid, flush=True)"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with (tmp_path / "error").open("w") as error:
        done = subprocess.run(
            [sys.executable, "-c", launcher], env=environment, stdout=subprocess.PIPE, stderr=error, check=True
        )
    assert eventually(lambda: not alive(int(done.stdout)), 10.0)
    assert (tmp_path / "error").read_text() == ""


def test_a_child_imports_what_we_do_and_nothing_of_its_working_directory(tmp_path: Path) -> None:
    for name in ("json", "listops_bench", "typing"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w')")
    command = [*own_python(), "-m", "listops_bench", "--version"]
    environment = {**os.environ, **own_imports()}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "canary").exists()


def test_what_works_for_strangers_is_told_no_secrets() -> None:
    secrets = (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "wandb_api_key",
        "DB_PASSWORD",
        "X_TOKENS",
    )
    others = ("TOKENIZERS_PARALLELISM", "PATH", "HF_HOME", "PYTHONPATH", "MONKEY", "KEYBOARD")
    assert without_secrets(dict.fromkeys((*secrets, *others), "x")) == dict.fromkeys(others, "x")
