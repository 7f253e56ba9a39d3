"""The closed vocabulary of a modulus as a `transformers` tokenizer.

Every word is one token; text is words separated by one space, and decoding gives exactly that text back::

    "[SUM 3 [MAX 2 9 ] 4 ] ="   ->   [SUM 3  [MAX 2  9  ] 4  ] =
                                     5    15 9    14 21 4 16 4 3

Nothing is put before or behind the words. Padding is on the left: a batch of prompts can be generated from as it
stands.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from listops_bench.tasks.symbols import SPECIAL_TOKENS, Symbols, vocabulary

MODEL_MAX_LENGTH = 128
PASS_THROUGH_CHAT_TEMPLATE = "{%- for m in messages %}{{- m['content'] }}{%- endfor %}"
"""A chat is its messages' text, unchanged: chat harnesses then send a base model the bare prompt."""


def build_tokenizer(modulus: Symbols | int = 10) -> PreTrainedTokenizerFast:
    """The tokenizer that all tasks of a modulus, or of another symbol set, share.

    >>> build_tokenizer(10)("[SUM 3 4 ] =").input_ids
    [5, 15, 16, 4, 3]

    Raises:
        InvalidInput: the modulus is out of range.
    """
    words = vocabulary(modulus)
    pad, eos, unk = SPECIAL_TOKENS
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=unk))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=pad,
        eos_token=eos,
        unk_token=unk,
        padding_side="left",
        truncation_side="left",
        model_max_length=MODEL_MAX_LENGTH,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=PASS_THROUGH_CHAT_TEMPLATE,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: str | os.PathLike[str]) -> None:
    """Writes the tokenizer files, under the class name that older releases of `transformers` know too."""
    tokenizer.save_pretrained(folder)
    path = Path(folder) / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    # transformers 5 writes its new internal class ("TokenizersBackend"), which 4.x cannot load.
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    text = json.dumps(settings, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
