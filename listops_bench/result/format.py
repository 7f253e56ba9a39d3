"""Result files: one model on one task, with everything needed to read, doubt and repeat the figure.

    results/looped_d048-sum/3f9c0a1b2c4d/sum.json
            |               |            the task
            |               the model's revision on the Hub, else the first 12 digits of its weights' sha256
            the model's id (org__name), for a model of one's own that of its recipe

The classes below are the format: the schema file (``leaderboard/schema.json``) is made from them, and reading accepts
nothing else. A file that reads is also consistent in itself: counts add up and intervals follow from them. Whether it
is true is another question, which evaluating the checkpoint again answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, get_args

from listops_bench._base import records
from listops_bench._base.records import IF_ANY, Line, OneOf, Positive, Range, Seconds, Sha256, Text, Timestamp
from listops_bench.runs.record import Environment, Learning, OperationName, Parameters, Step, Training
from listops_bench.score.completion import SLICES, ByForm, Metrics
from listops_bench.score.held_out import HeldOutSteps
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.expression import TraceStyle
from listops_bench.tasks.operations import MAX_MODULUS, MIN_MODULUS
from listops_bench.tasks.pages import PAGE_NAME
from listops_bench.tasks.split import EVALUATION_SPLITS
from listops_bench.tasks.symbols import OPERATION_NAME

SCHEMA_VERSION: Literal[1] = 1

Track = Literal["reference", "open", "constructed"]
TRACKS: tuple[Track, ...] = get_args(Track)

EvaluationSplit = Annotated[str, OneOf(EVALUATION_SPLITS)]
SliceName = Annotated[str, OneOf(SLICES)]

_NAME = r"[A-Za-z0-9](?:\.?[A-Za-z0-9_+=,-])*"  # no ".." and no leading dot: it becomes a folder

ModelId = Annotated[str, Text(rf"{_NAME}(?:/{_NAME})?", 160)]
RecipeId = Annotated[str, Text(_NAME, 160)]
Revision = Annotated[str, Text(r"[0-9a-f]{40}", 40)]  # a commit: branches and tags move
Version = Annotated[str, Text(r"[0-9]+(?:\.[0-9A-Za-z+-]+)*", 40)]
Seed = Annotated[int, Range(0, 2**63 - 1)]
SliceValue = Annotated[str, Text(rf"[0-9]{{1,4}}|{OPERATION_NAME}", 12)]
PageName = Annotated[str, Text(PAGE_NAME, 29)]
TaskName = Annotated[str, Text(r"[a-z0-9]+(?:_[a-z0-9]+)*", 160)]


@dataclass(frozen=True, slots=True)
class Model:
    """Whose answers were scored. ``revision`` is a commit on the Hub, None for a folder of one's own.

    The weights' hash may be None where a revision says which they are: those of a model that another harness has run.
    """

    id: ModelId
    revision: Revision | None
    weights_sha256: Sha256 | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How it was trained, the seeds apart: runs of one recipe are grouped over seeds, and over draws of the train rows.

    ``dataset_seed`` is of the train rows themselves; None for the published ones, and where there is no recipe of ours.
    """

    id: RecipeId
    seed: Seed | None
    dataset_seed: Seed | None = field(default=None, metadata=IF_ANY)


@dataclass(frozen=True, slots=True)
class Architecture:
    """``family`` groups the sizes of one ladder; ``num_layers`` counts loops of a shared block too.

    What a model's configuration does not name is None, as is everything about one that another harness has run.
    """

    family: Line
    name: Line
    model_type: Line
    hidden_size: Positive | None
    num_layers: Positive | None
    num_heads: Positive | None
    context: Positive | None


@dataclass(frozen=True, slots=True)
class TaskId:
    """The task, and the style of the reference completions."""

    name: TaskName
    modulus: Annotated[int, Range(MIN_MODULUS, MAX_MODULUS)]
    trace: TraceStyle


@dataclass(frozen=True, slots=True)
class SplitResult:
    """The score of one split.

    Attributes:
        n: rows scored.
        rows_sha256: their checksum (`tasks.generator.rows_checksum`).
        predictions_sha256: of the completions, each followed by a new line.
        first_wrong_step: rows that go wrong first at step "1", "2", ...
        slices: the metrics by slice and value: ``slices["depth"]["2"]``.
        held_out: of ``test_unseen_operands`` alone: the score at the held-out step, by operation.
        by_form: the intervals of the metrics clustered by canonical form; None in results from before there were such.
    """

    n: Positive
    rows_sha256: Sha256
    predictions_sha256: Sha256
    metrics: Metrics
    first_wrong_step: dict[Step, Positive]
    slices: dict[SliceName, dict[SliceValue, Metrics]]
    held_out: dict[OperationName, HeldOutSteps] = field(default_factory=dict)
    by_form: ByForm | None = field(default=None, metadata=IF_ANY)

    def summary(self, metric: str) -> Summary:
        """A metric, with the interval clustered by canonical form where that is known."""
        found: Summary = getattr(self.metrics, metric)
        if self.by_form is None:
            return found
        limits = getattr(self.by_form, metric)
        return replace(found, low=limits.low, high=limits.high)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How the figures were made. Everything in a result but for this and wall times is the same in every evaluation."""

    created: Timestamp
    wall_seconds: Seconds
    environment: Environment


@dataclass(frozen=True, slots=True)
class Result:
    """One model on one task.

    ``training`` is None for weights that were not trained here, and ``learning`` for those whose training did not
    validate on the task. ``pages`` holds the values of those in names of tasks that are pages of somebody's own.
    """

    schema_version: Literal[1]
    model: Model
    recipe: Recipe
    parameters: Parameters
    architecture: Architecture
    track: Track
    task: TaskId
    dataset_version: Version
    scorer_version: Version
    splits: dict[EvaluationSplit, SplitResult]
    training: Training | None
    evaluation: Evaluation
    learning: Learning | None = None
    pages: dict[PageName, dict[str, Any]] | None = field(default=None, metadata=IF_ANY)


def json_schema() -> dict[str, Any]:
    """The format as JSON Schema, as it stands in ``leaderboard/schema.json``."""
    return records.json_schema(
        Result,
        title="listops_bench result",
        description="One model on one ListOps task. Made from listops_bench/result/format.py; do not edit.",
    )


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2))
