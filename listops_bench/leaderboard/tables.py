"""The board's tables, each made once with all columns that the pages, the README and the terminal pick from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from listops_bench._base.text import count
from listops_bench.leaderboard._drawings import ladder_strip, seed_strip
from listops_bench.leaderboard.arms import (
    Arm,
    Comparison,
    spell_budget,
    spell_gain,
    spell_limits,
    spell_plateau,
    spell_threshold,
)
from listops_bench.leaderboard.board import Board, Size
from listops_bench.leaderboard.challenges import standings
from listops_bench.leaderboard.groups import RANKED_SEEDS, Group, Run
from listops_bench.pages.console import print_tables
from listops_bench.pages.tables import Cell, Column, Row, Table, to_console
from listops_bench.result.learned import LEARNED
from listops_bench.score.held_out import HeldOutSteps
from listops_bench.stats.intervals import Summary
from listops_bench.stats.survival import Survival
from listops_bench.stats.threshold import Ratio, Threshold
from listops_bench.tasks.training_kinds import KINDS

SPLITS = (
    ("exact traces", "test", "trace_accuracy"),
    ("answers", "test", "answer_accuracy"),
    ("valid steps", "test", "valid_step_rate"),
    ("unseen operands", "test_unseen_operands", "trace_accuracy"),
    ("deeper", "test_deeper", "trace_accuracy"),
    ("wider", "test_wider", "trace_accuracy"),
)
"""What is shown of each seed: heading, split, metric."""

LinkOf = Callable[[Group], str]
"""The address of a group on its model's page."""

_PALE, _DEEP = (0xF7, 0xF9, 0xFB), (0x6F, 0xB1, 0xE4)  # dark text is readable on both


def no_link(group: Group) -> str:
    """For places from which model pages cannot be reached."""
    return ""


# --- sizes and tasks --------------------------------------------------------------------------------------------------


def matrix_table(board: Board, link: LinkOf = no_link) -> Table:
    """Sizes x tasks: the mean over seeds of the best recipe, and with how many seeds the task was learned."""
    names = (Column("model, parameters", key="stub", css="stub"), Column("model"), Column("parameters", "right"))
    notes = {task: f"N50 {spell_threshold(arm.threshold)}" for task, arm in board.measured.items()}
    tasks = (Column(t, "right", is_name=True, note=notes.get(t, ""), data={"task": t}) for t in board.tasks)
    rows, before = [], None
    for size, found in board.matrix.items():
        groups = [group for task in board.tasks for group in found.get(task, ())]
        detail = f"{size.parameters:,}, {KINDS[size.kind]}"
        rows.append(
            Row(
                (
                    Cell(size.model, detail, link=link(groups[0]).partition("#")[0], swatch=size.kind),
                    Cell(size.model, is_name=True), number(size.parameters), Cell(KINDS[size.kind]),
                    *(_matrix_cell(size, task, found.get(task, ()), link) for task in board.tasks),
                ),
                css="" if before == size.model else "first",
                data={
                    "family": size.family, "kind": size.kind, "parameters": str(size.parameters),
                    "text": _words(size.model, *(word for group in groups for word in (group.curriculum, group.plan))),
                },
            )
        )  # fmt: skip
        before = size.model
    return Table((*names, Column("trained"), *tasks), tuple(rows), "Model size × task")


def _matrix_cell(size: Size, task: str, groups: Sequence[Group], link: LinkOf) -> Cell:
    if not groups:
        return Cell(css="empty", data={"task": task})
    best, mean = groups[0], groups[0].mean() or 0.0
    lines = [
        f"{size.model}, {size.parameters:,} parameters, {best.origin}, scored on {task}:",
        f"{mean:.1%} is the mean of {count(len(best.scored), 'seed')}",
        *(f"{run.seed}: {summary}" for run, summary in best.scored),
        f"learned with {best.learned} {'seed' if len(best.runs) == 1 else 'seeds'}; verified: {best.verified_when}",
        *([f"best of {len(groups)} recipes"] if len(groups) > 1 else []),
    ]
    mixed = (round(pale + (deep - pale) * mean) for pale, deep in zip(_PALE, _DEEP, strict=True))
    return Cell(
        f"{mean:.1%}",
        best.learned,
        value=mean,
        link=link(best),
        tip="\n".join(lines),
        css="cell learned" if best.num_learned == len(best.runs) else "cell",
        background="#" + "".join(f"{value:02x}" for value in mixed),
        data={"task": task, "track": " ".join(sorted({group.first.track for group in groups}))},
    )


