"""Sweep pages, curricula, expressions, tasks and logs of lm-eval, changed, and the verbs that read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from listops_bench.harness.lm_eval_files import task_name
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task
from tests.fuzz import traps
from tests.fuzz.attempt import Attempt
from tests.fuzz.mutations import PIECES, changed_bytes, changed_text, changed_value, json_bytes, spoil_file

PAGE = {
    "models": ["looped_d008", {"model": "looped_d016", "num_attention_heads": 2}], "tasks": ["sum", "max"],
    "curricula": ["max:5,sum:5"], "seeds": [0, 1], "recipe": {"max_steps": 10, "learning_rate": [0.001, 0.002]},
    "eval_tasks": ["sum"], "eval_splits": ["test"], "eval_num_rows": 10, "track": "open",
}  # fmt: skip
SELECT = {"over": "learning_rate", "by": "validation", "seeds": [7]}
BOMB = "\n".join(f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]" for i in range(1, 9))
LINES = (
    *("seeds: [3]", "recipe: {max_steps: 1}", "seeds: 010", "eval_num_rows: 1:30", "eval_num_rows: true", "track: yes"),
    *("eval_num_rows: lots", "eval_num_rows: 2.5", "eval_num_rows: 0", "eval_tasks: [sum_mod20]", "select: {}"),
    *("select: {over: [a], by: {}, seeds: []}", "models: [2026-01-01]", "seeds: [.inf]", "seeds: [0x10, 1_0]", "? [a]"),
    *("models: [{model: looped_d008, num_attention_heads: 0}]", "seeds: !!int 'x'", "seeds: !!timestamp 'x'"),
    *("a: &a [*a]", "a: &a [x]\nb: &b [*a,*a]", "grids: 5", "a0: &a0 x\n" + BOMB),
    *("<<: {seeds: [1]}", "recipe: {seed: 1}", "recipe: {output_dir: /etc}", "seeds: [" + "9" * 5000 + "]"),
    *("seeds: " + "[" * 3000, "x: " + "{a: " * 3000, "grids: [{}, 5]", "grids: []", "models: [../../x, /etc/passwd]"),
    *("seeds: !!set {1}", "seeds: !!binary aGk=", "seeds: !!omap [a: 1]", "recipe: {model: org/x}", "seeds: [1e3]"),
)  # fmt: skip


def sweep(attempt: Attempt, base: Path) -> None:
    """A sweep's page: it is planned, and nothing trained."""
    draw = attempt.draw
    page: Any = PAGE | ({"select": SELECT} if attempt.chance(0.2) else {})
    for _ in attempt.times():
        page = changed_value(draw, page) if draw.random() < 0.6 else page
    dumped: str = yaml.dump(page, sort_keys=False) if draw.random() < 0.7 else json.dumps(page)
    text = _spoiled_yaml(attempt, dumped, (*LINES, *traps.yaml_tags(attempt.canary)))
    attempt.words = ["sweep", attempt.write("page.yaml", text), "--plan", "--output-dir", "runs"]


def _spoiled_yaml(attempt: Attempt, text: str, lines: tuple[str, ...]) -> str | bytes:
    draw = attempt.draw
    if attempt.chance(0.4):
        at = draw.choice([place for place, char in enumerate(text) if char == "\n"] or [len(text)])
        text = text[: at + 1] + draw.choice(lines) + "\n" + text[at + 1 :]
    if attempt.chance(0.2):
        text = changed_text(draw, text)
    content = text.encode("utf-8", "surrogatepass")
    return changed_bytes(draw, content) if attempt.chance(0.05) else content


CURRICULUM = "max_med:1200,sum*0.5+max*0.5:1800/until=0.95/keep-optimizer"
STAGES = [
    {"tasks": {"max": 1, "sum": 0.5}, "steps": 100, "until": 0.9},
    {"tasks": {"sum": 1}, "steps": 5, "freeze": [], "init_parts": ["attention"]},
]


def curriculum(attempt: Attempt, base: Path) -> None:
    """A curriculum, as text or as a file."""
    draw = attempt.draw
    if attempt.is_honest or draw.random() < 0.5:
        text = CURRICULUM
        for _ in attempt.times():
            text = changed_text(draw, text)
        attempt.words = ["curriculum", _word(text)]
        return
    stages: Any = STAGES
    for _ in attempt.times():
        stages = changed_value(draw, stages)
    lines = (
        "  - {tasks: {sum: 1}, steps: 010}",
        "- {steps: 1, steps: 2}",
        "stages: 5",
        *traps.yaml_tags(attempt.canary),
        *LINES,
    )
    text = yaml.dump({"stages": stages}, sort_keys=False)
    attempt.words = ["curriculum", attempt.write("c.yaml", _spoiled_yaml(attempt, text, lines))]


