"""What a lenient score says of a checkpoint, beside the strict one: sampled at temperature 1, on 100 rows.

    python benchmarks/sampled.py CHECKPOINT --task sum_max_med_nrgpt

Prints one JSON object. ``sampled``: the share of 100 test rows whose last token before <eos> is the answer, when the
completion is drawn at temperature 1; so many times with other rows and draws, lowest, mean and highest. ``greedy``: the
same rule for greedy completions of all test rows; ``answers`` and ``traces`` are what the board shows of those.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from listops_bench.evaluate.decoding import predict
from listops_bench.evaluate.run import score_split
from listops_bench.model.checkpoint import load_checkpoint
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.task import get_task

ROWS = 100


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--task", required=True)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--num-rows", type=int, help="test rows for the greedy figures (default: all)")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    model, tokenizer, _ = load_checkpoint(given.checkpoint)
    rows = generate(get_task(given.task), "test", num_rows=given.num_rows)
    completions = predict(model, rows).completions
    metrics = score_split(rows, completions)[0].metrics
    greedy = fmean(_is_right(text, answer) for text, answer in zip(completions, rows.answer, strict=True))
    shares = [_sampled(model, tokenizer, rows, seed) for seed in range(given.times)]
    figures = {
        "task": rows.task.name,
        "rows": len(rows),
        "sampled": {"lowest": min(shares), "mean": round(fmean(shares), 4), "highest": max(shares)},
        "greedy": round(greedy, 4),
        "answers": round(metrics.answer_accuracy.accuracy, 4),
        "traces": round(metrics.trace_accuracy.accuracy, 4),
    }
    print(json.dumps(figures, indent=1))


def _is_right(completion: str, answer: int) -> bool:
    """Whether the last token is the answer, whatever stands before it."""
    return completion.split()[-1:] == [str(answer)]


@torch.no_grad()
def _sampled(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Rows, seed: int) -> float:
    """The share of some rows that one draw gets right."""
    torch.manual_seed(seed)
    chosen = np.random.default_rng(seed).choice(len(rows), min(ROWS, len(rows)), replace=False)
    prompts = rows.prompts()
    batch = tokenizer([prompts[row] for row in chosen], return_tensors="pt", padding=True)
    written = model.generate(**batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0)
    texts = tokenizer.batch_decode(written[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
    return fmean(_is_right(text, rows.answer[row]) for row, text in zip(chosen, texts, strict=True))


if __name__ == "__main__":
    main()
