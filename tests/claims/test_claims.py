"""The page of the claims: every verdict both ways and undecided, partial and hostile sets, links."""

import dataclasses
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from listops_bench._base import records
from listops_bench.analysis.findings import CheckpointFindings, Findings, GroupFindings, Layer, Statistic, TrainingKind
from listops_bench.claims._costs import costs, trained_models
from listops_bench.claims._evidence import Ladders, rungs, scheme_of, side_of, stages_of
from listops_bench.claims._render import spell_turning, spell_views
from listops_bench.claims._specs import specs
from listops_bench.claims._studies import read_studies
from listops_bench.claims._thresholds import budget_gains
from listops_bench.claims.claim import Claim
from listops_bench.claims.page import VERDICTS, claims, claims_page, write_claims
from listops_bench.errors import InvalidInput
from listops_bench.leaderboard.arms import all_arms
from listops_bench.leaderboard.board import boards, read_boards
from listops_bench.leaderboard.groups import groups
from listops_bench.leaderboard.output import build
from listops_bench.result.files import result_path
from listops_bench.result.format import Architecture, Result
from listops_bench.result.learned import SEEN, UNSEEN, View
from listops_bench.result.plans import Plan, read_plans, recipe_of
from listops_bench.result.verified import Verification, result_sha256, write_verified
from listops_bench.stats.intervals import Summary
from listops_bench.tasks.task import single_tasks
from tests.support.commands import Run
from tests.support.fake_results import demo_results, files_of, ladder_results, learning, nasty_results, result, write

Learned = Mapping[int, tuple[int, int]]
"""By width: how many of how many seeds learn."""

NEVER: Learned = dict.fromkeys((24, 32, 48), (0, 5))
ALWAYS: Learned = dict.fromkeys((24, 32, 48), (5, 5))
BETWEEN: Learned = {16: (0, 5), 24: (1, 5), 32: (4, 5), 48: (5, 5)}
LATER: Learned = {32: (0, 5), 48: (1, 5), 64: (4, 5), 96: (5, 5)}


def runs(scored: str, curriculum: str, learned: Learned, **changes: Any) -> list[Result]:
    """Results of one arm; those of a joint task come with its operations alone, as a sweep scores them."""
    found = []
    for width, (count, seeds) in learned.items():
        for seed in range(seeds):
            accuracy = 0.97 if seed < count else 0.2
            for task in (scored, *single_tasks(scored)):
                found.append(result(task, accuracy, curriculum=curriculum, width=width, seed=seed, **changes))
    return found


def claims_of(*parts: Iterable[Result]) -> dict[str, Claim]:
    found = boards([one for part in parts for one in part])
    made = claims(found[0] if found else None)
    assert [claim.name for claim in made] == [f"R{i}" for i in range(1, 10)]
    return {claim.name: claim for claim in made}


def verdict(name: str, *parts: Iterable[Result]) -> str:
    return VERDICTS[claims_of(*parts)[name].verdict]


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_without_results_nothing_is_decided() -> None:
    for claim in claims_of().values():
        assert (claim.verdict, claim.contrasts, claim.parts) == ("open", (), [])


def test_r1_more_operations() -> None:
    easy, hard = runs("max", "max:6000", {8: (0, 5), 16: (5, 5), 24: (5, 5)}), runs("max_med", "max_med:6000", LATER)
    assert verdict("R1", easy, hard) == "holds"
    other = runs("med", "med:6000", {64: (0, 5), 96: (0, 5), 128: (1, 5)})  # harder alone than with MAX
    assert verdict("R1", easy, hard, other) == "does not hold"
    assert verdict("R1", easy, runs("max_med", "max_med:3000", LATER)) == "not decided"  # other steps


def test_r2_a_least_size() -> None:
    rising: Learned = {8: (0, 5), 16: (0, 5), 24: (2, 5), 48: (5, 5), 96: (5, 5)}
    assert verdict("R2", runs("sum", "sum:6000", rising)) == "holds"
    assert verdict("R2", runs("sum", "sum:6000", {16: (0, 2), 48: (2, 2)})) == "not decided"
    many = [runs(name, f"{name}:6000", {16: (0, 2), 48: (2, 2)}) for name in ("sum", "max", "med")]
    assert verdict("R2", *many) == "holds"
    assert verdict("R2", runs("sum", "sum:6000", NEVER)) == "not decided"
    assert verdict("R2", runs("sum", "sum:6000", ALWAYS)) == "not decided"
    turned = {8: (5, 5), 16: (5, 5), 24: (0, 5), 48: (0, 5)}
    assert verdict("R2", runs("sum", "sum:6000", turned)) == "does not hold"


