"""Models that see more than they will have when they answer are scored as what `generate` writes, to the row."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertGenerationConfig, Gemma3TextConfig, modeling_utils

from listops_bench.errors import InvalidInput
from listops_bench.evaluate.decoding import Predictions, predict
from listops_bench.evaluate.packs import predict_many
from listops_bench.model.causality import refuse_look_ahead
from listops_bench.model.ladder import build_model, load_config
from listops_bench.model.modeling_looped import LoopedForCausalLM
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.symbols import EOS_ID, FIRST_NUMBER_ID, PAD_ID, vocabulary
from listops_bench.tasks.task import get_task
from tests.support.trained import by_generate, half_trained, opinionated

EQUALS_ID = vocabulary(10).index("=")
SPECIAL = {"vocab_size": 22, "pad_token_id": PAD_ID, "bos_token_id": None, "eos_token_id": EOS_ID}
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def rows_of(number: int = 25, task: str = "sum_max_med") -> Rows:
    return generate(get_task(task), "test", num_rows=number)


def flagged(name: str, attention: str = "sdpa") -> Any:
    config = load_config(name)
    config.is_causal, config._attn_implementation = False, attention
    return opinionated(build_model(config, seed=1))


def built(kind: Any, **own: Any) -> Any:
    return opinionated(build_model(kind(**SPECIAL, **SHAPE, **own), seed=1))


def seeing(sees: Callable[[torch.Tensor], torch.Tensor], loops: tuple[int, ...] = (0, 1, 2)) -> Any:
    """A looped model that attends to all places of a row that ``sees`` [B, T] names, from anywhere, in some loops."""

    class Seeing(LoopedForCausalLM):
        def forward(self, input_ids: Any = None, *args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
            cache = kwargs.pop("cache", past_key_values)
            if cache is None or cache.get_seq_length() == 0:
                self.seen = sees(input_ids) & (input_ids != PAD_ID)
            return super().forward(input_ids, *args, past_key_values=cache, **kwargs)

    model: Any = Seeing(load_config("looped_d016"))
    model.load_state_dict(opinionated(build_model("looped_d016", seed=1)).state_dict())
    attention = model.model.block.attention

    def attend(x: Any, mask: Any, rotation: Any, cache: Any, loop: int, **kwargs: Any) -> Any:
        length = x.shape[1]
        if loop in loops and length > 1:
            before = torch.ones(length, length, dtype=torch.bool).tril()
            mask = (mask if mask is not None else before) | model.seen[:, None, None]
        return attention(x, mask, rotation, cache, loop, **kwargs)

    model.model.block.attention = attend
    return model.eval()


def up_to_the_last_equals_sign(ids: torch.Tensor) -> torch.Tensor:
    return (ids == EQUALS_ID).flip(1).cumsum(1).flip(1) > 0


def shifted() -> Any:
    """A convolution over the next token, before the first layer."""

    class Shifted(nn.Embedding):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x: torch.Tensor = super().forward(ids)
            return x + nn.functional.pad(x[:, 1:], (0, 0, 0, 1))

    model = opinionated(build_model("looped_d016", seed=1))
    model.model.embedding.__class__ = Shifted
    return model


DISGUISES: dict[str, Callable[[], Any]] = {
    "a flag in the configuration": lambda: flagged("looped_d016", "eager"),
    "a bidirectional layer in one loop": lambda: seeing(lambda ids: ids != PAD_ID, loops=(1,)),
    "prefix attention, up to the last line": lambda: seeing(up_to_the_last_equals_sign),
    "BERT": lambda: built(BertConfig, hidden_dropout_prob=0, attention_probs_dropout_prob=0),
    "a convolution over what comes next": shifted,
    "GPT-2 with the flag": lambda: flagged("gpt2_d016"),
    "Llama with the flag": lambda: flagged("llama_d016"),
    "Gemma's own flag": lambda: built(
        Gemma3TextConfig, head_dim=8, num_key_value_heads=1, use_bidirectional_attention=True
    ),
    "BERT for generation": lambda: built(BertGenerationConfig),
}


# Of two that a test in this file or another of the same list stands for, one is left to `make check-all`.
LATER = {"a flag in the configuration", "BERT", "Llama with the flag", "before numbers alone", "on every second row"}


def cases(of: dict[str, Any]) -> list[Any]:
    """By name, each a parameter of a test."""
    return [pytest.param(x, id=name, marks=pytest.mark.check_all if name in LATER else ()) for name, x in of.items()]


@pytest.mark.parametrize("make", cases(DISGUISES))
def test_a_model_that_looks_ahead_is_scored_as_what_it_writes(make: Callable[[], Any]) -> None:
    model, rows = make(), rows_of(8)
    found = predict(model, rows)
    assert not found.causal
    assert ([text.strip() for text in found.completions], found.stopped.tolist()) == by_generate(model, rows)
    with pytest.raises(InvalidInput, match="looks ahead"):
        refuse_look_ahead(model, rows)


def test_a_flag_is_heeded_in_a_pack_too() -> None:
    models, rows = [flagged("looped_d016", "eager") for _ in range(2)], rows_of(8)
    for found in predict_many(models, rows):
        assert isinstance(found, Predictions)
        assert ([text.strip() for text in found.completions], found.stopped.tolist()) == by_generate(models[0], rows)


def test_a_flag_that_only_padding_brings_out_is_scored_as_what_it_writes_without() -> None:
    """Without padding there is no mask, and torch's attention then goes by the layer, which is causal."""
    model, rows = flagged("looped_d016"), rows_of(8)
    found = predict(model, rows)
    assert ([text.strip() for text in found.completions], found.stopped.tolist()) == by_generate(model, rows)


