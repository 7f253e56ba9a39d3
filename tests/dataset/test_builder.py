"""`load_dataset("listops_bench", ...)`, in fresh processes and from an empty directory, as users call it."""

import signal
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

import listops_bench
from listops_bench.dataset.builder import make_config, prepare, register
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.tasks.generator import generate
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.task import get_task
from tests.support.commands import run_python

ORDERS = {
    "ours first": "import listops_bench; from datasets import load_dataset",
    "ours last": "from datasets import load_dataset; import listops_bench",
    "module only": "import datasets, listops_bench; load_dataset = datasets.load_dataset",
    "dataset module": "import listops_bench.dataset; from datasets import load_dataset",
}


@pytest.mark.parametrize(
    "order",
    [
        "ours last",
        *(pytest.param(o, marks=pytest.mark.check_all) for o in ("ours first", "dataset module", "module only")),
    ],
)
def test_the_first_line_users_type(order: str, tmp_path: Path) -> None:
    code = (
        f"{ORDERS[order]}; rows = load_dataset('listops_bench', 'sum_max_med', num_train=2000)\n"
        "print(*(len(rows[name]) for name in rows), *rows, rows['test'][0]['id'])"
    )
    done = run_python(code, tmp_path)
    sizes = ["2000", "1000", "5000", *["2000"] * 3]
    assert done.stdout.split() == [*sizes, *SPLITS, "sum_max_med/test/00000"], done.stderr[-2000:]


def test_a_cache_that_cannot_be_written_names_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailed, match=r"cannot be written .*file.*; HF_HOME names another folder"):
        prepare("max", cache_dir=tmp_path / "file" / "cache")


def test_a_shadowing_folder_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "listops_bench").mkdir()
    (tmp_path / "listops_bench" / "data.csv").write_text("a,b\n1,2\n")
    code = (
        "import listops_bench, datasets; print(len(datasets.load_dataset('listops_bench', 'max', split='validation')))"
    )
    done = run_python(code, tmp_path, PYTHONSAFEPATH="1")  # keeps the folder from shadowing the package itself
    assert done.stdout.strip() == "1000", done.stderr[-2000:]


@pytest.mark.check_all
def test_the_hook_can_be_switched_off(tmp_path: Path) -> None:
    code = "import listops_bench, datasets; datasets.load_dataset('listops_bench', 'max')"
    assert run_python(code, tmp_path, LISTOPS_BENCH_NO_HOOK="1").returncode != 0
    code = "import listops_bench; print(len(listops_bench.load('max', split='test')))"
    assert run_python(code, tmp_path, LISTOPS_BENCH_NO_HOOK="1").stdout.strip() == "5000"


@pytest.mark.parametrize("split", SPLITS)
def test_the_dataset_holds_the_generator_s_rows(split: str, tmp_path: Path) -> None:
    rows = listops_bench.load("sum_nadd", split=split, seed=3, num_train=12_000, cache_dir=tmp_path)
    direct = generate(get_task("sum_nadd", num_train=12_000), split, seed=3)
    assert rows.data.table.to_pydict() == direct.to_arrow().to_pydict()


def test_two_processes_prepare_the_same_rows_as_one(tmp_path: Path) -> None:
    one, two = (
        listops_bench.load("sum_max", split="train", num_train=25_000, num_proc=n, cache_dir=tmp_path / str(n))
        for n in (None, 2)
    )
    assert one.data.table.to_pydict() == two.data.table.to_pydict()


def test_slices_and_streams(tmp_path: Path) -> None:
    assert len(listops_bench.load("max", split="test[:100]", cache_dir=tmp_path)) == 100
    stream = listops_bench.load("max", split="train", streaming=True, unique=False)
    ids = [row["id"] for row in stream.skip(59_990).take(20)]
    assert ids[0] == "max/train/59990"  # past num_train: it does not end
    assert ids[-1] == "max/train/60009"
    ended = listops_bench.load("max", split="train", streaming=True, num_train=30)
    assert sum(1 for _ in ended) == 30


def test_one_task_has_one_cache_however_it_is_asked_for() -> None:
    def cache(name: str, **parameters: object) -> str:
        return make_config(name, **parameters).create_config_id({})

    assert cache("sum", modulus=20) == cache("sum_mod20") == "sum_mod20"
    assert cache("med_sum", modulus=10, seed=0, depth_weights=[0.015, 0.985]) == cache("sum_med") == "sum_med"
    assert len({cache("sum"), cache("sum", seed=1), cache("sum", num_train=5), cache("sum", trace="none")}) == 4


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        (None, {}, "name a task"),
        ("sum_mx", {}, "unknown task 'sum_mx'; did you mean"),
        ("sum", {"modulos": 7}, "unknown parameter 'modulos'; did you mean 'modulus'?"),
        ("sum", {"modulus": 99}, "the nearest valid one is 64"),
        ("sum", {"seed": "x"}, "seed 'x' is not a whole number"),
        ("sum", {"modulus": 2}, "too few distinct rows"),
    ],
)
def test_bad_input_is_the_user_s_error(name: str, parameters: dict[str, object], said: str, tmp_path: Path) -> None:

    with pytest.raises(InvalidInput) as caught:
        datasets.load_dataset("listops_bench", name, cache_dir=str(tmp_path), **parameters)
    assert said in str(caught.value)


def test_config_names_are_the_curated_tasks() -> None:

    assert datasets.get_dataset_config_names("listops_bench") == list(listops_bench.curated_tasks())


def test_a_version_of_datasets_that_is_not_known_is_only_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.delattr(datasets.load, "DatasetModule")
    with pytest.warns(RuntimeWarning, match=r"listops_bench\.load"):
        register()


def test_other_datasets_still_resolve(tmp_path: Path) -> None:

    (tmp_path / "rows.csv").write_text("a\n1\n2\n")
    rows = datasets.load_dataset("csv", data_files=str(tmp_path / "rows.csv"), cache_dir=str(tmp_path / "cache"))
    assert len(rows["train"]) == 2


_VICTIM = """
import os, signal, sys
import listops_bench.dataset.builder as builder

blocks = builder.generate_blocks

def dying(*args, **kwargs):
    yield next(blocks(*args, **kwargs))
    print("half-way", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)

builder.generate_blocks = dying
"""
_LOAD = "import listops_bench; print(len(listops_bench.load('sum_med', split='train', cache_dir='cache')))"


@pytest.mark.check_all
def test_four_processes_at_once_and_one_is_killed_half_way(tmp_path: Path) -> None:
    def start(code: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code]
        return subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    victim = start(_VICTIM + _LOAD)
    assert victim.stdout.readline() == "half-way\n"  # it holds the cache's lock, and has written rows
    others = [start(_LOAD) for _ in range(3)]
    victim.communicate("\n", timeout=120)
    assert victim.returncode == -signal.SIGKILL
    assert [process.communicate(timeout=120)[0].strip() for process in others] == ["50000"] * 3
    assert len(listops_bench.load("sum_med", split="train", cache_dir=tmp_path / "cache")) == 50_000