def test_r3_the_hardest_operation_takes_all_the_others() -> None:
    sizes: Learned = {8: (0, 5), 16: (5, 5), 24: (5, 5)}
    alone = runs("sum", "sum:6000", LATER)
    others = [runs(name, f"{name}:6000", sizes) for name in ("max", "min", "med", "prod", "nadd")]
    assert verdict("R3", alone, *others) == "holds"
    some = claims_of(alone, *others[:3])["R3"]
    assert (some.verdict, some.unmeasured) == ("open", ["PROD", "NADD"])
    assert some.found[0][0].by_kind == dict.fromkeys(("MAX and MIN", "MED"), "for")
    (pooled,) = (one for one in some.contrasts if one.about == "MAX and MIN")
    assert pooled.first.threshold.runs == 30
    assert [rung.runs for rung in rungs(pooled.first)] == [10, 10, 10]
    assert pooled.first.curricula == ("max:6000", "min:6000")
    hard = runs("nadd", "nadd:6000", {64: (0, 5), 96: (0, 5), 128: (0, 5)})
    refuted = claims_of(alone, *others[:4], hard)["R3"]
    assert (refuted.verdict, refuted.found[0][0].by_kind["NADD"]) == ("against", "against")


JOINT, TRANSFER, ALONE = "sum_max_med:6000", "max_med:1500,sum:4500/keep-optimizer", "sum:6000"


@pytest.mark.parametrize(("name", "curriculum"), [("R4", JOINT), ("R4", "sum*0.5+max_med*0.5:6000"), ("R7", TRANSFER)])
def test_r4_and_r7_fewer_parameters(name: str, curriculum: str) -> None:
    alone = runs("sum", ALONE, LATER)
    assert verdict(name, alone, runs("sum", curriculum, {16: (0, 5), 24: (4, 5), 32: (5, 5)})) == "holds"
    assert verdict(name, alone, runs("sum", curriculum, LATER)) == "not decided"
    assert verdict(name, alone, runs("sum", curriculum, {96: (0, 5), 128: (1, 5), 192: (5, 5)})) == "does not hold"
    assert verdict(name, alone, runs("sum", curriculum.replace("00", "10"), BETWEEN)) == "not decided"  # other steps
    assert verdict(name, alone) == "not decided"


def test_no_seed_of_sum_alone_at_any_size_makes_the_ratio_a_bound() -> None:
    found = claims_of(runs("sum", ALONE, NEVER), runs("sum", JOINT, ALWAYS))["R4"]
    (contrast,) = found.contrasts
    number = contrast.ratio()
    assert (found.verdict, number.kind, number.low, contrast.runs) == ("for", "below", None, (15, 15))
    assert 0.3 <= (number.estimate or 0) < 0.4
    assert verdict("R4", runs("sum", ALONE, NEVER), runs("sum", JOINT, NEVER)) == "not decided"


def test_r7_names_what_transfer_does_where_alone_fails() -> None:
    found = claims_of(runs("sum", ALONE, LATER), runs("sum", TRANSFER, {24: (4, 5), 32: (5, 5), 48: (5, 5)}))["R7"]
    ((moved, alone),) = found.found[0][0].where_second_fails
    assert (moved.parameters, moved.learned, moved.runs, alone.learned) == (17_376, 5, 5, 0)


def test_budgets_that_contradict_each_other_leave_a_claim_open() -> None:
    early = [runs("sum", "sum:3000", LATER), runs("sum", "sum_max_med:3000", {16: (0, 5), 24: (4, 5), 32: (5, 5)})]
    late = [runs("sum", "sum:9000", LATER), runs("sum", "sum_max_med:9000", {96: (0, 5), 128: (1, 5), 192: (5, 5)})]
    found = claims_of(*early, *late)["R4"]
    assert found.verdict == "open"
    assert {"for", "against"} <= set(found.found[0][0].decisions())


def test_several_budgets_decide_together_what_none_does_alone() -> None:
    parts = []
    for steps, widths in ((3000, (32, 48, 64)), (6000, (24, 32, 48)), (12_000, (16, 24, 32))):
        parts += runs("sum", f"sum:{steps}", dict(zip(widths, ((0, 3), (0, 3), (2, 3)), strict=True)))
        parts += runs("sum", f"sum_max_med:{steps}", dict(zip(widths, ((0, 3), (2, 3), (3, 3)), strict=True)))
        assert verdict("R4", parts[-18:]) == "not decided"
    found = claims_of(parts)["R4"]
    pool, *each = found.contrasts
    assert (found.verdict, pool.pool) == ("for", tuple(each))
    assert pool.ratio().kind == "number"
    assert found.found[0][0].decisions() == ("for", "open", "open", "open")


