"""The record of a run, ``run.json``: where the weights come from. Written and read here and nowhere else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from listops_bench._base import records
from listops_bench._base.files import read_json
from listops_bench._base.records import VISIBLE, Count, Line, Positive, Seconds, Sha256, Text
from listops_bench.runs.folder import RunFiles
from listops_bench.tasks.curriculum import recorded_curriculum
from listops_bench.tasks.pages import remember_pages
from listops_bench.tasks.symbols import OPERATION_NAME
from listops_bench.tasks.task import with_single_tasks

MAX_RECORD_BYTES = 1_000_000
OperationName = Annotated[str, Text(OPERATION_NAME, 12)]


# Never a YAML file, which a curriculum or a regime may be elsewhere: reading a result opens no other file.
CurriculumText = Annotated[str, Text(rf"(?!.*(?:@|\.ya?ml)){VISIBLE}*", 2000)]
Step = Annotated[str, Text(r"[1-9][0-9]*", 12)]
PackageName = Annotated[str, Text(r"[A-Za-z0-9][A-Za-z0-9._-]*", 80)]
_Long = Annotated[str, Text(max_length=100_000)]


@dataclass(frozen=True, slots=True)
class Environment:
    """Where something ran: package versions, the code's commit and whether it was altered, the hardware."""

    packages: dict[PackageName, Line]
    commit: Line | None
    dirty: bool | None
    hardware: Line | None


@dataclass(frozen=True, slots=True)
class Training:
    """Where the weights come from.

    Attributes:
        curriculum: ``"max_med:1200,sum:1800"``.
        steps, budget: optimizer steps taken, and allowed.
        tokens: seen in training, and ``loss_tokens`` those among them that bore loss.
        reductions: operations evaluated in the training traces, by operation.
    """

    curriculum: CurriculumText
    steps: Count
    budget: Count
    tokens: Count
    loss_tokens: Count
    reductions: dict[OperationName, Count]
    environment: Environment
    wall_seconds: Seconds

    @property
    def tasks(self) -> list[str]:
        """What the model is scored on where nobody says: those of its curriculum, and each of their operations alone.

        Raises:
            InvalidInput: the curriculum cannot be read here.
        """
        return with_single_tasks(recorded_curriculum(self.curriculum).tasks)


@dataclass(frozen=True, slots=True)
class Learning:
    """How the training went, as its log says: exact traces among the first ``n`` validation rows of the task.

    ``correct`` by step: ``{"250": 3, "500": 251}``. What was learned is decided on test rows; this says when.
    """

    n: Positive
    correct: dict[Step, Count]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Sizes computed from the weights: ``total`` unique parameters = ``embedding`` + ``non_embedding``.

    Of a model that another harness has run only the total is known.
    """

    total: Positive
    embedding: Count | None
    non_embedding: Count | None
    flops_per_token: Count | None


@dataclass(frozen=True, slots=True)
class StageSteps:
    """The steps that a stage of the curriculum (``"max_med:1200"``) has taken."""

    stage: _Long
    steps: Count


@dataclass(frozen=True, slots=True)
class RunRecord:
    """How the weights of a checkpoint came about. What a file does not say is None or empty.

    Attributes:
        model: a rung of the ladder, a config, or the checkpoint that training started from.
        config: the training configuration, with what decides nothing.
        identity: what tells the run from others: all that decides its weights.
        stages: those that have begun.
        loss: mean over the last logging interval.
        validation: the last figures, by name.
        rows_per_step: rows, or windows, over all processes.
        layout: how rows lay in a batch: ``"rows"``, ``"padded"`` or ``"packed"``.
        packed_runs: how many runs were trained as one.
        symbols: the word of the symbol set whose vocabulary it has; None for numbers modulo n.
        pages: the values of those in the names of tasks that are pages of somebody's own, see `tasks.pages`.
        earlier_environments: where earlier sessions of the training ran, as far as it was not where the last one did.
    """

    name: _Long | None = None
    written: Line | None = None
    model: _Long | None = None
    curriculum: _Long | None = None
    seed: int | None = None
    dataset_version: Line | None = None
    config: dict[str, Any] = field(default_factory=dict)
    identity: dict[str, Any] | None = None
    training: Training | None = None
    stages: list[StageSteps] = field(default_factory=list)
    loss: float | None = None
    validation: dict[str, float] = field(default_factory=dict)
    stopped_early: bool = False
    rows_per_step: Count | None = None
    num_processes: Count | None = None
    threads: Count | None = None
    mixed_precision: Line | None = None
    layout: Line | None = None
    packed_runs: Count | None = None
    symbols: Line | None = None
    pages: dict[str, Any] | None = None
    earlier_environments: list[Environment] | None = None
    parameters: Parameters | None = None
    weights_sha256: Sha256 | None = None

    def text(self) -> str:
        """What stands in run.json."""
        default, trained = records.encode(RunRecord()), self.training is not None
        values = {
            key: value
            for key, value in records.encode(self).items()
            if value != default[key] or (trained and (value is not None or key == "loss"))
        }
        return json.dumps(values, indent=2) + "\n"


def write_run(folder: str | os.PathLike[str], record: RunRecord) -> None:
    """Writes the record of a run into a checkpoint folder."""
    RunFiles(folder).record.write_text(record.text(), encoding="utf-8", newline="\n")


def read_run(folder: str | os.PathLike[str]) -> RunRecord | None:
    """The record in a checkpoint folder; None where there is none.

    Records of older versions, which lack fields, can be read, and those of newer ones, whose further fields are left
    out.

    Raises:
        InvalidInput: it is not what training writes.
        EnvironmentFailed: it cannot be read.
    """
    path = RunFiles(folder).record
    if not os.path.lexists(path):
        return None
    return decode_run(read_json(path, max_bytes=MAX_RECORD_BYTES, within=path.parent), path)


def decode_run(value: Any, path: str | Path) -> RunRecord:
    """The record that the JSON value of a run.json describes; ``path`` stands in front of errors."""
    if isinstance(value, dict):
        known = {one.name for one in dataclasses.fields(RunRecord)}
        value = {key: item for key, item in value.items() if key in known}
    record: RunRecord = records.decode(RunRecord, value, f"{path}: run")
    remember_pages(record.pages or {}, str(path))
    return record


def recipe_digest(identity: dict[str, Any]) -> tuple[str, int | None]:
    """What tells a recipe from others: 8 digits of a hash of the identity of any of its runs, the seeds apart.

    Returns:
        The digits, and the draw of the train rows; None for the published ones.
    """
    # The order of the rows follows the seed unless it was given one of its own.
    seeds = {"seed"} | ({"data_seed"} if identity.get("data_seed") == identity.get("seed") else set())
    fixed = {key: value for key, value in identity.items() if key not in seeds}
    rows = fixed.get("dataset_seed")
    if type(rows) is int and 0 < rows < 2**63:  # another draw of the rows is a run of the recipe of the published ones
        fixed["dataset_seed"] = 0
    else:
        rows = None
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:8], rows
