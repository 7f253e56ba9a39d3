"""The board: grouping over seeds, what may be compared, escaping, and the same bytes every time."""

import csv
import dataclasses
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.leaderboard import _page, arms as arms_module, board as board_module
from listops_bench.leaderboard.board import Board, boards, read_boards
from listops_bench.leaderboard.figures import Curve, figures
from listops_bench.leaderboard.groups import Setting
from listops_bench.leaderboard.output import build, read_curve
from listops_bench.pages.chart import COLOURS, WIDTH, Figure
from listops_bench.result import checks
from listops_bench.result.files import result_path
from listops_bench.result.format import Architecture, Model, Recipe, Result
from listops_bench.result.learned import learned
from listops_bench.result.verified import Verification, read_verified, result_sha256, write_verified
from listops_bench.runs.record import Parameters
from listops_bench.score.held_out import HeldOutSteps
from listops_bench.tasks.pages import own_pages
from listops_bench.tasks.task import get_task, single_tasks
from listops_bench.tasks.training_kinds import plan_of, training_kind
from tests.support.commands import Run, run_python
from tests.support.fake_results import (
    CURVES,
    NASTY,
    demo_results,
    files_of,
    ladder_results,
    learning,
    many_results,
    nasty_results,
    result,
    split_result,
    write,
)

SHA = "ab" * 32


# --- grouping ---------------------------------------------------------------------------------------------------------


def test_seeds_of_a_recipe_are_one_group_in_the_order_of_seeds() -> None:
    (board,) = boards(reversed(demo_results()))
    assert [(g.task, g.kind, len(g.runs)) for g in board.groups] == [
        ("sum", "alone", 2), ("sum", "joint", 2), ("sum", "transfer", 2), ("sum_max_med", "joint", 2),
    ]  # fmt: skip
    alone = board.groups[0]
    assert [run.result.recipe.seed for run in alone.runs] == [0, 1]
    assert [summary.accuracy for summary in alone.summaries()] == [0.041, 0.052]
    assert alone.mean() == pytest.approx(0.0465)
    assert (board.num_models, board.num_results) == (6, 8)


@pytest.mark.parametrize(
    "change", [{"track": "open"}, {"recipe": Recipe("another", 1)}, {"width": 64}, {"curriculum": "sum:4000"}]
)
def test_what_is_not_the_same_recipe_is_another_group(change: dict[str, Any]) -> None:
    (board,) = boards([result(seed=0), result(**({"seed": 1} | change))])
    assert [len(group.runs) for group in board.groups] == [1, 1]


def test_other_versions_stand_on_boards_of_their_own_newest_first() -> None:
    versions = [("0.9.0", "1.0"), ("0.10.0", "1.0"), ("0.10.0", "1.1"), ("0.2.0", "2.0")]
    found = boards([result(dataset_version=d, scorer_version=s) for d, s in versions])
    assert [(board.dataset_version, board.scorer_version) for board in found] == [
        ("0.10.0", "1.1"), ("0.10.0", "1.0"), ("0.9.0", "1.0"), ("0.2.0", "2.0"),
    ]  # fmt: skip
    assert all(board.num_results == 1 for board in found)


@pytest.mark.parametrize(
    ("curriculum", "task", "kind"),
    [
        ("sum:3000", "sum", "alone"),
        ("sum:1000,sum:2000", "sum", "alone"),
        ("sum_max_med:3000", "sum_max_med", "joint"),
        ("sum_max_med:3000", "sum", "joint"),
        ("sum*0.5+max_med*0.5:3000", "sum", "joint"),
        ("sum*0.5+max_med*0.5:3000", "sum_max_med", "joint"),
        ("max_med:1200,sum:1800", "sum", "transfer"),
        ("max_med:1200,sum:1800", "max", "transfer"),
        ("max_med:3000", "sum", "other"),
        ("sum_mod20:3000", "sum_mod20", "alone"),
        ("sum_max_nrgpt:3000", "sum_nrgpt", "joint"),
        ("sum_max_nrgpt:3000", "sum", "other"),
        ("sum_max:3000", "sum_nrgpt", "other"),
        ("max:1000,sum_nrgpt:2000", "sum_nrgpt", "other"),
        ("sum:3000/init-parts=embeddings", "sum", "other"),
        ("max:1000,sum:2000/init-parts=embeddings", "sum", "transfer"),
        ("not stated", "sum", "other"),
    ],
)
def test_kinds_of_training(curriculum: str, task: str, kind: str) -> None:
    assert training_kind(curriculum, task) == kind
    assert kind in COLOURS


