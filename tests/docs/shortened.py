"""The pages of the documentation, their blocks, and what is changed of a command so that a test can run it.

A block of ``bash`` or ``python`` is run as it stands, but for `SHORTER` and `NOT_RUN`. One of ``yaml`` whose first line
is ``# FOLDER/NAME.yaml`` is that file. One of ``py`` needs an extra that `make check-all` alone installs. Blocks of
other kinds are for reading.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "leaderboard" / "SUBMITTING.md", *(ROOT / "docs").rglob("*.md")])

SHORTER = [
    (r"train ", r"(?<=[a-z5]):\d{3,}", ":4"),  # stages of a curriculum
    (r"train ", r"--(max-)?steps \d+", "--max-steps 6"),
    (r"train ", r"--(checkpoint|save)-steps \d+", r"--\1-steps 3"),
    (r"evaluate ", r"step-\d+", "step-00003"),
    (r"train (?!.*(--max-steps|--curriculum))", r"train ", "train --max-steps 6 "),
    (r"train ", r"train ", "train --eval-rows 20 --report-to none "),
    (r"^ +max_steps: ", r"\d+", "6\n  eval_rows: 20"),
    (r"\{max_steps: ", r"(?<=max_steps: )\d+", "6, eval_rows: 20"),
    (r"per_device_train_batch_size: ", r"\d+", "8"),
    (r"eval_num_rows: ", r"eval_num_rows: \d+", ""),
    (r"eval_splits: ", r"$", "\neval_num_rows: 50"),
]
"""In a line with the first pattern, what stands instead of the second: fewer steps and rows."""

NOT_RUN = {
    r"make (demo|test)\b": "tests/demo runs the demo, and this is a test",
    r"pocket\.yaml|reference\.yaml|reference_\d": "hours; tests/sweep/test_pages.py reads them, and runs a small one",
    r"pretrained=org/large|import-lm-eval out": "a model from the Hub; tests/harness/test_import.py has a few-shot run",
}
"""Commands that are not run, with who runs them instead."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and its line in the page."""

    language: str
    text: str
    line: int

    def commands(self) -> list[str]:
        """Of a shell block, without remarks, on one line each."""
        joined = self.text.replace("\\\n", " ")
        lines = [re.sub(r"\s+#(?=\s).*", "", line).strip() for line in joined.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [Block(one[1], one[2], text.count("\n", 0, one.start()) + 1) for one in found]


def shortened(line: str) -> str:
    for where, pattern, instead in SHORTER:
        if re.search(where, line):
            line = re.sub(pattern, instead, line)
    return line


def files(page: Path) -> dict[str, str]:
    """The files that blocks of a page are, by the path in their first line."""
    named = ((re.match(r"# ([\w/]+\.(yaml|py))", block.text), block.text) for block in blocks(page))
    return {name[1]: text for name, text in named if name}


def script(page: Path) -> str:
    """All that a page has run, as one script of bash, shortened."""
    lines = ["set -eo pipefail"]
    for name, text in files(page).items():
        content = "\n".join(map(shortened, text.splitlines()))
        lines += [f"mkdir -p $(dirname {name})", f"cat > {name} <<'END'\n{content}\nEND"]
    for block in blocks(page):
        if block.language == "bash":
            commands = [line for line in block.commands() if not any(re.search(one, line) for one in NOT_RUN)]
            lines += [f"echo '== {page.name}, line {block.line}'", *map(shortened, commands)]
        elif block.language in ("python", "py") and not block.text.startswith("# "):
            lines += [f"echo '== {page.name}, line {block.line}'", f"python - <<'END'\n{block.text}END"]
    return "\n".join(lines) + "\n"
