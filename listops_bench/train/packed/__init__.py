"""Many small models of one shape trained as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.train.packed._loop import Engine as Engine
    from listops_bench.train.packed._loop import PackProgress as PackProgress
    from listops_bench.train.packed.run import pack_key as pack_key
    from listops_bench.train.packed.run import this_engine as this_engine
    from listops_bench.train.packed.run import train_packed as train_packed
    from listops_bench.train.packed.run import why_not as why_not

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Engine": "_loop",
        "PackProgress": "_loop",
        "pack_key": "run",
        "this_engine": "run",
        "train_packed": "run",
        "why_not": "run",
    },
)
