"""The page of the claims: results and analyses in, ``CLAIMS.md`` out. The same input gives the same bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from listops_bench._base.files import write_atomic
from listops_bench.claims._costs import cost_table, costs, environment_table
from listops_bench.claims._curricula import r7, r8, r9
from listops_bench.claims._evidence import CONFIDENCE, NO_GAIN, NO_SAVING, Decision, Ladders
from listops_bench.claims._sizes import r1, r2, r3, r4
from listops_bench.claims._studies import Study, claims_of_studies, read_studies
from listops_bench.claims._tables import LinkOf, budget_rows, budget_table
from listops_bench.claims.claim import Claim
from listops_bench.errors import InvalidInput
from listops_bench.leaderboard.arms import all_arms
from listops_bench.leaderboard.board import Board
from listops_bench.leaderboard.groups import Group
from listops_bench.pages.tables import LEFT, table
from listops_bench.result.learned import LEARNED
from listops_bench.tasks.exposure import NEARLY

FILE_NAME = "CLAIMS.md"
ANALYSIS = "analysis"
VERDICTS: dict[Decision, str] = {"for": "holds", "against": "does not hold", "open": "not decided"}


def claims(
    board: Board | None, studies: Sequence[Study], link: LinkOf, path_link: Callable[[Path], str]
) -> list[Claim]:
    """R1 to R9, in their order; without results none is decided."""
    ladders = Ladders(all_arms(board.groups) if board is not None else ())
    found = [make(ladders, link) for make in (r1, r2, r3, r4, r7, r8, r9)]
    return sorted([*found, *claims_of_studies(studies, path_link)], key=lambda claim: claim.name)


def write_claims(
    boards: Sequence[Board],
    results_dir: str | os.PathLike[str],
    page: str | os.PathLike[str],
    analysis_dir: str | os.PathLike[str] | None = None,
) -> Path:
    """Writes the page that says of each of the paper's claims whether it holds.

    Args:
        boards: of the results folder, the newest first (`leaderboard.read_boards`).
        results_dir: where the results lie.
        page: the file; its links start from the folder that it lies in.
        analysis_dir: holds the folders that ``listops-bench analyze`` wrote; by default ``analysis`` beside the page.

    Raises:
        InvalidInput: no such folder, or an analysis that cannot be read.
    """
    page = Path(page)
    if analysis_dir is not None and not Path(analysis_dir).is_dir():
        raise InvalidInput(f"analysis folder {str(analysis_dir)!r} does not exist")
    studies = read_studies(page.parent / ANALYSIS if analysis_dir is None else analysis_dir)
    write_atomic(page, claims_page(boards, studies, results_dir, page.parent))
    return page


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

    found = claims(board, studies, link, path_link)
    parts = [_TOP, _basis(boards, studies), _summary(found), _RULES]
    for claim in found:
        parts += _section(claim)
    if board is not None:
        parts += _budgets(board)
        parts += _costs(board)
    return "\n\n".join(part for part in parts if part) + "\n"


_TOP = """# The paper's claims, measured

*Small Models, Smarter Learning: The Power of Joint Task Training* (arXiv 2505.18369) makes the claims below; the
sentences are ours. This page says of each whether it **holds** in the runs of this repository, **does not hold**, or is
**not decided** by them. It is made from the result files and analyses beside it by `listops-bench leaderboard build`,
and no figure on it was written by hand. Data, models and recipes are not those of the paper."""

_RULES = f"""## How verdicts are reached

The same rules are applied to any set of results; each claim's own rule stands in its section.

- **A run is the unit.** It has *learned* a task with at least {LEARNED:.0%} exact traces on the task's test rows,
  for a joint task also on those of each of its operations alone. Leaving the plateau is a random event, so
  accuracies are two-humped, and means and ranges are shown without deciding anything.
- **Contrasts.** What is compared shares everything in its *setting* (family of models, layers or loops, heads,
  modulus, depth, style of traces, track) and the number of steps, and differs in the curriculum or the task.
- **Ratio of N50.** N50 is the number of parameters with which half of the seeds learn: logistic in log parameters,
  by Firth's penalised likelihood. The ratio of two N50, each with a slope of its own, has the interval of its
  profile: all ratios that some pair of N50 makes acceptable. Below 1, the first of the two needs fewer parameters.
  An arm that never learned, or always did, gives bounds (&gt;, &lt;), and so does the ratio: sizes beyond those
  tried are never filled in. In simulations on three sizes the interval covered the true ratio in at least 95% of
  cases with three seeds a size, and a ratio of 1 with five.
- **Several budgets.** Where the same two ways of training were tried within several numbers of steps, the profiles
  of their ratios are also added up to one ratio for all of them, which more runs decide; each stands below it by
  itself.
