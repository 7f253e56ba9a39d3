"""Choosing a recipe on validation rows, before the runs that are reported.

For every model and curriculum (or once for a curriculum, at the sizes under ``at``), each candidate is trained with
seeds that choose and do nothing else. The one with the best mean accuracy on validation rows (the lower mean loss
decides between equals) is then trained with the seeds that are reported. So no reported figure has had a part in the
choice, and what the choice has cost is on record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from listops_bench.runs.record import RunRecord
from listops_bench.sweep.job import Job

RecordOf = Callable[[Job], RunRecord | None]


@dataclass(frozen=True)
class Selection:
    """One choice: of an option's values, by the runs that choose, for the runs that are reported."""

    over: str
    choosing: Mapping[Any, tuple[Job, ...]]
    reported: Mapping[Any, tuple[Job, ...]]

    @property
    def name(self) -> str:
        return " ".join(job.name for jobs in (*self.choosing.values(), *self.reported.values()) for job in jobs)

    @property
    def num_runs(self) -> int:
        reported = next(iter(self.reported.values()))
        return sum(map(len, self.choosing.values())) + len(reported)

    def decide(self, record_of: RecordOf, has_failed: Callable[[Job], bool]) -> dict[str, Any] | None:
        """The choice and what it rests on; None while a run that chooses is still to come.

        Args:
            record_of: gives the record of a run that has finished.
            has_failed: a run that failed counts as one that learned nothing.
        """
        candidates = []
        for value, jobs in self.choosing.items():
            records = [record_of(job) for job in jobs]
            if any(record is None and not has_failed(job) for job, record in zip(jobs, records, strict=True)):
                return None
            there = [record for record in records if record is not None]
            accuracy = sum(record.validation["trace_accuracy"] for record in there) / len(jobs)
            losses = [record.loss for record in there if record.loss is not None]
            loss = fmean(losses) if losses else float("inf")
            steps = sum(record.training.steps for record in there if record.training)
            candidates.append({"value": value, "accuracy": accuracy, "loss": loss, "runs": len(jobs), "steps": steps})
        best = max(candidates, key=lambda c: (c["accuracy"], -c["loss"]))
        chosen_with = next(iter(self.choosing.values()))
        return {
            "model": ", ".join(dict.fromkeys(job.config.model_name for job in chosen_with)),
            "curriculum": str(chosen_with[0].config.plan()),
            "over": self.over,
            "chosen": best["value"],
            "steps_spent": sum(c["steps"] for c in candidates),
            "candidates": candidates,
        }
