"""Training: rows and layouts, the loop, state that survives a kill, several processes, and bad input."""

import contextlib
import dataclasses
import itertools
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command, launch_command_parser
from torch.nn.functional import cross_entropy
from transformers import GPTNeoXConfig, PreTrainedModel

from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.decoding import predict
from listops_bench.model.checkpoint import load_checkpoint, weights_sha256
from listops_bench.model.ladder import build_model, load_config
from listops_bench.model.parts import copy_parameters, parameters_in
from listops_bench.runs.folder import working_dir, working_files
from listops_bench.tasks.curriculum import Curriculum, parse_curriculum
from listops_bench.tasks.generator import generate
from listops_bench.tasks.symbols import EOS_ID, PAD_ID, vocabulary
from listops_bench.tasks.task import get_task
from listops_bench.train import run as module
from listops_bench.train._batches import IGNORED, Pool, Pools, lay_out, loss_tokens
from listops_bench.train._linear import TOKEN_MULTIPLE
from listops_bench.train._log import Progress
from listops_bench.train._optimizer import frozen_parameters, has_dropout, learning_rate
from listops_bench.train._processes import begin_trackers, check_processes
from listops_bench.train._rows import using_rows
from listops_bench.train._run_state import initial_model, renew
from listops_bench.train._state import RunFolder
from listops_bench.train._validation import TeacherForced
from listops_bench.train.command import main
from listops_bench.train.config import TrainConfig, TrainRecipe, make_config, read_config
from listops_bench.train.run import TrainResult, check_model, train
from tests.support.runs import EXAMPLES, environment, interrupt_at, log_of, small
from tests.support.trained import Parrot


def weights_after(result: TrainResult) -> dict[str, torch.Tensor]:
    return load_checkpoint(result.output_dir)[0].state_dict()


def rank(model: PreTrainedModel) -> int:
    """Of the token table about its mean."""
    table = model.get_input_embeddings().weight.detach().double()
    return int(torch.linalg.matrix_rank(table - table.mean(0), atol=1e-5))


def pool_of(text: str, *, seed: int = 0, batch_size: int = 32, index: int = 0) -> Pool:
    return Pools().of_stage(TrainRecipe(curriculum=text, seed=seed), index, batch_size)


# --- which rows a step sees -------------------------------------------------------------------------------------------


def small_pool(sizes: list[int], shares: list[float], batch_size: int, key: str = "x") -> Pool:
    names = ("sum", "max", "med")
    rows = [generate(get_task(name), "train", num_rows=n) for name, n in zip(names, sizes, strict=False)]
    return Pool(rows, shares, key, batch_size)


def test_rows_are_drawn_alike_and_with_replacement() -> None:
    """The counts of 100,000 draws from 50 rows are those of independent draws (chi-squared, 49 degrees of freedom)."""
    pool = small_pool([50], [1.0], 100)
    drawn = np.stack([pool.rows_of_step(step) for step in range(1000)])
    counts = np.bincount(drawn.ravel(), minlength=50)
    assert 20 < ((counts - 2000) ** 2 / 2000).sum() < 100
    distinct = np.mean([len(set(batch)) for batch in drawn.tolist()])
    assert distinct == pytest.approx(50 * (1 - 0.98**100), abs=0.5)


def test_the_rows_of_a_step_depend_on_nothing_before_it() -> None:
    in_order, backwards = (small_pool([50, 30], [0.7, 0.3], 20) for _ in range(2))
    forward = [in_order.rows_of_step(step).tolist() for step in range(12)]
    assert [backwards.rows_of_step(step).tolist() for step in range(11, -1, -1)] == forward[::-1]


def test_a_mixture_has_its_shares_and_no_stratification() -> None:
    pool = small_pool([40, 40], [0.25, 0.75], 100)
    first = np.array([(pool.rows_of_step(step) < 40).sum() for step in range(200)])
    assert first.mean() == pytest.approx(25, abs=1)
    assert first.std() == pytest.approx((100 * 0.25 * 0.75) ** 0.5, rel=0.2)


def test_seeds_and_stages_have_orders_of_their_own() -> None:
    orders = [{"seed": 0, "index": 0}, {"seed": 1, "index": 0}, {"seed": 0, "index": 1}]
    batches = [{*pool_of("sum:5,sum:5", **order, batch_size=64).rows_of_step(0).tolist()} for order in orders]
    assert all(len(one & other) < 5 for one, other in itertools.combinations(batches, 2))


# --- how they are laid out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_on", ["completion", "all"])
@pytest.mark.parametrize("padded", [False, True])
def test_loss_falls_on_the_completion_and_its_end(loss_on: Any, padded: bool) -> None:
    """What is to be predicted, row by row: the completion and <eos>, or everything after the first token."""
    pool = pool_of("sum_max_med:1")
    rows = pool.rows_of_step(0)
    batch = lay_out(pool, rows, loss_on, padded=padded)
    by_length = rows[np.argsort(pool.lengths[rows], kind="stable")]
    whole = [pool.ids[pool.offsets[r] : pool.offsets[r + 1]].tolist() for r in by_length]
    first = [1 if loss_on == "all" else int(pool.prompt_lengths[r]) for r in by_length]
    targets = batch.targets.tolist()
    expected = [token for ids, start in zip(whole, first, strict=True) for token in ids[start:]]
    assert targets[: len(expected)] == expected
    assert set(targets[len(expected) :]) <= {IGNORED}
    assert len(expected) == loss_tokens(pool.lengths[rows], pool.prompt_lengths[rows], loss_on)
    inputs = batch.inputs["input_ids"].flatten()[batch.keep].tolist()
    before = [token for ids, start in zip(whole, first, strict=True) for token in ids[start - 1 : -1]]
    assert inputs[: len(expected)] == before


