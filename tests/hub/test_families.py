"""Honest submissions of many families go all the way: submit at a commit of the Hub, validate, verify."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from listops_bench.evaluate.verification import validate_files, verify_files
from listops_bench.hub.submission import submit
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.runs.record import decode_run
from listops_bench.tasks.symbols import EOS_ID
from tests.model.test_families import tiny
from tests.support.fake_checkpoints import run_record
from tests.support.hub_server import HubServer


def taciturn(model: PreTrainedModel) -> PreTrainedModel:
    """Ends every answer at once, whatever the architecture: no layer adds anything, and every word means <eos>."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and parameter.shape[0] == model.config.vocab_size:
                parameter[:] = torch.tensor([1.0, -1.0]).repeat(parameter.shape[1] // 2)
                parameter[EOS_ID] *= 2
            else:
                parameter.fill_(float(parameter.ndim == 1 and name.endswith("weight")))  # norms, and nothing else
    return model


def families() -> dict[str, PreTrainedModel]:
    """By what the architecture of their results is called."""
    own = {
        "gpt2_d032_l2": tiny("gpt2", hidden_size=32),
        "llama_d064_l2": tiny("llama", hidden_size=64, head_dim=32),
        "mamba_d016_l2": tiny("mamba"),
        "qwen3_d016_l2": tiny("qwen3"),
        "gpt_neox_d016_l2": tiny("gpt_neox"),
        "rwkv_d016_l2": tiny("rwkv"),
    }
    rungs = ("looped_d008", "looped_rope_d008", "gpt2_d016", "llama_d016")
    return {name: taciturn(model) for name, model in ({rung: build_model(rung) for rung in rungs} | own).items()}


def test_every_family_is_submitted_and_verified(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listops_bench.hub.submission.EVALUATION_SPLITS", ("validation",))
    made = families()
    for name, model in made.items():
        folder = save_checkpoint(tmp_path / name, model, build_tokenizer(10), decode_run(run_record("sum:30"), "run"))
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        hub_server.create("model", f"org/{name}").add(files)
    done = submit([f"org/{name}" for name in made], output_dir=tmp_path / "results")
    assert {result.architecture.name for result in done.results} == set(made)
    for result in done.results:
        model = made[result.architecture.name]
        assert result.parameters.total == sum(parameter.numel() for parameter in model.parameters())
        assert (result.architecture.family in ("gpt2", "llama")) == (
            result.architecture.name in ("gpt2_d016", "llama_d016")
        )
    assert [problem for _, problem in validate_files(done.paths) if problem is not None] == []
    verdicts = verify_files(done.paths)
    assert {verdict.reason for verdict in verdicts if verdict.status != "verified"} == set()
