import dataclasses

import pytest
import yaml
from hypothesis import given, strategies as st

from listops_bench._base.resources import resource_path
from listops_bench.errors import InvalidInput
from listops_bench.tasks.operations import OPERATIONS
from listops_bench.tasks.task import TaskSpec, curated_tasks, describe_task, get_task

CURATED = [
    "sum", "prod", "nadd", "ssum", "max", "min", "med", "max_min", "max_med", "sum_max", "sum_min", "sum_med",
    "sum_prod", "sum_nadd", "sum_max_med", "max_min_med", "sum_max_min_med", "ssum_max_med", "sum_mod11", "sum_mod20",
    "sum_depth3",
    "sum_max_med_mod11", "sum_max_med_mod20", "sum_max_med_depth3", "max_med_mod11", "max_med_mod20", "max_med_depth3",
]  # fmt: skip


def test_the_curated_tasks_are_all_there() -> None:
    assert sorted(curated_tasks()) == sorted(CURATED)


@pytest.mark.parametrize("name", CURATED)
def test_a_curated_page_says_what_its_name_says(name: str) -> None:
    page = yaml.safe_load((resource_path("tasks") / f"{name}.yaml").read_text(encoding="utf-8"))
    task = get_task(name)
    assert task.name == page.pop("name") == name
    assert list(task.operations) == page.pop("operations")
    assert page.pop("modulus", 10) == task.modulus
    assert page.pop("max_depth", 2) == task.max_depth
    assert set(page) == {"title", "description"}
    assert describe_task(name)["title"]


@given(st.permutations(list(OPERATIONS)), st.integers(1, 7), st.integers(2, 31), st.integers(1, 6))
def test_any_subset_in_any_order_is_a_task(names: list[str], size: int, modulus: int, depth: int) -> None:
    task = get_task("_".join(names[:size]), modulus=modulus, max_depth=depth)
    assert set(task.operations) == set(names[:size])
    assert get_task(task.name) == task


def test_a_parameter_in_the_name_or_beside_it_is_the_same_task() -> None:
    assert get_task("sum", modulus=20) == get_task("sum_mod20")
    assert get_task("MED_sum_max").name == "sum_max_med"
    with pytest.raises(InvalidInput, match="modulus to 20, and it is given a second time"):
        get_task("sum_mod20", modulus=11)


def test_defaults_are_the_data_contract() -> None:
    task = get_task("sum_max_med")
    assert (task.modulus, task.min_operands, task.max_operands, task.max_depth) == (10, 2, 3, 2)
    assert (task.nest_probability, task.depth_weights, task.max_tokens) == (0.5, (0.015, 0.985), 128)
    assert [task.num_rows(s) for s in ("train", "validation", "test", "test_deeper")] == [50_000, 1_000, 5_000, 2_000]
    assert task.operand_counts("sum") == (2, 3)
    assert task.operand_counts("med") == (3,)
    assert task.operand_counts("sum", wider=True) == (2, 3, 4)
    assert task.operand_counts("med", wider=True) == (3, 5)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("smu_max", {}, "did you mean 'sum_max'"),
        ("sum_sum", {}, "different"),
        ("sum", {"modulus": 1}, "the nearest valid one is 2"),
        ("sum", {"modulus": 65}, "the nearest valid one is 64"),
        ("sum", {"modulus": "ten"}, "modulus 'ten'"),
        ("sum", {"min_operands": 1, "max_operands": 1}, "min_operands 1 is not in 2..8"),
        ("sum", {"min_operands": 3, "max_operands": 2}, "max_operands 2 is not in 3..8"),
        ("sum", {"max_depth": 0}, "the nearest valid one is 1"),
        ("sum", {"moduls": 3}, "did you mean 'modulus'"),
        ("sum", {"operations": ("max",)}, "unknown task parameter"),
        ("med", {"max_operands": 2}, "odd operand counts only"),
        ("sum", {"depth_weights": (0.5, 0.2)}, "add up to 1"),
        ("sum", {"nest_probability": 0}, "max_depth must be 1"),
        ("sum", {"nest_probability": float("nan")}, "nest_probability nan"),
        ("sum", {"trace": "paralel"}, "did you mean 'parallel'"),
        ("sum", {"num_train": 0}, "num_train 0"),
        ("sum", {"unique": "yes"}, "unique 'yes'"),
        ("sum", {"depth_weights": "abc"}, "depth_weights 'abc'"),
        ("sum", {"depth_weights": 3}, "depth_weights 3"),
        (f"sum_mod{'9' * 5000}", {}, "unknown task 'sum_mod99"),
        (f"sum_depth{'9' * 5000}", {}, "unknown task 'sum_depth99"),
        ("sum_mod１２", {}, "unknown task 'sum_mod１２'"),
        ("x" * 1_000_000, {}, "unknown task 'xxx"),
    ],
)
def test_bad_parameters_get_one_line(name: str, parameters: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        get_task(name, **parameters)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_fingerprint_holds_what_decides_the_rows_and_nothing_else() -> None:
    task = get_task("sum")
    same = dataclasses.replace(task, trace="none", num_train=7, num_test=9, unique=False)
    assert same.fingerprint() == task.fingerprint()
    for change in ({"modulus": 11}, {"max_operands": 4}, {"nest_probability": 0.25}, {"depth_weights": (0.5, 0.5)}):
        assert TaskSpec(("sum",), **change).fingerprint() != task.fingerprint()  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["mod", "depth"])
@pytest.mark.parametrize("number", ["9" * 5_000, "9" * 400, "\u0663", "9" * 10])
def test_strange_numbers_in_names_are_one_line(word: str, number: str) -> None:
    with pytest.raises(InvalidInput) as error:
        get_task(f"sum_{word}{number}")
    assert len(str(error.value)) < 700