def test_regimes_are_settings_of_their_own() -> None:
    one, other = result("sum", curriculum="sum:3000"), result("sum_nrgpt", curriculum="sum_nrgpt:3000")
    assert Setting.of(one).regime == ""
    assert Setting.of(other) == dataclasses.replace(Setting.of(one), regime="nrgpt")


def test_plans_in_words() -> None:
    assert plan_of("max_med:1200,sum:1800") == "max_med, then sum"
    assert plan_of("sum*0.5+max_med*0.5:3000") == "sum + max_med"
    assert plan_of("sum:1,sum:2") == "sum"
    assert plan_of("max:1,sum:2/init-parts=attention/freeze=a*") == "max, then sum/init-parts=attention/freeze=a*"
    assert plan_of("made by hand") == "made by hand"


def test_the_matrix_shows_the_best_recipe_of_a_size_and_says_of_how_many() -> None:
    worse = result("sum", 0.5, recipe=Recipe("slow", 0))
    (board,) = boards([result("sum", 0.9), worse])
    ((size, groups),) = board.matrix.items()
    assert size.kind == "alone"
    assert [group.mean() for group in groups["sum"]] == [0.9, 0.5]
    html = _page.page(board, title="x")
    assert "best of 2 recipes" in html
    assert "90.0%" in html


# --- learned ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("correct", "verdict"), [(4749, False), (4750, True), (5000, True)])
def test_learned_is_95_percent_of_the_test_rows(correct: int, verdict: bool) -> None:
    assert learned({"sum": result("sum", correct / 5000)}, "sum") is verdict


def test_a_joint_task_is_learned_when_each_operation_is() -> None:
    results = {task: result(task, 0.97) for task in ("sum_max_med", "sum", "max", "med")}
    assert learned(results, "sum_max_med") is True
    assert learned(results | {"sum": result("sum", 0.6)}, "sum_max_med") is False
    del results["med"]
    assert learned(results, "sum_max_med") is None
    assert learned(results | {"sum": result("sum", 0.6)}, "sum_max_med") is False
    assert learned({"sum": result(splits={"test_deeper": split_result(1, 100)})}, "sum") is None


def test_single_tasks_keep_modulus_and_depth() -> None:
    assert single_tasks("sum_max_mod20_depth3") == ("sum_mod20_depth3", "max_mod20_depth3")
    assert single_tasks("sum") == ()


def test_an_undecided_seed_is_shown_as_a_range() -> None:
    (board,) = boards(demo_results())
    assert [group.learned for group in board.groups] == ["0/2", "1/2", "2/2", "0–1/2"]


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    build(write(folder / "results", demo_results()), folder, lead="SUM & more <helped>.")
    return folder


def test_what_is_built(demo: Path) -> None:
    names = sorted(files_of(demo / "site"))
    model = next(name for name in names if name.startswith("models/looped_d048-"))
    files = ["results.csv", "results.json", "results.parquet", "thresholds.json"]
    assert names == ["figures/runs.png", "figures/runs.svg", "index.html", model, *files]
    html = (demo / "site/index.html").read_text()
    assert "SUM &amp; more &lt;helped&gt;." in html
    assert "n = 5,000" in html
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]+"', "", html), "nothing is fetched from anywhere"
    assert (demo / "site/figures/runs.png").read_bytes().startswith(b"\x89PNG")


