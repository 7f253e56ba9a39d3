"""What could run a stranger's code, fetch or start a program stands in few places, all of them here with a reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import listops_bench

PACKAGE = Path(listops_bench.__file__).parent

DOORS: dict[str, dict[str, str]] = {
    "model/_loading.py": {"AutoModelForCausalLM.from_config": "of a config.json that was read key by key; no code"},
    "model/_weights_file.py": {"safetensors.torch.load": "of bytes whose header was read before"},
    "model/ladder.py": {"AutoModelForCausalLM.from_config": "of a rung, or of a config.json that was read key by key"},
    "model/checkpoint.py": {
        "AutoModelForCausalLM.from_pretrained": "for --trust-remote-code, of a folder",
        "trust_remote_code=True": "for --trust-remote-code",
    },
    "model/origin.py": {"huggingface_hub.snapshot_download": "files by their endings, within a size"},
    "train/_state.py": {"torch.load": "of a run's own state, weights only"},
    "evaluate/examiner.py": {"subprocess.Popen": "this interpreter, for checkpoints of strangers"},
    "_base/strict_yaml.py": {"yaml.parse": "events, which are looked at one by one"},
    "hub/_kept.py": {"yaml.safe_load": "a card's front matter, after its events were looked at"},
    "tasks/task.py": {"yaml.safe_load": "a page of this package"},
    "claims/_specs.py": {"yaml.safe_load": "a page of this package"},
    "analysis/report/_figures.py": {"yaml.safe_load": "a page of this package"},
    "leaderboard/_threshold_figures.py": {"yaml.safe_load": "a page of this package"},
    "dataset/release.py": {"yaml.safe_load": "a page of this package"},
    "_base/processes.py": {"subprocess.Popen": "this package's own commands, side by side"},
    "_base/beside.py": {"multiprocessing.get_context": "a copy of this process, which does what it is told here"},
    "runs/provenance.py": {"subprocess.run": "git, asked for the commit of this package"},
    "_base/memory.py": {
        "ctypes": "the C library of this process",
        "ctypes.CDLL": "the C library of this process",
        "ctypes.CDLL(None).mallopt": "sets two limits of it",
    },
    "_base/lazy.py": {"importlib.import_module": "names that the package's own files list"},
    "_hook.py": {"importlib.import_module": "this package's own modules"},
}

WATCHED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "runpy", "ctypes", "pty"}
"""Every call of one is found."""
WATCHED_CALLS = {
    *("eval", "exec", "compile", "__import__", "importlib.import_module", "builtins.eval", "builtins.exec"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.compile", "numpy.load", "safetensors.torch.load"),
    *("safetensors.torch.load_file", "safetensors.torch.load_model", "safetensors.safe_open"),
    *(
        "yaml.safe_load",
        "yaml.safe_load_all",
        "yaml.parse",
        "yaml.compose",
        "yaml.load",
        "yaml.load_all",
        "yaml.full_load",
        "yaml.unsafe_load",
        "yaml.unsafe_load_all",
        "yaml.full_load_all",
    ),
    *("os.system", "os.popen", "os.fork", "os.startfile", "asyncio.create_subprocess_exec"),
    *("huggingface_hub.snapshot_download", "huggingface_hub.hf_hub_download", "urllib.request.urlopen"),
    *("datasets.load_dataset", "transformers.pipeline"),
}
WATCHED_METHODS = {"from_pretrained", "from_config", "load_adapter", "from_spec"}
WATCHED_STARTS = ("subprocess.", "os.exec", "os.spawn", "os.posix_spawn", "multiprocessing.", "requests.", "httpx.")


def names_of(tree: ast.AST) -> dict[str, str]:
    """What the names of a file stand for: ``{"np": "numpy", "load": "safetensors.torch.load"}``."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def calls(text: str) -> Iterator[str]:
    """The watched calls of a file, and ``trust_remote_code=True``; a watched name that is only handed on counts too."""
    tree = ast.parse(text)
    names = names_of(tree)
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code" and ast.unparse(node.value) == "True":
            yield "trust_remote_code=True"
        if not isinstance(node, ast.Attribute | ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        first, _, rest = ast.unparse(node).partition(".")
        name = ".".join(filter(None, (names.get(first, first), rest)))
        own = first in names or first in ("eval", "exec", "compile", "__import__")
        method = isinstance(node, ast.Attribute) and node.attr in WATCHED_METHODS
        started = name.startswith(WATCHED_STARTS) and node in called
        if own and (name in WATCHED_CALLS or name.partition(".")[0] in WATCHED_MODULES or started):
            yield name
        elif method:
            yield ast.unparse(node)


def found_in(package: Path) -> dict[str, set[str]]:
    every = {path.relative_to(package).as_posix(): set(calls(path.read_text())) for path in package.rglob("*.py")}
    return {name: found for name, found in every.items() if found}


def test_every_door_is_known_and_none_is_left_over() -> None:
    assert found_in(PACKAGE) == {name: set(reasons) for name, reasons in DOORS.items()}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("from transformers import AutoConfig\nAutoConfig.from_pretrained(x)", "AutoConfig.from_pretrained"),
        ("import transformers as t\nmodel = t.GPT2LMHeadModel.from_pretrained", "t.GPT2LMHeadModel.from_pretrained"),
        ("import torch\ntorch.load(x)", "torch.load"),
        ("from torch import load as read\nread(x)", "torch.load"),
        ("import numpy as np\nnp.load(x, allow_pickle=True)", "numpy.load"),
        ("import yaml\nyaml.load(x, Loader=yaml.Loader)", "yaml.load"),
        ("import pickle\npickle.loads(x)", "pickle.loads"),
        ("from subprocess import run\nrun(x)", "subprocess.run"),
        ("import os\nos.execv(x, y)", "os.execv"),
        ("eval(x)", "eval"),
        ("f(x, trust_remote_code=True)", "trust_remote_code=True"),
        ("from importlib import import_module\nimport_module(x)", "importlib.import_module"),
    ],
)
def test_a_planted_call_is_found(text: str, name: str) -> None:
    assert name in set(calls(text))


def test_what_only_looks_like_one_is_not() -> None:
    text = "import re, yaml\nre.compile(x)\nmodel.eval()\nyaml.safe_dump(x)\nf(x, trust_remote_code=False)"
    assert not set(calls(text))
