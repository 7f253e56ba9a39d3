"""A transformer whose weights are set by hand: it solves MAX, traces and all, to the depth that it is trained at.

    python -m listops_bench.model.by_hand runs/max-by-hand

Every prompt has a root of up to three children, each a digit or a group of digits, so what comes next is simple:

    [MAX 1 [MAX 5 9 ] 4 ] =  [MAX 1 9 4 ]  =  9
                          |  |___________| |  |____ the end, after the last digit
                          |        |       |_______ the largest digit of the prompt; where no group is, at once
                          |        |_______________ after J tokens the largest digit of child J + 1, or ] after the last
                          |________________________ [MAX where there is a group

Layer 1 counts brackets and equal signs (a mean over the tokens so far, compared with thresholds times 1 / position) and
finds the place of the equal sign. Layer 2 numbers the children in the same way. Layer 3 attends to the largest digit of
the child that is asked for, or of all, and decides whether a digit is due at all.

LayerNorm is undone: a channel holds a large constant C and another minus the sum of all others, so the mean is 0 and
the deviation nearly constant. Thresholds are multiples of channels, never of biases, so what is left of it cancels.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.tasks.symbols import CLOSE_ID, EOS_ID, EQUALS_ID, FIRST_NUMBER_ID, PAD_ID, vocabulary

_CHANNELS = (
    "digit", "square", "is_digit", "is_open", "is_close", "is_equals", "is_end",  # of tokens; logits are read from them
    "one", "balance", "reach", "place", "depth", "opens", "equals", "equals_place", "starts", "second_line", "since",
    "started", "children", "children_squared", "was_digit",
)  # fmt: skip
_AT = {name: number for number, name in enumerate(_CHANNELS)}
_READ = _CHANNELS[:7]
_WIDTH, _HEADS, _HIDDEN, _CONTEXT = 22, 2, 12, 128
_LARGE = 20_000.0  # the constant channel
_SLOPE = 40.0  # of a step: the thresholds of counts lie half a 1 / position apart, up to position 36
_GATE, _FAR = 5.0, 100.0
_DIGIT, _NEXT_CHILD, _EXCLUDED = (
    300.0,
    600.0,
    5_000.0,
)  # of attention scores: a tenth of a digit, a child beside, no digit
_OUT = 1_000.0

_Sum = dict[str, float]
"""A linear form: channels and their factors."""


def max_model() -> Any:
    """A `GPT2LMHeadModel`; prompts of ``max`` have up to 18 tokens, its context is 128."""
    config = GPT2Config(
        vocab_size=len(vocabulary(10)), n_positions=_CONTEXT, n_embd=_WIDTH, n_layer=3, n_head=_HEADS,
        n_inner=_HIDDEN, activation_function="relu", resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
        bos_token_id=None, eos_token_id=EOS_ID, pad_token_id=PAD_ID,
    )  # fmt: skip
    model: Any = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _set_embeddings(model)
        for layer in model.transformer.h:
            for norm in (layer.ln_1, layer.ln_2):
                _set_norm(norm.weight, set(_CHANNELS) - {"one", "balance"})
                norm.weight[_AT["one"]] = math.sqrt(2 / _WIDTH)
        _set_norm(model.transformer.ln_f.weight, set(_READ))
        _set_first(model.transformer.h[0])
        _set_second(model.transformer.h[1])
        _set_third(model.transformer.h[2])
    return model


def _set_norm(weight: torch.Tensor, kept: set[str]) -> None:
    for name in kept:
        weight[_AT[name]] = _LARGE * math.sqrt(2 / _WIDTH)


def _write(row: torch.Tensor, written: _Sum) -> None:
    """Adds to a row of the stream, with what keeps its sum at 0."""
    for name, value in written.items():
        row[_AT[name]] += value
    row[_AT["balance"]] -= sum(written.values())


def _set_embeddings(model: Any) -> None:
    tokens, places = model.transformer.wte.weight, model.transformer.wpe.weight
    for digit in range(10):
        word = {"digit": digit / 10, "square": (digit / 10) ** 2, "is_digit": 1.0}
        _write(tokens[FIRST_NUMBER_ID + digit], word)
    opens = vocabulary(10).index("[MAX")
    for token, name in ((opens, "is_open"), (CLOSE_ID, "is_close"), (EQUALS_ID, "is_equals"), (EOS_ID, "is_end")):
        _write(tokens[token], {name: 1.0})
    for place in range(_CONTEXT):
        _write(places[place], {"one": _LARGE, "reach": 1 / (place + 1), "place": place / 8})


class _Writer:
    """Sets a layer's weights: hidden units one after the other, and the queries, keys and values of its heads."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.used = layer, 0

    def unit(self, of: _Sum, written: _Sum) -> None:
        """A hidden unit: the positive part of a sum, times what it writes."""
        for name, value in of.items():
            self.layer.mlp.c_fc.weight[_AT[name], self.used] = value
        _write(self.layer.mlp.c_proj.weight[self.used], written)
        self.used += 1

    def step(self, of: _Sum, written: _Sum, slope: float = _SLOPE) -> None:
        """Two units: writes where a sum is positive; between plus and minus 1 / (2 slope) it rises."""
        for half, sign in ((0.5, 1.0), (-0.5, -1.0)):
            scaled = {name: slope * value for name, value in of.items()}
            scaled["one"] = scaled.get("one", 0.0) + half
            self.unit(scaled, {name: sign * value for name, value in written.items()})

    def head(self, number: int, pairs: list[tuple[_Sum, _Sum]], values: list[tuple[str, _Sum]]) -> None:
        """A head: query times key, summed over ``pairs``; of what it attends to, each channel writes its sum."""
        size = _WIDTH // _HEADS
        projected, out = self.layer.attn.c_attn.weight, self.layer.attn.c_proj.weight
        for place, both in enumerate(pairs):
            for part, of in enumerate(both):
                for name, value in of.items():
                    scale = math.sqrt(size) if part == 0 else 1.0
                    projected[_AT[name], part * _WIDTH + number * size + place] = scale * value
        for place, (name, written) in enumerate(values):
            projected[_AT[name], 2 * _WIDTH + number * size + place] = 1.0
            _write(out[number * size + place], written)


