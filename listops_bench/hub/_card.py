"""The model card of a published checkpoint: usage, provenance, results with n and intervals, a learning curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files

import yaml
from jinja2 import StrictUndefined, Template

from listops_bench._base.escape import markdown, markdown_code
from listops_bench._base.extras import needs
from listops_bench._base.text import LEFT, markdown_table
from listops_bench.hub.formats import model_index
from listops_bench.model.checkpoint import CARD_DATA, card_text
from listops_bench.pages.results import score_table
from listops_bench.pages.tables import to_markdown
from listops_bench.result.format import Result
from listops_bench.runs.record import RunRecord, Training
from listops_bench.tasks.symbols import Symbols

CURVE = "learning_curve.png"


def write_model_card(
    run: RunRecord,
    results: Sequence[Result],
    symbols: Symbols,
    *,
    repo_id: str,
    dataset_id: str,
    curve: bool = True,
    revision: str | None = None,
    revisions: Sequence[str] = (),
) -> str:
    """The README.md of a model repository.

    Args:
        run: with the sizes and the digest of the weights.
        results: of this checkpoint, one for each task.
        dataset_id: of the dataset on the Hub that the results refer to.
        curve: whether `CURVE` lies beside the card.
        revision: where these weights are, if not in ``main``.
        revisions: others.
    """
    page = files("listops_bench.hub").joinpath("card.md").read_text(encoding="utf-8")
    place = json.dumps(repo_id) + (f", revision={json.dumps(revision)}" if revision else "")
    training = next((result.training for result in results if result.training is not None), run.training)
    card = Template(page, undefined=StrictUndefined, trim_blocks=True).render(
        header=_header(run, results, repo_id, dataset_id),
        title=markdown(run.name or repo_id),
        text=card_text(run, symbols, place),
        revisions=", ".join(map(markdown_code, revisions)),
        results=results,
        clustered=any(split.by_form for result in results for split in result.splits.values()),
        scores=to_markdown(score_table(results)),
        curve=CURVE if curve else "",
        facts=_training_facts(run, training) if training else "",
    )
    return card.rstrip() + "\n"


def _header(run: RunRecord, results: Sequence[Result], repo_id: str, dataset_id: str) -> str:
    from huggingface_hub import ModelCardData

    tags = [*CARD_DATA["tags"], *(["curriculum-learning"] if run.curriculum else []), *(r.task.name for r in results)]
    data = ModelCardData(
        **CARD_DATA | {"tags": tags},
        datasets=[dataset_id],
        metrics=["accuracy"],
        model_name=repo_id.partition("/")[2],
        eval_results=model_index(results, dataset_id) or None,
    )
    return yaml.safe_dump(data.to_dict(), sort_keys=False, allow_unicode=True, width=120)


def _training_facts(run: RunRecord, training: Training) -> str:
    where = training.environment
    said, options = run.config, ("optim", "learning_rate", "lr_scheduler_type", "warmup_steps", "early_stop")
    code = f"commit {where.commit}{' and local changes' if where.dirty else ''}" if where.commit else "a release"
    facts = {
        "curriculum": training.curriculum,
        "seed": str(run.seed),
        **{name.replace("_", " "): str(said[name]) for name in options if said.get(name) is not None},
        **({"rows per step": f"{run.rows_per_step:,}"} if run.rows_per_step else {}),
        "optimizer steps": f"{training.steps:,} of {training.budget:,}",
        "tokens": f"{training.tokens:,}, of which {training.loss_tokens:,} bore loss",
        "reductions seen": ", ".join(f"{name.upper()} {count:,}" for name, count in training.reductions.items()),
        "wall time": f"{training.wall_seconds:,.0f} s on {where.hardware or 'unknown hardware'}",
        "code": f"listops_bench {where.packages.get('listops_bench', '')}, {code}",
        "packages": ", ".join(f"{name} {version}" for name, version in where.packages.items()),
    }
    rows = [(key, markdown_code(value) if key == "curriculum" else markdown(value)) for key, value in facts.items()]
    return markdown_table([("", LEFT), ("", LEFT)], rows)


def learning_curve(results: Sequence[Result]) -> bytes | None:
    """A picture (PNG) of the trace accuracy on validation rows along the training, a line for each task.

    None where no result says how the training went.
    """
    with needs("board"):
        import altair as alt
        import vl_convert

    rows = [
        {"task": result.task.name, "step": int(step), "accuracy": correct / result.learning.n}
        for result in results
        if result.learning is not None
        for step, correct in result.learning.correct.items()
    ]
    if not rows:
        return None
    chart = (
        alt.Chart(alt.InlineData(rows), width=640, height=300)
        .mark_line(point=True)
        .encode(
            x=alt.X("step:Q", title="training step"),
            y=alt.Y("accuracy:Q", title="trace accuracy, validation", axis=alt.Axis(format="%")).scale(domain=[0, 1]),
            color=alt.Color("task:N", sort=None, scale=alt.Scale(scheme="tableau10")),
        )
        .configure(font="Helvetica, Arial, sans-serif", background="white", padding=8)
    )
    picture: bytes = vl_convert.vegalite_to_png(chart.to_json(), scale=2)
    return picture
