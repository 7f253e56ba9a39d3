"""Reliance and memorisation: no-ops are seen as such, every family is read rightly, tables tell seen from held out."""

import itertools
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from listops_bench.analysis.anatomy import anatomy_of, batches, hooks, residuals
from listops_bench.analysis.memorisation import operation_table
from listops_bench.analysis.reliance import ablated, accuracy, mean_outputs, reliance
from listops_bench.analysis.study import number_states, number_vectors
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.decoding import predict
from listops_bench.model.ladder import MODEL_TYPES, build_model
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.operations import OPERATIONS
from listops_bench.tasks.split import is_held_out
from listops_bench.tasks.symbols import FIRST_NUMBER_ID, vocabulary
from listops_bench.tasks.task import get_task
from tests.support.trained import ids_of

FAMILIES = ("looped_d016", "looped_rope_d016", "gpt2_d016", "llama_d016")


@lru_cache
def rows_of(task: str = "sum_max_med", split: str = "test", num_rows: int = 40) -> Rows:
    return generate(get_task(task), split, num_rows=num_rows)


def model_of(name: str, seed: int = 0) -> Any:
    model = build_model(name, seed=seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # decided opinions, and biases that are not all zero
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
    return model


# --- anatomy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_the_stream_is_the_sum_of_what_is_written(name: str) -> None:
    model = model_of(name)
    batch = next(batches(rows_of()))
    stream: dict[int, torch.Tensor] = {}
    written: dict[int, torch.Tensor] = {}
    with hooks(model, read=stream.__setitem__, write=written.__setitem__):
        logits = batch.logits(model)
    assert (sorted(stream), sorted(written)) == (list(range(7)), list(range(6)))
    for place in range(6):
        torch.testing.assert_close(stream[place] + written[place], stream[place + 1])
    head = model.get_output_embeddings()
    torch.testing.assert_close(head(anatomy_of(model).last_norm(stream[6])), logits)
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules() if m._forward_hooks] == []
    assert anatomy_of(model).layer_word == ("loop" if name.startswith("looped") else "layer")


def test_batches_hold_every_row_once_and_know_its_completion() -> None:
    rows = rows_of()
    seen = []
    for batch in batches(rows):
        for place, row in enumerate(batch.rows.tolist()):
            seen.append(row)
            whole = ids_of(rows, row)
            assert batch.ids[place].tolist() == whole
            targets = batch.ids[place, 1:][batch.answers[place]].tolist()
            assert targets == whole[rows.prompt_lengths[row] :]
    assert sorted(seen) == list(range(len(rows)))


