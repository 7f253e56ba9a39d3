"""The documentation site: builds without a warning, holds what it should, and asks no other host for anything."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listops_bench.cli.command import build_parser
from listops_bench.tasks.task import curated_tasks
from tests.docs.shortened import PAGES, ROOT

pytestmark = pytest.mark.check_all  # `make check-all` installs what builds it


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, requires: Callable[[str], None]) -> Path:
    requires("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def text(site: Path, page: str) -> str:
    return (site / page).read_text(encoding="utf-8")


def test_every_page_is_there(site: Path) -> None:
    moved = {"README.md": "index.html", "leaderboard/SUBMITTING.md": "leaderboard/SUBMITTING.html"}
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        assert (site / moved.get(name, name.removeprefix("docs/").replace(".md", ".html"))).is_file(), name


def test_generated_pages_hold_what_there_is(site: Path) -> None:
    commands, tasks = text(site, "reference/cli.html"), text(site, "tasks.html")
    assert [verb for verb in build_parser().verbs if f">listops-bench {verb}<" not in commands] == []
    assert [name for name in curated_tasks() if f'<h2 id="{name}">' not in tasks] == []
    assert 'id="listops_bench.tasks.generate"' in text(site, "reference/api.html")


def test_pictures_and_files_are_taken_along(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in re.findall(r'<(?:img|a)[^>]* (?:src|href)="([^"#?:]+)["#?]', page.read_text(encoding="utf-8")):
            assert (page.parent / address).exists() or address.startswith("/"), (page.name, address)


def test_no_other_host_is_asked(site: Path) -> None:
    """What a browser fetches of its own accord: scripts, styles, pictures, fonts. A link is followed by hand."""
    asked = r'(?:src|srcset|data)="(?:https?:)?//|<link[^>]*href="(?:https?:)?//|url\((?:https?:)?//|@import'
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert re.findall(asked, path.read_text(encoding="utf-8")) == [], path.name
        assert 'class="mermaid"' not in path.read_text(encoding="utf-8")  # the theme would fetch what draws it


def test_from_files_no_page_has_an_error(site: Path, chromium: Any, console: Callable[[Any], list[str]]) -> None:
    for page in site.rglob("*.html"):
        if page.name != "404.html":  # a server's alone
            chromium.get(page.as_uri())
            assert console(chromium) == [], page


def test_from_files_the_search_finds_a_page(site: Path, chromium: Any, console: Callable[[Any], list[str]]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    chromium.get((site / "guides/sweeps.html").as_uri())
    chromium.find_element("css selector", ".md-search__input").send_keys("McNemar")
    found = WebDriverWait(chromium, 30, 0.05).until(
        lambda driver: driver.find_elements("css selector", ".md-search-result__link")
    )
    chromium.get(found[0].get_attribute("href"))
    assert "McNemar" in chromium.find_element("tag name", "article").text
    assert console(chromium) == []
