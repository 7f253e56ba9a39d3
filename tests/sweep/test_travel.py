"""Sweeps that travel: exported, merged, cut and gone on elsewhere, they come to what one in one place comes to."""

import io
import json
import os
import shutil
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listops_bench._base.stopping import EXIT_TIME_IS_UP, Stopped, StopRequest
from listops_bench.errors import InvalidInput
from listops_bench.result.files import find_results, read_results
from listops_bench.runs.folder import working_files
from listops_bench.sweep._worker import Worker
from listops_bench.sweep.options import Options
from listops_bench.sweep.run import open_sweep
from listops_bench.sweep.travel import export, merge
from tests.support.commands import Run
from tests.support.processes import forks
from tests.support.sweeps import TWELVE, hashes, page, predictions, tiny


class Limit(StopRequest):
    """A time limit that is up after a number of looks, which are taken before every step and between units."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def __call__(self) -> int:
        self.looks -= 1
        return EXIT_TIME_IS_UP if self.looks < 0 else 0


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for top in ("runs", "results") for path in (folder / top).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if not path.name.startswith(".")}


@pytest.mark.parametrize(
    ("seeds", "cuts"), [(2, (7, 3)), pytest.param(4, (5, 6, 4), marks=pytest.mark.check_all)], ids=["six", "twelve"]
)
def test_a_sweep_that_is_cut_and_travels_ends_as_one_that_was_never_stopped(
    seeds: int, cuts: tuple[int, ...], tmp_path: Path
) -> None:
    """Runs on two machines, each cut by its time limit and moved in between, packed and alone."""
    file = page(tmp_path, {**TWELVE, "models": ["looped_d008"], "seeds": [*range(seeds)]})
    whole = open_sweep(Options(str(file), str(tmp_path / "whole")))
    for pack, number in ((2, 0), (1, 1)):
        part = Options(str(file), str(tmp_path / "whole"), shard=(number, 2))
        Worker(open_sweep(part), pack=pack).run()
    for pack, number in ((2, 0), (1, 1)):
        place = tmp_path / f"machine{number}"
        for cut, looks in enumerate(cuts):
            folder = open_sweep(Options(str(file), str(place), shard=(number, 2)))
            with pytest.raises(Stopped) as stopped:
                Worker(folder, pack=pack, stop=Limit(looks)).run()
            assert stopped.value.code == EXIT_TIME_IS_UP
            place = place.rename(tmp_path / f"machine{number}-{cut}")
        export(place, tmp_path / f"{number}.tar")
    merged = merge([tmp_path / "0.tar", tmp_path / "1.tar"], tmp_path / "together")
    assert not merged.conflicts
    assert merged.runs
    assert merged.begun
    for pack, number in ((2, 0), (1, 1)):
        part = Options(str(file), str(tmp_path / "together"), shard=(number, 2))
        Worker(open_sweep(part), pack=pack).run()
    assert len(hashes(tmp_path / "whole")) == 3 * seeds
    assert hashes(tmp_path / "together") == hashes(tmp_path / "whole")
    assert predictions(tmp_path / "together") == predictions(tmp_path / "whole")
    for folder in (whole, open_sweep(Options(str(file), str(tmp_path / "together")))):
        assert all(folder.is_done(job) for job in folder.jobs())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two recipes and three seeds, done, and its tar."""
    place = tmp_path_factory.mktemp("travel")
    Worker(tiny(place, tasks=["max", "min"], seeds=[0, 1, 2])).run()
    export(place / "out", place / "out.tar")
    return place


