"""What a comparison of checkpoints found, as the file ``comparison.json`` of a report holds it. Loads no torch.

`analysis.report` writes the file; the page of the claims reads it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from listops_bench._base import records
from listops_bench._base.files import read_json
from listops_bench._base.records import Text
from listops_bench.errors import InvalidInput
from listops_bench.stats.intervals import Summary

FILE_NAME = "comparison.json"

TrainingKind = Literal["alone", "joint", "transfer", "other"]
"""One of `tasks.training_kinds.KINDS`."""

SublayerKind = Literal["attention", "feed_forward"]
SUBLAYER_KINDS: tuple[SublayerKind, ...] = ("attention", "feed_forward")

Layer = Annotated[str, Text(r"[1-9][0-9]{0,3}|all", 4)]


@dataclass(frozen=True)
class Statistic:
    """A figure beside what chance makes of it.

    Attributes:
        value: of the model's own vectors under the right names; more is more structure.
        chance: mean over label permutations.
        p: share of label permutations with at least this value, the right names among them.
        control: mean over random vectors of the same covariance spectrum; None where there are none.
        control_high: 95th percentile over them.
    """

    value: float
    chance: float
    p: float
    control: float | None
    control_high: float | None


@dataclass(frozen=True)
class CheckpointFindings:
    """One checkpoint of a comparison.

    Attributes:
        kind: what its training is to the operation compared on.
        exact: exact traces on the test rows of that operation.
        unseen: exact traces on those rows with held-out operands.
        facts: multisets of three held-out operands known, of the same operation.
        order: whether the embedding follows the order of the numbers.
        parity: whether the embedding tells even from odd.
        attention_share: attention's part of what is added to the residual stream.
        last_step: answers right given the right lines before them.
        without: the same with the mean output of sublayers in place of their own, by kind of sublayer and layer
            (``"1"``, ``"2"``, ..., or ``"all"`` of them at once).
        parity_beyond_order: the share of parity that is predicted once the order is taken out of it and of the vectors;
            None in files from before it was compared.
        waves: how far its strongest wave over Z_n stands above chance, in standard deviations over label permutations;
            None likewise.
    """

    name: str
    seed: int | None
    curriculum: str
    parameters: int
    weights_sha256: str
    kind: TrainingKind
    exact: Summary
    unseen: Summary
    facts: Summary | None
    order: Statistic
    parity: Statistic
    attention_share: float
    last_step: Summary
    without: dict[SublayerKind, dict[Layer, Summary]]
    parity_beyond_order: Statistic | None = None
    waves: Statistic | None = None


@dataclass(frozen=True)
class GroupFindings:
    """The seeds of one curriculum and architecture.

    Attributes:
        order_mean: the mean over the seeds; ``parity_mean``, ``beyond_mean`` and ``waves_mean`` likewise.
        order_p_adjusted: its p adjusted (Holm) for all tests of all groups; those of the others likewise.
    """

    plan: str
    architecture: str
    order_mean: Statistic
    order_p_adjusted: float
    parity_mean: Statistic
    parity_p_adjusted: float
    checkpoints: list[CheckpointFindings]
    beyond_mean: Statistic | None = None
    beyond_p_adjusted: float | None = None
    waves_mean: Statistic | None = None
    waves_p_adjusted: float | None = None

    @property
    def kind(self) -> TrainingKind:
        return self.checkpoints[0].kind


@dataclass(frozen=True)
class Findings:
    """Checkpoints compared on one operation ("" where they share none), by the version of the package that did it."""

    version: str
    operation: str
    groups: list[GroupFindings]

    @property
    def checkpoints(self) -> list[CheckpointFindings]:
        return [checkpoint for group in self.groups for checkpoint in group.checkpoints]


def read_findings(path: str | os.PathLike[str]) -> Findings:
    """Reads a ``comparison.json``.

    Raises:
        InvalidInput: it is not what ``listops-bench analyze`` writes, or holds no checkpoints.
    """
    found: Findings = records.decode(Findings, read_json(Path(path)), str(path))
    if not found.groups or not all(group.checkpoints for group in found.groups):
        raise InvalidInput(f"{path}: holds no checkpoints")
    return found