def test_at_one_size_the_seeds_decide() -> None:
    assert verdict("R4", runs("sum", ALONE, {32: (0, 5)}), runs("sum", JOINT, {32: (5, 5)})) == "holds"
    assert verdict("R4", runs("sum", ALONE, {32: (0, 2)}), runs("sum", JOINT, {32: (2, 2)})) == "not decided"
    assert verdict("R4", runs("sum", ALONE, {32: (9, 9)}), runs("sum", JOINT, {32: (0, 9)})) == "does not hold"


def test_equal_exposure_counts_reductions_and_extends_early_stops() -> None:
    def seeing(found: Sequence[Result], steps: int, reductions: int) -> list[Result]:
        counts = {"steps": steps, "reductions": {"sum": reductions}}
        return [dataclasses.replace(one, training=dataclasses.replace(one.training, **counts)) for one in found]

    mixture = runs("sum", "sum*0.5+max_med*0.5:12000", {16: (0, 5), 24: (4, 5), 32: (5, 5)})
    alone = seeing(runs("sum", ALONE, LATER), 6000, 900_000)
    stopped = seeing(mixture, 3000, 225_000)
    (group, *_) = groups(stopped)
    assert group.exposure == 900_000
    found = claims_of(alone, stopped)["R4"]
    steps, exposure, optimised = found.found
    assert (found.verdict, steps, exposure[0].decision, optimised) == ("open", (), "for", ())
    assert claims_of(alone, seeing(mixture, 12_000, 2_000_000))["R4"].found[1] == ()


def test_r8_size_and_curriculum() -> None:
    wide: Learned = {8: (0, 5), 16: (0, 5), 32: (0, 5), 48: (3, 5), 96: (5, 5), 192: (5, 5)}
    alone = runs("sum", ALONE, wide)
    assert verdict("R8", alone, runs("sum", JOINT, {8: (0, 5), 16: (5, 5), 24: (5, 5), 48: (5, 5)})) == "holds"
    assert verdict("R8", alone, runs("sum", JOINT, wide)) == "not decided"
    dense: Learned = {w: (12 if w > 40 else 0, 12) for w in (24, 40, 42, 64)}
    same = [runs("sum", ALONE, dense), runs("sum", JOINT, dense)]
    assert verdict("R8", *same) == "does not hold"
    assert verdict("R4", *same) == "does not hold"  # no saving of a fifth


def test_a_verdict_names_the_views_that_come_to_it() -> None:
    """What learned at 95% has 97%; at 99% nothing has learned, and nothing is decided."""
    found = claims_of(runs("sum", ALONE, LATER), runs("sum", JOINT, {16: (0, 5), 24: (4, 5), 32: (5, 5)}))["R4"]
    assert found.verdict == "for"
    assert found.elsewhere[View("test", 0.99)].verdict == "open"
    assert {SEEN, View("test", 0.9)} <= set(found.where) <= {SEEN, View("test", 0.9), UNSEEN}
    higher = [
        dataclasses.replace(one, splits={**one.splits, "test": result("sum", 0.995).splits["test"]})
        if one.splits["test"].metrics.trace_accuracy.accuracy > 0.9
        else one
        for one in runs("sum", ALONE, {8: (0, 5), 12: (4, 5), 16: (5, 5)})
    ]
    turned = claims_of(runs("sum", JOINT, {8: (0, 5), 12: (5, 5), 16: (5, 5)}), higher)["R4"]
    assert turned.elsewhere[View("test", 0.99)].verdict == "against"
    assert (
        spell_views([SEEN, View("test", 0.9), UNSEEN])
        == "at 90% and 95% on seen operands, and at 95% on unseen operands"
    )


def test_what_cannot_decide_is_open_and_says_how_many_seeds_are_missing() -> None:
    """Three of three against none of four has a p of .00839, above the .00833 that three looks leave."""
    others = [runs(name, f"{name}:6000", {32: (3, 3)}) for name in ("max", "med", "prod", "nadd")]
    few = claims_of(runs("sum", ALONE, {32: (0, 4)}), *others)["R3"].found[0][0]
    assert (few.looks, {d for _, d in few.decided}, {more for _, more in few.short}) == (3, {"open"}, {1})
    (one,) = claims_of(runs("sum", ALONE, {32: (0, 4)}), others[0])["R3"].found[0]
    assert (one.looks, one.short, [d for _, d in one.decided]) == (1, [], ["for"])


