"""Speed of the generator, against a straightforward recursive one that makes the same kind of rows, in the same run.

    python benchmarks/generate.py > benchmarks/results/generate.json
    python benchmarks/generate.py --before ../old      # and against another checkout, in turns


Prints one JSON object: tokens/s of both and their ratio (both make every column, both traces' split check and text),
tokens/s of tasks whose operations are tables, seconds of a cold ``load_dataset`` of a 50,000-row task, and the growth
of memory over a stream of 10 million rows. With ``--before``, also what share of the other checkout's speed (tokens per
second of CPU, the best of many) this one has, on tasks that both have.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from listops_bench.tasks.expression import (
    Expression,
    Node,
    completion_text,
    decisive_depth,
    depth,
    evaluate,
    operations_in,
    prompt_text,
)
from listops_bench.tasks.generator import generate, generate_blocks
from listops_bench.tasks.split import assign, held_out_operations
from listops_bench.tasks.task import TaskSpec, get_task

TASK = "sum_max_med"
TABLE_TASKS = ("perm_sign_s3", "perm_point_a5", "rsum_lat_tables", "rsum_max_med_tables")
COMPARED_TASKS = ("sum", "sum_max_med", "sum_nrgpt")
RECURSIVE_ROWS, FAST_ROWS, STREAM_ROWS, COMPARED_ROWS = 3_000, 400_000, 10_000_000, 20_000


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", metavar="CHECKOUT", type=Path)
    before = parser.parse_args(argv).before
    task = get_task(TASK)
    recursive = max(_recursive_tokens_per_second(task, seed) for seed in range(3))
    generate(task, "train", num_rows=10).to_arrow()  # compiles
    fast = max(_fast_tokens_per_second(TASK, seed) for seed in range(3))
    figures = {
        "task": TASK,
        "recursive_tokens_per_second": round(recursive),
        "tokens_per_second": round(fast),
        "ratio": round(fast / recursive, 1),
        "table_tokens_per_second": {
            name: round(max(_fast_tokens_per_second(name, seed) for seed in range(3))) for name in TABLE_TASKS
        },
        "load_dataset_cold_seconds": round(_cold_load_seconds(), 2),
        "stream_rows": STREAM_ROWS,
        **_stream_memory(task),
        **({} if before is None else {"share_of_the_speed_before": _against(before)}),
        "environment": _environment(),
    }
    print(json.dumps(figures, indent=2))


def _fast_tokens_per_second(task: str, seed: int) -> float:
    """Rows with all columns and their text as Arrow arrays."""
    start, tokens = time.perf_counter(), 0
    for rows in generate_blocks(get_task(task, unique=False), "train", seed=seed, stop=FAST_ROWS):
        rows.to_arrow()
        tokens += int(rows.num_tokens.sum())
    return tokens / (time.perf_counter() - start)


def _against(before: Path) -> dict[str, float]:
    """The speed of this checkout over that of another, which processes of their own measure in turns."""
    code = (
        "import json, time\n"
        "from listops_bench.tasks.generator import generate\n"
        "from listops_bench.tasks.task import get_task\n"
        "def seconds(task):\n"
        "    start = time.process_time()\n"
        f"    generate(task, 'train', num_rows={COMPARED_ROWS})\n"
        "    return time.process_time() - start\n"
        f"tasks = [get_task(name) for name in {COMPARED_TASKS!r}]\n"
        "[seconds(task) for task in tasks]  # compiles\n"
        "print(json.dumps([min(seconds(task) for _ in range(12)) for task in tasks]))"
    )
    places = (before.resolve(), Path(__file__).resolve().parent.parent)
    found: dict[Path, list[list[float]]] = {place: [] for place in places}
    for place in places * 4:
        command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(place)!r})\n{code}"]
        found[place].append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    old, new = ([min(times) for times in zip(*found[place], strict=True)] for place in places)
    return {name: round(was / now, 3) for name, was, now in zip(COMPARED_TASKS, old, new, strict=True)}


def _recursive_tokens_per_second(task: TaskSpec, seed: int) -> float:
    """The peer: draws trees by recursion, keeps those of the train split, and makes the same columns."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    start, tokens = time.perf_counter(), 0
    while len(rows) < RECURSIVE_ROWS:
        shallow = rng.random() < task.depth_weights[0]
        e = _draw(task, rng, 1 if shallow else task.max_depth)
        if (depth(e) == 1) != shallow or assign(e, task.modulus) != "train":
            continue
        prompt, completion = prompt_text(e), completion_text(e, task.modulus)
        tokens += len(prompt.split()) + len(completion.split()) + 2
        rows.append(
            {
                "prompt": prompt,
                "completion": completion,
                "answer": evaluate(e, task.modulus),
                "root_operation": e.operation,
                "operations": sorted(set(operations_in(e))),
                "depth": depth(e),
                "num_operations": len(operations_in(e)),
                "decisive_depth": decisive_depth(e, task.modulus),
                "unseen_operations": held_out_operations(e, task.modulus),
            }
        )
    return tokens / (time.perf_counter() - start)


def _draw(task: TaskSpec, rng: random.Random, levels: int) -> Node:
    operation = rng.choice(task.operations)
    operands: list[Expression] = []
    for _ in range(rng.choice(task.operand_counts(operation))):
        nests = levels > 1 and rng.random() < task.nest_probability
        operands.append(_draw(task, rng, levels - 1) if nests else rng.randrange(task.modulus))
    return Node(operation, tuple(operands))


def _cold_load_seconds() -> float:
    """From a new process with an empty cache to the loaded dataset; importing the libraries is not counted."""
    code = (
        "import time, datasets, listops_bench\n"
        "datasets.disable_progress_bars()\n"
        "start = time.perf_counter()\n"
        f"assert len(datasets.load_dataset('listops_bench', {TASK!r}, split='train')) == 50_000\n"
        "print(time.perf_counter() - start)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": cache}
        command = [sys.executable, "-c", code]
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def _stream_memory(task: TaskSpec) -> dict[str, float]:
    """Peak memory (MiB) after the first million rows of a stream, and after all of them."""
    early, rows_seen = 0.0, 0
    start = time.perf_counter()
    for rows in generate_blocks(get_task(TASK, unique=False), "train", stop=STREAM_ROWS):
        rows_seen += len(rows)
        if not early and rows_seen >= STREAM_ROWS // 10:
            early = _peak_mebibytes()
    seconds = time.perf_counter() - start
    return {
        "stream_seconds": round(seconds, 1),
        "peak_mib_after_a_tenth": round(early, 1),
        "peak_mib_after_all": round(_peak_mebibytes(), 1),
    }


def _environment() -> dict[str, str]:
    packages = ("listops-bench", "numpy", "numba", "pyarrow", "datasets")
    cpu = [line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "cpu": f"{cpu[0]}, one of {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
