"""The report: any checkpoints in one call, numbers that are read back, a page that works from a file, clear errors."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from listops_bench.analysis.comparison import compare_checkpoints
from listops_bench.analysis.findings import FILE_NAME, read_findings
from listops_bench.analysis.reliance import Accuracy
from listops_bench.analysis.report._figures import checkpoint_figures, comparison_figures
from listops_bench.analysis.report._page import all_tests, comparison_table, kept_from, most_missed, page
from listops_bench.analysis.report.build import write_report
from listops_bench.analysis.study import Analysis, analyse
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.checkpoint import load_checkpoint, save_checkpoint, weights_sha256
from listops_bench.model.ladder import build_model, load_config
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.stats.intervals import Summary
from listops_bench.train.run import train
from tests.support.commands import Run
from tests.support.fake_checkpoints import make_checkpoint, run_record
from tests.support.runs import small

ROWS = 30
FIGURES = {"axes", "chance", "waves", "cosine", "norms", "ablations", "pairs", "triples"}
BESIDE = {"compare", "axes", "reliance"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained run with checkpoints on its way, and other families, sizes and trainings."""
    runs = tmp_path_factory.mktemp("runs")
    options = {"model": "looped_d016", "checkpoint_steps": 30, "learning_rate": 4e-3}
    train(small(runs / "trained", curriculum="max:40,sum_max:20", **options))
    found = {"trained": runs / "trained"}
    for name, model in (
        ("alone", "looped_d008"),
        ("again", "looped_d008"),
        ("gpt2", "gpt2_d016"),
        ("llama", "llama_d016"),
    ):
        curriculum = "sum_med:30" if name == "gpt2" else "sum:30"
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
    assert [(a.name, a.architecture, a.layers[1].name) for a in analyses] == [
        ("trained", "looped_d016", "after loop 1"), ("alone", "looped_d008", "after loop 1"),
        ("again", "looped_d008", "after loop 1"), ("gpt2", "gpt2_d016", "after layer 1"),
        ("llama", "llama_d016", "after layer 1"),
    ]  # fmt: skip
    assert {a.asked for a in analyses} == {("sum",)}, "the operations that all were trained on"
    assert analyses[3].operations == ("sum", "med")
    for a in analyses:
        assert a.output is None, "the ladder ties its embeddings"
        assert a.weights_sha256 == weights_sha256(a.folder)
        assert len(a.layers) == 4
        assert [layer.probe is None for layer in a.layers] == [True, False, False, False]
        assert {table.operation for table in a.tables} == set(a.operations)


def test_accuracies_are_those_of_an_evaluation(analyses: list[Analysis], folders: dict[str, Path]) -> None:
    (result,) = evaluate_checkpoint(folders["trained"], ["max"], ["test", "test_unseen_operands"], num_rows=ROWS)
    for split, found in (("test", analyses[0].seen), ("test_unseen_operands", analyses[0].unseen)):
        assert found["max"].exact == result.splits[split].metrics.trace_accuracy  # type: ignore[index]


def test_the_saved_steps_are_followed_to_the_end(analyses: list[Analysis]) -> None:
    steps = analyses[0].saved_steps
    assert [saved.step for saved in steps] == [0, 30, 60]
    assert set(steps[0].accuracy) == {"sum", "max"}
    assert steps[-1].embedding.order.regression == analyses[0].embedding.order.regression
    assert steps[0].embedding.order.regression != steps[1].embedding.order.regression
    assert not analyses[1].saved_steps
    assert kept_from(steps).operations == {"sum": None, "max": None}


def test_what_is_kept_is_there_at_every_later_step(analyses: list[Analysis]) -> None:
    first, second, third = analyses[0].saved_steps
    passed = {name: Accuracy(*[Summary.of(correct, 30)] * 2) for name, correct in (("sum", 30), ("max", 0))}
    steps = [replace(first, accuracy=passed), second, replace(third, accuracy=passed)]
    assert kept_from(steps).operations == {"sum": 60, "max": None}
    assert kept_from([first, replace(second, accuracy=passed), steps[2]]).operations == {"sum": 30, "max": None}


