"""Models for tests: some trained for seconds, right on some rows and wrong on others; one that knows rows by heart."""

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import torch

from listops_bench.model.ladder import build_model, load_config
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.symbols import EOS_ID, FIRST_NUMBER_ID, PAD_ID
from listops_bench.tasks.task import get_task


@lru_cache
def half_trained(name: str = "looped_d016", steps: int = 160) -> Any:
    """Some hundred steps: it writes lines and stops, mostly wrong, sometimes right."""
    model, rows = build_model(name, seed=0), generate(get_task("sum_max_med"), "train", num_rows=4000)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    draw = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(steps):
        chosen = torch.randint(len(rows), (32,), generator=draw).tolist()
        ids, labels = _padded(rows, chosen)
        logits = model(input_ids=ids, position_ids=torch.arange(ids.shape[1])[None], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def opinionated(model: Any) -> Any:
    """Larger weights make a model of decided opinions, which stops on some rows and never on others."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.eval()


def by_generate(model: Any, rows: Rows, max_new_tokens: int | None = None) -> tuple[list[str], list[bool]]:
    """One row at a time, unpadded, with `transformers`' own decoding and our tokenizer."""
    tokenizer = build_tokenizer(rows.task.modulus)
    texts, stopped = [], []
    room = min(max_new_tokens or 64, 64)  # half of the longest row: what `TaskSpec.completion_limit` says
    options = {"do_sample": False, "max_new_tokens": room, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID}
    for prompt in rows.prompts():
        ids = tokenizer(prompt, return_tensors="pt")
        out = model.generate(**ids, **options)[0, ids.input_ids.shape[1] :]
        texts.append(tokenizer.decode(out, skip_special_tokens=True))
        stopped.append(EOS_ID in out.tolist())
    return texts, stopped


def ids_of(rows: Rows, row: int) -> list[int]:
    return [int(i) for i in rows.ids[rows.offsets[row] : rows.offsets[row + 1]]]


def _padded(rows: Rows, chosen: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    longest = int(rows.num_tokens[chosen].max())
    ids = torch.full((len(chosen), longest), PAD_ID)
    labels = torch.full((len(chosen), longest), -100)
    for place, row in enumerate(chosen):
        row_ids = torch.tensor(ids_of(rows, row))
        ids[place, : len(row_ids)] = row_ids
        labels[place, rows.prompt_lengths[row] : len(row_ids)] = row_ids[rows.prompt_lengths[row] :]
    return ids, labels


class Parrot(torch.nn.Module):
    """A causal "model" that knows the rows by heart, and may write an id of its own at one place of a row. It keeps
    nothing of earlier tokens."""

    def __init__(self, rows: Rows, slips: dict[int, tuple[int, int]] | None = None, goes_on: bool = False) -> None:
        super().__init__()
        self.otherwise = FIRST_NUMBER_ID if goes_on else EOS_ID
        self.table = torch.nn.Parameter(torch.zeros(22, 1))
        self.config = load_config("looped_d016")
        self.device = torch.device("cpu")
        self.calls = 0
        self._next: dict[tuple[int, ...], int] = {}
        for row in range(len(rows)):
            ids = ids_of(rows, row)
            if row in (slips or {}):
                place, token = slips[row]
                ids = [*ids[: int(rows.prompt_lengths[row]) + place], token]
            for end in range(1, len(ids)):
                self._next.setdefault(tuple(ids[:end]), ids[end])

    @property
    def base_model(self) -> "Parrot":
        return self

    def get_input_embeddings(self) -> Any:
        return SimpleNamespace(weight=self.table)

    def forward(self, input_ids: Any, **_: Any) -> Any:
        self.calls += 1
        logits = torch.zeros(*input_ids.shape, len(self.table))
        for b, row in enumerate(input_ids.tolist()):
            for t in range(len(row)):
                logits[b, t, self._next.get(tuple(row[: t + 1]), self.otherwise)] = 1.0
        return SimpleNamespace(logits=logits)
