"""A check of what the suite does on a GPU, and how fast, in under four minutes: ``make gpu-check``.

    PYTHONPATH=. python3 benchmarks/gpu.py                       # writes benchmarks/results/gpu-CARD.json
    PYTHONPATH=. python3 benchmarks/gpu.py --output check.json --widths 48

It needs a checkout and a Python with torch, transformers, accelerate and pytest; nothing is installed, and `datasets`
is not missed. Its parts: our kernels compiled, by a process for each width and precision; the tests that need a GPU; 64
models packed, at each width and in each precision, with the rows of every step prepared as in training; one model
alone, by the captured step and by separate launches; a pack whose rows differ much in length, half of them depth 1,
with single-step traces; a real pack, trained and scored. A part that fails is told of, and the others go on, in another
process where the device failed; one that could not end in time is left out. Prints a short table last.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any
from unittest.mock import patch

import torch

from listops_bench._base.text import one_line
from listops_bench.errors import EXIT_ENVIRONMENT
from listops_bench.evaluate.checkpoint import open_checkpoint
from listops_bench.evaluate.run import evaluate_many
from listops_bench.model.ladder import build_model
from listops_bench.model.packed import PackedLooped
from listops_bench.runs.provenance import environment
from listops_bench.train import _loop as train_loop
from listops_bench.train._batches import Pools
from listops_bench.train.config import TrainConfig
from listops_bench.train.packed._data import FlatBatch, Shape
from listops_bench.train.packed._fused import FusedLooped, supported
from listops_bench.train.packed.run import this_engine, train_packed

sys.path.insert(0, str(Path(__file__).parent))
import packed

ROOT = Path(__file__).resolve().parent.parent
PRECISIONS = ("fp32", "tf32", "bf16")
MIXED = ("sum_nrgpt:3000", "sum_max_med_nrgpt:3000")
SCORED = ("test", "test_unseen_operands")
GRACE = 5
"""Seconds after its time in which a process may still end by itself."""

Row = dict[str, Any]
Part = tuple[str, Callable[[], Row], float]
"""Its name, what it does, and seconds that must be left."""


class Check:
    """Its options, what it has found so far, and when it must end."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.begun, self.pools = options, time.monotonic(), Pools()
        self.parts: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}

    @property
    def left(self) -> float:
        """Seconds until it must have ended."""
        return float(self.options.seconds) - (time.monotonic() - self.begun)

    def part(self, name: str, work: Callable[[], Row], needs: float) -> None:
        """Does a part if its time is there, and tells of it at once, as a line of JSON.

        Raises:
            RuntimeError: the device failed, which nothing in this process can use any more.
        """
        begun, broken = time.monotonic(), None
        if self.left < needs:
            found: Row = {"left_out": f"{self.left:.0f} s were left"}
        else:
            try:
                found = work()
            except Exception as error:
                found = {"failed": one_line(error, with_type=True)[:300]}
                broken = error if "CUDA" in str(error) else None
        self.note({"part": name, "seconds": round(time.monotonic() - begun, 1), "found": found})
        if broken is not None:
            raise RuntimeError(f"{name} has spoilt the device for this process") from broken

    def note(self, line: Row) -> None:
        self.parts[line["part"]], self.seconds[line["part"]] = line["found"], line["seconds"]
        print(json.dumps(line), flush=True)

    def run(self, argv: Sequence[str]) -> None:
        """All parts, in a process that another follows where it dies: what one part breaks is left to the others."""
        names = [name for name, *_ in self.plan()]
        while (begin := len(self.parts)) < len(names):
            if self.left < GRACE:
                self.note({"part": names[begin], "seconds": 0.0, "found": {"left_out": "no time was left"}})
                continue
            command = [sys.executable, str(Path(__file__).resolve()), *argv]
            command += ["--begin", str(begin), "--seconds", f"{self.left:.0f}"]
            since = time.monotonic()
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                timer = Timer(max(1.0, self.left + GRACE), process.kill)
                timer.start()
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith('{"part"'):
                        self.note(json.loads(line))
                timer.cancel()
            if len(self.parts) == begin:
                seconds = round(time.monotonic() - since, 1)
                found = {"failed": f"its process ended with {process.returncode}"}
                self.note({"part": names[begin], "seconds": seconds, "found": found})

    def compile(self) -> Row:
        """Lets a process for each width and precision compile our kernels; the longest time that one took."""
        # With a time of its own for each: what a user waits for at the first use of a shape.
        words = [sys.executable, str(Path(__file__).resolve()), "--compile"]
        shapes = [f"{width},{precision}" for width in self.options.widths for precision in PRECISIONS]
        with ThreadPoolExecutor(len(shapes)) as pool:
            limit = min(self.left, self.options.seconds / 2)
            ended = pool.map(lambda shape: _finished([*words, shape], limit), shapes)
            last = {
                shape: (code, output.splitlines()[-1:]) for shape, (code, output) in zip(shapes, ended, strict=True)
            }
        failures = [f"{shape}: {line[0][:200] if line else code}" for shape, (code, line) in last.items() if code]
        seconds = {shape: float(line[0]) for shape, (code, line) in last.items() if not code}
        return {**seconds, **({"failed": failures} if failures else {})}

    # --- parts --------------------------------------------------------------------------------------------------------

    def tests(self) -> Row:
        """The tests that need a GPU, in some processes: most of their time they compile, and one may die of what it
        tests."""
        files = [path for path in sorted(ROOT.glob("tests/*/test_*.py")) if "pytest.mark.gpu" in path.read_text()]
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--durations=0"]
        listed = _finished([*words, "-m", "gpu", "--collect-only", *map(str, files)], self.left)[1]
        names = [line for line in listed.splitlines() if "::" in line]
        many = min(16, os.cpu_count() or 1)
        limit = min(self.left, 0.4 * self.options.seconds)
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(many) as pool:
            runs = [
                pool.submit(_finished, [*words, f"--basetemp={folder}/{i}", *names[i::many]], limit)
                for i in range(min(many, len(names)))
            ]
            ended = [run.result() for run in runs]
        counts: dict[str, int] = {"collected": len(names)}
        failures = []
        for code, output in ended:
            lines = output.splitlines()
            for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1] if lines else ""):
                counts[word] = counts.get(word, 0) + int(n)
            failures += [line[:200] for line in lines if line.startswith(("FAILED", "ERROR"))]
            failures += [f"exit code {code}: {' | '.join(lines[-4:])[-300:]}"] if code not in (0, 1) else []
        return {**counts, **({"failed": failures} if failures or not names else {})}

    def packed(self, width: int, precision: str, **changes: Any) -> Row:
        """Model-steps/s of a pack, and the time of a token that is there."""
        configs = [replace(config, precision=precision, **changes) for config in self._configs(width)]
        way = packed.Packed(configs, self.pools)
        way(self.options.steps)  # shapes are captured
        rates, times = [], []
        for _ in range(self.options.rounds):
            rates.append(way(4 * self.options.steps))
            times.append(4 * self.options.steps * len(configs) / rates[-1] / way.tokens)
        return {"model_steps_per_second": round(median(rates)), "ns_per_token": round(median(times) * 1e9, 3)}

    def mixed(self, width: int) -> Row:
        """A pack whose rows are of very different length, against one with the rows of every day."""
        found = []
        for curricula, trace in ((packed.CURRICULA, "parallel"), (MIXED, "single")):
            with patch.object(packed, "CURRICULA", curricula):
                found.append(self.packed(width, "fp32", trace=trace))
        return {**found[1], "time_per_token_ratio": round(found[1]["ns_per_token"] / found[0]["ns_per_token"], 2)}

    def alone(self, width: int, precision: str, *, captured: bool = True) -> Row:
        """Steps/s of one model with the trainer."""
        steps = 4 * self.options.steps if captured else self.options.steps
        way = train_loop.can_be_captured if captured else lambda *_: False
        rates = []
        for _ in range(self.options.rounds):
            with tempfile.TemporaryDirectory() as folder, patch.object(train_loop, "can_be_captured", way):
                config = replace(self._configs(width, folder)[0], precision=precision)
                rates.append(packed.Alone([config])(steps))
        return {"steps_per_second": round(median(rates), 1)}

    def whole(self, width: int) -> Row:
        """A pack from its first step to its checkpoints, and what these score."""
        steps = self.options.trained_steps
        with tempfile.TemporaryDirectory() as folder:
            changes: Row = {"curriculum": None, "task": "sum", "max_steps": steps, "eval_steps": 100}
            configs = [replace(config, **changes) for config in self._configs(width, folder)]
            begun = time.perf_counter()
            train_packed(configs, f"{folder}/pack")
            trained = time.perf_counter()
            evaluate_many(
                [open_checkpoint(config.output_dir) for config in configs[: self.options.scored]], "sum", SCORED,
                num_rows=self.options.rows, device=str(this_engine().device), results_dir=f"{folder}/results",
            )  # fmt: skip
            scored = time.perf_counter()
        return {
            "models": len(configs), "steps": steps, "seconds_to_train": round(trained - begun, 1),
            "scored": min(self.options.scored, len(configs)), "seconds_to_score": round(scored - trained, 1),
        }  # fmt: skip

    def _configs(self, width: int, folder: str = "") -> list[TrainConfig]:
        return [packed._config(i, width, folder, self.options.steps) for i in range(self.options.models)]

    def plan(self) -> Iterator[Part]:
        """All parts, those that say most first."""
        yield "kernels compiled", self.compile, 40
        yield "tests", self.tests, 40
        first, *others = sorted(self.options.widths, key=lambda width: abs(width - 48))
        yield from self._of_width(first)
        name = f"d{first:03d}"
        yield f"mixed {name} fp32", partial(self.mixed, first), 15
        yield f"trained and scored {name}", partial(self.whole, first), 45
        for width in others:
            yield from self._of_width(width)
        yield f"alone {name} bf16", partial(self.alone, first, "bf16"), 10
        yield f"launched {name} fp32", partial(self.alone, first, "fp32", captured=False), 10

    def _of_width(self, width: int) -> Iterator[Part]:
        for precision in PRECISIONS:
            yield f"packed d{width:03d} {precision}", partial(self.packed, width, precision), 8
        yield f"alone d{width:03d} fp32", partial(self.alone, width, "fp32"), 8

    def lines(self) -> Iterator[str]:
        """The table."""
        for name, found in self.parts.items():
            figures = "  ".join(f"{key} {value}" for key, value in found.items() if value != [])
            yield f"{name:<22}{self.seconds[name]:>6} s   {figures[:160]}"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 48, 64])
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--steps", type=int, default=64, help="in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trained-steps", type=int, default=300, help="of the pack that is trained and scored")
    parser.add_argument("--scored", type=int, default=64, help="of its checkpoints, on all their rows")
    parser.add_argument("--rows", type=int, help="of each split, where not all are scored")
    parser.add_argument("--compile", metavar="WIDTH,PRECISION", help="only compile the kernels of one shape")
    parser.add_argument("--begin", type=int, metavar="N", help="do the parts from the N-th on, and no more than that")
    parser.add_argument("--seconds", type=float, default=230, help="when it must have ended")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/gpu-CARD.json")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    if not torch.cuda.is_available():
        print("error: torch sees no GPU here; this check measures one", file=sys.stderr)
        return EXIT_ENVIRONMENT
    if options.compile:
        width, precision = options.compile.split(",")
        print(compile_kernels(int(width), precision))
        return 0
    check = Check(options)
    if options.begin is not None:
        for part in [*check.plan()][options.begin :]:
            check.part(*part)
        return 0
    check.run(sys.argv[1:] if argv is None else argv)
    card = torch.cuda.get_device_name()
    figures = {
        "command": f"make gpu-check ARGS='--seconds {options.seconds:g} --widths {' '.join(map(str, options.widths))}'",
        "card": card,
        "seconds": round(time.monotonic() - check.begun, 1),
        "models": options.models,
        "parts": check.parts,
        "seconds_of_parts": check.seconds,
        "environment": asdict(environment(this_engine().device)),
    }
    output = options.output or ROOT / "benchmarks" / "results" / f"gpu-{re.sub(r'[^a-z0-9]+', '-', card.lower())}.json"
    output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"\n{card}, torch {torch.__version__}, {figures['seconds']} s; written to {output}")
    print("\n".join(check.lines()))
    return 1 if any("failed" in part for part in check.parts.values()) else 0