def test_looks_that_could_not_decide_cost_the_others_nothing() -> None:
    """Two of two against none of two is never told apart."""
    parts = [*runs("sum", ALONE, LATER), *runs("sum", JOINT, {16: (0, 5), 24: (4, 5), 32: (5, 5)})]
    parts += [
        one for n in (7, 8, 9) for c in ("sum", "sum_max_med") for one in runs("sum", f"{c}:{n}000", {48: (1, 2)})
    ]
    found = claims_of(parts)["R4"].found[0][0]
    assert (len(found.all_contrasts), found.looks, found.confidence) == (4, 1, 0.95)


def with_digests(results: Iterable[Result]) -> list[Result]:
    """The same of recipes with a digest, and of other weights."""

    def again(one: Result) -> Result:
        name = f"{one.recipe.id}-{sha256(one.recipe.id.encode()).hexdigest()[:8]}"
        weights = sha256(f"{name} {one.model.weights_sha256}".encode()).hexdigest()
        model = dataclasses.replace(one.model, id=name, weights_sha256=weights)
        return dataclasses.replace(one, recipe=dataclasses.replace(one.recipe, id=name), model=model)

    return list(map(again, results))


def plan(folder: Path, results: Iterable[Result], declared: str = "2020-01-01T00:00:00Z", **changes: Any) -> Plan:
    """A plan of the recipes and seeds of some results, in the folder that a build reads."""
    seeds: dict[str, set[int]] = {}
    for one in results:
        seeds.setdefault(recipe_of(one), set()).add(one.recipe.seed or 0)
    values = {"claims": ["R4"], "cuts": [0.9, 0.95, 0.99], "looks": [], "chosen": [], **changes}
    own = {digest: sorted(found) for digest, found in seeds.items()}
    made = Plan(1, "p.yaml", "ab" * 32, declared, "cd" * 20, False, runs=own, **values)
    (folder / "plans").mkdir(parents=True, exist_ok=True)
    (folder / "plans" / f"{len(list((folder / 'plans').iterdir()))}.json").write_text(records.dumps(made))
    return made


def test_a_verdict_says_what_it_rests_on() -> None:
    less = {16: (0, 5), 24: (4, 5), 32: (5, 5)}
    found = claims_of(runs("sum", ALONE, LATER), runs("sum", JOINT, less))
    ((contrast, decision, confidence),) = found["R4"].carrying
    assert (contrast.first.curriculum, decision, confidence) == (JOINT, "for", 0.95)
    assert f"{contrast.ratio().high:.2f}, reached 1" in spell_turning(contrast, decision, confidence)
    assert found["R8"].carrying == []  # it follows from others


def test_what_was_declared_before_the_runs_is_told_from_what_was_not(tmp_path: Path) -> None:
    alone, joint = with_digests(runs("sum", ALONE, NEVER)), with_digests(runs("sum", JOINT, ALWAYS))
    plan(tmp_path, [*alone, *joint])
    (board,) = boards([*alone, *joint])

    def found(name: str = "R4", **changes: Any) -> tuple[int, int]:
        (made,) = read_plans(tmp_path / "plans")
        own = [dataclasses.replace(made, **changes)]
        return next(claim.declared for claim in claims(board, (), own) if claim.name == name)

    assert found() == (30, 30)
    assert found("R2") == (0, 15)  # declared for another claim
    assert found(declared="2100-01-01T00:00:00Z") == (0, 30)  # younger than the results
    assert found(looks=[3, 5]) == (30, 30)
    assert found(looks=[3, 10]) == (0, 30)  # looked at with five runs, which was not declared
    assert found(cuts=[0.9]) == (0, 30)
    assert read_plans(tmp_path / "nothing") == []
    text = page(tmp_path, [*alone, *joint])
    assert "**holds** at 90% and 95% on seen operands (declared)" in text
    (tmp_path / "plans" / "0.json").write_text("{}")
    with pytest.raises(InvalidInput, match=re.escape("0.json")):
        write_claims(read_boards(tmp_path / "results"), tmp_path / "results", tmp_path / "CLAIMS.md")


