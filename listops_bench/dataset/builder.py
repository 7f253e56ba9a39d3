"""The tasks as Hugging Face datasets.

>>> import listops_bench
>>> from datasets import load_dataset
>>> load_dataset("listops_bench", "sum_max_med", modulus=20, seed=1)  # doctest: +SKIP
DatasetDict({train: 50000 rows, validation: 1000, test: 5000, test_unseen_operands: 2000, ...})

Every parameter of `TaskSpec` is a keyword argument. `load` does the same without the name hook. One row::

    id                  sum_max_med/test/00017
    prompt              [SUM 3 [MAX 2 9 ] 4 ] =
    completion           [SUM 3 9 4 ] = 6
    answer              6              depth            2          num_tokens      15
    root_operation      sum            num_operations   2          decisive_depth  2
    operations          [sum, max]     unseen_operations  []
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
import datasets.load
import pyarrow as pa
from datasets.builder import Key

from listops_bench._base import import_hook
from listops_bench.errors import EnvironmentFailed, InvalidInput, file_error, system_error, unknown
from listops_bench.tasks.generator import generate_blocks, generator_sources
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.task import DATASET_VERSION, PARAMETERS, TaskSpec, curated_tasks, describe_task, get_task

NAME = "listops_bench"
_VERSION = datasets.Version(DATASET_VERSION)
_SHARD_ROWS = 10_000
_TEXT, _INT = datasets.Value("string"), datasets.Value("int32")

FEATURES = datasets.Features(
    {
        "id": _TEXT,
        "prompt": _TEXT,
        "completion": _TEXT,
        "answer": _INT,
        "root_operation": _TEXT,
        "operations": datasets.List(_TEXT),
        "depth": _INT,
        "num_operations": _INT,
        "num_tokens": _INT,
        "decisive_depth": _INT,
        "unseen_operations": datasets.List(_TEXT),
    }
)


@dataclass
class ListOpsConfig(datasets.BuilderConfig):
    """A task and the seed of its train split."""

    task: TaskSpec = dataclasses.field(default_factory=lambda: get_task("sum"))
    seed: int = 0

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Any = None) -> str:
        """The cache folder's name: the same however a task was asked for.

        datasets would make another cache for a parameter that was spelled out at its default, or in the name.
        """
        named = get_task(self.task.name)
        values = ((name, getattr(self.task, name)) for name in PARAMETERS)
        changed = {name: value for name, value in values if value != getattr(named, name)}
        if self.seed:
            changed["seed"] = self.seed
        if custom_features is not None:
            changed["features"] = repr(custom_features)
        if not changed:
            return self.task.name
        text = json.dumps(changed, sort_keys=True)
        return f"{self.task.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def make_config(name: str | None, **parameters: Any) -> ListOpsConfig:
    """The configuration of a task's name and parameters.

    Raises:
        InvalidInput: unknown task or parameter (near name given), a value out of range.
    """
    if name is None:
        raise InvalidInput(f"name a task, for example load_dataset({NAME!r}, 'sum_max_med')")
    seed = parameters.pop("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InvalidInput(f"seed {seed!r} is not a whole number, such as 0")
    for parameter in parameters:
        if parameter not in PARAMETERS:
            raise unknown("parameter", parameter, [*PARAMETERS, "seed"])
    spec = get_task(name, **{k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()})
    return ListOpsConfig(
        name=spec.name, version=_VERSION, description=describe_task(spec.name).get("description"), task=spec, seed=seed
    )


class ListOpsBench(datasets.ArrowBasedBuilder):
    """Generates a task's splits; no file is read and nothing is downloaded."""

    VERSION = _VERSION
    BUILDER_CONFIG_CLASS = ListOpsConfig
    BUILDER_CONFIGS = [make_config(name) for name in curated_tasks()]
    config: ListOpsConfig

    def _create_builder_config(
        self,
        config_name: str | None = None,
        custom_features: Any = None,
        config_id: str | None = None,
        **parameters: Any,
    ) -> tuple[ListOpsConfig, str]:
        # datasets' own version takes listed configurations only, where any subset of the operations is a task.
        config = make_config(config_name, **parameters)
        return config, config_id or config.create_config_id({}, custom_features)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description=self.config.description, features=FEATURES, license="apache-2.0")

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        endless = dl_manager.is_streaming and not self.config.task.unique
        return [
            datasets.SplitGenerator(
                name=name,
                gen_kwargs={
                    "split": name,
                    "shards": _shards(self.config.task.num_rows(name), endless and name == "train"),
                },
            )
            for name in SPLITS
        ]

    def _generate_tables(self, split: str, shards: list[tuple[int, int | None]]) -> Iterator[tuple[Key, pa.Table]]:
        # The shards of one process follow each other, so they are drawn in one go.
        start, stop = shards[0][0], shards[-1][1]
        blocks = generate_blocks(
            self.config.task, split, seed=self.config.seed, start=start, stop=stop, block_rows=_SHARD_ROWS
        )
        for number, block in enumerate(blocks):
            yield Key(start, number), pa.Table.from_batches([block.to_arrow()])

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """As in `datasets`, but a user's error is raised as it is, and one of the disk names what to do.

        Raises:
            InvalidInput: parameters that fit no task.
            EnvironmentFailed: the cache cannot be written.
        """
        try:
            super().download_and_prepare(*args, **kwargs)
        except OSError as error:
            raise _no_cache(error) from None
        except datasets.exceptions.DatasetGenerationError as error:
            if isinstance(error.__cause__, InvalidInput):
                raise error.__cause__ from None
            if (found := system_error(error)) is not None:
                raise file_error("write", self.cache_dir, found) from None
            raise


