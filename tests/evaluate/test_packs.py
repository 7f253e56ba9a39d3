"""Models that are scored together get what each gets by itself: the same answers, the same results, the same error."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from listops_bench.errors import InvalidInput
from listops_bench.evaluate import decoding, packs
from listops_bench.evaluate.checkpoint import Checkpoint, open_checkpoint
from listops_bench.evaluate.decoding import Decoder, Predictions, predict
from listops_bench.evaluate.packs import predict_many
from listops_bench.evaluate.run import evaluate_checkpoint, evaluate_many
from listops_bench.model import causality
from listops_bench.model.ladder import build_model, load_config
from listops_bench.result.format import Result
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.task import get_task
from tests.support.trained import half_trained, opinionated

LEARNED, OTHER = "looped_d032-sum_max_med-6000-e7a4a065#0", "looped_d032-sum-6000-6cc1f1bc#0"


@pytest.fixture(params=[pytest.param("one by one", marks=pytest.mark.check_all), "all at once"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a CPU is asked, and as a GPU is."""
    if request.param == "all at once":
        monkeypatch.setitem(packs.MOST_MEMBERS, "cpu", 64)


def rows_of(task: str = "sum_max_med", split: str = "test", number: int = 50, **options: Any) -> Rows:
    return generate(get_task(task), split, num_rows=number, **options)


def opened(name: str) -> Any:
    return open_checkpoint(name).model.eval()


def untrained(name: str, seed: int = 1) -> Any:
    return opinionated(build_model(name, seed=seed))


def filled(value: float, which: str) -> Any:
    model = build_model("looped_d016", seed=1).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if which in name:
                parameter.fill_(value)
    return model


def looking_ahead() -> Any:
    config = load_config("looped_d016")
    config.is_causal, config._attn_implementation = False, "eager"
    return opinionated(build_model(config, seed=1))


def alone(model: Any, rows: Rows) -> Predictions | InvalidInput:
    try:
        return predict(model, rows)
    except InvalidInput as error:
        return error


def check_same(models: list[Any], rows: Rows) -> list[Predictions | InvalidInput]:
    found = predict_many(models, rows)
    for model, one in zip(models, found, strict=True):
        expected = alone(model, rows)
        if isinstance(one, InvalidInput) or isinstance(expected, InvalidInput):
            assert str(one) == str(expected)
        else:
            assert one.completions == expected.completions
            assert (one.exact.tolist(), one.stopped.tolist()) == (expected.exact.tolist(), expected.stopped.tolist())
            assert one.causal == expected.causal
    return found


@pytest.mark.usefixtures("way")
def test_learned_half_learned_and_not_learned_of_all_families() -> None:
    models = [
        opened(LEARNED),
        half_trained(),
        untrained("looped_d032"),
        opened(OTHER),
        untrained("looped_rope_d016"),
        untrained("gpt2_d016"),
    ]
    found = check_same(models, rows_of(number=24))
    shares = [one.exact.mean() for one in found if isinstance(one, Predictions)]
    assert shares[0] > 0.9
    assert 0 < shares[3] < 0.9
    assert shares[1] == shares[2] == 0


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("task", "split", "options"),
    [
        ("sum", "test_unseen_operands", {}),
        ("sum_max_med", "test_deeper", {"trace": "single"}),
        ("max_med", "test", {"trace": "none"}),
    ],
)
def test_other_tasks_splits_and_trace_styles(task: str, split: str, options: Any) -> None:
    check_same([opened(LEARNED), opened(OTHER)], rows_of(task, split, 16, **options))


@pytest.mark.usefixtures("way")
def test_what_one_member_does_not_show_is_no_matter_to_the_others() -> None:
    models = [
        half_trained(),
        looking_ahead(),
        filled(0, ""),
        filled(3e38, "model.ln.weight"),
        filled(float("nan"), "up.weight"),
    ]
    found = check_same([*models, untrained("looped_d016")], rows_of(number=8))
    assert [type(one) for one in found[3:5]] == [InvalidInput] * 2
    assert [one.causal for one in found if isinstance(one, Predictions)] == [True, False, False, True]


@pytest.mark.usefixtures("way")
def test_near_ties_are_each_members_own_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(causality, "NEAR_TIE", 0.01)
    decided, next_alone = [], Decoder.next_alone
    monkeypatch.setattr(Decoder, "next_alone", lambda *where: decided.append(where) or next_alone(*where))
    check_same([half_trained(), untrained("looped_d016"), untrained("looped_d016", seed=2)], rows_of(number=12))
    assert len({where[0] for where in decided}) >= 2


@pytest.mark.usefixtures("way")
def test_little_memory_and_few_rows_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read, calls = packs._Pack._read, []

    def small_memory(self: Any, tree: Any, asked: Any) -> Any:
        calls.append(len(tree.ids))
        if len(tree.ids) > 60:
            raise torch.OutOfMemoryError("out of memory")
        return read(self, tree, asked)

    monkeypatch.setattr(packs._Pack, "_read", small_memory)
    monkeypatch.setattr(decoding, "CPU_BATCH_TOKENS", 1500)
    check_same([half_trained(), untrained("looped_d016")], rows_of(number=14))
    assert max(calls) > 60 >= min(calls)


def test_a_pack_that_computes_something_else_than_its_members_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    flatten = packs.PackedLooped.flatten
    monkeypatch.setattr(packs.PackedLooped, "flatten", lambda *models: flatten(*models) * 1.001)
    asked = []
    monkeypatch.setattr(packs, "predict", lambda *where, **more: asked.append(where) or predict(*where, **more))
    check_same([half_trained()], rows_of(number=12))
    assert len(asked) == 1


def test_results_are_those_of_one_checkpoint_but_for_time(tmp_path: Path) -> None:
    def without_time(results: list[Result]) -> list[Result]:
        return [dataclasses.replace(result, evaluation=None) for result in results]  # type: ignore[arg-type]

    members: list[Checkpoint] = [open_checkpoint(name) for name in (LEARNED, OTHER)]
    found = evaluate_many(members, None, ["test", "test_unseen_operands"], num_rows=16, results_dir=tmp_path / "a")
    for member, results in zip(members, found, strict=True):
        expected = evaluate_checkpoint(
            member, None, ["test", "test_unseen_operands"], num_rows=16, results_dir=tmp_path / "b"
        )
        assert isinstance(results, list)
        assert sorted(r.task.name for r in results) == sorted(r.task.name for r in expected)
        assert sorted(map(str, without_time(results))) == sorted(map(str, without_time(expected)))
    files = [{path.relative_to(tmp_path / side) for path in (tmp_path / side).rglob("*.json")} for side in ("a", "b")]
    assert files[0] == files[1]
    assert len(files[0]) == 5
    (outcome,) = evaluate_many(members[:1], "sum_mod20", "test")
    assert isinstance(outcome, InvalidInput)


@pytest.mark.gpu
def test_on_a_gpu_each_gets_what_it_gets_there_by_itself() -> None:
    models = [opened(LEARNED), opened(OTHER), untrained("looped_d032"), untrained("looped_d032", seed=2)]
    check_same([model.to("cuda") for model in models], rows_of(number=200))
