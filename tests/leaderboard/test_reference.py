"""What `leaderboard/` holds: valid, repeated by the checkpoints at hand, and built from its results and nothing else.

A repository without results is in order too: the pages then say so.
"""

import random
import re
import shlex
import shutil
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from listops_bench.claims.page import FILE_NAME as CLAIMS, write_claims
from listops_bench.evaluate.strangers import Checkpoints
from listops_bench.evaluate.verification import validate_files, verify_files
from listops_bench.leaderboard.arms import spell_plateau, spell_threshold
from listops_bench.leaderboard.board import boards
from listops_bench.leaderboard.output import build
from listops_bench.leaderboard.repeat import Repeats
from listops_bench.model.ladder import model_names
from listops_bench.result.files import find_results, read_result
from listops_bench.result.format import Result
from listops_bench.result.learned import LEARNED, SEEN
from listops_bench.result.verified import read_verified, result_sha256
from listops_bench.runs.provenance import environment
from listops_bench.runs.record import recipe_digest
from listops_bench.runs.store import StoredRecipe, stored_recipes
from listops_bench.tasks.task import get_task
from listops_bench.train.config import read_config
from tests.support.extent import CHECK_ALL
from tests.support.fake_results import files_of

ROOT = Path(__file__).resolve().parents[2]
BOARD = ROOT / "leaderboard"
RESULTS, WEIGHTS = BOARD / "results", BOARD / "weights"
MAX_WEIGHTS = 60_000_000
"""Bytes of all stored runs together."""


@lru_cache
def results() -> dict[Path, Result]:
    return {path: read_result(path) for path in find_results(RESULTS)}


@lru_cache
def stored() -> dict[str, str]:
    """The recipe of each stored run, by the SHA-256 of its weights."""
    return {sha256: name for name in stored_recipes(WEIGHTS) for sha256 in StoredRecipe(WEIGHTS, name).digests.values()}


def test_every_result_is_valid() -> None:
    assert [problem for _, problem in validate_files(find_results(RESULTS)) if problem is not None] == []


def test_every_stored_run_has_results_and_each_was_repeated() -> None:
    own = [result for result in results().values() if result.model.weights_sha256 in stored()]
    assert {result.model.weights_sha256: result.recipe.id for result in own} == stored()
    assert {result_sha256(result) for result in own} <= read_verified(RESULTS).keys()


def traits(result: Result) -> set[tuple[str, Any]]:
    assert result.training is not None
    size, family, task = result.parameters.total, result.architecture.family, get_task(result.task.name)
    curriculum = ("curriculum", result.training.curriculum)
    return {("size", size), ("family", family), ("regime", task.regime), curriculum}


