"""Packed training against one model at a time: model-steps/s of the same runs, in one process and on one device.

    .venv/bin/python benchmarks/packed.py                              # what is there: a GPU, or one CPU thread
    .venv/bin/python benchmarks/packed.py --models 64 --width 48       # one data-centre GPU; target: 20 times

The runs are those of a sweep: SUM, SUM+MAX+MED, and MAX+MED then SUM, with different seeds and learning rates, 128 rows
a step. Three ways are timed: each model alone with our trainer (the peer), packed with an explicit batch dimension
(`listops_bench.train.packed`), and packed with ``torch.func``'s vmap over the model as it is, which packs any family
but whose attention has no batching rule on a CPU. Each rate is the median over rounds that alternate between the ways;
on a CPU it is per second of CPU time. Prints one JSON object. A way that fails has null for its rate, and the reason
beside it; the others are measured all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from itertools import product
from statistics import median
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from listops_bench._base.text import one_line
from listops_bench.model.packed import PackedLooped
from listops_bench.runs.provenance import environment
from listops_bench.train._batches import Pools, lay_out
from listops_bench.train._run_state import initial_model
from listops_bench.train.config import TrainConfig, rows_per_step
from listops_bench.train.packed._data import STEPS, Chunk, Draws, RowTable, make_chunk
from listops_bench.train.packed._step import PackedStep
from listops_bench.train.packed.run import this_engine
from listops_bench.train.run import train

CURRICULA = ("sum:3000", "sum_max_med:3000", "max_med:1200,sum:1800")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=64 if torch.cuda.is_available() else 8)
    parser.add_argument("--width", type=int, nargs="+", default=[48] if torch.cuda.is_available() else [8, 16, 32, 48])
    parser.add_argument("--steps", type=int, default=64 if torch.cuda.is_available() else 6, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    device = this_engine().device
    figures: dict[str, Any] = {"models": options.models, "rows_per_step": 128}
    figures["widths"] = {f"looped_d{width:03d}": measure(width, options, device) for width in options.width}
    print(json.dumps({**figures, "environment": asdict(environment(device))}, indent=2))


def measure(width: int, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Model-steps/s of the three ways and their ratios to one at a time."""
    kinds: dict[str, Callable[[list[TrainConfig]], Way]] = {"alone": Alone, "packed": Packed, "vmap": Mapped}
    ways: dict[str, Way] = {}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        configs = [_config(i, width, folder, options.steps) for i in range(options.models)]
        for _, name in product(range(options.rounds), kinds):
            if name in failures:
                continue
            try:
                if name not in ways:
                    ways[name] = kinds[name](configs)
                rates[name].append(ways[name](options.steps))
            except (RuntimeError, NotImplementedError) as error:
                failures[name] = one_line(error, with_type=True)
    found = {name: None if name in failures else median(values) for name, values in rates.items()}
    alone = found["alone"]
    ratios = {
        f"{name}_to_alone": rate and alone and round(rate / alone, 2) for name, rate in found.items() if name != "alone"
    }
    figures = {f"{name}_model_steps_per_second": rate and round(rate, 1) for name, rate in found.items()} | ratios
    return figures | {f"{name}_failed": reason for name, reason in failures.items()}


