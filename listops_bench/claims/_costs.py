"""What the runs behind a board have cost, from what their results record."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from listops_bench.leaderboard.board import Board
from listops_bench.pages.tables import LEFT, RIGHT, code, line, table
from listops_bench.result.format import Result
from listops_bench.runs.record import Environment, Training


@dataclass(frozen=True)
class Cost:
    """The runs of one model on one kind of hardware; ``scoring`` are the seconds of all its evaluations."""

    model: str
    parameters: int
    hardware: str
    runs: int
    steps: int
    tokens: int
    seconds: float
    scoring: float

    @property
    def cells(self) -> tuple[str, ...]:
        rates = [f"{of / self.seconds:,.1f}" if self.seconds else "" for of in (self.steps, self.tokens / 1000)]
        return (
            code(self.model), f"{self.parameters:,}", code(self.hardware), f"{self.runs:,}", f"{self.steps:,}",
            *rates, f"{self.seconds / 3600:.2f}", f"{self.scoring / 3600:.2f}",
        )  # fmt: skip


def costs(board: Board) -> list[Cost]:
    """By size and hardware. A model that was scored on several tasks was trained once."""
    by_model: dict[str, list[Result]] = defaultdict(list)
    for group in board.groups:
        for run in group.runs:
            model = run.result.model
            by_model[model.weights_sha256 or f"{model.id}@{model.revision}"].append(run.result)
    kinds: dict[tuple[int, str, str], list[list[Result]]] = defaultdict(list)
    for results in by_model.values():
        first = results[0]
        if first.training is not None:
            hardware = first.training.environment.hardware or "not stated"
            kinds[first.parameters.total, first.architecture.name, hardware].append(results)
    return [_cost(*kind, of_kind) for kind, of_kind in sorted(kinds.items())]


def _cost(parameters: int, model: str, hardware: str, models: Sequence[Sequence[Result]]) -> Cost:
    trained = [results[0].training for results in models if results[0].training is not None]
    return Cost(
        model,
        parameters,
        hardware,
        runs=len(trained),
        steps=sum(training.steps for training in trained),
        tokens=sum(training.tokens for training in trained),
        seconds=sum(training.wall_seconds for training in trained),
        scoring=sum(result.evaluation.wall_seconds for results in models for result in results),
    )


_COLUMNS = (
    ("model", LEFT), ("parameters", RIGHT), ("hardware", LEFT), ("runs", RIGHT), ("steps", RIGHT), ("steps/s", RIGHT),
    ("1,000 tokens/s", RIGHT), ("training, hours", RIGHT), ("scoring, hours", RIGHT),
)  # fmt: skip


def cost_table(found: Sequence[Cost]) -> str:
    """A line for each model and hardware, and the sums."""
    rows = [cost.cells for cost in found]
    seconds, scoring = sum(cost.seconds for cost in found), sum(cost.scoring for cost in found)
    runs, steps = sum(cost.runs for cost in found), sum(cost.steps for cost in found)
    sums = f"{runs:,}", f"{steps:,}", "", "", f"{seconds / 3600:.2f}", f"{scoring / 3600:.2f}"
    text = table(_COLUMNS, rows)
    return "\n".join([text, line("**all**", "", "", *(cell and f"**{cell}**" for cell in sums))]) if text else ""


_VERSIONS = (("code", LEFT), ("altered", LEFT), ("packages", LEFT), ("hardware", LEFT), ("runs", RIGHT))


def environment_table(board: Board) -> str:
    """Under which versions of the code and its packages runs were trained."""
    trained: dict[str, Training] = {}
    for group in board.groups:
        for run in group.runs:
            if run.result.training is not None:
                model = run.result.model
                trained[model.weights_sha256 or f"{model.id}@{model.revision}"] = run.result.training
    counts = Counter(_words(training.environment) for training in trained.values())
    return table(_VERSIONS, [(*words, f"{runs:,}") for words, runs in sorted(counts.items())])


def _words(of: Environment) -> tuple[str, str, str, str]:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(of.packages.items()))
    altered = "not known" if of.dirty is None else "yes" if of.dirty else "no"
    return code((of.commit or "not known")[:12]), altered, code(packages), code(of.hardware or "not stated")