def compile_kernels(width: int, precision: str) -> float:
    """Seconds of the first step of a shape; 0 where torch computes it."""
    engine = this_engine().of(TrainConfig(output_dir="unused", task="sum", precision=precision))
    models = [build_model(f"looped_d{width:03d}")] * 2
    model = PackedLooped(models[0])
    k, b, t = 2, 32, 24
    name = "float32" if precision == "fp32" else precision
    if not supported(model.config, name, engine.device, t):
        return 0.0
    fused = FusedLooped(model, engine.device, name)
    starts = torch.arange(0, (b + 1) * t, t, dtype=torch.int32).expand(k, -1).contiguous()
    ids = torch.full((k, b * t), 5, dtype=torch.int32)
    places = torch.arange(t, dtype=torch.int32).repeat(b).expand(k, -1).contiguous()
    rows = torch.arange(b, dtype=torch.int32).repeat_interleave(t).expand(k, -1).contiguous()
    tensors = (x.to(engine.device) for x in (ids, starts, rows, places, ids.long()))
    weights = model.flatten(models).to(engine.device)
    begun = time.perf_counter()
    fused.loss_and_gradient(weights, FlatBatch(*tensors, Shape(b * t, b * t, t)), weights.new_ones(k))
    torch.cuda.synchronize()
    return round(time.perf_counter() - begun, 1)


def _finished(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """A process's exit code and all that it said; 124 where it was not done in time."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
        try:
            output = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return 124, process.communicate()[0]
    return process.returncode, output


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
