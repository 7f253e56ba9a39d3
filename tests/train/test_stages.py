"""Stages that end at an accuracy, stops, schedules, and the choice of the optimizer."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.training_args import OptimizerNames

from listops_bench.errors import InvalidInput
from listops_bench.tasks.curriculum import parse_curriculum
from listops_bench.train._batches import Pools
from listops_bench.train._log import Progress
from listops_bench.train._optimizer import learning_rate, make_optimizer
from listops_bench.train.command import main
from listops_bench.train.config import TrainConfig, read_config
from listops_bench.train.position import Position
from listops_bench.train.run import train
from tests.support.runs import interrupt_at, log_of, small


def learned_from(*steps: int) -> Any:
    """A validation that is passed at some steps."""
    return lambda model, step: {"trace_accuracy": 1.0 if step in steps else 0.5}


def test_a_stage_ends_at_its_accuracy_and_the_next_one_begins_as_planned(tmp_path: Path) -> None:
    config = small(tmp_path / "run", curriculum="max:20/until=0.9,sum:6", eval_steps=2, checkpoint_steps=3)
    seen: list[Progress] = []
    result = train(config, validate=learned_from(4), on_step=seen.append)
    assert (result.steps, result.stopped_early) == (10, False)
    rates = [learning_rate(config, step, 0, 20) for step in range(4)]
    assert [p.learning_rate for p in seen] == [*rates, *(learning_rate(config, s, 4, 10) for s in range(4, 10))]
    assert [p.total_steps for p in seen] == [26] * 4 + [10] * 6
    run = json.loads((result.output_dir / "run.json").read_text())
    assert run["stages"] == [{"stage": "max:20/until=0.9", "steps": 4}, {"stage": "sum:6", "steps": 6}]
    assert (run["training"]["steps"], run["training"]["budget"]) == (10, 26)
    assert [line["stage"] for line in log_of(result) if line["step"] % 2 == 0] == [0, 0, 1, 1, 1]

    # The second stage sees the rows that it would have seen after all 20 steps.
    tokens = 0
    for index, steps in enumerate((4, 6)):
        pool = Pools().of_stage(config, index, 16)
        tokens += sum(int(pool.lengths[pool.rows_of_step(step)].sum()) - 16 for step in range(steps))
    assert result.tokens == tokens


def test_a_stage_that_does_not_learn_uses_up_its_steps(tmp_path: Path) -> None:
    config = small(tmp_path / "run", curriculum="max:4/until=0.9,sum:4/until=0.9", eval_steps=2)
    result = train(config, validate=learned_from(6))
    assert (result.steps, result.stopped_early) == (6, True)
    assert train(dataclasses.replace(config, output_dir=str(tmp_path / "b")), learned_from()).steps == 8


def test_patience_and_early_stop_hold_in_every_stage(tmp_path: Path) -> None:
    early = {"eval_steps": 1, "early_stop": 0.9, "early_stop_patience": 2}
    config = small(tmp_path / "run", curriculum="max:20/until=0.9,sum:20", **early)
    result = train(config, validate=learned_from(1, 3, 4, 5, 7, 8))
    # 3 and 4 end the first stage; 5 is the first of the second, and 6 begins anew.
    assert json.loads((result.output_dir / "run.json").read_text())["stages"][0]["steps"] == 4
    assert (result.steps, result.stopped_early) == (8, True)


@pytest.mark.parametrize("stop", [3, 4, 5, 9])
def test_a_run_resumed_in_any_stage_is_the_run_never_stopped(tmp_path: Path, stop: int) -> None:
    """A state in the first stage, at the moment it is learned, and in the second."""
    curriculum = "max:20/until=0.9/freeze=attention,sum:4/keep-optimizer,med:3/init-parts=attention"
    config = small(tmp_path / "run", curriculum=curriculum, eval_steps=2, save_steps=1)
    with pytest.raises(KeyboardInterrupt):
        train(config, learned_from(4), on_step=interrupt_at(stop))
    resumed = train(config, learned_from(4))
    whole = train(dataclasses.replace(config, output_dir=str(tmp_path / "whole"), save_steps=0), learned_from(4))
    assert resumed.resumed_at == stop
    assert (resumed.steps, resumed.tokens, resumed.weights_sha256) == (11, whole.tokens, whole.weights_sha256)
    assert [line["learning_rate"] for line in log_of(resumed)][-1] == log_of(whole)[-1]["learning_rate"]


def test_the_way_through_a_curriculum() -> None:
    position = Position(parse_curriculum("max:10/until=0.5,med:20/keep-optimizer,sum:30"))
    assert (position.stage_end, position.end, position.schedule) == (10, 60, (0, 30))
    position.starts.append(4)
    assert (position.stage_end, position.end, position.schedule) == (24, 54, (0, 30))
    position.starts.append(24)
    assert (position.stage_end, position.end, position.schedule) == (54, 54, (24, 54))
    assert position.in_last_stage
    assert position.steps_by_stage(40) == [4, 20, 16]


def test_the_default_figure_of_an_early_stage_is_its_own(tmp_path: Path) -> None:
    """After an early turn, validation speaks of the stage that the run is in, not of the one planned for the step."""
    config = small(tmp_path / "run", curriculum="max:40/until=0.0001,sum:4", eval_steps=2, eval_rows=8)
    result = train(dataclasses.replace(config, trace="none", learning_rate=3e-2, early_stop_patience=1))
    first = json.loads((result.output_dir / "run.json").read_text())["stages"][0]
    assert first["steps"] < 40
    last = log_of(result)[-1]["validation"]
    assert last["trace_accuracy"] == last["sum/trace_accuracy"]


def test_stopping_at_an_accuracy_needs_validation(tmp_path: Path) -> None:
    for values in ({"curriculum": "max:4/until=0.5"}, {"early_stop": 0.9}):
        with pytest.raises(InvalidInput, match="needs validation; eval_steps is 0"):
            small(tmp_path, **values)


def test_what_decides_the_end_is_part_of_the_run(tmp_path: Path) -> None:
    one, other = (small(tmp_path, curriculum="max:4/until=0.5", eval_steps=n).resolved() for n in (1, 2))
    assert one != other
    assert small(tmp_path, eval_steps=1).resolved() == small(tmp_path, eval_steps=2).resolved()


def test_no_early_stop_overrides_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("task: sum\nearly_stop: 0.95\n")
    flags = ["--config", str(tmp_path / "config.yaml"), "--output-dir", "x"]
    assert read_config(flags).early_stop == 0.95
    assert read_config([*flags, "--no-early-stop"]).early_stop is None


# --- optimizers -------------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "adamw_torch": torch.optim.AdamW,
    "adafactor": torch.optim.Adafactor,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_and_resumes(tmp_path: Path, name: str) -> None:
    assert name in [optimizer.value for optimizer in OptimizerNames]
    rate = {"adafactor": 0.05, "adagrad": 0.02, "sgd": 0.1}.get(name, 2e-3)
    steps = {"max_steps": 24, "logging_steps": 8, "save_steps": 10}
    config = small(tmp_path / "run", optim=name, learning_rate=rate, weight_decay=0.1, **steps)
    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=interrupt_at(13))
    resumed = train(config)
    losses = [line["loss"] for line in log_of(resumed)]
    assert losses[-1] < losses[0] - 0.1
    assert resumed.resumed_at == 10
    whole = train(dataclasses.replace(config, output_dir=str(tmp_path / "whole")))
    assert resumed.weights_sha256 == whole.weights_sha256


def test_an_optimizer_gets_what_it_was_told() -> None:
    weights = [torch.nn.Parameter(torch.zeros(3))]
    cpu = torch.device("cpu")
    told = {"output_dir": "x", "task": "sum", "learning_rate": 0.5, "weight_decay": 0.25}
    for name, kind in OPTIMIZERS.items():
        optimizer = make_optimizer(TrainConfig(**told, optim=name, momentum=0.75, adam_beta2=0.5), weights, cpu)
        assert type(optimizer) is kind
        group = optimizer.param_groups[0]
        assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
        assert group.get("momentum", 0.75) == 0.75
        assert group.get("betas", (0.9, 0.5)) == (0.9, 0.5)


def test_options_that_an_optimizer_does_not_have_make_no_other_run(tmp_path: Path) -> None:
    assert small(tmp_path, momentum=0.5).resolved() == small(tmp_path).resolved()
    assert small(tmp_path, optim="sgd", momentum=0.5).resolved() != small(tmp_path, optim="sgd").resolved()
    assert small(tmp_path, optim="sgd", adam_beta1=0.5).resolved() == small(tmp_path, optim="sgd").resolved()


def test_an_unknown_optimizer_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for word, near in (("adamw", "adamw_torch"), ("sdg", "sgd"), ("adafactr", "adafactor")):
        assert main(["--task", "sum", "--output-dir", str(tmp_path / "run"), "--optim", word]) == 2
        assert capsys.readouterr().err == f"error: unknown optim {word!r}; did you mean {near!r}?\n"
    assert not list(tmp_path.iterdir())
