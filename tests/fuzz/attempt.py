"""An input of strangers with the command line that reads it, and the honest material that it is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.runs.record import decode_run
from listops_bench.tasks.symbols import EOS_ID
from tests.fuzz.mutations import write_all
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record

SPLIT = "test_wider"


@dataclass
class Attempt:
    """A command line in a folder of its own, the working directory.

    Attributes:
        seed: 0 for the honest one.
        words: the command line.
        result: the result file in question, where there is one.
        honest: what an honest one says.
    """

    seed: str
    folder: Path
    draw: Random
    words: list[str] = field(default_factory=list)
    result: Path | None = None
    honest: Any = None

    @property
    def is_honest(self) -> bool:
        return self.seed == "0"

    @property
    def canary(self) -> Path:
        return self.folder / "canary"

    def write(self, name: str, content: str | bytes) -> str:
        write_all(self.folder, {name: content})
        return name

    def chance(self, share: float) -> bool:
        return not self.is_honest and self.draw.random() < share

    def times(self) -> range:
        """How often something is changed: mostly once."""
        return range(0 if self.is_honest else self.draw.choice([1, 1, 1, 2, 3]))


def make_base(folder: Path) -> Path:
    """Honest checkpoints with their results: one of this package, and two of families that others train."""
    record = run_record("max:30")
    make_taciturn_checkpoint(folder / "checkpoints" / "looped", record)
    shape = {"vocab_size": 22, "bos_token_id": None, "eos_token_id": EOS_ID, "pad_token_id": 0}
    gpt2 = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=128, **shape))
    with torch.no_grad():  # ends every answer at once
        gpt2.transformer.ln_f.weight.zero_()
        gpt2.transformer.ln_f.bias.copy_(gpt2.transformer.wte.weight[EOS_ID] * 1000)
    llama = LlamaForCausalLM(
        LlamaConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                    max_position_embeddings=128, **shape)
    )  # fmt: skip
    models: dict[str, PreTrainedModel] = {"gpt2": gpt2, "llama": llama}
    for name, model in models.items():
        run = decode_run({**record, "name": name, "model": name}, "run")
        save_checkpoint(folder / "checkpoints" / name, model, build_tokenizer(10), run)
    for name in ("looped", "gpt2"):
        place = folder / "checkpoints" / name
        evaluate_checkpoint(place, "max", [SPLIT], results_dir=folder / "results" / name)
    return folder