def _no_cache(error: OSError) -> EnvironmentFailed:
    return EnvironmentFailed(f"the cache of datasets cannot be written ({error}); HF_HOME names another folder for it")


def _shards(num_rows: int, endless: bool) -> list[tuple[int, int | None]]:
    # A list, since datasets hands each of its processes a part of the lists it finds here.
    if endless:
        return [(0, None)]
    return [(a, min(a + _SHARD_ROWS, num_rows)) for a in range(0, num_rows, _SHARD_ROWS)]


@lru_cache
def source_hash() -> str:
    """Hash of all source that decides the rows: part of the cache's path, so that no stale cache is served."""
    modules = (*generator_sources(), sys.modules[__name__])
    return hashlib.sha256("".join(map(inspect.getsource, modules)).encode()).hexdigest()[:16]


def _builder(name: str, cache_dir: str | Path | None, parameters: dict[str, Any]) -> ListOpsBench:
    """The builder that ``load_dataset`` would make."""
    where = cache_dir and str(cache_dir)
    try:
        return ListOpsBench(config_name=name, cache_dir=where, dataset_name=NAME, hash=source_hash(), **parameters)
    except OSError as error:  # datasets makes its folder here
        raise _no_cache(error) from None


def load(
    name: str,
    split: str | None = None,
    *,
    streaming: bool = False,
    num_proc: int | None = None,
    cache_dir: str | Path | None = None,
    **parameters: Any,
) -> Any:
    """``load_dataset("listops_bench", name, ...)`` without the name hook.

    Args:
        name: a task, see `get_task`.
        split: one split, with datasets' slicing (``"test[:100]"``), or all of them.
        streaming: an IterableDataset; with ``unique=False`` the train split never ends.
        num_proc: processes that prepare the cache; the rows do not depend on it.
        parameters: any of `TaskSpec`, and ``seed``.
    """
    builder = _builder(name, cache_dir, parameters)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split)


def prepare(name: str, *, num_proc: int | None = None, cache_dir: str | Path | None = None, **parameters: Any) -> Path:
    """Generates a task into datasets' cache, so that loading it later takes no time; returns the cache folder."""
    builder = _builder(name, cache_dir, parameters)
    builder.download_and_prepare(num_proc=num_proc)
    return Path(builder.cache_dir)


def register() -> None:
    """Makes ``load_dataset("listops_bench", ...)`` find `ListOpsBench`, from any directory.

    `datasets` has no entry point for builders, so the function that resolves names is wrapped, in the two modules that
    hold it. All other names pass through.
    """
    original = getattr(datasets.load, "dataset_module_factory", None)
    if original is None or not hasattr(datasets.load, "DatasetModule"):
        warnings.warn(
            f"datasets {datasets.__version__} resolves names in a way that listops_bench does not know;"
            f" use listops_bench.load(...) instead of load_dataset({NAME!r}, ...)",
            RuntimeWarning,
            stacklevel=2,
        )
        return
    if getattr(original, "_knows_listops_bench", False):
        return

    @functools.wraps(original)
    def factory(path: str, *args: Any, **kwargs: Any) -> Any:
        if path == NAME:
            return datasets.load.DatasetModule(__name__, source_hash(), {"dataset_name": NAME})
        return original(path, *args, **kwargs)

    factory._knows_listops_bench = True  # type: ignore[attr-defined]
    for module_name in ("datasets.load", "datasets.inspect"):
        module = sys.modules.get(module_name)
        if getattr(module, "dataset_module_factory", None) is original:
            setattr(module, "dataset_module_factory", factory)  # noqa: B010 - no attribute mypy knows of


if import_hook.enabled():
    register()
