"""What a stranger can write into a checkpoint folder: each is one line that names the rule, and nothing runs."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from listops_bench.errors import InvalidInput
from listops_bench.model.checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from listops_bench.model.ladder import build_model, parameter_counts
from listops_bench.model.tokenizer import build_tokenizer
from tests.model.test_families import tiny

Spoil = Callable[[Path], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "c", build_model("looped_d008", seed=1), build_tokenizer(10))


def refused(folder: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + 2 * len(str(folder))
    return str(caught.value)


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# --- config.json ------------------------------------------------------------------------------------------------------

# key: (of a model of this type, its value, what the line says). The first of each kind is one that was seen.
HOSTILE: dict[str, list[tuple[str, Any, str]]] = {
    "num_labels": [("llama", 10**9, "'num_labels'")],
    "id2label": [("llama", {str(i): "x" for i in range(1000)}, "may only be")],
    "attention_types": [
        ("gpt_neo", [[["global", "local"], 10**9]], "1000000000 is not in 1..256"),
        ("gpt_neo", [[["global"], 256], [["local"], 256]], "512 layers"),
        ("gpt_neo", [[["global"] * 10, 256]], "2,560 layers"),
        ("gpt_neo", [["global", 1]], "is not a list"),
        ("gpt_neo", 5, "is not a list"),
        ("gpt_neo", [[[["global"]], 1]], "is not one of: global, local"),
    ],
    "text_config": [("gemma3_text", {"num_hidden_layers": 300_000}, "is no key that is read of a gemma3_text")],
    "vision_config": [("llama", {"num_hidden_layers": 300_000}, "is no key that is read")],
    "num_hidden_layers": [
        ("llama", 300_000, "300000 is not in 1..256"),
        ("llama", -1, "not in"),
        ("llama", True, "not"),
    ],
    "num_attention_heads": [
        ("llama", 0, "0 is not in"),
        ("listops_looped", 3, "do not divide"),
        ("gpt2", 10**30, "in"),
    ],
    "head_dim": [("llama", 0, "0 is not in"), ("qwen3", 10**9, "not in"), ("qwen3", 1.5, "not an integer")],
    "num_key_value_heads": [("llama", 0, "0 is not in"), ("mistral", "2", "not an integer")],
    "hidden_size": [("gpt2", 10**7, "not in 1..65536"), ("llama", [16], "not an integer")],
    "rope_parameters": [
        ("llama", 5, "is not an object"),
        ("llama", {"rope_type": "longrope", "short_factor": [1] * 10**4}, "is not one of"),
        ("llama", {"rope_type": "dynamic", "factor": 2.0}, "is not one of"),
        ("llama", {"rope_theta": 0}, "is not in"),
        ("llama", {"rope_theta": 1e300}, "is not in"),
        ("llama", {"code": "x"}, "unknown key"),
        ("llama", {"rope_type": ["default"]}, "is not one of"),
        ("gemma3_text", {"full_attention": {"full_attention": {}}}, "unknown key"),
        ("gemma3_text", {"full_attention": 5}, "is not an object"),
    ],
    "rope_scaling": [("llama", {"type": "longrope", "long_factor": [1]}, "not one of"), ("qwen2", "yarn", "an object")],
    "hidden_act": [("llama", 5, "not one of"), ("llama", "nothing", "not one of"), ("mistral", {"a": 1}, "not one of")],
    "activation_function": [("gpt2", "__import__", "is not one of")],
    "dtype": [("llama", {"a": 1}, "not one of"), ("llama", "int8", "not one of"), ("gpt2", "Tensor", "not one of")],
    "torch_dtype": [("llama", "load", "is not one of")],
    "model_type": [
        ("llama", ["a"], "model_type is not a text"),
        ("llama", {"a": 1}, "model_type is not a text"),
        ("llama", None, "model_type is not a text"),
        ("llama", "bert", "unknown model_type 'bert'"),
        ("llama", "mine", "needs code of its own"),
        ("llama", "llama\n::error::forged", "unknown model_type"),
    ],
    "attn_implementation": [("llama", "org/kernel", "is no key that is read"), ("llama", "eager", "is no key")],
    "_attn_implementation": [("gpt2", "org/kernel:f", "is no key that is read")],
    "_attn_implementation_internal": [("gpt2", "org/kernel", "is no key that is read")],
    "experts_implementation": [("llama", "org/kernel", "is no key that is read")],
    "is_causal": [("llama", False, "is no key"), ("gpt2", False, "is no key"), ("listops_looped", False, "is no key")],
    "is_decoder": [("gpt_neox", True, "may only be False")],
    "use_bidirectional_attention": [("gemma", True, "may only be"), ("gemma3_text", True, "may only be")],
    "add_cross_attention": [("gpt2", True, "may only be False")],
    "is_encoder_decoder": [("llama", True, "may only be False")],
    "quantization_config": [
        ("mistral", {"quant_method": "bitnet", "linear_class": "bitlinear"}, "is no key that is read of a mistral"),
        ("llama", {"quant_method": "gptq", "bits": 4}, "is no key that is read of a llama"),
        ("llama", None, "is no key that is read of a llama"),
    ],
    "transformers_weights": [("llama", "other.safetensors", "is no key that is read")],
    "auto_map": [
        ("llama", {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}, "is no key that is read"),
        ("listops_looped", {"AutoModelForCausalLM": "evil.M"}, "names other code"),
        ("listops_looped", {"AutoModelForCausalLM": "org/evil--modeling_looped.LoopedForCausalLM"}, "names other code"),
        ("listops_looped", {"AutoConfig": ["configuration_looped.LoopedConfig"]}, "names other code"),
    ],
    "per_layer_config": [("llama", {"0": {"hidden_size": 10**9}}, "is no key that is read")],
    "peft_config": [("llama", {}, "is no key that is read")],
    "max_length": [("gpt2", 10**9, "is no key that is read")],
    "architectures": [("llama", "evil", "is not a list"), ("llama", [5], "is not a text")],
    "vocab_size": [
        ("llama", 13, "modulus 1 is not in"),
        ("llama", 10**6, "larger than any of ours"),
        ("llama", 10**12, "is not in"),
    ],
    "max_position_embeddings": [("listops_looped", 10**6, "config.json asks for"), ("gpt_neo", 10**6, "asks for")],
    "pad_token_id": [("llama", 10**12, "is not in"), ("rwkv", "x", "not an integer")],
    "eos_token_id": [("llama", ["x"], "not an integer"), ("llama", {"a": 1}, "not an integer")],
    "layer_types": [
        ("qwen3", ["full_attention"] * 999, "a list of 999"),
        ("qwen3", ["conv", "moe"], "not one of"),
    ],
    "time_step_rank": [("mamba", "huge", "is not an integer"), ("mamba", 10**9, "is not in")],
    "time_step_limit": [("mamba2", [0.0, 1.0], "may only be")],
    "attention_layers": [("gpt_neo", ["global", "global"], "may only be")],
    "a\nkey" + "y" * 5000: [("llama", 1, "is no key that is read")],
}
CASES = [(key, *case) for key, cases in HOSTILE.items() for case in cases]


@pytest.mark.parametrize(
    ("key", "kind", "value", "message"),
    CASES,
    ids=[f"{key[:20]} {kind} {i}" for i, (key, kind, *_) in enumerate(CASES)],
)
def test_what_a_config_may_not_say(key: str, kind: str, value: Any, message: str, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "c", tiny(kind), build_tokenizer(10))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    change(folder, **{key: value})
    said = refused(folder)
    assert message in said, said
    assert "config.json" in said
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "gpt2", "model_type": "llama"}', "stands twice"),
        ('{"model_type": "gpt2", "layer_norm_epsilon": NaN}', "NaN"),
        ('{"model_type": "gpt2", "n_embd": 1' + "0" * 50 + "}", "digits"),
        ("[" * 1000 + "]" * 1000, "nested"),
        (" " * 100_001, "larger than"),
        ('"gpt2"', "no object"),
        ("\ufeff{}", "not valid JSON"),
    ],
)
def test_a_config_is_strict_json(text: str, message: str, folder: Path) -> None:
    (folder / "config.json").write_text(text)
    assert message in refused(folder)


def test_what_a_config_may_say_beside_the_model_changes_nothing(folder: Path) -> None:
    before = load_checkpoint(folder)[0].config.to_diff_dict()
    change(folder, torch_dtype="float16", use_cache=False, architectures=["GPT2Model"], transformers_version="9")
    change(folder, eos_token_id=[3, 4], pad_token_id=7, bos_token_id=2, return_dict=True, output_attentions=False)
    change(folder, _name_or_path="../../elsewhere")
    assert load_checkpoint(folder)[0].config.to_diff_dict() == before


def test_older_names_of_rotary_angles_are_understood(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "c", tiny("llama"), build_tokenizer(10))
    values = json.loads((folder / "config.json").read_text())
    del values["rope_parameters"]
    (folder / "config.json").write_text(json.dumps(values | {"rope_theta": 500.0, "rope_scaling": None}))
    assert load_checkpoint(folder)[0].config.rope_parameters["rope_theta"] == 500


def test_a_model_has_a_size_that_a_machine_holds(tmp_path: Path) -> None:
    values = {"model_type": "gpt2", "vocab_size": 22, "n_embd": 8192, "n_layer": 256, "n_head": 1}
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "model.safetensors").write_bytes(b"")
    assert "the most that is loaded is 100,000,000" in refused(folder)


# --- model.safetensors ------------------------------------------------------------------------------------------------


def with_header(folder: Path, edit: Callable[[dict[str, Any]], object], pad: int = 0) -> None:
    """Writes another header in front of the same bytes."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :] + bytes(pad))


