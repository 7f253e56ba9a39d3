"""Many small models of one shape trained as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.train.packed._loop import PackProgress as PackProgress
    from listops_bench.train.packed._step import Engine as Engine
    from listops_bench.train.packed.run import (
        pack_key as pack_key,
        this_engine as this_engine,
        train_packed as train_packed,
        why_not as why_not,
    )

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_loop": "PackProgress",
        "_step": "Engine",
        "run": "pack_key this_engine train_packed why_not",
    },
)
