"""Predictions: row for row what `generate` writes, whatever the batch, for any family and any state of training."""

import functools
from functools import lru_cache
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from transformers import BloomConfig, Mamba2Config, MambaConfig, MistralConfig, OPTConfig, RwkvConfig

from listops_bench.errors import InvalidInput
from listops_bench.evaluate import decoding as module
from listops_bench.evaluate.checkpoint import architecture
from listops_bench.evaluate.decoding import Predictions, context_length, predict
from listops_bench.model import causality
from listops_bench.model.ladder import build_model, load_config
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.symbols import EOS_ID, FIRST_NUMBER_ID, PAD_ID, SPECIAL_TOKENS, vocabulary
from listops_bench.tasks.task import get_task
from tests.support.trained import Parrot, by_generate, half_trained, opinionated

FAMILIES = ("looped_d016", "looped_rope_d016", "gpt2_d016", "llama_d016")


@lru_cache
def rows_of(task: str = "sum_max_med", split: str = "test", num_rows: int = 40, **parameters: Any) -> Rows:
    return generate(get_task(task, **parameters), split, num_rows=num_rows)


@lru_cache
def untrained(name: str = "looped_d016") -> Any:
    return opinionated(build_model(name, seed=1))


def check_against_generate(model: Any, rows: Rows, **options: Any) -> Predictions:
    found = predict(model, rows, **options)
    texts, stopped = by_generate(model, rows, options.get("max_new_tokens"))
    assert [text.strip() for text in found.completions] == [text.strip() for text in texts]
    assert found.stopped.tolist() == stopped
    assert [c == r for c, r in zip(found.completions, rows.completions(), strict=True)] == found.exact.tolist()
    return found


# --- equal to generate ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_of_ours_writes_what_generate_writes(name: str) -> None:
    assert not check_against_generate(untrained(name), rows_of(num_rows=4)).exact.any()
    assert check_against_generate(half_trained(name), rows_of(num_rows=20)).stopped.any()


OTHERS = {
    "alibi": (BloomConfig, {}),
    "positions with an offset": (OPTConfig, {"ffn_dim": 32, "word_embed_proj_dim": 16}),
    "a sliding window": (MistralConfig, {"num_key_value_heads": 1, "intermediate_size": 32, "sliding_window": 8}),
    "a recurrent state": (MambaConfig, {"state_size": 4}),
    "a recurrent state of heads": (Mamba2Config, {"state_size": 4, "num_heads": 4, "head_dim": 8, "n_groups": 1}),
    "a state that is not kept": (RwkvConfig, {}),
}
WITHOUT_HEADS = (MambaConfig, Mamba2Config, RwkvConfig)


