"""Runs that are killed (SIGKILL), on one and two processes, end with the weights of a run never stopped."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.restarts import assert_same_curve, log_of, outcome
from tests.support.runs import SMALL, kept_weights

Found = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Runs and packs, killed and not, below one folder: one process with torch forks all of them."""
    folder = tmp_path_factory.mktemp("killed")
    options = {
        **SMALL,
        "curriculum": "max:7,sum*0.5+med*0.5:6/init-parts=embeddings/freeze=embeddings,sum:5/keep-optimizer",
        "eval_steps": 6,
        "eval_rows": 16,
    }
    # With states every 3 steps and, elsewhere, exactly at the end of a stage.
    moments = [
        ("step", 2),
        ("SIGTERM", 1),
        ("step", 4),
        ("SIGHUP", 5),
        ("state", 2),
        ("step", 11),
        ("step", 15),
        ("state", 1),
        ("checkpoint", 1),
    ]
    at_boundaries = [("step", 8), ("step", 14)]
    windows = {**options, "model": "nrgpt_d008", "batching": "windows", "loss_on": "all"}
    windows |= {"per_device_train_batch_size": 2, "lr_scheduler_type": "exponential"}
    # In steps, while it writes a state, and while it writes the checkpoints of those that end at 12 and 18.
    of_pack = [
        ("step", 3),
        ("SIGTERM", 3),
        ("step", 7),
        ("state", 1),
        ("SIGINT", 9),
        ("checkpoint", 1),
        ("step", 14),
        ("checkpoint", 2),
    ]
    packed = {"per_device_train_batch_size": 4, "save_steps": 5, "eval_steps": 6, "eval_rows": 5}
    pack = {"options": packed, "packed": 18}
    return folder, outcome(
        folder,
        {"name": "windows", "options": windows},
        {"name": "cut", "options": {**windows, "save_steps": 4}, "moments": [("step", 6), ("step", 16)]},
        {"name": "whole", "options": options},
        {"name": "killed", "options": {**options, "save_steps": 3}, "moments": moments},
        {"name": "between", "options": {**options, "save_steps": 7}, "moments": at_boundaries},
        {"name": "whole_pack", **pack},
        {"name": "killed_pack", "moments": of_pack, **pack},
    )


def test_nothing_is_left_beside_them(found: Found) -> None:
    names = ["between", "cut", "killed", "killed_pack", "whole", "whole_pack", "windows"]
    assert sorted(path.name for path in found[0].iterdir()) == names


def test_a_killed_run_ends_with_the_weights_of_one_never_stopped(found: Found) -> None:
    folder, ended = found
    assert ended["killed"][0] == 18  # the state at the end was there; only the checkpoint was missing
    assert ended["between"][0] == 14
    assert ended["whole"][1] == ended["killed"][1] == ended["between"][1]
    assert ended["windows"][1] == ended["cut"][1] != ended["whole"][1]
    assert_same_curve(folder / "whole", folder / "killed")
    assert_same_curve(folder / "windows", folder / "cut")


def test_a_killed_pack_ends_with_the_weights_of_one_never_stopped(found: Found) -> None:
    folder, ended = found
    assert len(set(ended["whole_pack"][1])) == 4
    assert ended["whole_pack"][1] == ended["killed_pack"][1]
    for i in range(4):
        steps = [[*log_of(folder / f"{name}_pack" / str(i))] for name in ("whole", "killed")]
        assert steps[0] == steps[1]


@pytest.mark.check_all
def test_two_killed_processes_end_alike_too(tmp_path: Path) -> None:
    """In both stages, while the state is written and while a checkpoint is, along the way and at the end."""
    if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
        pytest.skip("torch was built without gloo")
    options = {
        **SMALL, "curriculum": "max*0.5+med*0.5:30/until=0.5,sum:8", "eval_steps": 3, "per_device_train_batch_size": 8,
        "num_processes": 2, "checkpoint_steps": 5,
    }  # fmt: skip
    # The first stage is learned at step 9, so the run has 17 steps. Checkpoints are renamed after 0, 5, 10 and 15.
    moments = [("step", 6), ("SIGTERM", 5), ("checkpoint", 1), ("SIGHUP", 9), ("state", 2), ("step", 13)]
    moments += [("checkpoint", 1), ("checkpoint", 2)]
    found = outcome(
        tmp_path,
        {"name": "whole", "options": options, "processes": 2},
        {"name": "killed", "options": {**options, "save_steps": 4}, "moments": moments, "processes": 2},
    )
    assert found["killed"][0] == 17
    assert found["whole"][1] == found["killed"][1]
    assert_same_curve(tmp_path / "whole", tmp_path / "killed")
    kept = [kept_weights(tmp_path / run) for run in ("whole", "killed")]
    assert [step for step, _ in kept[0]] == [0, 5, 10, 15]
    assert kept[0] == kept[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