def test_what_is_merged_is_what_was_exported(done: Path, tmp_path: Path) -> None:
    """To the byte, from a tar and from a folder; the weights lie there once, stacked by recipe."""
    with tarfile.open(done / "out.tar") as tar:
        names = tar.getnames()
    assert sum(name.endswith(".safetensors") for name in names) == 2
    for source in ("out.tar", "out"):
        merged = merge([done / source], tmp_path / source)
        assert (merged.runs, merged.results, merged.conflicts) == (6, 6, [])
        assert files(tmp_path / source) == files(done / "out")
        again = merge([done / "out", done / "out.tar"], tmp_path / source)
        assert (again.runs, again.results, again.there, again.conflicts) == (0, 0, 24, [])
    export(tmp_path / "out", tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (done / "out.tar").read_bytes()


def test_conflicts_are_named_and_nothing_is_overwritten(done: Path, tmp_path: Path, command: Run) -> None:
    shutil.copytree(done / "out", tmp_path / "here")
    first, second = sorted((tmp_path / "here" / "runs").iterdir())[:2]
    record = json.loads((first / "run.json").read_text())
    (first / "run.json").write_text(json.dumps({**record, "weights_sha256": "0" * 64}))
    result, other = find_results(tmp_path / "here" / "results")[:2]
    value = json.loads(result.read_text())
    result.write_text(json.dumps({**value, "track": "reference"}))
    value = json.loads(other.read_text())
    other.write_text(json.dumps({**value, "evaluation": {**value["evaluation"], "wall_seconds": 9.0}}))
    before = files(tmp_path / "here")
    code, shown, _ = command("sweep", "merge", str(done / "out.tar"), "-o", str(tmp_path / "here"))
    assert code == 1
    assert shown.count("conflict: ") == 2
    assert first.name in shown
    assert str(result) in shown
    assert second.name not in shown
    assert files(tmp_path / "here") == before


@pytest.mark.parametrize("text", [b"", b"\xff", b"[]", b'{"a": 1}', b"{", b"9" * 5000])
def test_damaged_weights_are_named(done: Path, tmp_path: Path, text: bytes) -> None:
    shutil.copytree(done / "out", tmp_path / "out")
    path = sorted((tmp_path / "out" / "runs").glob("*/model.safetensors"))[1]
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(InvalidInput, match=f"the weights of {path.parent.name} are damaged"):
        export(tmp_path / "out", tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()


def killed_at(number: int, work: Callable[[], Any]) -> bool:
    """Does work in a process that is killed at a call to the disk, by number; whether it came to that."""
    child = os.fork()
    if child == 0:
        seen = 0

        def counting(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                nonlocal seen
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments)

            return call

        os.replace, os.rename, os.fsync = map(counting, (os.replace, os.rename, os.fsync))
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@forks
def test_killed_at_any_time_nothing_is_lost_or_half_there(done: Path, tmp_path: Path) -> None:
    target, together = tmp_path / "out.tar", tmp_path / "together"
    assert killed_at(1, lambda: export(done / "out", target))
    assert not target.exists()
    export(done / "out", target)
    assert target.read_bytes() == (done / "out.tar").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out.tar"]
    moments = [number for number in (1, 5, 14, 40, 83, 101) if killed_at(number, lambda: merge([target], together))]
    assert len(moments) > 3
    merge([target], together)
    assert files(together) == files(done / "out")
    assert len(read_results(together / "results")) == 6


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/x", "../x", "runs/../../x", "runs/a/../b", "runs//x", "runs/a", "x", "runs/a/b\nc", "runs/.a/b"),
        *("runs/a/lock", "runs/a/x.py", "models/a/config.json", "results/a.json", "stacks/a/b.safetensors"),
        "runs/a/" + "b" * 300,
    ],
)  # fmt: skip
def test_tars_hold_nothing_but_files_of_sweeps(tmp_path: Path, name: str) -> None:
    hostile(tmp_path / "x.tar", tarfile.TarInfo(name))


@pytest.mark.parametrize("kind", ["SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE", "DIRTYPE", "GNUTYPE_SPARSE"])
def test_tars_hold_plain_files_only(tmp_path: Path, kind: str) -> None:
    member = tarfile.TarInfo("runs/a/run.json")
    member.type, member.linkname = getattr(tarfile, kind), "/etc/passwd"
    hostile(tmp_path / "x.tar", member)


@pytest.mark.parametrize("size", [2**40, 2**28 + 1])
def test_tars_are_bounded(tmp_path: Path, size: int) -> None:
    member = tarfile.TarInfo("runs/a/run.json")
    member.size = size
    (tmp_path / "x.tar").write_bytes(member.tobuf())
    with pytest.raises(InvalidInput, match=r"x\.tar"):
        merge([tmp_path / "x.tar"], tmp_path / "out")


def hostile(path: Path, member: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w") as tar:
        tar.addfile(member, io.BytesIO())
    with pytest.raises(InvalidInput, match=r"x\.tar") as caught:
        merge([path], path.with_name("out"))
    assert "\n" not in str(caught.value)
    assert not path.with_name("out").exists()


def test_weights_that_are_not_those_of_the_record_are_not_taken(done: Path, tmp_path: Path) -> None:
    """A stack with another number, another row, no rows, or of another kind."""
    shutil.copytree(done / "out", tmp_path / "out")
    run = sorted((tmp_path / "out" / "runs").iterdir())[0]
    weights = bytearray((run / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (run / "model.safetensors").write_bytes(weights)
    export(tmp_path / "out", tmp_path / "bad.tar")
    merged = merge([tmp_path / "bad.tar"], tmp_path / "together")
    assert (merged.runs, len(merged.conflicts)) == (5, 1)
    assert not (tmp_path / "together" / "runs" / run.name).exists()


def test_a_machine_may_train_and_another_score(tmp_path: Path) -> None:
    file = page(tmp_path, TWELVE | {"seeds": [0], "tasks": ["max"]})
    place = str(tmp_path / "out")
    trains = open_sweep(Options(str(file), place, train_only=True))
    Worker(trains).run()
    assert all(trains.is_done(job) for job in trains.jobs())
    assert not find_results(trains.results)
    scores = open_sweep(Options(str(file), place, score_only=True))
    shutil.rmtree(trains.jobs()[0].output_dir)
    Worker(scores).run()
    assert [scores.is_done(job) for job in scores.jobs()] == [False, True]
    assert not working_files(scores.jobs()[0].output_dir).folder.exists()


def test_runs_are_begun_as_the_page_has_them(tmp_path: Path) -> None:
    folder = tiny(tmp_path, models=["looped_d008", "looped_d048", "gpt2_d016"])
    begun: list[str] = []
    Worker(folder, order="page", on_event=begun.append).run()
    assert [line.partition("-")[0] for line in begun] == ["looped_d008", "looped_d048", "gpt2_d016"]
