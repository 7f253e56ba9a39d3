"""Models: the looped decoder's behaviour, the ladder, and what all families must have in common."""

import copy
import dataclasses
import json
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel

from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput
from listops_bench.model import LoopedConfig, LoopedForCausalLM, register
from listops_bench.model.ladder import (
    FAMILIES as ALL_FAMILIES,
    build_model,
    config_text,
    load_config,
    make_config,
    model_names,
    model_symbols,
    parameter_counts,
)
from listops_bench.model.modeling_looped import CACHE
from listops_bench.tasks.symbols import symbols_of, vocabulary
from listops_bench.train._linear import TOKEN_MULTIPLE, available, fast_linear
from listops_bench.train._rows import RowLayout, attention_by_rows, using_rows

FAMILIES = ("looped_d016", "looped_rope_d016", "gpt2_d016", "llama_d016", "nrgpt_d016")
V = len(vocabulary(10))

Row = list[int]


def tokens(*lengths: int, seed: int = 0) -> list[Row]:
    """Random rows of words that are no special tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(4, V, (n,), generator=generator).tolist() for n in lengths]


def end_to_end(rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [1, N] of rows one after another, and their positions, which begin again with each."""
    return torch.tensor([list(chain(*rows))]), torch.cat([torch.arange(len(row)) for row in rows])[None]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A model of every family, its weights drawn wide apart so that differences show."""
    built = build_model(request.param, seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return built


@pytest.fixture(scope="module")
def looped() -> LoopedForCausalLM:
    return build_model("looped_d016", seed=3).eval()


def alone(model: PreTrainedModel, row: Row) -> torch.Tensor:
    """Logits [T, V] of a row by itself, with nothing clever: no cache, positions given."""
    ids = torch.tensor([row])
    with torch.no_grad():
        return model(input_ids=ids, position_ids=torch.arange(len(row))[None], use_cache=False).logits[0]


# --- what all families share ------------------------------------------------------------------------------------------


def test_nothing_is_seen_from_the_future(model: PreTrainedModel) -> None:
    (row,) = tokens(12)
    embedded = model.get_input_embeddings()(torch.tensor([row])).detach().requires_grad_()
    logits = model(inputs_embeds=embedded, use_cache=False).logits
    for t in (0, 5, 11):
        (gradient,) = torch.autograd.grad(logits[0, t].square().sum(), embedded, retain_graph=True)
        seen = gradient[0].abs().sum(-1)
        assert (seen[: t + 1] > 0).all()
        assert (seen[t + 1 :] == 0).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(model: PreTrainedModel, side: str) -> None:
    rows = tokens(5, 9, 12)
    places = [slice(12 - len(row), 12) if side == "left" else slice(0, len(row)) for row in rows]
    ids, mask = torch.zeros(2, 3, 12, dtype=torch.long)
    for i, (row, place) in enumerate(zip(rows, places, strict=True)):
        ids[i, place], mask[i, place] = torch.tensor(row), 1
    given = {} if isinstance(model, LoopedForCausalLM) else {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, **given).logits
    for i, (row, place) in enumerate(zip(rows, places, strict=True)):
        torch.testing.assert_close(logits[i, place], alone(model, row), rtol=1e-4, atol=1e-4)


def test_generation_is_the_same_with_and_without_cache_and_padding(model: PreTrainedModel) -> None:
    rows = tokens(5, 9)
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    padded = torch.tensor([[0] * 4 + rows[0], rows[1]])
    mask = (torch.arange(9) >= torch.tensor([[4], [0]])).long()
    written = []
    for cache in (True, False):
        written.append(model.generate(padded, attention_mask=mask, use_cache=cache, **options)[:, 9:].tolist())
        singly = []
        for ids in (torch.tensor([row]) for row in rows):
            whole = model.generate(ids, attention_mask=torch.ones_like(ids), use_cache=cache, **options)
            singly.append(whole[0, ids.shape[1] :].tolist())
        written.append(singly)
    assert all(one == written[0] for one in written)


def test_a_row_laid_beside_others_does_not_see_them(model: PreTrainedModel) -> None:
    """Rows end to end, by our own attention: the logits are those of each row alone, to the last neighbour."""
    rows = tokens(4, 4, 7, 12)
    ids, positions = end_to_end(rows)
    layout = RowLayout(((2, 4), (1, 7), (1, 12)))
    assert attention_by_rows(model)
    with using_rows(model), torch.no_grad():
        logits = model(input_ids=ids, position_ids=positions, use_cache=False, rows=layout).logits[0]
    for row, part in zip(rows, logits.split([4, 4, 7, 12]), strict=True):
        torch.testing.assert_close(part, alone(model, row), rtol=1e-4, atol=1e-4)


def test_the_padded_way_for_accelerators_gives_the_same(model: PreTrainedModel) -> None:
    rows = tokens(4, 4, 7, 12)
    ids, positions = end_to_end(rows)
    groups = ((2, 4), (1, 7), (1, 12))
    index = torch.cat([b * 12 + torch.arange(len(row)) for b, row in enumerate(rows)])
    with using_rows(model):
        outputs = []
        for layout in (RowLayout(groups), RowLayout(groups, index)):
            logits = model(input_ids=ids, position_ids=positions, use_cache=False, rows=layout).logits
            gradients = torch.autograd.grad(logits.square().mean(), list(model.parameters()), allow_unused=True)
            outputs.append([logits, *(g for g in gradients if g is not None)])
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_gradients_do_not_cross_rows(model: PreTrainedModel) -> None:
    ids, positions = end_to_end(tokens(4, 6))
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    with using_rows(model):
        layout = RowLayout(((1, 4), (1, 6)))
        logits = model(inputs_embeds=embedded, position_ids=positions, use_cache=False, rows=layout).logits
        (gradient,) = torch.autograd.grad(logits[0, 4:].square().sum(), embedded)
    assert (gradient[0, :4] == 0).all()
    assert (gradient[0, 4:].abs().sum(-1) > 0).all()


def test_weights_are_counted_once_tied_or_not(model: PreTrainedModel) -> None:
    counts, tied = parameter_counts(model), model.config.tie_word_embeddings
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    assert counts.total == sum(p.numel() for p in model.parameters())
    assert counts.embedding + counts.non_embedding == counts.total


# --- the looped decoder -----------------------------------------------------------------------------------------------


def test_packed_rows_do_not_leak_without_our_attention_either(looped: LoopedForCausalLM) -> None:
    """Positions that begin again are all it takes: transformers masks across rows, whatever the cache setting."""
    rows = tokens(1, 5, 8)
    ids, positions = end_to_end(rows)
    for training in (True, False):
        looped.train(training)
        for options in ({}, {"use_cache": True}, {"use_cache": False}):
            with torch.no_grad():
                logits = looped(input_ids=ids, position_ids=positions, **options).logits[0]
            for row, part in zip(rows, logits.split([1, 5, 8]), strict=True):
                torch.testing.assert_close(part, alone(looped, row), rtol=1e-4, atol=1e-5)
    looped.eval()


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_cached_steps_give_the_logits_of_the_whole(looped: LoopedForCausalLM, name: str) -> None:
    """Under the name that transformers had for them up to 5.23, and the one that it has since."""
    (row,) = tokens(10)
    whole = alone(looped, row)
    first = looped(torch.tensor([row[:4]]))
    assert len(first[CACHE].layers) == looped.config.n_loop
    cache, steps = first[CACHE], [first.logits[0]]
    for token in row[4:]:
        output = looped(torch.tensor([[token]]), **{name: cache})
        cache, steps = output[CACHE], [*steps, output.logits[0]]
    torch.testing.assert_close(torch.cat(steps), whole, rtol=1e-4, atol=1e-5)


def test_a_cache_under_another_name_is_not_overlooked(looped: LoopedForCausalLM) -> None:
    """Or each token would be answered as if none had come before it."""
    with pytest.raises(TypeError, match=f"memory is no name here.*; {CACHE} is"):
        looped(torch.tensor([[5]]), memory=looped(torch.tensor([[5, 6]]))[CACHE])


def test_logits_to_keep(looped: LoopedForCausalLM) -> None:
    ids = torch.tensor([tokens(9)[0]])
    whole = looped(ids).logits
    torch.testing.assert_close(looped(ids, logits_to_keep=2).logits, whole[:, -2:])
    torch.testing.assert_close(looped(ids, logits_to_keep=torch.tensor([1, 4, 8])).logits, whole[:, [1, 4, 8]])
    assert looped(ids, logits_to_keep=0).logits.shape == whole.shape


def test_keeping_only_what_bears_loss_leaves_the_gradients_as_they_are(looped: LoopedForCausalLM) -> None:
    ids, keep = torch.tensor([tokens(9)[0]]), torch.tensor([3, 4, 7])
    every = torch.autograd.grad(looped(ids, use_cache=False).logits[:, keep].square().sum(), looped.model.parameters())
    kept = looped(ids, logits_to_keep=keep, use_cache=False).logits
    some = torch.autograd.grad(kept.square().sum(), looped.model.parameters())
    for one, other in zip(every, some, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_checkpointed_gradients_are_the_same(looped: LoopedForCausalLM) -> None:
    """As trainers ask for it, TRL's by default; also where a cache is asked for."""
    ids = torch.tensor(tokens(9, 9))
    found = []
    for checkpointed in (False, True):
        model = copy.deepcopy(looped).train()
        if checkpointed:
            model.gradient_checkpointing_enable()
        model(input_ids=ids, labels=ids, use_cache=checkpointed).loss.backward()
        found.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(plain, again) for plain, again in zip(*found, strict=True))


