"""The tasks as Hugging Face datasets: the builder, the frozen release and its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.dataset.builder import (
        ListOpsBench as ListOpsBench,
        load as load,
        prepare as prepare,
        register as register,
    )
    from listops_bench.dataset.release import check as check, export as export

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "builder": "ListOpsBench load prepare register",
        "release": "check export",
    },
)