def test_rows_end_to_end_hold_every_token_once_and_hardly_any_padding() -> None:
    pool = pool_of("sum:1", batch_size=128)
    rows = pool.rows_of_step(0)
    batch = lay_out(pool, rows, "completion")
    ids, positions = batch.inputs["input_ids"][0], batch.inputs["position_ids"][0]
    tokens = int(pool.lengths[rows].sum()) - 128
    assert EOS_ID not in ids
    assert (ids[tokens:] == PAD_ID).all()
    assert len(ids) % TOKEN_MULTIPLE == len(batch.keep) % TOKEN_MULTIPLE == 0
    assert 0 <= len(ids) - tokens < TOKEN_MULTIPLE
    assert sum(n * length for n, length in batch.layout.groups) == len(ids)
    assert int((positions[:tokens] == 0).sum()) == 128


@pytest.mark.parametrize("name", ["looped_d016", "looped_rope_d016", "gpt2_d016", "llama_d016"])
@pytest.mark.parametrize("loss_on", ["completion", "all"])
def test_rows_end_to_end_have_the_loss_and_gradients_of_padded_ones(name: str, loss_on: Any) -> None:
    pool = pool_of("sum_max_med:1")
    rows = pool.rows_of_step(0)
    model = build_model(name, seed=0).double().train()

    def loss_and_gradients(padded: bool) -> tuple[torch.Tensor, ...]:
        loss = lay_out(pool, rows, loss_on, padded=padded).loss(model)
        return loss, *torch.autograd.grad(loss, list(model.parameters()))

    padded = loss_and_gradients(True)
    with using_rows(model):
        end_to_end = loss_and_gradients(False)
    # The loss itself is taken in float32.
    for one, other in zip(padded, end_to_end, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * one.abs().max().item())


def test_the_loss_is_that_of_each_row_by_itself() -> None:
    pool = pool_of("sum:1", batch_size=8)
    rows = pool.rows_of_step(0)
    model = build_model("looped_d016", seed=0)
    expected = torch.tensor(0.0)
    for r in rows:
        ids = torch.from_numpy(pool.ids[pool.offsets[r] : pool.offsets[r + 1]].astype(np.int64))
        logits = model(ids[None, :-1], use_cache=False).logits[0]
        start = int(pool.prompt_lengths[r])
        expected = expected + cross_entropy(logits[start - 1 :], ids[start:], reduction="sum")
    with using_rows(model):
        torch.testing.assert_close(lay_out(pool, rows, "completion").loss(model), expected)


# --- the recipe -------------------------------------------------------------------------------------------------------


def test_the_learning_rate_warms_up_and_falls_on_a_cosine() -> None:
    config = TrainConfig(output_dir="x", task="sum")
    rates = [learning_rate(config, step, 1000, 4000) for step in range(1000, 4000)]
    assert rates[0] == pytest.approx(2e-5, rel=0.01)
    assert np.argmax(rates) == 99
    assert max(rates) == pytest.approx(2e-3, rel=0.01)
    assert rates[1500] == pytest.approx(2e-3 * 0.55)
    assert rates[-1] == pytest.approx(2e-4, rel=0.01)
    constant = dataclasses.replace(config, lr_scheduler_type="constant")
    assert learning_rate(constant, 3999, 1000, 4000) == 2e-3


def test_every_stage_has_a_schedule_of_its_own_unless_it_keeps_the_optimizer(tmp_path: Path) -> None:
    def rates(curriculum: str, name: str) -> list[float]:
        seen: list[float] = []
        train(small(tmp_path / name, curriculum=curriculum), on_step=lambda p: seen.append(p.learning_rate))
        return seen

    config = small(tmp_path)
    expected = [learning_rate(config, first + step, first, first + 4) for first in (0, 4) for step in range(4)]
    assert rates("max:4,sum:4", "fresh") == expected
    kept = [learning_rate(config, step, 0, 8) for step in range(8)]
    assert rates("max:4,sum:4/keep-optimizer", "kept") == kept


def test_what_a_stage_freezes_stays_as_it_was(tmp_path: Path) -> None:
    initial = build_model("looped_d008", seed=0).state_dict()
    frozen = train(small(tmp_path / "a", curriculum="sum:3/freeze=embeddings/freeze=model.block.up.*"))
    after = load_checkpoint(frozen.output_dir)[0].state_dict()
    for name in after:
        is_frozen = "embedding" in name or "block.up" in name or name == "lm_head.weight"
        assert torch.equal(initial[name], after[name]) == is_frozen, name
    later = train(small(tmp_path / "b", curriculum="sum:3/freeze=embeddings,sum:3"))
    assert not torch.equal(load_checkpoint(later.output_dir)[0].lm_head.weight, initial["lm_head.weight"])