def test_a_learning_rate_chosen_for_each_arm_is_a_row_of_its_own(tmp_path: Path) -> None:
    at_once = [runs("sum", ALONE, NEVER), runs("sum", JOINT, NEVER)]
    chosen = with_digests([*runs("sum", ALONE, NEVER), *runs("sum", JOINT, ALWAYS)])
    (board,) = boards([one for part in (*at_once, chosen) for one in part])
    plans = [plan(tmp_path, chosen, chosen=["learning_rate"])]
    by_name = {claim.name: claim for claim in claims(board, (), plans)}
    steps, _, optimised = by_name["R4"].found
    assert (steps[0].decision, optimised[0].decision) == ("open", "for")
    assert [contrast.runs for contrast in (*steps[0].contrasts, *optimised[0].contrasts)] == [(15, 15), (15, 15)]
    assert claims(board)[3].found[2] == ()  # without the plan nobody knows


CONTROLS = (("sum", "sum_nadd:6000"), ("ssum", "ssum_max_med:6000"))


def test_r9_partners_that_do_not_help() -> None:
    real = runs("sum", JOINT, {32: (5, 5)})
    alone = [runs(name, f"{name}:6000", {32: (0, 5)}) for name in ("sum", "ssum")]
    controls = [runs(task, curriculum, {32: (0, 5)}) for task, curriculum in CONTROLS]
    assert verdict("R9", real, *alone, *controls) == "not decided"  # so few do not show that the controls do not help
    arms = (*CONTROLS, ("sum", ALONE), ("ssum", "ssum:6000"))
    assert verdict("R9", real, *(runs(task, curriculum, {32: (0, 50)}) for task, curriculum in arms)) == "holds"
    few = [runs(task, curriculum, {32: (0, 2)}) for task, curriculum in CONTROLS]
    assert verdict("R9", real, *alone, *few) == "not decided"
    helps = runs("ssum", CONTROLS[1][1], {32: (5, 5)})
    assert verdict("R9", real, *alone, controls[0], helps) == "does not hold"
    found = claims_of(real, *alone, *controls)["R9"].contrasts
    about = [(contrast.about, contrast.second.task) for contrast in found]
    assert about == [("SSUM with MAX and MED", "ssum"), ("SUM with NADD", "sum")]
    assert [[(a.learned, b.learned) for a, b in contrast.shared] for contrast in found] == [[(5, 0)]] * 2
    half = claims_of(real, *alone, controls[0])["R9"]
    assert (half.verdict, half.unmeasured) == ("open", ["SSUM with MAX and MED"])


def test_other_settings_are_shown_and_do_not_decide() -> None:
    main = [runs("sum", ALONE, LATER), runs("sum", JOINT, {16: (0, 5), 24: (4, 5), 32: (5, 5)})]
    rotary = [
        runs("sum", ALONE, {16: (5, 5), 32: (5, 5)}, family="looped_rope"),
        runs("sum", JOINT, {96: (0, 5), 128: (0, 5)}, family="looped_rope"),
    ]
    found = claims_of(*main, *rotary)["R4"]
    first, other = found.found[0]
    assert (found.verdict, first.setting.family, other.setting.family) == ("for", "looped", "looped_rope")
    assert (first.decision, other.decision) == ("for", "against")


def test_what_has_other_heads_or_loops_is_never_compared() -> None:
    four = Architecture("looped", "looped_d032", "listops_looped", 32, 3, 4, 128)
    found = claims_of(runs("sum", ALONE, {32: (0, 5)}), runs("sum", JOINT, {32: (5, 5)}, architecture=four))["R4"]
    assert found.verdict == "open"


def test_curricula_as_stages_and_schemes() -> None:
    assert stages_of(TRANSFER) == (frozenset({"max", "med"}), frozenset({"sum"}))
    assert stages_of("sum*0.5+max_med*0.5:9") == (frozenset({"sum", "max", "med"}),)
    assert stages_of("max_med:9,sum:9/freeze=embeddings") not in (stages_of("max_med:9,sum:9"), stages_of("sum:9"))
    assert scheme_of(TRANSFER) == "max_med, then sum/keep-optimizer"
    assert scheme_of("sum*0.5+max_med*0.5:9") == "max_med*0.5+sum*0.5"
    assert side_of("sum after max_med, then sum") == (frozenset({"sum"}), stages_of(TRANSFER))