def test_files_for_other_programs_hold_every_run_once_and_no_formula(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    found = [*demo_results(), result("max", 0.5, curriculum="=max:10", width=24)]
    site = build(write(tmp_path / "results", found), tmp_path).page.parent
    rows = json.loads((site / "results.json").read_text())
    assert pq.read_table(site / "results.parquet").to_pylist() == rows
    assert {(row["weights_sha256"], row["task"], row["test_exact_traces"]) for row in rows} == {
        (one.model.weights_sha256, one.task.name, one.splits["test"].metrics.trace_accuracy.correct) for one in found
    }
    lines = list(csv.DictReader((site / "results.csv").read_text().splitlines()))
    assert [{key: str(value) if value is not None else "" for key, value in row.items()} for row in rows] == [
        line | {"curriculum": line["curriculum"].removeprefix("'")} for line in lines
    ]
    assert {line["curriculum"] for line in lines} >= {"'=max:10"}


def test_the_same_results_give_the_same_bytes(demo: Path, tmp_path: Path) -> None:
    write(tmp_path / "results", list(reversed(demo_results())))
    build(tmp_path / "results", tmp_path, lead="SUM & more <helped>.")
    assert files_of(tmp_path / "site") == files_of(demo / "site")
    assert (tmp_path / "README.md").read_bytes() == (demo / "README.md").read_bytes()
    build(tmp_path / "results", tmp_path, lead="SUM & more <helped>.")
    assert files_of(tmp_path / "site") == files_of(demo / "site")


def test_markdown_holds_every_seed_with_n_and_interval(demo: Path) -> None:
    text = (demo / "README.md").read_text()
    assert "4.1% (3.6–4.7), n=5,000; 5.2% (4.6–5.9), n=5,000" in text
    assert "![Every run](site/figures/runs.svg)" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len(lines) for lines in tables] == [5, 4, 6, 6]  # matrix, the two that learned SUM, challenges, results
    for lines in tables:
        assert len({re.sub(r"\\\|", "", line).count("|") for line in lines}) == 1


def test_an_empty_board_says_how_to_begin(tmp_path: Path) -> None:
    built = build(write(tmp_path / "results", []), tmp_path)
    assert built.num_results == 0
    assert "No results yet" in built.page.read_text()
    assert "No results yet" in built.markdown.read_text()


def test_older_boards_have_pages_and_go_away_with_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "DATASET_VERSIONS", ("0.0.9", "1.0.0"))
    results = tmp_path / "results"
    write(results, [result(seed=0), result(seed=1, dataset_version="0.0.9")])
    build(results, tmp_path)
    older = tmp_path / "site/board-0.0.9-1.0.html"
    assert older.exists()
    newest = (tmp_path / "site/index.html").read_text()
    assert 'href="board-0.0.9-1.0.html"' in newest
    assert 'href="index.html"' in older.read_text()
    assert "1 result of 1 model on 1 task, 0 of the results verified, dataset" in newest
    assert "Earlier board: dataset 0.0.9" in (tmp_path / "README.md").read_text()
    (tmp_path / "site/notes.html").write_text("mine")
    for path in results.rglob("*.json"):
        if '"0.0.9"' in path.read_text():
            path.unlink()
    build(results, tmp_path)
    assert not older.exists()
    assert (tmp_path / "site/notes.html").exists()


def test_files_that_fail_are_named_and_left_out(tmp_path: Path, command: Run) -> None:
    results = write(tmp_path / "results", demo_results())
    path = next(results.rglob("sum_max_med.json"))
    good = path.read_text()
    for text in (
        good.replace('"correct": 4955', '"correct": 4956', 1),
        "{",
        good.replace('"total": 35', '"total": 9' * 300),
    ):
        path.write_text(text)
        with pytest.raises(InvalidInput, match=re.escape(str(path))):
            build(results, tmp_path / "strict")
        assert not (tmp_path / "strict").exists()
    code, out, err = command("leaderboard", "build", str(results), "--output-dir", str(tmp_path))
    assert (code, out.startswith("7 results:"), len(err.splitlines())) == (0, True, 1)
    assert err.startswith(f"left out: {path}: ")
    with pytest.raises(InvalidInput, match="does not exist"):
        build(tmp_path / "nothing", tmp_path / "out")


