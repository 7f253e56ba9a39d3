"""Windows cut from a stream of rows: which tokens they hold, and how a model is trained on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.decoding import predict
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.leaderboard.board import read_boards
from listops_bench.leaderboard.groups import Setting
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.tasks.exposure import exposure
from listops_bench.tasks.generator import generate
from listops_bench.tasks.operations import OPERATIONS
from listops_bench.tasks.symbols import EOS_ID
from listops_bench.tasks.task import get_task
from listops_bench.train import run as train_run
from listops_bench.train._batches import Pool, Pools
from listops_bench.train._rows import using_rows
from listops_bench.train._windows import draw_step, lay_out_windows, windows_of_step
from listops_bench.train.config import WINDOW, TrainConfig, read_config
from listops_bench.train.packed._data import Draws, RowTable, make_chunk, window_batch
from listops_bench.train.packed.run import pack_key, train_packed
from listops_bench.train.run import check_model, train
from tests.support.runs import small
from tests.support.trained import by_generate

WINDOWS: dict[str, Any] = {"batching": "windows", "loss_on": "all"}
MIXTURE = "sum_nrgpt*0.3+max_med_nrgpt*0.7:70"


def pool_of(config: TrainConfig, stage: int = 0) -> Pool:
    return Pools().of_stage(config, stage, config.per_device_train_batch_size)


def chances(key: int, number: int) -> float:
    """Splitmix64, in Python's whole numbers."""
    z = (number * 0x9E3779B97F4A7C15 + key) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return float(((z ^ (z >> 31)) >> 11) * 2.0**-53)


def plain_window(pool: Pool, number: int) -> tuple[list[int], list[int]]:
    """A window, and the rows whose last token is one of its targets."""
    of_task, of_row = map(int, pool.keys)
    tokens: list[int] = []
    ended = []
    while len(tokens) <= WINDOW:
        place = number * (WINDOW + 1) + len(tokens)
        bounds, drawn = pool.bounds if tokens else pool.token_bounds, chances(of_task, place)
        task = sum(bound <= drawn for bound in bounds)
        first, size, drawn = pool.first[task], pool.sizes[task], chances(of_row, place)
        if tokens:
            row, skipped = first + int(drawn * size), 0
        else:
            start, end = pool.offsets[first], pool.offsets[first + size]
            token = start + int(drawn * (end - start))
            row = int(np.flatnonzero(pool.offsets <= token)[-1])
            skipped = token - pool.offsets[row]
        before = len(tokens)
        tokens += pool.ids[pool.offsets[row] + skipped : pool.offsets[row + 1]].tolist()
        if 1 < len(tokens) <= WINDOW + 1 and len(tokens) > before:
            ended.append(int(row))
    return tokens[: WINDOW + 1], ended


def test_windows_are_those_of_a_plain_reference_alone_and_packed(tmp_path: Path) -> None:
    """Over the end of a stage, beside a member on another task: tokens, targets, places and counts."""
    shared = {**WINDOWS, "per_device_train_batch_size": 3}
    configs = [
        small(tmp_path / "a", curriculum=f"{MIXTURE},med_nrgpt:100", **shared),
        small(tmp_path / "b", task="sum", max_steps=170, seed=1, **shared),
    ]
    pools = Pools()
    draws = [Draws(config, pools) for config in configs]
    table = RowTable(pools.rows, torch.device("cpu"))
    chunk = make_chunk(1, draws, table, torch.float32)
    assert (chunk.tokens == 3 * WINDOW).all()
    for i, k in ((0, 0), (5, 0), (6, 0), (63, 1)):
        plan = configs[k].plan()
        stage = plan.stage_of(chunk.first + i)
        pool, step = pool_of(configs[k], stage), chunk.first + i - plan.start(stage)
        expected = [plain_window(pool, 3 * step + b) for b in range(3)]
        tokens, reductions = windows_of_step(pool, step)
        assert tokens.tolist() == [window for window, _ in expected]
        assert reductions.tolist() == pool.reductions[[row for _, rows in expected for row in rows]].sum(0).tolist()
        drawn = draw_step(pool, configs[k], step)
        assert (drawn.tokens, drawn.loss_tokens) == (3 * WINDOW, chunk.loss_tokens[i, k])
        assert chunk.reductions[i, k].tolist() == reductions.tolist()
        batch = window_batch(chunk.rows[i], chunk.starts[i], chunk.shape(i))
        assert all(x.is_contiguous() for x in (batch.ids, batch.starts, batch.rows, batch.positions, batch.targets))
        assert batch.ids[k].tolist() == tokens[:, :-1].flatten().tolist()
        assert batch.targets[k].tolist() == tokens[:, 1:].flatten().tolist()
        assert batch.positions[k].tolist() == [*range(WINDOW)] * 3
        assert batch.rows[k].tolist() == np.repeat(np.arange(3), WINDOW).tolist()