def test_patterns_that_freeze_nothing_or_everything_are_refused() -> None:
    model = build_model("looped_d008")
    with pytest.raises(InvalidInput, match=r"unknown parameter 'model.block.upp.weight'; did you mean 'model.block.up"):
        frozen_parameters(model, ["model.block.upp.weight"])
    with pytest.raises(InvalidInput, match="nothing to train"):
        frozen_parameters(model, ["*"])


def test_a_stage_with_parts_of_the_one_before_is_fresh_elsewhere(tmp_path: Path) -> None:
    """Their rows, rates and the rest apart: what it begins with is seen where nothing moves any more."""
    before = weights_after(train(small(tmp_path / "a", curriculum="max:3")))
    still = {"weight_decay": 0.0, "learning_rate": 1e-30}
    moved = train(
        small(tmp_path / "b", init_from=str(tmp_path / "a"), curriculum="sum:1,sum:1/init-parts=embeddings", **still)
    )
    untouched = build_model("looped_d008", seed=0).state_dict()
    for name, weight in weights_after(moved).items():
        is_norm_or_bias = weight.ndim == 1
        assert torch.equal(weight, before[name]) == ("embedding" in name or name == "lm_head.weight"), name
        assert is_norm_or_bias or not torch.equal(weight, untouched[name])  # of another seed


def test_frozen_parts_stay_to_the_bit_under_decay_and_clipping(tmp_path: Path) -> None:
    config = small(
        tmp_path / "a", curriculum="max:3,sum:4/init-parts=embeddings/freeze=embeddings", weight_decay=0.5,
        max_grad_norm=1e-3, checkpoint_steps=3, logging_steps=1,
    )  # fmt: skip
    result = train(config)
    first, last = (load_checkpoint(tmp_path / "a" / folder)[0] for folder in ("checkpoints/step-00003", ""))
    frozen = parameters_in(last, ["embeddings"])
    for name, weight in last.named_parameters():
        assert torch.equal(weight, first.get_parameter(name)) == (name in frozen), name
    # The norm in the log is that of what is trained: of the gradient at the beginning of the second stage.
    model = build_model("looped_d008")
    copy_parameters(first, model, frozen)
    renew(config, 1, model)
    pool = pool_of(str(config.plan()), batch_size=16, index=1)
    batch = lay_out(pool, pool.rows_of_step(0), "completion", padded=True)
    (batch.loss(model.train()) / (batch.targets != IGNORED).sum()).backward()
    gradients = [p.grad for name, p in model.named_parameters() if name not in frozen]
    norm = torch.nn.utils.get_total_norm(gradients)
    assert log_of(result)[3]["grad_norm"] == pytest.approx(float(norm), rel=1e-4)


def test_parts_of_a_checkpoint_on_one_line(tmp_path: Path) -> None:
    """SUM with the embeddings of another model, frozen; with all but them; and what tells such runs from others."""
    joint = train(small(tmp_path / "joint", task="sum_max_med", max_steps=2, seed=3))
    source, fresh = load_checkpoint(joint.output_dir)[0], build_model("looped_d008", seed=7)
    flags = f"--task sum --steps 2 --init-from {tmp_path / 'joint'} --seed 7 --output-dir {tmp_path / 'run'}"

    def asked_for(more: str) -> TrainConfig:
        return read_config([*flags.split(), *more.split()])

    for parts in ("embeddings", "attention,feed_forward"):
        taken = parameters_in(source, parts.split(","))
        for name, weight in initial_model(asked_for(f"--init-parts {parts}")).named_parameters():
            assert torch.equal(weight, (source if name in taken else fresh).get_parameter(name))
    frozen = asked_for("--init-parts embeddings --freeze embeddings")
    assert str(frozen.plan()) == "sum:2/init-parts=embeddings/freeze=embeddings"
    as_stages = [*flags.replace("--task sum --steps 2", f"--curriculum {frozen.plan()}").split()]
    assert read_config(as_stages).resolved() == frozen.resolved()
    restricted = initial_model(read_config([word.replace("/freeze", "/init-axes=3/freeze") for word in as_stages]))
    assert rank(restricted) == 3 < rank(source)
    assert frozen.resolved()["initial_weights_sha256"] == joint.weights_sha256
    assert frozen.resolved() == asked_for("--init-parts embeddings --freeze embeddings --model looped_d008").resolved()
    several = [asked_for(more) for more in ("", "--init-parts embeddings", "--freeze embeddings")]
    assert len({json.dumps(config.resolved()) for config in (*several, frozen)}) == 4
    for model, said in (("looped_d012", r"of shape \[22, 8\], and the model \[22, 12\]"), ("gpt2_d016", "of type")):
        with pytest.raises(InvalidInput, match=said):
            check_model(asked_for(f"--init-parts embeddings --model {model}"))


