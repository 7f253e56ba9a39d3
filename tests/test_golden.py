"""Golden values: what has to stay the same while the code is moved and rewritten.

Every test compares what the code makes today with ``golden.json``. To write the file anew (in one process, and only
where a change is meant; delete it first to drop entries that no test has any more)::

    LISTOPS_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py

Pinned elsewhere, and not repeated here:

* the board built anew equals the committed one (README.md, CLAIMS.md, the site with thresholds.json and the figures):
  tests/leaderboard/test_reference.py; here are only digests of the committed files, which a change of both would alter
* committed checkpoints repeat their committed results on all rows: tests/leaderboard/test_reference.py
* leaderboard/schema.json equals the classes: tests/result/test_format.py; its digest is here
* 500 test rows of sum and sum_max_med: tests/tasks/test_generator.py
* a packed run equals the run alone, and packs resume: tests/train/test_packed.py
* a run resumed in any stage, with any optimizer: tests/train/test_stages.py; killed at any time:
  tests/train/test_killed.py
* checkpoints load without this package: tests/model/test_checkpoint.py

The dataset's fingerprint is not pinned; the rows are.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from listops_bench._base.records import dumps
from listops_bench.cli.command import main
from listops_bench.evaluate.checkpoint import open_checkpoint, recipe_of
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.model.ladder import load_config
from listops_bench.result.files import find_results, read_result, write_result
from listops_bench.runs.folder import working_dir
from listops_bench.runs.record import Environment, RunRecord
from listops_bench.runs.store import stored_run
from listops_bench.sweep._folder import SweepFolder
from listops_bench.sweep._packs import units_of
from listops_bench.sweep.grid import read_sweep
from listops_bench.tasks.generator import generate, rows_checksum
from listops_bench.tasks.task import get_task
from listops_bench.train.config import make_config
from listops_bench.train.packed.run import train_packed
from listops_bench.train.run import train
from tests.support.fake_results import files_of as contents
from tests.support.runs import interrupt_at

ROOT = Path(__file__).resolve().parent.parent
BOARD = ROOT / "leaderboard"
FILE = Path(__file__).with_name("golden.json")
WRITE = os.environ.get("LISTOPS_WRITE_GOLDEN") == "1"


# --- golden.json ------------------------------------------------------------------------------------------------------

Same = Callable[..., None]


@pytest.fixture(scope="module")
def golden() -> Iterator[dict[str, Any]]:
    """The pinned values; those that tests have set are written at the end, where that is asked for."""
    values: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    yield values
    if WRITE:
        text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False)
        FILE.write_text(text + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def same(golden: dict[str, Any]) -> Same:
    """``same("name", value)`` compares a value with the pinned one, ``same("name", value, near)`` with a tolerance."""
    written = set[str]()

    def check(name: str, value: Any, near: Callable[[Any], Any] = lambda pinned: pinned) -> None:
        plain = json.loads(json.dumps(value))
        if WRITE and name not in written:
            golden[name] = plain
            written.add(name)
        assert plain == near(golden[name])

    return check


def sha256(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def tree_sha256(folder: Path, *, without: tuple[str, ...] = ()) -> str:
    """Of the relative paths and contents of all files below a folder, but for those with some suffixes."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_file() and path.suffix not in without:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def keys_of(value: Any, prefix: str = "") -> list[str]:
    """The keys of nested mappings, sorted: ``["a", "a.b", "c"]``. Those of mappings in a list have ``[]``."""
    if isinstance(value, Mapping):
        own = [(f"{prefix}.{key}" if prefix else str(key), item) for key, item in value.items()]
        return sorted({name for key, item in own for name in (key, *keys_of(item, key))})
    if isinstance(value, list):
        return sorted({name for item in value for name in keys_of(item, f"{prefix}[]")})
    return []


# --- which run it is --------------------------------------------------------------------------------------------------

