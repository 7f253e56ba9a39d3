"""The notebook in ``examples`` runs from top to bottom, and finds what it says."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "what_a_model_learned.ipynb"


def cells(kind: str) -> list[str]:
    page = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert page["nbformat"] == 4
    return ["".join(cell["source"]) for cell in page["cells"] if cell["cell_type"] == kind]


def test_the_notebook_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for number, code in enumerate(cells("code"), start=1):
        exec(compile(code, f"cell {number}", "exec"), names)
    assert names["found"]["row"].order.regression.p < 0.01
    assert names["found"]["circle"].waves.shares[0] > 0.8
    assert names["found"]["anywhere"].order.regression.p > 0.05
    assert names["embedding"].order.regression.p > 0.05
    assert names["leaning"].intact["sum"].exact.n == 50
    assert names["table"].pairs.correct.n == 100
    printed = capsys.readouterr().out
    assert "row       order  1.00" in printed
    assert "feed_forward loop 3" in printed


def test_the_notebook_ships_without_outputs() -> None:
    page = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(not cell["outputs"] for cell in page["cells"] if cell["cell_type"] == "code")
    assert cells("markdown")[0].startswith("# ")
