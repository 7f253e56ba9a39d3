"""Curricula: the text form, YAML, and what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from listops_bench.curriculum import Curriculum, Stage, parse_curriculum
from listops_bench.errors import InvalidInput

TASKS = ("sum", "max_med", "sum_max_med", "ssum", "sum_depth3")

stages = st.builds(
    Stage,
    mixture=st.lists(st.sampled_from(TASKS), min_size=1, max_size=3, unique=True).flatmap(
        lambda names: st.tuples(*[st.tuples(st.just(name), st.floats(1e-6, 1e6)) for name in names])
    ),
    steps=st.integers(1, 10**7),
    reset_optimizer=st.booleans(),
    freeze=st.lists(st.sampled_from(["embeddings", "model.block.*", "model.ln.weight"]), max_size=2).map(tuple),
    until=st.none() | st.floats(1e-6, 1),
)
curricula = st.lists(stages, min_size=1, max_size=4).map(
    lambda s: Curriculum((dataclasses.replace(s[0], reset_optimizer=True), *s[1:]))
)


@given(curriculum=curricula)
def test_the_text_form_reads_back(curriculum: Curriculum) -> None:
    assert parse_curriculum(str(curriculum)) == curriculum


@given(curriculum=curricula)
def test_every_step_has_a_stage_and_a_schedule(curriculum: Curriculum) -> None:
    for index, stage in enumerate(curriculum.stages):
        start = curriculum.start(index)
        assert curriculum.stage_of(start) == curriculum.stage_of(start + stage.steps - 1) == index
        first, end = curriculum.schedule(index)
        assert first <= start
        assert start + stage.steps <= end <= curriculum.steps


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("max_med:1200,sum:1800", "max_med:1200,sum:1800"),
        (" med_max : 1200 , sum:1800 ", "max_med:1200,sum:1800"),
        ("sum*0.5+max_med*0.50:3000", "max_med*0.5+sum*0.5:3000"),
        ("sum+max:10", "max*1+sum*1:10"),
        ("sum*7:10", "sum:10"),
        ("max:5,sum:5/keep-optimizer/freeze=embeddings", "max:5,sum:5/keep-optimizer/freeze=embeddings"),
        ("max:5/until=.950,sum:5/until=1", "max:5/until=0.95,sum:5/until=1"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert str(parse_curriculum(text)) == canonical


def test_shares_add_up_to_one() -> None:
    assert parse_curriculum("sum*1+max*3:10").stages[0].shares == (0.75, 0.25)


def test_a_schedule_spans_the_stages_that_share_an_optimizer() -> None:
    curriculum = parse_curriculum("max:10,med:20/keep-optimizer,sum:30")
    assert [curriculum.schedule(i) for i in range(3)] == [(0, 30), (0, 30), (30, 60)]


def test_one_task_is_one_stage() -> None:
    assert Curriculum.from_task("sum", 3000) == parse_curriculum("sum:3000")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_mad:10", "unknown task 'max_mad'; did you mean 'max_med'"),
        ("sum:0", "steps 0 is not a number of steps; the least is 1"),
        ("sum:-5", "'-5' for its steps"),
        ("sum:1e3", "'1e3' for its steps"),
        ("sum", "is not TASK:STEPS"),
        (":10", "is not TASK:STEPS"),
        ("", "is not TASK:STEPS"),
        ("sum:10,", "is not TASK:STEPS"),
        ("sum*x:10", "weight 'x' of task 'sum'"),
        ("sum*0+max:10", "weight 0.0 of task 'sum'"),
        ("sum*inf+max:10", "weight inf of task 'sum'"),
        ("sum+sum:10", "different tasks"),
        ("sum+max_mod20:10", "one modulus"),
        ("sum:10,sum_mod20:10", "one modulus"),
        ("sum:10/keep-optimiser", "did you mean 'keep-optimizer'"),
        ("sum:10/keep-optimizer", "first stage has no optimizer to keep"),
        ("sum:10,max:10/freeze=", "freeze pattern ''"),
        ("sum:10/until=0", "until 0.0 is not an accuracy above 0 and at most 1"),
        ("sum:10/until=95", "until 95.0 is not an accuracy"),
        ("sum:10/until=nan", "until nan is not an accuracy"),
        ("sum:10/until", "until '' is not an accuracy"),
        ("sum:10/util=0.5", "did you mean 'until'"),
    ],
)
def test_what_cannot_be_trained_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_curriculum(text)


def write(path: Path, page: object) -> str:
    path.write_text(yaml.safe_dump(page))
    return str(path)


def test_yaml(tmp_path: Path) -> None:
    page = {
        "stages": [
            {"tasks": "max_med", "steps": 1200},
            {"tasks": {"sum": 0.5, "max": 1}, "steps": 5, "reset_optimizer": False, "freeze": ["embeddings"]},
            {"tasks": "sum", "steps": 7, "until": 0.9},
        ]
    }
    found = parse_curriculum(write(tmp_path / "c.yaml", page))
    assert str(found) == "max_med:1200,max*1+sum*0.5:5/keep-optimizer/freeze=embeddings,sum:7/until=0.9"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ({"stage": []}, "unknown key in curriculum file .*did you mean 'stages'"),
        ({"stages": [{"task": "sum", "steps": 3}]}, "unknown key in a stage 'task'; did you mean 'tasks'"),
        ({"stages": [{"tasks": "sum"}]}, "no 'steps'"),
        ({"stages": [{"tasks": "sum", "steps": 1.5}]}, "steps 1.5"),
        ({"stages": [{"tasks": "sum", "steps": True}]}, "steps True"),
        ({"stages": [{"tasks": ["sum"], "steps": 3}]}, "neither a name nor a mapping"),
        ({"stages": [{"tasks": {"sum": "a"}, "steps": 3}]}, "weight 'a'"),
        ({"stages": [{"tasks": "sum", "steps": 3, "reset_optimizer": "no"}]}, "neither true nor false"),
        ({"stages": [{"tasks": "sum", "steps": 3, "freeze": 3}]}, "not a list of patterns"),
        ({"stages": [{"tasks": "sum", "steps": 3, "until": "0.9"}]}, "until '0.9' is not an accuracy"),
        ({"stages": "sum"}, "no list of stages"),
        ({"stages": []}, "needs a stage"),
        ([], "is not a mapping"),
    ],
)
def test_yaml_is_strict(tmp_path: Path, page: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_curriculum(write(tmp_path / "c.yaml", page))


def test_a_yaml_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.yaml' cannot be read"):
        parse_curriculum(str(tmp_path / "none.yaml"))
