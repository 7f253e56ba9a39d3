"""The verb curriculum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from listops_bench._base.command import Parser, positive
from listops_bench.errors import InvalidInput
from listops_bench.pages.console import make_table, print_tables
from listops_bench.tasks.operations import OPERATIONS

if TYPE_CHECKING:
    from rich.table import Table

    from listops_bench.tasks.exposure import Exposure


def add_verbs(parser: Parser) -> None:
    verb = parser.add_verb(
        "curriculum",
        curriculum,
        "what a curriculum shows a model; with --like, its steps scaled to match another one (last line)",
        "sum:3000 --like sum_max_med:3000 --by sum",
    )
    verb.add("curriculum CURRICULUM", "such as max_med:1200,sum:1800, or a YAML file")
    verb.add("--like CURRICULUM", "a curriculum, or the folder of a finished run")
    verb.add("--by MEASURE", "with --like: steps, tokens, or an operation's reductions")
    verb.add("--stage N", "with --like: the only stage to scale (default: all)", type=positive)
    verb.add("--rows-per-step N", type=positive, default=128)
    verb.add("--trace NAME", "parallel, single or none (default: that of the tasks)")


def curriculum(*, curriculum: str, like: str | None, by: str | None, stage: int | None, **options: Any) -> None:
    from listops_bench.runs.exposure import exposure_of_run
    from listops_bench.tasks.curriculum import parse_curriculum
    from listops_bench.tasks.exposure import exposure, match

    plan = parse_curriculum(curriculum)
    shown = {str(plan): exposure(plan, **options)}
    if like is None and by is None:
        print_tables(_table(shown))
        return
    if like is None or by is None:
        raise InvalidInput("--like and --by go together: --like sum_max_med:3000 --by sum")
    if Path(like).is_dir():
        target = shown[like] = exposure_of_run(like)
    else:
        other = parse_curriculum(like)
        target = shown[str(other)] = exposure(other, **options)
    matched = match(plan, target, by, stage=None if stage is None else stage - 1, **options)
    shown[str(matched)] = exposure(matched, **options)
    print_tables(_table(shown))
    print(matched)


def _table(shown: Mapping[str, Exposure]) -> Table:
    found = dict.fromkeys(name for each in shown.values() for name in each.reductions)
    operations = sorted(found, key=lambda name: list(OPERATIONS).index(name) if name in OPERATIONS else -1)
    table = make_table("curriculum", "steps", "tokens", *(f"reductions of {name.upper()}" for name in operations))
    for column in table.columns[1:]:
        column.justify = "right"
    for text, each in shown.items():
        counts = (each.steps, each.tokens, *(each.reductions.get(name, 0.0) for name in operations))
        table.add_row(text, *(f"{count:,.0f}" for count in counts))
    return table
