"""Checkpoint folders as training writes them, made at once, with weights that have learned nothing."""

from pathlib import Path
from typing import Any

import torch

from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.runs.record import decode_run
from listops_bench.tasks.symbols import EOS_ID


def run_record(curriculum: str = "max_med:10,sum:20", seed: int = 3, **identity: Any) -> dict[str, Any]:
    """run.json as training writes it, as far as an evaluation reads it."""
    environment = {"packages": {"torch": "2.13.0"}, "commit": None, "dirty": None, "hardware": "AMD EPYC"}
    return {
        "name": "a run",
        "model": "looped_d008",
        "curriculum": curriculum,
        "seed": seed,
        "config": {"trace": "parallel", "seed": seed, "eval_rows": 256},
        "identity": {"curriculum": curriculum, "learning_rate": 2e-3, "seed": seed, "data_seed": seed, **identity},
        "training": {
            "curriculum": curriculum, "steps": 30, "budget": 30, "tokens": 9000, "loss_tokens": 3000,
            "reductions": {"sum": 800, "max": 300, "med": 300}, "environment": environment, "wall_seconds": 1.5,
        },
    }  # fmt: skip


def make_checkpoint(
    folder: Path, run: dict[str, Any], name: str = "looped_d008", modulus: int = 10, seed: int = 1
) -> Path:
    return save_checkpoint(
        folder, build_model(name, modulus=modulus, seed=seed), build_tokenizer(modulus), decode_run(run, "run")
    )


def make_taciturn_checkpoint(folder: Path, run: dict[str, Any], seed: int = 1) -> Path:
    """A looped_d008 that ends every answer at once: scored in no time."""
    model = build_model("looped_d008", seed=seed)
    with torch.no_grad():
        ends = model.get_input_embeddings().weight[EOS_ID]
        ends *= 100
        model.model.ln.weight.zero_()
        model.model.ln.bias.copy_(ends)
    return save_checkpoint(folder, model, build_tokenizer(10), decode_run(run, "run"))
