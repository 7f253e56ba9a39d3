"""Checkpoints side by side: single, joint and transferred models, of one size or of many.

Two tests were chosen before any checkpoint was looked at: whether the embedding follows the order of the numbers
(`Order.regression`), and whether it tells even from odd (parity). Two were added after: parity beyond order, which a
line does not hide, and the strongest wave over Z_n. They are made for each checkpoint, and once more for the seeds of
a curriculum together. With ten numbers the smallest p that a perfect parity can have is 1/126, so one model says
little by itself, and the seeds together are what counts. Everything else in an analysis is exploratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from listops_bench._base.version import __version__
from listops_bench.analysis.embedding import mean_over
from listops_bench.analysis.findings import (
    SUBLAYER_KINDS,
    CheckpointFindings,
    Findings,
    GroupFindings,
    Layer,
    SublayerKind,
    TrainingKind,
)
from listops_bench.analysis.study import Analysis
from listops_bench.stats.intervals import Summary, holm
from listops_bench.tasks.training_kinds import KINDS, training_kind


def compare_checkpoints(analyses: Sequence[Analysis]) -> Findings:
    """Compares on the first operation that all were trained on, or where there is none on each one's first.

    Seeds of one curriculum and architecture make a group. Its statistics are `PermutationTest`s, as are those of the
    checkpoints.
    """
    shared = [op for op in analyses[0].asked if all(op in analysis.operations for analysis in analyses)]
    operation = shared[0] if shared else ""
    members: dict[tuple[str, str, int], list[Analysis]] = {}
    for analysis in analyses:
        members.setdefault((analysis.plan, analysis.architecture, analysis.modulus), []).append(analysis)
    seeds = [sorted(group, key=lambda one: (one.seed is None, one.seed or 0, one.name)) for group in members.values()]
    orders = [mean_over([one.embedding.order.regression for one in group]) for group in seeds]
    parities = [mean_over([one.embedding.parity for one in group]) for group in seeds]
    beyond = [mean_over([one.embedding.parity_beyond_order for one in group]) for group in seeds]
    waves = [mean_over([one.embedding.waves.strongest for one in group]) for group in seeds]
    adjusted = iter(holm([test.p for test in (*orders, *parities, *beyond, *waves)]))
    tested = ([(test, next(adjusted)) for test in tests] for tests in (orders, parities, beyond, waves))
    order_tests, parity_tests, beyond_tests, wave_tests = tested
    groups = []
    for group, (order, order_p), (parity, parity_p), (rest, rest_p), (wave, wave_p) in zip(
        seeds, order_tests, parity_tests, beyond_tests, wave_tests, strict=True
    ):
        found = [_findings(one, operation or one.operations[0]) for one in group]
        of, first = (order, order_p, parity, parity_p, found, rest, rest_p, wave, wave_p), group[0]
        groups.append(GroupFindings(first.plan, first.architecture, *of))
    kinds = list(KINDS)
    groups.sort(key=lambda g: (kinds.index(g.kind), g.checkpoints[0].parameters, g.architecture, g.plan))
    return Findings(__version__, operation, groups)


def _findings(analysis: Analysis, operation: str) -> CheckpointFindings:
    table = next(table for table in analysis.tables if table.operation == operation)
    without: dict[SublayerKind, dict[Layer, Summary]] = {kind: {} for kind in SUBLAYER_KINDS}
    for ablation in analysis.reliance.ablations:
        if ablation.method == "mean":
            layer = "all" if ablation.layer is None else str(ablation.layer + 1)
            without[ablation.kind][layer] = ablation.accuracy[operation].last_step
    return CheckpointFindings(
        name=analysis.name,
        seed=analysis.seed,
        curriculum=analysis.curriculum,
        parameters=analysis.parameters,
        weights_sha256=analysis.weights_sha256,
        kind=cast(TrainingKind, training_kind(analysis.curriculum, operation)),
        exact=analysis.seen[operation].exact,
        unseen=analysis.unseen[operation].exact,
        facts=table.triples.known(held_out=True) if table.triples else None,
        order=analysis.embedding.order.regression,
        parity=analysis.embedding.parity,
        parity_beyond_order=analysis.embedding.parity_beyond_order,
        waves=analysis.embedding.waves.strongest,
        attention_share=analysis.reliance.attention_share,
        last_step=analysis.reliance.intact[operation].last_step,
        without=without,
    )
