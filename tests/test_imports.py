"""Which package may import which, and what is light: a package knows only lower ones, and only by their doors."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import listops_bench

PACKAGE = Path(listops_bench.__file__).parent

LAYERS = (
    "errors", "_base", "stats", "tasks", "runs", "dataset | model | score", "result", "train | evaluate | pages",
    "leaderboard", "sweep | analysis | hub | harness", "claims", "demo", "cli",
)  # fmt: skip
"""From the ground up; packages of one layer do not know each other."""
FLOOR = {name: floor for floor, names in enumerate(LAYERS) for name in names.split(" | ")}

ROOT_FILES = {"__init__", "__main__", "_hook", "errors", "expression"}
NO_TORCH = {"errors", "_base", "stats", "tasks", "runs", "score", "result", "pages", "leaderboard", "claims"}
NO_DATASETS = {"model", "train", "evaluate", "sweep"}
TORCH_AT_LAST = {"runs.provenance"}
"""Names the device, so it needs torch; nothing else of its package does."""
NEEDS_TRITON = {"train.packed._kernels", "train.packed._kernel_parts"}
"""Imported only where there is a GPU; torch for GPUs brings Triton along."""


def modules(package: Path) -> dict[str, Path]:
    """All modules by their name below the package: ``tasks.split``, and ``tasks`` for the package itself."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__") or "__init__"] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> tuple[tuple[str, bool], ...]:
    """Every imported module, ours without the package's name, and whether importing the file imports it at once."""
    return _imports(path.read_text(encoding="utf-8"), path.parent.name, frozenset(known))


