"""One member of a pack: a run with a log, counts, validation and an end of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from listops_bench.tasks.curriculum import Curriculum
from listops_bench.tasks.task import with_single_tasks
from listops_bench.train.config import TrainConfig
from listops_bench.train.course import Seen
from listops_bench.train.packed._data import Draws

Status = Literal["running", "done", "failed"]


@dataclass
class Member:
    """A run of a pack.

    Attributes:
        draws: which rows it sees; ``identity``: what tells it from other runs.
        status: ``failed`` where its loss was no longer a number.
        steps: those it took, once it has ended; the first bad one where it failed.
        loss: of the last line of its log; the bad one where it failed.
        since: when its last line was written (monotonic clock).
        pending: (loss, gradient norm) of the steps since its last line of the log.
        streak: validations in a row that reached ``early_stop``.
    """

    config: TrainConfig
    draws: Draws
    identity: dict[str, Any]
    status: Status = "running"
    steps: int = 0
    seen: Seen = field(default_factory=Seen)
    loss: float | None = None
    validation: dict[str, float] = field(default_factory=dict)
    streak: int = 0
    pending: list[tuple[float, float]] = field(default_factory=list)
    pending_tokens: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def curriculum(self) -> Curriculum:
        return self.draws.curriculum

    @property
    def watched(self) -> list[str]:
        """The tasks that it is validated on; none where it never is."""
        return with_single_tasks(self.curriculum.tasks) if self.config.eval_steps else []

    def due(self, every: int, step: int) -> bool:
        """After every so many steps, and at the end; never where that is 0."""
        return every > 0 and (step % every == 0 or step == self.curriculum.steps)

    def due_a_line(self, step: int) -> bool:
        """Whether its log gets a line after a step."""
        return self.due(self.config.logging_steps, step) or self.due(self.config.eval_steps, step)

    def hear(self, told: Sequence[tuple[float, float]], step: int) -> None:
        """Takes the figures of the steps up to ``step``; the run has failed where a loss is no finite number."""
        self.pending += told
        for i, (loss, _) in enumerate(told):
            if not math.isfinite(loss):
                self.status, self.steps, self.loss = "failed", step - len(told) + i + 1, loss
                return

    def line(self, step: int, rate: float) -> dict[str, Any]:
        """A line of the log after ``step``, as a run alone writes it; the pending steps are told with it."""
        losses = [loss for loss, _ in self.pending]
        self.loss = math.fsum(losses) / len(losses)
        line = {
            "step": step,
            "stage": self.curriculum.stage_of(step - 1),
            "loss": self.loss,
            "learning_rate": rate,
            "grad_norm": self.pending[-1][1] if self.config.max_grad_norm else None,
            **self.seen.record(),
            "tokens_per_second": round(self.pending_tokens / max(1e-9, time.monotonic() - self.since)),
        }
        self.pending, self.pending_tokens = [], 0
        return line

    def note_validation(self, step: int) -> None:
        """Counts validations in a row that are good enough to stop, in the last stage."""
        config, last = self.config, len(self.curriculum.stages) - 1
        if config.early_stop is not None and self.curriculum.stage_of(step - 1) == last:
            self.streak = self.streak + 1 if self.validation["trace_accuracy"] >= config.early_stop else 0

    def ends(self, step: int) -> bool:
        """Whether it is at its end: its budget is spent, or it stops early."""
        return step >= self.curriculum.steps or self.stops_early

    @property
    def stops_early(self) -> bool:
        return self.config.early_stop is not None and self.streak >= self.config.early_stop_patience

    def state(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "steps": self.steps,
            "loss": self.loss,
            "validation": self.validation,
            "streak": self.streak,
            **self.seen.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        for name in ("status", "steps", "loss", "validation", "streak"):
            setattr(self, name, state[name])
        self.seen = Seen.from_state(state)
