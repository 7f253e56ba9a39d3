"""Rows that another machine may answer otherwise: somewhere in their answer, two tokens are almost equally likely."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from listops_bench.evaluate.decoding import exact_arithmetic, predict
from listops_bench.model.causality import first_choices, logits_of
from listops_bench.tasks.generator import Rows
from listops_bench.tasks.symbols import EOS_ID, PAD_ID, vocabulary

_ROWS = 256  # of one batch


def near_ties(model: PreTrainedModel, rows: Rows) -> int:
    """How many rows have a near tie between the first two choices at a token of the answer that the model gives.

    None of a model that is not causal, which `generate` alone answers for.
    """
    predictions = predict(model, rows)
    if not predictions.causal:
        return 0
    ids = {word: place for place, word in enumerate(vocabulary(rows.task.symbol_set))}
    prompts, answers = (
        [[ids[word] for word in text.split()] for text in texts] for texts in (rows.prompts(), predictions.completions)
    )
    whole = [torch.tensor([*prompt, *answer, EOS_ID]) for prompt, answer in zip(prompts, answers, strict=True)]
    found = 0
    with torch.inference_mode(), exact_arithmetic(model):
        for start in range(0, len(whole), _ROWS):
            batch = pad_sequence(whole[start : start + _ROWS], batch_first=True, padding_value=PAD_ID)
            _, near = first_choices(logits_of(model, batch))
            for row, prompt in enumerate(prompts[start : start + _ROWS]):
                found += bool(near[row, len(prompt) - 1 : len(whole[start + row]) - 1].any())
    return found
