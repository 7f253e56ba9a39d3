"""The tokenizer: the closed vocabulary, text that comes back as it was, and words it must refuse."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from listops_bench.errors import InvalidInput
from listops_bench.model.tokenizer import build_tokenizer, save_tokenizer
from listops_bench.tasks.expression import Node, completion_text, prompt_text
from listops_bench.tasks.generator import generate
from listops_bench.tasks.symbols import EOS_ID, PAD_ID, vocabulary
from listops_bench.tasks.task import get_task
from tests.support.strategies import expressions

TOKENIZER = build_tokenizer(10)
PROMPT = "[SUM 3 [MAX 2 9 ] 4 ] ="


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(TOKENIZER, folder)
    return folder


@pytest.mark.parametrize("modulus", [2, 10, 20, 64])
def test_ids_are_places_in_the_vocabulary(modulus: int) -> None:
    tokenizer = build_tokenizer(modulus)
    assert tuple(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))) == vocabulary(modulus)


@given(expression=expressions(max_leaves=20))
def test_text_comes_back_as_it_was(expression: Node) -> None:
    for text in (prompt_text(expression), prompt_text(expression) + completion_text(expression)):
        ids = TOKENIZER(text).input_ids
        assert len(ids) == len(text.split())  # nothing is put before or behind
        assert EOS_ID not in ids
        assert TOKENIZER.decode(ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("task", ["sum_max_med", "sum_mod20_depth3"])
def test_rows_of_the_generator_are_what_the_tokenizer_makes_of_their_text(task: str) -> None:
    rows = generate(get_task(task), "validation", num_rows=200)
    tokenizer = build_tokenizer(rows.task.modulus)
    for i, (prompt, completion) in enumerate(zip(rows.prompts(), rows.completions(), strict=True)):
        ids = rows.ids[rows.offsets[i] : rows.offsets[i + 1]].tolist()
        assert [*tokenizer(prompt + completion).input_ids, EOS_ID] == ids
        assert tokenizer(prompt).input_ids == ids[: rows.prompt_lengths[i]]


def test_batches_are_padded_on_the_left() -> None:
    batch = TOKENIZER([PROMPT, "[SUM 1 2 ] ="], padding=True)
    missing = len(batch.input_ids[0]) - 5
    assert batch.input_ids[1] == [PAD_ID] * missing + TOKENIZER("[SUM 1 2 ] =").input_ids
    assert batch.attention_mask[1] == [0] * missing + [1] * 5


def test_saved_files_name_a_class_that_older_releases_know(saved: Path) -> None:
    settings = json.loads((saved / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (saved / "chat_template.jinja").is_file()


def test_the_saved_tokenizer_loads_as_it_was(saved: Path) -> None:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(saved)
    assert loaded(PROMPT).input_ids == TOKENIZER(PROMPT).input_ids
    assert loaded.decode(loaded(PROMPT).input_ids, skip_special_tokens=True) == PROMPT
    assert (loaded.padding_side, loaded.pad_token_id, loaded.model_max_length) == ("left", PAD_ID, 128)
    assert (loaded.bos_token_id, loaded.eos_token_id) == (None, EOS_ID)
    assert loaded.get_vocab() == TOKENIZER.get_vocab()


def test_a_chat_is_its_messages_text(saved: Path) -> None:
    chat = [{"role": "user", "content": PROMPT}]
    assert AutoTokenizer.from_pretrained(saved).apply_chat_template(chat, tokenize=False) == PROMPT


def test_a_modulus_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="modulus 1 is not in"):
        build_tokenizer(1)
