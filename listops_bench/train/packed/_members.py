"""One member of a pack: a run with a log, counts, validation and an end of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from listops_bench.train._run_state import RunState
from listops_bench.train.packed._data import Draws

MOST_ROWS = 32_768
"""Rows of one packed step: attention kernels count rows of a launch in 16 bits."""

Status = Literal["running", "done", "failed"]


@dataclass(kw_only=True)
class Member(RunState):
    """A run of a pack. Once it has failed, ``step`` is the first bad one, and ``loss`` the bad loss.

    Attributes:
        index: its number in the pack.
        draws: which rows it sees.
        status: ``failed`` where its loss was no longer a number.
        since: when its last line was written (monotonic clock).
        pending: (loss, gradient norm) of the steps since its last line of the log.
        pending_tokens: those of the same steps.
    """

    index: int
    draws: Draws
    status: Status = "running"
    pending: list[tuple[float, float]] = field(default_factory=list)
    pending_tokens: int = 0
    since: float = field(default_factory=time.monotonic)

    def count_step(self, tokens: int, loss_tokens: int, reductions: Any) -> None:
        """A step that has been taken: its tokens, those that bore loss, and its reductions (int64 [A])."""
        if self.stage_is_over:
            self.begin_stage()
        self.step += 1
        self.seen.add(tokens, loss_tokens, reductions)
        self.pending_tokens += tokens

    def add_figures(self, figures: Sequence[tuple[float, float]]) -> None:
        """Takes (loss, gradient norm) of the last steps; the run has failed where a loss is no finite number."""
        self.pending += figures
        for at, (loss, _) in enumerate(figures, start=self.step - len(figures) + 1):
            if not math.isfinite(loss):
                self.status, self.step, self.loss = "failed", at, loss
                return

    def line(self, rate: float) -> dict[str, Any]:
        """A line of the log, as a run alone writes it, over the pending steps."""
        losses, now = [loss for loss, _ in self.pending], time.monotonic()
        norm = self.pending[-1][1] if self.config.max_grad_norm else None
        speed = self.pending_tokens / max(1e-9, now - self.since)
        self.pending, self.pending_tokens = [], 0
        return self.log_line(math.fsum(losses) / len(losses), rate, norm, speed)

    def state(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "steps": self.step,
            "pending": [list(figures) for figures in self.pending],
            **super().state(),
        }

    def restore_member(self, state: dict[str, Any], step: int) -> None:
        """Takes its part of the state of a pack after a step."""
        self.status = state["status"]
        own = step if self.status == "running" else state["steps"]
        index = self.curriculum.stage_of(max(own - 1, 0))
        self.pending = [(loss, norm) for loss, norm in state.get("pending", ())]
        self.restore(state, [self.curriculum.start(i) for i in range(index + 1)], own)
