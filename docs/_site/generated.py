"""Pages of the site that are made from the code: the command line, the Python API, the result schema, all tasks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

from listops_bench._base.command import Parser
from listops_bench._base.resources import resource_path
from listops_bench._base.text import LEFT, RIGHT, markdown_table
from listops_bench.cli.command import build_parser
from listops_bench.tasks import baselines, curated_tasks, generate, get_task
from listops_bench.tasks.operations import OPERATIONS, laws
from listops_bench.tasks.task import TaskSpec, describe_task
from listops_bench.train.config import build_parser as build_train_parser

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tasks", "score", "dataset", "runs", "result", "stats", "train", "evaluate", "sweep", "analysis",
            "leaderboard", "claims", "hub", "harness")  # fmt: skip
SAMPLES = 3


def pages() -> dict[str, str]:
    """The text of each page, by its place in the site."""
    return {
        "reference/cli.md": command_line(),
        "reference/api.md": api(),
        "reference/schema.md": schema(),
        "tasks.md": gallery(),
    }


def code(text: object) -> str:
    """A text as code in a cell of a table."""
    return f"`{text}`".replace("|", r"\|")


# --- the command line -------------------------------------------------------------------------------------------------


def command_line() -> str:
    """Every verb with its arguments, from the parsers themselves."""
    parser = build_parser()
    parts = [
        "# The command line",
        f"{parser.description} Made from the parsers: `listops-bench VERB --help` says the same.",
    ]
    for name, verb in parser.verbs.items():
        parts += _verb(f"listops-bench {name}", build_train_parser() if name == "train" else verb, level=2)
    return "\n\n".join(parts) + "\n"


def _verb(name: str, parser: Parser, level: int) -> Iterator[str]:
    yield f"{'#' * level} {name}"
    yield str(parser.description or "")
    if parser.verbs:
        for inner, verb in parser.verbs.items():
            yield from _verb(f"{name} {inner}", verb, level + 1)
        return
    rows = [
        (code(_flag(action)), _help(action)) for action in parser._actions if _help(action) and action.dest != "help"
    ]
    if rows:
        yield markdown_table([("argument", LEFT), ("what it does", LEFT)], rows)
    if parser.epilog:
        yield f"```sh\n{parser.epilog.removeprefix('example: ')}\n```"


def _flag(action: Any) -> str:
    name = action.option_strings[0] if action.option_strings else ""
    value = action.metavar if action.nargs != 0 and action.metavar else ""
    return f"{name} {value}{' ...' if action.nargs == '+' else ''}".strip()


def _help(action: Any) -> str:
    text = str(action.help or "")
    if text == "==SUPPRESS==":
        return ""
    return (text.replace("%(default)s", str(action.default)) if "%" in text else text).replace("|", r"\|") or "."


# --- Python -----------------------------------------------------------------------------------------------------------


def api() -> str:
    """The public names of every package."""
    package: Any = griffe.load("listops_bench", search_paths=[ROOT])
    parts = [
        "# Python",
        "Names are imported when they are first used. Errors are `InvalidInput` and `EnvironmentFailed`.",
    ]
    for name in ("listops_bench", *(f"listops_bench.{one}" for one in PACKAGES)):
        module = package if name == "listops_bench" else package[name.partition(".")[2]]
        parts += [f"## {name}", module.docstring.value.partition("\n\n")[0]]
        parts += [f"::: {name}.{public}" for public in _public(module)]
    return "\n\n".join(parts) + "\n"


def _public(module: Any) -> Iterator[str]:
    for name, member in module.members.items():
        own = member.target_path if member.is_alias else member.path if member.is_function else ""
        if own.startswith("listops_bench.") and name[0] != "_" and name != "lazy_names" and "._hook" not in own:
            target = module.members[name].final_target if member.is_alias else member
            if target.docstring is not None:
                yield name


# --- results ----------------------------------------------------------------------------------------------------------


def schema() -> str:
    """The fields of a result file, from its JSON schema."""
    page = json.loads(resource_path("leaderboard", "schema.json").read_text(encoding="utf-8"))
    parts = [
        "# The schema of a result",
        f"{page['description']} The file: [schema.json](../../leaderboard/schema.json).",
    ]
    for name, kind in {"Result": page, **page["$defs"]}.items():
        if "properties" not in kind:
            continue
        rows = [
            (code(field), _kind(value), "yes" if field in kind.get("required", ()) else "")
            for field, value in kind["properties"].items()
        ]
        parts += [f"## {name}", markdown_table([("field", LEFT), ("holds", LEFT), ("required", LEFT)], rows)]
    return "\n\n".join(parts) + "\n"


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_kind(one) for one in value["anyOf"])
    if "enum" in value or "const" in value:
        return ", ".join(code(one) for one in value.get("enum", [value.get("const")]))
    if isinstance(value.get("additionalProperties"), dict) and value["additionalProperties"]:
        return f"object of {_kind(value['additionalProperties'])}"
    if value.get("type") == "array" and isinstance(value.get("items"), dict):
        return f"list of {_kind(value['items'])}"
    limits = [f"{word} {value[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in value]
    return " ".join([str(value.get("type", "anything")), *(limits if len(str(limits)) < 40 else [])])


# --- tasks ------------------------------------------------------------------------------------------------------------


def gallery() -> str:
    """Every curated task: rows, size, shortcuts, and the sizes that learn it."""
    thresholds = json.loads((ROOT / "leaderboard" / "site" / "thresholds.json").read_text(encoding="utf-8"))
    sizes: dict[str, list[dict[str, Any]]] = {}
    for board in thresholds:
        for one in board["thresholds"]:
            sizes.setdefault(one["task"], []).append(one)
    parts = [
        "# All tasks",
        "The curated tasks, with the first rows of `test`, the mean length of a row, how far the best shortcut gets "
        "that does not do the task (`listops-bench baselines TASK`; 5,000 rows), and the size at which half of the "
        "seeds learn it, where runs of this repository say (N50, with its 95% interval, [how it is "
        "measured](guides/board.md)). Any other set of operations is a task too.",
        markdown_table(
            [("operation", LEFT), ("what it is", LEFT), ("laws", LEFT)],
            [(name.upper(), describe_task(name)["title"], laws(one)) for name, one in OPERATIONS.items()],
        ),
    ]
    for name in curated_tasks():
        parts += _task(get_task(name), sizes.get(name, []))
    return "\n\n".join(parts) + "\n"


def _task(task: TaskSpec, learned: list[dict[str, Any]]) -> Iterator[str]:
    told = describe_task(task.name)
    rows = generate(task, "test")
    best = max(baselines(task), key=lambda one: one.accuracy)
    yield f"## {task.name}"
    yield f"{told['title']}. {told['description']}"
    samples = zip(rows.prompts()[:SAMPLES], rows.completions()[:SAMPLES], strict=True)
    yield "```text\n" + "\n".join(prompt + completion for prompt, completion in samples) + "\n```"
    facts = [
        (
            "symbols, depth, operands",
            f"{task.modulus}, 1 to {task.max_depth}, {task.min_operands} to {task.max_operands}",
        ),
        ("tokens of a row", f"{rows.num_tokens.mean():.1f} (longest {rows.num_tokens.max()})"),
        ("best shortcut", f"{best.name.replace('_', ' ')}: {best.accuracy:.1%} of answers"),
        *((f"N50, {one['trained']}, {code(one['curriculum'])}", _threshold(one["test"]["n50"])) for one in learned),
    ]
    yield markdown_table([("", LEFT), ("", RIGHT)], facts)


def _threshold(n50: dict[str, Any]) -> str:
    if n50["kind"] == "unknown":
        return "not told by these runs"
    if n50["kind"] != "number":
        return f"{n50['kind']} {n50['estimate']:,.0f} parameters"
    limits = [f"{n50[key]:,.0f}" if n50[key] is not None else "?" for key in ("low", "high")]
    return f"{n50['estimate']:,.0f} parameters ({limits[0]} to {limits[1]})"
