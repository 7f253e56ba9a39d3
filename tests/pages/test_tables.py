"""Tables as data, and the four ways in which they are written; the shell of pages."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from jinja2 import UndefinedError
from rich.console import Console

from listops_bench._base.files import remove_others
from listops_bench.pages import html
from listops_bench.pages.html import to_html
from listops_bench.pages.tables import Cell, Column, Row, Table, from_records, row, to_console, to_markdown, to_records
from tests.support.fake_results import NASTY

TABLE = Table(
    columns=(Column("task"), Column("N50", "right", detail_title="95% interval"), Column("runs", "right", key="n")),
    rows=(
        row(Cell("max_med", is_name=True), Cell("> 3,420", detail="2,900 to 4,000", value=3420), Cell("3", "of 5")),
        row("mean", "", Cell("8", value=8), strong=True),
    ),
    caption="Thresholds",
    notes=("Bounds are marked.",),
)


def test_markdown_has_details_in_a_column_or_in_brackets() -> None:
    assert to_markdown(TABLE).splitlines() == [
        "| task | N50 | 95% interval | runs |",
        "| --- | ---: | ---: | ---: |",
        "| `max_med` | &gt; 3,420 | 2,900 to 4,000 | 3 (of 5) |",
        "| **mean** |  |  | **8** |",
    ]
    assert to_markdown(Table(TABLE.columns, ())) == ""


def test_html_has_details_below_the_text() -> None:
    text = to_html(TABLE, id="t", sortable=True)
    assert '<th scope="row" data-label="Task" data-sort="max_med">max_med</th>' in text
    assert '<td class="amount" data-label="N50" data-sort="3420">&gt; 3,420<small>2,900 to 4,000</small></td>' in text
    assert text.count("<button") == len(TABLE.columns)
    assert "<button" not in to_html(TABLE)


def test_rows_with_more_are_bodies_of_their_own() -> None:
    table = Table((Column("model"),), (Row((Cell("a"),), data={"task": "sum"}, more="<p>seeds</p>"),))
    text = to_html(table)
    assert '<tbody class="group" data-task="sum">' in text
    assert '<tr class="seeds"><td colspan="2"><p>seeds</p></td></tr>' in text


def test_nothing_in_a_cell_becomes_markup() -> None:
    table = Table((Column(NASTY),), (row(Cell(NASTY, detail=NASTY, link=NASTY, tip=NASTY, value=NASTY)),))
    text = to_html(table, sortable=True)
    assert "<img" not in text
    assert "</script" not in text
    assert text.count('"') == to_html(
        Table((Column("x"),), (row(Cell("x", "x", link="x", tip="x", value="x")),)), sortable=True
    ).count('"')
    assert "<img" not in to_markdown(Table((Column("x"),), (row(Cell(NASTY, detail=NASTY)),)))


def test_a_terminal_has_a_column_for_details() -> None:
    drawn = to_console(TABLE)
    assert [column.header for column in drawn.columns] == ["task", "N50", "95% interval", "runs"]
    assert [list(column.cells) for column in drawn.columns] == [
        ["max_med", "mean"], ["> 3,420", ""], ["2,900 to 4,000", ""], ["3 (of 5)", "8"],
    ]  # fmt: skip
    assert (drawn.title, drawn.caption) == ("Thresholds", "Bounds are marked.")


WORDS = st.one_of(
    st.integers(0, 10**12).map("{:,}".format),
    st.floats(0, 100).map("{:.1f}%".format),
    st.from_regex(r"[a-z]{1,9}(_[a-z0-9]{1,6}){0,3}", fullmatch=True),
)
TEXTS = st.lists(WORDS, max_size=9).map(" ".join)


@given(st.integers(30, 200), st.integers(1, 8).flatmap(lambda n: st.lists(st.tuples(*[TEXTS] * n), max_size=4)), TEXTS)
def test_no_width_breaks_a_number_or_a_name(width: int, rows: list[tuple[str, ...]], caption: str) -> None:
    columns = tuple(Column(f"column {place}", "right") for place in range(len(rows[0]) if rows else 1))
    console = Console(width=width, force_terminal=True, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as output:
        console.print(to_console(Table(columns, tuple(row(*cells) for cells in rows), caption, (caption,))))
    shown = output.get()
    written = Counter(
        word for text in (*(cell for cells in rows for cell in cells), caption, caption) for word in text.split()
    )
    assert written <= Counter(shown.split())
    assert max(map(len, shown.splitlines())) <= width


def test_what_does_not_fit_becomes_a_list() -> None:
    console = Console(width=30, force_terminal=True, color_system=None)
    with console.capture() as output:
        console.print(to_console(TABLE))
    assert output.get().splitlines() == [
        "Thresholds", "task: max_med", "N50: > 3,420", "95% interval: 2,900 to 4,000", "runs: 3 (of 5)", "",
        "task: mean", "runs: 8", "", "Bounds are marked.",
    ]  # fmt: skip


def test_records_have_values_and_columns_are_picked_in_order() -> None:
    assert to_records(TABLE.pick("n", "N50")) == [{"n": "3", "N50": 3420}, {"n": 8, "N50": ""}]


def test_a_table_is_made_of_records() -> None:
    records = [{"task": "sum", "n": "3", "note": "few"}, {"task": "max", "n": "4", "note": ""}]
    table = from_records(records, left=["note"])
    assert [column.align for column in table.columns] == ["left", "right", "left"]
    assert to_records(table) == records
    assert from_records([]) == Table((), ())


def test_a_template_names_nothing_that_is_not_there() -> None:
    with pytest.raises(UndefinedError):
        html.render("listops_bench.leaderboard", "model.html")


def test_only_what_a_build_could_have_made_is_deleted(tmp_path: Path) -> None:
    for name in ("old.svg", "new.svg", "notes.txt"):
        (tmp_path / name).touch()
    remove_others(tmp_path, ["*.svg"], {tmp_path / "new.svg"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.svg", "notes.txt"]
