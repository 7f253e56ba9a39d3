"""The transformer for MAX that was set by hand answers as the reference does, and is the one on the board."""

import json
from pathlib import Path

import pytest
import torch

from listops_bench.evaluate.decoding import predict
from listops_bench.model.by_hand import main, max_model
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task

RESULT = Path(__file__).resolve().parents[2] / "leaderboard/results/gpt2_d022_l3-unrecorded"


def test_it_answers_as_the_reference_does() -> None:
    rows = generate(get_task("max"), "test", num_rows=300)
    assert [text.strip() for text in predict(max_model(), rows).completions] == [
        text.strip() for text in rows.completions()
    ]


def test_the_boards_result_is_of_these_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["by_hand", str(tmp_path / "model")])
    main()
    (path,) = RESULT.glob("*/max.json")
    assert json.loads(path.read_text())["model"]["weights_sha256"] == weights_sha256(tmp_path / "model")


def test_every_write_sums_to_nothing() -> None:
    """So that the mean which LayerNorm subtracts is 0."""
    model = max_model()
    written = [model.transformer.wte.weight[1:], *(b.mlp.c_proj.weight for b in model.transformer.h)]
    written += [block.attn.c_proj.weight for block in model.transformer.h]
    for rows in written:
        assert torch.allclose(rows.sum(-1), torch.zeros(len(rows)), atol=1e-3)
