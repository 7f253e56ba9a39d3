"""The claims of one paper, decided from a board and from analyses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.claims.page import claims as claims, write_claims as write_claims

__getattr__, __dir__ = lazy_names(__name__, {"page": "claims write_claims"})