def test_building_imports_no_torch(tmp_path: Path) -> None:
    write(tmp_path / "results", demo_results())
    code = "import sys; from listops_bench.leaderboard import build; build('results', '.'); "
    code += "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    assert run_python(code, tmp_path).stdout.strip() == "[]"


OTHER_PROCESS = """
import json, sys
from listops_bench.leaderboard import read_boards
(board,) = read_boards("results")
board.estimate()
told = [[a.task, a.threshold.estimate, a.threshold.low, a.threshold.plateau.estimate, a.runs] for a in board.arms]
print(json.dumps([board.summary, told, "torch" in sys.modules]))
"""


def test_a_board_read_by_two_processes_is_that_of_one(tmp_path: Path) -> None:
    """Every second file, and arm, is the other's; the names of a regime of one's own are known to both afterwards."""
    page = tmp_path / "small.yaml"
    page.write_text("nest_probability: 0.3\n")
    task = get_task(f"sum@{page}")
    own = {"pages": own_pages(task.page_words), "curriculum": f"{task.name}:3000"}
    found = [result(task.name, 0.4 + 0.55 * (w > 32), width=w, seed=s, **own) for w in (16, 32, 48) for s in range(2)]
    found += ladder_results(seeds=2)
    write(tmp_path / "results", found)
    (board,) = boards(found)
    arms = [[a.task, a.threshold.estimate, a.threshold.low, a.threshold.plateau.estimate, a.runs] for a in board.arms]
    assert {arm[0] for arm in arms} >= {task.name, "sum"}
    done = run_python(OTHER_PROCESS, tmp_path)
    assert json.loads(done.stdout) == [board.summary, arms, False], done.stderr


# --- hostile names ----------------------------------------------------------------------------------------------------


def test_nothing_from_a_result_becomes_markup(tmp_path: Path) -> None:
    build(write(tmp_path / "results", nasty_results()), tmp_path, title=NASTY, lead=NASTY)
    html = (tmp_path / "site/index.html").read_text()
    assert html.count("<script>") == html.count("</script>") == 1
    models = {path.name: path.read_text() for path in tmp_path.glob("site/models/*.html")}
    assert len(models) == 2
    assert all(re.fullmatch(r"[a-z0-9_-]+\.html", name) for name in models)
    assert not any("<img" in text for text in (html, *models.values()))
    assert not any("<script" in text for text in models.values())
    # On GitHub, code spans hold the names: a tag outside one would be markup.
    text = re.sub(r"`[^`\n]*`", "", (tmp_path / "README.md").read_text())
    assert "<img" not in text
    for svg in tmp_path.rglob("*.svg"):
        root = ElementTree.fromstring(svg.read_text())
        assert not [e for e in root.iter() if e.tag.endswith(("img", "script", "foreignObject"))]


# --- models, marks, and what others have measured ---------------------------------------------------------------------


def test_each_model_has_a_page_with_every_seed_slice_and_origin(tmp_path: Path) -> None:
    of_hub = Model("org/small", "abc123" + 34 * "0", SHA)
    held_out = {"max": HeldOutSteps.of(90, {(1, 2, 3): (40, 50)})}
    unseen = dataclasses.replace(split_result(0.8, 2000), held_out=held_out)
    one = result(model=of_hub, learning=learning((100, 0.2), (200, 0.9)))
    one = dataclasses.replace(one, splits=one.splits | {"test_unseen_operands": unseen})
    build(write(tmp_path / "results", [one, result(seed=1), result("max", width=64)]), tmp_path)
    names = {path.name.rpartition("-")[0]: path for path in tmp_path.glob("site/models/*.html")}
    assert set(names) == {"looped_d048", "looped_d064"}
    html = names["looped_d048"].read_text()
    assert f'href="https://huggingface.co/org/small/tree/abc123{34 * "0"}"' in html
    assert 'href="../index.html"' in html
    assert html.count("97.0%<small>96.5–97.4, n = 5,000</small>") == 2
    for text in ("Decisive depth", "Held-out step", "n = 50 of 90 steps, 1 multisets", "AMD EPYC", "<polyline"):
        assert text in html
    index = (tmp_path / "site/index.html").read_text()
    links = set(re.findall(r'href="(models/[^"]+)"', index))
    pages = {link.partition("#")[0] for link in links}
    assert pages == {f"models/{path.name}" for path in names.values()}
    anchors = {link: f'id="{link.partition("#")[2]}"' for link in links if "#" in link}
    assert len(anchors) == 2
    assert all(anchor in (tmp_path / "site" / link.partition("#")[0]).read_text() for link, anchor in anchors.items())


