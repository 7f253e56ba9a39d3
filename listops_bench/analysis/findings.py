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
SIGNIFICANT = 0.05

Kind = Literal["alone", "joint", "transfer", "other"]
Sublayer = Literal["attention", "feed_forward"]
Layer = Annotated[str, Text(r"[1-9][0-9]{0,3}|all", 4)]


@dataclass(frozen=True)
class StatisticFindings:
    """A figure beside what chance makes of it; see `analysis.embedding.Statistic`."""

    value: float
    chance: float
    p: float
    control: float | None
    control_high: float | None


@dataclass(frozen=True)
class CheckpointFindings:
    """One checkpoint; see `analysis.comparison.Line`.

    Attributes:
        last_step: answers right given the right lines before them.
        without: the same with the mean output of sublayers in place of their own, by kind of sublayer and layer.
    """

    name: str
    seed: int | None
    curriculum: str
    parameters: int
    weights_sha256: str
    kind: Kind
    exact: Summary
    unseen: Summary
    facts: Summary | None
    order: StatisticFindings
    parity: StatisticFindings
    attention_share: float
    last_step: Summary
    without: dict[Sublayer, dict[Layer, Summary]]


@dataclass(frozen=True)
class GroupFindings:
    """The seeds of one curriculum and architecture, with p-values adjusted for all tests of the comparison."""

    plan: str
    architecture: str
    order_mean: StatisticFindings
    order_p_adjusted: float
    parity_mean: StatisticFindings
    parity_p_adjusted: float
    checkpoints: list[CheckpointFindings]


@dataclass(frozen=True)
class Findings:
    """Checkpoints compared on one operation, by the version of the package that did it."""

    version: str
    operation: str
    groups: list[GroupFindings]


def read_findings(path: str | os.PathLike[str]) -> Findings:
    """Reads a ``comparison.json``.

    Raises:
        InvalidInput: it is not what ``listops-bench analyze`` writes, or holds no checkpoints.
    """
    found: Findings = records.decode(Findings, read_json(Path(path)), str(path))
    if not found.groups or not all(group.checkpoints for group in found.groups):
        raise InvalidInput(f"{path}: holds no checkpoints")
    return found
