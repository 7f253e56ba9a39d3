"""Dataset folders: the export, the frozen release, and what happens when a file is damaged."""

import re
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import listops_bench
from listops_bench.dataset.card import measure
from listops_bench.dataset.release import FLAGSHIP, check, export, read_checksums
from listops_bench.errors import InvalidInput
from listops_bench.tasks.generator import generate, rows_checksum
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.task import DATASET_VERSION, get_task
from tests.support.commands import run_python
from tests.support.fake_results import files_of

RELEASE = Path(listops_bench.__file__).parent
CHECKOUT = RELEASE.parent
SMALL = {"num_train": 2_000, "num_validation": 50, "num_test": 100, "num_extra": 50}

pytestmark = pytest.mark.skipif(not (CHECKOUT / "tasks").is_dir(), reason="needs a checkout")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small exported folder."""
    folder = tmp_path_factory.mktemp("export")
    export(folder, [get_task("sum", **SMALL), get_task("sum_max_med", **SMALL)])
    return folder


def test_an_exported_folder_loads_by_its_path(folder: Path, tmp_path: Path) -> None:
    """By default, the headline task."""
    rows = datasets.load_dataset(str(folder), "sum", cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in rows.items()} == {
        "train": 2000, "validation": 50, "test": 100, "test_unseen_operands": 50, "test_deeper": 50, "test_wider": 50,
    }  # fmt: skip
    built = listops_bench.load("sum", split="test", num_test=100, cache_dir=tmp_path)
    assert rows["test"].features == built.features
    assert rows["test"][:] == built[:]
    default = datasets.load_dataset(str(folder), split="test", cache_dir=str(tmp_path))
    assert default[0]["id"] == "sum_max_med/test/00000"


def test_the_card_is_complete(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert [c["config_name"] for c in header["configs"]] == ["sum", "sum_max_med"]
    assert header["license"] == "apache-2.0"
    words = ("## Citation", "load_dataset(", "### sum_max_med", "bag_of_operands", DATASET_VERSION, "(5, 7, 3, 8, ")
    assert all(word in card for word in words)
    assert not re.search(r"[{}]", card.split("```bibtex")[0])  # no placeholder was left


def test_eval_yaml_names_every_task_and_a_strict_scorer(folder: Path) -> None:
    page = yaml.safe_load((folder / "eval.yaml").read_text())
    frozen = yaml.safe_load((Path(listops_bench.__file__).parent / "eval.yaml").read_text())
    assert page.keys() == frozen.keys() == {"name", "description", "evaluation_framework", "tasks"}
    assert page["tasks"][0] == frozen["tasks"][0]
    assert [task["id"] for task in page["tasks"]] == ["sum", "sum_max_med"]
    pattern = re.compile(page["tasks"][0]["scorers"][0]["args"]["pattern"])
    for text, answer in ((" [SUM 3 9 4 ] = 6", "6"), (" 6", "6"), (" [SUM 3 9 4 ] = 6 ]", None), (" [SUM 1 2", None)):
        found = pattern.search(text)
        assert (found and found[1]) == answer


def test_checksums_are_over_rows_and_a_second_export_changes_nothing(folder: Path, tmp_path: Path) -> None:
    assert len(list(check(folder))) == 12
    before = files_of(folder)
    export(folder, [get_task("sum", **SMALL), get_task("sum_max_med", **SMALL)])
    assert before == files_of(folder)


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered", "table"])
def test_a_damaged_file_is_named_with_the_command_that_mends_it(damage: str, tmp_path: Path) -> None:
    export(tmp_path, [get_task("max", num_train=100, num_validation=20, num_test=20, num_extra=20)])
    path = tmp_path / "data" / "max" / "test.parquet"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "altered":
        pq.write_table(pq.read_table(path).slice(1), path)
    else:
        path = path if damage == "missing" else tmp_path / "data" / "checksums.tsv"
        path.unlink()
    with pytest.raises(InvalidInput) as caught:
        list(check(tmp_path))
    assert str(path) in str(caught.value)
    command = f"`listops-bench export {tmp_path}" + ("`" if damage == "table" else " --task max`")
    assert command in str(caught.value)


@pytest.mark.parametrize(
    "line", ["../max\ttest\t1\t0", "/etc/x\ttest\t1\t0", "max\t../test\t1\t0", "max\ttest\t1", "max"]
)
def test_a_table_names_files_of_its_folder_only(line: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "checksums.tsv").write_text(f"# rows\ntask\tsplit\tn\tsha256\n{line}\n")
    with pytest.raises(InvalidInput, match=r"checksum table .* cannot be read"):
        list(check(tmp_path))


@pytest.mark.parametrize("columns", [{"a": [1]}, {"a": [[1], None]}])
def test_a_file_of_other_columns_is_no_file_of_rows(columns: dict[str, list[object]], tmp_path: Path) -> None:
    export(tmp_path, [get_task("max", num_train=100, num_validation=20, num_test=20, num_extra=20)])
    pq.write_table(pa.table(columns), tmp_path / "data" / "max" / "test.parquet")
    with pytest.raises(InvalidInput, match=r"test\.parquet"):
        list(check(tmp_path))


def test_an_export_never_overwrites_another_readme(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InvalidInput, match="no card of ours"):
        export(tmp_path, ["max"])
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_card_s_overlap_is_zero_everywhere() -> None:
    for facts in measure(get_task("sum_max", num_train=20_000))[1:]:
        assert facts.in_train == 0
        assert all(0 <= baseline.accuracy <= 1 for baseline in facts.baselines)


# --- the frozen release -----------------------------------------------------------------------------------------------


def test_the_frozen_release_holds_the_flagship_tasks() -> None:
    assert [(c.task, c.split) for c in read_checksums(RELEASE)] == [(t, s) for t in FLAGSHIP for s in SPLITS]
    assert (RELEASE / "data" / "checksums.tsv").read_text().startswith(f"# dataset version {DATASET_VERSION}\n")
    size = sum(path.stat().st_size for path in (RELEASE / "data").rglob("*"))
    assert size <= 15 * 2**20


@pytest.mark.parametrize("task", FLAGSHIP)
def test_the_frozen_release_is_what_the_generator_draws(task: str) -> None:
    for line in (line for line in read_checksums(RELEASE) if line.task == task):
        assert rows_checksum(generate(get_task(task), line.split)) == line.sha256
        assert pq.read_table(RELEASE / line.path).num_rows == line.rows


def test_the_frozen_files_hold_the_rows_of_their_checksums() -> None:
    assert len(list(check(RELEASE, splits=SPLITS[1:]))) == len(FLAGSHIP) * (len(SPLITS) - 1)


def test_the_frozen_folder_and_the_builder_in_two_processes_give_the_same_rows(tmp_path: Path) -> None:
    built = listops_bench.load("sum_max_med", num_proc=2, cache_dir=tmp_path)
    for split in SPLITS:
        frozen = pq.read_table(RELEASE / "data" / "sum_max_med" / f"{split}.parquet")
        assert frozen.to_pydict() == built[split].data.table.to_pydict()


def test_from_the_repository_root_no_import_is_needed(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.chdir(os.environ['CHECKOUT']); from datasets import load_dataset\n"
        "rows = load_dataset('listops_bench', 'sum')\n"
        "print('listops_bench' in sys.modules, rows['train'].num_rows, rows['test'][0]['id'])"
    )
    done = run_python(code, tmp_path, CHECKOUT=str(CHECKOUT))
    assert done.stdout.strip() == "False 50000 sum/test/00000", done.stderr[-2000:]
