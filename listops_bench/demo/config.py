"""What the demo trains: three curricula of equal length, and the recipe that they share."""

from __future__ import annotations

from dataclasses import dataclass

from listops_bench.errors import InvalidInput

MIXTURE = "sum_max_med"
TRANSFER_SHARE = 4 / 17
"""The part of the steps that the transfer spends on MAX and MED before it turns to SUM."""


@dataclass(frozen=True)
class DemoConfig:
    """What to train. ``fresh`` deletes what an earlier demo left in the folder.

    The defaults make the difference show within minutes: long enough for SUM to be learned with help, too short for
    most seeds without. (With enough steps SUM alone is learned too, at a step that differs a lot from seed to seed.)
    The transfer keeps its optimizer when it turns to SUM: all curricula share one learning-rate schedule, and only the
    rows differ.

    Raises:
        InvalidInput: too few steps to have two stages, or seeds that are negative or given twice.
    """

    output_dir: str = "runs/demo"
    seeds: tuple[int, ...] = (0, 1)
    steps: int = 1700
    model: str = "looped_d048"
    learning_rate: float = 2.5e-3
    fresh: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(self.seeds))
        if self.steps < 2:
            raise InvalidInput(f"steps {self.steps} cannot be shared by two stages; the least is 2")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise InvalidInput(f"seeds {list(self.seeds)} are not one or more different numbers from 0 on")

    @property
    def switch_step(self) -> int:
        """Where the transfer turns from MAX and MED to SUM."""
        return max(1, round(self.steps * TRANSFER_SHARE))

    def curriculum(self, arm: str) -> str:
        """``max_med:400,sum:1300/keep-optimizer`` for the transfer."""
        if arm == "transfer":
            return f"max_med:{self.switch_step},sum:{self.steps - self.switch_step}/keep-optimizer"
        return f"{'sum' if arm == 'alone' else MIXTURE}:{self.steps}"
