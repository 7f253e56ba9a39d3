"""Checkpoints and results of strangers, changed, and the verbs that read them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from listops_bench.result.files import find_results
from tests.fuzz import traps
from tests.fuzz.attempt import Attempt
from tests.fuzz.mutations import (
    changed_text,
    changed_value,
    changed_weights,
    content_of,
    json_bytes,
    spoil_file,
    write_all,
)

# --- checkpoints ------------------------------------------------------------------------------------------------------

CONFIG_VALUES: dict[str, tuple[Any, ...]] = {
    "is_causal": (False,),
    "model_type": ("bert", "clip_text_model", "gpt2", "llama", "mistral", "t5", "evil", ["a"], "../x", "rwkv"),
    "architectures": (["Evil"], ["GPT2Model"], 5, ["AutoModelForCausalLM"]),
    "num_labels": (10**7, 10**9), "n_loop": (0, 256, 10**6), "num_hidden_layers": (0, 256, 300_000, 1.5),
    "hidden_size": (0, 7, 10**6, -1), "num_attention_heads": (0, 3, -1, 10**6), "head_dim": (0, 1, 10**6),
    "vocab_size": (0, 22.5, 10**9, 21), "max_position_embeddings": (0, 1, 10**9), "intermediate_size": (0, 10**9),
    "n_head": (0, 3), "n_embd": (0, 7), "n_layer": (0, 10**6), "n_positions": (0, 10**9), "num_key_value_heads": (0, 3),
    "text_config": ({"num_hidden_layers": 300_000}, {"model_type": "evil"}, 5),
    "rope_parameters": (5, {"rope_type": "evil"}, {"rope_type": "dynamic", "factor": 1e308}), "rope_scaling": (5,),
    "hidden_act": (5, "evil", "silu"), "activation_function": (5, "os.system"), "dtype": ({"a": 1}, "evil", "int8"),
    "tie_word_embeddings": (False, "no"), "use_bidirectional_attention": (True,), "is_decoder": (False,),
    "is_encoder_decoder": (True,), "add_cross_attention": (True,), "eos_token_id": (-1, 99, [1, 2], 0),
    "initializer_range": (-1, 1e308), "layer_norm_epsilon": (-1, "x"), "rms_norm_eps": (0, -1), "id2label": ({"0": 5},),
    "attention_types": ([[["global"], 10**9]],), "layer_types": (["full_attention"] * 9, ["evil"]),
    "pruned_heads": ({"0": [0]}, {"9": [1]}), "gradient_checkpointing": (True,), "torchscript": (True,),
    "return_dict": (False,), "output_attentions": (True,), "use_cache": (False, "x"), "positions": ("rotary", "none"),
    "_name_or_path": ("org/evil",), "base_model_tp_plan": ({"*": "evil"},), "generation_config": ({"a": 1},),
}  # fmt: skip


def checkpoint(attempt: Attempt, base: Path) -> None:
    """A checkpoint's folder, and the verbs that read one."""
    draw = attempt.draw
    verb = "verify" if attempt.is_honest else draw.choice(["verify"] * 4 + ["validate"] * 3 + ["evaluate", "push", "x"])
    verb = draw.choice(["submit", "analyze", "prompt"]) if verb == "x" else verb
    name = draw.choice(["looped", "looped", "gpt2"] + (["llama"] if verb in ("evaluate", "prompt") else []))
    name = "looped" if attempt.is_honest else name
    place = attempt.folder / "checkpoints" / "c"
    shutil.copytree(base / "checkpoints" / name, place)
    if name != "llama":
        (source,) = find_results(base / "results" / name)
        attempt.result = attempt.folder / "results" / source.relative_to(base / "results" / name)
        shutil.copytree(base / "results" / name, attempt.folder / "results")
        attempt.honest = json.loads(source.read_bytes())
    for _ in attempt.times():
        _change_checkpoint(attempt, place)
    if attempt.chance(0.5):
        write_all(place, traps.files(draw, attempt.canary))
    if attempt.result is not None and attempt.chance(0.7):
        _follow(attempt, place / "model.safetensors")
    here, results = ["--checkpoints", "checkpoints"], ["leaderboard", verb, "results"]
    attempt.words = {
        "verify": [*results, *here],
        "validate": [*results, *here],
        "evaluate": ["evaluate", "checkpoints/c", "--task", "max", "--split", "test", "--num-rows", "4"],
        "prompt": ["evaluate", "checkpoints/c", "--prompt", "[MAX 1 2 ] ="],
        "push": ["push", "checkpoints/c", "org/c", "--dry-run", "--results", "results"],
        "submit": ["submit", "checkpoints/c", "--task", "max", "--output-dir", "results"],
        "analyze": ["analyze", "checkpoints/c", "--output-dir", "analysis", "--num-rows", "20"],
    }[verb]