# --- cheats: a half-trained model that copies the next token wherever it is told one ----------------------------------


Sees = Callable[[torch.Tensor], torch.Tensor]
"""From ids [B, T], where the model takes the next token from its input, bool [B, T]."""


def copying(sees: Sees, scale: float = 1.0) -> Any:
    class Copying(LoopedForCausalLM):
        def forward(self, input_ids: Any = None, *args: Any, logits_to_keep: int = 0, **kwargs: Any) -> Any:  # type: ignore[override]
            output = super().forward(input_ids, *args, **kwargs)
            following = nn.functional.pad(input_ids[:, 1:], (0, 1), value=PAD_ID)
            # Nothing follows the last word of an answer, and so <eos> does.
            following = torch.where(following == PAD_ID, EOS_ID, following)
            copied = 1e3 * nn.functional.one_hot(following, 22)
            output.logits = scale * torch.where(sees(input_ids)[..., None], copied, output.logits)
            output.logits = output.logits[:, -logits_to_keep:]
            return output

    model = Copying(load_config("looped_d016"))
    model.load_state_dict(half_trained().state_dict())
    return model.eval()


def whole(ids: torch.Tensor) -> torch.Tensor:
    """Rows that end as a whole row does: in one number after "=", whatever padding comes after it."""
    last = (ids != PAD_ID).sum(1).clamp(min=1) - 1
    number, equals = ids.gather(1, last[:, None]), ids.gather(1, (last[:, None] - 1).clamp(min=0))
    return ((number >= FIRST_NUMBER_ID) & (equals == EQUALS_ID)).expand_as(ids)


CHEATS: dict[str, Sees] = {
    "everywhere": lambda ids: torch.ones_like(ids, dtype=torch.bool),
    "before numbers alone": lambda ids: nn.functional.pad(ids[:, 1:] >= FIRST_NUMBER_ID, (0, 1)),
    "at one place of a row": lambda ids: (ids == EQUALS_ID).cumsum(1) == 2,
    "on rows that look whole": whole,
    "in large batches alone": lambda ids: torch.full_like(ids, len(ids) > 100, dtype=torch.bool),
    "never at the left end of a padded batch": lambda ids: (ids[:, :1] != PAD_ID).expand_as(ids),
    "on every second row": lambda ids: (ids[:, :4].sum(1, keepdim=True) % 2 == 0).expand_as(ids),
}


@pytest.mark.parametrize("sees", cases(CHEATS))
def test_a_copy_of_the_reference_is_worth_nothing(sees: Sees) -> None:
    """All that they look like is the plain model beneath them: what is told is the only thing that they cannot have."""
    rows = rows_of(120)
    found = predict(copying(sees), rows)
    assert not found.causal


def test_a_cheat_that_hides_below_the_rounding_has_no_opinion() -> None:
    rows = rows_of(120)
    found = predict(copying(CHEATS["everywhere"], scale=1e-8), rows, max_new_tokens=4)
    assert not found.causal
    assert not found.exact.any()


def test_rows_that_see_each_other_are_decoded_one_by_one() -> None:
    class Mixing(LoopedForCausalLM):
        def forward(self, input_ids: Any = None, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            output = super().forward(input_ids, *args, **kwargs)
            output.logits = output.logits + output.logits.mean(0, keepdim=True)
            return output

    model = Mixing(load_config("looped_d016"))
    model.load_state_dict(half_trained().state_dict())
    rows = rows_of(16)
    found = predict(model.eval(), rows)
    assert not found.causal
    assert [text.strip() for text in found.completions] == by_generate(model, rows)[0]


# --- models that look like it and are not -----------------------------------------------------------------------------


def test_a_prompt_may_be_read_as_a_whole() -> None:
    """Attention both ways within the prompt is a function of the tokens so far."""
    model, rows = seeing(lambda ids: (ids == EQUALS_ID).cumsum(1) - (ids == EQUALS_ID).long() == 0), rows_of(8)
    found = predict(model, rows)
    assert found.causal
    assert [text.strip() for text in found.completions] == by_generate(model, rows)[0]


@pytest.mark.parametrize("name", ["looped_d016", "gpt2_d016", "llama_d016"])
def test_a_causal_model_is_not_refused(name: str) -> None:
    refuse_look_ahead(half_trained(name), rows_of(50), number=50)
    assert predict(half_trained(name), rows_of(50)).causal


def test_padding_after_a_row_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers warns of padding without a mask, once a process, which a causal model needs none for."""
    said: list[str] = []
    monkeypatch.setattr(modeling_utils.logger, "warning_once", said.append)
    model = build_model("gpt2_d016").eval()
    refuse_look_ahead(model, rows_of())
    assert said == []
    model(torch.full((1, 2), PAD_ID))  # the user's own call still has it
    assert len(said) == 1
