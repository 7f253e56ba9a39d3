"""Speed of training one model on a CPU, against `transformers.Trainer` on the same model, rows and batches.

    OMP_NUM_THREADS=1 python benchmarks/train.py > benchmarks/results/train.json

Both train the same initial weights on the same rows in the same order with the same recipe, in turns in one process,
and must arrive at the same loss. Prints one JSON object: for each model the median tokens/s of both (padding is not
counted), the median of their ratios round by round, and the share of the machine's matrix-multiply rate that our loop's
own matrix products make up. That rate is measured in the same run, on large matrices. Seconds are the CPU's, of one
thread, so that a neighbour on the machine does not count.
"""

from __future__ import annotations

import json
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

import torch
import transformers
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback, TrainingArguments

from listops_bench.model.ladder import build_model, parameter_counts
from listops_bench.tasks.symbols import PAD_ID
from listops_bench.train._batches import Pool, Pools
from listops_bench.train.config import TrainConfig, TrainRecipe
from listops_bench.train.run import train

MODELS = ("looped_d016", "looped_d048", "looped_d128", "gpt2_d048")
TASK, BATCH, STEPS, UNTIMED, ROUNDS = "sum_max_med", 128, 90, 40, 5
MATRIX = 2048
_RECIPE: dict[str, Any] = {
    "learning_rate": 1e-3, "lr_scheduler_type": "constant", "warmup_steps": 0, "weight_decay": 0.0, "adam_beta2": 0.98,
}  # fmt: skip
"""What both understand alike: the peer's warm-up begins a step later, and its weight decay spares biases."""


def main(models: Sequence[str] = MODELS) -> None:
    transformers.logging.set_verbosity_error()
    pool = Pools().of_stage(TrainRecipe(task=TASK), 0, BATCH)
    figures = {
        "task": TASK,
        "rows_per_step": BATCH,
        "timed_steps": STEPS - UNTIMED,
        "rounds": ROUNDS,
        "threads": torch.get_num_threads(),
        "matrix_multiply_gflops": round(_matrix_rate() / 1e9, 1),
        "models": {model: _compare(model, pool) for model in models},
        "environment": _environment(),
    }
    print(json.dumps(figures, indent=2))


def _compare(model: str, pool: Pool) -> dict[str, float]:
    tokens = sum(int(pool.lengths[pool.rows_of_step(step)].sum()) - BATCH for step in range(UNTIMED, STEPS))
    peer_rates, our_rates, shares = [], [], []
    for _ in range(ROUNDS):
        rate = _matrix_rate()
        seconds, our_loss = _ours(model)
        our_rates.append(tokens / seconds)
        seconds, their_loss = _theirs(model, pool)
        peer_rates.append(tokens / seconds)
        assert abs(our_loss - their_loss) < 0.01 * their_loss, (model, our_loss, their_loss)
        # Forward and, twice that, backward.
        flops_per_token = 3 * parameter_counts(build_model(model)).flops_per_token
        shares.append(our_rates[-1] * flops_per_token / rate)
    print(f"{model}: {our_rates[-1]:,.0f} tokens/s, transformers.Trainer {peer_rates[-1]:,.0f}", file=sys.stderr)
    ratios = [ours / theirs for ours, theirs in zip(our_rates, peer_rates, strict=True)]
    return {
        "trainer_tokens_per_second": round(statistics.median(peer_rates)),
        "tokens_per_second": round(statistics.median(our_rates)),
        "ratio": round(statistics.median(ratios), 2),
        "lowest_ratio": round(min(ratios), 2),
        "share_of_matrix_multiply_rate": round(statistics.median(shares), 3),
    }


def _ours(model: str) -> tuple[float, float]:
    """Seconds of the timed steps, and the mean loss of all."""
    moments: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            TrainConfig(
                output_dir=f"{folder}/run", task=TASK, max_steps=STEPS, model=model, per_device_train_batch_size=BATCH,
                logging_steps=STEPS, eval_steps=0, save_steps=0, report_to="none", **_RECIPE,
            ),
            on_step=lambda progress: moments.append(time.process_time()),
        )  # fmt: skip
    return moments[-1] - moments[UNTIMED - 1], result.loss


class _Rows(torch.utils.data.Dataset[dict[str, list[int]]]):
    """The rows that our loop draws, one batch after the other, as token ids and labels."""

    def __init__(self, pool: Pool) -> None:
        self.items = []
        for step in range(STEPS):
            for row in pool.rows_of_step(step):
                ids = pool.ids[pool.offsets[row] : pool.offsets[row + 1]].tolist()
                prompt = int(pool.prompt_lengths[row])
                self.items.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> dict[str, list[int]]:
        return self.items[i]


def _collate(items: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Padded on the right to the longest row of the batch."""
    width = max(len(item["input_ids"]) for item in items)

    def pad(key: str, value: int) -> torch.Tensor:
        return torch.tensor([item[key] + [value] * (width - len(item[key])) for item in items])

    ids = pad("input_ids", PAD_ID)
    return {"input_ids": ids, "attention_mask": (ids != PAD_ID).long(), "labels": pad("labels", -100)}


class _InOrder(transformers.Trainer):
    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class _Clock(TrainerCallback):
    def __init__(self, tell: Callable[[float], None]) -> None:
        self.tell = tell

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.tell(time.process_time())


def _theirs(model: str, pool: Pool) -> tuple[float, float]:
    moments: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = _InOrder(
            model=build_model(model).train(),
            args=TrainingArguments(
                output_dir=folder, max_steps=STEPS, per_device_train_batch_size=BATCH, logging_steps=STEPS,
                save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, **_RECIPE,
            ),
            train_dataset=_Rows(pool),
            data_collator=_collate,
            callbacks=[_Clock(moments.append)],
        )  # fmt: skip
        trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        loss = trainer.train().training_loss
    return moments[-1] - moments[UNTIMED - 1], loss


def _matrix_rate() -> float:
    """Floating-point operations per second of a large float32 product, in the quicker of torch's two libraries."""
    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    products: list[Callable[[], Any]] = [lambda: a @ b]
    if torch.backends.mkldnn.is_available():
        products.append(lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    seconds = []
    for product in products * 3:
        start = time.process_time()
        product()
        seconds.append(time.process_time() - start)
    return 2 * MATRIX**3 / min(seconds)


def _environment() -> dict[str, str]:
    cpu = [line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "cpu": f"{cpu[0]}, {torch.get_num_threads()} of {os.cpu_count()} cores",
        "python": platform.python_version(),
        **{name: version(name) for name in ("listops-bench", "torch", "transformers", "accelerate", "numpy")},
    }


if __name__ == "__main__":
    main(sys.argv[1:] or MODELS)