def test_dropout_is_noticed() -> None:
    assert not has_dropout(build_model("gpt2_d016"))
    config = build_model("gpt2_d016").config
    config.resid_pdrop = 0.1
    assert has_dropout(build_model(config))


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_learns_and_tells_of_itself(tmp_path: Path) -> None:
    """MAX for a moment: the loss falls, the validation agrees with generating, and every count adds up."""
    config = small(
        tmp_path / "run", task="max", max_steps=150, model="looped_d048", per_device_train_batch_size=64,
        warmup_steps=20, logging_steps=10, eval_steps=50, eval_rows=200, learning_rate=4e-3,
    )  # fmt: skip
    seen: list[Progress] = []
    result = train(config, on_step=seen.append)
    log = log_of(result)
    assert log[0]["loss"] > 2
    assert log[-1]["loss"] < 0.5
    assert [line["step"] for line in log] == list(range(10, 151, 10))
    assert [line["step"] for line in log if "validation" in line] == [50, 100, 150]
    assert [p.step for p in seen] == list(range(1, 151))

    model, tokenizer, run = load_checkpoint(result.output_dir)
    rows = generate(get_task("max"), "validation", num_rows=200)
    exact = predict(model, rows).exact.mean()
    assert 0.1 < exact == pytest.approx(result.validation["trace_accuracy"])
    assert result.validation["max/trace_accuracy"] == result.validation["trace_accuracy"]

    pool = pool_of("max:150", batch_size=64)
    drawn = np.concatenate([pool.rows_of_step(step) for step in range(150)])
    training = run.training
    assert training.tokens == result.tokens == log[-1]["tokens"] == int((pool.lengths[drawn] - 1).sum())
    assert training.loss_tokens == int((pool.lengths - pool.prompt_lengths)[drawn].sum())
    assert training.reductions == {"max": int(pool.reductions[drawn].sum())}
    assert run.weights_sha256 == result.weights_sha256 == weights_sha256(result.output_dir)
    assert run.curriculum == training.curriculum == "max:150"
    assert training.environment.packages["torch"] == version("torch")
    assert run.config["learning_rate"] == 4e-3
    assert tokenizer.padding_side == "left"
    assert not working_dir(config.output_dir).exists()


@pytest.mark.parametrize("name", ["looped_rope_d008", "gpt2_d016", "llama_d016"])
def test_every_family_trains(tmp_path: Path, name: str) -> None:
    result = train(small(tmp_path / "run", model=name, max_steps=30, logging_steps=5))
    losses = [line["loss"] for line in log_of(result)]
    assert losses[-1] < losses[0] - 0.2
    assert json.loads((result.output_dir / "run.json").read_text())["layout"] == "rows"
    load_checkpoint(result.output_dir)


def test_a_config_of_ones_own_trains_padded(tmp_path: Path) -> None:
    GPTNeoXConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, attention_dropout=0,
        hidden_dropout=0, max_position_embeddings=128,
    ).save_pretrained(tmp_path / "config")  # fmt: skip
    result = train(small(tmp_path / "run", model=str(tmp_path / "config"), max_steps=20, eval_steps=10, eval_rows=20))
    losses = [line["loss"] for line in log_of(result)]
    assert losses[-1] < losses[0]
    model, _, run = load_checkpoint(result.output_dir)
    assert run.layout == "padded"
    assert model.config.vocab_size == len(vocabulary(10))
    frozen = "max:2/freeze=embeddings,max:2"
    again = train(small(tmp_path / "again", init_from=str(result.output_dir), curriculum=frozen))
    assert load_checkpoint(again.output_dir)[2].layout == "padded"


def test_a_run_depends_on_its_seed_and_nothing_else(tmp_path: Path) -> None:
    hashes = []
    for i, seed in enumerate((0, 0, 1)):
        torch.manual_seed(i)
        hashes.append(train(small(tmp_path / str(i), seed=seed)).weights_sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_model_of_ones_own_is_what_its_config_says(tmp_path: Path) -> None:
    """The folder does not matter, nor who wrote the file and how; what it describes does."""

    def identity(folder: str, **values: Any) -> Any:
        config = json.loads(resource_path("model_configs", "looped_d008", "config.json").read_text()) | values
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(config))
        return small(tmp_path / "run", model=str(tmp_path / folder)).resolved()

    first = identity("first", n_loop=2)
    assert str(tmp_path) not in json.dumps(first)
    assert identity("second", n_loop=2, transformers_version="5.0.0", feed_forward_ratio=4) == first
    assert small(tmp_path / "run", model=str(tmp_path / "first" / "config.json")).resolved() == first
    assert identity("third", n_loop=4) != first
    assert identity("a_rung_by_another_name") == small(tmp_path / "run").resolved()
    with pytest.raises(InvalidInput, match="unknown model"):
        small(tmp_path / "run", model=str(tmp_path / "nowhere")).resolved()


def test_gradients_add_up_over_backward_passes(tmp_path: Path) -> None:
    """16 rows at once, and in 4 parts of unequal token counts: the same weights up to rounding."""
    whole = train(small(tmp_path / "whole", per_device_train_batch_size=16))
    parts = train(small(tmp_path / "parts", per_device_train_batch_size=4, gradient_accumulation_steps=4))
    states = [load_checkpoint(result.output_dir)[0].state_dict() for result in (whole, parts)]
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-3, atol=1e-4)


def test_the_model_trains_on_from_a_checkpoint(tmp_path: Path) -> None:
    first = train(small(tmp_path / "first"))
    second = train(small(tmp_path / "second", init_from=str(first.output_dir), learning_rate=1e-12))
    states = [load_checkpoint(result.output_dir)[0].state_dict() for result in (first, second)]
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name])
    identity = load_checkpoint(second.output_dir)[2].identity
    assert identity["initial_weights_sha256"] == first.weights_sha256
    assert str(tmp_path) not in json.dumps(identity)
    with pytest.raises(InvalidInput, match="vocabulary of modulus 10, the curriculum's is of modulus 20"):
        train(small(tmp_path / "third", init_from=str(first.output_dir), task="sum_mod20"))


