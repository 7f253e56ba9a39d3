"""Models with another tokenizer: through lm-eval's few-shot variant for real, and back as results of ours."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from listops_bench.cli import command as cli
from listops_bench.errors import InvalidInput
from listops_bench.harness.lm_eval_files import lm_eval_path
from listops_bench.harness.lm_eval_import import FAMILY, import_lm_eval
from listops_bench.result.files import find_results, read_result
from listops_bench.score.completion import score
from listops_bench.tasks.generator import generate
from listops_bench.tasks.task import get_task
from tests.support.commands import finished, start

N = 6


@pytest.fixture(scope="module")
def stock_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stock GPT-2 with random weights and a tokenizer of bytes: it knows nothing of our words."""
    folder = tmp_path_factory.mktemp("foreign") / "stock_gpt2"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate([*alphabet, "<|endoftext|>"])}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=257, n_embd=16, n_layer=1, n_head=2, n_positions=2048, eos_token_id=256)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# lm-eval's own command, but for the thousands of tasks that it brings, which take it longer to list than ours to ask.
LM_EVAL = """
import functools
from importlib.metadata import entry_points
from lm_eval import tasks

tasks.TaskManager = functools.partial(tasks.TaskManager, include_defaults=False)
(command,) = entry_points(group="console_scripts", name="lm_eval")
command.load()()
"""


@pytest.fixture(scope="module")
def output(stock_gpt2: Path, tmp_path_factory: pytest.TempPathFactory, requires: Callable[[str], None]) -> Path:
    """What lm-eval has written of it."""
    requires("lm_eval")
    folder = tmp_path_factory.mktemp("lm_eval") / "run"
    process = start(
        folder,
        *("python", "-c", LM_EVAL, "run", "--model", "hf", "--device", "cpu"),
        *("--model_args", f"pretrained={stock_gpt2}"),
        *("--include_path", str(lm_eval_path()), "--tasks", "listops_sum_max_few_shot", "--batch_size", str(N)),
        *("--limit", str(N), "--output_path", "out", "--log_samples"),
    )
    finished(process)
    return folder / "out"


@pytest.fixture
def copied(output: Path, tmp_path: Path) -> Path:
    """An output to change."""
    return Path(shutil.copytree(output, tmp_path / "out"))


