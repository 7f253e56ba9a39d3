"""The dataset card: what a stranger needs to load, cite and trust the data, with its measured table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import yaml

from listops_bench.tasks.baselines import Baseline, score_shortcuts
from listops_bench.tasks.expression import OPERATIONS, ssum_permutation, ssum_statistics
from listops_bench.tasks.generator import Rows, count_outcomes, generate
from listops_bench.tasks.split import SPLITS, held_out_multisets
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
        histogram: rows per answer.
        too_long: share of drawn candidates rejected for their length.
    """

    split: str
    rows: int
    distinct_problems: int
    in_train: int
    histogram: npt.NDArray[np.int64]
    mean_tokens: float
    longest: int
    too_long: float
    baselines: list[Baseline]


def measure(task: TaskSpec, *, seed: int = 0) -> list[SplitFacts]:
    """Generates all splits of a task and measures what the card states."""
    train = generate(task, "train", seed=seed)
    seen = np.unique(np.concatenate([train.forms(), train.trace_forms()]))
    return [_facts(task, train, seen, split, seed) for split in SPLITS]


def _facts(task: TaskSpec, train: Rows, seen: npt.NDArray[np.uint64], split: str, seed: int) -> SplitFacts:
    rows = train if split == "train" else generate(task, split)
    forms = rows.forms()
    drawn = count_outcomes(task, split, seed=seed)
    return SplitFacts(
        split=split,
        rows=len(rows),
        distinct_problems=len(np.unique(forms)),
        in_train=int(np.isin(forms, seen).sum()),
        histogram=np.bincount(rows.answer, minlength=task.modulus),
        mean_tokens=float(rows.num_tokens.mean()),
        longest=int(rows.num_tokens.max()),
        too_long=drawn["too_long"] / sum(drawn.values()),
        baselines=[] if split == "train" else score_shortcuts(train, rows),
    )


