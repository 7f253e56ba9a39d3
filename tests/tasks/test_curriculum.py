"""Curricula: the text form, YAML, and what they refuse."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, strategies as st

from listops_bench.cli.command import main
from listops_bench.errors import InvalidInput
from listops_bench.runs.exposure import exposure_of_run
from listops_bench.runs.record import Environment, RunRecord, Training, write_run
from listops_bench.tasks.curriculum import Curriculum, Stage, parse_curriculum, recorded_curriculum
from listops_bench.tasks.exposure import Exposure, exposure, match
from listops_bench.tasks.operations import OPERATIONS
from listops_bench.train._batches import Pools
from listops_bench.train.config import TrainRecipe

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
).flatmap(
    lambda stage: st.builds(
        dataclasses.replace,
        st.just(stage),
        init_parts=st.lists(st.sampled_from(["embeddings", "model.*"]), max_size=2 * stage.reset_optimizer).map(tuple),
    )
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
        ("max:5,sum:5/init-axes=3/init-parts=embeddings", "max:5,sum:5/init-parts=embeddings/init-axes=3"),
        ("max:5,sum:5/freeze=a*/init-parts=attention", "max:5,sum:5/init-parts=attention/freeze=a*"),
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
        ("sum:0", "steps 0"),
        ("sum:-5", "steps '-5'"),
        ("sum:1e3", "steps '1e3'"),
        ("sum", "is not TASK:STEPS"),
        (":10", "is not TASK:STEPS"),
        ("", "is not TASK:STEPS"),
        ("sum:10,", "is not TASK:STEPS"),
        ("sum*x:10", "weight 'x' of task 'sum'"),
        ("sum*x+sum:10", "different tasks"),
        ("sum*0+max:10", "weight 0.0 of task 'sum'"),
        ("sum*inf+max:10", "weight inf of task 'sum'"),
        ("sum+sum:10", "different tasks"),
        ("sum+max_mod20:10", "the same symbols"),
        ("sum:10,sum_mod20:10", "the same symbols"),
        ("sum:10/keep-optimiser", "did you mean 'keep-optimizer'"),
        ("sum:10/keep-optimizer", "first stage has no optimizer to keep"),
        ("sum:10,max:10/freeze=", "freeze pattern ''"),
        ("sum:10,max:10/init-parts=", "init-parts pattern ''"),
        ("sum:10,max:10/init-part=attention", "did you mean 'init-parts'"),
        ("sum:10,max:10/keep-optimizer/init-parts=attention", "cannot keep the optimizer"),
        ("sum:10,max:10/init-axes=3", "give init-parts=embeddings too"),
        ("sum:10,max:10/init-parts=embeddings/init-axes=0", "init-axes 0 is not a number of axes from 1 to"),
        ("sum:10,max:10/init-parts=embeddings/init-axes=few", "init-axes 'few' is not a number of axes"),
        ("sum:10/until=0", "until 0.0 is not an accuracy above 0 and at most 1"),
        ("sum:10/until=95", "until 95.0 is not an accuracy"),
        ("sum:10/until=nan", "until nan is not an accuracy"),
        ("sum:10/until", "until '' is not an accuracy"),
        ("sum:10/util=0.5", "did you mean 'until'"),
        (f"sum:{'9' * 5000}", "steps '9+...' is not a number of steps from 1 to"),
        ("sum:1000000000001", "steps 1000000000001 is not a number of steps"),
        (f"sum*{'9' * 5000}:5", "weight inf"),
        ("sum*1e308+max*1e308:5", "weight 1e.308"),
        (f"sum:5/until={'9' * 5000}", "until inf is not an accuracy"),
        (f"sum_mod{'9' * 5000}:5", "unknown task 'sum_mod9+...'"),
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
            {"tasks": "sum", "steps": 7, "until": 0.9, "init_parts": "attention"},
        ]
    }
    found = parse_curriculum(write(tmp_path / "c.yaml", page))
    assert (
        str(found)
        == "max_med:1200,max*1+sum*0.5:5/keep-optimizer/freeze=embeddings,sum:7/until=0.9/init-parts=attention"
    )


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
        ({"stages": [{"tasks": {"sum": 10**400}, "steps": 3}]}, "has more than 18 digits"),
        ({"stages": [{"tasks": "sum", "steps": 10**400}]}, "has more than 18 digits"),
        ({"stages": "sum"}, "no list of stages"),
        ({"stages": []}, "needs a stage"),
        ([], "is not a mapping"),
    ],
)
def test_yaml_is_strict(tmp_path: Path, page: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_curriculum(write(tmp_path / "c.yaml", page))


@pytest.mark.parametrize("text", ["{}", "{}  ", "sum@{}:3", "sum:3,max@{}:3", "sum*0.5+max@{}:3"])
def test_a_record_names_no_file(tmp_path: Path, text: str) -> None:
    write(tmp_path / "c.yaml", {"stages": [{"tasks": "sum", "steps": 3}]})
    for place in (tmp_path / "c.yaml", tmp_path / ("a" * 300 + ".yaml"), Path("/dev/zero")):
        if place.suffix or "@" in text:
            with pytest.raises(InvalidInput, match="names a file"):
                recorded_curriculum(text.format(place))
    assert recorded_curriculum("sum:3") == parse_curriculum("sum:3")


def test_a_yaml_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"cannot read curriculum file '.*none\.yaml\'"):
        parse_curriculum(str(tmp_path / "none.yaml"))


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_what_a_curriculum_shows_is_what_a_run_counts(tmp_path: Path) -> None:
    """The expected counts are within 3% of those of 40 steps of 64 rows, and those of a run's folder are its own."""
    curriculum = parse_curriculum("max*0.5+sum_med*0.5:30,sum:10")
    recipe = TrainRecipe(curriculum=str(curriculum))
    pools = [Pools().of_stage(recipe, index, 64) for index in range(len(curriculum.stages))]
    drawn = [
        np.concatenate([pool.rows_of_step(step) for step in range(stage.steps)])
        for pool, stage in zip(pools, curriculum.stages, strict=True)
    ]
    expected = exposure(curriculum, rows_per_step=64)
    tokens = sum(int((pool.lengths[rows] - 1).sum()) for pool, rows in zip(pools, drawn, strict=True))
    assert expected.tokens == pytest.approx(tokens, rel=0.03)
    reductions = np.sum([p.reductions[rows].sum(0) for p, rows in zip(pools, drawn, strict=True)], 0)
    for name, count in zip(OPERATIONS, reductions, strict=True):
        assert expected.of(name) == pytest.approx(count, rel=0.03)

    where = Environment({}, None, None, None)
    write_run(tmp_path, RunRecord(training=Training("sum:7", 7, 7, 9, 5, {"sum": 3}, where, 1.0)))
    assert exposure_of_run(tmp_path) == Exposure(7, 9, {"sum": 3})


