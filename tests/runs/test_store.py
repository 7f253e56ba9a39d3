"""A store gives each run back as it was, byte by byte, whatever is added later; what is no store is one line."""

import hashlib
import json
import lzma
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from safetensors.numpy import save

from listops_bench.errors import InvalidInput
from listops_bench.runs import store
from listops_bench.runs.store import StoredRecipe, run_folder, store_runs, stored_recipes, stored_run

Files = dict[str, bytes]


def run(value: float, *, shape: tuple[int, ...] = (3, 2), kind: str = "float32", log: str | None = "{}\n") -> Files:
    weights = save({"a": np.full(shape, value, kind), "b": np.arange(4).astype("float32")}, {"format": "pt"})
    files = {"config.json": b'{"n": 1}', "model.safetensors": weights, "run.json": b'{"seed": "\xc3\xa4"}'}
    return files | ({} if log is None else {"train_log.jsonl": log.encode()})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


RUNS = {"10": run(1), "2": run(float("nan"), log=None), "0": run(3, shape=(5,)), "0.7": run(4, kind="float16")}


@settings(max_examples=6)
@given(st.permutations(list(RUNS)), st.integers(0, 4))
def test_any_order_and_any_parts_give_the_same_store_and_the_same_runs(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], cut: int
) -> None:
    whole, parts = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("parts")
    assert store_runs(whole, "r", RUNS) == 4
    added = [store_runs(parts, "r", {seed: RUNS[seed] for seed in part}) for part in (order[:cut], order[cut:], order)]
    assert added == [cut, 4 - cut, 0]
    assert contents(whole) == contents(parts)
    assert sorted(contents(whole)) == ["r.1.safetensors", "r.2.safetensors", "r.json", "r.runs.xz", "r.safetensors"]
    found = StoredRecipe(whole, "r")
    assert {seed: found.read(seed) for seed in order} == RUNS
    assert found.digests == {s: hashlib.sha256(files["model.safetensors"]).hexdigest() for s, files in RUNS.items()}


def test_those_who_add_to_a_store_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as together:
        added = together.map(lambda seed: store_runs(tmp_path, "r", {str(seed): run(seed)}), range(6))
    assert list(added) == [1] * 6
    found = StoredRecipe(tmp_path, "r")
    assert {seed: found.read(seed) for seed in found.digests} == {str(seed): run(seed) for seed in range(6)}


def test_other_weights_of_a_run_change_nothing(tmp_path: Path) -> None:
    store_runs(tmp_path, "r", {"1": run(1)})
    before = contents(tmp_path)
    with pytest.raises(InvalidInput, match="r#1 is in"):
        store_runs(tmp_path, "r", {"1": run(2), "2": run(2)})
    assert contents(tmp_path) == before


def test_a_recipe_without_a_seed_gets_the_name_of_a_run(tmp_path: Path) -> None:
    store_runs(tmp_path, "first-6000", {"3": run(1), "12.1": run(2)})
    with pytest.raises(
        InvalidInput, match=r"'\S*/first-6000' is a recipe; say which run of it, such as '\S*/first-6000#3'$"
    ):
        run_folder(str(tmp_path / "first-6000"))
    assert run_folder(str(tmp_path / "first-600")) == tmp_path / "first-600"
    (tmp_path / "first-6000").mkdir()
    assert run_folder(str(tmp_path / "first-6000")) == tmp_path / "first-6000"


def test_of_many_recipes_some_are_named(tmp_path: Path) -> None:
    store_runs(tmp_path, f"a{'x' * 100}", {"3": run(1)})
    for number in range(1, 8):
        for end in ("json", "runs.xz", "safetensors"):
            shutil.copy(tmp_path / f"a{'x' * 100}.{end}", tmp_path / f"a{number}{'x' * 99}.{end}")
    with pytest.raises(InvalidInput, match=r"known: a1x+, a2x+, a3x+, a4x+ and 4 more$"):
        stored_run(f"{tmp_path}/nothing#3")


def test_a_run_is_found_by_its_name(tmp_path: Path) -> None:
    store_runs(tmp_path, "first-6000", {"3": run(1), "3.1": run(2)})
    for seed, value in (("3", 1), ("3.1", 2)):
        folder = stored_run(f"{tmp_path}/first-6000#{seed}")
        assert contents(folder) == run(value)
        assert folder.name == f"first-6000-seed{seed}"
    assert stored_recipes(tmp_path) == ["first-6000"]
    for name, near in ((f"{tmp_path}/first-600#3", "first-6000"), (f"{tmp_path}/first-6000#4", "3"), ("no/r#1", "no")):
        with pytest.raises(InvalidInput, match=near):
            stored_run(name)


def _packed(value: Any) -> bytes:
    return lzma.compress(json.dumps(value).encode())


def _without_stack(folder: Path) -> bytes:
    return json.dumps(json.loads((folder / "r.json").read_bytes()) | {"stacks": []}).encode()


STRANGE: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "no xz": ("r.runs.xz", lambda folder: b"{}"),
    "cut off": ("r.runs.xz", lambda folder: (folder / "r.runs.xz").read_bytes()[:-20]),
    "no index": ("r.json", lambda folder: b"[1]"),
    "no runs": ("r.runs.xz", lambda folder: _packed([1])),
    "runs of others": ("r.runs.xz", lambda folder: _packed({"2": {}})),
    "a run without weights": ("r.json", _without_stack),
    "another file": ("r.runs.xz", lambda folder: _packed({"1": {"../../x.py": "import os"}})),
    "a bomb": ("r.runs.xz", lambda folder: lzma.compress(bytes(60_000))),
    "no stack": ("r.safetensors", lambda folder: b"x" * 100),
    "another shape": ("r.safetensors", lambda folder: save({"weights": np.zeros((2, 10), "float32")})),
    "other weights": ("r.safetensors", lambda folder: save({"weights": np.zeros((1, 10), "float32")})),
    "other tensors": ("r.safetensors", lambda folder: save({"x": np.zeros((1, 10), "float32")})),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_store_is_one_line_that_names_the_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_MAX_RUNS_BYTES", 50_000)
    store_runs(tmp_path, "r", {"1": run(1)})
    file, content = STRANGE[name]
    (tmp_path / file).write_bytes(content(tmp_path))
    with pytest.raises(InvalidInput, match=rf"^[^\n]*{file}[^\n]*$"):
        StoredRecipe(tmp_path, "r").read("1")