def test_the_stream_has_the_rows_of_the_mixture(tmp_path: Path) -> None:
    """In 2,000 windows, ends of rows and reductions are as many as rows of the mixture have on average, within 2%."""
    config = small(tmp_path, curriculum=MIXTURE, **{**WINDOWS, "per_device_train_batch_size": 2000})
    tokens, reductions = windows_of_step(pool_of(config), 0)
    row = exposure(config.plan(), rows_per_step=1)
    rows = (tokens[:, 1:] == EOS_ID).sum()
    assert rows / (2000 * WINDOW) == pytest.approx(1 / (row.tokens / row.steps + 1), rel=0.02)
    for name, n in row.reductions.items():
        assert dict(zip(OPERATIONS, reductions, strict=True))[name] / rows == pytest.approx(n / row.steps, rel=0.04)


def test_a_window_is_one_sequence_in_both_layouts(tmp_path: Path) -> None:
    """The same loss, and what stands before an <eos> reaches what comes after it."""
    model, config = build_model("nrgpt_d008"), small(tmp_path, **WINDOWS, task="sum")
    tokens, _ = windows_of_step(pool_of(config), 0)
    losses = []
    for first in (tokens[0, 0], 20 if tokens[0, 0] != 20 else 19):
        tokens[0, 0] = first
        with using_rows(model):
            losses.append(lay_out_windows(tokens).loss(model))
        torch.testing.assert_close(lay_out_windows(tokens, padded=True).loss(model), losses[-1])
    logits = model(torch.from_numpy(tokens[:1, :-1].astype(np.int64))).logits
    tokens[0, 0] = 18
    changed = model(torch.from_numpy(tokens[:1, :-1].astype(np.int64))).logits
    assert (logits != changed).any(-1).all()


def test_what_a_run_says_of_its_windows(tmp_path: Path) -> None:
    found = train(small(tmp_path / "run", **WINDOWS, model="nrgpt_d008", task="sum_nrgpt", max_steps=3, save_steps=2))
    assert found.tokens == 3 * 16 * WINDOW
    rows, windows = (TrainConfig(output_dir="x", task="sum", loss_on="all", batching=b) for b in ("rows", "windows"))
    assert "batching" not in rows.resolved()
    assert windows.resolved() == {**rows.resolved(), "batching": "windows"}
    assert pack_key(rows) != pack_key(windows)


def test_models_with_too_short_a_context_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "listops_looped", "max_position_embeddings": 16}')
    for options, message in ((WINDOWS, "16 tokens, and is to be trained on 128"), ({}, "is to be trained on 2")):
        config = small(tmp_path / "run", task="sum", model=str(tmp_path), **options)
        with pytest.raises(InvalidInput, match=message):
            train(config)
        with pytest.raises(InvalidInput, match=message):
            train_packed([config], tmp_path / "pack")
        assert not (tmp_path / "run").exists()
    train_run._check_model.cache_clear()
    with pytest.raises(InvalidInput, match="context of 16"):
        check_model(small(tmp_path / "run", task="sum", model=str(tmp_path), **WINDOWS))


def test_the_recipe_nrgpt_by_name(tmp_path: Path) -> None:
    def read(flags: str) -> TrainConfig:
        return read_config(f"--output-dir x --config {flags}".split())

    config = read("nrgpt")
    assert (config.task, config.model, config.max_steps) == ("sum_max_med_nrgpt", "nrgpt_d032", 100_000)
    assert (config.batching, config.loss_on, config.trace) == ("windows", "all", "single")
    assert config.learning_rate * config.min_lr_ratio == pytest.approx(2e-5)
    other = read("nrgpt --model nrgpt_d064 --curriculum max_nrgpt:3")
    assert (other.task, other.max_steps, other.model, str(other.plan())) == (None, None, "nrgpt_d064", "max_nrgpt:3")
    moved = read("nrgpt --init-from y")
    assert (moved.model, moved.init_from, moved.max_steps) == (None, "y", 100_000)
    with pytest.raises(InvalidInput, match="unknown recipe 'nrgtp'; did you mean 'nrgpt'"):
        read("nrgtp")


def test_a_run_of_the_recipe_is_scored_and_stands_on_a_board_in_a_setting_of_its_own(tmp_path: Path) -> None:
    """Its greedy answers are those of transformers' own decoding, which other harnesses use."""
    flags = f"--config nrgpt --model nrgpt_d008 --steps 3 --eval-steps 0 --report-to none --output-dir {tmp_path}/run"
    train(read_config(flags.split()))
    rows = generate(get_task("sum_max_med_nrgpt"), "test", num_rows=8)
    model = load_checkpoint(tmp_path / "run")[0]
    texts, _ = by_generate(model, rows)
    assert [text.strip() for text in predict(model, rows).completions] == [text.strip() for text in texts]
    (result,) = evaluate_checkpoint(tmp_path / "run", "sum_max_med_nrgpt", "test", num_rows=8, results_dir=tmp_path)
    setting = Setting.of(result)
    assert (setting.family, setting.layers, setting.regime, setting.trace) == ("nrgpt", 5, "nrgpt", "single")
    (board,) = read_boards(tmp_path)
    (group,) = board.groups
    assert (group.model, group.mean("test", "answer_accuracy") is not None) == ("nrgpt_d008", True)
