"""Results measured again in packs: each has the verdict that it has by itself, and what is verified stays so."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from listops_bench.errors import InvalidInput
from listops_bench.evaluate import measuring
from listops_bench.evaluate.examiner import Examiner
from listops_bench.evaluate.measuring import Verdict
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.evaluate.verification import _record, verify_files
from listops_bench.result.files import write_result
from listops_bench.result.format import Result
from listops_bench.result.verified import Verification, read_verified, verified_file, write_verified
from listops_bench.runs.provenance import environment
from tests.support.fake_checkpoints import make_taciturn_checkpoint, run_record

SPLIT = "validation"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checkpoints")
    for seed in range(3):
        make_taciturn_checkpoint(place / f"seed{seed}", run_record("sum:30", seed), seed)
    return place


@pytest.fixture(scope="module")
def results(folder: Path) -> list[Result]:
    found = [evaluate_checkpoint(folder / f"seed{seed}", "sum", SPLIT)[0] for seed in range(3)]
    return [*found, evaluate_checkpoint(folder / "seed0", "max", SPLIT)[0]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many checkpoints each question is about."""
    numbers, score_many = list[int](), Examiner.score_many

    def noted(self: Examiner, folders: Any, *more: Any, **options: Any) -> Any:
        numbers.append(len(folders))
        return score_many(self, folders, *more, **options)

    monkeypatch.setattr(Examiner, "score_many", noted)
    return numbers


def other_answers(result: Result) -> Result:
    split = dataclasses.replace(result.splits[SPLIT], predictions_sha256="0" * 64)
    return dataclasses.replace(result, splits={SPLIT: split})


@pytest.mark.check_all
def test_each_of_a_pack_has_its_own_verdict(
    folder: Path, results: list[Result], asked: list[int], tmp_path: Path
) -> None:
    paths = [write_result(tmp_path / "results", one) for one in (results[0], other_answers(results[1]), *results[2:])]
    come = list[Path]()
    verdicts = verify_files(paths, Checkpoints(folder), on_file=lambda verdict: come.append(verdict.path), jobs=2)
    assert [verdict.path for verdict in verdicts] == paths
    assert [verdict.status for verdict in verdicts] == ["verified", "refuted", "verified", "verified"]
    assert sorted(come) == sorted(paths)
    assert sorted(asked) == [1, 3]
    records = read_verified(tmp_path / "results").values()
    assert [record.path for record in records] == sorted("/".join(paths[i].parts[-3:]) for i in (0, 2, 3))


def test_where_a_pack_fails_each_is_measured_by_itself(
    folder: Path, results: list[Result], asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_many = Examiner.score_many

    def failed(self: Examiner, folders: Any, *more: Any, **options: Any) -> Any:
        found = score_many(self, folders, *more, **options)
        if len(folders) > 1:
            raise InvalidInput("it ended the process")
        return found

    monkeypatch.setattr(Examiner, "score_many", failed)
    paths = [write_result(tmp_path / "results", one) for one in results[:2]]
    assert [verdict.status for verdict in verify_files(paths, Checkpoints(folder))] == ["verified"] * 2
    assert asked == [2, 1, 1]


@pytest.mark.check_all
def test_it_goes_on_where_it_was_stopped(
    folder: Path, results: list[Result], asked: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "_PACK", 1)
    paths = [write_result(tmp_path / "results", one) for one in results[:3]]

    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_files(paths, Checkpoints(folder), on_file=stop)
    done = len(read_verified(tmp_path / "results"))
    assert 1 <= done < 3
    asked.clear()
    verdicts = verify_files(paths, Checkpoints(folder), resume=True)
    assert [verdict.status for verdict in verdicts] == ["verified"] * 3
    assert len(asked) == 3 - done
    before = read_verified(tmp_path / "results")
    of_another = {
        key: dataclasses.replace(one, environment=dataclasses.replace(one.environment, commit="0" * 40))
        for key, one in before.items()
    }
    write_verified(tmp_path / "results", of_another)
    verify_files(paths[:1], Checkpoints(folder), resume=True)
    assert len(asked) == 3 - done + 1


def test_those_who_verify_at_the_same_time_lose_no_record(tmp_path: Path, results: list[Result]) -> None:
    """Each file of theirs is another; all write the same ``verified.json``."""
    env = environment(torch.device("cpu"))
    paths = [write_result(tmp_path / "results", result) for result in results]

    def record(path: Path) -> None:
        name = path.relative_to(tmp_path / "results").as_posix()
        _record([Verdict(path, "verified", "", Verification(name, 1, 0, True, "2026-01-01T00:00:00Z", env))])

    for _ in range(5):
        with ThreadPoolExecutor(len(paths)) as together:
            list(together.map(record, paths))
        found = read_verified(tmp_path / "results")
        assert {one.path for one in found.values()} == {p.relative_to(tmp_path / "results").as_posix() for p in paths}
        verified_file(tmp_path / "results").unlink()