def test_a_vocabulary_of_others_is_told_where_to_go() -> None:
    with pytest.raises(InvalidInput, match="import-lm-eval"):
        model_symbols(GPT2Config())


def test_the_loss_is_the_cross_entropy_of_the_next_tokens(looped: LoopedForCausalLM) -> None:
    ids = torch.tensor([tokens(9)[0]])
    labels = ids.clone()
    labels[:, :4] = -100
    output = looped(ids, labels=labels)
    expected = nn.functional.cross_entropy(output.logits[0, 3:-1], ids[0, 4:])
    torch.testing.assert_close(output.loss, expected)


def test_eager_attention_is_the_same(looped: LoopedForCausalLM) -> None:
    rows = tokens(5, 9)
    ids = torch.tensor([[0] * 4 + rows[0], rows[1]])
    mask = (torch.arange(9) >= torch.tensor([[4], [0]])).long()
    with torch.no_grad():
        fast = looped(ids, attention_mask=mask).logits
        looped.set_attn_implementation("eager")
        plain = looped(ids, attention_mask=mask).logits
        looped.set_attn_implementation("sdpa")
    torch.testing.assert_close(fast[mask.bool()], plain[mask.bool()], rtol=1e-4, atol=1e-5)


def test_more_loops_are_more_computation_and_no_more_parameters() -> None:
    ids = torch.tensor([tokens(6)[0]])
    outputs, sizes = [], set()
    for loops in (1, 2, 3):
        built = build_model(LoopedConfig(hidden_size=16, n_loop=loops), seed=0).eval()
        outputs.append(built(ids).logits)
        sizes.add(parameter_counts(built).total)
    assert len(sizes) == 1
    assert not torch.allclose(outputs[1], outputs[2])
    # One loop by hand: the block is the same module, applied again.
    block_applied = LoopedForCausalLM(LoopedConfig(hidden_size=16, n_loop=1))
    assert [name for name, _ in block_applied.named_parameters()] == [name for name, _ in built.named_parameters()]


