"""What all tests share: no network, one thread, property tests, a browser, and the rule about skipping in CI."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before anything imports torch or a Hub client.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    MKL_NUM_THREADS="1",
)

# `nohup make test` has SIGHUP ignored, a job in the background SIGINT, and what tests start would inherit that.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A cache of its own for every test session, shared by its workers: what lies in the user's cache decides no test.
_OWN_CACHE = None
if "PYTEST_XDIST_WORKER" not in os.environ:
    _OWN_CACHE = os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="listops-tests-")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests.support.extent import CHECK_ALL  # noqa: E402

settings.register_profile(
    "listops",
    deadline=None,  # the first example may compile or import something
    derandomize="CI" in os.environ,
    max_examples=200 if CHECK_ALL else 50,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("listops")


def pytest_unconfigure() -> None:
    if _OWN_CACHE is not None:
        shutil.rmtree(_OWN_CACHE, ignore_errors=True)


IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


# --- optional parts: skipped on a laptop, required in CI --------------------------------------------------------------


@pytest.fixture(scope="session")
def requires() -> Callable[[str], None]:
    """``requires("chromium")`` or ``requires("lm_eval")`` skips the test where that program or package is missing.

    In CI (``CI=true``) the skip counts as a failure, as every skip does there: what is never run proves nothing.
    """

    def check(name: str) -> None:
        if shutil.which(name) is None and find_spec(name.replace("-", "_")) is None:
            pytest.skip(f"{name} is not installed")

    return check


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, pytest.TestReport]:
    report: pytest.TestReport = yield
    expected = hasattr(report, "wasxfail") or {"gpu", "triton"} & {marker.name for marker in item.iter_markers()}
    if IN_CI and report.skipped and not expected:
        _fail_instead(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, pytest.CollectReport]:
    report: pytest.CollectReport = yield
    if IN_CI and report.skipped:
        _fail_instead(report)
    return report


def _fail_instead(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"skipped tests count as failed in CI: {reason}"


TOGETHER = {
    f"tests/{name}.py"
    for name in (
        "analysis/test_report",
        "cli/test_own_operation",
        "dataset/test_release",
        "demo/test_demo",
        "evaluate/test_decoding",
        "harness/test_import",
        "hub/test_publish",
        "leaderboard/test_page",
        "leaderboard/test_reference",
        "train/test_killed",
    )
}
"""Modules that share what takes long to make: their tests stay in one process, so that it is made once."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first: one begun last would keep the other processes waiting. Those for a release, when asked."""
    if not CHECK_ALL:
        later = [item for item in items if item.get_closest_marker("check_all")]
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in later]
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, _module(item.nodeid) not in TOGETHER))


def _module(nodeid: str) -> str:
    return nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        """A test, or a module that stays together, for each process that is free."""

        def _split_scope(self, nodeid: str) -> str:
            return _module(nodeid) if _module(nodeid) in TOGETHER else nodeid

    return Scheduling(config, log)


def pytest_collection_finish() -> None:
    """What is imported by now stays. A training ends with a collection of garbage, longer than short ones take."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """A fresh clone's generator is compiled before there are workers and processes of tests that would each do it."""
    from listops_bench.tasks.generator import generate
    from listops_bench.tasks.task import get_task

    generate(get_task("max"), "train", num_rows=1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")


# --- one thread -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """A test that raised torch's thread count does not slow the next one down."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``command("push", "folder", "org/name")`` runs the command line and gives exit code, output and errors."""
    from listops_bench.cli import command as cli

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


# --- a Hub ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A look-alike of the Hub that this process talks to, with a cache of its own; see tests/support/hub_server.py."""
    from huggingface_hub import constants

    from tests.support.hub_server import WRITER, HubServer

    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("HF_TOKEN", WRITER)
        yield server


# --- a browser --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _chromium(requires: Callable[[str], None]) -> Iterator[Any]:
    requires("selenium")
    requires("chromium")
    requires("chromedriver")
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    class Browser(webdriver.Chrome):
        """Chrome whose ``get`` returns when the page is there: on a busy machine chromedriver's own answers before."""

        def get(self, url: str) -> None:
            ready = "return document.readyState === 'complete' && (document.URL === 'about:blank') === arguments[0]"
            for address in ("about:blank", url):
                super().get(address)
                blank = address == "about:blank"
                WebDriverWait(self, 30, 0.01).until(lambda driver, blank=blank: driver.execute_script(ready, blank))

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1280,1000"):
        options.add_argument("--" + argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Browser(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def chromium(_chromium: Any) -> Any:
    """A headless Chromium (selenium's driver) whose console is empty. ``console(chromium)`` reads it."""
    _chromium.get_log("browser")
    _chromium.set_window_size(1280, 1000)
    return _chromium


@pytest.fixture
def console() -> Callable[[Any], list[str]]:
    """``console(driver)`` gives the page's console errors and warnings since the last look."""

    def read(driver: Any) -> list[str]:
        return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]

    return read