@pytest.mark.parametrize("by", ["steps", "tokens", "sum"])
@pytest.mark.parametrize(("text", "stage"), [("sum:700", None), ("max_med:300,sum:200", None), ("max:9,sum:200", 1)])
def test_matched_curricula_show_as_much(text: str, stage: int | None, by: str) -> None:
    curriculum, like = parse_curriculum(text), exposure(parse_curriculum("sum_max_med:3000"))
    matched = match(curriculum, like, by, stage=stage)
    half_a_step = max(exposure(Curriculum((s,))).of(by) / s.steps for s in matched.stages) / 2
    assert exposure(matched).of(by) == pytest.approx(like.of(by), abs=half_a_step * 1.01 * len(matched.stages))
    shares = [[s.steps / plan.steps for s in plan.stages] for plan in (curriculum, matched)]
    if stage is None:
        assert shares[1] == pytest.approx(shares[0], abs=1e-2)
    else:
        assert matched.stages[0] == curriculum.stages[0]


def test_what_cannot_be_matched_is_refused() -> None:
    like = exposure(parse_curriculum("sum:10"))
    for text, by, stage, message in (
        ("max:10", "sum", None, "no number of steps gives 'max:10'"),
        ("sum:50,max:10", "tokens", 1, "no number of steps gives"),
        ("sum:50", "sums", None, "unknown measure 'sums'; did you mean 'sum'"),
        ("sum:50", "steps", 1, "has no stage 2"),
        ("sum:50/until=0.9,max:10", "steps", None, "a stage ends at an accuracy"),
    ):
        with pytest.raises(InvalidInput, match=message):
            match(parse_curriculum(text), like, by, stage=stage)


def test_the_command_shows_and_matches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curriculum", "sum:3000", "--like", "sum_max_med:3000", "--by", "sum"]) == 0
    lines = capsys.readouterr().out.splitlines()
    steps = int(lines[-1].removeprefix("sum:"))
    assert 500 < steps < 1500  # about a third of the reductions are of SUM
    assert any("sum_max_med:3000" in line and "reductions" not in line for line in lines)
    assert main(["curriculum", "max_med:1200,sum:1800"]) == 0
    assert "3,000" in capsys.readouterr().out
    assert main(["curriculum", "sum:3000", "--like", "sum_max_med:3000"]) == 2
    assert "--like and --by go together" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["sum:{}", "sum*{}:10", "sum:10/until={}", "sum_mod{}:10", "sum*1+max*{}:10"])
@pytest.mark.parametrize("digits", [16, 400, 5_000])
def test_numbers_of_thousands_of_digits_are_one_line(text: str, digits: int) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_curriculum(text.format("9" * digits))
    assert len(str(error.value)) < 700
