"""Checkpoints along the way: ordinary folders, made again alike after a kill, and no part of what a run learns."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.checkpoint import open_checkpoint
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.checkpoint import load_checkpoint, weights_sha256
from listops_bench.model.ladder import build_model
from listops_bench.runs.folder import RunFiles, working_dir
from listops_bench.train.run import train
from tests.support.runs import interrupt_at, kept_weights, log_of, small


def test_checkpoints_along_the_way_are_ordinary_folders(tmp_path: Path) -> None:
    config = small(tmp_path / "run", max_steps=7, checkpoint_steps=3, logging_steps=2)
    result = train(config)
    kept = dict(RunFiles(result.output_dir).step_checkpoints())
    assert list(kept) == [0, 3, 6]
    for name, weight in build_model("looped_d008", seed=0).state_dict().items():
        assert torch.equal(weight, load_checkpoint(kept[0])[0].state_dict()[name])
    # The weights after three steps are those of a run on the same schedule that is stopped there.
    stopped = small(tmp_path / "stopped", max_steps=7, save_steps=3)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, on_step=interrupt_at(3))
    state = torch.load(working_dir(stopped.output_dir) / "state.pt", weights_only=True)
    for name, weight in AutoModelForCausalLM.from_pretrained(kept[3]).state_dict().items():
        assert torch.equal(weight, state["model"][name])
    assert AutoTokenizer.from_pretrained(kept[3]).padding_side == "left"
    assert [json.loads(line)["step"] for line in (kept[6] / "train_log.jsonl").read_text().splitlines()] == [2, 3, 4, 6]
    assert [line["step"] for line in log_of(result)] == [2, 3, 4, 6, 7]
    assert result.weights_sha256 == train(small(tmp_path / "without", max_steps=7)).weights_sha256


def test_a_checkpoint_along_the_way_is_scored_as_what_it_is(tmp_path: Path) -> None:
    kept = dict(RunFiles(train(small(tmp_path / "run", checkpoint_steps=2)).output_dir).step_checkpoints())
    after_two, last = open_checkpoint(kept[2]), open_checkpoint(tmp_path / "run")
    assert (after_two.training.steps, after_two.training.budget) == (2, 4)
    assert after_two.recipe.id != last.recipe.id
    assert not after_two.run.stopped_early
    assert evaluate_checkpoint(kept[0], ["sum"], ["test"], num_rows=5)[0].splits["test"].n == 5
    with pytest.raises(InvalidInput, match="holds another run: its after_steps is 2"):
        train(small(kept[2]))


def test_checkpoints_of_frozen_stages_and_padded_rows(tmp_path: Path) -> None:
    config = small(tmp_path / "run", curriculum="max:2/freeze=embeddings,sum:2", checkpoint_steps=1)
    kept = RunFiles(train(config).output_dir).step_checkpoints()
    assert [step for step, _ in kept] == [0, 1, 2, 3]
    assert len({weights_sha256(path) for _, path in kept}) == 4


def test_killed_between_a_checkpoint_and_the_next_state(tmp_path: Path) -> None:
    """What is later than the state is made again, alike; a folder that was being written is cleared away."""
    config = small(tmp_path / "run", max_steps=8, checkpoint_steps=2, save_steps=3)
    whole = train(dataclasses.replace(config, output_dir=str(tmp_path / "whole")))
    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=interrupt_at(5))
    folder = working_dir(config.output_dir)
    assert [step for step, _ in RunFiles(folder).step_checkpoints()] == [0, 2, 4]
    (folder / "checkpoints" / ".step-00004.1.tmp").mkdir()
    (folder / "checkpoints" / "step-00004" / "model.safetensors").unlink()
    again = train(config)
    assert again.resumed_at == 3
    assert again.weights_sha256 == whole.weights_sha256
    assert kept_weights(again.output_dir) == kept_weights(whole.output_dir)
    assert sorted(path.name for path in (again.output_dir / "checkpoints").iterdir()) == [
        f"step-0000{step}" for step in (0, 2, 4, 6)
    ]


def test_a_finished_run_says_that_it_kept_none(tmp_path: Path) -> None:
    train(small(tmp_path / "run"))
    with pytest.raises(InvalidInput, match="holds this run already, with checkpoint_steps 0 and not 2"):
        train(small(tmp_path / "run", checkpoint_steps=2))
