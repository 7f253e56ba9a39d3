"""Checkpoint folders: complete, whole or not there, loadable by anyone, and refused when broken."""

import hashlib
import json
import os
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.model.checkpoint import (
    _flush,
    load_checkpoint,
    remove_unfinished,
    save_checkpoint,
    weights_sha256,
)
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer, save_tokenizer
from listops_bench.runs.record import RunRecord
from tests.support.commands import run_python

PROMPT = "[SUM 3 [MAX 2 9 ] 4 ] ="


def save(folder: Path, name: str = "looped_d016", modulus: int = 10, **run: Any) -> Path:
    return save_checkpoint(
        folder, build_model(name, modulus, seed=1), build_tokenizer(modulus), RunRecord(name=name, **run)
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("saved") / "checkpoint", curriculum="sum:10")


@pytest.fixture
def copied(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to break."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def logits(model: torch.nn.Module) -> torch.Tensor:
    ids = torch.tensor([build_tokenizer(10)(PROMPT).input_ids])
    with torch.no_grad():
        return model(input_ids=ids).logits


def test_a_folder_holds_everything(checkpoint: Path) -> None:
    assert {path.name for path in checkpoint.iterdir()} == {
        "config.json", "model.safetensors", "generation_config.json", "configuration_looped.py", "modeling_looped.py",
        "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "README.md", "run.json",
    }  # fmt: skip
    assert [path.name for path in checkpoint.parent.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("name", ["looped_d016", "looped_rope_d016", "gpt2_d016", "llama_d016", "nrgpt_d016"])
def test_it_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    model = build_model(name, seed=1).eval()
    save_checkpoint(tmp_path / "c", model, build_tokenizer(10), RunRecord(seed=1))
    loaded, tokenizer, run = load_checkpoint(tmp_path / "c")
    assert torch.equal(logits(loaded), logits(model))
    tied = loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight
    assert tied == loaded.config.tie_word_embeddings
    assert not loaded.training
    assert tokenizer(PROMPT).input_ids == build_tokenizer(10)(PROMPT).input_ids
    assert run.seed == 1
    assert run.parameters.total == sum(p.numel() for p in loaded.parameters())
    assert run.weights_sha256 == weights_sha256(tmp_path / "c")


def test_the_auto_classes_load_it_when_the_package_is_imported(checkpoint: Path) -> None:
    model, _, _ = load_checkpoint(checkpoint)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(checkpoint)), logits(model))


@pytest.mark.check_all
def test_it_loads_where_the_package_cannot_be_imported(checkpoint: Path, tmp_path: Path) -> None:
    """And so does what was saved there again, which we open too."""
    model, _, _ = load_checkpoint(checkpoint)
    torch.save(logits(model), tmp_path / "expected.pt")
    code = f"""
import sys
sys.path[:] = [p for p in sys.path if p not in ("", {str(Path(__file__).parents[2])!r})]
sys.modules["listops_bench"] = None  # importing it is an error, wherever it may be installed
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
for folder in {str(checkpoint)!r}, "again":
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    ids = tokenizer({PROMPT!r}, return_tensors="pt")
    assert model.lm_head.weight is model.model.embedding.weight
    with torch.no_grad():
        assert torch.equal(model(**ids).logits, torch.load({str(tmp_path / "expected.pt")!r}))
    assert model.generate(**ids).shape[1] <= ids.input_ids.shape[1] + 64
    print(type(model).__module__)
    model.save_pretrained("again")
    tokenizer.save_pretrained("again")
"""
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    first, again = done.stdout.splitlines()
    assert first != again
    assert first.startswith("transformers_modules.")
    assert again.startswith("transformers_modules.again")
    assert torch.equal(logits(load_checkpoint(tmp_path / "again")[0]), logits(model))


def test_an_older_transformers_is_told_what_is_needed(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    with pytest.raises(ImportError, match="needs transformers 5"):
        runpy.run_path(str(checkpoint / "configuration_looped.py"))


def test_generation_stops_within_the_context(checkpoint: Path) -> None:
    config = GenerationConfig.from_pretrained(checkpoint)
    assert (config.max_new_tokens, config.do_sample) == (64, False)
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, None, 1)


def test_a_model_of_single_steps_may_fill_the_context(tmp_path: Path) -> None:
    config = GenerationConfig.from_pretrained(save(tmp_path / "c", config={"trace": "single"}))
    assert (config.max_new_tokens, config.max_length) == (None, 128)


