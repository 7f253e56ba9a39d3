"""Dataset folders: parquet files, card and checksums, loadable by path and ready for the Hub.

    FOLDER/README.md                    card; its YAML names the files, so load_dataset("FOLDER", "sum") works
    FOLDER/eval.yaml                    how harnesses evaluate on it
    FOLDER/data/checksums.tsv           task, split, rows, sha256 over the rows
    FOLDER/data/sum/train.parquet       one file a split

The frozen release of the flagship tasks is such a folder, laid into the package itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from listops_bench._base.files import check_can_write, read_bytes, write_atomic
from listops_bench.dataset.card import MARKER, write_card
from listops_bench.errors import InvalidInput
from listops_bench.tasks.generator import columns_checksum, generate
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.task import DATASET_VERSION, TaskSpec, get_task

FLAGSHIP = (
    *("sum", "prod", "nadd", "ssum", "max", "min", "med"),
    *("max_med", "sum_max", "sum_med", "sum_max_med", "ssum_max_med"),
)
"""The tasks of the frozen release."""

CHECKSUMS = Path("data") / "checksums.tsv"
_CHECKSUM_HEADER = "task\tsplit\trows\tsha256"


@dataclass(frozen=True)
class Checksum:
    """One line of the checksum table: the sha256 is over the rows, not over the bytes of the file."""

    task: str
    split: str
    rows: int
    sha256: str

    @property
    def path(self) -> Path:
        return Path("data") / self.task / f"{self.split}.parquet"


def export(
    folder: str | Path,
    tasks: Iterable[str | TaskSpec] = FLAGSHIP,
    *,
    on_file: Callable[[Path], None] | None = None,
) -> list[Checksum]:
    """Writes a dataset folder, file by file and each atomically; ``on_file`` is told of every one.

    Raises:
        InvalidInput: an unknown task, or a folder that holds another README.
    """
    folder = Path(folder)
    specs = [get_task(task) if isinstance(task, str) else task for task in tasks]
    card = folder / "README.md"
    if card.exists() and MARKER not in card.read_text(encoding="utf-8", errors="replace"):
        raise InvalidInput(f"folder '{folder}' holds a README.md that is no card of ours; name a new folder")
    check_can_write(folder)
    checksums = []
    for task in specs:
        for split in SPLITS:
            table = pa.Table.from_batches([generate(task, split).to_arrow()])
            line = Checksum(task.name, split, len(table), columns_checksum(table.to_pydict()))
            write_atomic(folder / line.path, _parquet(table))
            checksums.append(line)
            if on_file:
                on_file(folder / line.path)
    rows = "\n".join(f"{c.task}\t{c.split}\t{c.rows}\t{c.sha256}" for c in checksums)
    write_atomic(folder / CHECKSUMS, f"# dataset version {DATASET_VERSION}\n{_CHECKSUM_HEADER}\n{rows}\n")
    write_atomic(folder / "eval.yaml", _eval_yaml(specs))
    files = {task.name: {c.split: c.path.as_posix() for c in checksums if c.task == task.name} for task in specs}
    write_atomic(card, write_card(specs, files))
    return checksums


def read_checksums(folder: str | Path) -> list[Checksum]:
    """The checksum table of a dataset folder."""
    path = Path(folder) / CHECKSUMS
    try:
        lines = read_bytes(path).decode().splitlines()[2:]
        found = [Checksum(t, s, int(n), h) for t, s, n, h in (line.split("\t") for line in lines)]
        for line in found:
            if line.split not in SPLITS or not re.fullmatch(r"\w+", line.task, re.ASCII):
                raise ValueError(f"{line.task!r}, {line.split!r} is no split of a task")
        return found
    except ValueError as error:
        raise InvalidInput(f"checksum table '{path}' cannot be read ({error}); {_mend(folder)}") from error


def check(folder: str | Path, *, splits: Sequence[str] = SPLITS) -> Iterator[Checksum]:
    """Compares every file with the checksum table and yields the lines that hold.

    Raises:
        InvalidInput: names the first file that is missing, unreadable or altered, and the command that mends it.
    """
    lines = read_checksums(folder)
    mend = _mend(folder, list(dict.fromkeys(line.task for line in lines)))
    for line in lines:
        if line.split not in splits:
            continue
        path = Path(folder) / line.path
        try:
            holds = columns_checksum(pq.read_table(path).to_pydict()) == line.sha256
        except (OSError, pa.ArrowException, LookupError, TypeError) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            raise InvalidInput(f"frozen file '{path}' {reason}; {mend}") from error
        if not holds:
            raise InvalidInput(f"frozen file '{path}' does not hold the rows of its checksum; {mend}")
        yield line


def _mend(folder: str | Path, tasks: Sequence[str] = FLAGSHIP) -> str:
    chosen = "" if set(tasks) == set(FLAGSHIP) else f" --task {' '.join(tasks)}"
    return f"`listops-bench export {folder}{chosen}` writes it anew"


def _parquet(table: pa.Table) -> bytes:
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd", compression_level=19)
    return bytes(content.getvalue())


def _eval_yaml(tasks: Sequence[TaskSpec]) -> str:
    """The Hub's description of a benchmark (docs/hub/eval-results)."""
    page = yaml.safe_load(Path(__file__).with_name("eval.yaml").read_text(encoding="utf-8"))
    page["tasks"] = [{"id": task.name, "config": task.name, "split": "test"} | page["tasks"] for task in tasks]
    return yaml.safe_dump(page, sort_keys=False, width=120)
