"""The page in a real browser, from the file: no console errors, sorting, filtering, keyboard, phone and print."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from listops_bench.leaderboard import output as leaderboard
from listops_bench.leaderboard.output import build
from listops_bench.result.files import find_results
from listops_bench.result.format import Model
from tests.support.fake_results import CURVES, demo_results, ladder_results, many_results, nasty_results, result, write

pytestmark = pytest.mark.browser

Console = Callable[[Any], list[str]]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of built pages."""
    results = {
        "demo": demo_results(),
        "many": [*many_results(120), result("sum", 0.5, track="open", width=24)],
        "nasty": nasty_results(),
        "long": [result("sum", 0.3 + i / 200, width=8 + i) for i in range(60)],
        "ladder": ladder_results(("looped", "gpt2"), seeds=3, widths=(8, 24, 48, 96, 192)),
        "empty": [],
    }
    addresses = {}
    for name, found in results.items():
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(leaderboard, "read_curve", lambda run, task: CURVES[int(run)])
            runs = ("0", "1") if name == "demo" else ()
            addresses[name] = build(write(folder / "results", found), folder, runs=runs).page.as_uri()
    return addresses


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    yield chromium
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def find(browser: Any, selector: str) -> list[Any]:
    return list(browser.find_elements("css selector", selector))


def shown(browser: Any, selector: str) -> list[str]:
    """The texts of the elements that are to be seen."""
    return [element.text for element in find(browser, selector) if element.is_displayed()]


def one(browser: Any, selector: str) -> Any:
    (element,) = find(browser, selector)
    return element


def column(browser: Any, number: int) -> list[str]:
    """The texts of a column of the results table, the rows that are shown."""
    groups = "[...document.querySelectorAll('.group:not([hidden])')]"
    script = f"return {groups}.map(group => group.rows[0].cells[arguments[0]].textContent.trim())"
    return [str(text) for text in browser.execute_script(script, number)]


