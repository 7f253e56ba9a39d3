"""What ends a run before its time: a loss that is no number, a full disk, a place that cannot be written."""

import contextlib
import dataclasses
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from listops_bench._base.version import __version__
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.runs.folder import RunFiles, working_dir, working_files
from listops_bench.runs.record import read_run
from listops_bench.train._batches import Batch
from listops_bench.train._log import Progress, TrainingFailed
from listops_bench.train.command import main
from listops_bench.train.packed.run import train_packed
from listops_bench.train.run import TrainResult, train
from tests.support.full_disk import files_of_at_most
from tests.support.runs import interrupt_at, log_of, small


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    config = small(tmp_path / "run", learning_rate=1e30, max_steps=20, logging_steps=7, save_steps=3, max_grad_norm=0)
    with pytest.raises(TrainingFailed, match=r"the loss at step [23] is (nan|inf)") as caught:
        train(config)
    assert not (tmp_path / "run").exists()
    assert not (working_dir(config.output_dir) / "state.pt").exists()
    failure = json.loads(working_files(config.output_dir).failed.read_text())
    assert failure == {"step": caught.value.step, "error": str(caught.value)}


def test_a_run_that_failed_is_marked_until_it_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(tmp_path / "run", save_steps=2, checkpoint_steps=2, max_steps=6, logging_steps=3)

    def spoil(progress: Progress) -> None:
        if progress.step == 4:
            whole = Batch.loss
            monkeypatch.setattr(Batch, "loss", lambda batch, model: whole(batch, model) * math.nan)

    failed = working_files(config.output_dir).failed
    with pytest.raises(TrainingFailed, match="the loss at step 5 is nan"):
        train(config, on_step=spoil)
    monkeypatch.undo()
    assert json.loads(failed.read_text())["step"] == 5
    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=interrupt_at(5))
    assert not failed.exists()
    assert train(config).resumed_at == 4


def test_the_command_names_the_step_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = f"--task sum --model looped_d008 --output-dir {tmp_path}/run --steps 9 --learning-rate 1e30 --eval-steps 0"
    assert main([*flags.split(), "--report-to", "none", "--max-grad-norm", "0"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the loss at step ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(("size", "where"), [(100, "run.training"), (2_000, "step-00000"), (20_000, "run.training")])
def test_a_full_disk_leaves_what_was_whole(tmp_path: Path, size: int, where: str) -> None:
    """Full for config.json, for a checkpoint, for the state: one clear line, and with room again the run goes on."""
    config = small(tmp_path / "run", save_steps=2, checkpoint_steps=2, max_steps=4)
    folder = working_dir(config.output_dir)
    with pytest.raises(EnvironmentFailed, match=f"cannot write '.*{where}': File too large"), files_of_at_most(size):
        train(config)
    assert not (tmp_path / "run").exists()
    for _, path in RunFiles(folder).step_checkpoints():
        load_checkpoint(path)
    assert not list(folder.rglob(".*"))
    again = train(config)
    assert again.weights_sha256 == train(dataclasses.replace(config, output_dir=str(tmp_path / "whole"))).weights_sha256
    assert [line["step"] for line in log_of(again)] == [2, 4]


def test_a_disk_that_fills_up_keeps_the_last_state(tmp_path: Path) -> None:
    config = small(tmp_path / "run", save_steps=2, max_steps=6)
    whole = train(dataclasses.replace(config, output_dir=str(tmp_path / "whole")))
    limit = contextlib.ExitStack()

    def fill(progress: Progress) -> None:
        if progress.step == 3:
            limit.enter_context(files_of_at_most(2_000))

    with limit, pytest.raises(EnvironmentFailed, match=r"cannot write '.*run\.training'"):
        train(config, on_step=fill)
    again = train(config)
    assert again.resumed_at == 2
    assert again.weights_sha256 == whole.weights_sha256
    assert json.loads((again.output_dir / "run.json").read_text())["training"]["steps"] == 6


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot write"):
        train(small(tmp_path / "file" / "run"))


def test_a_mount_point_is_refused_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state would lie beside it, in a container's own layer."""
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) == tmp_path / "out")
    with pytest.raises(InvalidInput, match="out/run"):
        train(small(tmp_path / "out"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", [".", "link"])
def test_the_current_folder_and_a_link_to_one_are_output_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "run")
    if name == ".":
        Path("link").unlink()
    else:
        (tmp_path / "other").mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(small(Path(name), save_steps=1, max_steps=2), on_step=interrupt_at(1))
    assert train(small(Path(name), save_steps=1, max_steps=2)).resumed_at == 1
    assert train(small(Path(name), save_steps=1, max_steps=2)).already_done
    assert not list(tmp_path.glob("*.training"))


@pytest.mark.parametrize("rate", [1e39, 1e300])
def test_a_last_update_that_is_no_number_is_a_failure_too(tmp_path: Path, rate: float) -> None:
    """Its loss was one: no later step would have told. Alone, and beside a run of a pack that ends well."""
    options = {"max_steps": 2, "warmup_steps": 0, "lr_scheduler_type": "constant", "learning_rate": rate}
    with pytest.raises(TrainingFailed, match="step"):
        train(small(tmp_path / "alone", **{**options, "max_steps": 1}))
    assert not (tmp_path / "alone").exists()
    pack = [small(tmp_path / "bad", **{**options, "max_steps": 1}), small(tmp_path / "good", max_steps=2)]
    bad, good = train_packed(pack, tmp_path / "pack")
    assert isinstance(bad, TrainingFailed)
    assert isinstance(good, TrainResult)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".training"] == ["good"]


LOST: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda log: log[:-5],
    "zeros": lambda log: log[:20] + b"\0" * 20 + log[40:],
    "no text": lambda log: log[:20] + b"\xff" * 20 + log[40:],
    "spaces": lambda log: b" " * len(log),
    "no objects": lambda log: b"5\n" * len(log),
}


def test_a_log_that_the_disk_has_lost_is_not_filled_up(tmp_path: Path) -> None:
    """A state says how much of the log there was: cut off, full of something else or gone, it is named."""
    config = small(tmp_path / "run", save_steps=2, max_steps=4)
    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=interrupt_at(3))
    log = working_files(config.output_dir).log
    whole = log.read_bytes()
    for damage in LOST.values():
        log.write_bytes(damage(whole))
        with pytest.raises(InvalidInput, match=r"train_log\.jsonl' is damaged"):
            train(config)
    log.unlink()
    with pytest.raises(InvalidInput, match=r"train_log\.jsonl' is damaged"):
        train(config)
    log.write_bytes(whole)
    assert train(config).resumed_at == 2


def saved(state: Any) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\0" * 50, b"\xff" * 50, saved([1]), saved({"step": 1})])
@pytest.mark.parametrize("name", ["config.json", "state.pt"])
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    config = small(tmp_path / "run")
    path = working_dir(config.output_dir) / name
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"^.*run\.training.*$"):
        train(config)


def test_a_record_names_all_that_a_run_ran_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small(tmp_path / "run", save_steps=2, max_steps=4)
    with monkeypatch.context() as patch:
        patch.setattr("listops_bench.runs.provenance.__version__", "0.0.1")
        with pytest.raises(KeyboardInterrupt):
            train(config, on_step=interrupt_at(2))
    train(config)
    record = read_run(tmp_path / "run")
    assert record
    assert record.training
    assert record.earlier_environments
    versions = [one.packages["listops_bench"] for one in (*record.earlier_environments, record.training.environment)]
    assert versions == ["0.0.1", __version__]
