"""Packed training: each model ends as it would alone, and stops, fails and goes on as it would alone."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from listops_bench.errors import InvalidInput
from listops_bench.model.checkpoint import load_checkpoint, weights_sha256
from listops_bench.model.ladder import build_model
from listops_bench.model.packed import PackedLooped
from listops_bench.runs.folder import working_dir
from listops_bench.tasks.symbols import PAD_ID
from listops_bench.train import _loop as train_loop
from listops_bench.train._batches import IGNORED, Pools
from listops_bench.train._log import TrainingFailed
from listops_bench.train._run_state import initial_model
from listops_bench.train.config import TrainConfig
from listops_bench.train.packed import _loop as packed_loop
from listops_bench.train.packed._data import Draws, RowTable, make_chunk
from listops_bench.train.packed._loop import PackProgress
from listops_bench.train.packed._plain import attention, compact
from listops_bench.train.packed._step import Engine
from listops_bench.train.packed.run import pack_key, train_packed, why_not
from listops_bench.train.run import TrainResult, train
from tests.support.runs import four, interrupt_at, log_of, small

CPU = Engine(torch.device("cpu"), precision="no", graph=False)


def weights_of(result: TrainResult) -> torch.Tensor:
    return torch.cat([x.flatten() for x in load_file(result.output_dir / "model.safetensors").values()])


def finished(results: list[TrainResult | TrainingFailed]) -> list[TrainResult]:
    assert all(isinstance(result, TrainResult) for result in results)
    return [result for result in results if isinstance(result, TrainResult)]


# --- packed = alone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("looped_d008", {"per_device_train_batch_size": 8}),
        ("looped_rope_d008", {"per_device_train_batch_size": 8}),
        ("nrgpt_d008", {"per_device_train_batch_size": 2, "batching": "windows", "loss_on": "all"}),
    ],
)
def test_packed_models_end_as_they_do_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, options: dict[str, Any]
) -> None:
    """In float64, after 50 steps: weights agree to 1e-12 (seen: 7e-16), and everything that is counted is equal."""

    def in_double(config: TrainConfig) -> Any:
        return initial_model(config).double()

    monkeypatch.setattr(train_loop, "initial_model", in_double)
    monkeypatch.setattr(packed_loop, "initial_model", in_double)
    values = {"model": model, **options}
    packed = finished(train_packed(four(tmp_path / "packed", 50, **values), tmp_path / "pack", engine=CPU))
    for config, together in zip(four(tmp_path / "alone", 50, **values), packed, strict=True):
        alone = train(config)
        ours, theirs = weights_of(together), weights_of(alone)
        assert ours.dtype == torch.float64
        assert (ours - theirs).norm() < 1e-12 * theirs.norm()
        assert together.validation == alone.validation
        assert (together.steps, together.tokens) == (alone.steps, alone.tokens)
        for line, other in zip(log_of(together), log_of(alone), strict=True):
            for key in ("loss", "grad_norm"):
                assert (line.pop(key) or 0.0) == pytest.approx(other.pop(key) or 0.0, rel=1e-9)
            assert {**line, "tokens_per_second": 0} == {**other, "tokens_per_second": 0}
        records = [json.loads((run.output_dir / "run.json").read_text()) for run in (together, alone)]
        assert records[0]["identity"] == records[1]["identity"]
        assert (records[0]["layout"], records[0]["packed_runs"]) == ("packed", 4)
        assert {*records[0]} - {*records[1]} == {"packed_runs"}
    assert not working_dir(tmp_path / "pack").exists()


@pytest.mark.check_all
def test_in_float32_the_loss_curves_stay_together(tmp_path: Path) -> None:
    """200 steps: rounding grows, but the losses of all lines agree to 1e-4 (seen: 3e-7)."""
    values = {"per_device_train_batch_size": 8, "eval_steps": 0}
    packed = finished(train_packed(four(tmp_path / "packed", 200, **values), tmp_path / "pack", engine=CPU))
    for config, together in zip(four(tmp_path / "alone", 200, **values), packed, strict=True):
        pairs = zip(log_of(together), log_of(train(config)), strict=True)
        assert max(abs(line["loss"] - other["loss"]) for line, other in pairs) < 1e-4


def test_a_model_does_not_see_its_neighbours() -> None:
    """The gradient of one model's logits is zero in all others' weights, and a NaN in one leaves the others alone."""
    models = [build_model("looped_d008", seed=seed) for seed in range(3)]
    packed = PackedLooped(models[0])
    weights = packed.flatten(models).requires_grad_()
    ids, places = torch.randint(2, 20, (3, 36)), torch.arange(36).expand(3, -1)

    def logits(weights: torch.Tensor) -> torch.Tensor:
        return packed.logits(weights, ids, places, lambda qkv, scale: qkv.mean(2))

    gradient = torch.autograd.grad(logits(weights)[1].sum(), weights)[0]
    assert gradient[[0, 2]].abs().max() == 0
    assert gradient[1].abs().max() > 0
    before = logits(weights)
    spoilt = weights.detach().clone()
    spoilt[1] = torch.nan
    after = logits(spoilt)
    assert torch.equal(after[[0, 2]], before[[0, 2]])


@pytest.mark.parametrize("loss_on", ["completion", "all"])
def test_a_batch_holds_the_tokens_of_a_batch_alone(tmp_path: Path, loss_on: Any) -> None:
    """Over the end of a stage, beside a member whose rows are longer: the same rows, tokens, targets and counts."""
    shared = {"loss_on": loss_on, "per_device_train_batch_size": 16}
    configs = [
        small(tmp_path / "a", curriculum="sum*0.3+max_med*0.7:70,med:100", **shared),
        small(tmp_path / "b", task="sum", max_steps=170, trace="single", seed=1, **shared),
    ]
    pools = Pools()
    draws = [Draws(config, pools) for config in configs]
    table = RowTable(pools.rows, torch.device("cpu"))
    chunk = make_chunk(1, draws, table, torch.float32)
    on_all = torch.tensor([[loss_on == "all"]] * 2)
    for i, k in ((0, 0), (5, 0), (6, 0), (63, 0), (63, 1)):
        step = chunk.first + i
        stage = configs[k].plan().stage_of(step)
        pool = draws[k]._pools[stage]
        drawn = pool.rows_of_step(step - configs[k].plan().start(stage))
        batch = table.batch(chunk.rows[i], chunk.starts[i], chunk.shape(i), on_all)
        n = int(chunk.tokens[i, k])
        assert batch.ids.shape == (2, chunk.shape(i).tokens)
        assert n == (pool.lengths[drawn] - 1).sum()
        rows = [pool.ids[pool.offsets[r] : pool.offsets[r + 1]].tolist() for r in drawn]
        assert batch.ids[k, :n].tolist() == [token for row in rows for token in row[:-1]]
        assert batch.positions[k, :n].tolist() == [place for row in rows for place in range(len(row) - 1)]
        assert batch.rows[k, :n].tolist() == [b for b, row in enumerate(rows) for _ in row[:-1]]
        assert (set(batch.ids[k, n:].tolist()) | {PAD_ID}, set(batch.rows[k, n:].tolist()) | {16}) == ({PAD_ID}, {16})
        first = [1 if loss_on == "all" else int(pool.prompt_lengths[r]) for r in drawn]
        expected = [
            token if place >= start else IGNORED
            for row, start in zip(rows, first, strict=True)
            for place, token in enumerate(row[1:], start=1)
        ]
        assert batch.targets[k].tolist() == expected + [IGNORED] * (batch.targets.shape[1] - n)
        assert chunk.loss_tokens[i, k] == sum(token != IGNORED for token in expected)
        assert chunk.reductions[i, k].tolist() == pool.reductions[drawn].sum(0).tolist()
        keep, targets = compact(batch.targets, chunk.shape(i).kept)
        kept = [token for token in expected if token != IGNORED]
        assert targets[k].tolist() == kept + [IGNORED] * (targets.shape[1] - len(kept))
        assert batch.targets[k][keep[k, : len(kept)]].tolist() == kept


def test_attention_by_way_of_a_padded_view_is_that_of_the_compiled_loops(tmp_path: Path) -> None:
    """What a GPU without our kernels does, on a CPU, where bfloat16 goes that way: outputs and gradients."""
    configs = [small(tmp_path / str(i), seed=i, trace=trace) for i, trace in enumerate(("single", "parallel"))]
    pools = Pools()
    draws = [Draws(config, pools) for config in configs]
    table = RowTable(pools.rows, torch.device("cpu"))
    chunk = make_chunk(0, draws, table, torch.float32)
    batch = table.batch(chunk.rows[0], chunk.starts[0], chunk.shape(0), torch.zeros(2, 1, dtype=torch.bool))
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(2, batch.ids.shape[1], 3, 2, 4, generator=generator)
    grad = torch.randn(qkv[:, :, 0].shape, generator=generator) * (batch.rows < 16)[..., None, None]
    found = []
    for dtype in (torch.float64, torch.bfloat16):
        own = qkv.to(dtype).requires_grad_()
        y = attention(batch)(own, 0.5) * (batch.rows < 16)[..., None, None]
        (of_qkv,) = torch.autograd.grad(y, own, grad.to(dtype))
        found.append((y, *of_qkv.unbind(2)))
    for exact, rounded in zip(*found, strict=True):
        assert (exact - rounded).norm() < 0.02 * exact.norm()


# --- one run, captured ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stopped_in", ["captured", "ordinary"])
def test_a_captured_run_is_the_run_and_either_goes_on_from_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_in: str
) -> None:
    """As a GPU trains one model, here without a graph: in float64 the same weights, logs, checkpoints and states."""
    monkeypatch.setattr(train_loop, "initial_model", lambda config: initial_model(config).double())
    values = {
        "curriculum": "max:9,sum*0.5+max*0.5:70/keep-optimizer,med:20/init-parts=attention/freeze=attention",
        "eval_steps": 25, "eval_rows": 9,
        "save_steps": 30, "per_device_train_batch_size": 4, "logging_steps": 10, "checkpoint_steps": 40,
        "gradient_accumulation_steps": 2,
    }  # fmt: skip
    ordinary = train(small(tmp_path / "ordinary", **values))
    config = small(tmp_path / "other", **values)

    def train_in(way: str, on_step: Any = None) -> TrainResult:
        monkeypatch.setattr(train_loop, "can_be_captured", lambda *_: way == "captured")
        return train(config, on_step=on_step)

    with pytest.raises(KeyboardInterrupt):
        train_in(stopped_in, interrupt_at(65))
    other = train_in("ordinary" if stopped_in == "captured" else "captured")
    assert other.resumed_at == 60
    for folder in ("", "checkpoints/step-00040", "checkpoints/step-00080"):
        ours, theirs = (load_file(run.output_dir / folder / "model.safetensors") for run in (other, ordinary))
        for name, weights in theirs.items():
            torch.testing.assert_close(ours[name], weights, rtol=1e-9, atol=1e-12)
    for line, expected in zip(log_of(other), log_of(ordinary), strict=True):
        for key in ("loss", "grad_norm"):
            assert line.pop(key) == pytest.approx(expected.pop(key), rel=1e-6)
        assert {**line, "tokens_per_second": 0} == {**expected, "tokens_per_second": 0}
    records = [json.loads((run.output_dir / "run.json").read_text()) for run in (other, ordinary)]
    assert records[0]["identity"] == records[1]["identity"]
    assert {*records[0]} == {*records[1]}


# --- precision --------------------------------------------------------------------------------------------------------


def test_a_declared_precision_is_of_the_identity_and_of_the_arithmetic(tmp_path: Path) -> None:
    """bf16 on a CPU: an identity of its own, other weights, packed or alone near the same; fp32 is what it ever was."""
    plain, declared = small(tmp_path / "plain"), small(tmp_path / "bf16", precision="bf16")
    assert "precision" not in plain.identity()
    assert {**declared.identity(), "precision": None} == {**plain.identity(), "precision": None}
    assert pack_key(plain) != pack_key(declared)
    alone = [train(plain), train(declared)]
    assert alone[0].weights_sha256 != alone[1].weights_sha256
    (packed,) = finished(train_packed([small(tmp_path / "packed", precision="bf16")], tmp_path / "pack", engine=CPU))
    exact, rounded, together = map(weights_of, (*alone, packed))
    assert 0 < (rounded - exact).norm() < 0.02 * exact.norm()
    assert 0 < (together - exact).norm() < 0.02 * exact.norm()
    for result in (alone[1], packed):
        record = json.loads((result.output_dir / "run.json").read_text())
        assert (record["mixed_precision"], record["identity"]["precision"]) == ("bf16", "bf16")


def test_a_precision_that_is_not_there_or_contradicts_the_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match="precision 'tf32' needs a GPU; on 'cpu' there are 'fp32' and 'bf16'"):
        train(small(tmp_path / "run", precision="tf32"))
    launched = Engine(torch.device("cpu"), precision="bf16", graph=False)
    with pytest.raises(InvalidInput, match="precision 'tf32' contradicts mixed precision 'bf16' of the launch"):
        train_packed([small(tmp_path / "run", precision="tf32")], tmp_path / "pack", engine=launched)
    with pytest.raises(InvalidInput, match="bf61"):
        small(tmp_path / "run", precision="bf61")
    assert not list(tmp_path.iterdir())


# --- ends of its own --------------------------------------------------------------------------------------------------


def test_each_ends_in_its_own_time_and_the_others_go_on(tmp_path: Path) -> None:
    """Budgets of 4, 6 and 12 steps, one early stop, one loss that is no number: all others as they are alone."""

    def runs(folder: Path) -> list[TrainConfig]:
        values: list[dict[str, Any]] = [
            {"max_steps": 4}, {"max_steps": 6}, {"max_steps": 12, "seed": 5},
            {"max_steps": 12, "early_stop": 0.0, "early_stop_patience": 2},
            {"max_steps": 12, "learning_rate": 1e30, "max_grad_norm": 0},
        ]  # fmt: skip
        shared = {"per_device_train_batch_size": 4, "eval_steps": 3, "eval_rows": 5, "save_steps": 5}
        return [small(folder / str(i), **{**shared, **own}) for i, own in enumerate(values)]

    seen: list[PackProgress] = []
    results = train_packed(runs(tmp_path / "packed"), tmp_path / "pack", engine=CPU, on_step=seen.append)
    assert [progress.step for progress in seen] == list(range(1, 13))
    assert seen[-1].running == 0
    failed = results.pop()
    assert isinstance(failed, TrainingFailed)
    assert (failed.step in (2, 3), f"the loss at step {failed.step} is" in str(failed)) == (True, True)
    assert not (tmp_path / "packed" / "4").exists()
    done = finished(results)
    assert [(r.steps, r.stopped_early) for r in done] == [(4, False), (6, False), (12, False), (6, True)]
    for config, together in zip(runs(tmp_path / "alone"), done, strict=False):
        torch.testing.assert_close(weights_of(together), weights_of(train(config)), rtol=1e-4, atol=1e-5)


def test_a_checkpoint_is_an_ordinary_one_and_is_not_made_again(tmp_path: Path) -> None:
    runs = [small(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    first = finished(train_packed(runs, tmp_path / "pack", engine=CPU))
    model, _, run = load_checkpoint(first[0].output_dir)
    assert run.weights_sha256 == first[0].weights_sha256 == weights_sha256(tmp_path / "a")
    assert model.config.hidden_size == 8
    again = finished(train_packed(runs, tmp_path / "pack", engine=CPU))
    assert all(result.already_done for result in again)
    assert train(runs[0]).already_done  # what was trained packed stands for the same run alone


# --- what cannot be packed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model": "gpt2_d016"}, "not of the looped family"),
        ({"curriculum": "sum:4,max:4/keep-optimizer/freeze=embeddings"}, "freezes other parameters and keeps"),
        ({"curriculum": "sum:4/until=0.5", "eval_steps": 2}, "ends at an accuracy"),
        ({"optim": "sgd"}, "optimizer is not AdamW"),
        ({"checkpoint_steps": 2}, "keeps checkpoints"),
    ],
)
def test_what_cannot_be_packed_says_why(tmp_path: Path, values: dict[str, Any], reason: str) -> None:
    config = small(tmp_path / "run", **values)
    assert reason in (why_not(config) or "")
    with pytest.raises(InvalidInput, match=reason):
        train_packed([config], tmp_path / "pack", engine=CPU)
    assert not list(tmp_path.iterdir())


def test_runs_that_do_not_go_together(tmp_path: Path) -> None:
    a = small(tmp_path / "a")
    for values in ({"model": "looped_d012"}, {"task": "sum_mod20"}, {"per_device_train_batch_size": 8}):
        other = small(tmp_path / "b", **values)
        assert pack_key(other) != pack_key(a)
        with pytest.raises(InvalidInput, match="a pack's runs need one model shape"):
            train_packed([a, other], tmp_path / "pack", engine=CPU)
    with pytest.raises(InvalidInput, match="same output_dir"):
        train_packed([a, dataclasses.replace(a, seed=1)], tmp_path / "pack", engine=CPU)
    # Vocabularies of one size, of sets with other numbers of operations.
    one, two = (small(tmp_path / name, task=name) for name in ("sum_mod2", "perm_s3"))
    assert pack_key(one) != pack_key(two)
    assert pack_key(small(tmp_path / "b", learning_rate=1.0, seed=3, task="max", max_steps=9)) == pack_key(a)


@pytest.mark.gpu
def test_on_a_gpu_the_captured_step_is_the_step(tmp_path: Path) -> None:
    """A graph against separate launches: the same losses over chunks, stages and a member's end."""
    losses = []
    for name, graph in (("eager", False), ("graph", True)):
        engine = Engine(torch.device("cuda"), precision="no", graph=graph)
        runs = four(tmp_path / name, 150, model="looped_d016", save_steps=40)
        results = finished(train_packed(runs, tmp_path / f"{name}-pack", engine=engine))
        losses.append(np.concatenate([[line["loss"] for line in log_of(result)] for result in results]))
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_on_a_gpu_one_run_is_captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """The same losses as by separate launches, over a stage's end, validation and a state that it goes on from."""
    values = {"curriculum": "max:50,sum:50", "model": "looped_d016", "precision": precision, "save_steps": 40}
    config = small(tmp_path / "captured", eval_steps=30, eval_rows=20, **values)
    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=interrupt_at(70))
    captured = train(config)
    assert captured.resumed_at == 40
    monkeypatch.setattr(train_loop, "can_be_captured", lambda *_: False)
    launched = train(small(tmp_path / "launched", eval_steps=30, eval_rows=20, **values))
    losses = [[line["loss"] for line in log_of(run)] for run in (captured, launched)]
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-3 if precision == "fp32" else 0.1)
