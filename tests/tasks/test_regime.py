"""Regimes: by name, as a page of one's own, and the regime of the pipeline NRGPT against its published file."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from listops_bench.errors import InvalidInput
from listops_bench.tasks.expression import parse
from listops_bench.tasks.generator import Rows, generate, rows_checksum
from listops_bench.tasks.pages import own_pages, remember_pages
from listops_bench.tasks.regime import Regime, describe_regime, regimes
from listops_bench.tasks.split import RULES, SPLITS, held_out_triples
from listops_bench.tasks.symbols import FIRST_NUMBER_ID, FIRST_OPERATION_ID
from listops_bench.tasks.task import get_task, single_tasks, task_order

PAGE = (
    "nest_probability: 0.25\ndepth_weights: [1]\nmed_operands: any\nunique: false\ntrace: single\nhold_out: triples\n"
)


def page(folder: Path, text: str = PAGE, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# --- names ------------------------------------------------------------------------------------------------------------


def test_a_regime_is_a_word_of_the_name() -> None:
    task = get_task("med_nrgpt_mod11_sum")
    assert task.name == "sum_med_mod11_nrgpt"
    assert task == get_task("sum_med", modulus=11, regime="nrgpt")
    assert get_task(task.name) == task
    assert single_tasks("sum_med_mod11_depth3_nrgpt") == ("sum_mod11_depth3_nrgpt", "med_mod11_depth3_nrgpt")
    assert sorted(["sum_nrgpt", "sum_max", "sum_mod11", "sum"], key=task_order) == [
        "sum", "sum_max", "sum_mod11", "sum_nrgpt",
    ]  # fmt: skip


def test_a_regime_gives_what_is_not_asked_for_otherwise() -> None:
    task = get_task("sum_med_nrgpt", trace="none", max_operands=4)
    assert (task.trace, task.unique, task.hold_out, task.operand_counts("med")) == ("none", False, "triples", (2, 3, 4))
    assert get_task("sum_med").operand_counts("med") == (3,)
    assert Regime().changes() == {}
    for name in regimes():
        assert get_task(f"sum_{name}") == get_task("sum", regime=name, **get_task(f"sum_{name}").changes())


def test_rows_follow_from_the_values_and_not_from_the_name(tmp_path: Path) -> None:
    task, named = get_task(f"sum_max@{page(tmp_path)}"), get_task("sum_max_nrgpt")
    for split in ("train", "test"):
        assert generate(task, split, num_rows=50).prompts() == generate(named, split, num_rows=50).prompts()


def test_a_page_of_ones_own_is_known_by_what_it_says(tmp_path: Path) -> None:
    task = get_task(f"max_sum_mod11@{page(tmp_path)}")
    assert get_task("sum_max", modulus=11, regime=str(tmp_path / "mine.yaml")) == task
    assert get_task(task.name) == task
    assert task.name.startswith("sum_max_mod11_mine_")
    moved = page(tmp_path, "# the same\n" + PAGE + "min_operands: 2\n", "other.yaml").rename(page(tmp_path))
    assert get_task(f"max_sum_mod11@{moved}") == task
    assert get_task(f"sum@{page(tmp_path, PAGE + 'max_operands: 4')}").regime != task.regime


def test_a_record_brings_the_pages_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = get_task(f"sum@{page(tmp_path, 'nest_probability: 0.3')}")
    kept = own_pages([task.regime, "nrgpt", ""])
    assert kept == {task.regime: {"nest_probability": 0.3}}
    monkeypatch.setattr("listops_bench.tasks._own.pages", {})
    with pytest.raises(InvalidInput, match=r"somebody's own page; name it by its path, as in sum@mine\.yaml"):
        get_task(task.name)
    remember_pages(kept, "run.json")
    assert get_task(task.name) == task
    for forged in (
        {task.regime: {"nest_probability": 0.4}},
        {task.regime: {"nest": 1}},
        {"nrgpt": {}},
        {task.regime: 3},
    ):
        with pytest.raises(InvalidInput, match=r"^run\.json: pages"):
            remember_pages(forged, "run.json")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sum_max_nrgtp", "did you mean 'sum_max_nrgpt'"),
        ("sum_nrgpt_nrgpt", "a second time"),
        ("sum_mod2_nrgpt", "modulus 2 is below 3"),
        ("nrgpt", "one or more different"),
        ("sum@none.yaml", "cannot read page 'none.yaml'"),
        ("sum_nrgpt@mine.yaml", "a second time"),
    ],
)
def test_bad_names_get_one_line(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        get_task(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nest_probabilty: 0.3", "unknown key 'nest_probabilty'; did you mean 'nest_probability'"),
        ("nest_probability: 1.5", "nest_probability 1.5 is not in 0..1"),
        ("num_test: 9", "unknown key 'num_test'"),
        ("hold_out: triple", "did you mean 'triples'"),
        ("med_operands: even", "med_operands"),
        ("depth_weights: [0.5, 0.4]", "add up to 1"),
        ("min_operands: 4", "max_operands 3 is not in 4..8"),
        ("- 1", "is not a mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_bad_pages_get_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        get_task(f"sum@{page(tmp_path, text)}")
    assert said in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["max.yaml", "mod3.yaml", "my_page.yaml", "Mine.yaml", "averyverylongname.yaml"])
def test_a_page_needs_a_name_that_is_a_word(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="becomes a word of task names"):
        get_task(f"sum@{page(tmp_path, name=name)}")


# --- nrgpt ------------------------------------------------------------------------------------------------------------

# Of the published file of 50,000 rows (max, median and sum modulo 10), counted from it. It writes "[SUM" as two tokens.
MEAN_TOKENS, TOKENS_SD, LONGEST, DEPTH_1 = 15.82, 9.19, 60, 0.5009
DISTINCT, DISTINCT_SD = 27_333, 108  # the spread is that of 30 of our own seeds
ANSWERS = [0.0401, 0.0523, 0.0668, 0.0776, 0.0932, 0.1065, 0.1213, 0.1342, 0.1448, 0.1632]


def test_train_rows_agree_with_the_published_file_within_sampling_error() -> None:
    """Four standard errors of the difference of two samples of 50,000 rows."""
    rows = generate(get_task("sum_max_med_nrgpt"), "train")
    n = len(rows)
    assert n == 50_000

    def near(share: float) -> float:
        return float(4 * np.sqrt(2 * share * (1 - share) / n))

    opened = (rows.ids >= FIRST_OPERATION_ID) & (rows.ids < FIRST_NUMBER_ID)
    tokens = rows.num_tokens + np.add.reduceat(opened, rows.offsets[:-1])
    assert tokens.mean() == pytest.approx(MEAN_TOKENS, abs=4 * TOKENS_SD * np.sqrt(2 / n))
    assert tokens.max() == LONGEST
    assert (rows.depth == 1).mean() == pytest.approx(DEPTH_1, abs=near(DEPTH_1))
    assert len(set(rows.prompts())) == pytest.approx(DISTINCT, abs=4 * np.sqrt(2) * DISTINCT_SD)
    answers = np.bincount(rows.answer, minlength=10) / n
    assert all(share == pytest.approx(due, abs=near(due)) for share, due in zip(answers, ANSWERS, strict=True))


def _rows(task: str, split: str, n: int) -> tuple[Rows, list[set[tuple[str, ...]]]]:
    """Rows, and every three tokens in a row of each."""
    rows = generate(get_task(task), split, num_rows=n)
    words = [(p + c).split() for p, c in zip(rows.prompts(), rows.completions(), strict=True)]
    return rows, [set(zip(w, w[1:], w[2:], strict=False)) for w in words]


def test_the_triples_are_held_out_of_the_text_and_occur_in_another_order() -> None:
    held = {tuple(map(str, triple)) for triple in held_out_triples(10)}
    assert len(held) == 49
    assert all(len(set(triple)) == 3 for triple in held)
    seen = set().union(*_rows("sum_max_med_nrgpt", "train", 20_000)[1])
    assert not seen & held
    assert all(seen & set(itertools.permutations(triple)) for triple in held)
    for split in SPLITS[1:]:
        assert all(found & held for found in _rows("sum_max_med_nrgpt", split, 300)[1])


@pytest.mark.parametrize("name", ["sum_nrgpt", "sum_max_med_nrgpt"])
def test_no_text_stands_on_two_sides(name: str) -> None:
    """Train, with the lines of its traces, against all evaluation splits, and those against each other."""
    task = get_task(name)
    train = generate(task, "train", num_rows=20_000)
    by_home = {"train": {*train.forms().tolist(), *train.trace_forms().tolist()}}
    for split in SPLITS[1:]:
        rows = generate(task, split, num_rows=1_000)
        by_home[split] = set(rows.forms().tolist())
        assert [RULES["triples"].form_hash(parse(prompt)) for prompt in rows.prompts()[:50]] == rows.forms()[
            :50
        ].tolist()
    assert all(not a & b for a, b in itertools.combinations(by_home.values(), 2))


def test_rows_of_nrgpt_are_pinned() -> None:
    """Any change here is a change of the dataset version."""
    task = get_task("sum_max_med_nrgpt")
    sums = {split: rows_checksum(generate(task, split, num_rows=500))[:12] for split in ("train", "test")}
    assert sums == {"train": "461c75ce3772", "test": "55e892afb2d1"}


def test_what_ships_is_described() -> None:
    assert all(describe_regime(name).keys() == {"title", "description"} for name in regimes())
