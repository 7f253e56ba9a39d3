"""The report: any checkpoints in one call, numbers that are read back, a page that works from a file, clear errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from listops_bench.analysis.comparison import compare_checkpoints
from listops_bench.analysis.report import _text
from listops_bench.analysis.report._figures import checkpoint_figures
from listops_bench.analysis.report.build import write_report
from listops_bench.analysis.study import Analysis, analyse
from listops_bench.claims._studies import read_studies
from listops_bench.cli.command import main
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from listops_bench.model.ladder import build_model, load_config
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.train.run import train
from tests.support.fake_checkpoints import make_checkpoint, run_record
from tests.support.runs import small

ROWS = 30
FIGURES = {"axes", "chance", "waves", "cosine", "norms", "ablations", "pairs", "triples"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained run with checkpoints on its way, and other families, sizes and trainings."""
    runs = tmp_path_factory.mktemp("runs")
    config = small(
        runs / "trained", curriculum="max:40,sum_max:20", model="looped_d016", checkpoint_steps=30, learning_rate=4e-3
    )
    train(config)
    found = {"trained": runs / "trained"}
    for name, model, curriculum in (
        ("alone", "looped_d008", "sum:30"),
        ("again", "looped_d008", "sum:30"),
        ("gpt2", "gpt2_d016", "sum_med:30"),
        ("llama", "llama_d016", "sum:30"),
    ):
        found[name] = make_checkpoint(runs / name, run_record(curriculum, seed=len(found)), model)
    return found


@pytest.fixture(scope="module")
def analyses(folders: dict[str, Path]) -> list[Analysis]:
    return analyse(list(folders.values()), num_rows=ROWS)