def test_the_table_of_claims_names_sides_that_exist() -> None:
    pairs = [pair for spec in specs().values() for of in spec.evidence for pair in of.pairs]
    sides = {side for pair in pairs for side in (pair.first, pair.second)}
    assert len(sides) > 10
    assert all(scored <= frozenset().union(*stages) for scored, stages in map(side_of, sides))


# --- analyses ---------------------------------------------------------------------------------------------------------

Values = Sequence[float]


def study(
    folder: Path,
    order: tuple[Values, Values],
    parity: Values,
    attention: tuple[Values, Values],
    exact: int = 200,
    waves_p: float = 0.5,
) -> Path:
    """A comparison of SUM alone and SUM with MAX and MED, as `analyze` writes it; ``exact`` of 400 rows."""

    def statistic(value: float, p: float) -> Statistic:
        return Statistic(value, 0.0, p, 0.0, None)

    def group(plan: str, kind: TrainingKind, fresh: int, orders: Values, parities: Values, shares: Values) -> Any:
        ablated: dict[Layer, Summary] = {"1": Summary.of(20, 400), "all": Summary.of(4, 400)}
        checkpoints = [
            CheckpointFindings(
                f"{kind}-seed{seed}", seed, f"{plan}:1700", 35_376, "ab" * 32, kind, Summary.of(exact, 400),
                Summary.of(fresh + seed, 400), None, statistic(one, 0.5), statistic(two, 0.5), three,
                Summary.of(300, 400), {"attention": ablated, "feed_forward": ablated}, statistic(0.1, 0.5),
                statistic(1 + seed / 10, 0.5),
            )
            for seed, (one, two, three) in enumerate(zip(orders, parities, shares, strict=True))
        ]  # fmt: skip
        order, parity = float(np.mean(orders)), float(np.mean(parities))
        p, q = 0.001 if order > 0.5 else 0.9, 0.001 if parity > 0.9 else 0.9
        later = (statistic(0.1, 0.5), 0.5, statistic(1.1, waves_p), waves_p) if waves_p else ()
        return GroupFindings(plan, "looped_d048", statistic(order, p), p, statistic(parity, q), q, checkpoints, *later)

    groups = [
        group("sum", "alone", 100, order[0], [0.3] * len(order[0]), attention[0]),
        group("sum_max_med", "joint", 200, order[1], parity, attention[1]),
    ]
    (folder / "figures").mkdir(parents=True)
    (folder / "comparison.json").write_text(records.dumps(Findings("0.1.0", "sum", groups)))
    for name in ("compare.svg", "3-axes.svg"):
        (folder / "figures" / name).write_text("<svg/>")
    return folder


FLAT, STEEP = (-0.3, 0.1, -0.1), (0.8, 0.7, 0.9)


@pytest.mark.parametrize(
    ("order", "parity", "attention", "r5", "r6"),
    [
        ((FLAT, STEEP), (1.0, 0.9, 1.0), ((0.4, 0.41, 0.42), (0.6, 0.61, 0.63)), "holds", "holds"),
        ((FLAT, STEEP), (0.3, 0.2, 0.3), ((0.6, 0.61, 0.62), (0.4, 0.41, 0.43)), "does not hold", "does not hold"),
        ((FLAT, STEEP), (0.9, 0.2, 0.6), ((0.4, 0.6, 0.5), (0.45, 0.7, 0.6)), "not decided", "not decided"),
        ((STEEP, FLAT), (1.0, 1.0, 0.9), ((0.5, 0.51, 0.52), (0.5, 0.52, 0.51)), "does not hold", "does not hold"),
    ],
)
def test_r5_and_r6(
    tmp_path: Path, order: tuple[Values, Values], parity: Values, attention: tuple[Values, Values], r5: str, r6: str
) -> None:
    study(tmp_path / "one", order, parity, attention)
    (one,) = read_studies(tmp_path)
    found = {claim.name: claim for claim in claims(None, [one])}
    assert [VERDICTS[found[name].verdict] for name in ("R5", "R6")] == [r5, r6]
    assert [len(found[name].parts) for name in ("R5", "R6")] == [5, 2]
    assert [figure.name for figure in one.figures] == ["compare.svg"]  # those of single checkpoints are left out


def test_waves_after_sum_alone_are_structure(tmp_path: Path) -> None:
    for waves_p, decision in ((0.5, "for"), (0.01, "against")):
        study(tmp_path / f"{waves_p}" / "one", (FLAT, STEEP), (1.0, 0.9, 1.0), (FLAT, FLAT), waves_p=waves_p)
        found = {claim.name: claim for claim in claims(None, read_studies(tmp_path / f"{waves_p}"))}["R5"]
        assert found.parts[0].decision == decision


