"""Every script of benchmarks/ runs, at a size that measures nothing."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer
from tests.support.fake_results import result, write

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    train = script("train")
    for name, value in {"BATCH": 8, "STEPS": 4, "UNTIMED": 2, "ROUNDS": 1, "MATRIX": 64}.items():
        monkeypatch.setattr(train, name, value)
    train.main(["looped_d008"])
    figures = json.loads(capsys.readouterr().out)
    assert set(figures["models"]) == {"looped_d008"}
    assert figures["timed_steps"] == 2


def test_packed(capsys: pytest.CaptureFixture[str]) -> None:
    script("packed").main(["--models", "2", "--width", "8", "--steps", "2", "--rounds", "1"])
    figures = json.loads(capsys.readouterr().out)["widths"]["looped_d008"]
    assert {"packed_to_alone", "vmap_to_alone"} < set(figures)


def test_packed_tells_of_a_way_that_fails_and_measures_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = script("packed")

    def fails(configs: object) -> None:
        raise RuntimeError("LSE is not correctly aligned")

    for name, way in {"Alone": lambda _: lambda _: 2.0, "Packed": lambda _: lambda _: 6.0, "Mapped": fails}.items():
        monkeypatch.setattr(packed, name, way)
    packed.main(["--models", "2", "--width", "8", "--steps", "2", "--rounds", "2"])
    figures = json.loads(capsys.readouterr().out)["widths"]["looped_d008"]
    assert (figures["packed_model_steps_per_second"], figures["packed_to_alone"]) == (6.0, 3.0)
    assert (figures["vmap_model_steps_per_second"], figures["vmap_to_alone"]) == (None, None)
    assert figures["vmap_failed"] == "RuntimeError: LSE is not correctly aligned"


def test_generate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    generate = script("generate")
    for name in ("RECURSIVE_ROWS", "FAST_ROWS", "STREAM_ROWS"):
        monkeypatch.setattr(generate, name, 20)
    generate.main([])
    figures = json.loads(capsys.readouterr().out)
    assert figures["stream_rows"] == 20
    assert figures["ratio"] > 0


@pytest.mark.check_all
def test_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate = script("evaluate")
    monkeypatch.setattr(evaluate, "RUNS", 1)
    monkeypatch.setattr(evaluate, "ROWS", 20)
    checkpoint = str(save_checkpoint(tmp_path / "c", build_model("looped_d008"), build_tokenizer(10), {}))
    evaluate.main(["--task", "max", "--good", checkpoint, "--bad", checkpoint])
    figures = json.loads(capsys.readouterr().out)
    assert figures["good"]["rows"] == figures["bad"]["rows"] == 20


@pytest.mark.check_all
def test_scoring(capsys: pytest.CaptureFixture[str]) -> None:
    script("scoring").main(["--models", "2", "--model", "looped_d008", "--num-rows", "20"])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["models"], figures["rows_of_each"]) == (2, 40)
    assert figures["seconds"] > 0


def test_sampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(save_checkpoint(tmp_path / "c", build_model("nrgpt_d008"), build_tokenizer(10), {}))
    script("sampled").main([checkpoint, "--task", "max_nrgpt", "--times", "2", "--num-rows", "5"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["rows"] == 5
    assert 0 <= figures["sampled"]["lowest"] <= figures["sampled"]["mean"] <= figures["sampled"]["highest"] <= 1
    assert figures["traces"] <= figures["answers"] <= figures["greedy"]


@pytest.mark.check_all
def test_gpu_check_without_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its command says so. Its parts run on a CPU too; one that fails is told of, and late ones are left out."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gpu = script("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--output", str(tmp_path / "check.json")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
    words = "--models 2 --steps 1 --rounds 1 --trained-steps 2 --scored 1 --rows 5 --widths 8"
    check = gpu.Check(gpu.parser().parse_args(words.split()))
    alone = ("kernels compiled", "tests")  # these start processes
    for part in (part for part in check.plan() if part[0] not in alone):
        check.part(*part)
    assert "precision 'tf32' needs a GPU" in check.parts["packed d008 tf32"]["failed"]
    for name, figure in {
        "packed d008 bf16": "model_steps_per_second",
        "mixed d008 fp32": "time_per_token_ratio",
        "trained and scored d008": "scored",
        "launched d008 fp32": "steps_per_second",
    }.items():
        assert check.parts[name][figure] > 0
    assert len([*check.lines()]) == len(check.parts)
    late = gpu.Check(gpu.parser().parse_args([*words.split(), "--seconds", "0"]))
    for part in late.plan():
        late.part(*part)
    assert {"left_out"} == {key for found in late.parts.values() for key in found}


@pytest.mark.check_all
def test_against_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    against = script("against")
    monkeypatch.setattr(against, "UNTIMED", 8)
    names = ["one looped_d016", "8 packed looped_d008", "scoring looped_d048"]
    against.main([str(BENCHMARKS.parent), "--steps", "16", "--works", *names])
    figures = json.loads(capsys.readouterr().out)
    assert figures["before"] == figures["after"]
    assert [work["pairs"] for work in figures["works"].values()] == [16, 2, 2]


@pytest.mark.check_all
def test_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Copies are valid, beside each other too: none is left out."""
    published = tmp_path / "published"
    write(published / "results", [result("sum", share, seed=seed) for seed, share in enumerate((0.3, 0.97))])
    script("board").main(["--published", str(published), "--results", "9", "--times", "1"])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["results"], figures["published_results"], figures["built"]) == (9, 2, 9)
    assert figures["page"]["bytes"] > 0