@pytest.fixture(scope="module")
def report(analyses: list[Analysis], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on two of them."""
    out = tmp_path_factory.mktemp("report")
    write_report([analyses[0], analyses[3]], out)
    return out


# --- what is found ----------------------------------------------------------------------------------------------------


def test_sizes_and_families_are_analysed_in_one_call(analyses: list[Analysis], folders: dict[str, Path]) -> None:
    assert [a.name for a in analyses] == list(folders)
    assert [a.architecture for a in analyses] == [
        "looped_d016", "looped_d008", "looped_d008", "gpt2_d016", "llama_d016",
    ]  # fmt: skip
    assert {a.asked for a in analyses} == {("sum",)}, "the operations that all were trained on"
    assert analyses[3].operations == ("sum", "med")
    assert [p.name for p in analyses[0].places] == ["embedding", "after loop 1", "after loop 2", "after loop 3"]
    assert analyses[3].places[1].name == "after layer 1"
    assert all(a.output is None for a in analyses), "the ladder ties its embeddings"
    for a in analyses:
        assert a.weights_sha256 == weights_sha256(a.folder)
        assert a.places[1].probe is not None
        assert {table.operation for table in a.tables} == set(a.operations)


def test_accuracies_are_those_of_an_evaluation(analyses: list[Analysis], folders: dict[str, Path]) -> None:
    (result,) = evaluate_checkpoint(folders["trained"], ["max"], ["test", "test_unseen_operands"], num_rows=ROWS)
    for split, found in (("test", analyses[0].seen), ("test_unseen_operands", analyses[0].unseen)):
        assert found["max"].exact == result.splits[split].metrics.trace_accuracy  # type: ignore[index]


def test_the_saved_steps_are_followed_to_the_end(analyses: list[Analysis]) -> None:
    moments = analyses[0].moments
    assert [moment.step for moment in moments] == [0, 30, 60]
    assert set(moments[0].accuracy) == {"sum", "max"}
    assert moments[-1].embedding.order.regression == analyses[0].embedding.order.regression
    assert moments[0].embedding.order.regression != moments[1].embedding.order.regression
    assert not analyses[1].moments
    words = " ".join(_text.dynamics(moments))
    assert "SUM reaches 95% exact traces at no step to stay." in words
    assert "Only the 3 saved steps were looked at." in words


def test_untied_outputs_are_looked_at_apart(tmp_path: Path) -> None:
    config = load_config("llama_d016")
    config.tie_word_embeddings = False
    folder = save_checkpoint(tmp_path / "untied", build_model(config), build_tokenizer(10), run_record("sum:30"))
    (found,) = analyse([folder], num_rows=4)
    assert found.output is not None
    assert found.output.order.regression.value != found.embedding.order.regression.value
    assert "weights of its own" in " ".join(_text.representation(found))


@pytest.mark.parametrize("modulus", [11, 20])
def test_other_moduli(tmp_path: Path, modulus: int) -> None:
    run = run_record(f"sum_max_mod{modulus}:30")
    folder = make_checkpoint(tmp_path / "mod", run, "looped_d008", modulus)
    (found,) = analyse([folder], num_rows=4)
    assert found.modulus == modulus
    assert len(found.embedding.order.predicted) == modulus
    assert found.embedding.waves.shares.sum() == pytest.approx(1)
    if modulus == 20:
        names = {figure.name for figure in checkpoint_figures(found)}
        assert names == FIGURES - {"triples"}, "beyond twelve numbers its cells are too small to see"


def test_seeds_of_a_curriculum_stand_together(analyses: list[Analysis]) -> None:
    comparison = compare_checkpoints(analyses)
    assert comparison.operation == "sum"
    assert [(g.kind, g.architecture, len(g.lines)) for g in comparison.groups] == [
        ("alone", "looped_d008", 2), ("alone", "llama_d016", 1), ("joint", "gpt2_d016", 1),
        ("transfer", "looped_d016", 1),
    ]  # fmt: skip
    pair = comparison.groups[0]
    assert pair.order.value == pytest.approx(sum(line.order.value for line in pair.lines) / 2)
    assert pair.order_p >= pair.order.p
    head, rows = _text.comparison_table(comparison)
    assert "model" in head
    assert [is_mean for is_mean, _ in rows] == [False, False, True, False, False, False]
    alike = _text.comparison_table(compare_checkpoints(analyses[1:3]))
    assert "model" not in alike[0]
    assert {len(row) for _, row in alike[1]} == {len(alike[0])}


def test_words_follow_the_numbers(analyses: list[Analysis]) -> None:
    for a in analyses:
        words = _text.representation(a)
        p = min(1, 2 * min(a.embedding.order.regression.p, a.embedding.parity.p))
        if p >= 0.05:
            assert "shows no order of the numbers beyond chance" in words[0]
            assert "does not tell even from odd beyond chance" in words[1]
        assert _text.signed(a.embedding.order.regression.value) in words[0]
    untrained = " ".join(_text.reliance(analyses[1]))
    assert "ablations have little to take away" in untrained
    facts = _text.memorisation(analyses[3])
    assert facts[0].startswith("SUM: ")
    assert facts[1].startswith("MED: of the multisets of three")


# --- what is written --------------------------------------------------------------------------------------------------


def test_the_numbers_are_json(report: Path, analyses: list[Analysis]) -> None:
    record = json.loads((report / "analysis.json").read_text(), parse_constant=lambda _: pytest.fail("NaN"))
    first = record["checkpoints"][0]
    assert first["name"] == "trained"
    order = first["places"][0]["numbers"]["order"]["regression"]
    assert order["value"] == pytest.approx(analyses[0].embedding.order.regression.value, abs=1e-6)
    assert "null" not in order
    assert len(first["places"][0]["numbers"]["cosine"]) == 10
    assert first["reliance"]["intact"]["sum"]["exact"]["n"] == ROWS
    comparison = json.loads((report / "comparison.json").read_text())
    assert comparison["groups"][0]["checkpoints"][0]["weights_sha256"] == analyses[3].weights_sha256
    (study,) = read_studies(report)  # as the page of the claims reads it, which takes nothing else
    assert [len(group.checkpoints) for group in study.groups] == [len(g["checkpoints"]) for g in comparison["groups"]]
    whole = analyses[3].reliance.find("attention", None, "mean").accuracy["sum"].last_step
    assert study.groups[0].checkpoints[0].without["attention"]["all"].correct == whole.correct
    assert {figure.stem for figure in study.figures} >= {"axes", "compare"}
    table = (report / "comparison.md").read_text().splitlines()
    assert len({line.count("|") for line in table if line.startswith("|")}) == 1


@pytest.mark.browser
def test_the_page_works_from_a_file(report: Path, chromium: Any, console: Callable[[Any], list[str]]) -> None:
    page = (report / "index.html").read_text()
    assert "://" not in page.replace("http://www.w3.org/", ""), "nothing is loaded from elsewhere"
    chromium.get((report / "index.html").as_uri())
    assert console(chromium) == []
    headings = [h.text for h in chromium.find_elements("css selector", "h2, h3, summary") if h.is_displayed()]
    assert headings[0] == "Side by side, on SUM"
    assert "trained: max, then sum_max" in headings
    assert not chromium.find_elements("css selector", "#\\31 -axes")[0].is_displayed()
    # On paper everything is there, closed parts too.
    chromium.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    figures = {f.get_attribute("id") for f in chromium.find_elements("css selector", "figure") if f.is_displayed()}
    expected = {f"1-{n}" for n in FIGURES | {"dynamics"}} | {f"2-{n}" for n in FIGURES}
    assert figures == {"compare", "axes"} | expected
    assert all(
        f.find_element("css selector", "figcaption").text for f in chromium.find_elements("css selector", "figure")
    )
    # Pointing at a mark tells its numbers.
    mark = "document.querySelector('#compare svg [aria-roledescription=point]')"
    told = chromium.execute_script(
        f"{mark}.dispatchEvent(new PointerEvent('pointerover', {{bubbles: true}}));"
        f"return [document.getElementById('tip').textContent, {mark}.getAttribute('aria-label')]"
    )
    assert told[0] == told[1]
    assert "order" in told[0]


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out_of_the_page(report: Path, chromium: Any, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        chromium.get((report / "index.html").as_uri())
        chromium.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_report_and_leaves_nothing_of_an_earlier_one(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for name in ("figures/7-axes.svg", "comparison.md"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("of an earlier report")
    assert main(["analyze", str(folders["alone"]), "--output-dir", str(out), "--num-rows", "4"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'index.html'}\n"
    assert "alone: reliance" in printed.err
    assert (out / "figures" / "axes.png").read_bytes().startswith(b"\x89PNG")
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    pictures = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    assert files == {"index.html", "analysis.json"} | pictures


def foreign(folder: Path) -> Path:
    """A checkpoint whose words are not ours."""
    make_checkpoint(folder, run_record("sum:30"))
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(22)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0").save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (foreign, "the tokenizer's vocabulary is not that of a ListOps modulus"),
        (lambda folder: folder, "is not a folder"),
        (lambda folder: make_checkpoint(folder, {"name": "x"}), "does not say what it was trained on; name the tasks"),
        (
            lambda folder: make_checkpoint(folder, run_record("max_mod3:30"), modulus=3),
            "3 numbers, and 4 are the least",
        ),
    ],
)
def test_what_cannot_be_analysed_is_one_line(
    make: Any, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make(tmp_path / "checkpoint")
    assert main(["analyze", str(folder), "--output-dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: checkpoint '{folder}'")
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_given_twice_and_tasks_of_another_modulus(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is given twice"):
        analyse([folders["alone"], folders["alone"]])
    with pytest.raises(InvalidInput, match="device 'gpuu' is not there"):
        analyse([folders["alone"]], device="gpuu")
    with pytest.raises(InvalidInput, match="has modulus 20, and checkpoint"):
        analyse([folders["alone"]], tasks=["sum_mod20"])
    copy = tmp_path / "alone"
    shutil.copytree(folders["alone"], copy)
    found = analyse([folders["alone"], copy], num_rows=4, tasks=["max"])
    assert [a.name for a in found] == [f"{folders['alone'].parent.name}/alone", f"{tmp_path.name}/alone"]
    assert found[0].operations == ("max",)
    assert torch.equal(load_checkpoint(copy)[0].lm_head.weight, load_checkpoint(folders["alone"])[0].lm_head.weight)
