"""The analyses on the board: of stored weights alone, and docs/what_models_learned.md says what they found."""

from pathlib import Path
from statistics import fmean

import pytest

from listops_bench._base.text import p_text
from listops_bench.analysis.findings import CheckpointFindings, Findings, GroupFindings, read_findings
from listops_bench.result.learned import LEARNED
from listops_bench.runs.store import StoredRecipe
from listops_bench.stats.differences import SIGNIFICANT

ROOT = Path(__file__).resolve().parents[2]
ANALYSES, PAGE = ROOT / "leaderboard/analysis", ROOT / "docs/what_models_learned.md"
NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
SIZES = ["looped_d032", "looped_d036", "looped_d048"]
KINDS = "sum", "sum_max_med", "max_med, then sum"


@pytest.fixture(scope="module", params=SIZES)
def found(request: pytest.FixtureRequest) -> Findings:
    return read_findings(ANALYSES / request.param / "comparison.json")


def test_every_checkpoint_is_a_stored_one_and_those_of_a_group_have_the_same_seeds(found: Findings) -> None:
    assert tuple(group.plan for group in found.groups) == KINDS
    assert len({tuple(one.seed for one in group.checkpoints) for group in found.groups}) == 1
    for one in found.checkpoints:
        recipe, _, seed = one.name.rpartition("#")
        assert StoredRecipe(ROOT / "leaderboard/weights", recipe).digests[seed] == one.weights_sha256


def tell(group: GroupFindings, figure: str) -> int:
    """Seeds whose figure stands out by itself."""
    return sum(getattr(one, figure).p < SIGNIFICANT for one in group.checkpoints)


def test_the_page_says_what_they_found() -> None:
    small, middle, large = (read_findings(ANALYSES / name / "comparison.json") for name in SIZES)
    alone, joint, transfer = large.groups
    seeds = len(alone.checkpoints)

    def share(of: CheckpointFindings) -> bool:
        return of.exact.accuracy > LEARNED

    def mean(group: GroupFindings, figure: str) -> str:
        values = [getattr(getattr(one, figure), "accuracy", getattr(one, figure)) for one in group.checkpoints]
        return f"{fmean(values):.0%}"

    for study in (small, middle, large):
        assert [tell(group, "order") for group in study.groups[1:]] == [seeds, seeds]
        assert (
            max(group.order_p_adjusted for group in study.groups[1:]) < SIGNIFICANT < study.groups[0].order_p_adjusted
        )
    assert all(tell(group, "waves") == seeds for group in large.groups)
    assert not any(map(share, middle.groups[0].checkpoints))
    of, told = NUMBERS[seeds], [NUMBERS[tell(group, "parity")] for group in large.groups]
    fewer = [NUMBERS[sum(tell(group, "parity") for group in study.groups)] for study in (middle, small)]
    beyond = [p_text(group.beyond_p_adjusted or 0) for group in (joint, alone, transfer)]
    text = " ".join(PAGE.read_text().split())
    for phrase in (
        f"Thirty models of {joint.checkpoints[0].parameters:,} parameters after 6,000 steps, {of} seeds of each",
        f"{sum(map(share, large.checkpoints))} of them get more than 95% of the SUM traces right",
        f"at {small.checkpoints[0].parameters:,} and {middle.checkpoints[0].parameters:,} parameters; after SUM alone "
        f"at {NUMBERS[tell(alone, 'order')]} of the {of}, "
        f"although {NUMBERS[sum(map(share, alone.checkpoints))]} of these models get more than 95% of SUM right",
        f"at {told[1]} of {of} seeds; so do {told[0]} of {of} of SUM alone, and {told[2]} of {of} after a transfer",
        "joint training ({}) and after SUM alone ({}), and not after a transfer ({})".format(*beyond),
        f"{fewer[0]} of thirty models tell it at {middle.checkpoints[0].parameters:,}, where "
        f"{NUMBERS[tell(middle.groups[0], 'parity')]} of {of} of SUM alone do although none of them has learned SUM, "
        f"and {fewer[1]} of thirty at {small.checkpoints[0].parameters:,}",
        f"After SUM alone, {mean(alone, 'unseen')} of the rows that need facts never trained on come out right, after "
        f"joint training {mean(joint, 'unseen')}",
        "{}, {} and {}".format(*(mean(group, "attention_share") for group in large.groups)),
    ):
        assert phrase in text, phrase
    assert [len(study.checkpoints) for study in (small, middle, large)] == [30, 30, 30]