def _change_checkpoint(attempt: Attempt, place: Path) -> None:
    draw, names = attempt.draw, sorted(path.name for path in place.iterdir())
    kind = draw.randrange(12)
    if kind < 5:
        _change_json(draw, place / "config.json", _changed_config)
    elif kind == 5:
        target = place / draw.choice(["run.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
        _change_json(draw, target, changed_value)
    elif kind == 6:
        path = place / "tokenizer_config.json"
        _change_json(draw, path, lambda draw, value: {**value, **traps.config_keys(draw)})
    elif kind in (7, 8):
        path = place / "model.safetensors"
        if content := content_of(path):
            path.write_bytes(changed_weights(draw, content))
    elif kind == 9:
        line = {"step": draw.choice([1, 10**20, -1]), "validation": changed_value(draw, {"max/trace_accuracy": 0.5})}
        many = {**line, **{f"k{i}": i for i in range(draw.choice([0, 60_000]))}}
        write_all(place, {"train_log.jsonl": json_bytes(draw, many) + b"\n"})
    else:
        spoil_file(draw, place / draw.choice(names))


def _changed_config(draw: Random, value: Any) -> Any:
    key = draw.choice(sorted(CONFIG_VALUES))
    more = {key: draw.choice(CONFIG_VALUES[key])} if draw.random() < 0.6 else traps.config_keys(draw)
    return changed_value(draw, value) if draw.random() < 0.2 or not isinstance(value, dict) else {**value, **more}


def _change_json(draw: Random, path: Path, change: Callable[[Random, Any], Any]) -> None:
    try:
        value = json.loads(content_of(path) or b"")
    except (ValueError, RecursionError):  # spoiled before
        return
    write_all(path.parent, {path.name: json_bytes(draw, change(draw, value))})


def _follow(attempt: Attempt, weights: Path) -> None:
    """A result of the weights that now lie there, with nothing else changed: honest, should they answer the same."""
    assert attempt.result is not None
    content = content_of(weights)
    if content is not None:
        digest = hashlib.sha256(content).hexdigest()
        value = json.loads(attempt.result.read_bytes())
        value["model"]["weights_sha256"] = attempt.honest["model"]["weights_sha256"] = digest
        target = attempt.result.parents[1] / digest[:12] / attempt.result.name
        attempt.result.unlink()
        write_all(target.parent, {target.name: json.dumps(value)})
        attempt.result = target


# --- results ----------------------------------------------------------------------------------------------------------

FIELDS: dict[str, tuple[Any, ...]] = {
    "dataset_version": ("1.0.0+z", "1.0.00", "0.0.1", "9.9.9", "1.0.0\n", "٣.0"),
    "scorer_version": ("1.00", "1.0+x", "0", "2.0"), "schema_version": (2, 1.0, "1", True),
    "track": ("reference", "Open"),
    "recipe.seed": (-1, 10**400, True, 3.0), "recipe.id": ("a..b", "../x", "x" * 200, "a/b", "CON"),
    "model.id": ("org/a--b", "a/b/c", "..", "org/x", "-a", "a" * 161),
    "model.revision": ("f" * 40, "main", "F" * 40),
    "model.weights_sha256": ("f" * 64, None, "F" * 64), "parameters.total": (0, 1, 10**309, 1856),
    "training.tokens": (10**309, -1), "training.steps": (10**400, 0),
    "training.curriculum": ("a\n::error::b", "x" * 10**6),
    "training.wall_seconds": (1e308, -1), "task.name": ("sum", "max_mod11", "MAX", "max_depth" + "9" * 5000),
    "task.modulus": (2, 10**9), "task.trace": ("none", "single"), "architecture.family": ("llama", "<b>", "a\x1b[2J"),
    "architecture.context": (10**400, 0), "evaluation.created": ("9999-99-99T99:99:99Z", "2026-01-01T00:00:00Z\n"),
    "learning": ({"n": 10**4000, "correct": {"1": 1}}, {"n": 1, "correct": {"9" * 5000: 0}}, {"n": 0, "correct": {}}),
}  # fmt: skip


def result(attempt: Attempt, base: Path) -> None:
    """A result file, and the verbs that read one."""
    draw = attempt.draw
    name = "looped" if attempt.is_honest else draw.choice(["looped", "looped", "gpt2"])
    (source,) = find_results(base / "results" / name)
    attempt.honest = json.loads(source.read_bytes())
    value: Any = attempt.honest
    for _ in attempt.times():
        if draw.random() < 0.6 and isinstance(value, dict):
            value = _with_field(draw, value)
        else:
            value = changed_value(draw, value)
    place = source.relative_to(base / "results" / name).as_posix()
    if attempt.chance(0.05):
        place = changed_text(draw, place).replace("\x00", "").strip("/")[:200] or "x"
    path = attempt.folder / "results" / place
    if ".." in path.parts:
        path = attempt.folder / "results" / "x.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(value).encode() if attempt.is_honest else json_bytes(draw, value))
    if attempt.chance(0.03):
        spoil_file(draw, path)
    attempt.result = path
    verb = "verify" if attempt.is_honest else draw.choice(["validate"] * 4 + ["verify"] * 4 + ["build", "thresholds"])
    checkpoints = ["--checkpoints", str(base / "checkpoints")]
    more = {"build": ["--output-dir", "board"], "verify": checkpoints, "validate": draw.choice([checkpoints, []])}
    where = (
        "results" if verb in ("build", "thresholds") or draw.random() < 0.5 else str(path.relative_to(attempt.folder))
    )
    attempt.words = ["leaderboard", verb, where, *more.get(verb, [])]


def _with_field(draw: Random, value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(value))
    name = draw.choice(sorted(FIELDS))
    *path, last = name.split(".")
    holder: Any = found
    for key in path:
        holder = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(holder, dict):
        holder[last] = draw.choice(FIELDS[name])
    return found