def test_a_checkpoint_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    """No run begins, and nothing is written. (Its tokenizer is not read: words are those of the modulus.)"""
    first = train(small(tmp_path / "first"))
    config = first.output_dir / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": 25}))
    with pytest.raises(InvalidInput, match=r"vocab_size|embedding"):
        train(small(tmp_path / "second", init_from=str(first.output_dir)))
    assert not (tmp_path / "second").exists()


def test_other_traces_and_losses(tmp_path: Path) -> None:
    counts = []
    for i, values in enumerate(({"trace": "none"}, {}, {"loss_on": "all"})):
        result = train(small(tmp_path / str(i), **values))
        counts.append(json.loads((result.output_dir / "run.json").read_text())["training"]["loss_tokens"])
    assert counts[0] == 4 * 16 * 2  # the answer and <eos>
    assert counts[0] < counts[1] < counts[2]


def test_validation_gets_the_model_as_anyone_would_use_it(tmp_path: Path) -> None:
    calls = []

    def validate(model: Any, step: int) -> dict[str, float]:
        calls.append((step, model.training, model.config._attn_implementation))
        ids = torch.tensor([[PAD_ID, 1, 6, 13]])
        model.generate(ids, attention_mask=(ids != PAD_ID).long(), max_new_tokens=2)
        return {"mine": step / 10}

    result = train(small(tmp_path / "run", eval_steps=2), validate=validate)
    assert calls == [(2, False, "sdpa"), (4, False, "sdpa")]
    assert result.validation == {"mine": 0.4}
    assert result.weights_sha256 == train(small(tmp_path / "without")).weights_sha256


def test_a_figure_that_is_no_number_does_not_spoil_the_record(tmp_path: Path) -> None:
    config = small(tmp_path / "run", eval_steps=2)
    result = train(config, validate=lambda model, step: {"mine": 0.5, "perplexity": float("nan")})
    assert result.validation == {"mine": 0.5}
    assert train(config).already_done


def test_stopping_early(tmp_path: Path) -> None:
    def validate(model: Any, step: int) -> dict[str, float]:
        return {"trace_accuracy": 1.0 if step not in (2, 8) else 0.0}

    config = small(tmp_path / "run", curriculum="max:4,sum:20", eval_steps=2, early_stop=0.9, early_stop_patience=2)
    result = train(config, validate=validate)
    # Nothing counts before the last stage; there, 6 counts, 8 begins anew, 10 and 12 are two in a row.
    assert (result.steps, result.stopped_early) == (12, True)


def test_figures_are_of_each_operation_and_the_lowest_of_the_stage() -> None:
    curriculum = parse_curriculum("max_med:10,sum:10")
    model = build_model("looped_d016").eval()
    figures = TeacherForced(curriculum, num_rows=20, trace="parallel", padded=True)
    found = figures(model, curriculum.stages[0])
    assert set(found) == {"trace_accuracy", *(f"{t}/trace_accuracy" for t in ("max_med", "max", "med", "sum"))}


@pytest.mark.parametrize("knows", [False, True])
def test_teacher_forcing_finds_the_rows_that_are_exact(knows: bool) -> None:
    """A stand-in that always predicts <eos>: exact on no row; one that knows the rows by heart: on all."""
    curriculum = Curriculum.from_task("sum", 1)
    figures = TeacherForced(curriculum, num_rows=50, trace="parallel", padded=True)
    rows = generate(get_task("sum"), "validation", num_rows=50)
    stand_in: Any = Parrot(rows, None if knows else dict.fromkeys(range(50), (0, EOS_ID)))
    assert figures(stand_in, curriculum.stages[0])["sum/trace_accuracy"] == float(knows)


@pytest.mark.parametrize("padded", [False, True])
def test_a_model_that_looks_ahead_is_not_validated(padded: bool) -> None:
    config = load_config("gpt2_d016")
    config.is_causal = False
    curriculum = Curriculum.from_task("sum", 1)
    figures = TeacherForced(curriculum, num_rows=20, trace="parallel", padded=padded)
    with pytest.raises(InvalidInput, match=r"the model \(gpt2\) looks ahead"):
        figures(build_model(config, seed=0).eval(), curriculum.stages[0])