@pytest.mark.parametrize(("positions", "shifts"), [("rotary", True), ("learned", False)])
def test_only_rotary_models_do_not_care_where_a_row_begins(positions: str, shifts: bool) -> None:
    built = build_model(LoopedConfig(hidden_size=16, positions=positions), seed=0).eval()
    ids, place = torch.tensor([tokens(6)[0]]), torch.arange(6)[None]
    here = built(ids, position_ids=place, use_cache=False).logits
    there = built(ids, position_ids=place + 40, use_cache=False).logits
    assert torch.allclose(here, there, atol=1e-4) == shifts


def test_heads_attend_apart() -> None:
    """Queries of one head turned off leave the other head's attention as it was."""
    built = build_model(LoopedConfig(hidden_size=16, num_attention_heads=2, n_loop=1), seed=0).eval()
    seen: list[torch.Tensor] = []
    hook = built.model.block.out.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    ids = torch.tensor([tokens(6)[0]])
    with torch.no_grad():
        built(ids)
        built.model.block.qkv.weight[:8] = 0  # the first head's queries
        built(ids)
    hook.remove()
    assert not torch.allclose(seen[0][..., :8], seen[1][..., :8])
    torch.testing.assert_close(seen[0][..., 8:], seen[1][..., 8:])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_attention_heads": 5}, "5 heads do not divide"),
        ({"positions": "alibi"}, "'alibi'"),
        ({"hidden_size": 9, "num_attention_heads": 3, "positions": "rotary"}, "even head size"),
        ({"n_loop": 0}, "n_loop must be a positive integer"),
        ({"feed_forward_ratio": 2.5}, "feed_forward_ratio must be a positive integer"),
    ],
)
def test_a_configuration_that_fits_no_model_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoopedConfig(**values)


