"""The tasks as Hugging Face datasets: the builder, the frozen release and its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.dataset.builder import ListOpsBench as ListOpsBench
    from listops_bench.dataset.builder import load as load
    from listops_bench.dataset.builder import prepare as prepare
    from listops_bench.dataset.builder import register as register
    from listops_bench.dataset.release import check as check
    from listops_bench.dataset.release import export as export

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ListOpsBench": "builder",
        "check": "release",
        "export": "release",
        "load": "builder",
        "prepare": "builder",
        "register": "builder",
    },
)