def test_the_study_of_models_that_have_learned_decides(tmp_path: Path) -> None:
    """However few they are beside those of another study."""
    study(tmp_path / "many", (FLAT * 2, STEEP * 2), FLAT * 2, (FLAT * 2, FLAT * 2), exact=379)
    study(tmp_path / "some", (FLAT, STEEP), FLAT, (FLAT, FLAT), exact=380)
    assert [found.folder.name for found in read_studies(tmp_path)] == ["some", "many"]


def test_an_analysis_that_is_not_ours_is_named(tmp_path: Path) -> None:
    path = study(tmp_path / "one", (FLAT, STEEP), FLAT, (FLAT, FLAT)) / "comparison.json"
    path.write_text(path.read_text().replace('"without"', '"with"', 1))
    with pytest.raises(InvalidInput, match=re.escape(str(path))):
        read_studies(tmp_path)
    path.write_text('{"version": "0.1.0", "operation": "sum", "groups": []}')
    with pytest.raises(InvalidInput, match="no checkpoints"):
        read_studies(tmp_path)
    assert read_studies(tmp_path / "nothing") == []
    write(tmp_path / "results", [])
    with pytest.raises(InvalidInput, match="does not exist"):
        write_claims([], tmp_path / "results", tmp_path / "CLAIMS.md", tmp_path / "nothing")


# --- costs and budgets ------------------------------------------------------------------------------------------------


def test_a_model_that_was_scored_on_many_tasks_was_trained_once() -> None:
    (board,) = boards([*runs("sum_max_med", "sum_max_med:3000", {48: (0, 2)}), result(curriculum=None, seed=9)])
    (cost,) = costs(trained_models(board)).values()
    assert (cost.runs, cost.steps, cost.seconds, cost.scoring) == (2, 6000, 221.0, 8 * 1.5)
    assert cost.rate(cost.steps) == "27.1"


def test_a_size_that_learns_only_with_more_steps_is_named() -> None:
    found = [*runs("sum", "sum:3000", {48: (0, 5)}), *runs("sum", "sum:6000", {48: (5, 5)})]
    found += [*runs("sum", TRANSFER, {48: (5, 5)}), *runs("max", "max:3000", {48: (0, 2)})]
    found += runs("max", "max:6000", {48: (2, 2)})
    gains = budget_gains(Ladders(all_arms(groups(found))).arms)
    assert [(less.arm.task, less.arm.budget, more.arm.budget, decided) for less, more, decided in gains] == [
        ("sum", 3000, 6000, True), ("max", 3000, 6000, False),
    ]  # fmt: skip


# --- the page ---------------------------------------------------------------------------------------------------------


def page(folder: Path, results: Iterable[Result]) -> str:
    write(folder / "results", list(results))
    return write_claims(read_boards(folder / "results"), folder / "results", folder / "CLAIMS.md").read_text()


