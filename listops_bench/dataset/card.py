"""The dataset card: what a stranger needs to load, cite and trust the data, with its measured table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt
import yaml

from listops_bench._base.text import LEFT, RIGHT, markdown_table
from listops_bench.tasks.baselines import Baseline, score_shortcuts
from listops_bench.tasks.generator import Rows, count_outcomes, generate
from listops_bench.tasks.operations import laws, ssum_permutation, ssum_statistics
from listops_bench.tasks.regime import describe_regime, find_regime
from listops_bench.tasks.split import RULES, SPLITS, held_out_multisets, held_out_triples
from listops_bench.tasks.symbols import Symbols
from listops_bench.tasks.task import DATASET_VERSION, TaskSpec, describe_task

MARKER = "<!-- dataset card written by listops_bench -->"
"""Tells a card of ours from any other README, so that an export overwrites only its own."""

DEFAULT_TASK = "sum_max_med"


@dataclass(frozen=True)
class SplitFacts:
    """What the card says of one split.

    Attributes:
        distinct_problems: canonical forms among the rows (equal ones differ in operand order or grouping).
        in_train: rows whose canonical form stands in train, its traces included. 0 for every evaluation split.
        alike_in_train: the same up to operand order and associativity, whatever the task's rule.
        depth_1: share of rows of depth 1.
        distinct_prompts: prompts among the rows.
        histogram: rows per answer.
        too_long: share of drawn candidates rejected for their length.
    """

    split: str
    rows: int
    distinct_problems: int
    in_train: int
    alike_in_train: int
    depth_1: float
    distinct_prompts: int
    histogram: npt.NDArray[np.int64]
    mean_tokens: float
    longest: int
    too_long: float
    baselines: list[Baseline]


def measure(task: TaskSpec, *, seed: int = 0) -> list[SplitFacts]:
    """Generates all splits of a task and measures what the card states."""
    train = generate(task, "train", seed=seed)
    seen, alike = _seen(train), _seen(_by_multisets(train))
    found = []
    for split in SPLITS:
        rows = train if split == "train" else generate(task, split)
        forms = rows.forms()
        drawn = count_outcomes(task, split, seed=seed)
        found.append(
            SplitFacts(
                split=split,
                rows=len(rows),
                distinct_problems=len(np.unique(forms)),
                in_train=int(np.isin(forms, seen).sum()),
                alike_in_train=int(np.isin(_by_multisets(rows).forms(), alike).sum()),
                depth_1=float((rows.depth == 1).mean()),
                distinct_prompts=len(set(rows.prompts())),
                histogram=np.bincount(rows.answer, minlength=task.modulus),
                mean_tokens=float(rows.num_tokens.mean()),
                longest=int(rows.num_tokens.max()),
                too_long=drawn["too_long"] / sum(drawn.values()),
                baselines=[] if split == "train" else score_shortcuts(train, rows),
            )
        )
    return found


def _seen(train: Rows) -> npt.NDArray[np.uint64]:
    """The canonical forms in train, its traces included."""
    return np.unique(np.concatenate([train.forms(), train.trace_forms()]))


def _by_multisets(rows: Rows) -> Rows:
    """The same rows, whose forms are those up to operand order and associativity."""
    return dataclasses.replace(rows, task=dataclasses.replace(rows.task, hold_out="multisets"))


def split_table(facts: Sequence[SplitFacts]) -> str:
    """Markdown: sizes, distinct problems, overlap, answers and lengths of each split."""
    titles = ("rows", "distinct problems", "rows in train", "commonest answer", "mean tokens (longest)", "too long")
    rows = []
    for f in facts:
        share, answer = f.histogram.max() / f.rows, int(f.histogram.argmax())
        overlap = "" if f.split == "train" else str(f.in_train)
        lengths = f"{f.mean_tokens:.1f} ({f.longest})"
        cells = (f"{f.rows:,}", f"{f.distinct_problems:,}", overlap, f"{answer} ({share:.1%})", lengths)
        rows.append([f.split, *cells, f"{f.too_long:.2%}"])
    return markdown_table(_columns("split", titles), rows)


def regime_table(facts: Sequence[SplitFacts]) -> str:
    """Markdown: what differs most between regimes."""
    columns = _columns("split", ("depth 1", "distinct prompts", "in train, but for order and grouping"))
    rows = []
    for f in facts:
        overlap = "" if f.split == "train" else f"{f.alike_in_train:,} ({f.alike_in_train / f.rows:.1%})"
        rows.append([f.split, f"{f.depth_1:.1%}", f"{f.distinct_prompts:,}", overlap])
    return markdown_table(columns, rows)


def histogram_table(facts: Sequence[SplitFacts]) -> str:
    """Markdown: share of each answer in each split."""
    columns = _columns("answer", map(str, range(len(facts[0].histogram))))
    return markdown_table(columns, ([f.split, *(f"{n / f.rows:.1%}" for n in f.histogram)] for f in facts))


def baseline_table(facts: Sequence[SplitFacts]) -> str:
    """Markdown: answer accuracy of each shortcut on each evaluation split."""
    evaluated = [f for f in facts if f.baselines]
    columns = _columns("split", (baseline.name for baseline in evaluated[0].baselines))
    return markdown_table(columns, ([f.split, *(f"{b.accuracy:.1%}" for b in f.baselines)] for f in evaluated))


def _columns(first: str, numbers: Iterable[str]) -> list[tuple[str, str]]:
    return [(first, LEFT), *((title, RIGHT) for title in numbers)]


def write_card(tasks: Sequence[TaskSpec], files: dict[str, dict[str, str]]) -> str:
    """The README.md of a dataset folder.

    Args:
        tasks: the tasks it holds.
        files: for each task's name, the file of each split, relative to the folder.
    """
    shown = next((task for task in tasks if task.name == DEFAULT_TASK), tasks[0])
    example = generate(shown, "test", num_rows=1).to_arrow().to_pylist()[0]
    ssum = ssum_statistics(10)
    figures = example | {
        "marker": MARKER,
        "size": "100K<n<1M" if len(tasks) > 1 else "10K<n<100K",
        "version": DATASET_VERSION,
        "operations": ", ".join(example["operations"]),
        "name": shown.name,
        "ssum": ssum_permutation(10),
        "rank_correlation": f"{ssum['rank_correlation']:.3f}",
        "parity_agreement": f"{ssum['parity_agreement']:.0%}",
        "held_out": len(held_out_multisets(10)),
        "held_out_triples": len(held_out_triples(10)),
    }
    rules = [_text(f"card_{rule}.md").substitute(figures) for rule in RULES if any(t.hold_out == rule for t in tasks)]
    sections = "\n".join(map(_task_section, tasks))
    return _text("card.md").substitute(figures, configs=_configs(files), splits="\n".join(rules), sections=sections)


def _text(name: str) -> Template:
    return Template(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _configs(files: dict[str, dict[str, str]]) -> str:
    """The part of the header that says which files make up which task."""
    configs = [
        {
            "config_name": task,
            "data_files": [{"split": split, "path": path} for split, path in of_task.items()],
            **({"default": True} if task == DEFAULT_TASK else {}),
        }
        for task, of_task in files.items()
    ]
    return yaml.safe_dump({"configs": configs}, sort_keys=False, allow_unicode=True, width=120)


def _task_section(task: TaskSpec) -> str:
    facts = measure(task)
    drawn = f"\n{_how_drawn(task)}\n\n{regime_table(facts)}\n" if task.regime else ""
    return f"""### {task.name}