def choose(browser: Any, name: str, value: str) -> None:
    script = (
        "const field = document.querySelector(`#filters [name=${arguments[0]}]`); field.value = arguments[1];"
        "field.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    browser.execute_script(script, name, value)


def press(browser: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def follow(browser: Any, selector: str) -> None:
    """Clicks a link and waits for the page that it leads to."""
    from selenium.webdriver.support.ui import WebDriverWait

    here = browser.current_url
    one(browser, selector).click()
    there = "return document.readyState === 'complete' && document.URL !== arguments[0]"
    WebDriverWait(browser, 30, 0.01).until(lambda driver: driver.execute_script(there, here))


def phone(browser: Any, width: int = 390) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.parametrize("name", ["demo", "many", "nasty", "ladder", "empty"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_console_errors_and_nothing_sticks_out(
    browser: Any, console: Console, pages: dict[str, str], name: str, width: int
) -> None:
    if width < 800:
        phone(browser, width)
    browser.get(pages[name])
    assert console(browser) == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert len(find(browser, "h1")) == 1


def test_names_from_results_are_shown_as_text(browser: Any, console: Console, pages: dict[str, str]) -> None:
    browser.get(pages["nasty"])
    assert column(browser, 0)[0].startswith("<img src=x onerror=alert(1)>")
    assert find(browser, "img") == []
    for cell in find(browser, ".cell"):
        cell.click()
    assert console(browser) == []


def test_headings_sort_both_ways_and_say_so(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["many"])
    one(browser, "#results-further").click()
    heading = one(browser, "#results th[data-key=parameters]")
    heading.find_element("tag name", "button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    falling = [int(text.replace(",", "")) for text in column(browser, 1)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > falling[-1]
    heading.find_element("tag name", "button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [int(text.replace(",", "")) for text in column(browser, 1)] == falling[::-1]

    one(browser, "#results th[data-key=plan] button").click()
    assert heading.get_attribute("aria-sort") is None
    assert column(browser, 2) == sorted(column(browser, 2))


def test_accuracies_sort_as_numbers_and_nothing_goes_last(browser: Any, tmp_path: Path) -> None:
    first, second = result("sum", 0.09, seed=0), result("sum", 0.6, width=64)
    third = result("sum", 0.5, width=16, splits={"test_deeper": result().splits["test_deeper"]})
    folder = write(tmp_path / "results", [first, second, third])
    browser.get(build(folder, tmp_path).page.as_uri())
    button = one(browser, "#results th[data-key=trace] button")
    button.click()
    assert column(browser, 5) == ["60.0%", "9.0%", ""]
    assert column(browser, 6) == ["1 × 5,000", "1 × 5,000", ""]
    button.click()
    assert column(browser, 5) == ["9.0%", "60.0%", ""]


def test_filters_act_on_table_and_matrix_together(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["many"])
    count = one(browser, "#shown")
    one(browser, "#results-further").click()
    groups = len(find(browser, ".group"))
    assert count.text == f"{groups} of {groups} rows"
    choose(browser, "task", "sum")
    assert set(column(browser, 3)) == {"sum"}
    assert [text.split("\n")[0] for text in shown(browser, "#matrix thead th[data-task]")] == ["sum"]
    choose(browser, "kind", "transfer")
    assert set(column(browser, 2)) == {"max_med, then sum"}
    assert count.text == f"{len(column(browser, 0))} of {groups} rows"
    choose(browser, "text", "looped_d012")
    assert set(column(browser, 0)) == {"looped_d012"}
    assert [text.split()[0] for text in shown(browser, "#matrix tbody tr")] == ["looped_d012"]
    choose(browser, "text", "no such model")
    assert one(browser, "#nothing").is_displayed()
    one(browser, "#filters button").click()
    assert count.text == f"{groups} of {groups} rows"
    assert not one(browser, "#nothing").is_displayed()


def test_size_and_track_filters(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["many"])
    sizes = [int(option.get_attribute("value")) for option in find(browser, "[name=parameters] option")[1:]]
    choose(browser, "parameters", str(sizes[1]))
    assert {int(text.replace(",", "")) for text in column(browser, 1)} == set(sizes[:2])
    choose(browser, "parameters", "")
    choose(browser, "track", "open")
    assert set(column(browser, 9)) == {"open"}
    assert len(shown(browser, "#matrix tbody tr")) == 1


def test_thresholds_sort_with_their_bounds_and_obey_the_filters(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["ladder"])
    browser.execute_script("document.querySelector('#thresholds th[data-key=n50] button').click()")
    assert one(browser, "#thresholds th[data-key=n50]").get_attribute("aria-sort") == "descending"
    numbers = [text.split("\n")[0] for text in shown(browser, "#thresholds td[data-label='N50']")]
    assert numbers[0] == "> 472,896"
    values = [int(text.strip("<> ").replace(",", "")) for text in numbers]
    assert values == sorted(values, reverse=True)
    assert len(values) == 22
    choose(browser, "family", "gpt2")
    assert set(shown(browser, "#thresholds td[data-label='Family']")) == {"gpt2"}
    assert shown(browser, "section[data-family] h2") == ["Accuracy against size: gpt2"]
    choose(browser, "task", "sum")
    assert set(shown(browser, "#thresholds th[scope=row]")) == {"sum"}
    assert len(shown(browser, "#thresholds tbody tr")) == 3
    choose(browser, "family", "")
    assert [text.split()[0] for text in shown(browser, "#smallest tbody tr")] == ["sum"]
    choose(browser, "text", "then sum")
    assert len(shown(browser, "#thresholds tbody tr")) == 2


def test_a_models_page_is_one_step_away_and_leads_back(browser: Any, console: Console, pages: dict[str, str]) -> None:
    browser.get(pages["ladder"])
    follow(browser, "#matrix tbody tr:first-child th a")
    assert one(browser, "h1").text == "looped_d008"
    assert len(find(browser, "section[aria-labelledby$=-title]")) == 11
    find(browser, "summary")[0].click()
    assert "Root operation" in find(browser, "details")[0].text
    phone(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    follow(browser, "header a")
    assert browser.current_url == pages["ladder"]
    assert console(browser) == []


@pytest.mark.parametrize("table", ["results", "thresholds"])
def test_every_heading_sorts_by_what_its_cells_say(browser: Any, pages: dict[str, str], table: str) -> None:
    browser.get(pages["ladder"])
    keys = [h.get_attribute("data-key") for h in find(browser, f"#{table} th[data-key]:has(button)")]
    assert len(keys) >= 10
    read = (
        f"const heading = document.querySelector(`#{table} th[data-key='${{arguments[0]}}']`);"
        "heading.querySelector('button').click();"
        f"const rows = [...document.querySelectorAll('#{table} > tbody > tr:not(.seeds)')];"
        "return [heading.ariaSort, rows.map(row => row.cells[heading.cellIndex].dataset.sort || '')]"
    )
    for key in keys:
        for _ in range(2):
            way, values = browser.execute_script(read, key)
            found = [value for value in values if value != ""]
            assert values[len(found) :] == [""] * (len(values) - len(found)), key
            numbers = all(re.fullmatch(r"-?\d+(\.\d+)?", value) for value in found)
            ordered = sorted(found, key=float if numbers else alphabetical, reverse=way == "descending")
            assert list(map(str, found)) == ordered, (key, way)


def alphabetical(text: str) -> list[object]:
    """As a reader sorts names: numbers in them by what they are worth, underscores before all else."""
    parts = re.split(r"(\d+)", text.replace("_", " "))
    return [int(part) if part.isdigit() else part for part in parts]


def test_of_a_long_table_the_first_rows_are_shown_and_a_button_adds_more(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["long"])
    further = one(browser, "#results-further")
    assert further.text == "Show more rows: 30 of 60 are shown"
    assert one(browser, "#shown").text == "60 of 60 rows"
    one(browser, "#results th[data-key=parameters] button").click()
    falling = [int(text.replace(",", "")) for text in column(browser, 1)]
    assert falling == sorted(falling, reverse=True)  # the largest of all, and not of those that were shown
    further.click()
    assert (len(column(browser, 1)), further.is_displayed()) == (60, False)
    assert [int(text.replace(",", "")) for text in column(browser, 1)][:30] == falling
    choose(browser, "text", "looped_d009")
    assert (column(browser, 0), further.is_displayed()) == (["looped_d009"], False)
    one(browser, "#filters button").click()
    assert len(column(browser, 1)) == 30
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert len(column(browser, 1)) == 60
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert len(column(browser, 1)) == 30


def test_every_link_leads_to_a_file_or_a_place_that_is_there(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["demo"])
    home = Path(unquote(urlsplit(pages["demo"]).path))
    seen, left = set[str](), [pages["demo"]]
    while left:
        address = left.pop()
        seen.add(address)
        browser.get(address)
        script = "return [...document.querySelectorAll('a[href]')].map(link => link.href)"
        for target, place in map(urldefrag, set(browser.execute_script(script))):
            path = Path(unquote(urlsplit(target).path))
            assert path.is_file(), target
            assert home.parent in path.parents, target
            if place:
                assert f'id="{place}"' in path.read_text(), (target, place)
            if path.suffix == ".html" and target not in seen and target not in left:
                left.append(target)
    assert len(seen) == 1 + len(list(home.parent.glob("models/*.html")))


def test_downloads_hold_every_run(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["ladder"])
    paths = [Path(unquote(urlsplit(link.get_attribute("href")).path)) for link in find(browser, ".files a")]
    files = {path.name: path for path in paths}
    assert {path.suffix for path in paths} == {".svg", ".png", ".json", ".csv", ".parquet"}
    rows = json.loads(files["results.json"].read_text())
    results = find_results(paths[0].parents[2] / "results")
    assert len(rows) == len(results) == files["results.csv"].read_text().count("\n") - 1
    (board,) = json.loads(files["thresholds.json"].read_text())
    assert len(board["thresholds"]) == len(find(browser, "#thresholds tbody tr"))


def test_wide_tables_scroll_by_themselves_with_the_keyboard(browser: Any, pages: dict[str, str]) -> None:
    phone(browser)
    browser.get(pages["many"])
    moved = "const box = document.querySelector('.scroll:has(#matrix)'); box.focus(); box.scrollLeft = 80;"
    assert browser.execute_script(moved + "return [box.scrollLeft, scrollX, document.activeElement === box]") == [
        80, 0, True
    ]  # fmt: skip


def test_a_models_page_opens_its_parts_and_says_where_weights_lie(browser: Any, tmp_path: Path) -> None:
    model = Model("org/model", "a" * 40, "b" * 64)
    page = build(write(tmp_path / "results", [result("sum", 0.97, model=model)]), tmp_path).page
    browser.get(page.as_uri())
    follow(browser, "#results .group th a")
    assert (
        one(browser, "main a[href^=https]").get_attribute("href") == f"https://huggingface.co/org/model/tree/{'a' * 40}"
    )
    for summary in find(browser, "summary"):
        part = summary.find_element("xpath", "..")
        assert part.get_attribute("open") is None
        summary.click()
        assert part.get_attribute("open") is not None


def test_seeds_open_with_n_and_interval(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["demo"])
    seeds, button = find(browser, ".group .seeds")[0], find(browser, ".group .toggle")[0]
    assert not seeds.is_displayed()
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    assert seeds.is_displayed()
    assert button.get_attribute("aria-expanded") == "true"
    assert "3.6–4.7, n = 5,000" in seeds.text
    assert "seed 1" in seeds.text


def test_the_pointer_shows_n_and_interval_of_cells_and_points(browser: Any, pages: dict[str, str]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.get(pages["demo"])
    tip = one(browser, "#tip")
    assert not tip.is_displayed()
    ActionChains(browser).move_to_element(find(browser, ".cell")[0]).perform()
    assert "seed 0: 4.1% (95% interval 3.6 to 4.7%), n = 5,000" in tip.text
    browser.execute_script("document.getElementById('figure-runs').scrollIntoView()")
    point = find(browser, "figure [aria-roledescription=point]")[0]
    ActionChains(browser).move_to_element(point).perform()
    assert tip.text == point.get_attribute("aria-label")
    assert "n = 5,000" in tip.text
    press(browser, "\ue00c")  # Escape
    assert not tip.is_displayed()


def test_everything_can_be_reached_with_the_keyboard(browser: Any, pages: dict[str, str]) -> None:
    tab, down, right, enter = "\ue004", "\ue015", "\ue014", "\ue007"
    browser.get(pages["demo"])
    focused: list[str] = []
    for _ in range(60):
        press(browser, tab)
        name = browser.execute_script("const e = document.activeElement; return e.name || e.className || e.tagName")
        focused.append(str(name).strip())
        if browser.execute_script("return document.activeElement.classList.contains('cell')"):
            break
    assert {"text", "task", "kind"} <= set(focused)
    tip = one(browser, "#tip")
    assert "trained on sum (3,000 steps), scored on sum:" in tip.text
    press(browser, down)
    assert "trained on sum_max_med (3,000 steps), scored on sum:" in tip.text
    press(browser, down, down, right)  # the last row has no second cell: stays
    assert "trained on max_med, then sum" in tip.text
    press(browser, enter)
    place = browser.execute_script("return document.querySelector(':target h2')?.textContent")
    assert place == "sum, trained on max_med, then sum (3,000 steps)"
    browser.back()
    browser.execute_script("document.querySelector('#results th button').focus()")
    press(browser, enter)
    assert one(browser, "#results th[data-key=model]").get_attribute("aria-sort") == "ascending"


def test_a_phone_shows_cards_with_their_labels(browser: Any, pages: dict[str, str]) -> None:
    phone(browser)
    browser.get(pages["demo"])
    first = find(browser, ".group")[0]
    label = "return getComputedStyle(arguments[0].rows[0].cells[3], '::before').content"
    assert browser.execute_script(label, first) == '"Scored on"'
    assert first.size["width"] <= 390
    one(browser, "#results th[data-key=trace] button").click()
    assert column(browser, 5)[0].startswith("97.4%")


def test_print_leaves_the_controls_away(browser: Any, pages: dict[str, str]) -> None:
    browser.get(pages["demo"])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not one(browser, "#filters").is_displayed()
    assert not any(button.is_displayed() for button in find(browser, ".toggle"))
    assert all(row.is_displayed() for row in find(browser, ".group > tr"))  # the seeds too: n belongs to every figure


def test_paper_cuts_off_no_column_of_the_published_matrix(browser: Any) -> None:
    browser.get((Path(__file__).resolve().parents[2] / "leaderboard/site/index.html").as_uri())
    sheet = {"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sheet)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert len(find(browser, "#matrix thead th")) == len(find(browser, "#filters [name=task] option")) > 18
    assert browser.execute_script("return document.querySelector('#matrix').getBoundingClientRect().right") <= 718
    cells = "[...document.querySelectorAll('#matrix th, #matrix td')]"
    script = f"return {cells}.filter(cell => cell.scrollWidth > cell.clientWidth + 2)"  # two pixels lie between cells
    assert [cell.text for cell in browser.execute_script(script)] == []


def test_without_scripts_everything_is_shown(browser: Any, pages: dict[str, str]) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(pages["demo"])
        assert all(row.is_displayed() for row in find(browser, ".seeds"))
        assert not one(browser, "#filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_text_is_dark_on_light_everywhere(browser: Any, pages: dict[str, str]) -> None:
    """The contrast of WCAG 2.1 AA, 4.5 to 1, in every cell of the matrix."""
    browser.get(pages["many"])
    script = """
    const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = css => { const [r, g, b] = css.match(/[\\d.]+/g).map(Number);
      return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
    return Math.min(...[...document.querySelectorAll('.cell')].map(cell => {
      const style = getComputedStyle(cell);
      return (light(style.backgroundColor) + 0.05) / (light(style.color) + 0.05);
    }));
    """
    assert browser.execute_script(script) >= 4.5


CONTROLS: dict[str, Callable[..., None]] = {
    "#filters [name=text]": test_filters_act_on_table_and_matrix_together,
    "#filters [name=task]": test_filters_act_on_table_and_matrix_together,
    "#filters [name=kind]": test_filters_act_on_table_and_matrix_together,
    "#filters [name=family]": test_thresholds_sort_with_their_bounds_and_obey_the_filters,
    "#filters [name=track]": test_size_and_track_filters,
    "#filters [name=parameters]": test_size_and_track_filters,
    "#filters > button": test_filters_act_on_table_and_matrix_together,
    "#matrix .cell": test_everything_can_be_reached_with_the_keyboard,
    "#matrix .cell a": test_everything_can_be_reached_with_the_keyboard,
    "#matrix th a": test_a_models_page_is_one_step_away_and_leads_back,
    ".scroll": test_wide_tables_scroll_by_themselves_with_the_keyboard,
    "#results thead button": test_every_heading_sorts_by_what_its_cells_say,
    "#thresholds thead button": test_every_heading_sorts_by_what_its_cells_say,
    ".toggle": test_seeds_open_with_n_and_interval,
    ".further": test_of_a_long_table_the_first_rows_are_shown_and_a_button_adds_more,
    ".files a": test_downloads_hold_every_run,
    "main a": test_every_link_leads_to_a_file_or_a_place_that_is_there,
    "header a": test_a_models_page_is_one_step_away_and_leads_back,
    "summary": test_a_models_page_opens_its_parts_and_says_where_weights_lie,
    "[data-tip]": test_the_pointer_shows_n_and_interval_of_cells_and_points,
}
"""Everything that a reader can click, type into or come to with the keyboard, and the test that drives it."""


def test_every_control_has_a_test(browser: Any, pages: dict[str, str]) -> None:
    usable = "a[href], button, input, select, textarea, summary, [tabindex], [onclick], [contenteditable], [data-tip]"
    script = (
        "const found = [...document.querySelectorAll(arguments[0])];"
        "return [found.filter(one => !one.matches(arguments[1].join(', '))).map(one => one.outerHTML.slice(0, 200)),"
        "arguments[1].filter(selector => found.some(one => one.matches(selector)))]"
    )
    driven = set[str]()
    for name, address in pages.items():
        models = Path(unquote(urlsplit(address).path)).parent / "models"
        for page in (address, *(path.as_uri() for path in sorted(models.glob("*.html"))[:1])):
            browser.get(page)
            missing, found = browser.execute_script(script, usable, list(CONTROLS))
            assert missing == [], f"{name}: no test drives these"
            driven |= set(found)
    assert driven == set(CONTROLS)
