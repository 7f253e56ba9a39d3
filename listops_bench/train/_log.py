"""How a run is going: losses and speed between two lines of the log, and what its caller is told after every step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator


class TrainingFailed(RuntimeError):
    """The run cannot go on: its loss is no longer a number, or its weights are none after its last step.

    Attributes:
        step: the first step (from 1) whose loss was none; or the last one.
        loss: of that step.
    """

    def __init__(self, step: int, loss: float | None) -> None:
        finite = loss is not None and math.isfinite(loss)
        what = f"not all weights after step {step} are numbers" if finite else f"the loss at step {step} is {loss}"
        super().__init__(f"{what}; try a lower learning rate")
        self.step, self.loss = step, loss


@dataclass(frozen=True)
class Progress:
    """Where a run is, after a step.

    Attributes:
        step, total_steps: steps done, and in all.
        stage: the stage's text, ``"max_med:1200"``.
        loss: mean over the last logging interval; None before the first.
        tokens: seen so far, over all processes.
        tokens_per_second: over the last logging interval, validation left out; 0 before the first.
        seconds_left: estimate; None before the first.
        validation: the last figures; empty before the first.
    """

    step: int
    total_steps: int
    stage: str
    loss: float | None
    learning_rate: float
    tokens: int
    tokens_per_second: float
    seconds_left: float | None
    validation: Mapping[str, float]


class Meter:
    """Losses and speed since the last line of the log. Nothing waits for the device before `read`."""

    def __init__(self) -> None:
        self.tokens_per_second = self.steps_per_second = 0.0
        self.restart()

    def restart(self, settled: Sequence[float] = ()) -> None:
        """Begins anew, after a line or with the losses that a state has kept."""
        self._losses: list[torch.Tensor] = []
        self._settled = list(settled)
        self._norm: torch.Tensor | None = None
        self._tokens = self._steps = 0
        self._since = time.perf_counter()

    @property
    def pending(self) -> bool:
        """Whether steps were taken since."""
        return bool(self._losses or self._settled)

    def add(self, loss: torch.Tensor, norm: torch.Tensor | None, tokens: int) -> None:
        """A step's loss on this process (0-d), its gradient norm, and its tokens over all processes."""
        self._losses.append(loss)
        self._norm = norm
        self._tokens += tokens
        self._steps += 1

    def settle(self, accelerator: Accelerator, step: int) -> list[float]:
        """The losses since the last line, up to ``step``, over all processes: they are part of a state.

        Raises:
            TrainingFailed: one of them is not finite.
        """
        if self._losses:
            losses = accelerator.reduce(torch.stack(self._losses), reduction="mean").tolist()
            self._losses = []
            self._settled += losses
            for at, loss in enumerate(losses, start=step - len(losses) + 1):
                if not math.isfinite(loss):
                    raise TrainingFailed(at, loss)
        return self._settled

    def read(self, accelerator: Accelerator, step: int) -> tuple[float, float | None]:
        """The mean loss of the steps up to ``step``, over all processes, and the last gradient norm.

        Raises:
            TrainingFailed: the loss of one of them is not finite.
        """
        losses = self.settle(accelerator, step)
        seconds = time.perf_counter() - self._since
        self.tokens_per_second, self.steps_per_second = self._tokens / seconds, self._steps / seconds
        return math.fsum(losses) / len(losses), None if self._norm is None else float(self._norm)


def numbers_in(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """All numbers of a nested mapping, under ``outer/inner`` names: what a tracker draws."""
    flat: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= numbers_in(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[prefix + key] = value
    return flat
