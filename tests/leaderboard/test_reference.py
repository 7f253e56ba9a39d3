"""What `leaderboard/` holds: valid, repeated by the checkpoints at hand, and built from its results and nothing else.

A repository without results is in order too: the pages then say so.
"""

import re
import shutil
from functools import lru_cache
from pathlib import Path

import pytest

from listops_bench.claims.page import FILE_NAME as CLAIMS, write_claims
from listops_bench.evaluate.strangers import Checkpoints, _checkpoint_folders
from listops_bench.evaluate.verification import validate_files, verify_files
from listops_bench.leaderboard.output import build
from listops_bench.model.checkpoint import weights_sha256
from listops_bench.result.files import find_results, read_result
from listops_bench.result.verified import read_verified, result_sha256
from tests.support.fake_results import files_of

ROOT = Path(__file__).resolve().parents[2]
BOARD = ROOT / "leaderboard"
RESULTS, CHECKPOINTS = BOARD / "results", BOARD / "checkpoints"
MAX_CHECKPOINTS = 5_000_000
"""Bytes of all committed checkpoints together."""

FOLDERS = sorted(_checkpoint_folders(CHECKPOINTS))
REPEATED = list({re.sub(r"-seed\d+$", "", folder.name): folder for folder in reversed(FOLDERS)}.values())
"""One of each size and curriculum. ``listops-bench leaderboard verify`` repeats those of all seeds, and records it."""


@lru_cache
def results_by_weights() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in find_results(RESULTS):
        found.setdefault(read_result(path).model.weights_sha256, []).append(path)
    return found


def places() -> Checkpoints:
    return Checkpoints(CHECKPOINTS if CHECKPOINTS.is_dir() else None)


def test_every_result_is_valid() -> None:
    found = validate_files(find_results(RESULTS), places())
    assert [problem for _, problem in found if problem is not None] == []


def test_results_of_every_checkpoint_have_been_repeated() -> None:
    verified = read_verified(RESULTS)
    for folder in FOLDERS:
        own = results_by_weights().get(weights_sha256(folder), [])
        assert own, f"no result is of {folder.name}"
        assert {result_sha256(read_result(path)) for path in own} <= set(verified)


@pytest.mark.parametrize("folder", REPEATED or [None], ids=lambda folder: folder.name if folder else "no checkpoints")
def test_a_checkpoint_repeats_its_results(folder: Path | None) -> None:
    if folder is None:
        return
    own = results_by_weights()[weights_sha256(folder)]
    verdicts = verify_files(own, places(), device="cpu", write=False)
    assert [verdict.reason for verdict in verdicts if verdict.status != "verified"] == []


def test_checkpoints_are_few() -> None:
    size = sum(path.stat().st_size for path in CHECKPOINTS.rglob("*") if path.is_file())
    assert size <= MAX_CHECKPOINTS


def test_records_of_verification_are_of_results_that_are_there() -> None:
    there = {result_sha256(read_result(path)): path.relative_to(RESULTS).as_posix() for path in find_results(RESULTS)}
    assert {sha256: record.path for sha256, record in read_verified(RESULTS).items()}.items() <= there.items()


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board built anew: ``listops-bench leaderboard build`` in a folder that holds its sources alone."""
    folder = tmp_path_factory.mktemp("reference") / "leaderboard"
    (folder / "results").mkdir(parents=True)
    for path in BOARD.iterdir():
        if path.name in ("results", "analysis"):
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        elif path.name in ("verified.json", "history.md"):
            shutil.copy(path, folder)
    built = build(folder / "results", folder)
    write_claims(built.boards, folder / "results", folder / CLAIMS)
    return folder


@pytest.mark.parametrize("name", ["README.md", CLAIMS])
def test_pages_are_what_a_build_makes(rebuilt: Path, name: str) -> None:
    assert (BOARD / name).read_text() == (rebuilt / name).read_text()


def test_the_site_is_what_a_build_makes(rebuilt: Path) -> None:
    """PNGs are left out: their pixels depend on the fonts and the renderer of a machine. SVGs say the same as text."""
    if not find_results(RESULTS):
        assert not (BOARD / "site").exists()
        return
    ours, theirs = files_of(BOARD / "site"), files_of(rebuilt / "site")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not name.endswith(".png") and ours[name] != theirs[name]] == []


PAGES = [*ROOT.glob("*.md"), *BOARD.glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert [link for link in links if link and not (page.parent / link).exists()] == []