def test_inputs_are_ids_or_embeddings(looped: LoopedForCausalLM) -> None:
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        looped()


# --- initial weights --------------------------------------------------------------------------------------------------


def test_initial_weights_are_those_of_the_recipe() -> None:
    d = 128
    built = build_model("looped_d128", seed=0)
    weights = dict(built.named_parameters())
    for name in ("model.embedding.weight", "model.position_embedding.weight"):
        assert weights[name].std().item() == pytest.approx(d**-0.5, rel=0.05)
    for name, fan_in in (("qkv", d), ("out", d), ("up", d), ("down", 4 * d)):
        # Uniform in +-1/sqrt(fan_in), torch's default.
        weight = weights[f"model.block.{name}.weight"]
        assert weight.abs().max().item() == pytest.approx(fan_in**-0.5, rel=0.01)
        assert weight.std().item() == pytest.approx((3 * fan_in) ** -0.5, rel=0.05)
    assert weights["model.block.up.bias"].abs().max() > 0
    assert not any(name.endswith(("qkv.bias", "out.bias")) for name in weights)


def test_the_seed_alone_decides_and_the_global_state_stays() -> None:
    before = torch.random.get_rng_state()
    one = build_model("looped_d016", seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    again, other = (build_model("looped_d016", seed=seed).state_dict() for seed in (1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["model.embedding.weight"], other["model.embedding.weight"])


# --- the ladder -------------------------------------------------------------------------------------------------------


def test_the_config_files_are_those_of_the_ladder() -> None:
    shipped = resource_path("model_configs")
    files = {path.relative_to(shipped).as_posix(): path.read_text() for path in shipped.glob("*/*.json")}
    assert files == {f"{name}/config.json": config_text(name) for name in model_names()}


@pytest.mark.parametrize("name", model_names())
def test_every_rung_loads_and_computes(name: str) -> None:
    loaded, made = AutoConfig.from_pretrained(resource_path("model_configs", name)), make_config(name)
    assert {**loaded.to_diff_dict(), "_name_or_path": None} == {**made.to_diff_dict(), "_name_or_path": None}
    built = build_model(name)
    assert built(torch.tensor([[1, 6, 13, 14, 5, 4]])).logits.shape == (1, 6, V)
    family, _, digits = name.rpartition("_d")
    width = int(digits)
    if family == "looped":  # tables, then attention 4, feed-forward 8, biases 5 and norms 6 times the width
        assert parameter_counts(built).total == (V + 128) * width + 12 * width**2 + (5 + 6) * width
        assert parameter_counts(built).flops_per_token == 2 * (3 * 12 * width**2 + V * width) + 4 * 3 * 32 * width
    if family == "nrgpt":  # an output layer of its own, and no biases but those of the norms
        assert parameter_counts(built).total == (2 * V + 128) * width + 12 * width**2 + 6 * width
        assert parameter_counts(built).flops_per_token == 2 * (5 * 12 * width**2 + V * width) + 4 * 5 * 32 * width


def test_rungs_grow_and_the_file_of_their_sizes_has_them() -> None:
    """What `listops-bench models` prints is what the weights say, in this order."""
    counts = {name: parameter_counts(build_model(name)) for name in model_names()}
    shipped = json.loads(resource_path("model_configs", "sizes.json").read_text())
    assert list(shipped.items()) == [(name, dataclasses.asdict(of)) for name, of in counts.items()]
    for family in ALL_FAMILIES:
        sizes = [of.total for name, of in counts.items() if name.rpartition("_d")[0] == family]
        assert sizes == sorted(sizes)
        assert len(sizes) >= 5


@pytest.mark.parametrize("name", FAMILIES)
def test_no_rung_drops_anything(name: str) -> None:
    built = build_model(name).train()
    ids = torch.tensor([tokens(9)[0]])
    assert torch.equal(built(ids, use_cache=False).logits, built(ids, use_cache=False).logits)


def test_the_modulus_sets_the_vocabulary() -> None:
    built = build_model("looped_d008", modulus=20)
    assert model_symbols(built.config) == symbols_of(20)
    assert built.get_input_embeddings().weight.shape[0] == len(vocabulary(20))
    with pytest.raises(InvalidInput, match="modulus 1 is not in"):
        build_model("looped_d008", modulus=1)


def test_a_config_of_ones_own(tmp_path: Path) -> None:
    GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=99).save_pretrained(tmp_path)
    assert load_config(tmp_path).vocab_size == V
    assert load_config(tmp_path / "config.json", modulus=None).vocab_size == 99
    assert isinstance(build_model(tmp_path), GPT2LMHeadModel)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("looped_d047", "unknown model 'looped_d047'; did you mean 'looped_d048'"),
        ("looped_rope_d050", "did you mean 'looped_rope_d048'"),
        ("lopped_d048", "did you mean 'looped_d048'"),
        ("resnet", "unknown model 'resnet'; known: "),
    ],
)
def test_unknown_models_are_refused_with_a_near_name(name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_config(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json"),
        ("{", "not valid JSON"),
        ("{}", "model_type is not a text"),
        ('{"model_type": "nonsense"}', "unknown model_type 'nonsense'"),
        ('{"model_type": "listops_looped", "num_attention_heads": 5}', "5 heads do not divide"),
        ('{"model_type": "vit"}', "unknown model_type 'vit'"),
    ],
)
def test_unusable_configs_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InvalidInput, match=message):
        build_model(tmp_path)