@cache
def _imports(text: str, folder: str, known: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    tree, found = ast.parse(text), []
    later = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            later |= set(ast.walk(node))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            later |= {inner for child in node.body for inner in ast.walk(child)}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # only the two files that travel with checkpoints
                base = f"listops_bench.{folder}.{base}"
            ours = base.removeprefix("listops_bench").lstrip(".")
            inside = [alias.name for alias in node.names if f"{ours}.{alias.name}".lstrip(".") in known]
            names = [f"{base}.{name}" for name in inside] if base.startswith("listops_bench") and inside else [base]
        for name in names:
            ours = name.removeprefix("listops_bench.") if name.startswith("listops_bench.") else name
            found.append((ours, node not in later))
    return tuple(found)


def problems(package: Path) -> list[str]:
    """What breaks the rules in a package folder; empty when all hold."""
    known = modules(package)
    graph = {name: [*imports(path, known)] for name, path in known.items()}
    found = [
        f"{name}: the root holds no such file"
        for name in known
        if "." not in name and name not in {*FLOOR, *ROOT_FILES}
    ]
    for name, imported in graph.items():
        top = name.partition(".")[0]
        for target, _ in imported:
            if target == "listops_bench" or target in {"__main__", "_hook", "expression"}:
                if top not in ROOT_FILES - {"errors"}:
                    found.append(f"{name} imports {target}")
            elif target in known and top in FLOOR:
                other = target.partition(".")[0]
                if other != top and FLOOR[other] >= FLOOR[top]:
                    found.append(f"{name} imports {target}, which is not below it")
                private = next((i for i, part in enumerate(target.split(".")) if i and part.startswith("_")), None)
                if private and name.split(".")[:private] != target.split(".")[:private]:
                    found.append(f"{name} imports {target}, which is private to its folder")
    for name in graph:
        top = name.partition(".")[0]
        outside = reached(name, graph)
        if top in NO_TORCH and name not in TORCH_AT_LAST and {"torch", "transformers", "accelerate"} & outside:
            found.append(f"{name} reaches torch")
        if top in NO_DATASETS and "datasets" in outside:
            found.append(f"{name} reaches datasets")
    return found + [f"circle: {' -> '.join(circle)}" for circle in circles(graph)]


def reached(module: str, graph: dict[str, list[tuple[str, bool]]]) -> set[str]:
    """Top-level names of all that a module imports, directly or through ours, in functions too."""
    todo, seen, outside = [module], set(), set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        for name, _ in graph[current]:
            # A package's own names are imported when they are used, each by the module that uses it.
            if name in graph and name != "__init__":
                todo.append(name)
            else:
                outside.add(name.partition(".")[0])
    return outside


def circles(graph: dict[str, list[tuple[str, bool]]]) -> list[list[str]]:
    """Circles among files, those under TYPE_CHECKING and in functions included."""
    found: list[list[str]] = []
    state: dict[str, int] = {}

    def visit(name: str, path: list[str]) -> None:
        state[name] = 1
        for target, _ in graph[name]:
            if target in graph and state.get(target) == 1:
                found.append([*path[path.index(target) :], target] if target in path else [name, target])
            elif target in graph and target not in state:
                visit(target, [*path, target])
        state[name] = 2

    for name in graph:
        if name not in state:
            visit(name, [name])
    return found


def test_packages_import_lower_ones_only_and_by_the_door() -> None:
    assert problems(PACKAGE) == []


PLANTED = {
    "upward": ("tasks/split.py", "from listops_bench.result.files import read_result", "not below"),
    "sideways": ("evaluate/run.py", "from listops_bench.train.config import TrainConfig", "not below"),
    "private door": ("sweep/grid.py", "def f():\n    from listops_bench.train._loop import Trainer", "private"),
    "private, by its package": ("sweep/grid.py", "from listops_bench.train import _loop", "private"),
    "circle": ("tasks/expression.py", "if TYPE_CHECKING:\n    from listops_bench.tasks.split import SPLITS", "circle"),
    "torch in a light package": ("leaderboard/board.py", "def f():\n    import torch", "reaches torch"),
    "datasets in training": ("train/config.py", "def f():\n    import datasets", "reaches datasets"),
    "a file in the root": ("helpers.py", "", "the root holds no such file"),
    "the root's face": ("tasks/task.py", "import listops_bench", "imports listops_bench"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_violation_is_found(kind: str, tmp_path: Path) -> None:
    name, line, expected = PLANTED[kind]
    for path in modules(PACKAGE).values():
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with (tmp_path / name).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    assert any(expected in problem for problem in problems(tmp_path))


def test_the_walks_of_the_contributors_page_go_one_way() -> None:
    """Every file is there, none lies in a higher package than one before it, and none imports one before it."""
    known = modules(PACKAGE)
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("### Five walks")[2].partition("\n## ")[0]
    walks = [re.findall(r"`([\w/]+)\.py`", walk) for walk in re.split(r"^\d\. ", section, flags=re.MULTILINE)[1:]]
    assert len(walks) == 5
    for walk in walks:
        names = [name.replace("/", ".") for name in walk]
        floors = [FLOOR[name.partition(".")[0]] for name in names]
        assert floors == sorted(floors, reverse=True), walk
        for place, name in enumerate(names):
            assert not {target for target, _ in imports(known[name], known)} & set(names[:place]), name


# --- in a process of its own ------------------------------------------------------------------------------------------


def run_python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HEAVY = "torch transformers datasets numpy numba pyarrow pandas yaml rich altair accelerate scipy"


def test_importing_the_package_is_light() -> None:
    code = f"import sys, listops_bench; print([m for m in {HEAVY.split()} if m in sys.modules])"
    assert run_python(code) == "[]"


FACES = sorted({*FLOOR} - {"errors", "model", "cli"})
"""Importing `model` makes transformers know it; the command imports what it prints with."""


def test_a_face_loads_no_library_until_a_name_is_used() -> None:
    imported = "".join(f"import listops_bench.{name}\n" for name in FACES)
    assert run_python(f"import sys\n{imported}print([m for m in {HEAVY.split()} if m in sys.modules])") == "[]"


def test_every_name_of_every_face_is_there() -> None:
    for face in (importlib.import_module(f"listops_bench.{name}") for name in FACES):
        assert all(hasattr(face, name) for name in dir(face))


def test_every_public_name_is_there_and_listed() -> None:
    assert all(hasattr(listops_bench, name) for name in listops_bench.__all__)
    lazy = {word.partition("=")[0] for words in listops_bench._PUBLIC.values() for word in words.split()}
    assert {*listops_bench.__all__} == lazy | {"__version__"} <= {*dir(listops_bench)}


def test_a_public_name_is_what_it_is_in_its_module() -> None:
    from listops_bench import expression
    from listops_bench.tasks import task

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


def import_all(packages: set[str], blocked: set[str]) -> None:
    """In one process, since starting one with torch takes seconds; the traceback names the module that fails."""
    names = [m for m in modules(PACKAGE) if m.partition(".")[0] in packages and m not in TORCH_AT_LAST | NEEDS_TRITON]
    names = [name for name in names if not name.endswith("__main__")]
    run_python(BLOCK.format(blocked=blocked) + "".join(f"import listops_bench.{name}\n" for name in names))


@pytest.mark.check_all
def test_training_and_evaluation_work_where_datasets_cannot_be_imported() -> None:
    import_all(NO_DATASETS, {"datasets"})


def test_light_packages_work_where_torch_cannot_be_imported() -> None:
    import_all(NO_TORCH, {"torch", "transformers"})
