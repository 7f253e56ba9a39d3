"""The generator: seeded rows of a task's splits, as token ids and difficulty columns.

Row i of a split is drawn from a random stream of its own, keyed by (task parameters, dataset version, split, seed, i):
candidates are drawn until one belongs to the split (and, with ``unique``, is new). So rows do not depend on the number
of processes or rows asked for, and rows ``a..b`` of an endless stream can be drawn without those before. A row as ids::

    [SUM 3 [MAX 2 9 ] 4 ] = [SUM 3 9 4 ] = 6 <eos>
    |---- prompt_length ---|
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from listops_bench._base import hashing
from listops_bench._base.hashing import key64
from listops_bench._base.options import check_number
from listops_bench.errors import InvalidInput, unknown
from listops_bench.tasks import (
    _kernels as kernels,
    _scan,
    _tables,
    expression,
    operations,
    regime,
    split,
    symbols,
    task as task_module,
)
from listops_bench.tasks._scan import SCRATCH
from listops_bench.tasks._tables import task_tables
from listops_bench.tasks.expression import TRACE_STYLES, TraceStyle
from listops_bench.tasks.split import HOMES, SPLITS, home_of
from listops_bench.tasks.symbols import EQUALS_ID, vocabulary
from listops_bench.tasks.task import DATASET_VERSION, TaskSpec

BLOCK_ROWS = 65_536
"""Rows drawn in one call of the kernel: bounds the memory of a stream."""

# A slot that finds no new row in so many draws stands before an exhausted space. Rows of test_unseen_operands, the
# rarest, are one candidate in some hundreds.
_MAX_ATTEMPTS = 400_000
# A page of somebody's own may make every row nearly that rare, and drawing a split minutes. The rarest of ours are one
# candidate in 1,200 (sum_depth6, test_deeper).
_MAX_DRAWS_OF_A_ROW = 10_000
_DRAWS_OF_A_CALL = 1_000_000
"""Of the kernel, which hears no signal before it returns."""


@dataclass(frozen=True)
class Rows:
    """Rows of one split as numpy columns; n rows, A operations (in the order of the symbol set's).

    Attributes:
        task, split, first: what they are; row r is number ``first + r`` of the split.
        ids: uint8 [sum of row lengths], every row as ``prompt completion <eos>``, back to back.
        offsets: int64 [n+1], where each row begins in ``ids``.
        prompt_lengths: int32 [n], ids before the completion.
        answer, depth, decisive_depth: int32 [n].
        root_operation: int8 [n].
        reductions, unseen: int16 [n, A], operations in the expression, and those of them that are on held-out operands.
    """

    task: TaskSpec
    split: str
    first: int
    ids: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    prompt_lengths: npt.NDArray[np.int32]
    answer: npt.NDArray[np.int32]
    root_operation: npt.NDArray[np.int8]
    depth: npt.NDArray[np.int32]
    decisive_depth: npt.NDArray[np.int32]
    reductions: npt.NDArray[np.int16]
    unseen: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.answer)

    @property
    def num_tokens(self) -> npt.NDArray[np.int32]:
        """int32 [n]: ids of each row, ``<eos>`` included."""
        return np.diff(self.offsets).astype(np.int32)

    @property
    def num_operations(self) -> npt.NDArray[np.int32]:
        """int32 [n]: operations in each expression."""
        return self.reductions.sum(axis=1, dtype=np.int32)

    def row_ids(self) -> list[str]:
        """``sum/test/00017``."""
        return self._id_array().to_pylist()

    def _id_array(self) -> pa.StringArray:
        numbers = pa.array(np.arange(self.first, self.first + len(self))).cast(pa.string())
        return pc.binary_join_element_wise(f"{self.task.name}/{self.split}", pc.utf8_lpad(numbers, 5, padding="0"), "/")

    def prompts(self) -> list[str]:
        """``"[SUM 3 [MAX 2 9 ] 4 ] ="``."""
        return self._texts()[0].to_pylist()

    def completions(self) -> list[str]:
        """``" [SUM 3 9 4 ] = 6"``."""
        return self._texts()[1].to_pylist()

    def _texts(self) -> tuple[pa.StringArray, pa.StringArray]:
        """All prompts and all completions."""
        words = pa.array(vocabulary(self.task.symbol_set)).take(pa.array(self.ids))
        # Three parts a row: prompt, completion, <eos>.
        starts = self.offsets[:-1]
        cuts = np.stack([starts, starts + self.prompt_lengths, self.offsets[1:] - 1], axis=1)
        parts = pa.ListArray.from_arrays(np.append(cuts, len(self.ids)).astype(np.int32), words)
        texts = pc.binary_join(parts, " ")
        return texts[::3], pc.binary_join_element_wise("", texts[1::3], " ")

    def forms(self) -> npt.NDArray[np.uint64]:
        """uint64 [n]: hash of each prompt's canonical form, as its rule's (`split.Rule`) ``form_hash``."""
        starts = self.offsets[:-1]
        return self._hash_forms(starts, starts + self.prompt_lengths - 1)

    def trace_forms(self) -> npt.NDArray[np.uint64]:
        """Hashes of the canonical forms of all lines of all completions, but for their last ones (numbers)."""
        ends = np.flatnonzero(self.ids == EQUALS_ID)
        line_starts = ends + 1
        is_line = self.ids[line_starts] < self.task.symbol_set.first_number_id
        line_ends = np.append(ends[1:], len(self.ids))
        return self._hash_forms(line_starts[is_line], line_ends[is_line])

    def _hash_forms(self, starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        forms = np.zeros(len(starts), np.uint64)
        kernels.hash_forms(task_tables(self.task), np.zeros(1, SCRATCH)[0], self.ids, starts, stops, forms)
        return forms

    def to_arrow(self) -> pa.RecordBatch:
        """The rows with the columns of the published dataset."""
        prompts, completions = self._texts()
        names = pa.array(list(self.task.symbol_set.operations))
        columns = {
            "id": self._id_array(),
            "prompt": prompts,
            "completion": completions,
            "answer": pa.array(self.answer),
            "root_operation": names.take(pa.array(self.root_operation)),
            "operations": _name_lists(names, self.reductions > 0),
            "depth": pa.array(self.depth),
            "num_operations": pa.array(self.num_operations),
            "num_tokens": pa.array(self.num_tokens),
            "decisive_depth": pa.array(self.decisive_depth),
            "unseen_operations": _name_lists(names, self.unseen > 0),
        }
        return pa.RecordBatch.from_pydict(columns)


# --- drawing ----------------------------------------------------------------------------------------------------------


def generate(
    task: TaskSpec,
    split: str,
    *,
    seed: int = 0,
    num_rows: int | None = None,
    trace: TraceStyle | None = None,
    start: int = 0,
) -> Rows:
    """Rows ``start .. num_rows`` of a split (all of them by default).

    Args:
        seed: of the train split; the evaluation splits belong to the dataset version and ignore it.
        num_rows: rows of the split instead of the task's; the first rows are the same whatever their number.
        trace: style of the completions instead of the task's.

    Raises:
        InvalidInput: unknown split, or more distinct rows than the split's space holds.
    """
    stop = task.num_rows(split) if num_rows is None else num_rows
    return next(generate_blocks(task, split, seed=seed, start=start, stop=stop, trace=trace, block_rows=stop))


def generate_blocks(
    task: TaskSpec,
    split: str,
    *,
    seed: int = 0,
    start: int = 0,
    stop: int | None = None,
    trace: TraceStyle | None = None,
    block_rows: int = BLOCK_ROWS,
) -> Iterator[Rows]:
    """`generate`, in blocks of up to ``block_rows``; without ``stop`` (and with ``unique=False``) an endless stream."""
    check_number("seed", seed, -(2**63))
    check_number("start", start, 0)
    if stop is not None:
        check_number("num_rows", stop)
    draw = _Draw(task, split, seed, trace)
    if stop is None and draw.unique:
        raise InvalidInput("an endless stream of train rows needs unique=False")
    if stop is not None and stop <= start:
        raise InvalidInput(f"rows {start}..{stop} of a split are none; ask for at least 1")
    return draw.blocks(start, stop, block_rows)


def generator_sources() -> tuple[ModuleType, ...]:
    """The modules that decide the rows: their source is part of the name of a cache of rows."""
    return (
        hashing,
        operations,
        symbols,
        expression,
        regime,
        task_module,
        split,
        _scan,
        kernels,
        _tables,
        sys.modules[__name__],
    )


def count_outcomes(task: TaskSpec, split: str, *, seed: int = 0, num_rows: int | None = None) -> dict[str, int]:
    """How many candidates a split's draw accepted, and how many it rejected for which reason."""
    draw = _Draw(task, split, seed, None)
    for _ in draw.blocks(0, task.num_rows(split) if num_rows is None else num_rows, BLOCK_ROWS):
        pass
    return dict(zip(kernels.OUTCOMES, draw.outcomes.tolist(), strict=True))


class _Draw:
    """The state of drawing one split from slot to slot: the rows seen so far, and the exhausted depth classes."""

    def __init__(self, task: TaskSpec, split: str, seed: int, trace: TraceStyle | None) -> None:
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        style = task.trace if trace is None else trace
        if style not in TRACE_STYLES:
            raise unknown("trace style", style, TRACE_STYLES)
        self.task, self.split = task, split
        self.unique = task.unique or split != "train"
        self.style = TRACE_STYLES.index(style)
        drawn_with = seed if split == "train" else "frozen"
        self.key = key64(f"listops_bench/{DATASET_VERSION}/{task.fingerprint()}/{split}/{drawn_with}")
        self.tables = task_tables(task, wider=split == "test_wider")
        self.scratch = np.zeros(1, SCRATCH)[0]
        self.cutoffs, self.depths = _depth_classes(task, split)
        self.closed = np.zeros(len(self.depths), np.bool_)
        self.seen = np.zeros(2, np.uint64)
        self.outcomes = np.zeros(len(kernels.OUTCOMES), np.int64)

    def blocks(self, start: int, stop: int | None, block_rows: int) -> Iterator[Rows]:
        """The rows ``start .. stop``. Unique ones are drawn from 0 on, since the rows before decide what is new."""
        if self.unique and stop is not None:
            self.seen = np.zeros(1 << (2 * stop).bit_length(), np.uint64)
        slot = 0 if self.unique else start
        while stop is None or slot < stop:
            end = slot + block_rows if stop is None else min(slot + block_rows, stop)
            rows = self._block(slot, end, first=min(max(slot, start), end))
            if len(rows):
                yield rows
            slot = end

    def _block(self, slot: int, stop: int, first: int) -> Rows:
        """Fills the slots ``slot .. stop``; returns their rows from ``first`` on."""
        rows = np.zeros(stop - first, kernels.ROW)
        reductions, unseen = np.zeros((2, stop - first, len(self.task.symbol_set.operations)), np.int16)
        ids = np.empty(len(rows) * self.task.max_tokens + 8, np.uint8)
        offsets = np.zeros(len(rows) + 1, np.int64)
        while slot < stop:
            of_a_row = int(self.outcomes.sum()) // max(slot, 1) + 1
            end = min(max(1, 2 * slot), slot + max(1, _DRAWS_OF_A_CALL // of_a_row), stop)
            slot, exhausted = kernels.fill(
                self.tables, self.scratch, np.uint64(self.key), slot, end, first, self.cutoffs, self.depths,
                self.closed, HOMES.index(home_of(self.split)), self.split == "test_wider", self.style, _MAX_ATTEMPTS,
                self.unique, self.seen, self.outcomes, ids, offsets, rows, reductions, unseen,
            )  # fmt: skip
            if slot < end:
                self._close(exhausted, slot)
            elif self.outcomes.sum() > _MAX_DRAWS_OF_A_ROW * slot + _MAX_ATTEMPTS * (1 + len(self.depths)):
                raise InvalidInput(
                    f"rows of split {self.split!r} of {self.task.name!r} are too rare: fewer than one in "
                    f"{_MAX_DRAWS_OF_A_ROW:,} candidates"
                )
        columns = {name: np.ascontiguousarray(rows[name]) for name in kernels.ROW.names or ()}
        columns |= {"reductions": reductions, "unseen": unseen}
        return Rows(self.task, self.split, first, ids[: offsets[-1]].copy(), offsets, **columns)

    def _close(self, exhausted: int, slot: int) -> None:
        """An evaluation split takes its remaining rows from the other depths; train says what it cannot have.

        Small symbol sets have fewer facts than the usual share of depth 1 asks for: train has all of them then.
        """
        if self.split != "train" or (self.task.symbols and int(self.depths[exhausted, 1]) == 1):
            self.closed[exhausted] = True
            if not self.closed.all():
                return
        low, high = (int(d) for d in self.depths[exhausted])
        depths = f"depth {low}" if low == high else f"depth {low} to {high}"
        space = num_expressions(self.task, int(self.depths[:, 1].max()), wider=self.split == "test_wider")
        space_text = f"{space:,}" if space < 10**15 else f"10^{int(space.bit_length() * math.log10(2))}"
        hint = f"ask for at most {slot:,} rows" if slot else "change the task's parameters"
        if self.split == "train":
            hint += ", lower the depth's weight, or set unique=False"
        raise InvalidInput(
            f"split {self.split!r} of {self.task.name!r} has too few distinct rows of {depths}: of the {space_text}"
            f" distinct expressions of the task, {_MAX_ATTEMPTS:,} draws in a row gave no new one after row {slot:,};"
            f" {hint}"
        )


def _depth_classes(task: TaskSpec, split: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Depth classes of a split: (where 53 random bits pass to the next [C], shallowest and deepest depth [C, 2])."""
    if split == "test_deeper":
        return np.array([2**53]), np.array([[task.max_depth + 1] * 2])
    weights = list(task.depth_weights[: task.max_depth])
    depths = [[d + 1, d + 1] for d in range(len(weights))]
    depths[-1][1] = task.max_depth if len(task.depth_weights) <= task.max_depth else len(weights)
    if split not in ("train", "test_unseen_operands") and len(weights) > 1:
        # Expressions of depth 1 are facts, which are for learning; what is asked here is composition.
        weights, depths = weights[1:], depths[1:]
    if sum(weights) == 0:
        weights[-1] = 1.0
    shares = np.cumsum(weights) / sum(weights)
    return (shares * 2**53).astype(np.int64), np.array(depths, np.int64)


def num_expressions(task: TaskSpec, max_depth: int | None = None, *, wider: bool = False) -> int:
    """Distinct expressions (by text) of depth 1 to ``max_depth`` that a task can form, all splits together."""
    total = 0
    for _ in range(task.max_depth if max_depth is None else max_depth):
        operand = task.modulus + total
        total = sum(operand**k for name in task.operations for k in task.operand_counts(name, wider=wider))
    return total


# --- columns and checksums --------------------------------------------------------------------------------------------


def _name_lists(names: pa.StringArray, present: npt.NDArray[np.bool_]) -> Any:
    """A list column with the names of the operations that are present, [n, A] -> n lists."""
    offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(np.nonzero(present)[1])))


def rows_checksum(rows: Rows) -> str:
    """sha256 over the canonical serialisation of rows: one line each, all columns, tab-separated, lists by comma."""
    return columns_checksum(rows.to_arrow().to_pydict())


def columns_checksum(columns: dict[str, list[Any]]) -> str:
    """`rows_checksum` of rows that come from elsewhere, such as a file."""
    digest = hashlib.sha256()
    for values in zip(*columns.values(), strict=True):
        line = "\t".join(",".join(v) if isinstance(v, list) else str(v) for v in values)
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