def test_untied_outputs_are_looked_at_apart(tmp_path: Path) -> None:
    config = load_config("llama_d016")
    config.tie_word_embeddings = False
    folder = save_checkpoint(tmp_path / "untied", build_model(config), build_tokenizer(10))
    (found,) = analyse([folder], num_rows=4, tasks=["sum"])
    assert found.output.order.regression.value != found.embedding.order.regression.value
    assert page([found], [[]], None, [])  # which says so


@pytest.mark.parametrize("modulus", [11, pytest.param(20, marks=pytest.mark.check_all)])
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
    findings = compare_checkpoints(analyses)
    assert findings.operation == "sum"
    assert [(g.kind, g.architecture, len(g.checkpoints)) for g in findings.groups] == [
        ("alone", "looped_d008", 2), ("alone", "llama_d016", 1), ("joint", "gpt2_d016", 1),
        ("transfer", "looped_d016", 1),
    ]  # fmt: skip
    pair = findings.groups[0]
    assert pair.order_mean.value == pytest.approx(sum(one.order.value for one in pair.checkpoints) / 2)
    assert pair.order_p_adjusted >= pair.order_mean.p
    table = comparison_table(findings)
    assert [row.strong for row in table.rows] == [False, False, True, False, False, False]
    assert [column.name for column in table.columns][:3] == ["curriculum", "model", "seed"]
    alike = comparison_table(compare_checkpoints(analyses[1:3]))
    assert [column.name for column in alike.columns][:2] == ["curriculum", "seed"], "one model for all"
    assert {figure.name for figure in comparison_figures(findings, analyses)} == {"compare", "axes"}, "loops and layers"


@pytest.mark.parametrize(("most", "drawn"), [(18, 5), (7, 4), (3, None)])
def test_of_many_checkpoints_each_group_shows_its_first(
    analyses: list[Analysis], monkeypatch: pytest.MonkeyPatch, most: int, drawn: int | None
) -> None:
    monkeypatch.setattr("listops_bench.analysis.report._figures.MOST_PANELS", most)
    figures = comparison_figures(compare_checkpoints(analyses), analyses)
    panels = [figure.svg.count(">axis 1: ") for figure in figures if figure.name == "axes"]
    assert panels == ([] if drawn is None else [drawn])


def test_checkpoints_without_a_common_operation_are_compared_each_on_its_own(tmp_path: Path) -> None:
    folders = [make_checkpoint(tmp_path / op, run_record(f"{op}:30"), "looped_d008") for op in ("sum", "max")]
    found = analyse(folders, num_rows=4)
    findings = compare_checkpoints(found)
    assert findings.operation == ""
    for one, analysis in zip(findings.checkpoints, sorted(found, key=lambda of: of.name), strict=True):
        assert one.last_step == analysis.reliance.intact[analysis.operations[0]].last_step
    assert {figure.name for figure in comparison_figures(findings, found)} >= BESIDE


def test_the_sublayers_missed_most_and_least_are_named(analyses: list[Analysis]) -> None:
    assert most_missed(analyses[1].reliance, "sum") is None, "an untrained model has little to lose"
    of = analyses[0].reliance
    known = replace(of, intact={"max": Accuracy(Summary.of(9, 10), Summary.of(9, 10))})
    missed = most_missed(known, "max")
    left = [a.accuracy["max"].last_step.accuracy for a in of.ablations if a.method == "mean" and a.layer is not None]
    assert (missed.most_left, missed.least_left) == (min(left), max(left))
    assert missed.most.partition(" of ")[0] in ("attention", "feed-forward")


# --- what is written --------------------------------------------------------------------------------------------------