def test_registering_again_is_harmless() -> None:
    register()
    assert AutoModelForCausalLM._model_mapping[LoopedConfig] is LoopedForCausalLM


# --- linear layers through oneDNN -------------------------------------------------------------------------------------


def test_fast_linear_layers_compute_the_same() -> None:
    if not available():
        pytest.skip("this build of torch has no oneDNN")
    built = build_model("looped_d048", seed=0)
    ids = torch.tensor([tokens(TOKEN_MULTIPLE)[0]])
    weight = torch.randn(1, TOKEN_MULTIPLE, V, generator=torch.Generator().manual_seed(0))

    def gradients() -> list[torch.Tensor]:
        built.zero_grad()
        logits = built(ids, use_cache=False).logits
        (logits * weight).sum().backward()
        return [logits.detach(), *(p.grad.clone() for p in built.parameters())]

    plain = gradients()
    with fast_linear(built):
        assert "forward" in vars(built.model.block.up)
        fast = gradients()
    assert "forward" not in vars(built.model.block.up)
    for one, other in zip(plain, fast, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * one.abs().max().item())


def test_double_precision_and_frozen_weights_are_left_to_torch() -> None:
    built = build_model("looped_d016", seed=0)
    built.model.block.up.weight.requires_grad_(False)
    ids = torch.tensor([tokens(TOKEN_MULTIPLE)[0]])
    with fast_linear(built):
        built(ids, use_cache=False).logits.sum().backward()
    assert built.model.block.up.weight.grad is None
    assert built.model.block.down.weight.grad is not None
    with fast_linear(built.double()):
        assert built(ids, use_cache=False).logits.dtype == torch.float64