def test_equal_weights_make_equal_files(checkpoint: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    assert weights_sha256(checkpoint) == weights_sha256(save(tmp_path / "again")) == digest


def test_the_card_says_what_it_is(checkpoint: Path) -> None:
    card = (checkpoint / "README.md").read_text()
    assert "5,648 parameters" in card
    assert "`sum:10`" in card
    assert weights_sha256(checkpoint) in card


# --- writing ----------------------------------------------------------------------------------------------------------


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays the folder that it was: a shell may be in it, or a disk mounted on it. Links and dots are followed."""
    (empty := tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(empty)
    inode = empty.stat().st_ino
    files = {path.name for path in save(tmp_path / "link").iterdir()}
    assert empty.stat().st_ino == inode
    assert {"config.json", "model.safetensors", "run.json"} < {path.name for path in empty.iterdir()} == files
    (tmp_path / "shell").mkdir()
    monkeypatch.chdir(tmp_path / "shell")
    save(Path("."))
    assert Path("run.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link", "shell"]


def test_a_folder_whose_filling_was_cut_short_is_filled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c").mkdir()
    whole = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.name == "model.safetensors":
            raise KeyboardInterrupt
        return whole(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / "c")
    assert not (tmp_path / "c" / "run.json").exists()
    load_checkpoint(save(tmp_path / "c"))
    assert not list((tmp_path / "c").glob(".*"))


def test_files_reach_the_disk_where_folders_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which flushes only what is open for writing."""
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file", tmp_path / "folder" / "file"):
        path.write_bytes(b"")
    opened: list[tuple[str, int]] = []
    original = os.open
    monkeypatch.delattr(os, "O_DIRECTORY")
    monkeypatch.setattr(os, "open", lambda path, flags: opened.append((path.name, flags)) or original(path, flags))
    _flush(tmp_path)
    assert opened == [("file", os.O_RDWR)] * 2


def test_weights_may_be_read_by_whoever_may_read_the_rest(checkpoint: Path) -> None:
    assert len({path.stat().st_mode for path in checkpoint.iterdir() if path.is_file()}) == 1


def test_nothing_of_somebodys_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for mine in (tmp_path / "notes" / "mine.txt", tmp_path / "file"):
        mine.write_text("precious")
        with pytest.raises(InvalidInput, match="already exists"):
            save(tmp_path / mine.relative_to(tmp_path).parts[0])
        assert mine.read_text() == "precious"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        assert (folder / "model.safetensors").is_file()
        raise OSError(28, "No space left on device")

    with pytest.raises(EnvironmentFailed, match="No space left on device"):
        save_checkpoint(tmp_path / "c", build_model("looped_d008"), build_tokenizer(10), finish=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot write"):
        save(tmp_path / "file" / "checkpoint")


def test_what_a_killed_writer_left_can_be_cleared(tmp_path: Path) -> None:
    (tmp_path / ".run.123.tmp").mkdir()
    (tmp_path / ".run.123.tmp" / "config.json").write_text("{}")
    (tmp_path / ".runner.5.tmp").mkdir()
    remove_unfinished(tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == [".runner.5.tmp"]


# --- broken folders ---------------------------------------------------------------------------------------------------


def refused(folder: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


PARTS = ("model.safetensors", "config.json")


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_part_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    assert name in refused(copied)


@pytest.mark.parametrize("name", [*PARTS, "run.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_part_that_is_cut_off_is_refused(copied: Path, name: str, share: float) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: int(share * len(content))])
    assert str(copied) in refused(copied)


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "is not a folder"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "pickled weights"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json that is no object"),
        (lambda folder: change_config(folder, hidden_size=24), "is [22, 16], and config.json asks for [22, 24]"),
        (lambda folder: change_config(folder, tie_word_embeddings=False), "'lm_head.weight' is missing"),
    ],
)
def test_what_does_not_fit_is_refused(copied: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(copied)
    assert message in refused(copied)


def test_code_in_a_folder_is_never_run(copied: Path) -> None:
    classes = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    change_config(copied, model_type="theirs", auto_map=classes)
    (copied / "evil.py").write_text("raise SystemExit('it ran')")
    message = refused(copied)
    assert "code of its own" in message
    assert "--trust-remote-code" in message


def test_code_in_a_folder_is_run_where_asked_for(copied: Path) -> None:
    """The looped family's own files, under a model type that nobody knows."""
    for name in ("configuration_looped.py", "modeling_looped.py"):
        text = (copied / name).read_text().replace('"listops_looped"', '"theirs"')
        (copied / name).write_text(text)
    change_config(copied, model_type="theirs")
    assert "--trust-remote-code" in refused(copied)
    model, _, _ = load_checkpoint(copied, trust_remote_code=True)
    assert type(model).__module__.startswith("transformers_modules.")


def test_a_folder_without_provenance_is_read_all_the_same(copied: Path) -> None:
    (copied / "run.json").unlink()
    assert load_checkpoint(copied)[2] == RunRecord()
    assert AutoTokenizer.from_pretrained(copied).padding_side == "left"


def test_the_tokenizer_is_that_of_the_models_modulus_whatever_lies_there(copied: Path) -> None:
    save_tokenizer(build_tokenizer(20), copied)
    assert load_checkpoint(copied)[1].get_vocab() == build_tokenizer(10).get_vocab()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        (copied / name).write_text("{%")
    model, tokenizer, _ = load_checkpoint(copied)
    assert tokenizer(PROMPT).input_ids == build_tokenizer(10)(PROMPT).input_ids
    assert model.generation_config.max_new_tokens == 64
