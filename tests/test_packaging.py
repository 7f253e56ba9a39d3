"""What is shipped: the wheel holds the package and its data and works from anywhere; pins and set-up agree."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.extent import CHECK_ALL
from tests.support.fake_results import ladder_results, write

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy: building in the tree would leave files there, and pick up those of earlier builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("listops_bench", "tasks", "model_configs", "recipes", "leaderboard"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "results", "site"))
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source))
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed into."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    return target


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def names_in(folder: str, pattern: str) -> set[str]:
    return {str(path.relative_to(ROOT / folder)) for path in (ROOT / folder).glob(pattern) if path.is_file()}


def test_the_wheel_holds_every_module_and_the_data_files(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    own = {name for name in names_in("listops_bench", "**/*") if "__pycache__" not in name}
    expected = {f"listops_bench/{name}" for name in own - names_in("listops_bench", "data/*/train.parquet")}
    expected = {name.replace("listops_bench/harness/listops_v1/", "listops_v1/") for name in expected}
    resources = {
        "tasks": names_in("tasks", "**/*"),
        "model_configs": names_in("model_configs", "**/*.json"),
        "recipes": names_in("recipes", "*.yaml"),
        "leaderboard": {"schema.json"} | {f"sweeps/{name}" for name in names_in("leaderboard/sweeps", "*.yaml")},
    }
    for folder, names in resources.items():
        assert names, f"nothing to ship in {folder}"
        expected |= {f"listops_bench/_resources/{folder}/{name}" for name in names}
    assert not expected - held
    package_files = {name for name in held if ".dist-info/" not in name}
    assert package_files <= expected, "something else slipped in"


def run_installed(installed: Path, tmp_path: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-W", "error", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_resources_are_found_in_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    """Ours, and not those of another project that lie beside the package."""
    (installed / "tasks").mkdir()
    (installed / "tasks" / "foreign.yaml").touch()
    code = """
from pathlib import Path
import listops_bench
from listops_bench._base.resources import resource_path
from listops_bench.tasks import curated_tasks
print(Path(listops_bench.__file__).parent.parent)
print(resource_path("tasks"))
print(resource_path("leaderboard", "schema.json"))
print(sorted(path.parent.name for path in resource_path("model_configs").glob("*/config.json")))
print(len(curated_tasks()))
"""
    package, tasks, schema, models, count = run_installed(installed, tmp_path, "-c", code).splitlines()
    assert Path(package) == installed.resolve()
    assert Path(tasks).is_relative_to(installed.resolve() / "listops_bench")
    assert Path(schema).is_relative_to(installed.resolve() / "listops_bench")
    assert models == str(sorted(path.parent.name for path in (ROOT / "model_configs").glob("*/config.json")))
    assert int(count) == len(names_in("tasks", "*.yaml"))


def test_the_command_runs_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    assert (installed / "bin" / "listops-bench").exists()
    assert "sum_max_med" in run_installed(installed, tmp_path, "-m", "listops_bench", "tasks")


def test_there_is_one_version_everywhere() -> None:
    import listops_bench

    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {listops_bench.__version__}\n" in citation


def test_every_package_is_shipped() -> None:
    setuptools = PYPROJECT["tool"]["setuptools"]
    found = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "listops_bench").rglob("__init__.py")}
    mapped = setuptools["package-dir"]
    assert {name.replace(".", "/") for name in setuptools["packages"] if name not in mapped} == found - {
        *mapped.values()
    }
    assert {name for name in mapped if name in setuptools["packages"]} == {*mapped}


WITHOUT_FIGURES = """
import sys
sys.modules.update(altair=None, vl_convert=None)
from listops_bench.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run_without_figures(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_FIGURES, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)


@pytest.mark.parametrize(
    "verb",
    [
        "leaderboard build results",
        "demo --output-dir demo",
        pytest.param("analyze x --output-dir y", marks=pytest.mark.check_all),  # which imports torch first
    ],
)
def test_a_verb_names_the_extra_that_it_needs(verb: str, tmp_path: Path) -> None:
    done = run_without_figures(tmp_path, *verb.split())
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "'altair'" in line
    assert "pip install 'listops-bench[board]'" in line


def test_the_core_does_without_the_extra(tmp_path: Path) -> None:
    write(tmp_path / "results", ladder_results(seeds=1, widths=(8, 192)))
    done = run_without_figures(tmp_path, "leaderboard", "thresholds", "results")
    assert done.returncode == 0, done.stderr
    assert "N50" in done.stdout


# --- pins and set-up --------------------------------------------------------------------------------------------------


def pins() -> dict[str, str]:
    lines = (line.strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonical(name): exact for name, exact in pairs}


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


OPTIONAL = PROJECT["optional-dependencies"]
LATER = {Requirement(line).name for extra in ("docs", "reasoning-gym", "verifiers") for line in OPTIONAL[extra]}
"""Installed by `make check-all`, and not by `make test`."""

EXTRAS = [line for lines in OPTIONAL.values() for line in lines]
NEEDED = [need for line in PROJECT["dependencies"] + EXTRAS if (need := Requirement(line)).name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", NEEDED, ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    exact = pins()[canonical(requirement.name)]
    assert exact in requirement.specifier
    assert "+" not in exact, "a local version exists on one machine only"


def test_what_is_tested_is_what_is_pinned() -> None:
    for requirement in NEEDED:
        if requirement.name in LATER and not CHECK_ALL:
            continue
        assert version(requirement.name).partition("+")[0] == pins()[canonical(requirement.name)], requirement.name


def test_set_up_names_no_registry() -> None:
    for name in ("constraints.txt", "Makefile", ".ci/run", "pyproject.toml", ".pre-commit-config.yaml"):
        text = (ROOT / name).read_text()
        assert "://" not in text, name
        assert "index-url" not in text, name


@pytest.fixture
def checkout(tmp_path: Path, requires: Callable[[str], None]) -> Path:
    """A folder with the files that set-up reads, where `make` can be asked what it would do."""
    requires("make")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def plan(folder: Path, goal: str) -> str:
    """The commands that `make` would run."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    return subprocess.check_output(["make", "-n", goal], cwd=folder, text=True, env=environment)


def finish_set_up(folder: Path, goal: str) -> None:
    """Leaves what a successful set-up for a goal leaves."""
    (folder / ".venv/bin").mkdir(parents=True, exist_ok=True)
    (folder / ".venv/bin/python").touch()
    for line in plan(folder, goal).splitlines():
        if line.startswith("touch "):
            for name in line.split()[1:]:
                (folder / name).touch()


@pytest.mark.parametrize("goal", ["demo", "test"])
def test_a_second_run_installs_nothing(checkout: Path, goal: str) -> None:
    assert "pip install" in plan(checkout, goal)
    finish_set_up(checkout, goal)
    assert "pip install" not in plan(checkout, goal)


def test_the_tests_set_up_serves_the_demo(checkout: Path) -> None:
    finish_set_up(checkout, "test")
    assert "pip install" not in plan(checkout, "demo")


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_dependency_is_installed(checkout: Path, name: str) -> None:
    finish_set_up(checkout, "test")
    with (checkout / name).open("a") as file:
        file.write("\n# changed\n")
    assert "pip install" in plan(checkout, "demo")
    assert "pip install" in plan(checkout, "test")
