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


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "answers to other rows": (other_row, "answer 1 is not to row sum_max/test/00001 of dataset version"),
    "rows left out": (lambda output: write_samples(output, samples_of(output)[1:]), "answer 1 is not to row"),
    "no samples": (lambda output: next(output.rglob("samples_*")).unlink(), "lm-eval writes it with --log_samples"),
    "no results": (lambda output: next(output.rglob("results_*")).unlink(), "holds 0 files named results_"),
    "not JSON": (lambda output: next(output.rglob("results_*")).write_text("{"), "not valid JSON"),
    "something else": (lambda output: next(output.rglob("results_*")).write_text("{}"), "not what lm-eval writes"),
    "no size": (model_is(model_num_parameters=None), "does not say how many parameters"),
    "unknown weights": (model_is(model_args={"pretrained": "org/large"}), "nothing says which weights 'org/large' are"),
    "other tasks": (
        lambda output: change_results(output, lambda content: content.update(configs={"mmlu": {}})),
        "holds no few-shot task of listops_bench",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_cannot_be_imported_is_one_line(copied: Path, name: str) -> None:
    spoil, message = SPOILED[name]
    spoil(copied)
    with pytest.raises(InvalidInput, match=message) as error:
        import_lm_eval(copied)
    assert "\n" not in str(error.value)