def smallest_table(board: Board, link: LinkOf = no_link) -> Table:
    """For each track and task, the smallest model that has learned it."""
    columns = (
        Column("task"), Column("model"), Column("parameters", "right"), Column("seeds that learned", "right"),
        *trained_columns(), Column("track"),
    )  # fmt: skip
    rows = []
    for group in board.smallest:
        seeds = group.learned if group.ranked else f"{group.learned}, unranked"
        model = Cell(group.model, is_name=True, link=link(group))
        learned = Cell(seeds, f"verified: {group.verified}")
        cells = (Cell(group.task, is_name=True), model, number(group.parameters), learned, *trained_cells(group))
        rows.append(Row((*cells, Cell(group.first.track)), data=_marks(group)))
    note = (
        "The smallest model of each track with which at least half of the seeds learned the task. A recipe is ranked "
        f"with {RANKED_SEEDS} seeds or more; where none is, the smallest unranked one is shown, and says so. "
        "Models of one size share the place."
    )
    return Table(columns, tuple(rows), "Smallest model that has learned each task", (note,))


def challenge_table(board: Board, link: LinkOf = no_link) -> Table:
    """A row for each challenge: its rule, who is first, and how it is entered."""
    columns = (
        Column("challenge"), Column("rule"), Column("first"), Column("sharing its place"), Column("displaced by"),
        Column("entered by"),
    )  # fmt: skip
    rows = []
    for standing in standings(board):
        challenge, best = standing.challenge, list(standing.first.values())
        first, figure = "no entry yet", ""
        shared = "; ".join(f"{other.model}, {other.plan}: {challenge.figure(other)}" for _, *o in best for other in o)
        address = ""
        if len(best) == 1 and challenge.name != "smallest":
            leader = best[0][0]
            first, figure = f"{leader.model}, {leader.plan}", challenge.figure(leader)
            address = link(leader)
        elif best:
            first, shared = ", ".join(f"{task} {groups[0].parameters:,}" for task, groups in standing.first.items()), ""
        title = f"{challenge.title}, {'constructed' if standing.constructed else 'trained'}"
        cells = (
            Cell(title if challenge.name == "smallest" else challenge.title), Cell(challenge.rule),
            Cell(first, figure, link=address), Cell(shared), Cell(challenge.displaces),
            Cell(challenge.command + (" --track constructed" if standing.constructed else ""), is_name=True),
        )  # fmt: skip
        rows.append(Row(cells))
    return Table(columns, tuple(rows), "Challenges")


# --- thresholds -------------------------------------------------------------------------------------------------------

_N50_NOTE = (
    f"N50: the number of parameters with which half of the seeds learn (at least {LEARNED:.0%} exact traces), with its "
    "95% interval; > and < mark bounds: the sizes tried do not reach it. Against alone: N50 divided by that of "
    "training on the task alone for as many steps (*: as many of the task's operations seen); 0.25 means four times "
    "fewer parameters. Plateau: the share of seeds that learns when size is no limit; against alone, in points more "
    "than training on the task alone. Unseen operands: N50 on rows that need operations on operands never trained on. "
    "Scatter: sizes marked so differ by more than the luck of their seeds (p < .05): their intervals are too narrow."
)


def threshold_table(board: Board) -> Table:
    """For each task, family and way of training that was tried on at least two sizes: from which size it learns."""
    interval = "95% interval"
    columns = (
        Column("task"), *trained_columns("budget"), Column("N50", "right", "n50", interval),
        Column("plateau", "right", "plateau", interval),
        Column("seeds that learned, by size", key="strip", css="ladder", sortable=False),
        Column("against alone", "right", "ratio", interval), Column("against alone", "right", "against", interval),
        Column("plateau against alone", "right", "gain", interval),
        Column("N50, unseen operands", "right", "unseen", interval), Column("sizes", "right"), Column("runs", "right"),
        Column("family"), Column("track"),
    )  # fmt: skip
    sizes = [size for arm in board.arms for size in arm.sizes]
    ends = (min(sizes), max(sizes)) if sizes else (1, 2)
    rows = tuple(_threshold_row(board, arm, place, ends) for place, arm in enumerate(board.arms))
    return Table(columns, rows, "Learning thresholds", (_N50_NOTE,))


