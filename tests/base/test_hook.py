"""Registering with a library after it has been imported, whichever comes first."""

import importlib
import importlib.util
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from listops_bench import _hook


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an importable package that is not imported yet."""
    name = f"library_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(f"from {name}.part import half\nready = half * 2\n")
    (folder / "part.py").write_text("half = 21\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    finders = list(sys.meta_path)
    yield name
    sys.meta_path[:] = finders
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]


def test_the_callback_runs_once_after_the_module_or_a_part_of_it_has_run(library: str) -> None:
    seen: list[int] = []
    _hook.after_import(library, lambda: seen.append(sys.modules[library].ready))
    _hook.after_import(f"{library}.part", lambda: seen.append(sys.modules[f"{library}.part"].half))
    assert seen == []
    importlib.import_module(library)
    importlib.import_module(library)
    assert seen == [21, 42]


def test_a_module_that_is_there_already_is_called_for_at_once(library: str) -> None:
    importlib.import_module(library)
    seen: list[int] = []
    _hook.after_import(library, lambda: seen.append(1))
    assert seen == [1]


def test_asking_whether_a_module_exists_neither_imports_it_nor_uses_the_hook_up(library: str) -> None:
    seen: list[int] = []
    _hook.after_import(library, lambda: seen.append(1))
    assert importlib.util.find_spec(library)
    assert seen == []
    assert library not in sys.modules
    importlib.import_module(library)
    assert seen == [1]


def test_nothing_is_left_behind(library: str) -> None:
    before = list(sys.meta_path)
    _hook.after_import(library, lambda: None)
    module = importlib.import_module(library)
    assert sys.meta_path == before
    assert "exec_module" not in vars(module.__loader__)
    assert "half * 2" in inspect.getsource(module)


def test_a_missing_module_stays_missing() -> None:
    finders = list(sys.meta_path)
    _hook.after_import("no_such_library_at_all", lambda: None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("no_such_library_at_all")
    sys.meta_path[:] = finders


def test_a_failing_callback_is_a_warning_and_the_import_stands(library: str) -> None:
    def fail() -> None:
        raise KeyError("moved")

    _hook.after_import(library, fail)
    with pytest.warns(RuntimeWarning, match="could not register .*KeyError"):
        assert importlib.import_module(library).ready == 42


def test_a_module_that_fails_to_import_can_be_imported_later(library: str) -> None:
    seen: list[int] = []
    part = sys.path[0] + f"/{library}/part.py"
    Path(part).write_text("raise OSError('not yet')\n")
    _hook.after_import(library, lambda: seen.append(1))
    with pytest.raises(OSError, match="not yet"):
        importlib.import_module(library)
    assert seen == []
    Path(part).write_text("half = 22  # mended\n")
    importlib.invalidate_caches()
    assert importlib.import_module(library).ready == 44
    assert seen == [1]


def waiting(environment: dict[str, str]) -> str:
    code = "import sys, listops_bench; print([f.name for f in sys.meta_path if type(f).__name__ == '_Waiting'])"
    return subprocess.check_output([sys.executable, "-c", code], text=True, env={**os.environ, **environment}).strip()


def test_an_environment_variable_switches_it_off() -> None:
    assert "'datasets'" in waiting({})
    assert waiting({"LISTOPS_BENCH_NO_HOOK": "1"}) == "[]"


# --- the real libraries -----------------------------------------------------------------------------------------------

IMPORTS = {
    "ours first": "import listops_bench; from transformers import AutoConfig, AutoModelForCausalLM",
    "ours last": "from transformers import AutoConfig, AutoModelForCausalLM; import listops_bench",
    # Trainer reaches AutoConfig through a circle of imports, in which our models could not be imported yet.
    "by a detour": "import listops_bench; from transformers import Trainer, AutoConfig, AutoModelForCausalLM",
}


@pytest.mark.check_all
@pytest.mark.parametrize("order", IMPORTS)
def test_auto_classes_know_our_models_in_every_order_of_imports(order: str) -> None:
    code = f"""
{IMPORTS[order]}
import sys
print("listops_bench.model" in sys.modules)
config = AutoConfig.for_model("listops_looped", hidden_size=8)
print(type(AutoModelForCausalLM.from_config(config)).__name__)
"""
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "LoopedForCausalLM"], "registered when first needed, not before"
