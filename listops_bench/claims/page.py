"""The page of the claims: results and analyses in, ``CLAIMS.md`` out. The same input gives the same bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from listops_bench._base.files import write_atomic
from listops_bench._base.text import count
from listops_bench.claims._costs import Cost, costs, trained_models, versions
from listops_bench.claims._evidence import Ladders
from listops_bench.claims._render import render
from listops_bench.claims._specs import Decision
from listops_bench.claims._studies import Study, read_studies
from listops_bench.claims._thresholds import budget_gains
from listops_bench.claims.claim import Claim, decide
from listops_bench.errors import InvalidInput, file_error
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group
from listops_bench.leaderboard.output import check_replaced
from listops_bench.result.plans import FOLDER as PLANS, Plan, read_plans

FILE_NAME = "CLAIMS.md"
ANALYSIS = "analysis"
HISTORY = "history.md"
VERDICTS: dict[Decision, str] = {"for": "holds", "against": "does not hold", "open": "not decided"}


def claims(board: Board | None, studies: Sequence[Study] = (), plans: Sequence[Plan] = ()) -> list[Claim]:
    """R1 to R9, in their order; without results none is decided."""
    return decide(_ladders(board, plans), studies)


def _ladders(board: Board | None, plans: Sequence[Plan]) -> Ladders:
    return Ladders(board.all_arms if board else (), plans)


def write_claims(
    boards: Sequence[Board],
    results_dir: str | os.PathLike[str],
    page: str | os.PathLike[str],
    analysis_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Writes the page that says of each of the paper's claims whether it holds.

    Args:
        boards: of the results folder, the newest first (`leaderboard.read_boards`).
        results_dir: where the results lie. What a file ``history.md`` beside it tells, such as how the results came to
            be, stands on the page. A folder ``plans`` beside it says which runs were declared beforehand.
        page: the file; its links start from the folder that it lies in.
        analysis_dir: holds the folders that ``listops-bench analyze`` wrote; by default ``analysis`` beside the page.

    Raises:
        InvalidInput: no such folder, an analysis that cannot be read, or a page of nothing in the place of another.
    """
    page = Path(page)
    check_replaced(boards, results_dir, page)
    write_atomic(page, make_claims(boards, results_dir, page, analysis_dir))
    return page


def make_claims(
    boards: Sequence[Board],
    results_dir: str | os.PathLike[str],
    page: str | os.PathLike[str],
    analysis_dir: str | os.PathLike[str] | None = None,
) -> str:
    """What `write_claims` writes, without writing it."""
    home = Path(page).parent
    if analysis_dir is not None and not Path(analysis_dir).is_dir():
        raise InvalidInput(f"analysis folder {str(analysis_dir)!r} does not exist")
    studies = read_studies(home / ANALYSIS if analysis_dir is None else analysis_dir)
    return claims_page(boards, studies, results_dir, home)


def claims_page(
    boards: Sequence[Board], studies: Sequence[Study], results_dir: str | os.PathLike[str], home: str | os.PathLike[str]
) -> str:
    """The page, with links that start from folder ``home``. Of several boards only the newest is asked."""
    board = boards[0] if boards else None

    def path_link(path: Path) -> str:
        return quote(Path(os.path.relpath(path, home)).as_posix())

    def link(group: Group) -> str:
        folders = {run.result.model.id.replace("/", "__") for run in group.runs}
        folder = Path(results_dir, folders.pop()) if len(folders) == 1 else Path(results_dir)
        return path_link(folder) + "/"

    plans = read_plans(Path(results_dir).parent / PLANS)
    ladders = _ladders(board, plans)
    trained = trained_models(board) if board else []
    return render(
        "_page.md",
        basis=_basis(boards, studies),
        claims=decide(ladders, studies),
        verdicts=VERDICTS,
        plans=plans,
        history=_history(Path(results_dir).parent / HISTORY),
        has_results=board is not None,
        ladders=ladders,
        budgets=budget_gains(ladders.arms),
        costs=costs(trained),
        all_costs=Cost.of(trained),
        versions=versions(trained),
        link=link,
        path_link=path_link,
    )


def _history(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    except OSError as error:
        raise file_error("read", path, error) from None


def _basis(boards: Sequence[Board], studies: Sequence[Study]) -> str:
    if not boards:
        return "There are no results yet."
    words = f"From {boards[0].summary} ({boards[0].version})"
    checkpoints = sum(len(study.findings.checkpoints) for study in studies)
    analyses = "1 analysis" if len(studies) == 1 else f"{len(studies)} analyses"
    words += f" and {analyses} of {count(checkpoints, 'checkpoint')}." if studies else "; no analyses."
    if len(boards) > 1:
        words += " Results of other versions stand on boards of their own and are not part of this page."
    return words + " Accuracies of single runs, with n and Wilson intervals: [the board](README.md)."