def test_an_unknown_family_is_refused() -> None:
    config = GPTNeoXConfig(vocab_size=23, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    with pytest.raises(InvalidInput, match=f"'gpt_neox'.*{', '.join(MODEL_TYPES)}"):
        anatomy_of(GPTNeoXForCausalLM(config))


def test_number_states_are_those_of_numbers_in_prompts() -> None:
    model, rows = model_of("gpt2_d016"), rows_of(num_rows=6)
    layers, numbers, contexts = number_states(model, [rows])
    assert len(layers) == 3
    assert layers[0].shape == (len(numbers), 16)
    for context in range(6):
        prompt = rows.prompts()[context].split()
        assert numbers[contexts == context].tolist() == [int(word) for word in prompt if word.isdigit()]
    batch = next(batches(rows))
    row, stream = int(batch.rows[0]), residuals(model, batch)
    first = next(i for i, token in enumerate(batch.ids[0].tolist()) if token >= FIRST_NUMBER_ID)
    np.testing.assert_allclose(layers[2][contexts == row][0], stream[6][0, first].numpy(), rtol=1e-5)
    vectors = number_vectors(model.get_input_embeddings().weight, 10)
    assert vectors.shape == (10, 16)
    assert vocabulary(10)[FIRST_NUMBER_ID] == "0"


# --- ablations --------------------------------------------------------------------------------------------------------


@lru_cache
def taught() -> Any:
    """A model that has the rows it is asked about by heart, more or less."""
    model, rows = build_model("looped_d016", seed=0), rows_of("max", num_rows=60)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    for _ in range(60):
        loss = sum(
            torch.nn.functional.cross_entropy(
                model(input_ids=batch.ids[:, :-1], use_cache=False).logits[batch.answers],
                batch.ids[:, 1:][batch.answers],
                reduction="sum",
            )
            for batch in batches(rows)
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval()


def test_teacher_forced_accuracy_is_that_of_greedy_decoding() -> None:
    rows = rows_of("max", num_rows=60)
    found = accuracy(taught(), rows)
    assert 0 < found.exact.correct < 60
    assert found.exact.correct == int(predict(taught(), rows).exact.sum())
    assert found.last_step.correct >= found.exact.correct
    assert found.exact.low < found.exact.accuracy < found.exact.high


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", ["attention", "feed_forward"])
def test_ablating_a_no_op_changes_nothing(name: str, kind: Any) -> None:
    model = model_of(name)
    rows = rows_of(num_rows=10)
    layer = 0 if anatomy_of(model).shared else 1  # a shared block is a no-op in every loop or in none
    for sublayer in anatomy_of(model).sublayers:
        if (sublayer.kind, sublayer.layer) == (kind, layer):
            for parameter in sublayer.output.parameters():
                torch.nn.init.zeros_(parameter)
    found = reliance(model, {"sum": rows}, [rows_of(split="validation", num_rows=10)])
    for norm in found.norms:
        assert (norm.high == 0) == (norm.kind == kind and (norm.layer == layer or anatomy_of(model).shared))
    if anatomy_of(model).shared:
        assert found.attention_share == (kind == "feed_forward")
    batch = next(batches(rows))
    before = batch.logits(model)
    for method in ("mean", "zero"):
        means = mean_outputs(model, [rows])
        number = next(i for i, s in enumerate(anatomy_of(model).sublayers) if (s.kind, s.layer) == (kind, layer))
        stand_in = means[number].float() if method == "mean" else torch.zeros(16)
        with hooks(model, write=lambda i, y, n=number, z=stand_in: z.expand_as(y) if i == n else None):
            torch.testing.assert_close(batch.logits(model), before)
        assert found.find(kind, layer, method).accuracy["sum"] == found.intact["sum"]


def test_what_a_model_needs_is_missed() -> None:
    rows = rows_of("max", num_rows=60)
    found = reliance(taught(), {"max": rows}, [rows_of("max", "validation")])
    intact = found.intact["max"].last_step
    assert 0 < found.attention_share < 1
    for kind in ("attention", "feed_forward"):
        assert found.find(kind, None, "mean").accuracy["max"].last_step.high < intact.low
    every, first = (found.find("feed_forward", layer, "zero").accuracy["max"] for layer in (None, 0))
    assert every != first, "a loop is ablated by itself"


def test_a_constant_output_is_its_mean_and_not_nothing() -> None:
    model = build_model("gpt2_d016", seed=0).eval()
    model.load_state_dict(model_of("gpt2_d016").state_dict())
    torch.nn.init.zeros_(model.transformer.h[1].mlp.c_proj.weight)
    model.transformer.h[1].mlp.c_proj.bias.data.mul_(40)
    rows = rows_of(num_rows=10)
    means = mean_outputs(model, [rows])
    torch.testing.assert_close(means[3].float(), model.transformer.h[1].mlp.c_proj.bias)
    assert ablated(model, rows, "feed_forward", 1, "mean", means) == accuracy(model, rows)
    batch = next(batches(rows))
    before = batch.logits(model)
    with hooks(model, write=lambda i, y: torch.zeros_like(y) if i == 3 else None):
        assert (batch.logits(model) - before).abs().max() > 0.1


# --- memorisation -----------------------------------------------------------------------------------------------------


class Answerer:
    """Stands in for a model: puts first, after facts of an operation, what a function of the operands says."""

    device = torch.device("cpu")

    def __init__(self, answer: Any, modulus: int) -> None:
        self.answer, self.modulus, self.asked = answer, modulus, 0

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> Any:
        self.asked += len(input_ids)
        logits = torch.zeros(*input_ids.shape, len(vocabulary(self.modulus)))
        for row, ids in enumerate(input_ids.tolist()):
            assert vocabulary(self.modulus)[ids[-1]] == "="
            logits[row, -1, self.answer(*(i - FIRST_NUMBER_ID for i in ids[1:-2])) + FIRST_NUMBER_ID] = 1
        return SimpleNamespace(logits=logits)


def truth(operation: str, modulus: int) -> Any:
    return lambda *values: OPERATIONS[operation].apply(values, modulus)


@pytest.mark.parametrize("modulus", [10, 11])
def test_a_model_that_knows_an_operation_knows_held_out_facts_too(modulus: int) -> None:
    table = operation_table(Answerer(truth("sum", modulus), modulus), "sum", modulus)  # type: ignore[arg-type]
    assert table.pairs.correct.correct == modulus**2
    assert table.pairs.expected[3, 9] == 12 % modulus
    for held_out in (False, True):
        known = table.triples.known(held_out=held_out)
        multisets = itertools.combinations_with_replacement(range(modulus), 3)
        assert known.correct == known.n == sum(is_held_out(values, modulus) == held_out for values in multisets)
    assert table.triples.asked.sum() == modulus**3
    assert table.triples.p == 1


def test_a_table_by_heart_fails_on_held_out_facts() -> None:
    def by_heart(*values: int) -> int:
        return -1 - 2 if is_held_out(values, 10) else sum(values) % 10  # a bracket instead of a number

    triples = operation_table(Answerer(by_heart, 10), "sum", 10).triples
    assert (triples.known(held_out=False).correct, triples.known(held_out=True).correct) == (198, 0)
    assert not triples.correct[triples.held_out].any()
    assert triples.p < 1e-12


def test_a_fact_is_known_only_in_every_order() -> None:
    def sorted_only(*values: int) -> int:
        return sum(values) % 10 if list(values) == sorted(values) else 0

    triples = operation_table(Answerer(sorted_only, 10), "sum", 10).triples
    place = triples.multisets.tolist().index([1, 2, 3])
    assert (triples.correct[place], triples.asked[place]) == (1, 6)
    assert triples.known(held_out=False).correct < 60


def test_operand_counts_are_those_of_the_operation() -> None:
    assert operation_table(Answerer(truth("med", 10), 10), "med", 10).pairs is None  # type: ignore[arg-type]
    many = Answerer(truth("max", 22), 22)
    of_any_order = operation_table(Answerer(truth("med", 10), 10), "med", 10, get_task("med_nrgpt"))  # type: ignore[arg-type]
    assert of_any_order.pairs is not None
    assert of_any_order.triples is not None
    assert of_any_order.pairs.correct.accuracy == of_any_order.triples.known(held_out=False).accuracy == 1
    assert of_any_order.triples.known(held_out=True).n == 0
    table = operation_table(many, "max", 22)
    assert set(table.triples.asked.tolist()) == {1}, "in ascending order only: too many otherwise"
    assert many.asked == 22**2 + 22 * 23 * 24 // 6
