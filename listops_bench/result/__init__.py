"""Result files: one model on one task, with everything needed to read, doubt and repeat the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.result.checks import validate as validate
    from listops_bench.result.files import (
        find_results as find_results,
        read_result as read_result,
        read_results as read_results,
        result_path as result_path,
        write_result as write_result,
    )
    from listops_bench.result.format import Result as Result, json_schema as json_schema
    from listops_bench.result.learned import LEARNED as LEARNED, learned as learned
    from listops_bench.result.verified import Verification as Verification, read_verified as read_verified

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "learned": "LEARNED learned",
        "format": "Result json_schema",
        "verified": "Verification read_verified",
        "files": "find_results read_result read_results result_path write_result",
        "checks": "validate",
    },
)