def _threshold_row(board: Board, arm: Arm, place: int, ends: tuple[int, int]) -> Row:
    group = arm.groups[0]
    cells = (
        Cell(arm.task, value=place, is_name=True),
        *trained_cells(group, spell_budget(arm)),
        _n50(arm.threshold),
        _share(arm),
        Cell(drawing=ladder_strip(arm, ends)),
        *_against_alone(board.comparison(arm)),
        _gain(board.comparison(arm)),
        _n50(arm.unseen) if arm.unseen.runs else Cell(value=""),
        number(len(arm.sizes)),
        replace(number(arm.runs), detail=f"{arm.verified:,} verified"),
        Cell(arm.family, is_name=True),
        Cell(arm.track),
    )
    models = [one.model for one in arm.groups]
    return Row(cells, data=_marks(group) | {"text": _words(arm.task, arm.plan, arm.curriculum, arm.family, *models)})


def _n50(found: Threshold | Ratio) -> Cell:
    """With a value that sorts bounds beyond the sizes that they name."""
    beyond = {"above": 1.001, "below": 0.999}.get(found.kind, 1.0)
    value = "" if found.estimate is None else round(found.estimate * beyond, 4)
    return Cell(spell_threshold(found), spell_limits(found), value)


def _share(arm: Arm) -> Cell:
    """The plateau, and whether sizes scatter."""
    plateau, scatter = arm.threshold.plateau, arm.threshold.scatter
    text, interval = spell_plateau(plateau)
    scatters = ", scatter" if text and scatter is not None and scatter < 0.05 else ""
    return Cell(text, interval + scatters, "" if plateau.estimate is None else round(plateau.estimate, 4))


def _gain(comparison: Comparison | None) -> Cell:
    gain = comparison.gain if comparison else None
    text, interval = spell_gain(gain)
    return Cell(text, interval, "" if gain is None else round(gain.estimate, 4))


def _against_alone(comparison: Comparison | None) -> tuple[Cell, Cell]:
    """The ratio, and once more with a star where not the steps are equal but the exposure."""
    if comparison is None:
        return Cell(value=""), Cell(value="")
    cell = _n50(comparison.ratio)
    return cell, cell if comparison.equal == "steps" else replace(cell, text=f"{cell.text}*")


def time_table(board: Board) -> Table:
    """For each of these and size at which a run learned: after how many steps."""
    columns = (
        Column("task"), *trained_columns(), Column("parameters", "right"), Column("learned", "right"),
        Column("median steps", "right", detail_title="95% interval"), Column("family"), Column("track"),
    )  # fmt: skip
    rows = [
        Row(
            (
                Cell(arm.task), *trained_cells(arm.groups[0]), number(size), Cell(f"{time.learned}/{time.runs}"),
                _median(time, arm.budget), Cell(arm.family), Cell(arm.track),
            )
        )
        for arm in board.arms
        for size, time in arm.times.items()
        if time is not None and time.learned
    ]  # fmt: skip
    note = (
        "Kaplan-Meier median over the runs, by validations along the training; >: more than half of the runs had not "
        "learned when their training ended"
    )
    return Table(columns, tuple(rows), "Steps to learn", (note,))


def _median(time: Survival, budget: int) -> Cell:
    if time.median is None:
        return Cell(f"> {budget:,}")
    low, high = ("" if limit is None else f"{limit:,}" for limit in (time.median_low, time.median_high))
    limits = f"{low} to {high}" if low and high else f"from {low}" if low else ""
    return Cell(f"{time.median:,}", limits, time.median)


def print_thresholds(board: Board, *, times: bool) -> None:
    """Prints the thresholds of a board, and the steps to learn if asked to."""
    names = ("task", "plan", "n50", "plateau", "against", "gain", "unseen", "sizes", "runs", "family", "track")
    tables = [replace(threshold_table(board).pick(*names), caption=f"Learning thresholds, {board.version}")]
    if times:
        tables.append(
            time_table(board).pick("task", "plan", "parameters", "learned", "median steps", "family", "track")
        )
    print_tables(*map(to_console, tables))


