"""Parts of a model: every parameter is in one of them, in every family."""

import pytest
import torch
from transformers import GPTNeoXConfig

from listops_bench.errors import InvalidInput
from listops_bench.model.ladder import FAMILIES, build_model, load_config, model_names
from listops_bench.model.parts import PARTS, keep_axes, matching_parameters, parameters_in


def smallest(family: str) -> str:
    return next(name for name in model_names() if name.rpartition("_")[0] == family)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_in_one_part(family: str) -> None:
    model = build_model(smallest(family))
    parts = [parameters_in(model, [part]) for part in PARTS]
    assert sorted(name for part in parts for name in part) == sorted(name for name, _ in model.named_parameters())
    assert parameters_in(model, PARTS[1:]) == parts[1] | parts[2]


def test_an_output_layer_of_its_own_is_an_embedding() -> None:
    config = load_config("llama_d016")
    config.tie_word_embeddings = False
    assert parameters_in(build_model(config), ["embeddings"]) == {"model.embed_tokens.weight", "lm_head.weight"}


def test_a_family_without_parts_says_so() -> None:
    model = build_model(GPTNeoXConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=22))
    assert "gpt_neox.embed_in.weight" in parameters_in(model, ["embeddings"])
    with pytest.raises(InvalidInput, match=r"models of type 'gpt_neox' have no part 'attention'; those that have are"):
        parameters_in(model, ["attention"])


@pytest.mark.parametrize(
    ("source", "part", "said"),
    [
        ("looped_d012", "embeddings", r"has model\.embedding\.weight of shape \[22, 12\], and the model \[22, 8\]"),
        ("looped_rope_d008", "embeddings", r"has model\.position_embedding\.weight of shape none, and the model \[128"),
        ("gpt2_d016", "attention", "of type 'gpt2', and the model that takes parts of it 'listops_looped'"),
        ("looped_d008", "embedding", "unknown parameter 'embedding'; did you mean 'embeddings'"),
    ],
)
def test_parts_that_do_not_fit_are_one_line(source: str, part: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        matching_parameters(build_model("looped_d008"), build_model(source), [part], "runs/x")
    assert "\n" not in str(caught.value)


def test_what_a_part_does_not_use_need_not_fit() -> None:
    """Attention is alike in both, and only one has a table of positions."""
    models = [build_model(f"{family}_d008") for family in ("looped", "looped_rope")]
    assert matching_parameters(*models, ["attention"], "x") == parameters_in(models[0], ["attention"])


def test_of_a_token_table_some_axes_are_kept() -> None:
    """About the mean of its rows: the best approximation of that rank; all axes leave it as it was."""
    model = build_model("looped_d008")
    table = model.get_input_embeddings().weight
    before = table.detach().clone()
    keep_axes(model, 8)
    torch.testing.assert_close(table.detach(), before)
    keep_axes(model, 3)
    spread = torch.linalg.svdvals((before - before.mean(0)).double())
    assert torch.linalg.matrix_rank((table - table.mean(0)).detach().double(), atol=1e-5) == 3
    assert float((table.detach() - before).double().square().sum()) == pytest.approx(
        float(spread[3:].square().sum()), rel=1e-4
    )
