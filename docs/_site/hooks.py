"""What mkdocs is told beside mkdocs.yml: pages that lie elsewhere in this repository, and those that are generated.

A page is used where it lies: the README is the site's home, and ``leaderboard/CLAIMS.md`` a page of it. A link to a
file that is no page takes the file along; a link to a folder becomes its text.
"""

import os
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).resolve().parent))

import generated

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
ON_THE_BOARD = tuple(f"leaderboard/{name}.md" for name in ("README", "CLAIMS", "SUBMITTING"))
SITE_OF = {"README.md": "index.md", **{name: name for name in (*ELSEWHERE[1:], *ON_THE_BOARD)}}
"""Pages outside of docs/, by their place in the repository: their place in the site."""

PLACE_OF = {site: place for place, site in SITE_OF.items()}
BOARD_SITE = "leaderboard/site/"
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE_OR_LINK = re.compile(rf"^```.*?^```|`[^`\n]+`|{LINK.pattern}", re.MULTILINE | re.DOTALL)
"""What begins first counts: a link in code is code, and a link whose text is code is a link."""


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages, and the files that they link to."""
    for name, text in generated.pages().items():
        files.append(File.generated(config, name, content=text))
    for place, site in SITE_OF.items():
        files.append(File.generated(config, site, content=(ROOT / place).read_text(encoding="utf-8")))
    for target in sorted({target for file in files.documentation_pages() for target in _files_linked(file)}):
        files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of the repository as links of the site; text inside ``<details>`` is Markdown, as on other renderers."""
    place = _place(page.file)

    def link(found: re.Match[str]) -> str:
        picture, text, address = found.groups()
        if address is None:  # code
            return found[0]
        target, anchor = _target(place, address)
        if target is None:
            return found[0]
        site = _in_site(target)
        if site is None:
            return str(text)
        relative = posixpath.relpath(site, posixpath.dirname(page.file.src_uri) or ".")
        return f"{picture}[{text}]({relative}{anchor})"

    return CODE_OR_LINK.sub(link, markdown.replace("<details>", '<details markdown="1">'))


def _place(file: File) -> str:
    """Where in the repository the source of a page lies."""
    return PLACE_OF.get(file.src_uri, f"docs/{file.src_uri}")


def _target(place: str, address: str) -> tuple[str | None, str]:
    """What of the repository a link leads to, and the place in it; None for a link within the page or to a host."""
    path, mark, anchor = address.partition("#")
    if not path or "://" in path or path.startswith(("mailto:", "/")):
        return None, ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), path)), mark + anchor


def _in_site(target: str) -> str | None:
    """The place in the site of a file of the repository; None for a folder, and for what is not there."""
    if target in SITE_OF:
        return SITE_OF[target]
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return target if (ROOT / target).is_file() else None


def _files_linked(file: File) -> Iterator[str]:
    """Files of the repository outside of docs/ that a page links to; with the board's page all that it shows."""
    for _, _, address in LINK.findall(file.content_string):
        target, _ = _target(_place(file), address)
        if target is None or target.startswith("docs/") or target in SITE_OF or not (ROOT / target).is_file():
            continue
        yield target
        if target == BOARD_SITE + "index.html":
            for folder, _, names in os.walk(ROOT / BOARD_SITE):
                yield from (Path(folder, name).relative_to(ROOT).as_posix() for name in names)