def verify_in(results: Path, one: Result, **found: Any) -> Path:
    """Records that a result is verified, and gives its file."""
    path, where = result_path(results, one), one.evaluation.environment
    name = path.relative_to(results).as_posix()
    record = Verification(name, 11_000, 0, True, "2026-11-24T12:00:00Z", where, **found)
    write_verified(results, {result_sha256(one): record})
    return path


def test_what_was_verified_is_marked_until_a_digit_changes(tmp_path: Path) -> None:
    results = write(tmp_path / "results", demo_results())
    path = verify_in(results, demo_results()[0])
    for layout in ({}, {"indent": 2}, {"sort_keys": True}):
        path.write_text(json.dumps(json.loads(path.read_text()), **layout))
        (board,) = read_boards(results)
        assert [group.verified for group in board.groups] == ["1/2", "no", "no", "no"]
    build(results, tmp_path)
    assert ", verified 2026-11-24" in (tmp_path / "site/index.html").read_text()
    assert "| reference | 1/2 |" in (tmp_path / "README.md").read_text()
    path.write_text(path.read_text().replace("110.5", "110.6"))
    (board,) = read_boards(results)
    assert [group.verified for group in board.groups] == ["no"] * 4


def test_every_count_says_how_many_are_verified(tmp_path: Path) -> None:
    found = [
        result(task, 0.97, curriculum="sum_max:3000", width=w) for w in (24, 64) for task in ("sum_max", "sum", "max")
    ]
    results = write(tmp_path / "results", found)
    records = {}
    for one in found[:2]:  # a joint task is learned by its operations, too, of which one is not verified
        path = result_path(results, one).relative_to(results).as_posix()
        records[result_sha256(one)] = Verification(path, 9, 0, True, "2026-11-24T12:00:00Z", one.evaluation.environment)
    write_verified(results, records)
    (board,) = read_boards(results)
    assert {arm.task: arm.verified for arm in board.arms} == {"sum_max": 0, "sum": 1, "max": 0}
    build(results, tmp_path)
    assert "| 2 (1 verified) |" in (tmp_path / "README.md").read_text()
    counts = json.loads((tmp_path / "site/thresholds.json").read_text())[0]["thresholds"]
    assert {arm["task"]: arm["runs_verified"] for arm in counts} == {"sum_max": 0, "sum": 1, "max": 0}


def test_a_verified_row_shows_what_was_measured(tmp_path: Path) -> None:
    claimed, measured = result(accuracy=0.95), result(accuracy=0.9498)
    results = write(tmp_path / "results", [claimed, result(seed=1)])
    verify_in(results, claimed, splits={"test": measured.splits["test"]})
    ((group,),) = (board.groups for board in read_boards(results))
    assert [(s.correct, run.learned, run.verified) for run, s in group.scored] == [
        (4749, False, True),
        (4850, True, False),
    ]
    ((alone,),) = (board.groups for board in read_boards(results, verified_only=True))
    assert [run.seed for run in alone.runs] == ["seed 0"]
    assert [board.summary.partition(", ")[2] for board in read_boards(results)] == ["1 of the results verified"]
    other = write(tmp_path / "elsewhere" / "results", [claimed])
    write_verified(other, read_verified(results))
    path = result_path(other, claimed)
    path.parent.rename(path.parent.parent / "moved")
    left: list[str] = []
    assert read_boards(other, on_left_out=left.append) == []
    assert "belongs at" in left[0]