def test_some_stored_runs_repeat_their_results() -> None:
    """Other ones at each commit: one of each size, family and regime, and of a third of the curricula, or of all with
    ``make check-all``; ``verify`` repeats every one."""
    own = {path: traits(result) for path, result in results().items() if result.model.weights_sha256 in stored()}
    order, chosen = list(own), list[Path]()
    order_of = random.Random(environment(torch.device("cpu")).commit or "no commit")
    order_of.shuffle(order)
    curricula = sorted(trait for trait in set().union(*own.values()) if trait[0] == "curriculum")
    left_for_check_all = {*order_of.sample(curricula, 0 if CHECK_ALL else len(curricula) * 2 // 3)}
    missing = set().union(*own.values()) - left_for_check_all
    while missing:
        # Where they say as much, the smallest: it takes least time.
        chosen.append(max(order, key=lambda path: (len(own[path] & missing), -results()[path].parameters.total)))
        missing -= own[chosen[-1]]
    verdicts = verify_files(chosen, Checkpoints(WEIGHTS), device="cpu", write=False)
    assert [verdict.reason for verdict in verdicts if verdict.status != "verified"] == []


def test_every_row_says_the_command_that_trains_its_first_run_again() -> None:
    """The recipe's hash proves the options; sizes between the rungs take their configuration from a stored run."""
    repeats, named = Repeats(WEIGHTS), {*model_names()}
    for group in boards(results().values())[0].groups:
        if group.first.track == "constructed":  # weights that no training made
            assert repeats.of(group).commands == ()
            assert (group.origin, repeats.names_of(group)) == ("set by hand", ["leaderboard/weights/max_by_hand"])
            continue
        *others, train, evaluate = (shlex.split(line) for line in repeats.of(group).commands)
        assert bool(others) == (group.model not in named)
        assert evaluate[evaluate.index("--task") + 1] == group.task
        if group.model in named:
            identity = read_config(train[2:]).identity()
            assert identity["seed"] == group.first.recipe.seed
            assert group.first.recipe.id.endswith(f"-{recipe_digest(identity)[0]}")


def test_the_first_picture_shows_recipes_of_as_many_steps_as_its_n50() -> None:
    """SUM alone is learned with 17,440 parameters in 12,000 steps, and N50 is of 6,000, in which no seed does."""
    board = boards(results().values())[0]
    assert board.measured["sum"].budget == 6000
    best = next(f["sum"][0] for size, f in board.matrix.items() if (size.model, size.kind) == ("looped_d032", "alone"))
    assert (best.budget, best.learned) == (12_000, "2/3")
    picture = (WEIGHTS.parent / "site/figures/learned.svg").read_text()
    assert "sum, looped_d032 (17,440 parameters) trained on sum (6,000 steps): learned with 0/10 seeds" in picture
    assert "(12,000 steps)" not in picture


def test_the_findings_are_what_the_results_say() -> None:
    board = boards(results().values())[0]
    arms = {(arm.task, arm.curriculum): arm for arm in board.arms}
    sides = {arm.arm.curriculum: arm for arm in board.comparisons if arm.arm.task == "sum"}

    def learned(task: str, curriculum: str, size: int) -> tuple[int, int]:
        return next((o.learned, o.runs) for o in arms[task, curriculum].outcomes(SEEN) if o.parameters == size)

    def times(curriculum: str) -> str:
        found = sides[curriculum].ratio
        return f"{found.estimate:.2f} times the parameters{{}}, {found.high:.2f} at most"

    def n50(task: str) -> str:
        return spell_threshold(board.measured[task].threshold)

    assert n50("max") == n50("med")
    joint, staged, alone = "sum_max_med:6000", "max_med:1500,sum:4500/keep-optimizer", "sum:6000"
    assert [learned("sum", c, 21_348) for c in (joint, alone)] == [(9, 10), (0, 10)]
    assert [learned("sum", c, 17_440) for c in (alone, staged)] == [(0, 10), (4, 10)]
    assert [learned("ssum", c, 21_348) for c in ("ssum_max_med:6000", "ssum:6000")] == [(5, 5), (0, 5)]
    assert sum(o.learned for o in arms["sum", "sum_nadd:6000"].outcomes(SEEN)) == 0
    for model, counts in (("gpt2_d032", (3, 3, 0)), ("looped_rope_d032", (1, 2, 1))):
        own = {group.curriculum: group for group in board.groups if (group.model, group.task) == (model, "sum")}
        assert tuple((own[c].num_learned, len(own[c].runs)) for c in (joint, staged, alone)) == tuple(
            (n, 3) for n in counts
        )
    trained = len({run.model.weights_sha256 for run in results().values() if run.track != "constructed"})
    gain = sides[joint].gain
    assert gain is not None
    text = " ".join((ROOT / "docs/findings.md").read_text().split())
    for phrase in (
        f"{trained} runs of 2 to 59 thousand parameters on {len(board.tasks)} tasks",
        times(joint).format(" of SUM alone"),
        times("max_med*0.5+sum*0.5:12000").replace(" the parameters{}", ""),
        times(staged).format(""),
        times("sum_min:6000").format(""),
        "{} ({}) beside".format(*spell_plateau(arms["sum", joint].threshold.plateau)),
        "{} ({}) alone".format(*spell_plateau(arms["sum", alone].threshold.plateau)),
        f"{100 * gain.estimate:.0f} points more ({100 * gain.low:.0f} to {100 * gain.high:.0f})",
        f"The weights of {len(stored())} of these runs",
        f"MAX and MED are learned from {n50('max')} parameters on, PROD from {n50('prod')}, SUM from {n50('sum')}, and",
        f"by none of the sizes up to {n50('nadd').removeprefix('> ')}",
    ):
        assert phrase in text


def test_the_table_of_scrambled_partners_is_what_the_results_say() -> None:
    found: dict[str, list[Result]] = {}
    for result in results().values():
        if result.task.name == "sum_scrambled" and result.training is not None:
            assert result.parameters.total == 21_636
            found.setdefault(result.training.curriculum, []).append(result)
    rows = {
        "alone": found.pop("sum_scrambled:6000"),
        "beside MAX and MED": found.pop("sum_max_med_scrambled:6000"),
        "beside SMAX and SMED": found.pop("smax_smed_sum_scrambled:6000"),
        "after MAX and MED": found.pop("max_med_scrambled:1500,sum_scrambled:4500/keep-optimizer"),
        "after SMAX and SMED": found.pop("smax_smed_scrambled:1500,sum_scrambled:4500/keep-optimizer"),
    }
    assert not found

    def said(runs: list[Result]) -> list[str]:
        exact, unseen = (
            [result.splits[split].metrics.trace_accuracy.accuracy for result in runs]
            for split in ("test", "test_unseen_operands")
        )
        shares = (f"{fmean(of):.1%} ({100 * min(of):.1f}–{100 * max(of):.1f})" for of in (exact, unseen))
        return [f"{sum(share >= LEARNED for share in exact)}/{len(runs)}", *shares]

    page = (ROOT / "docs/operations.md").read_text().partition("| SUM was trained |")[2].partition("\n\n")[0]
    table = [line.strip("| ").split(" | ") for line in page.splitlines()[2:]]
    assert {name: cells for name, *cells in table} == {name: said(runs) for name, runs in rows.items()}


def test_the_findings_say_each_verdict_as_the_claims_do() -> None:
    row = r"^\| \[(R\d)\]\(#r\d\) \|.*?\| \*\*(.+?)\*\*(.*?) \((declared|exploratory)\) \|"
    found = re.findall(row, (BOARD / CLAIMS).read_text(), re.MULTILINE)
    assert [name for name, *_ in found] == [f"R{number}" for number in range(1, 10)]
    names: dict[tuple[str, str], list[str]] = {}
    for name, verdict, where, _ in found:
        names.setdefault((verdict, where), []).append(name)
    several = {"holds": "hold", "does not hold": "do not hold", "not decided": "are not decided"}
    one = {"not decided": "is not decided"}
    said = [
        f"{', '.join(own[:-1])} and {own[-1]} {several[verdict]}{where}"
        if len(own) > 1
        else f"{own[0]} {one.get(verdict, verdict)}{where}"
        for (verdict, where), own in names.items()
    ]
    text = " ".join((ROOT / "docs/findings.md").read_text().split())
    assert f"{'; '.join(said)}. " in text
    assert {word for *_, word in found} == {"exploratory"}
    assert "All nine verdicts are exploratory" in text


def test_stored_runs_are_small() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= MAX_WEIGHTS


def test_records_of_verification_are_of_results_that_are_there() -> None:
    there = {result_sha256(result): path.relative_to(RESULTS).as_posix() for path, result in results().items()}
    assert {sha256: record.path for sha256, record in read_verified(RESULTS).items()}.items() <= there.items()


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The board built anew: ``listops-bench leaderboard build`` in a folder that holds its sources alone."""
    folder = tmp_path_factory.mktemp("reference") / "leaderboard"
    (folder / "results").mkdir(parents=True)
    for path in BOARD.iterdir():
        if path.name in ("results", "analysis", "plans"):
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        elif path.name in ("verified.json", "history.md"):
            shutil.copy(path, folder)
    (folder / "weights").symlink_to(WEIGHTS)
    built = build(folder / "results", folder)
    write_claims(built.boards, folder / "results", folder / CLAIMS)
    return folder


@pytest.mark.parametrize("name", ["README.md", CLAIMS])
def test_pages_are_what_a_build_makes(rebuilt: Path, name: str) -> None:
    assert (BOARD / name).read_text() == (rebuilt / name).read_text()


def test_the_site_is_what_a_build_makes(rebuilt: Path) -> None:
    """PNGs are left out: their pixels depend on the fonts and the renderer of a machine. SVGs say the same as text, and
    CSV what Parquet holds, whose bytes are its writer's."""
    if not find_results(RESULTS):
        assert not (BOARD / "site").exists()
        return
    ours, theirs = files_of(BOARD / "site"), files_of(rebuilt / "site")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not name.endswith((".png", ".parquet")) and ours[name] != theirs[name]] == []


PAGES = [*ROOT.glob("*.md"), *BOARD.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert [link for link in links if link and not (page.parent / link).exists()] == []
