"""The board: result files in, Markdown and a static page out. No torch; the same results give the same bytes.

    leaderboard/results/**/*.json   ->   leaderboard/README.md            the board as Markdown
    leaderboard/verified.json            leaderboard/site/index.html      the page; opens from the file
    leaderboard/weights/                 leaderboard/site/models/         a page for each model
                                         leaderboard/site/figures/        its figures as SVG and PNG
                                         leaderboard/site/thresholds.json learning thresholds, for programs
                                         leaderboard/site/results.csv     every run, for programs; .json, .parquet

Results of another dataset or scorer version are never mixed in: they stand on boards of their own, with a page each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from listops_bench._base.beside import beside
from listops_bench._base.files import remove_others, write_atomic
from listops_bench.errors import InvalidInput
from listops_bench.leaderboard._downloads import downloads
from listops_bench.leaderboard._markdown import markdown
from listops_bench.leaderboard._page import page, pages_of_models
from listops_bench.leaderboard.board import Board, read_boards
from listops_bench.leaderboard.figures import Curve, figures
from listops_bench.leaderboard.records import thresholds_json
from listops_bench.leaderboard.repeat import Repeats
from listops_bench.pages.chart import Figure
from listops_bench.runs.folder import RunFiles
from listops_bench.runs.learning import read_learning
from listops_bench.runs.record import RunRecord, read_run
from listops_bench.runs.store import STORE
from listops_bench.tasks.curriculum import recorded_curriculum
from listops_bench.tasks.task import get_task
from listops_bench.tasks.training_kinds import plan_of, training_kind

SITE = "site"
_MADE = ("board-*.html", "figures/*.svg", "figures/*.png", "models/*.html")


@dataclass(frozen=True)
class Built:
    """What was written, and from which boards, the newest first."""

    page: Path
    markdown: Path
    figures: tuple[Path, ...]
    boards: tuple[Board, ...]

    @property
    def num_results(self) -> int:
        return sum(board.num_results for board in self.boards)


def build(
    results_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    runs: Sequence[str | os.PathLike[str]] = (),
    curve_task: str = "sum",
    title: str = "listops_bench board",
    lead: str = "",
    verified_only: bool = False,
    on_left_out: Callable[[str], None] | None = None,
    on_read: Callable[[Sequence[Board]], None] = lambda boards: None,
) -> Built:
    """Builds the board of a results folder. Its figures are drawn beside the tables, where there is a second core.

    Args:
        results_dir: with ``verified_only`` and ``on_left_out``, see `read_boards`.
        out_dir: gets ``README.md`` and ``site/``; may be the folder that the results lie in.
        runs: checkpoint folders whose learning curves on ``curve_task`` are drawn.
        title: of the page.
        lead: a sentence to stand above everything.
        on_read: called with the boards before anything is drawn.

    Raises:
        InvalidInput: as `read_boards`; an unknown task; a run without a log; or a board of nothing in the place of
            another.
    """
    curves = [read_curve(run, get_task(curve_task).name) for run in runs]
    found = read_boards(results_dir, verified_only=verified_only, on_left_out=on_left_out)
    check_replaced(found, results_dir, Path(out_dir) / "README.md")
    for board in found:
        board.estimate()  # before the parts are made beside each other, all of which show it
    on_read(found)
    drawing = beside(lambda: _drawn(found, curves, f"Learning curves on {curve_task}, validation rows"))
    repeats = Repeats(Path(results_dir).parent / STORE.name)
    readme, site = Path(out_dir) / "README.md", Path(out_dir) / SITE
    names = ["index.html", *(f"board-{board.dataset_version}-{board.scorer_version}.html" for board in found[1:])]
    pages: dict[Path, str | bytes] = {}
    for name, board in zip(names, found, strict=False):
        models = pages_of_models(board, home=name, repeats=repeats)
        pages |= {site / name: content for name, content in models.items()}
    if found:
        pages[site / "thresholds.json"] = thresholds_json(found)
        pages |= {site / name: content for name, content in downloads(found[0], repeats).items()}
    drawn, pngs = drawing()
    for place, shown in enumerate(found or [None]):
        others = [(name, other.version) for name, other in zip(names, found, strict=False) if other is not shown]
        inside = drawn if place == 0 else figures(shown) if shown else []
        pages[site / names[place]] = page(
            shown, title=title, lead=lead if place == 0 else "", figures=inside, others=others, figure_files=place == 0
        )
    pictures: dict[Path, str | bytes] = {}
    for figure, png in zip(drawn, pngs, strict=True):
        pictures[site / "figures" / f"{figure.name}.svg"] = figure.svg
        pictures[site / "figures" / f"{figure.name}.png"] = png
    pages[readme] = markdown(found, title=title, lead=lead, figures=drawn, site=SITE)
    for path, content in (pages | pictures).items():
        write_atomic(path, content)
    remove_others(site, _MADE, {*pages, *pictures})
    return Built(site / "index.html", readme, tuple(pictures), tuple(found))


def _drawn(boards: Sequence[Board], curves: Sequence[Curve], title: str) -> tuple[list[Figure], list[bytes]]:
    """The figures of the newest board, and the same as PNG."""
    found = figures(boards[0], curves, title) if boards else []
    return found, [figure.png for figure in found]


def check_replaced(boards: Sequence[Board], results_dir: str | os.PathLike[str], page: Path) -> None:
    """Raises InvalidInput where a page made of nothing would take the place of one that is there."""
    if not boards and page.exists():
        raise InvalidInput(
            f"no result below {str(results_dir)!r} can be shown, and {str(page)!r} stays as it is: name the folder of "
            "MODEL/REVISION/TASK.json, or another place to write to"
        )


def read_curve(run: str | os.PathLike[str], task: str) -> Curve:
    """A checkpoint's accuracy on a task's validation rows along its training.

    Raises:
        InvalidInput: the folder has no run.json and train_log.jsonl of ours.
    """
    files = RunFiles(run)
    for path in (files.record, files.log):
        if not path.exists():
            raise InvalidInput(f"{path}: cannot be read (there is none)")
    record = read_run(run) or RunRecord()
    text, seed = record.curriculum, record.seed
    if text is None or seed is None:
        raise InvalidInput(f"{files.record}: not the record of a training run")
    try:
        curriculum = recorded_curriculum(text)
    except InvalidInput as error:
        raise InvalidInput(f"{files.record}: {error}") from None
    learning = read_learning(run, record).get(task)
    points = [(int(step), right, learning.n) for step, right in learning.correct.items()] if learning else []
    starts = [curriculum.start(index) for index in range(1, len(curriculum.stages))]
    return Curve(plan_of(text), training_kind(text, task), seed, points, starts)
