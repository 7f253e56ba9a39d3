"""Names and texts of strangers, through every verb: nothing that is printed commands a terminal or a CI's log."""

import argparse
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listops_bench._base.command import Parser
from listops_bench.cli.command import build_parser
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.result.files import result_path
from listops_bench.score.completion import difficulty, score
from listops_bench.tasks.curriculum import Stage
from listops_bench.tasks.expression import evaluate, parse
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import TaskSpec, get_task
from listops_bench.train.config import TrainConfig
from tests.support.commands import Run
from tests.support.fake_results import demo_results, result, write

NASTY = "x\n::error::forged\n349 of 349 result files are valid\n\x1b[31m\u202e##[group]"


def leaves(parser: Parser, *words: str) -> list[tuple[list[str], Parser]]:
    below = [leaf for name, verb in parser.verbs.items() for leaf in leaves(verb, *words, name)]
    return below or [([*words], parser)]


VERBS = {" ".join(words): (words, parser) for words, parser in leaves(build_parser())}


def needed(parser: Parser) -> list[str]:
    """A hostile value for everything that must be given."""
    words = []
    for action in parser._actions:
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction):
            words.append(NASTY)
        elif action.required:
            words += [action.option_strings[0], NASTY]
    return words


def assert_harmless(text: str) -> None:
    for line in text.splitlines():
        assert line.isprintable() or not line.strip("\x20-\x7e"), repr(line)
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert line != "349 of 349 result files are valid"


@pytest.mark.parametrize("verb", VERBS)
def test_a_hostile_argument_of_every_verb_is_one_line(
    verb: str, command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words, parser = VERBS[verb]
    given = [*words, *needed(parser), *(["--check"] if verb == "export" else [])]
    for more in (given, [*given, f"--{NASTY}"]):
        if more != [verb]:  # a verb that needs nothing would do its work
            code, out, err = command(*more)
            assert code in (0, 2, 3)
            assert len(err.splitlines()) <= 3
            assert_harmless(out + err)
    assert "forged" in err or verb == "submit"


def test_hostile_files_and_texts_of_results(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = write(tmp_path / NASTY / "results", [*demo_results()[:4], result(width=64)])
    path = result_path(results, demo_results()[0])
    (path.parent / f"{NASTY}.json").write_text(path.read_text())
    (path.parent / "::error::.json").write_text("{}")
    content = json.loads(path.read_text())
    content["architecture"] |= {"family": "::error::forged", "name": "##[group]", "model_type": "![x](http://y)"}
    content["training"]["curriculum"] = "::warning::[a](http://b)"
    path.write_text(json.dumps(content))
    for words, exit_code in (
        (["build", str(results), "--output-dir", NASTY], 0),
        (["claims", str(results), "--output", f"{NASTY}/CLAIMS.md"], 0),
        (["thresholds", str(results), "--times"], 0),
        (["thresholds", str(results), "--json"], 0),
        (["validate", str(results)], 2),
        (["validate", f"{NASTY}/nothing", str(path.parent / f"{NASTY}.json")], 2),
        (["verify", str(results), "--dry-run"], 2),
    ):
        code, out, err = command("leaderboard", *words)
        assert code == exit_code
        assert_harmless(out + err)
    for page in (tmp_path / NASTY).glob("*.md"):
        text = re.sub(r"`[^`\n]*`", "", page.read_text())
        assert "](http" not in text
        assert "\n::" not in text


def test_a_hostile_key_is_shown_as_text(tmp_path: Path, command: Run) -> None:
    path = write(tmp_path / "results", [result()]) / "a" / "b" / "sum.json"
    path.parent.mkdir(parents=True)
    for place in ("splits", "training", "evaluation"):
        content = json.loads(result_path(tmp_path / "results", result()).read_text())
        content[place][NASTY] = {NASTY: 1}
        path.write_text(json.dumps(content))
        code, out, err = command("leaderboard", "validate", str(path))
        assert (code, len(err.splitlines())) == (2, 1)
        assert_harmless(out + err)


HUGE = 10**5000
"""Python itself prints no number of so many digits."""
SUM = "[SUM 1 2 ] ="
TAKES_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "a task": lambda n: TaskSpec((n,)),
    "a name": get_task,
    "rows": lambda n: generate(get_task("sum"), "test", num_rows=n),
    "a seed": lambda n: generate(get_task("sum"), "train", num_rows=2, seed=n),
    "a split": lambda n: generate(get_task("sum"), n),
    "a modulus": lambda n: parse(SUM, n),
    "a number": evaluate,
    "a score": lambda n: score(SUM, " 3", modulus=n),
    "a difficulty": lambda n: difficulty(SUM, n),
    "a tokenizer": build_tokenizer,
    "a model": lambda n: build_model("looped_d008", n),
    "weights": lambda n: build_model("looped_d008", seed=n),
    "an evaluation": lambda n: evaluate_checkpoint("x", "sum", num_rows=n),
    "a batch": lambda n: evaluate_checkpoint("x", "sum", batch_size=n),
    "a stage": lambda n: Stage((("sum", 1.0),), n),
}


OF_A_TASK = {field.name for field in dataclasses.fields(TaskSpec)} - {"operations"}
OF_A_TRAINING = {field.name for field in dataclasses.fields(TrainConfig)}


@pytest.mark.parametrize("number", [HUGE, -HUGE], ids=["huge", "minus huge"])
def test_a_number_of_thousands_of_digits_is_one_line_wherever_it_is_given(number: int) -> None:
    calls = [lambda take=take: take(number) for take in TAKES_NUMBERS.values()]
    calls += [lambda name=name: get_task("sum", **{name: number}) for name in OF_A_TASK]
    calls += [
        lambda name=name: TrainConfig(**{"output_dir": "x", "task": "sum", name: number}) for name in OF_A_TRAINING
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match=r"^.+$"):
            call()
