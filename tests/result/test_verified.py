"""The file of verified results: it belongs to the content of a result, and nothing strange is read."""

import dataclasses
import json
from pathlib import Path

import pytest

from listops_bench.errors import InvalidInput
from listops_bench.result.files import read_result, write_result
from listops_bench.result.verified import Verification, read_verified, result_sha256, verified_file, write_verified
from tests.support.fake_results import environment, result


def record(path: str = "a/b/sum.json") -> Verification:
    return Verification(path, 11_000, 3, False, "2026-11-24T15:00:00Z", environment())


def test_the_key_is_of_the_content_however_it_is_laid_out(tmp_path: Path) -> None:
    path = write_result(tmp_path, result())
    content, before = json.loads(path.read_text()), result_sha256(result())
    for text in (json.dumps(content, indent=2), json.dumps(content, sort_keys=True), json.dumps(content) + "\n" * 9):
        path.write_text(text.replace('"wall_seconds": 110.5', '"wall_seconds": 1.105e2'))
        assert result_sha256(read_result(path)) == before
    assert result_sha256(dataclasses.replace(result(), track="open")) != result_sha256(result())


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    results_dir = tmp_path / "results"
    assert read_verified(results_dir) == {}
    records = {"b" * 64: record("a/b/max.json"), "a" * 64: record("a/b/sum.json")}
    assert write_verified(results_dir, records) == tmp_path / "verified.json" == verified_file(results_dir)
    assert read_verified(results_dir) == records
    assert list(read_verified(results_dir)) == ["b" * 64, "a" * 64]  # by path, so that changes are easy to read


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "results": {"x": {}}}', '{"a":' * 100_000]
)
def test_strange_files_are_one_line(tmp_path: Path, text: str) -> None:
    verified_file(tmp_path / "results").write_text(text)
    with pytest.raises(InvalidInput, match=r"verified\.json") as error:
        read_verified(tmp_path / "results")
    assert "\n" not in str(error.value)