def test_the_numbers_are_json(report: Path, analyses: list[Analysis]) -> None:
    record = json.loads((report / "analysis.json").read_text(), parse_constant=lambda _: pytest.fail("NaN"))
    first = record["checkpoints"][0]
    assert first["name"] == "trained"
    order = first["layers"][0]["numbers"]["order"]["regression"]
    assert order["value"] == pytest.approx(analyses[0].embedding.order.regression.value, abs=1e-6)
    assert "null" not in order
    assert len(first["layers"][0]["numbers"]["cosine"]) == 10
    assert first["reliance"]["intact"]["sum"]["exact"]["n"] == ROWS


def test_the_comparison_is_read_back_as_it_was_found(report: Path, analyses: list[Analysis]) -> None:
    written, found = read_findings(report / FILE_NAME), compare_checkpoints([analyses[0], analyses[3]])
    assert [one.weights_sha256 for one in written.checkpoints] == [one.weights_sha256 for one in found.checkpoints]
    for one, other in zip(written.checkpoints, found.checkpoints, strict=True):
        assert (one.exact, one.last_step, one.without) == (other.exact, other.last_step, other.without)
        assert one.order.p == pytest.approx(other.order.p, abs=1e-6)
    whole = analyses[3].reliance.find("attention", None, "mean").accuracy["sum"].last_step
    assert written.checkpoints[0].without["attention"]["all"] == whole
    table = [line for line in (report / "comparison.md").read_text().splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(written.checkpoints)


def test_all_tests_of_every_layer_are_a_table(analyses: list[Analysis]) -> None:
    rows = all_tests(analyses[0]).rows
    assert [row.cells[0].text for row in rows if row.cells[0].text] == [layer.name for layer in analyses[0].layers]
    assert len(rows) == 4 * 8 + 3 * 3, "order twice, classes modulo 2 to 5, parity beyond order, waves; three probes"


@pytest.mark.browser
def test_the_page_works_from_a_file(report: Path, chromium: Any, console: Callable[[Any], list[str]]) -> None:
    text = (report / "index.html").read_text()
    assert "://" not in text.replace("http://www.w3.org/", ""), "nothing is loaded from elsewhere"
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
    assert all(caption.text for caption in chromium.find_elements("css selector", "figure > figcaption"))
    assert len(chromium.find_elements("css selector", "figure > figcaption")) == len(figures)
    # Pointing at a mark tells its numbers.
    mark = "document.querySelector('#compare svg [aria-roledescription=point]')"
    told = chromium.execute_script(
        f"{mark}.dispatchEvent(new PointerEvent('pointermove', {{bubbles: true}}));"
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


def test_the_command_leaves_nothing_of_an_earlier_report(
    folders: dict[str, Path], tmp_path: Path, command: Run
) -> None:
    out = tmp_path / "out"
    for name in ("figures/7-axes.svg", "comparison.md"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("of an earlier report")
    code, printed, error = command("analyze", str(folders["alone"]), "--output-dir", str(out), "--num-rows", "4")
    assert (code, printed) == (0, f"{out / 'index.html'}\n")
    assert "alone: reliance" in error
    assert (out / "figures" / "axes.png").read_bytes().startswith(b"\x89PNG")
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    pictures = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    assert files == {"index.html", "analysis.json"} | pictures


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda folder: folder, "is not a folder"),
        (lambda folder: make_checkpoint(folder, {"name": "x"}), "does not say what it was trained on; name the tasks"),
        (
            lambda folder: make_checkpoint(folder, run_record("max_mod3:30"), modulus=3),
            "3 numbers, and 4 are the least",
        ),
    ],
)
def test_what_cannot_be_analysed_is_one_line(make: Any, complaint: str, tmp_path: Path, command: Run) -> None:
    folder = make(tmp_path / "checkpoint")
    code, _, error = command("analyze", str(folder), "--output-dir", str(tmp_path / "out"))
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith(f"error: checkpoint '{folder}'")
    assert complaint in error
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