def _config(i: int, width: int, folder: str, steps: int) -> TrainConfig:
    return TrainConfig(
        output_dir=f"{folder}/{i}",
        curriculum=CURRICULA[i % len(CURRICULA)],
        model=f"looped_d{width:03d}",
        seed=i,
        learning_rate=(1e-3, 2e-3, 4e-3)[i % 3],
        logging_steps=max(1, steps // 2),
        eval_steps=0,
        save_steps=0,
        report_to="none",
    )


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _now() -> float:
    """Seconds; on a CPU those of this process's one thread, so that other programs do not count."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


class Enough(Exception):
    """Ends a run that has been timed."""


Way = Callable[[int], float]
"""Trains so many steps and gives its model-steps/s."""


class Alone:
    """One model with our trainer; its start is not timed. Every model has the same shape, so one stands for all."""

    def __init__(self, configs: list[TrainConfig]) -> None:
        self.configs, self.round = configs, 0

    def __call__(self, steps: int) -> float:
        """Model-steps/s of one more model."""
        config = self.configs[self.round % len(self.configs)]
        self.round += 1
        moments: list[float] = []

        def on_step(progress: Any) -> None:
            if progress.step in (3, 3 + steps):
                _wait()
                moments.append(_now())
            if progress.step == 3 + steps:
                raise Enough

        try:
            train(config, on_step=on_step)
        except Enough:
            return steps / (moments[1] - moments[0])
        raise AssertionError("the run is shorter than what is timed")


class Packed:
    """All models as one, with the rows of every step prepared as in training.

    Attributes:
        tokens: of all models, in the steps timed last.
    """

    def __init__(self, configs: list[TrainConfig], pools: Pools | None = None) -> None:
        engine, pools = this_engine().of(configs[0]), pools or Pools()
        self.draws = [Draws(config, pools) for config in configs]
        self.table = RowTable(pools.rows, engine.device)
        models = [initial_model(config) for config in configs]
        model = PackedLooped(models[0])
        self.step = PackedStep(model, model.flatten(models), configs, self.table, engine, models[0])
        self.number, self.device, self.tokens = 0, engine.device, 0
        self.worker = ThreadPoolExecutor(1)
        self.following = self._prepare()
        self(3)

    def _prepare(self) -> Future[Chunk]:
        number, self.number = self.number, self.number + 1
        return self.worker.submit(make_chunk, number, self.draws, self.table, torch.float32)

    def __call__(self, steps: int) -> float:
        """Model-steps/s, with chunks of rows made beside the steps, as in training. On a CPU the making of a chunk
        counts by the share that its steps have in it, as if nothing were done beside it."""
        self.tokens, spared = 0, 0.0
        _wait()
        begun = _now()
        for i in range(steps):
            if i % STEPS == 0:
                before, of_chunk = _now(), min(STEPS, steps - i)
                chunk = self.following.result().to(self.device)
                self.following = self._prepare()
                if self.device.type == "cpu":
                    self.following.result()
                    spared += (_now() - before) * (1 - of_chunk / STEPS)
                self.tokens += int(chunk.tokens[:of_chunk].sum())
            self.step(chunk, i % STEPS)
        _wait()
        return steps * len(self.draws) / (_now() - begun - spared)


class Mapped:
    """All models by vmap: forward and backward pass and AdamW, on one batch that is made before."""

    def __init__(self, configs: list[TrainConfig]) -> None:
        device = this_engine().device
        models = [initial_model(config).to(device).eval() for config in configs]
        parameters, _ = torch.func.stack_module_state(models)
        self.parameters = {name: x.detach().requires_grad_() for name, x in parameters.items()}
        self.models = len(models)
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=2e-3, fused=True)
        pool = Pools().of_stage(configs[0], 0, rows_per_step(configs[0]))
        batches = [lay_out(pool, pool.rows_of_step(i), "completion", padded=True) for i in range(self.models)]
        width = max(b.inputs["input_ids"].shape[1] for b in batches)
        pad: Callable[[torch.Tensor], torch.Tensor] = lambda x: torch.nn.functional.pad(x, (0, width - x.shape[1]))  # noqa: E731
        self.ids = torch.stack([pad(b.inputs["input_ids"]) for b in batches]).to(device)
        template = models[0]

        def loss(own: Any, ids: torch.Tensor) -> torch.Tensor:
            output = torch.func.functional_call(template, (own, {}), (ids,), {"use_cache": False})
            return cross_entropy(output.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

        self.losses = torch.vmap(loss)
        self(1)

    def __call__(self, steps: int) -> float:
        """Model-steps/s. (Loss on every token, no clipping: this flatters it by a few percent.)"""
        begun = _now()
        for _ in range(steps):
            self.losses(self.parameters, self.ids).sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        _wait()
        return steps * self.models / (_now() - begun)


if __name__ == "__main__":
    main()