def tables_are_whole(text: str) -> bool:
    blocks = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    assert blocks
    return all(len({len(re.findall(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1 for block in blocks)


@pytest.fixture(scope="module")
def ladder() -> list[Result]:
    others = [("sum", "sum_nadd:6000"), ("ssum", "ssum:6000"), ("ssum", "ssum_max_med:6000"), ("sum", "sum:3000")]
    watched = result("max", learning=learning((100, 0.5), (200, 0.97)), seed=7)
    found = [*ladder_results(widths=(16, 96), seeds=4), watched]
    return found + [one for task, curriculum in others for one in runs(task, curriculum, {48: (0, 3)})]


def test_the_same_results_give_the_same_page_with_links_that_lead_somewhere(
    tmp_path: Path, ladder: list[Result]
) -> None:
    for name, order in (("a", ladder), ("b", ladder[::-1])):
        study(tmp_path / name / "analysis" / "width48", (FLAT, STEEP), FLAT, (FLAT, STEEP))
        page(tmp_path / name, order)
    text = (tmp_path / "a/CLAIMS.md").read_text()
    assert text == (tmp_path / "b/CLAIMS.md").read_text()
    assert tables_are_whole(text)
    links = set(re.findall(r"\]\(([^)#]+)\)", text)) - {"README.md"}
    assert any(link.startswith("results/") for link in links)
    assert "analysis/width48/figures/compare.svg" in links
    for link in links:
        assert (tmp_path / "a" / link).exists(), link
    anchors = re.findall(r"\]\(#(\w+)\)", text)
    assert anchors == [f"r{i}" for i in range(1, 10)]
    assert all(f"\n## {anchor.upper()}\n" in text for anchor in anchors)


def test_any_part_of_the_results_makes_a_whole_page(ladder: list[Result], tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    parts = [[ladder[i] for i in draw.choice(len(ladder), size, replace=False)] for size in (1, 2, 3, 5, 9, 20, 60)]
    for chosen in (*parts, demo_results()):
        text = claims_page(boards(chosen), [], tmp_path / "results", tmp_path)
        assert re.findall(r"^## (R\d)$", text, re.MULTILINE) == list(specs())
        assert tables_are_whole(text)


def test_every_count_of_a_claim_says_how_many_are_verified(tmp_path: Path, command: Run) -> None:
    found = runs("sum", ALONE, {24: (0, 3), 48: (3, 3)})

    def counts(text: str) -> list[int]:
        return [int(number) for number in re.findall(r"(\d+) verified\)", text)]

    assert set(counts(page(tmp_path, found))) == {0}
    records = {}
    for one in found[:3]:
        path = result_path(tmp_path / "results", one).relative_to(tmp_path / "results").as_posix()
        records[result_sha256(one)] = Verification(path, 9, 0, True, "2026-11-24T12:00:00Z", one.evaluation.environment)
    write_verified(tmp_path / "results", records)
    assert set(counts(page(tmp_path, found))) == {0, 3}
    chosen = ["leaderboard", "claims", str(tmp_path / "results"), "--output", str(tmp_path / "C.md"), "--verified-only"]
    assert command(*chosen)[0] == 0
    assert "From 3 results of 3 models" in (tmp_path / "C.md").read_text()


def test_the_history_beside_the_results_is_told_on_their_page_alone(tmp_path: Path) -> None:
    """What a sweep went through stands in a file of its own, and on no other page."""
    own, other = tmp_path / "own", tmp_path / "other"
    plain = [page(folder, [result()]) for folder in (own, other)]
    assert plain[0] == plain[1]
    (own / "history.md").write_text("When the rules were fixed: before.\n")
    told = write_claims(read_boards(own / "results"), own / "results", own / "CLAIMS.md").read_text()
    assert told.replace("When the rules were fixed: before.\n\n", "") == plain[0] != told
    elsewhere = write_claims(read_boards(other / "results"), other / "results", own / "CLAIMS.md").read_text()
    assert "When the rules" not in elsewhere
    assert "pocket sweep" not in plain[0]
    (other / "history.md").mkdir()
    with pytest.raises(InvalidInput, match=re.escape(str(other / "history.md"))):
        page(other, [result()])


def test_results_of_older_versions_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("listops_bench.result.checks.DATASET_VERSIONS", ("0.0.9", "1.0.0"))
    older = [dataclasses.replace(one, dataset_version="0.0.9") for one in runs("sum", ALONE, NEVER)]
    text = page(tmp_path, [*older, result(seed=9)])
    assert "From 1 result of 1 model" in text
    assert "other versions" in text


def test_nothing_from_a_result_becomes_markup(tmp_path: Path) -> None:
    nasty = nasty_results()[0]
    shaped = [
        dataclasses.replace(one, architecture=dataclasses.replace(nasty.architecture, num_layers=None))
        for one in [*runs("sum", ALONE, BETWEEN), *runs("sum", JOINT, BETWEEN)]
    ]
    text = page(tmp_path, [*nasty_results(), *shaped])
    assert tables_are_whole(text)
    bare = re.sub(r"`[^`\n]*`", "", text)
    assert "<img" not in bare
    assert "](javascript" not in bare


def test_the_board_and_the_claims_are_built_by_one_command(tmp_path: Path, command: Run) -> None:
    results = write(tmp_path / "results", demo_results()[:2])
    code, out, _ = command("leaderboard", "build", str(results), "--output-dir", str(tmp_path))
    assert (code, str(tmp_path / "CLAIMS.md") in out) == (0, True)
    both = files_of(tmp_path)
    code, out, _ = command("leaderboard", "claims", str(results), "--output", str(tmp_path / "CLAIMS.md"))
    assert (code, files_of(tmp_path)) == (0, both)
    shutil.rmtree(results)
    write(results, [])
    build(results, tmp_path / "demo")
    assert not (tmp_path / "demo/CLAIMS.md").exists()
    code, _, err = command("leaderboard", "claims", str(tmp_path / "nothing"))
    assert (code, err.count("\n")) == (2, 1)