CONFIGS: dict[str, dict[str, Any]] = {
    "task": {"task": "sum_max_med", "model": "looped_d032", "max_steps": 6000},
    "defaults": {"task": "sum"},
    "stages": {"curriculum": "med_max:1500, sum*0.5+max_med*0.5:4500/keep-optimizer", "seed": 3, "data_seed": 4},
    "until": {"curriculum": "max:100/until=0.9,sum:200/freeze=embedding", "early_stop": 0.99, "trace": "single"},
    "modulus": {"task": "sum_mod20", "model": "llama_d032", "optim": "sgd", "learning_rate": 0.1, "loss_on": "all"},
}
PAGE = """
recipe: {dataset_seed: 0, max_steps: 60, per_device_train_batch_size: 32, eval_steps: 0}
grids:
  - models: [looped_d008, {model: looped_d048, hidden_size: 40, num_attention_heads: 4}]
    tasks: [sum, sum_max_med_depth3]
    curricula: ["max_med:20,sum:40/keep-optimizer"]
    seeds: [0, 1]
  - models: [looped_d008]
    tasks: [max]
    seeds: [0]
    recipe: {learning_rate: [1e-3, 2e-3]}
  - models: [looped_d012]
    tasks: [sum]
    seeds: [0]
    recipe: {learning_rate: [1e-3, 2e-3], eval_steps: 10}
    select: {over: learning_rate, by: validation, seeds: [100]}
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.yaml"
    path.write_text(PAGE)
    return path


def config_of(**values: Any) -> Any:
    return make_config({"output_dir": "x", "report_to": "none", **values})


def recipe_id(config: Any) -> str:
    """The recipe's id in the results of a run."""
    run = RunRecord(identity=config.identity(), seed=config.seed, curriculum=str(config.plan()))
    return recipe_of(run, load_config(config.fresh_model, config.plan().symbol_set), "run.json").id


def jobs_of(page: Path, folder: Path) -> list[Any]:
    """All runs of a sweep page, those that choose a recipe and all candidates too."""
    sweep = read_sweep(page, folder)
    chosen = (job for s in sweep.selections for by in (s.choosing, s.reported) for jobs in by.values() for job in jobs)
    return [*sweep.jobs, *chosen]


@pytest.mark.parametrize("name", CONFIGS)
def test_identity_of_a_run(same: Same, name: str) -> None:
    config = config_of(**CONFIGS[name])
    same(f"run {name}", {"identity": config.identity(), "recipe": recipe_id(config), "name": config.model_name})


def test_identity_of_a_run_that_starts_from_a_checkpoint(same: Same) -> None:
    start = BOARD / "weights" / "looped_d032-max_med-1500-sum-4500-keep-optimizer-50ec5d56#0"
    config = config_of(task="sum", init_from=str(start))
    found = config.identity(num_processes=2, mixed_precision="bf16")
    same("run from a checkpoint", {"identity": found, "name": config.model_name})


def test_options_that_decide_nothing_leave_the_identity_alone() -> None:
    options = {"output_dir": "y", "logging_steps": 7, "save_steps": 7, "checkpoint_steps": 7, "report_to": "auto"}
    config = config_of(**CONFIGS["task"])
    assert config_of(**CONFIGS["task"], **options, num_processes=1).identity() == config.identity()


def test_runs_of_a_sweep(same: Same, page: Path, tmp_path: Path) -> None:
    jobs = jobs_of(page, tmp_path / "sweep")
    assert all(job.config.output_dir == str(tmp_path / "sweep" / "runs" / job.name) for job in jobs)
    same("sweep jobs", [job.name for job in jobs])
    same("sweep recipes", [recipe_id(job.config) for job in jobs])
    same("sweep identities", sha256(json.dumps([job.config.identity() for job in jobs], sort_keys=True)))
    same("sweep models", {name: text.decode() for name, text in contents(tmp_path / "sweep" / "models").items()})


