"""The way to the Hugging Face Hub: publish checkpoints and data, submit results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.hub.client import push as push
    from listops_bench.hub.submission import submit as submit

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "client": "push",
        "submission": "submit",
    },
)