def test_models_that_another_harness_has_run_stand_beside_ours(tmp_path: Path) -> None:
    theirs = {
        "curriculum": None, "model": Model("big/llm", 40 * "a", None), "recipe": Recipe("lm-eval-5-shot", None),
        "track": "open", "parameters": Parameters(7_000_000_000, None, None, None),
        "architecture": Architecture("llm", "big/llm", "unknown", None, None, None, None),
    }  # fmt: skip
    few_shot = [result("sum", 0.4, **theirs), result("max", 0.98, **theirs)]
    build(write(tmp_path / "results", [*demo_results(), *few_shot]), tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| `big/llm` | 7,000,000,000 | otherwise |" in text
    assert "| `max` | `big/llm` | 7,000,000,000 | 1/1, unranked (verified: no) |" in text
    assert "no seed" in (tmp_path / "site/index.html").read_text()


# --- figures ----------------------------------------------------------------------------------------------------------


def labels(svg: str) -> list[str]:
    marks = (element.attrib for element in ElementTree.fromstring(svg).iter())
    return [mark["aria-label"] for mark in marks if "point" in mark.get("aria-roledescription", "")]


def test_every_point_of_every_figure_says_its_n() -> None:
    (board,) = boards(demo_results())
    drawn = {figure.name: figure for figure in figures(board, CURVES)}
    assert list(drawn) == ["runs", "curves"]
    for name, count in (("runs", 8), ("curves", 6)):
        found = labels(drawn[name].svg)
        assert len(found) == count
        assert all("n = " in text and "95% interval" in text for text in found)
    last = "max_med, then sum, seed 0, step 3,000: 98.0% (95% interval 96.4 to 98.9%), n = 500"
    assert last in labels(drawn["curves"].svg)


def test_sizes_are_drawn_where_there_are_several() -> None:
    many = [result("sum", 0.2 + 0.1 * i, width=width) for i, width in enumerate((16, 32, 48, 64))]
    (board,) = boards([*many, result("max", 0.99, width=16)])
    drawn = {figure.name: figure for figure in figures(board)}
    assert list(drawn) == ["learned", "thresholds", "shares", "runs", "sizes"]
    assert len(labels(drawn["sizes"].svg)) == 5
    assert all("parameters" in text and "n = 5,000" in text for text in labels(drawn["sizes"].svg))


@pytest.fixture(scope="module")
def ladder() -> tuple[Board, dict[str, Figure]]:
    (board,) = boards(ladder_results(seeds=3, widths=(8, 24, 64, 192)))
    return board, {figure.name: figure for figure in figures(board)}


def test_thresholds_and_times_are_drawn_of_a_ladder(ladder: tuple[Board, dict[str, Figure]]) -> None:
    board, drawn = ladder
    assert list(drawn) == ["learned", "partners", "difficulty", "thresholds", "shares", "runs", "sizes", "times"]
    for name in ("learned", "partners"):
        assert all("n = " in text for text in labels(drawn[name].svg))
    texts = labels(drawn["thresholds"].svg)
    assert len(texts) == len(board.arms) == 11
    assert any("N50 > 472,896" in text for text in texts)
    of_tasks = labels(drawn["difficulty"].svg)
    assert len(of_tasks) == len(board.measured)
    assert all("12 runs of 4 sizes" in text for text in (*texts, *of_tasks))
    assert all("of 3 runs have learned; median" in text for text in labels(drawn["times"].svg))
    assert drawn["sizes"].family == "looped"


def test_of_many_recipes_only_the_task_is_drawn_that_most_curricula_were_scored_on(
    ladder: tuple[Board, dict[str, Figure]],
) -> None:
    """A panel for each size, and every seed of each curriculum in it."""
    board, drawn = ladder
    runs = drawn["runs"]
    compared = [group for group in board.rows if group.task == "sum"]
    assert runs.title == "Every run scored on sum"
    assert len(compared) < len(board.rows)
    assert len(labels(runs.svg)) == sum(len(group.runs) for group in compared)
    for group in compared:
        assert f"{group.plan}, {group.budget:,} steps" in runs.svg
        assert f"{group.parameters:,} parameters, trained on" in runs.svg


def test_two_recipes_with_one_plan_are_two_rows() -> None:
    (board,) = boards([result(recipe=Recipe("fast-00000001", 0)), result(recipe=Recipe("slow-00000002", 0))])
    (figure,) = figures(board)
    assert "00000001" in figure.svg
    assert "00000002" in figure.svg


def test_figures_have_ids_of_their_own_and_fit_their_place() -> None:
    (board,) = boards(demo_results())
    seen: set[str] = set()
    for figure in figures(board, CURVES):
        root = ElementTree.fromstring(figure.svg)
        assert WIDTH - 60 <= float(root.attrib["width"]) <= WIDTH + 20
        ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
        assert not ids & seen
        seen |= ids
        assert set(re.findall(r"url\(#([^)]+)\)", figure.svg)) <= ids
    assert figure.png.startswith(b"\x89PNG")


def test_nothing_is_drawn_of_nothing() -> None:
    (board,) = boards([result(splits={"test_deeper": split_result(0.5, 100)})])
    assert figures(board, [Curve("sum", "alone", 0, [])]) == []
    assert "not scored on test rows" in _page.page(board, title="x")


# --- learning curves --------------------------------------------------------------------------------------------------


def make_run(folder: Path, lines: Sequence[object], **changes: Any) -> Path:
    record = {"curriculum": "max_med:1200,sum:1800", "seed": 1, "config": {"eval_rows": 256}} | changes
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "train_log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_curve_is_read_from_a_checkpoint_folder(tmp_path: Path) -> None:
    lines = [
        {"step": 50, "loss": 2.0},
        {"step": 250, "loss": 1.0, "validation": {"trace_accuracy": 0.1, "sum/trace_accuracy": 0.25}},
        {"step": 500, "loss": 0.5, "validation": {"max/trace_accuracy": 0.9}},
    ]
    curve = read_curve(make_run(tmp_path / "run", lines), "sum")
    assert curve == Curve("max_med, then sum", "transfer", 1, [(250, 64, 256)], [1200])
    many = read_curve(make_run(tmp_path / "many", lines[1:2], config={"eval_rows": 10**6}), "sum")
    assert many.points == [(250, 250, 1000)]


@pytest.mark.parametrize("changes", [{"config": {}}, {"curriculum": "sun:5"}, {"seed": "x"}, {"config": None}])
def test_a_run_that_is_none_is_an_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"run\.json"):
        read_curve(make_run(tmp_path / "run", [], **changes), "sum")


def test_a_run_without_a_log_is_an_error(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [])
    log = run / "train_log.jsonl"
    for spoil, message in ((log.unlink, "cannot be read"), (lambda: log.write_text('{"step": \n'), "line 1")):
        spoil()
        with pytest.raises(InvalidInput, match=message):
            read_curve(run, "sum")


# --- many -------------------------------------------------------------------------------------------------------------


def test_a_build_reads_every_file_and_fits_every_arm_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()

    def counted(home: Any, name: str) -> None:
        function = getattr(home, name)

        def call(*args: Any) -> Any:
            calls[name] += 1
            return function(*args)

        monkeypatch.setattr(home, name, call)

    for home, name in ((board_module, "read_result"), (board_module, "all_arms"), (arms_module, "fit_threshold")):
        counted(home, name)
    built = build(write(tmp_path / "results", many_results(80)), tmp_path)
    (board,) = built.boards
    assert built.num_results == calls["read_result"] == 80
    assert calls["all_arms"] == 1
    assert (
        calls["fit_threshold"] == 2 * len(board.arms) < 2 * len(board.all_arms)
    )  # of ladders alone, on unseen operands too
    assert built.page.stat().st_size < 2_000_000