def samples_of(output: Path) -> list[dict[str, Any]]:
    (path,) = output.rglob("samples_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_samples(output: Path, samples: list[dict[str, Any]]) -> None:
    (path,) = output.rglob("samples_*.jsonl")
    path.write_text("".join(json.dumps(sample) + "\n" for sample in samples))


def change_results(output: Path, change: Callable[[dict[str, Any]], object]) -> None:
    (path,) = output.rglob("results_*.json")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_the_prompt_tells_the_task_shows_solved_rows_and_asks(output: Path) -> None:
    rows = generate(get_task("sum_max"), "test", num_rows=N)
    for sample, prompt in zip(samples_of(output), rows.prompts(), strict=True):
        (asked, options) = sample["arguments"]["gen_args_0"].values()
        told, _, shown = asked.partition("\n\n")
        assert told.startswith("Evaluate nested expressions on the numbers 0 to 9. [SUM a b ... ] is")
        *examples, question = shown.split("\n")
        assert question == prompt
        assert len(examples) == 4
        for example in examples:
            solved, _, completion = example.partition("] = ")
            assert score(solved + "]", completion).trace
        assert options["until"][0] == "\n"


def test_its_results_stand_beside_ours(output: Path, stock_gpt2: Path, tmp_path: Path) -> None:
    assert cli.main(["import-lm-eval", str(output), "--output-dir", str(tmp_path)]) == 0
    (path,) = find_results(tmp_path)
    found = read_result(path, tmp_path)
    assert (found.task.name, found.model.id, found.recipe.id) == ("sum_max", "stock_gpt2", "stock_gpt2-4-shot")
    assert (found.architecture.family, found.training) == (FAMILY, None)
    assert found.parameters.total == sum(p.numel() for p in GPT2LMHeadModel.from_pretrained(stock_gpt2).parameters())
    assert (found.splits["test"].n, found.splits["test"].metrics.trace_accuracy.correct) == (N, 0)


def test_what_counts_are_the_logged_answers_not_the_logged_scores(copied: Path) -> None:
    samples = samples_of(copied)
    for sample in samples[:2]:
        sample["resps"] = [[sample["doc"]["completion"]]]
    for sample in samples:
        sample["answer_accuracy"] = sample["trace_accuracy"] = 1.0
    write_samples(copied, samples[::-1])  # their order does not matter
    (found,) = import_lm_eval(copied)
    metrics = found.splits["test"].metrics
    assert (metrics.answer_accuracy.correct, metrics.trace_accuracy.correct) == (2, 2)


def test_a_model_of_the_hub_is_named_by_its_commit(copied: Path) -> None:
    args = {"pretrained": "org/large"}
    change_results(copied, lambda content: content["config"].update(model_args=args, model_sha="f" * 40))
    (found,) = import_lm_eval(copied)
    assert (found.model.id, found.model.revision, found.model.weights_sha256) == ("org/large", "f" * 40, None)


def other_row(output: Path) -> None:
    samples = samples_of(output)
    samples[1]["doc"]["prompt"] = "[SUM 1 1 ] ="
    write_samples(output, samples)


def model_is(**changes: Any) -> Callable[[Path], None]:
    return lambda output: change_results(output, lambda content: content["config"].update(changes))


def field(name: str, value: Any) -> Callable[[Path], None]:
    """Sets a field of the results, or takes it out where the value is ``...``."""

    def change(content: dict[str, Any]) -> None:
        *path, last = name.split(".")
        for key in path:
            content = content[key]
        content[last] = value
        if value is ...:
            del content[last]

    return lambda output: change_results(output, change)


def sample(**changes: Any) -> Callable[[Path], None]:
    def spoil(output: Path) -> None:
        first, *others = samples_of(output)
        write_samples(output, [first | changes, *others])

    return spoil


def results_are(text: str) -> Callable[[Path], object]:
    return lambda output: next(output.rglob("results_*")).write_text(text)


TASK = "listops_sum_max_few_shot"
SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "answers to other rows": (other_row, "answer 1 is not to row sum_max/test/00001 of dataset version"),
    "rows left out": (lambda output: write_samples(output, samples_of(output)[1:]), "answer 1 is not to row"),
    "no samples": (lambda output: next(output.rglob("samples_*")).unlink(), "lm-eval writes it with --log_samples"),
    "empty samples": (lambda output: next(output.rglob("samples_*")).write_text(""), "holds no answer"),
    "no results": (lambda output: next(output.rglob("results_*")).unlink(), "holds 0 files named results_"),
    "unknown weights": (model_is(model_args={"pretrained": "org/large"}), "nothing says which weights 'org/large' are"),
    "other tasks": (field("configs", {"mmlu": {}}), "holds no few-shot task of listops_bench"),
    "not JSON": (results_are("{"), "not valid JSON"),
    "not text": (lambda output: next(output.rglob("results_*")).write_bytes(b"\xff{}"), "not valid JSON"),
    "deep": (results_are("[" * 100_000), "nested too deeply"),
    "something else": (results_are("{}"), "configs is missing"),
    "a list": (results_are("[1]"), "configs is missing"),
    "tasks in a list": (field("configs", ["mmlu"]), "configs: list is not an object"),
    "no number of examples": (field("n-shot", {}), f"n-shot.{TASK} is missing"),
    "examples as text": (field(f"n-shot.{TASK}", "four"), f'n-shot.{TASK}: "four" is not an integer'),
    "examples without end": (field(f"n-shot.{TASK}", [4]), f"n-shot.{TASK}: list is not an integer"),
    "no configuration": (field("config", 5), "config.model_args is missing"),
    "arguments that are none": (field("config.model_args", [1]), "config.model_args.pretrained is missing"),
    "arguments without a model": (field("config.model_args", "dtype=float32,pretrained"), "which weights '' are"),
    "a model that is a list": (field("config.model_args.pretrained", ["a"]), "pretrained: list is not a text"),
    "a long name": (field("config.model_args.pretrained", "a" * 5000), "pretrained: .* is not a text of the form"),
    "no size": (model_is(model_num_parameters=None), "config.model_num_parameters: null is not an integer"),
    "a size of nothing": (model_is(model_num_parameters=0), "config.model_num_parameters: 0 is not"),
    "no commit": (
        model_is(model_args={"pretrained": "org/large"}, model_sha="main"), "model.revision: \"main\" is not"
    ),
    "a commit of a list": (
        model_is(model_args={"pretrained": "org/large"}, model_sha=["f" * 40]), "config.model_sha: list is not a text"
    ),
    "no date": (field("date", ...), "date is missing"),
    "a date out of time": (field("date", 1e300), "date: 1e\\+300 is not in 0"),
    "a date without end": (results_are('{"date": 1e999}'), "number \"1e999\" is out of range"),
    "seconds": (field("total_evaluation_time_seconds", "nan"), 'total_evaluation_time_seconds: "nan" is not a text'),
    "seconds as a list": (field("total_evaluation_time_seconds", []), "total_evaluation_time_seconds: list is not"),
    "a version of two lines": (field("lm_eval_version", "1\n2"), "lm_eval_version: .* is not a text of the form"),
    "a sample that is a list": (lambda output: write_samples(output, [[]]), "line 1: resps is missing"),
    "a sample of another row's number": (sample(doc_id="0"), 'line 1: doc_id: "0" is not an integer'),
    "a number that is true": (sample(doc_id=True), "line 1: doc_id: true is not an integer"),
    "no answer": (sample(resps=[[]]), "line 1: resps holds no answer"),
    "an answer that is a number": (sample(resps=[[5]]), "line 1: resps.0.0: 5 is not a text"),
    "an answer without end": (sample(resps=[["a" * 20_001]]), "line 1: resps.0.0: .* is not a text"),
    "half a character": (sample(resps=[["\ud800"]]), "line 1: holds half of a surrogate pair"),
    "a row that is none": (sample(doc=5), "line 1: doc.id is missing"),
    "a key twice": (
        lambda output: next(output.rglob("samples_*")).write_text('{"doc_id": 0, "doc_id": 1}'), "stands twice"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
def test_what_cannot_be_imported_is_one_line(copied: Path, name: str) -> None:
    spoil, message = SPOILED[name]
    spoil(copied)
    with pytest.raises(InvalidInput, match=message) as error:
        import_lm_eval(copied)
    assert "\n" not in str(error.value)


def test_an_answer_may_hold_any_character(copied: Path) -> None:
    samples = samples_of(copied)
    samples[0]["resps"] = [["\u2028\x85\x0c\v " + "9" * 5000]]
    (path,) = copied.rglob("samples_*.jsonl")
    path.write_text("".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples))
    (found,) = import_lm_eval(copied)
    assert found.splits["test"].metrics.answer_accuracy.n == N