def test_trackers_get_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(small(tmp_path / "run", report_to="tensorboard", eval_steps=2, eval_rows=8))
    events = EventAccumulator(str(result.output_dir / "trackers" / "listops_bench"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 4]
    assert "validation/sum/trace_accuracy" in events.Tags()["scalars"]


def test_a_run_that_was_stopped_is_one_curve(tmp_path: Path) -> None:
    """The figures that the process wrote after its last state stand in the files, and do not count."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = small(tmp_path / "run", report_to="tensorboard", logging_steps=1, save_steps=2)

    for last in (1, 3):  # before there is a state, and after
        with pytest.raises(KeyboardInterrupt):
            train(config, on_step=interrupt_at(last))
    result = train(config)
    events = EventAccumulator(str(result.output_dir / "trackers" / "listops_bench"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
    assert "step" not in events.Tags()["scalars"]  # a name that trackio keeps for itself


def test_other_trackers_are_told_which_run_goes_on(tmp_path: Path) -> None:
    told = []

    class Recorder:
        is_main_process, log_with = True, ["wandb"]

        def wait_for_everyone(self) -> None: ...
        def init_trackers(self, *_: Any, **options: Any) -> None:
            told.append((options["init_kwargs"]["wandb"]["id"], options["config"]))

    for step in (0, 4, 8, 0):  # begun, resumed twice, begun anew
        begin_trackers(Recorder(), tmp_path / "trackers", step, {"seed": 1, "freeze": None})  # type: ignore[arg-type]
    (first, *again, anew), configs = zip(*told, strict=True)
    assert again == [first, first] != [anew, anew]
    assert configs == ({"seed": 1}, None, None, {"seed": 1})


# --- finished, stopped, broken ----------------------------------------------------------------------------------------


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    config = small(tmp_path / "run")
    first = train(config)
    steps: list[Progress] = []
    again = train(dataclasses.replace(config, save_steps=1, logging_steps=1), on_step=steps.append)
    assert again.already_done
    assert not steps
    assert again.weights_sha256 == first.weights_sha256


def test_a_folder_with_another_run_is_left_alone(tmp_path: Path) -> None:
    first = train(small(tmp_path / "run"))
    for key, changed in (("seed", 1), ("max_steps", 5), ("model", "looped_d012"), ("learning_rate", 1)):
        said = "curriculum" if key == "max_steps" else key
        with pytest.raises(InvalidInput, match=f"holds another run: its {said} is"):
            train(small(tmp_path / "run", **{key: changed}))
    assert weights_sha256(first.output_dir) == first.weights_sha256


def test_a_folder_with_another_unfinished_run_or_something_else_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(small(tmp_path / "run", save_steps=1), on_step=interrupt_at(2))
    with pytest.raises(InvalidInput, match="holds another run: its seed is 0, this one's 1"):
        train(small(tmp_path / "run", save_steps=1, seed=1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InvalidInput, match="exists and holds no run"):
        train(small(tmp_path / "mine"))
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "run.training"}


def test_a_run_goes_on_with_as_many_processes_as_it_began_with(tmp_path: Path) -> None:
    first = RunFolder(str(tmp_path / "run"), {"seed": 0, "num_processes": 1})
    first.open()
    first.close()
    with pytest.raises(InvalidInput, match="its num_processes is 1, this one's 2"):
        RunFolder(str(tmp_path / "run"), {"seed": 0, "num_processes": 2}).open()


def test_a_small_model_is_trained_on_one_thread(tmp_path: Path) -> None:
    """On a busy machine two of them wait for each other for 98 of 100 seconds."""
    seen = set()
    torch.set_num_threads(2)
    try:
        result = train(small(tmp_path / "run"), on_step=lambda now: seen.add(torch.get_num_threads()))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert seen == {1}
    assert load_checkpoint(result.output_dir)[2].threads == 1


def test_one_process_at_a_time(tmp_path: Path) -> None:
    config = small(tmp_path / "run", save_steps=1)

    def on_step(progress: Progress) -> None:
        with pytest.raises(InvalidInput, match="another process is training in"):
            train(config)

    train(config, on_step=on_step)


def test_a_run_that_another_process_finishes_meanwhile_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, make, made = small(tmp_path / "run"), module.Trainer, list[Any]()

    def slowly(*arguments: Any) -> Any:
        """Meanwhile, another process begins the same run and ends."""
        made.append(None)
        if len(made) == 1:
            train(config)
        return make(*arguments)

    monkeypatch.setattr(module, "Trainer", slowly)
    with pytest.raises(InvalidInput, match="another process has just finished"):
        train(config)
    assert train(config).already_done
    assert not working_dir(config.output_dir).exists()


def test_a_run_that_begins_again_leaves_no_file_that_another_has_not(tmp_path: Path) -> None:
    """It was killed before its first state, with lines in its log."""
    twice, once = (small(tmp_path / name, checkpoint_steps=2, logging_steps=1) for name in ("twice", "once"))
    with pytest.raises(KeyboardInterrupt):
        train(twice, on_step=interrupt_at(3))
    assert working_files(twice.output_dir).log.stat().st_size
    found = []
    for config in (twice, once):
        folder = train(config).output_dir
        found.append({path.relative_to(folder) for path in folder.rglob("*")})
    assert found[0] == found[1]


def test_a_damaged_state_is_refused_by_name(tmp_path: Path) -> None:
    config = small(tmp_path / "run", save_steps=1)
    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=interrupt_at(2))
    state = working_dir(config.output_dir) / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match=r"state\.pt' is damaged"):
        train(config)


# --- several processes ------------------------------------------------------------------------------------------------

TWO = """
import sys
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from listops_bench.train import run
from listops_bench.train.command import main
from listops_bench.train._loop import Trainer

trainers = []
class Kept(Trainer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        trainers.append(self)
run.Trainer = Kept
code = main(sys.argv[1:])
weights = torch.cat([p.detach().flatten() for p in trainers[0].model.parameters()])
print(f"WEIGHTS {trainers[0].accelerator.num_processes} {weights.double().sum().item()}", flush=True)
sys.exit(code)
"""


def test_two_processes_end_alike_and_as_one_does(tmp_path: Path) -> None:
    """With as many rows per step, under ``accelerate launch``; a sweep is started with ``torchrun`` in its tests."""
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("torch was built without gloo")
    (tmp_path / "two.py").write_text(TWO)
    flags = "--curriculum max:4/freeze=embeddings,sum:4/init-parts=embeddings --model looped_d008 --warmup-steps 2 "
    flags += "--logging-steps 2 --eval-steps 4 --eval-rows 16 --report-to none"
    two = "two.py --output-dir two --per-device-train-batch-size 8 --num-processes 2"
    launch = f"-m accelerate.commands.launch --config_file {EXAMPLES}/two_cpu_processes.yaml --main_process_port 0"
    done = subprocess.run(
        [sys.executable, *launch.split(), *two.split(), *flags.split()],
        capture_output=True, text=True, cwd=tmp_path, env=environment(ACCELERATE_USE_CPU="true"), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("WEIGHTS", "\nWEIGHTS").splitlines()
    ranks = [line.split() for line in lines if line.startswith("WEIGHTS")]
    assert [rank[1] for rank in ranks] == ["2", "2"]
    assert done.stdout.count("8 steps in") == 1  # one process speaks
    assert ranks[0][2] == ranks[1][2]
    assert main([*flags.split(), "--output-dir", str(tmp_path / "one"), "--per-device-train-batch-size", "16"]) == 0
    one, two = (load_checkpoint(tmp_path / name) for name in ("one", "two"))
    for name, weight in one[0].state_dict().items():
        torch.testing.assert_close(two[0].state_dict()[name], weight, rtol=1e-3, atol=1e-4)
    assert one[2].training.tokens == two[2].training.tokens
    assert one[2].rows_per_step == two[2].rows_per_step == 16
    assert (one[2].num_processes, two[2].num_processes) == (1, 2)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["looped_d016", "looped_rope_d016", "gpt2_d016", "llama_d016"])
def test_between_two_lines_of_the_log_nothing_waits_for_the_gpu(tmp_path: Path, name: str) -> None:
    """torch raises where the host waits for the device: in steps 3 to 8, the log being written after 10."""

    def on_step(progress: Progress) -> None:
        torch.cuda.set_sync_debug_mode("error" if 2 <= progress.step < 8 else "default")

    try:
        train(small(tmp_path / "run", model=name, max_steps=10, logging_steps=10), on_step=on_step)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    ("variables", "expected", "actual", "message"),
    [
        ({}, 2, 1, "2 processes were asked for and 1 take"),
        ({"WORLD_SIZE": "2"}, None, 1, "2 processes were asked for and 1 take"),
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_PORT": "29500"}, None, 1, "several processes were asked for"),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, None, 1, None),
        ({"MASTER_PORT": "29500"}, 1, 1, None),
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_PORT": "29500", "WORLD_SIZE": "2"}, 2, 2, None),
    ],
)
def test_a_launch_that_gets_fewer_processes_is_an_error(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: int | None, actual: int, message: str | None
) -> None:
    for name in ("ACCELERATE_MIXED_PRECISION", "MASTER_PORT", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=message) if message else contextlib.nullcontext():
        check_processes(expected, actual)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "give the training --gradient-accumulation-steps"),
        ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", "leave --dynamo_backend out"),
        ("ACCELERATE_USE_FSDP", "true", "models here fit one device"),
    ],
)
def test_what_a_launcher_would_change_unseen_is_refused(
    name: str, value: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelerate divides the loss by its own count of steps, and compiles the model, whatever a run's record says."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=f"{name} is '{value}'.*{message}"):
        train(small(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_configurations_are_read_by_accelerate(path: Path) -> None:
    config = load_config_from_file(str(path))
    one, two, eight, hosts = (1, 1), (2, 1), (8, 1), (16, 2)
    expected = {"one_cpu": one, "two_cpu_processes": two, "one_gpu": one, "eight_gpus": eight, "two_hosts": hosts}
    assert (config.num_processes, config.num_machines) == expected[path.stem]


@pytest.mark.check_all
@pytest.mark.parametrize(
    "arguments", [["--config_file", str(EXAMPLES / "one_cpu.yaml")], ["--cpu", "--num_processes", "2"]]
)
def test_accelerate_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """One process trains; a launch that silently starts one of two is stopped with a clear line."""
    flags = "--task sum_max_med --model looped_d016 --output-dir run --steps 3 --eval_steps 0 --report-to none"
    # The launcher, which starts a process, runs in this one.
    command = launch_command_parser().parse_args([*arguments, "-m", "listops_bench.train", *flags.split()])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", environment())
    if "--cpu" in arguments:
        with pytest.raises(subprocess.CalledProcessError):
            launch_command(command)
        assert "error: several processes were asked for and 1 take part" in capfd.readouterr().err
        assert not (tmp_path / "run").exists()
    else:
        launch_command(command)
        assert load_checkpoint(tmp_path / "run")[2].training.steps == 3


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--task sum", "no output_dir"),
        ("--output-dir {out}", "give either a task"),
        ("--output-dir {out} --task sum --curriculum sum:3", "give either a task"),
        ("--output-dir {out} --curriculum sum:3 --steps 4", "a curriculum has its own steps"),
        ("--output-dir {out} --task sum --steps 0", "max_steps 0 is not in 1.."),
        ("--output-dir {out} --task sun", "unknown task 'sun'; did you mean 'sum'"),
        ("--output-dir {out} --task sum_mod1", "modulus 1 is not in"),
        ("--output-dir {out} --task sum_nrgtp", "unknown task 'sum_nrgtp'; did you mean 'sum_nrgpt'"),
        ("--output-dir {out} --task sum@none.yaml", "cannot read page 'none.yaml'"),
        ("--output-dir {out} --curriculum sum_nrgpt:3,sum:3", "have one trace style"),
        ("--output-dir {out} --task sum --model looped_d47", "did you mean 'looped_d048'"),
        ("--output-dir {out} --task sum --lerning-rate 1", "'--lerning-rate'; did you mean '--learning-rate'"),
        ("--output-dir {out} --task sum --learning-rate nan", "learning_rate nan"),
        ("--output-dir {out} --task sum --learning-rate fast", "invalid float value: 'fast'"),
        ("--output-dir {out} --task sum --seed -1", "seed -1 is not in"),
        ("--output-dir {out} --task sum --trace paralel", "did you mean 'parallel'"),
        ("--output-dir {out} --task sum --batching window", "did you mean 'windows'"),
        ("--output-dir {out} --task sum --batching windows", "loss_on is completion, and must be all"),
        ("--output-dir {out} --config nrgtp", "did you mean 'nrgpt'"),
        ("--output-dir {out} --config nrgpt --min-lr-ratio 0", "min_lr_ratio must be above 0"),
        ("--output-dir {out} --task sum --report-to tensorbored", "tracker 'tensorbored' is not installed"),
        ("--output-dir {out} --task sum --num-processes 2", "2 processes were asked for"),
        ("--output-dir {out} --task sum --model looped_d008 --init-from x", "init_from brings its own model"),
        ("--output-dir {out} --task sum --init-parts attention", "give --init-from"),
        ("--output-dir {out} --task sum --freeze attn", "unknown parameter 'attn'; did you mean"),
        ("--output-dir {out} --curriculum sum:3 --freeze attention", "as in sum:1800/freeze=attention"),
        ("--output-dir {out} --task sum --init-from nowhere", "cannot read weights 'nowhere/model.safetensors'"),
        ("--output-dir {out} --curriculum sum:3/freeze=nothing", "unknown parameter 'nothing'"),
        ("--output-dir {out} --task sum --config nowhere.yaml", "cannot read config file 'nowhere.yaml'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str, message: str
) -> None:
    assert main([flag.format(out=tmp_path / "run") for flag in flags.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_trace_style_is_the_task_s_unless_another_is_asked_for(tmp_path: Path) -> None:
    def style(**options: str) -> str:
        return make_config({"output_dir": "x", **options}).trace

    (tmp_path / "mine.yaml").write_text("trace: none")
    assert style(task="sum") == "parallel"
    assert style(task="sum_nrgpt") == style(curriculum="sum_nrgpt:3,max_nrgpt:4/until=0.5") == "single"
    assert style(task=f"sum@{tmp_path}/mine.yaml") == style(task="sum_nrgpt", trace="none") == "none"
    assert style(curriculum="sum_nrgpt:3,sum:3", trace="single") == "single"


def test_flags_in_both_spellings_and_a_file_below_them(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"task": "sum", "learning_rate": "1e-3", "seed": 3, "output_dir": "a"}))
    flags = "--output_dir b --steps 7 --per-device-train-batch-size 9"
    config = read_config(["--config", str(file), *flags.split()])
    assert (config.task, config.learning_rate, config.seed, config.output_dir) == ("sum", 1e-3, 3, "b")
    assert (config.max_steps, config.per_device_train_batch_size) == (7, 9)
    file.write_text(yaml.safe_dump({"sede": 3}))
    with pytest.raises(InvalidInput, match="unknown training option 'sede'; did you mean 'seed'"):
        read_config(["--config", str(file)])


def test_the_same_run_in_other_words() -> None:
    by_task = TrainConfig(output_dir="a", task="med_max_sum", max_steps=5, seed=3)
    by_curriculum = TrainConfig(output_dir="b", curriculum=" sum_max_med:5 ", seed=3, data_seed=3, model="looped_d048")
    assert by_task.resolved() == by_curriculum.resolved()


def test_the_command_reports_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = "--task sum --model looped_d008 --steps 4 --eval-steps 2 --eval-rows 8 --report-to none "
    flags += f"--output-dir {tmp_path}/run"
    assert main(flags.split()) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[0] == f"training looped_d008 on sum:4, in {tmp_path}/run"  # before torch is imported
    assert first[1].startswith("step 2/4")
    assert first[-1].startswith(f"{tmp_path}/run: 4 steps in")
    assert main(flags.split()) == 0
    assert "holds this run already, finished after 4 steps" in capsys.readouterr().out


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "accelerate launch -m listops_bench.train --task sum_max_med" in shown
    assert all("--" + field.name.replace("_", "-") in shown for field in dataclasses.fields(TrainConfig))
