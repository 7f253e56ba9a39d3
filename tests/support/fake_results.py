"""Results as an evaluation makes them, with numbers of one's choice, for tests of what comes after it."""

import dataclasses
import hashlib
import itertools
import math
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from listops_bench.leaderboard.figures import Curve
from listops_bench.result.files import write_result
from listops_bench.result.format import (
    SCHEMA_VERSION,
    Architecture,
    Evaluation,
    Model,
    Recipe,
    Result,
    SplitResult,
    TaskId,
)
from listops_bench.runs.record import Environment, Learning, OperationName, Parameters, Training
from listops_bench.score.completion import SCORER_VERSION, Metrics
from listops_bench.score.held_out import HeldOutSteps
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.task import DATASET_VERSION, get_task


def metrics(answers: int, traces: int, n: int) -> Metrics:
    return Metrics(Summary.of(answers, n), Summary.of(traces, n), Summary.of(n + traces, 2 * n))


def split_result(
    accuracy: float, n: int = 5000, held_out: dict[OperationName, HeldOutSteps] | None = None
) -> SplitResult:
    """A split with one slice value of each kind but ``depth``, which has two."""
    traces = round(accuracy * n)
    answers = min(n, traces + round(0.1 * (n - traces)))
    whole = metrics(answers, traces, n)
    half = metrics(answers // 2, traces // 2, n // 2)
    rest = metrics(answers - answers // 2, traces - traces // 2, n - n // 2)
    return SplitResult(
        n=n,
        rows_sha256=sha256(f"rows {n}"),
        predictions_sha256=sha256(f"predictions {accuracy} {n}"),
        metrics=whole,
        first_wrong_step={"1": n - traces} if traces < n else {},
        slices={
            "depth": {"1": half, "2": rest},
            "root_operation": {"sum": whole},
            "operand_count": {"3": whole},
            "decisive_depth": {"2": whole},
        },
        held_out=held_out or {},
    )


def splits_of(accuracy: float, unseen: float, n: int = 5000, **of_unseen: Any) -> dict[str, SplitResult]:
    """The four test splits of a model that does badly on deeper and wider rows."""
    few = min(n, 2000)
    return {
        "test": split_result(accuracy, n),
        "test_unseen_operands": split_result(unseen, few, **of_unseen),
        "test_deeper": split_result(accuracy * 0.1, few),
        "test_wider": split_result(accuracy * 0.2, few),
    }


def held_out_steps(accuracy: float) -> dict[OperationName, HeldOutSteps]:
    """22 multisets of 60 steps each, a tenth of which were not reached."""
    return {"sum": HeldOutSteps.of(22 * 60, {(i, i, i): (round(54 * accuracy), 54) for i in range(22)})}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def environment() -> Environment:
    packages = {"python": "3.11.2", "listops_bench": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"}
    return Environment(packages=packages, commit="0123456789ab", dirty=False, hardware="AMD EPYC, 2 threads")


def training(curriculum: str) -> Training:
    steps = sum(int(stage.partition("/")[0].rpartition(":")[2]) for stage in curriculum.split(","))
    counts = {"steps": steps, "budget": steps, "tokens": 7_700_000, "loss_tokens": 3_100_000}
    reductions: dict[OperationName, int] = {"sum": 1_000_000}
    return Training(curriculum, **counts, reductions=reductions, environment=environment(), wall_seconds=110.5)


def learning(*points: tuple[int, float], n: int = 256) -> Learning:
    """Shares of exact traces at steps: ``learning((250, 0.02), (500, 0.97))``."""
    return Learning(n, {str(step): round(share * n) for step, share in points})


def result(
    task: str = "sum",
    accuracy: float = 0.97,
    *,
    curriculum: str | None = "sum:3000",
    seed: int = 0,
    width: int = 48,
    family: str = "looped",
    n: int = 5000,
    **changes: Any,
) -> Result:
    """A result of model ``looped_dWIDTH``; ``changes`` replaces top-level fields."""
    name = f"{family}_d{width:03d}"
    recipe = f"{name}-" + re.sub(r"[:,/*]", "-", curriculum or "handmade")
    embedding, body = 22 * width + 128 * width, 12 * width * width + 9 * width
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "model": Model(recipe, None, sha256(f"{recipe} {seed} {width} {family}")),
        "recipe": Recipe(recipe, seed),
        "parameters": Parameters(embedding + body, embedding, body, 6 * body),
        "architecture": Architecture(family, name, "listops_looped", width, 3, 1, 128),
        "track": "reference",
        "task": TaskId(task, get_task(task).modulus, "parallel"),
        "dataset_version": DATASET_VERSION,
        "scorer_version": SCORER_VERSION,
        "splits": splits_of(accuracy, accuracy * 0.8, n, held_out=held_out_steps(accuracy * 0.8)),
        "training": training(curriculum) if curriculum else None,
        "evaluation": Evaluation("2026-11-23T12:00:00Z", 1.5, environment()),
    }
    made = Result(**(fields | changes))
    answers = f"{made.model} {made.recipe} {made.task}"  # no two models answer alike
    splits = {
        split: dataclasses.replace(scored, predictions_sha256=sha256(f"{answers} {split}"))
        for split, scored in made.splits.items()
    }
    return dataclasses.replace(made, splits=splits)


def demo_results() -> list[Result]:
    """Three curricula, two seeds each, at one size: what ``make demo`` ends with."""
    mixture, stages = "sum_max_med:3000", "max_med:1200,sum:1800"
    table = [
        ("sum", "sum:3000", 0.041, 0.052), ("sum", mixture, 0.984, 0.612), ("sum", stages, 0.978, 0.969),
        ("sum_max_med", mixture, 0.991, 0.874),
    ]  # fmt: skip
    return [
        result(task, one, curriculum=plan, seed=seed) for task, plan, *both in table for seed, one in enumerate(both)
    ]


def many_results(count: int) -> list[Result]:
    """A full ladder: sizes x tasks x curricula x seeds, the larger the likelier to have learned."""
    draw = random.Random(0)
    singles = ("sum", "prod", "nadd", "max", "min", "med")
    joint = ("max_med", "sum_max", "sum_prod", "sum_max_med", "sum_max_min_med", "ssum_max_med")
    cases = [
        (family, width, task, curriculum, seed)
        for family in ("looped", "looped_rope", "gpt2", "llama")
        for width in (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
        for seed in range(3)
        for task, curriculum in [
            *((t, f"{t}:3000") for t in (*singles, *joint)),
            *((t, "sum_max_med:3000") for t in ("sum", "max", "med")),
            ("sum", "max_med:1200,sum:1800"),
        ]
    ]
    found = []
    for family, width, task, curriculum, seed in cases[:count]:
        hard = {"sum": 60, "prod": 40, "nadd": 70}.get(task, 20) * (0.4 if "med" in curriculum else 1)
        lucky = draw.random() < 1 / (1 + math.exp(-4 * math.log(width / hard)))
        accuracy = draw.uniform(0.93, 1) if lucky else draw.uniform(0.02, 0.4)
        found.append(result(task, accuracy, curriculum=curriculum, seed=seed, width=width, family=family))
    return found


LADDER = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
"""Widths."""

N50 = {
    ("max", "max:6000"): 3_000,
    ("min", "min:6000"): 3_000,
    ("med", "med:6000"): 9_000,
    ("prod", "prod:6000"): 40_000,
    ("sum", "sum:6000"): 75_000,
    ("nadd", "nadd:6000"): 10_000_000,
    ("sum", "sum_max_med:6000"): 22_000,
    ("max", "sum_max_med:6000"): 4_000,
    ("med", "sum_max_med:6000"): 11_000,
    ("sum_max_med", "sum_max_med:6000"): 24_000,
    ("sum", "max_med:2000,sum:4000"): 18_000,
}
"""With so many parameters, half of the seeds of `ladder_results` learn."""


def ladder_results(
    families: tuple[str, ...] = ("looped",), seeds: int = 5, widths: tuple[int, ...] = LADDER
) -> list[Result]:
    """Runs over a ladder of sizes, two-humped: each has learned or is far from it."""
    draw = random.Random(1)
    found = []
    for family, width, seed in itertools.product(families, widths, range(seeds)):
        luck = {curriculum: draw.random() for _, curriculum in N50}
        for (task, curriculum), middle in N50.items():
            size = result(width=width).parameters.total
            lucky = luck[curriculum] < 1 / (1 + (middle / size) ** 3)
            high = draw.uniform(0.96, 1.0) if lucky else draw.uniform(0.02, 0.4)
            unseen = draw.uniform(0.95, 1.0) if lucky and size > 2 * middle else high * draw.uniform(0.6, 0.9)
            kept = {"splits": splits_of(high, unseen), "learning": _rising(draw, high, 6000)}
            found.append(result(task, high, curriculum=curriculum, seed=seed, width=width, family=family, **kept))
    return found


def _rising(draw: random.Random, last: float, steps: int) -> Learning:
    """A plateau, and where the run learns, a steep way off it."""
    leaves = draw.uniform(0.2, 0.8) if last > 0.9 else 2
    at = range(steps // 20, steps + 1, steps // 20)
    return learning(*((step, min(last, 0.03 + 8 * max(0.0, step / steps - leaves))) for step in at))


# --- forging ---------------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]
"""Alters the JSON of a result in place."""


def set_at(*keys: str, to: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


NASTY = "<img src=x onerror=alert(1)>|`\"'&[x](javascript:alert(1))</script></svg>"


CURVES = [
    Curve("sum", "alone", 0, [(0, 0, 500), (1500, 10, 500), (3000, 20, 500)]),
    Curve("max_med, then sum", "transfer", 0, [(0, 0, 500), (1500, 20, 500), (3000, 490, 500)], [1200]),
]


def write(folder: Path, results: Sequence[Result]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for one in results:
        write_result(folder, one)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def nasty_results() -> list[Result]:
    """A family, a model name and a curriculum are free text (ids are not)."""
    shape = Architecture(NASTY, NASTY, NASTY, 48, 3, 1, 128)
    first = result(architecture=shape, curriculum="sum:3000")
    training = dataclasses.replace(first.training, curriculum=NASTY)
    wide = result(width=64, architecture=dataclasses.replace(shape, family="looped"), training=training)
    return [dataclasses.replace(first, training=training), wide]
