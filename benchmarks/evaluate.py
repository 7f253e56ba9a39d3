"""Speed of evaluation, against lm-eval's `hf` backend on the same checkpoints and rows, in the same run.

    python benchmarks/evaluate.py --good CHECKPOINT --bad CHECKPOINT > benchmarks/results/evaluate.json

Prints one JSON object: for a good and for a bad model (which has to be decoded more) the seconds of processor time that
both take for the 5,000 test rows of a task, the ratio, and the number of right answers, which must be the same. Both
begin with the model in memory and the rows to be made, and end with every answer scored; the median of some runs, taken
in turns, on one thread. lm-eval gets large batches and no bootstrap. Without checkpoints it trains two models: one for
some minutes, and one for seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from listops_bench.evaluate.packs import predict_many
from listops_bench.evaluate.run import score_split
from listops_bench.harness.lm_eval_files import lm_eval_path
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task
from listops_bench.train.command import main as train

RUNS, LM_EVAL_BATCH = 3, 512
ROWS: int | None = None
"""How many of a task's test rows; all by default."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sum_max_med", metavar="TASK")
    parser.add_argument("--good", metavar="CHECKPOINT")
    parser.add_argument("--bad", metavar="CHECKPOINT")
    arguments = parser.parse_args(argv)
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        good = arguments.good or _trained(Path(folder) / "good", arguments.task, steps=1500)
        bad = arguments.bad or _trained(Path(folder) / "bad", arguments.task, steps=60)
        figures = {
            "task": arguments.task,
            "good": compare(str(good), arguments.task),
            "bad": compare(str(bad), arguments.task),
            "environment": _environment(),
        }
    print(json.dumps(figures, indent=2))


def compare(checkpoint: str, task: str) -> dict[str, Any]:
    """Both on one checkpoint."""
    model, tokenizer, _ = load_checkpoint(checkpoint)
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=LM_EVAL_BATCH, device="cpu")
    manager = TaskManager(include_path=str(lm_eval_path()), include_defaults=False)
    n = ROWS or get_task(task).num_test

    def ours() -> tuple[int, int]:
        rows = generate(get_task(task), "test", num_rows=n)
        (found,) = predict_many([model], rows)
        assert not isinstance(found, Exception)
        metrics = score_split(rows, found.completions)[0].metrics
        return metrics.answer_accuracy.correct, metrics.trace_accuracy.correct

    def theirs() -> tuple[int, int]:
        with contextlib.redirect_stdout(sys.stderr):
            found = simple_evaluate(
                model=lm, tasks=[f"listops_{task}"], task_manager=manager, bootstrap_iters=0, limit=ROWS
            )
        means = found["results"][f"listops_{task}"]
        return round(n * means["answer_accuracy,none"]), round(n * means["trace_accuracy,none"])

    counts, seconds = _timed({"ours": ours, "lm_eval": theirs})
    assert counts["ours"] == counts["lm_eval"], counts
    answers, traces = counts["ours"]
    return {
        "right_answers": answers,
        "right_traces": traces,
        "rows": n,
        "seconds": round(seconds["ours"], 2),
        "lm_eval_seconds": round(seconds["lm_eval"], 2),
        "ratio": round(seconds["lm_eval"] / seconds["ours"], 1),
    }


def _timed(sides: dict[str, Callable[[], tuple[int, int]]]) -> tuple[dict[str, tuple[int, int]], dict[str, float]]:
    """What each side returns, and the median of its seconds; the first run of each warms up and does not count."""
    counts: dict[str, tuple[int, int]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(RUNS + 1):
        for name, side in sides.items():
            gc.collect()  # what one side leaves behind is not for the other to clear away
            start = time.process_time()
            counts[name] = side()
            seconds[name].append(time.process_time() - start)
    return counts, {name: statistics.median(values[1:]) for name, values in seconds.items()}


def _trained(folder: Path, task: str, steps: int) -> Path:
    with contextlib.redirect_stdout(sys.stderr):
        words = ["--task", task, "--model", "looped_d048", "--learning-rate", "3e-3", "--steps", str(steps)]
        train([*words, "--output-dir", str(folder), "--report-to", "none"])
    return folder


def _environment() -> dict[str, str]:
    packages = ("listops-bench", "torch", "transformers", "lm-eval")
    cpu = [line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "cpu": f"{cpu[0]}, one of {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


if __name__ == "__main__":
    main()