REGIME = {
    "title": "Mine", "nest_probability": 0.25, "depth_weights": [0.5, 0.5], "med_operands": "any", "unique": False,
    "trace": "single", "hold_out": "triples",
}  # fmt: skip


SYMBOLS = {
    "size": 3, "symbols": ["a", "b", "c"],
    "operations": {
        "tick": {"table": ["0 1 2", "1 2 0", [2, 0, 1]], "operands": "any", "associative": True, "identity": 0},
        "top": {"like": "max"},
    },
}  # fmt: skip


def regime(attempt: Attempt, base: Path) -> None:
    """A page that says how rows are drawn, or what they are about."""
    of_rows = attempt.is_honest or attempt.chance(0.5)
    page: Any = REGIME if of_rows else SYMBOLS
    for _ in attempt.times():
        page = changed_value(attempt.draw, page)
    lines = ("unique: yes", "unique: true", "depth_weights: [010]", *traps.yaml_tags(attempt.canary), *LINES)
    text = _spoiled_yaml(attempt, yaml.dump(page, sort_keys=False), lines)
    operations = "sum" if of_rows else "tick_top"
    attempt.words = ["tasks", f"{operations}@{attempt.write('mine.yaml', text)}", "--rows", "2"]


def expression(attempt: Attempt, base: Path) -> None:
    """An expression to solve, or a task's name."""
    draw = attempt.draw
    verb, text = draw.choice([("trace", "[SUM 3 [MAX 2 9 ] 4 ] ="), ("tasks", "sum_max_mod20_depth3")])
    pieces = (
        *PIECES,
        "[SUM ",
        " ]",
        "[MED 1 2 ]",
        "[SUM " * 2000,
        "[MAX 1 2 ] " * 500,
        "_mod",
        "_depth9",
        "_mod1000000",
    )
    for _ in attempt.times():
        text = changed_text(draw, text, pieces)
    more = ["--modulus", draw.choice(["2", "7", "0", "1000000", "9" * 400])] if attempt.chance(0.1) else []
    attempt.words = [verb, _word(text), *more]


def _word(text: str) -> str:
    """As an operating system hands a word over."""
    return text.replace("\x00", "\x01").replace("\ud800", "")


# --- logs of lm-eval --------------------------------------------------------------------------------------------------


def lm_eval_log(attempt: Attempt, base: Path) -> None:
    """What lm-eval writes of a few-shot task, with four answers."""
    draw, name = attempt.draw, task_name(get_task("max"), few_shot=True)
    log: Any = {
        "configs": {name: {"dataset_kwargs": {"task": "max", "split": "test", "few_shot": True}}}, "n-shot": {name: 4},
        "config": {"model": "hf", "model_args": {"pretrained": "org/large"}, "model_num_parameters": 1000,
                   "model_sha": "f" * 40},
        "date": 1795715052.9, "lm_eval_version": "0.4.13", "total_evaluation_time_seconds": "20.4",
    }  # fmt: skip
    rows = generate(get_task("max"), "test", num_rows=4).to_arrow().to_pylist()
    samples: Any = [{"doc_id": i, "doc": row, "resps": [[row["completion"]]]} for i, row in enumerate(rows)]
    for _ in attempt.times():
        if draw.random() < 0.5:
            log = changed_value(draw, log)
        else:
            samples = changed_value(draw, samples)
    lines = b"\n".join(json_bytes(draw, sample) for sample in (samples if isinstance(samples, list) else [samples]))
    if attempt.is_honest:
        lines = b"\n".join(json.dumps(sample).encode() for sample in samples)
    attempt.write("out/results_1.json", json.dumps(log) if attempt.is_honest else json_bytes(draw, log))
    attempt.write(f"out/samples_{name}_1.jsonl", lines)
    if attempt.chance(0.05):
        spoil_file(draw, attempt.folder / "out" / draw.choice(["results_1.json", f"samples_{name}_1.jsonl"]))
    attempt.words = ["import-lm-eval", "out", "--output-dir", "results"]