def with_tensors(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def weights(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)


LN, UP = "model.ln.weight", "model.block.up.bias"
WEIGHTS: dict[str, tuple[Spoil, str]] = {
    "unknown": (lambda f: with_tensors(f, lambda t: t.update(extra=torch.ones(2))), "'extra' is no tensor"),
    "padding": (lambda f: with_tensors(f, lambda t: t.update({"model.ln.weight_scale": torch.ones(9)})), "no tensor"),
    "missing": (lambda f: with_tensors(f, lambda t: t.pop(LN)), f"'{LN}' is missing"),
    "empty": (lambda f: with_tensors(f, lambda t: t.clear()), "is missing"),
    "tied twice": (
        lambda f: with_tensors(f, lambda t: t.update({"lm_head.weight": t["model.embedding.weight"].clone()})),
        "are one tensor",
    ),
    "another shape": (lambda f: with_tensors(f, lambda t: t.update({LN: torch.ones(2, 4)})), "is [2, 4]"),
    "larger": (lambda f: with_tensors(f, lambda t: t.update({LN: torch.ones(9)})), "is [9]"),
    "scalar": (lambda f: with_tensors(f, lambda t: t.update({LN: torch.tensor(1.0)})), "is []"),
    "int8": (lambda f: with_tensors(f, lambda t: t.update({LN: t[LN].to(torch.int8)})), "is int8"),
    "bool": (lambda f: with_tensors(f, lambda t: t.update({LN: t[LN] > 0})), "is bool"),
    "float64": (lambda f: with_tensors(f, lambda t: t.update({LN: t[LN].double()})), "is float64"),
    "float8": (lambda f: with_tensors(f, lambda t: t.update({LN: t[LN].to(torch.float8_e4m3fn)})), "is float8"),
    "aliased": (lambda f: with_header(f, lambda h: h.update({LN: h["model.ln.bias"]})), "cannot be read"),
    "overlapping": (lambda f: with_header(f, lambda h: h[UP].update(data_offsets=[0, 128])), "cannot be read"),
    "outside": (lambda f: with_header(f, lambda h: h[UP].update(data_offsets=[10**9, 10**9 + 128])), "cannot be read"),
    "backwards": (lambda f: with_header(f, lambda h: h[UP].update(data_offsets=[128, 0])), "cannot be read"),
    "a shape of 2^64": (lambda f: with_header(f, lambda h: h[UP].update(shape=[2**32, 2**32])), "cannot be read"),
    "a dtype that is none": (lambda f: with_header(f, lambda h: h[UP].update(dtype="F31")), "cannot be read"),
    "no object": (lambda f: with_header(f, lambda h: h.update({UP: 5})), "cannot be read"),
    "more bytes": (lambda f: with_header(f, lambda h: None, pad=8), "cannot be read"),
    "a large header": (lambda f: with_header(f, lambda h: h.update({"x" * 10**6: 1})), "a header of 1,00"),
    "a header beyond the end": (
        lambda f: (f / "model.safetensors").write_bytes(b"\x09" + bytes(7) + b"{}"),
        "cannot be read",
    ),
    "no header": (lambda f: (f / "model.safetensors").write_bytes(b"\x01"), "valid JSON"),
    "a huge number": (lambda f: weights(f, struct.pack("<Q", 5000) + b"9" * 5000), "digits"),
}


@pytest.mark.parametrize(("spoil", "message"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_that_are_not_the_models(spoil: Spoil, message: str, folder: Path) -> None:
    spoil(folder)
    said = refused(folder)
    assert message in said, said
    assert "model.safetensors" in said


def test_a_name_that_stands_twice_in_the_header_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    text = content[8 : 8 + size].rstrip().replace(b'{"', b'{"__metadata__":{},"', 1)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])
    assert "stands twice" in refused(folder)


def test_half_precision_is_read_as_what_it_says(folder: Path) -> None:
    before = load_checkpoint(folder)[0]
    with_tensors(folder, lambda t: t.update({name: one.bfloat16() for name, one in t.items()}))
    after = load_checkpoint(folder)[0]
    assert parameter_counts(after) == parameter_counts(before)
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        assert torch.equal(one.bfloat16().float(), other)


def test_other_files_of_weights_are_not_looked_at(folder: Path) -> None:
    """A decoy under the pinned name would be hashed while another is loaded."""
    before = load_checkpoint(folder)[0].state_dict()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"model.ln.weight": "other.safetensors"}}')
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "org/other"}')
    for name in ("other.safetensors", "adapter_model.safetensors", "pytorch_model.bin"):
        (folder / name).write_bytes(b"decoy")
    after = load_checkpoint(folder)[0].state_dict()
    assert all(torch.equal(one, after[name]) for name, one in before.items())


@pytest.mark.parametrize("kind", ["theirs", "clip_text_model", "llama"])
def test_nobody_is_asked_whether_to_run_code(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a type that nobody knows, nor for one that is no language model, nor for one that is."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    (folder / "evil.py").write_text(f"open({str(folder / 'canary')!r}, 'w')")
    change(folder, model_type=kind, auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}')
    assert "config.json" in refused(folder)
    assert not (folder / "canary").exists()


# --- what a folder is made of -----------------------------------------------------------------------------------------

PLACES: dict[str, Callable[[Path], Any]] = {
    "a FIFO": os.mkfifo,
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a link out": lambda path: path.symlink_to("/etc/hostname"),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "links in a circle": lambda path: path.symlink_to(path.name),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "run.json"])
@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
def test_files_are_regular_and_in_the_folder(name: str, make: Callable[[Path], Any], folder: Path) -> None:
    (folder / name).unlink()
    make(folder / name)
    assert name in refused(folder)
    if name == "model.safetensors":
        with pytest.raises(InvalidInput):
            weights_sha256(folder)