{describe_task(task.name).get("description", "")}
{_symbols_text(task.symbol_set)}, {task.min_operands} to {task.max_operands} operands, depth to {task.max_depth}.
{drawn}
{split_table(facts)}

Answers:

{histogram_table(facts)}

What shortcuts reach, as answer accuracy:

{baseline_table(facts)}
"""


def _symbols_text(symbols: Symbols) -> str:
    """A symbol set in words: its operations with their laws, and what its symbols stand for."""
    if not symbols.word:
        return f"Modulus {symbols.size}"
    told = (f"{name.upper()} ({op.description or op.like}; {laws(op)})" for name, op in symbols.operations.items())
    labels = (f"{number} is {label}" for number, label in enumerate(symbols.labels))
    texts = [symbols.description, f"Operations: {', '.join(told)}.", ", ".join(labels) + "." if symbols.labels else ""]
    return " ".join(filter(None, [*texts, f"{symbols.size} symbols"]))


def _how_drawn(task: TaskSpec) -> str:
    """A regime in words, and its values that are not as everywhere."""
    own = (f"`{name}: {value}`" for name, value in find_regime(task.regime).changes().items())
    told = describe_regime(task.regime).get("description", "A regime of somebody's own.")
    return f"Regime {task.regime}. {told} Held out by {task.hold_out}. Values: {', '.join(own)}."
