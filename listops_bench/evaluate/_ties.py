"""Rows that another machine may answer otherwise: somewhere in their answer, two tokens are almost equally likely."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from listops_bench.evaluate.decoding import predict
from listops_bench.tasks.expression import EOS_ID, PAD_ID, vocabulary
from listops_bench.tasks.generator import Rows

NEAR_TIE = 1e-4
"""Logits closer than this share of their size could change places by rounding (float32 keeps about 1e-6 of them)."""
_ROWS = 256  # of one batch


def near_ties(model: PreTrainedModel, rows: Rows) -> int:
    """How many rows have a near tie between the first two choices at a token of the answer that the model gives."""
    ids = {word: place for place, word in enumerate(vocabulary(rows.task.modulus))}
    prompts, answers = (
        [[ids[word] for word in text.split()] for text in texts]
        for texts in (rows.prompts(), predict(model, rows).completions)
    )
    whole = [torch.tensor([*prompt, *answer, EOS_ID]) for prompt, answer in zip(prompts, answers, strict=True)]
    found = 0
    with torch.inference_mode():
        for start in range(0, len(whole), _ROWS):
            batch = pad_sequence(whole[start : start + _ROWS], batch_first=True, padding_value=PAD_ID)
            places = torch.arange(batch.shape[1])
            logits = model(input_ids=batch, position_ids=places[None], use_cache=False).logits
            two = logits.topk(2, dim=-1).values
            near = two[..., 0] - two[..., 1] < NEAR_TIE * two[..., 0].abs().clamp(min=1)
            for row, prompt in enumerate(prompts[start : start + _ROWS]):
                chosen = (places >= len(prompt) - 1) & (places < len(whole[start + row]) - 1)
                found += bool(near[row][chosen].any())
    return found
