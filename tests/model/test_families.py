"""Every model type that is read: the same to the last bit as `transformers` loads it, counted in full, and scored."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

from listops_bench.evaluate.decoding import predict
from listops_bench.model._config_file import READABLE_TYPES
from listops_bench.model.checkpoint import load_checkpoint, save_checkpoint
from listops_bench.model.ladder import parameter_counts
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task

SHAPE = {
    "vocab_size": 22, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1, "hidden_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "listops_looped": {"num_hidden_layers": 3},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "max_position_embeddings": 128},
    "gpt_neox": {"intermediate_size": 32},
    "gptj": {"rotary_dim": 4, "n_positions": 128},
    "opt": {"ffn_dim": 32, "word_embed_proj_dim": 16},
    "gemma2": {"num_key_value_heads": 1, "intermediate_size": 32, "head_dim": 8, "sliding_window": 8},
    "mamba": {"state_size": 4},
    "mamba2": {"state_size": 4, "num_heads": 4, "head_dim": 8, "n_groups": 1, "chunk_size": 16},
    "rwkv": {"attention_hidden_size": 16, "intermediate_size": 32},
}
WITHOUT_HEADS = ("mamba", "mamba2", "rwkv")
LIKE_LLAMA = {"num_key_value_heads": 1, "intermediate_size": 32, "head_dim": 8}


def tiny(kind: str, **values: Any) -> PreTrainedModel:
    """A model of two layers, with weights large enough that its answers differ."""
    cls = CONFIG_MAPPING[kind]
    own = OWN.get(kind) or (LIKE_LLAMA if "num_key_value_heads" in cls.__dataclass_fields__ else {})
    shape = {key: value for key, value in SHAPE.items() if "heads" not in key or kind not in WITHOUT_HEADS}
    known = {key: value for key, value in own.items() if key in cls.__dataclass_fields__ or key in cls.attribute_map}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(cls(**shape | known | values)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("kind", READABLE_TYPES)
def test_a_type_that_is_read(kind: str, tmp_path: Path) -> None:
    model = tiny(kind)
    folder = save_checkpoint(tmp_path / "c", model, build_tokenizer(10))
    loaded, _, _ = load_checkpoint(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    ids = torch.randint(0, 22, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = [one(input_ids=ids, use_cache=False).logits for one in (model, theirs, loaded)]
    assert torch.equal(logits[1], logits[2])
    assert torch.equal(logits[0], logits[2])
    assert logits[2].std() > 0.01
    assert type(loaded) is type(theirs)
    counts = parameter_counts(loaded)
    assert counts.total == sum(parameter.numel() for parameter in theirs.parameters())
    computed = {name for name, _ in loaded.named_buffers()} - set(loaded.state_dict())
    assert computed == {name for name, _ in loaded.named_buffers()}, "a buffer that a file sets"
    rows = generate(get_task("sum"), "test", num_rows=3)
    written = [predict(one, rows, max_new_tokens=6).completions for one in (loaded, theirs)]
    assert written[0] == written[1]
