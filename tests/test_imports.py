"""The order of the rooms: a module imports only from rooms before its own, and light modules stay light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "listops_bench"

ROOMS = (
    "_hook", "errors", "expression", "task", "split", "generate", "baseline", "dataset", "tokenizer", "model",
    "curriculum", "_records", "score", "result", "predict", "train", "packed", "evaluate", "_jobs", "sweep",
    "threshold", "leaderboard", "verify", "analysis", "hub", "harness", "demo", "cli",
)  # fmt: skip
"""A module imports from its own room or an earlier one. Rooms that are not there yet keep their place."""

SIDE_ROOMS = {"__main__": "cli"}
"""Private modules whose name does not say to which room they belong (``_demo_page`` is in ``demo``)."""

TOP = ("__init__",)
"""The package itself: imports nothing but its hook before it is asked to."""

WITHOUT_TORCH = ("errors", "expression", "task", "split", "baseline", "score", "result", "threshold", "leaderboard")
WITHOUT_DATASETS = ("train", "packed", "predict", "evaluate", "sweep", "curriculum", "tokenizer", "model")


def module_names() -> list[str]:
    """``expression``, ``model.ladder``, ..."""
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


def room(module: str) -> str:
    """The room of a module of ours: that of its first name, where a leading underscore and a suffix do not count."""
    first = module.partition(".")[0]
    if first in ROOMS:
        return first
    if first in SIDE_ROOMS:
        return SIDE_ROOMS[first]
    owner = next((r for r in ROOMS if first.lstrip("_").startswith(r + "_")), None)
    assert owner, f"{module} belongs to no room; add it to ROOMS or SIDE_ROOMS"
    return owner


@lru_cache
def imports(module: str) -> dict[str, bool]:
    """Everything that a module of ours imports, with whether it does so when it is itself imported.

    ``from listops_bench.x import y`` counts as ``listops_bench.x``, and also as ``listops_bench.x.y`` where that is a
    module. What stands under ``TYPE_CHECKING`` is not run and only orders the rooms.
    """
    path = PACKAGE.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: dict[str, bool] = {}
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:  # files that travel with a checkpoint import each other so
            above = ["listops_bench", *module.split(".")][: -node.level]
            node.module = ".".join([*above, *([node.module] if node.module else [])])
    _collect(tree.body, True, found)
    return found


def _collect(nodes: list[ast.stmt], runs: bool, found: dict[str, bool]) -> None:
    """Adds the imports of some statements; relative ones have been made absolute."""
    for node in nodes:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
            names += [f"{node.module}.{alias.name}" for alias in node.names if _is_ours(f"{node.module}.{alias.name}")]
        for name in names:
            found[name] = found.get(name, False) or runs
        checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            children = getattr(node, field, [])
            inner = [c for child in children for c in (child.body if hasattr(child, "pattern") else [child])]
            inner = [c for child in inner for c in (child.body if isinstance(child, ast.ExceptHandler) else [child])]
            _collect(inner, runs and not deferred and not (checking and field == "body"), found)


def _is_ours(name: str) -> bool:
    parts = name.split(".")
    path = PACKAGE.joinpath(*parts[1:])
    return parts[0] == "listops_bench" and (path.is_dir() or path.with_suffix(".py").is_file())


def _own(module: str) -> dict[str, bool]:
    """The imports of a module that are ours, as ``expression`` or ``model.ladder``."""
    prefix = "listops_bench."
    return {name.removeprefix(prefix): runs for name, runs in imports(module).items() if name.startswith(prefix)}


def closure(module: str, *, deferred: bool) -> set[str]:
    """Top-level names of everything a module imports, directly or through ours; ``deferred`` follows functions too."""
    todo, seen, outside = [module], set(), set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        for name, runs in imports(current).items():
            if not (runs or deferred):
                continue
            if _is_ours(name) and name != "listops_bench":
                todo.append(name.removeprefix("listops_bench."))
            else:
                outside.add(name.partition(".")[0])
    return outside


RANKED = [name for name in module_names() if name not in TOP]


@pytest.mark.parametrize("module", RANKED)
def test_a_module_imports_only_from_its_room_or_earlier_ones(module: str) -> None:
    late = [name for name in _own(module) if ROOMS.index(room(name)) > ROOMS.index(room(module))]
    assert not late, f"{module} ({room(module)}) imports {late}"


@pytest.mark.parametrize("module", RANKED)
def test_nobody_imports_the_last_rooms(module: str) -> None:
    last = [name for name in _own(module) if room(name) in {"hub", "harness", "cli"} and room(module) != "cli"]
    assert not [name for name in last if room(name) != room(module)]


@pytest.mark.parametrize("module", [m for m in RANKED if room(m) in WITHOUT_TORCH])
def test_light_rooms_import_no_torch(module: str) -> None:
    assert not {"torch", "transformers", "accelerate"} & closure(module, deferred=True)


@pytest.mark.parametrize("module", [m for m in RANKED if room(m) in WITHOUT_DATASETS])
def test_training_and_evaluation_import_no_datasets(module: str) -> None:
    assert "datasets" not in closure(module, deferred=True)


def test_the_reader_of_imports_sees_what_stands_there(tmp_path: Path) -> None:
    source = """
import os
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import torch
try:
    import numpy
except ImportError:
    import array
class A:
    import json
    def f(self):
        with open("x") as f:
            import datasets
"""
    found: dict[str, bool] = {}
    _collect(ast.parse(source).body, True, found)
    at_once = {name for name, runs in found.items() if runs}
    assert at_once == {"os", "typing", "numpy", "array", "json"}
    assert set(found) - at_once == {"torch", "datasets"}


# --- in a process of its own ------------------------------------------------------------------------------------------


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_is_light() -> None:
    heavy = "torch transformers datasets numpy numba pyarrow pandas yaml rich altair accelerate"
    code = f"import sys, listops_bench; print([m for m in {heavy.split()} if m in sys.modules])"
    assert run_python(code) == "[]"


def test_importing_the_package_is_quick() -> None:
    code = "import time; t = time.perf_counter(); import listops_bench; print(time.perf_counter() - t)"
    assert min(float(run_python(code)) for _ in range(3)) < 0.3


def test_every_public_name_is_there_and_listed() -> None:
    code = (
        "import listops_bench as l; assert all(hasattr(l, n) for n in l.__all__); print(*{*l.__all__} ^ {*l._PUBLIC})"
    )
    assert run_python(code) == "__version__"


def test_a_public_name_is_what_it_is_in_its_module() -> None:
    import listops_bench
    from listops_bench import expression, task

    assert listops_bench.parse is expression.parse
    assert listops_bench.evaluate_expression is expression.evaluate
    assert listops_bench.TaskSpec is task.TaskSpec
    assert "parse" in dir(listops_bench)
    with pytest.raises(AttributeError, match="no attribute 'parze'"):
        listops_bench.parze  # noqa: B018


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""


def import_all(modules: list[str], blocked: set[str]) -> None:
    """In one process, since starting one with torch takes seconds; the traceback names the module that fails."""
    run_python(BLOCK.format(blocked=blocked) + "".join(f"import listops_bench.{module}\n" for module in modules))


def test_training_and_evaluation_work_where_datasets_cannot_be_imported() -> None:
    import_all([m for m in RANKED if room(m) in WITHOUT_DATASETS], {"datasets"})


def test_light_rooms_work_where_torch_cannot_be_imported() -> None:
    import_all([m for m in RANKED if room(m) in WITHOUT_TORCH], {"torch", "transformers"})