def split_table(facts: Sequence[SplitFacts]) -> str:
    """Markdown: sizes, distinct problems, overlap, answers and lengths of each split."""
    lines = [
        "| split | rows | distinct problems | rows in train | commonest answer | mean tokens (longest) | too long |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for f in facts:
        share, answer = f.histogram.max() / f.rows, int(f.histogram.argmax())
        overlap = "" if f.split == "train" else str(f.in_train)
        lines.append(
            f"| {f.split} | {f.rows:,} | {f.distinct_problems:,} | {overlap} | {answer} ({share:.1%}) |"
            f" {f.mean_tokens:.1f} ({f.longest}) | {f.too_long:.2%} |"
        )
    return "\n".join(lines)


def histogram_table(facts: Sequence[SplitFacts]) -> str:
    """Markdown: share of each answer in each split."""
    answers = range(len(facts[0].histogram))
    lines = ["| answer | " + " | ".join(map(str, answers)) + " |", "|---|" + "---:|" * len(answers)]
    lines += [f"| {f.split} | " + " | ".join(f"{n / f.rows:.1%}" for n in f.histogram) + " |" for f in facts]
    return "\n".join(lines)


def baseline_table(facts: Sequence[SplitFacts]) -> str:
    """Markdown: answer accuracy of each shortcut on each evaluation split."""
    evaluated = [f for f in facts if f.baselines]
    names = [baseline.name for baseline in evaluated[0].baselines]
    lines = ["| split | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    lines += [f"| {f.split} | " + " | ".join(f"{b.accuracy:.1%}" for b in f.baselines) + " |" for f in evaluated]
    return "\n".join(lines)


def write_card(tasks: Sequence[TaskSpec], files: dict[str, dict[str, str]]) -> str:
    """The README.md of a dataset folder.

    Args:
        tasks: the tasks it holds.
        files: for each task's name, the file of each split, relative to the folder.
    """
    header = yaml.safe_dump(_header(tasks, files), sort_keys=False, allow_unicode=True, width=120)
    sections = "\n".join(_task_section(task) for task in tasks)
    return f"---\n{header}---\n{MARKER}\n\n{_PAGE.format(**_figures(tasks))}\n{sections}\n{_CITATION}"


def _header(tasks: Sequence[TaskSpec], files: dict[str, dict[str, str]]) -> dict[str, object]:
    return {
        "license": "apache-2.0",
        "pretty_name": "listops_bench",
        "language": ["en"],
        "task_categories": ["text-generation"],
        "tags": ["listops", "reasoning", "synthetic", "curriculum-learning", "benchmark"],
        "size_categories": ["100K<n<1M"] if len(tasks) > 1 else ["10K<n<100K"],
        "configs": [
            {
                "config_name": task.name,
                "data_files": [{"split": split, "path": path} for split, path in files[task.name].items()],
                **({"default": True} if task.name == DEFAULT_TASK else {}),
            }
            for task in tasks
        ],
    }


def _figures(tasks: Sequence[TaskSpec]) -> dict[str, object]:
    shown = next((task for task in tasks if task.name == DEFAULT_TASK), tasks[0])
    example = generate(shown, "test", num_rows=1)
    statistics = ssum_statistics(10)
    return {
        "version": DATASET_VERSION,
        "prompt": example.prompts()[0],
        "completion": example.completions()[0],
        "answer": example.answer[0],
        "id": example.row_ids()[0],
        "depth": example.depth[0],
        "num_tokens": example.num_tokens[0],
        "decisive": example.decisive_depth[0],
        "root": list(OPERATIONS)[example.root_operation[0]],
        "operations": ", ".join(name for name, n in zip(OPERATIONS, example.reductions[0], strict=True) if n),
        "num_operations": example.num_operations[0],
        "name": shown.name,
        "ssum": ssum_permutation(10),
        "rank_correlation": statistics["rank_correlation"],
        "parity_agreement": statistics["parity_agreement"],
        "held_out": len(held_out_multisets(10)),
    }


def _task_section(task: TaskSpec) -> str:
    facts = measure(task)
    return "\n".join(
        [
            f"### {task.name}",
            "",
            describe_task(task.name).get("description", ""),
            f"Modulus {task.modulus}, {task.min_operands} to {task.max_operands} operands, depth to {task.max_depth}.",
            "",
            split_table(facts),
            "",
            "Answers:",
            "",
            histogram_table(facts),
            "",
            "What shortcuts reach, as answer accuracy:",
            "",
            baseline_table(facts),
            "",
        ]
    )


_PAGE = """# listops_bench: ListOps tasks of graded difficulty

Nested operations on small numbers, with the step-by-step trace that leads to the answer: which curriculum lets how
small a model learn which task? Version {version} of the data. Everything is generated by the `listops-bench` package,
seeded and row for row the same on every machine; these files are its frozen release.

```python
from datasets import load_dataset
rows = load_dataset("listops_bench", "{name}")  # after `import listops_bench`, or from these files
rows = load_dataset("listops_bench", "{name}", modulus=20, seed=1)  # any parameter (needs the package)
```

## A row

| column | example | meaning |
|---|---|---|
| id | `{id}` | task, split, number |
| prompt | `{prompt}` | what a model is given |
| completion | `{completion}` | what it should answer, reduced line by line (below) |
| answer | {answer} | that number |
| root_operation | {root} | the outermost operation |
| operations | [{operations}] | all operations |
| depth, num_operations | {depth}, {num_operations} | nesting; operations in the expression |
| decisive_depth | {decisive} | the answer is the same whatever stands deeper than this |
| num_tokens | {num_tokens} | tokens of prompt and completion, with `<eos>` |
| unseen_operations | [] | operations evaluated on held-out operands (see below) |

Each line of a completion is the whole expression with all innermost operations replaced by their values, until a number
stands alone. Tokens are separated by one space; every number and every `[SUM` is one token.

Operations: MAX, MIN; MED, the middle operand of an odd number of operands; SUM, PROD, NADD (a - b + c - ...) modulo n;
SSUM, a control: SUM under one pinned renaming of the numbers. Modulo 10 it is {ssum},
with rank correlation {rank_correlation:.3f} and parity agreement {parity_agreement:.0%} with the numbers.

## Splits, and what each of them measures

A split is a property of the expression, not of the sampling: of two expressions that are the same up to operand order
or associativity (of one *canonical form*), never does one stand in train and the other in an evaluation split, nor one
in `validation`, `test` or `test_unseen_operands` and the other in another of these: whatever the task of the same
modulus, the seed or the number of rows.

- `train`: the facts (one operation on two or three numbers) that are not held out, and 76% of the other canonical
  forms. No line of a train row's trace, in either style, has a form of another split.
- `validation`, `test`: other forms, of depth 2 and more. `test` measures **composition over seen facts**.
- `test_unseen_operands`: a tenth of all multisets of three operands ({held_out} of 220 modulo 10, the same for all
  operations) is evaluated nowhere in train. Each row evaluates an operation on one of them: this asks whether **the
  operation itself** was learned or a table of it. Score it at the held-out step and per operation, and cluster
  intervals by multiset, since these are few.
- `test_deeper`, `test_wider`: one level deeper, or one operand more (MED: two), than the task, with the homes of
  `test`.

1.5% of the train rows have depth 1, in single and joint tasks alike. No row stands twice in a split. The seed moves
train only.

In the tables below, *distinct problems* are canonical forms; *rows in train* are those whose canonical form stands in
train (seed 0), traces included; *too long* is the share of drawn candidates that were rejected for their length.
`data/checksums.tsv` holds a sha256 over the rows of every split; `listops-bench export DIR --check` compares.

## What to know before using it

- Where a single associative operation is nested in itself (`sum`, `max`, `prod` ...), the nesting flattens: the
  operation applied to all leaves is right by construction. Depth is no difficulty there; the operation is. NADD and MED
  do not flatten.
- Answers are not uniform: see the histograms, and read every accuracy beside that of the shortcuts, fitted on train:
  the most frequent answer (*majority*), that of the root operation (*root_operation*), the root operation on its number
  operands only (*ignore_subtrees*), the most frequent answer for the same root and numbers in any order
  (*bag_of_operands*), and the root operation on all numbers (*root_on_leaves*).
- Rows longer than 128 tokens in the longest trace style are not drawn, so deep rows are the smaller of their depth.
- Synthetic: no personal data, no licence but this one.

## Tasks
"""

_CITATION = """## Citation

```bibtex
@software{listops_bench,
  title  = {listops_bench: which curriculum lets how small a model learn which task?},
  author = {{The listops_bench contributors}},
  year   = {2026}
}
```

The notation is that of ListOps (Nangia and Bowman, 2018, arXiv:1804.06028); the question is that of "Small Models,
Smarter Learning: The Power of Joint Task Training" (arXiv:2505.18369).
"""