def _set_first(layer: Any) -> None:
    """Means over all tokens so far, and the place of the equal sign; which tokens begin a child."""
    to = _Writer(layer)
    to.head(
        0,
        [],
        [("is_open", {"opens": 1.0, "depth": 1.0}), ("is_close", {"depth": -1.0}), ("is_equals", {"equals": 1.0})],
    )
    to.head(1, [({"one": 1.0}, {"is_equals": 30.0})], [("place", {"equals_place": 1.0})])
    inner, outer = {"depth": 1.0, "reach": -1.5}, {"depth": -1.0, "reach": 1.5}
    to.step({**inner, "is_open": _GATE, "one": -_GATE}, {"starts": 1.0})
    to.step({**outer, "is_digit": _GATE, "one": -_GATE}, {"starts": 1.0})
    to.step({"equals": 1.0, "reach": -0.5}, {"second_line": 1.0})
    to.unit({"is_digit": 1.0}, {"was_digit": 1.0})  # for layer 3, whose head writes over is_digit
    to.unit({"place": 8.0, "equals_place": -8.0, "is_equals": -_FAR}, {"since": 1.0})


def _set_second(layer: Any) -> None:
    """How many children have begun, as a number and its square."""
    to = _Writer(layer)
    to.head(0, [], [("starts", {"started": 1.0})])
    for number in range(1, 7):
        squares = number**2 - (number - 1) ** 2
        to.step({"started": 1.0, "reach": 0.5 - number}, {"children": 1.0, "children_squared": float(squares)})


def _set_third(layer: Any) -> None:
    """The largest digit of a child, or of all; and what is due where no digit is."""
    to = _Writer(layer)
    to.head(
        0,
        [
            ({"since": 2 * _NEXT_CHILD}, {"children": 1.0}),
            ({"one": -_NEXT_CHILD, "is_equals": _NEXT_CHILD}, {"children_squared": 1.0}),
            ({"one": 1.0}, {"digit": _DIGIT, "is_digit": _EXCLUDED, "second_line": -_EXCLUDED}),
        ],
        [("digit", {"digit": 2 * _OUT}), ("is_digit", {"square": -_OUT, "is_digit": _OUT})],
    )
    last = {"since": 2.0, "children": -1.0, "one": -1.5}
    to.step(last, {"is_close": 4 * _OUT}, slope=2.0)
    to.unit({"is_close": 1.0}, {"is_equals": 6 * _OUT})
    to.step({"opens": 1.0, "reach": -1.5, "is_equals": _GATE, "one": -_GATE}, {"is_open": 4 * _OUT})
    to.step({"equals": 1.0, "reach": -1.5, "is_equals": _GATE, "one": -_GATE}, {"is_open": -4 * _OUT})
    to.step({"since": -1.0, "was_digit": _FAR, "one": 1.5 - _FAR}, {"is_end": 6 * _OUT}, slope=2.0)
    to.step({"equals": 1.0, "reach": -1.5, "was_digit": _GATE, "one": -_GATE}, {"is_end": 6 * _OUT})


def main() -> None:
    """Writes the checkpoint folder that is named."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m listops_bench.model.by_hand FOLDER")
    print(save_checkpoint(sys.argv[1], max_model(), build_tokenizer(10), None))


if __name__ == "__main__":
    main()