# --- all results ------------------------------------------------------------------------------------------------------


def results_table(board: Board, link: LinkOf = no_link, more: LinkOf = no_link) -> Table:
    """A row for each recipe and task; ``more`` is the HTML that opens below it."""
    columns = (
        Column("model"), Column("parameters", "right"), *trained_columns(), Column("scored on", key="task"),
        Column("learned", "right"), Column("exact traces", "right", "trace", css="strip"), Column("each seed"),
        Column("seeds × rows", "right", "n"), Column("answers", "right"), Column("unseen operands", "right", "unseen"),
        Column("track"), Column("verified"),
    )  # fmt: skip
    rows = [_result_row(group, place, link(group), more(group)) for place, group in enumerate(board.rows)]
    return Table(columns, tuple(rows), "All results")


def _result_row(group: Group, place: int, link: str, more: str) -> Row:
    first, rows = group.first, sum(summary.n for summary in group.summaries())
    cells = (
        Cell(group.model, is_name=True, link=link),
        number(group.parameters),
        *trained_cells(group),
        Cell(group.task, value=place, is_name=True),  # rows come sorted by task first
        Cell(group.learned, value=round(group.num_learned / len(group.runs), 4)),
        replace(_mean(group.mean()), drawing=seed_strip(group)),
        Cell("; ".join(f"{s.accuracy:.1%} ({limits(s)}), n={s.n:,}" for s in group.summaries())),
        Cell(group.rows, value=rows or ""),
        _mean(group.mean("test", "answer_accuracy")),
        _mean(group.mean("test_unseen_operands")),
        Cell(first.track),
        Cell(group.verified, tip=group.verified_when),
    )
    words = (group.model, group.curriculum, group.plan, group.task, first.recipe.id, first.model.id, first.track)
    return Row(cells, data=_marks(group) | {"parameters": str(group.parameters), "text": _words(*words)}, more=more)


def _mean(mean: float | None) -> Cell:
    return Cell(value="") if mean is None else Cell(f"{mean:.1%}", value=round(mean, 6))


def seed_table(group: Group, hub: Callable[[Run], str] | None = None) -> Table:
    """A row for each seed: per figure its value, and below it the interval and n; ``hub`` gives its address."""
    rows = []
    for run in group.runs:
        marks = [(run.result.model.weights_sha256 or "")[:12], *([run.verified_when] if run.verified else [])]
        figures = (run.summary(split, metric) for _, split, metric in SPLITS)
        rows.append(Row((Cell(run.seed, ", ".join(marks), link=hub(run) if hub else ""), *map(_figure, figures))))
    return Table((Column("run"), *(Column(heading) for heading, _, _ in SPLITS)), tuple(rows))


def _figure(summary: Summary | None) -> Cell:
    if summary is None:
        return Cell()
    return Cell(f"{summary.accuracy:.1%}", f"{limits(summary)}, n = {summary.n:,}")


# --- parts ------------------------------------------------------------------------------------------------------------


def number(value: int) -> Cell:
    """``12,300``."""
    return Cell(f"{value:,}", value=value)


def limits(of: Summary | HeldOutSteps) -> str:
    """``96.5–97.4``, in percent."""
    return f"{100 * of.low:.1f}–{100 * of.high:.1f}"


def trained_columns(budget: str = "") -> tuple[Column, Column]:
    """What a group was trained on: its curriculum, and the same in words; places show one of the two."""
    return Column("trained on", key="curriculum"), Column("trained on", key="plan", detail_title=budget)


def trained_cells(group: Group, budget: str = "") -> tuple[Cell, Cell]:
    """The cells of `trained_columns`."""
    return Cell(group.curriculum, is_name=True), Cell(group.plan, budget, swatch=group.kind)


def _marks(group: Group) -> dict[str, str]:
    """What the page's filters ask for."""
    first = group.first
    return {"family": first.architecture.family, "kind": group.kind, "task": group.task, "track": first.track}


def _words(*words: str) -> str:
    """What the page's search looks into."""
    return " ".join(sorted(set(words))).lower()
