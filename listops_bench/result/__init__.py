"""Result files: one model on one task, with everything needed to read, doubt and repeat the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from listops_bench._base.lazy import lazy_names

if TYPE_CHECKING:
    from listops_bench.result.checks import validate as validate
    from listops_bench.result.files import find_results as find_results
    from listops_bench.result.files import read_result as read_result
    from listops_bench.result.files import read_results as read_results
    from listops_bench.result.files import result_path as result_path
    from listops_bench.result.files import write_result as write_result
    from listops_bench.result.format import Result as Result
    from listops_bench.result.format import json_schema as json_schema
    from listops_bench.result.learned import LEARNED as LEARNED
    from listops_bench.result.learned import learned as learned
    from listops_bench.result.verified import Verification as Verification
    from listops_bench.result.verified import read_verified as read_verified

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "LEARNED": "learned",
        "Result": "format",
        "Verification": "verified",
        "find_results": "files",
        "json_schema": "format",
        "learned": "learned",
        "read_result": "files",
        "read_results": "files",
        "read_verified": "verified",
        "result_path": "files",
        "validate": "checks",
        "write_result": "files",
    },
)
