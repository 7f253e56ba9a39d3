"""What the runs behind a board have cost, from what their results record."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from listops_bench.leaderboard.board import Board
from listops_bench.result.format import Result
from listops_bench.runs.record import Training


@dataclass(frozen=True)
class Trained:
    """A model that was trained once; ``scoring`` are the seconds of its evaluations on several tasks."""

    name: str
    parameters: int
    training: Training
    scoring: float

    @property
    def hardware(self) -> str:
        return self.training.environment.hardware or "not stated"


def trained_models(board: Board) -> list[Trained]:
    by_model: dict[str, list[Result]] = defaultdict(list)
    for group in board.groups:
        for run in group.runs:
            model = run.result.model
            by_model[model.weights_sha256 or f"{model.id}@{model.revision}"].append(run.result)
    return [
        Trained(
            results[0].architecture.name,
            results[0].parameters.total,
            results[0].training,
            sum(result.evaluation.wall_seconds for result in results),
        )
        for results in by_model.values()
        if results[0].training is not None
    ]


@dataclass(frozen=True)
class Cost:
    """Some models together; times in seconds."""

    runs: int
    steps: int
    tokens: int
    seconds: float
    scoring: float

    @classmethod
    def of(cls, models: Sequence[Trained]) -> Cost:
        trained = [model.training for model in models]
        return cls(
            runs=len(trained),
            steps=sum(training.steps for training in trained),
            tokens=sum(training.tokens for training in trained),
            seconds=sum(training.wall_seconds for training in trained),
            scoring=sum(model.scoring for model in models),
        )

    def rate(self, amount: float) -> str:
        """So much a second of training; empty where no time was recorded."""
        return f"{amount / self.seconds:,.1f}" if self.seconds else ""


def costs(models: Sequence[Trained]) -> dict[tuple[int, str, str], Cost]:
    """By parameters, model and hardware, in this order."""
    kinds: dict[tuple[int, str, str], list[Trained]] = defaultdict(list)
    for model in models:
        kinds[model.parameters, model.name, model.hardware].append(model)
    return {kind: Cost.of(of_kind) for kind, of_kind in sorted(kinds.items())}


def versions(models: Sequence[Trained]) -> list[tuple[tuple[str, ...], int]]:
    """The versions of code and packages, and the hardware, that runs were trained with, and how many runs each."""
    runs: Counter[tuple[str, ...]] = Counter()
    for model in models:
        of = model.training.environment
        packages = ", ".join(f"{name} {version}" for name, version in sorted(of.packages.items()))
        altered = "not known" if of.dirty is None else "yes" if of.dirty else "no"
        runs[of.commit or "not known", altered, packages, model.hardware] += 1
    return sorted(runs.items())