@pytest.mark.parametrize("pack", [1, 4], ids=["alone", "packed"])
def test_units_of_a_sweep(same: Same, page: Path, tmp_path: Path, pack: int) -> None:
    units = units_of(SweepFolder(tmp_path / "sweep", read_sweep(page, tmp_path / "sweep")), pack, 1)
    found = [(unit.pack.name if unit.pack else None, [job.name for job in unit.jobs]) for unit in units]
    same(f"sweep units of {pack}", [[name, len(jobs)] for name, jobs in found])
    same(f"sweep order of {pack}", sha256(json.dumps(found)))


@pytest.mark.parametrize("name", ["demo", "pocket", pytest.param("reference", marks=pytest.mark.check_all)])
def test_runs_of_the_committed_sweeps(same: Same, tmp_path: Path, name: str) -> None:
    names = [job.name for job in jobs_of(BOARD / "sweeps" / f"{name}.yaml", tmp_path)]
    same(f"sweep {name}", {"runs": len(names), "sha256": sha256("\n".join(names)), "first": names[0]})


# --- rows -------------------------------------------------------------------------------------------------------------

ROWS: dict[str, Any] = {
    "sum train": ("sum", "train", {}),
    "sum train seed 1": ("sum", "train", {"seed": 1}),
    "sum test single": ("sum", "test", {"trace": "single"}),
    "sum_max_med test none": ("sum_max_med", "test", {"trace": "none"}),
    "sum_max_med validation": ("sum_max_med", "validation", {}),
    "sum_max_med test_unseen_operands": ("sum_max_med", "test_unseen_operands", {}),
    "sum_max_med_depth3 test_deeper": ("sum_max_med_depth3", "test_deeper", {}),
    "sum_max_med_depth3 train from 100": ("sum_max_med_depth3", "train", {"start": 100}),
    "sum_max_med_mod11 test_wider": ("sum_max_med_mod11", "test_wider", {}),
    "max_med_mod20 test": ("max_med_mod20", "test", {}),
    "sum_mod20 train seed 5": ("sum_mod20", "train", {"seed": 5}),
    "nadd_ssum_prod_min test": ("nadd_ssum_prod_min", "test", {}),
    "max train not unique": ("max", "train", {"spec": {"unique": False}}),
    "sum with four operands train": ("sum", "train", {"spec": {"max_operands": 4, "depth_weights": (0.5, 0.5)}}),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(same: Same, name: str) -> None:
    task, split, options = ROWS[name][0], ROWS[name][1], dict(ROWS[name][2])
    spec = dataclasses.replace(get_task(task), **options.pop("spec", {}))
    same(f"rows {name}", rows_checksum(generate(spec, split, num_rows=300, **options)))


# --- results and the board --------------------------------------------------------------------------------------------


def test_a_result_file(same: Same, tmp_path: Path) -> None:
    """As another machine would make it at another time."""
    checkpoint = stored_run(str(BOARD / "weights" / "looped_d032-sum_max_med-6000-e7a4a065#0"))
    result = evaluate_checkpoint(checkpoint, "sum", num_rows=40, device="cpu")[0]
    nowhere = Environment(packages={"python": "3"}, commit=None, dirty=None, hardware=None)
    made = dataclasses.replace(result.evaluation, created="2000-01-01T00:00:00Z", wall_seconds=0.0, environment=nowhere)
    found = dataclasses.replace(result, evaluation=made)
    path = write_result(tmp_path, found)
    assert path.read_text(encoding="utf-8") == dumps(found)
    correct = {split: scored.metrics.trace_accuracy.correct for split, scored in found.splits.items()}
    same(
        "result file",
        {"path": path.relative_to(tmp_path).as_posix(), "sha256": sha256(dumps(found)), "correct": correct},
    )


def test_committed_results_are_written_as_they_are() -> None:
    for path in find_results(BOARD / "results")[::8]:
        assert dumps(read_result(path, BOARD / "results")) == path.read_text(encoding="utf-8")


def test_schema_of_results(same: Same) -> None:
    schema = json.loads((BOARD / "schema.json").read_text(encoding="utf-8"))
    del schema["description"]  # names the module that it is made from
    same("schema", sha256(json.dumps(schema, sort_keys=True)))


def test_analyses_of_the_board(same: Same) -> None:
    same("board analyses", tree_sha256(BOARD / "analysis", without=(".png",)))


# --- training ---------------------------------------------------------------------------------------------------------

SHORT: dict[str, Any] = {
    "model": "looped_d008",
    "curriculum": "max_med:5,sum*0.25+max*0.75:7/keep-optimizer",
    "per_device_train_batch_size": 16,
    "warmup_steps": 2,
    "logging_steps": 4,
    "eval_steps": 6,
    "eval_rows": 20,
    "save_steps": 4,
    "seed": 1,
}
SECOND: dict[str, Any] = {"curriculum": None, "task": "sum", "max_steps": 12, "seed": 2, "learning_rate": 1e-3}


def short(output_dir: Path, **values: Any) -> Any:
    return config_of(**{**SHORT, **values, "output_dir": str(output_dir)})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run."""
    folder = tmp_path_factory.mktemp("golden") / "run"
    train(short(folder))
    return folder


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of two short runs, trained packed; the first is `trained`."""
    folder = tmp_path_factory.mktemp("golden-pack")
    first, second = folder / "first", folder / "second"
    train_packed([short(first), short(second, **SECOND)], folder / "pack")
    return first, second


def weights_of(folder: Path) -> dict[str, list[float]]:
    """Of each tensor: its number of values, sum, norm, and three of its values."""
    found = {}
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        flat = tensor.astype(np.float64).ravel()
        few = flat[[0, len(flat) // 2, len(flat) - 1]]
        found[name] = [float(f"{x:.7g}") for x in (len(flat), flat.sum(), np.linalg.norm(flat), *few)]
    return found


def near_weights(pinned: Mapping[str, list[float]]) -> dict[str, Any]:
    """Rounding differs between machines: a sum may be off by what its terms are, and no value by more than 1e-4."""
    return {
        name: [n, *(pytest.approx(x, rel=1e-4, abs=1e-4 * norm) for x in (total, norm)), *map(near_value, few)]
        for name, (n, total, norm, *few) in pinned.items()
    }


def near_value(value: float) -> Any:
    return pytest.approx(value, rel=1e-4, abs=2e-6)


def steady(record: Mapping[str, Any]) -> dict[str, Any]:
    """run.json without what depends on the machine, the time or the folder."""
    left = {key: value for key, value in record.items() if key not in ("written", "weights_sha256", "loss", "threads")}
    left["config"] = {key: value for key, value in record["config"].items() if key != "output_dir"}
    left["training"] = {k: v for k, v in record["training"].items() if k not in ("environment", "wall_seconds")}
    return left


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return record


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train_log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_weights_of_a_short_run(same: Same, trained: Path) -> None:
    same("weights alone", weights_of(trained), near_weights)


def test_weights_of_a_short_pack(same: Same, packed: tuple[Path, Path]) -> None:
    same("weights alone", weights_of(packed[0]), near_weights)  # one pin: packed or not
    same("weights packed", weights_of(packed[1]), near_weights)


def test_files_of_a_run(same: Same, trained: Path, packed: tuple[Path, Path]) -> None:
    same("files of a run", files_of(trained))
    same("files of a packed run", files_of(packed[0]))


def test_record_of_a_run(same: Same, trained: Path) -> None:
    record = record_of(trained)
    same("keys of run.json", keys_of(record))
    same("run.json", steady(record))
    same("loss", record["loss"], near_value)
    same("recipe of a run", open_checkpoint(trained).recipe.id)


def test_record_of_a_packed_run(same: Same, packed: tuple[Path, Path]) -> None:
    records = [record_of(folder) for folder in packed]
    same("keys of a packed run.json", keys_of(records[0]))
    first, second = (steady(record) for record in records)
    same("packed run.json", sha256(json.dumps([first, second], sort_keys=True)))
    same("packed layout", records[0]["layout"])


def test_log_of_a_run(same: Same, trained: Path) -> None:
    lines = log_of(trained)
    same("keys of the log", [sorted(line) for line in lines])
    same("steps of the log", [[line["step"], line["stage"], line["tokens"]] for line in lines])
    figures = [[line["learning_rate"], line["loss"], line["grad_norm"]] for line in lines]
    same("figures of the log", figures, lambda pinned: [[*map(near_value, line)] for line in pinned])


def test_state_of_a_run_that_was_stopped(same: Same, trained: Path, tmp_path: Path) -> None:
    """It is named and keyed as before, so that a run stopped by an older version goes on; and it does go on."""
    config = short(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=interrupt_at(9))
    working = working_dir(tmp_path / "run")
    state = torch.load(working / "state.pt", map_location="cpu", weights_only=True)
    same("files of a stopped run", [working.name, *files_of(working)])
    same("keys of the state", keys_of(state))
    assert json.loads((working / "config.json").read_text()) == config.identity()
    resumed = train(config)
    assert resumed.resumed_at == 8
    assert resumed.weights_sha256 == record_of(trained)["weights_sha256"]


def test_state_of_a_pack_that_was_stopped(same: Same, packed: tuple[Path, Path], tmp_path: Path) -> None:
    configs = [short(tmp_path / "first"), short(tmp_path / "second", **SECOND)]
    with pytest.raises(KeyboardInterrupt):
        train_packed(configs, tmp_path / "pack", on_step=interrupt_at(9))
    working = working_dir(tmp_path / "pack")
    state = torch.load(working / "state.pt", map_location="cpu", weights_only=True)
    same("files of a stopped pack", files_of(tmp_path))
    same("keys of the state of a pack", keys_of(state))
    same("identity of a pack", json.loads((working / "config.json").read_text()))
    resumed = train_packed(configs, tmp_path / "pack")
    assert [result.resumed_at for result in resumed] == [8, 8]
    assert [r.weights_sha256 for r in resumed] == [record_of(folder)["weights_sha256"] for folder in packed]


# --- a committed checkpoint -------------------------------------------------------------------------------------------


def test_logits_of_a_committed_checkpoint(same: Same) -> None:
    checkpoint = stored_run(str(BOARD / "weights" / "looped_d048-sum_max_med-6000-837fa3c9#0"))
    model, tokenizer, run = load_checkpoint(checkpoint)
    ids = tokenizer("[SUM 3 [MAX 2 9 ] 4 ] = [SUM 3", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0].double()
    same("ids of a prompt", ids[0].tolist())
    same("next tokens", logits.argmax(-1).tolist())
    last = [float(f"{x:.7g}") for x in logits[-1].tolist()]
    same("logits", last, lambda pinned: pytest.approx(pinned, rel=1e-4, abs=1e-4))
    same("run of a checkpoint", [run.name, open_checkpoint(checkpoint).recipe.id])


# --- files for other programs, and what the command prints ------------------------------------------------------------


def test_files_for_lm_eval(same: Same, tmp_path: Path) -> None:
    assert main(["lm-eval-path", "--write", str(tmp_path)]) == 0
    made = tree_sha256(tmp_path)
    assert made == tree_sha256(ROOT / "tasks" / "lm_eval")
    same("lm-eval", {"files": len(files_of(tmp_path)), "sha256": made})


def test_the_command_curriculum(same: Same, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curriculum", "sum:3000", "--like", "sum_max_med:3000", "--by", "sum"]) == 0
    same("curriculum", [line.rstrip() for line in capsys.readouterr().out.splitlines()])
