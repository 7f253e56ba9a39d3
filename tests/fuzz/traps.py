"""Code that strangers could hope to have run: each leaves a file, the canary, where it is."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from random import Random
from typing import Any

MODULES = ("evil", "modeling_looped", "configuration_looped", "tokenization_evil")
IN_THE_WAY = ("json", "torch", "yaml", "random", "sitecustomize", "usercustomize", "conftest", "listops_bench", "numpy")
"""Names of modules that Python would take from the working directory, were that on its path."""


class _Opens:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def python(canary: Path) -> str:
    """A module that leaves the canary when it is imported."""
    leaves = f"open({str(canary)!r}, 'w').close()\n"
    return f"{leaves}class Evil:\n    def __init__(self, *a, **k): {leaves}"


def jinja(canary: Path) -> str:
    """A template that leaves it when it is rendered without a sandbox."""
    return (
        "{{ cycler.__init__.__globals__.__builtins__.open('" + str(canary) + "', 'w') }}"
        "{{ lipsum.__globals__['os'].system('touch " + str(canary) + "') }}{{ messages }}"
    )


def pickled(canary: Path) -> bytes:
    """A pickle that leaves it when it is loaded."""
    return pickle.dumps({"weight": _Opens(str(canary))}, protocol=2)


def yaml_tags(canary: Path) -> tuple[str, ...]:
    """YAML that leaves it when it is loaded by a loader that builds Python objects."""
    return (
        f"!!python/object/apply:builtins.open ['{canary}', 'w']",
        f"!!python/object/apply:os.system ['touch {canary}']",
        f"!!python/object/new:builtins.open ['{canary}', 'w']",
        f"!!python/name:os.system '{canary}'",
        "!!python/module:evil ''",
        "!include evil.yaml",
        "!function evil.run",
    )


AUTO_MAP = {
    **{"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil", "AutoModel": "evil.Evil"},
    **{"AutoTokenizer": ["evil.Evil", "evil.Evil"], "AutoProcessor": "evil.Evil"},
}
REMOTE_MAP = {key: f"org/evil--{value}" for key, value in AUTO_MAP.items() if isinstance(value, str)}


def files(draw: Random, canary: Path) -> dict[str, str | bytes]:
    """Some files with code of every kind, for a checkpoint's folder."""
    code = python(canary)
    every: dict[str, str | bytes] = {
        **{f"{name}.py": code for name in (*MODULES, *IN_THE_WAY)},
        "__init__.py": code,
        "custom_generate/generate.py": code,
        "handler.py": code,
        "chat_template.jinja": jinja(canary),
        "additional_chat_templates/x.jinja": jinja(canary),
        "pytorch_model.bin": pickled(canary),
        "training_args.bin": pickled(canary),
        "optimizer.pt": pickled(canary),
        "states/state.pt": pickled(canary),
        "adapter_config.json": json.dumps(
            {"auto_mapping": AUTO_MAP, "peft_type": "LORA", "base_model_name_or_path": "."}
        ),
        "adapter_model.bin": pickled(canary),
        "processor_config.json": json.dumps({"auto_map": AUTO_MAP}),
        "generation_config.json": json.dumps(
            {"custom_generate": "evil", "auto_map": AUTO_MAP, "watermarking_config": 5}
        ),
        "model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": {"x": "pytorch_model.bin"}}),
    }
    return {name: every[name] for name in draw.sample(sorted(every), draw.randint(1, len(every)))}


def config_keys(draw: Random) -> dict[str, Any]:
    """Keys of config.json or tokenizer_config.json that name code, or fetch some."""
    every: dict[str, Any] = {
        "auto_map": draw.choice([AUTO_MAP, REMOTE_MAP, {"AutoConfig": 5}, "evil.Evil"]),
        "tokenizer_class": draw.choice(["Evil", "evil.Evil", "LlamaTokenizer", 5]),
        "custom_pipelines": {"text-generation": {"impl": "evil.Evil", "pt": ["AutoModel"]}},
        "attn_implementation": draw.choice(["org/evil", "org/evil:run", "flash_attention_2", "flex_attention", 5]),
        "quantization_config": draw.choice([{"quant_method": "bitnet"}, {"quant_method": "org/evil"}, 5]),
        "transformers_weights": draw.choice(["pytorch_model.bin", "../x.safetensors", "other.safetensors"]),
        "trust_remote_code": True,
        "custom_generate": "evil",
        "chat_template": "{{ cycler.__init__.__globals__ }}",
        "use_safetensors": False,
        "is_local": True,
    }
    return {key: every[key] for key in draw.sample(sorted(every), draw.randint(1, 3))}