- **Gain at one size.** Where an arm was tried on one size only, or the runs set a ratio no limit and there is one
  common size, the shares of seeds that learned are compared at that size, with the exact interval of their
  difference (Chan and Zhang 1999). Three of three against none of three is told apart, two of three against none is
  not.
- **Decisions.** A contrast speaks *for* a claim if the interval lies on the claim's side of no difference (a ratio
  below 1, a gain above 0), and *against* it if the interval excludes what could be called an effect (a ratio of
  {NO_SAVING} or less, a gain of {100 * NO_GAIN:.0f} points or more). Anything else is *open*. The intervals that
  decide are widened for the number of looks at a claim in a setting, contrasts and ratios for several budgets
  together (Bonferroni, {CONFIDENCE:.0%} for all together); those shown are of {CONFIDENCE:.0%} each.
- **The setting with the most runs gives the verdict.** The others are shown below it, with their own decisions.
- **Not decided** is no result: it says that these runs are too few, and what would decide.

What a result does not tell: it names its recipe by a digest that covers the curriculum too, so that learning rate,
batch and schedule are the same on both sides of a contrast follows from the sweep's file, not from the results.
Equal exposure means as many reductions of the scored operation within the whole budget, up to {NEARLY:.0%}: the
results count them, and where a run stopped early because it had learned, the count is extended to its budget.

When the rules were fixed: not before the first runs. They were written while the pocket sweep was under way and
after analyses of twelve checkpoints of a shorter recipe (the demo's) had been seen. The limit for parity and the
two parts of R6 were set with those analyses in view; the ratio for several budgets, the second way to decide R2 and
the gain where a ratio has no limit were added after the sweep's first 50 results. With results of the sweep in
view, R1 was narrowed to ladders, R5 got its part about unseen operands, and it was settled which of several analyses
decides R5 and R6. For results up to then the verdicts are exploratory; they are a test for what comes later. The
sweep was then extended, the rules as they stood, where its first 93 runs had left most open: by a width of 40 and
`looped_d064` for the headline, by sizes for equal exposure, MAX, MIN and MED, and by seeds of the controls; with the
runs of width 40 in view, by a width of 36. Intervals are not widened for these looks between."""


def _basis(boards: Sequence[Board], studies: Sequence[Study]) -> str:
    if not boards:
        return "There are no results yet."
    words = f"From {boards[0].summary} ({boards[0].version})"
    checkpoints = sum(len(group.checkpoints) for study in studies for group in study.groups)
    analyses = "1 analysis" if len(studies) == 1 else f"{len(studies)} analyses"
    words += f" and {analyses} of {checkpoints} checkpoints." if studies else "; no analyses."
    if len(boards) > 1:
        words += " Results of other versions stand on boards of their own and are not part of this page."
    return words + " Accuracies of single runs, with n and Wilson intervals: [the board](README.md)."


_SUMMARY = (
    ("", LEFT),
    ("claim", LEFT),
    ("verdict", LEFT),
    ("key figure (95% interval)", LEFT),
    ("what would decide it", LEFT),
)


def _summary(found: Sequence[Claim]) -> str:
    rows = []
    for claim in found:
        name, verdict = f"[{claim.name}](#{claim.name.lower()})", f"**{VERDICTS[claim.verdict]}**"
        rows.append((name, claim.statement, verdict, claim.figure, claim.missing))
    return table(_SUMMARY, rows)


def _section(claim: Claim) -> list[str]:
    figure = claim.figure[:1].upper() + claim.figure[1:]
    verdict = f"**{VERDICTS[claim.verdict].capitalize()}.** {figure}{'' if '<br>' in figure else '.'}"
    open_ = [f"What would decide it: {claim.missing}."] if claim.missing else []
    return [f"## {claim.name}", claim.statement, verdict, *open_, f"*Rule.* {claim.rule}", *claim.parts]


def _budgets(board: Board) -> list[str]:
    rows = budget_rows(all_arms(board.groups))
    words = (
        "Sizes at which at least half of the seeds learned within the larger number of steps, and fewer within the "
        "next smaller one that was tried. Decided: the exact interval of the difference, widened for the number of "
        "such pairs looked at, is above 0."
    )
    return [
        "## Where the budget, not the size, decides",
        words,
        budget_table(rows) or "There is none in these results.",
    ]


def _costs(board: Board) -> list[str]:
    found = costs(board)
    if not found:
        return []
    words = (
        "Wall time of training as the results record it, with whatever else the machine was doing, and of scoring. "
        "Runs that were trained packed as one each record the time of their whole pack, so that their hours count it "
        "once for each run. Runs that only chose a recipe, or failed, left no results and are not counted."
    )
    return [
        "## What it cost",
        words,
        cost_table(found),
        "Versions that runs were trained with:",
        environment_table(board),
    ]