@pytest.mark.parametrize(("kind", "own"), OTHERS.values(), ids=OTHERS)
def test_any_causal_model_with_our_vocabulary_writes_what_generate_writes(kind: Any, own: dict[str, int]) -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 2} | ({} if kind in WITHOUT_HEADS else {"num_attention_heads": 2})
    special = {"vocab_size": 22, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
    model = opinionated(build_model(kind(**shape, **special, **own)))
    check_against_generate(model, rows_of(num_rows=5))
    found = architecture(model.config)
    assert found.family == found.model_type == model.config.model_type


def test_a_recurrent_model_reads_no_token_twice_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    special = {"vocab_size": 22, "pad_token_id": 0, "eos_token_id": 1}
    config = MambaConfig(hidden_size=16, num_hidden_layers=2, state_size=4, **special)
    model, widths = opinionated(build_model(config)), list[int]()
    own = model.forward

    @functools.wraps(own)
    def forward(input_ids: Any = None, *args: Any, **given: Any) -> Any:
        widths.append(input_ids.shape[1])
        return own(input_ids, *args, **given)

    monkeypatch.setattr(model, "forward", forward)
    predict(model, rows_of(num_rows=8))
    assert sum(width > 1 for width in widths) <= 4  # with the reference, cut, and once to begin to write
    assert widths.count(1) >= 20


def test_the_half_trained_model_has_right_wrong_and_late_answers() -> None:
    """Or the tests above would not meet every path."""
    found = predict(half_trained(), rows_of(num_rows=600))
    assert 0 < found.exact.sum() < 600
    assert len({len(text.split()) for text in found.completions}) > 3


@pytest.mark.parametrize("trace", ["single", "none"])
def test_other_trace_styles(trace: Any) -> None:
    check_against_generate(half_trained(), generate(get_task("sum_max_med"), "test", num_rows=12, trace=trace))


@pytest.mark.parametrize("limit", [1, 2, 5, 9])
def test_a_limit_cuts_every_row_where_generate_would(limit: int) -> None:
    for model in (half_trained(), untrained()):
        check_against_generate(model, rows_of(num_rows=12), max_new_tokens=limit)


@pytest.mark.parametrize("task", ["sum", "max_med", "sum_max_med_depth3", "max_med_mod20"])
@pytest.mark.parametrize("split", ["test", "test_unseen_operands", "test_deeper", "test_wider"])
def test_the_limit_cuts_no_reference_and_fits_the_context(task: str, split: str) -> None:
    spec = get_task(task)
    rows = generate(spec, split, num_rows=200)
    assert spec.completion_limit == 64
    assert int((rows.num_tokens - rows.prompt_lengths).max()) <= spec.completion_limit
    # A batch that is padded to its longest prompt has room for it, too.
    assert int(rows.prompt_lengths.max()) + spec.completion_limit <= 128


def test_a_reference_longer_than_the_limit_is_not_cut_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AUDITED_ROWS", 2)
    rows = generate(get_task("sum"), "test_deeper", num_rows=40, trace="single")
    lengths = rows.num_tokens - rows.prompt_lengths
    assert lengths.max() > 64
    assert predict(Parrot(rows), rows).completions == rows.completions()  # type: ignore[arg-type]
    # One that never stops gets no further than the limit, or the length of its reference.
    endless = predict(Parrot(rows, dict.fromkeys(range(40), (0, FIRST_NUMBER_ID)), goes_on=True), rows)  # type: ignore[arg-type]
    assert [len(text.split()) for text in endless.completions] == [max(64, int(n)) for n in lengths]


def test_a_perfect_model_is_proven_in_one_pass_and_one_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(num_rows=40)
    monkeypatch.setattr(module, "AUDITED_ROWS", 1)
    model = Parrot(rows)
    found = predict(model, rows)  # type: ignore[arg-type]
    assert (found.exact & found.stopped).all()
    assert found.completions == rows.completions()
    assert model.calls <= 2 + int((rows.num_tokens - rows.prompt_lengths).max())


def test_one_wrong_token_anywhere_is_no_proof() -> None:
    rows = rows_of(num_rows=12)
    slips = {row: (row % 3, EOS_ID) for row in range(0, 12, 2)}
    found = predict(Parrot(rows, slips), rows)  # type: ignore[arg-type]
    assert found.exact.tolist() == [row not in slips for row in range(12)]
    for row, (place, _) in slips.items():
        assert found.completions[row].split() == rows.completions()[row].split()[:place]


def test_going_on_after_the_reference_is_no_proof() -> None:
    rows = rows_of(num_rows=1)
    end = int(rows.num_tokens[0] - rows.prompt_lengths[0]) - 1  # where <eos> belongs
    found = predict(Parrot(rows, {0: (end, PAD_ID)}), rows, max_new_tokens=end + 1)  # type: ignore[arg-type]
    assert not (found.exact | found.stopped).any()
    # Special tokens are no text: that is what harnesses see, too.
    assert found.completions == rows.completions()


# --- batches, devices, modes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_answers_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    for model, rows in ((untrained("llama_d016"), rows_of(num_rows=8)), (half_trained(), rows_of(num_rows=50))):
        assert predict(model, rows, batch_size=batch_size).completions == predict(model, rows).completions


def test_near_ties_are_decided_on_the_row_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, model = rows_of(num_rows=20), untrained()
    expected = predict(model, rows, max_new_tokens=6).completions
    monkeypatch.setattr(causality, "NEAR_TIE", 0.01)
    alone, decided = module.Decoder.next_alone, []
    monkeypatch.setattr(module.Decoder, "next_alone", lambda *where: decided.append(where) or alone(*where))
    found = predict(model, rows, max_new_tokens=6)
    assert found.causal
    assert found.completions == expected
    assert 5 < len(decided) < module._allowed_ties(rows)


def test_a_model_of_ties_costs_no_more_than_decoding_and_is_scored_alike_in_any_batch() -> None:
    model, rows = build_model("looped_d008", seed=1).eval(), rows_of(num_rows=150)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    calls, forward = [], model.forward
    model.forward = lambda *a, **k: calls.append(1) or forward(*a, **k)  # type: ignore[assignment, func-returns-value]
    found = predict(model, rows, max_new_tokens=5)
    assert not found.causal
    assert set(found.completions) == {""}
    assert len(calls) < 700  # some 25 lengths of prompts, and the ties that are decided alone; one by one it is 750
    assert found.completions == predict(model, rows, max_new_tokens=5, batch_size=1).completions


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_said_to_be(bad: float) -> None:
    model = build_model("looped_d008", seed=1)
    with torch.no_grad():
        model.model.block.up.weight[0, 0] = bad
    with pytest.raises(InvalidInput, match=r"not finite: model\.block\.up\.weight"):
        predict(model, rows_of(num_rows=2))
    with torch.no_grad():
        model.model.block.up.weight[0, 0] = 0
        model.model.ln.weight.fill_(3e38)
    with pytest.raises(InvalidInput, match="logits are not finite"):
        predict(model, rows_of(num_rows=2))


def test_rows_in_any_order_and_number_get_the_same_answers() -> None:
    rows, model = rows_of(num_rows=40), half_trained()
    whole = predict(model, rows)
    part = predict(model, generate(get_task("sum_max_med"), "test", start=10, num_rows=17))
    assert part.completions == whole.completions[10:17]
    assert part.exact.tolist() == whole.exact[10:17].tolist()


@pytest.mark.parametrize("fails_at", [40, 9, 2])
def test_running_out_of_memory_halves_the_batch(fails_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = half_trained(), rows_of(num_rows=40)
    expected = predict(model, rows).completions
    forward, sizes = model.forward, []

    def small_memory(*args: Any, **kwargs: Any) -> Any:
        size = len(kwargs["input_ids"])
        sizes.append(size)
        if size >= fails_at:
            raise torch.OutOfMemoryError("out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", small_memory)
    assert predict(model, rows, batch_size=40).completions == expected
    assert max(sizes) == 40
    assert sum(size >= fails_at for size in sizes) < 12


def test_another_error_is_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = half_trained()
    monkeypatch.setattr(model, "forward", Mock(side_effect=RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        predict(model, rows_of(num_rows=4))


def test_a_model_in_training_is_asked_without_dropout_and_stays_in_training() -> None:
    config, rows = load_config("gpt2_d016"), rows_of(num_rows=4)
    config.resid_pdrop = config.attn_pdrop = config.embd_pdrop = 0.5
    model: Any = build_model(config, seed=0).train()
    model.load_state_dict(untrained("gpt2_d016").state_dict())
    assert predict(model, rows).completions == predict(untrained("gpt2_d016"), rows).completions
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_autocast_around_it_changes_nothing() -> None:
    rows, model = rows_of(num_rows=10), half_trained()
    with torch.autocast("cpu", torch.bfloat16):
        inside = predict(model, rows).completions
    assert inside == predict(model, rows).completions


def test_what_it_sets_in_torch_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before, model, seen = torch.get_float32_matmul_precision(), half_trained(), []
    forward = model.forward

    def look(**inputs: Any) -> Any:
        seen.append((torch.get_float32_matmul_precision(), torch.get_num_threads(), torch.is_grad_enabled()))
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", look)
    try:
        torch.set_float32_matmul_precision("medium")
        torch.set_num_threads(2)
        predict(model, rows_of(num_rows=2))
        assert set(seen) == {("highest", 1, False)}
        assert (torch.get_float32_matmul_precision(), torch.get_num_threads()) == ("medium", 2)
        assert torch.is_grad_enabled()
    finally:
        torch.set_float32_matmul_precision(before)
        torch.set_num_threads(1)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_answers() -> None:
    rows, model = rows_of(num_rows=200), half_trained()
    expected = predict(model, rows).completions
    try:
        found = predict(model, rows, device="cuda").completions
    finally:
        model.to("cpu")
    assert sum(a != b for a, b in zip(found, expected, strict=True)) <= 1  # at most a float tie


# --- what does not fit ------------------------------------------------------------------------------------------------


def test_what_cannot_be_asked_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="modulus 20, a vocabulary of 32 tokens; the model has 22"):
        predict(untrained(), rows_of("sum_mod20", num_rows=2))
    with pytest.raises(InvalidInput, match=r"weights are bfloat16; call model\.float\(\)"):
        predict(build_model("looped_d008").to(torch.bfloat16), rows_of(num_rows=2))
    with pytest.raises(InvalidInput, match="max_new_tokens 0"):
        predict(untrained(), rows_of(num_rows=2), max_new_tokens=0)


def test_a_row_longer_than_the_context_is_an_error_that_names_both() -> None:
    config = load_config("looped_d016")
    config.max_position_embeddings = 16
    model = build_model(config)
    rows = rows_of(num_rows=40)
    worst = next(row for row in range(40) if rows.num_tokens[row] > 16)
    with pytest.raises(InvalidInput, match=rf"needs {rows.num_tokens[worst]} tokens .* context is 16") as error:
        predict(model, rows)
    assert rows.row_ids()[worst] in str(error.value)


def test_a_model_without_a_stated_context_has_an_end() -> None:
    model = Parrot(rows_of(num_rows=2))
    model.config = type("Config", (), {"max_position_embeddings": None})()
    assert context_length(model) is None  # type: ignore[arg-type]
    assert predict(model, rows_of(num_rows=2)).exact.all()  # type: ignore[arg-type]


def test_completions_are_spelt_with_the_vocabulary() -> None:
    words = set(vocabulary(10)[len(SPECIAL_TOKENS) :])
    for text in predict(untrained(), rows_of(num_rows=20)).completions:
        assert not text or text.startswith(" ")
        assert set(text.split()) <= words
    assert len(vocabulary(10)) - 10 == FIRST_NUMBER_ID
