"""Other people's harnesses: files made from the registry, exactly our ids, and the same number of right rows."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import GenerationMixin

import listops_bench
from listops_bench.cli import command as cli
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.decoding import predict
from listops_bench.evaluate.run import evaluate_checkpoint
from listops_bench.harness import lm_eval_files
from listops_bench.model.checkpoint import load_checkpoint, save_checkpoint
from listops_bench.model.ladder import build_model, load_config
from listops_bench.model.origin import resolve
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.score.completion import score, summarise
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.split import SPLITS
from listops_bench.tasks.task import curated_tasks, get_task
from tests.support.commands import finished, run, start
from tests.support.trained import Parrot, ids_of

TASK = "sum_max_med"
WEIGHTS = Path(__file__).resolve().parents[2] / "leaderboard" / "weights"
HALF_LEARNED = f"{WEIGHTS}/looped_d016-sum_max_med-6000-3bc862aa#2"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "checkpoint", build_model("looped_d016", seed=0), build_tokenizer(10))


# --- the same number everywhere ---------------------------------------------------------------------------------------


def by_generate(checkpoint: Path, rows: Rows) -> list[str]:
    """A plain loop: tokenizer, `generate` as the checkpoint is configured, decode."""
    model, tokenizer, _ = load_checkpoint(checkpoint)
    texts: list[str] = []
    for first in range(0, len(rows), 500):
        batch = tokenizer(rows.prompts()[first : first + 500], return_tensors="pt", padding=True)
        written = model.generate(**batch)[:, batch.input_ids.shape[1] :]
        texts += tokenizer.batch_decode(written, skip_special_tokens=True)
    return texts


# The commands of lm-eval and of inspect_ai, one after the other, so that torch is imported once; and a look at what the
# model of inspect_ai is given and writes: ids, the prompt's padding left away. To list lm-eval's own tasks takes longer
# than to ask ours; they are listed where all rows are asked.
HARNESSES = """
import functools, json, sys
from importlib.metadata import entry_points
from lm_eval import tasks
from transformers import GenerationMixin

seen, generate = [], GenerationMixin.generate

def record(self, input_ids, attention_mask, **options):
    written = generate(self, input_ids=input_ids, attention_mask=attention_mask, **options)
    for ids, mask, row in zip(input_ids.tolist(), attention_mask.tolist(), written.sequences.tolist(), strict=True):
        seen.append(([token for token, real in zip(ids, mask, strict=True) if real], row[len(ids):]))
    return written


def call(name, *words):
    sys.argv = [name, *words]
    (command,) = entry_points(group="console_scripts", name=name)
    try:
        command.load()()
    except SystemExit as ended:
        assert not ended.code, (name, ended.code)

lm_eval, inspect, own_tasks = json.loads(sys.argv[1])
tasks.TaskManager = functools.partial(tasks.TaskManager, include_defaults=own_tasks)
call("lm_eval", *lm_eval)
GenerationMixin.generate = record
call("inspect", *inspect)
json.dump(seen, open("seen.json", "w"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("num_rows", [100, pytest.param(5000, marks=pytest.mark.check_all)])
def test_test_rows_get_the_same_score_everywhere(
    num_rows: int, tmp_path: Path, requires: Callable[[str], None]
) -> None:
    """All of them in `make check-all`."""
    requires("lm_eval")
    requires("inspect_ai")
    # Right on half of the rows; its wrong answers are of every kind.
    half_learned, _, _ = load_checkpoint(resolve(HALF_LEARNED).folder)
    checkpoint = save_checkpoint(tmp_path / "checkpoint", half_learned, build_tokenizer(10))
    model_args = f"pretrained={checkpoint},trust_remote_code=True"
    lm_eval = [
        *("run", "--model", "hf", "--model_args", model_args, "--tasks", f"listops_{TASK}"),
        *("--include_path", str(lm_eval_files.lm_eval_path()), "--device", "cpu", "--batch_size", "1000"),
        *("--output_path", "out", "--log_samples", "--limit", str(num_rows)),
    ]
    inspect = [
        *("eval", "listops_bench/listops", "-T", f"task={TASK}"),
        *("--model", f"hf/{checkpoint}", "-M", "device=cpu", "--limit", str(num_rows)),
        *("--max-connections", "500", "--max-samples", "500", "--log-dir", "logs"),
        # Only what takes time and does not change what is asked or scored.
        *("--display", "none", "--no-score-display", "--no-log-samples", "--no-log-realtime", "--no-log-model-api"),
        *("--ctl-server", "false"),
    ]
    others = start(tmp_path / "others", "python", "-c", HARNESSES, json.dumps([lm_eval, inspect, num_rows > 100]))
    try:
        rows = generate(get_task(TASK), "test", num_rows=num_rows)
        (ours,) = evaluate_checkpoint(checkpoint, TASK, "test", num_rows=num_rows, predictions_dir=tmp_path / "ours")
        metrics = ours.splits["test"].metrics
        counts = (metrics.answer_accuracy.correct, metrics.trace_accuracy.correct)
        assert 0.2 * num_rows < counts[0] < 0.8 * num_rows  # a model that could be scored wrongly either way
        assert 0.04 * num_rows < counts[1] < counts[0] - 0.04 * num_rows
        (predictions,) = (tmp_path / "ours").rglob("*.jsonl")
        completions = [json.loads(line)["completion"].strip() for line in predictions.read_text().splitlines()]

        texts = by_generate(checkpoint, rows)
        assert [text.strip() for text in texts] == completions
        assert by_metric(rows, texts) == counts

        finished(others)
        (samples,) = tmp_path.glob("others/out/*/samples_*.jsonl")
        theirs = sorted(map(json.loads, samples.read_text().splitlines()), key=lambda sample: sample["doc_id"])
        assert [sample["resps"][0][0].strip() for sample in theirs] == completions
        (results,) = tmp_path.glob("others/out/*/results_*.json")
        means = json.loads(results.read_text())["results"][f"listops_{TASK}"]
        names = ("answer_accuracy", "trace_accuracy")
        assert tuple(round(num_rows * means[f"{name},none"], 6) for name in names) == counts
        assert means["valid_step_rate,none"] == pytest.approx(metrics.valid_step_rate.accuracy, abs=1e-6)

        found = inspect_means(next(tmp_path.glob("others/logs/*.eval")), num_rows)
        assert tuple(round(num_rows * found[name], 6) for name in names) == counts
        assert found["valid_step_rate"] == pytest.approx(metrics.valid_step_rate.accuracy, abs=1e-6)
        seen = json.loads((tmp_path / "others" / "seen.json").read_text())
        assert sorted(ids for ids, _ in seen) == prompt_ids(rows), "something was put before the words"
        words = build_tokenizer(10)
        answers = {tuple(ids): words.decode(written, skip_special_tokens=True).strip() for ids, written in seen}
        assert [answers[tuple(prompt_of(rows, row))] for row in range(len(rows))] == completions
    finally:
        others.kill()  # where something above has failed; nothing to one that has ended
        others.wait()


def by_metric(rows: Rows, texts: list[str]) -> tuple[int, int]:
    import evaluate

    metric = evaluate.load(listops_bench.metric_path())
    found = metric.compute(predictions=texts, references=rows.completions(), prompts=rows.prompts())
    assert found["n"] == len(rows)
    assert found["answer_accuracy"] == pytest.approx(found["answers"] / len(rows), abs=1e-6)
    return found["answers"], found["traces"]


def inspect_means(log: Path, num_rows: int) -> dict[str, float]:
    read = json.loads(run("inspect", "log", "dump", "--header-only", str(log)))
    assert read["status"] == "success"
    assert read["results"]["total_samples"] == num_rows
    assert read["eval"]["dataset"]["name"] == f"{TASK}/test"
    found = {one["name"]: {n: m["value"] for n, m in one["metrics"].items()} for one in read["results"]["scores"]}
    rate = found.pop("valid_step_rate")["listops_bench/step_rate"]
    assert all(metrics["stderr"] > 0 for metrics in found.values())
    return {"valid_step_rate": rate, **{name: metrics["mean"] for name, metrics in found.items()}}


# --- exactly our ids --------------------------------------------------------------------------------------------------


def prompt_of(rows: Rows, row: int) -> list[int]:
    return ids_of(rows, row)[: int(rows.prompt_lengths[row])]


def prompt_ids(rows: Rows) -> list[list[int]]:
    return sorted(prompt_of(rows, row) for row in range(len(rows)))


def test_lm_eval_puts_nothing_before_the_words(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, requires: Callable[[str], None]
) -> None:
    """What reaches the model's ``generate``, without what the mask hides."""
    requires("lm_eval")
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    seen: list[list[int]] = []
    original = GenerationMixin.generate

    def record(self: Any, input_ids: Any, attention_mask: Any, **options: Any) -> Any:
        pairs = zip(input_ids, attention_mask, strict=True)
        seen.extend(ids[mask.bool()].tolist() for ids, mask in pairs)
        return original(self, input_ids=input_ids, attention_mask=attention_mask, **options)

    monkeypatch.setattr(GenerationMixin, "generate", record)

    manager = TaskManager(include_path=str(lm_eval_files.lm_eval_path()), include_defaults=False)
    model = {"pretrained": str(checkpoint), "device": "cpu", "batch_size": 4}
    options = {"task_manager": manager, "limit": 12, "bootstrap_iters": 0}
    assert simple_evaluate(model="hf", model_args=model, tasks=[f"listops_{TASK}"], **options)
    assert sorted(seen) == prompt_ids(generate(get_task(TASK), "test", num_rows=12))


@pytest.mark.parametrize("lost", [None, "template", "use"])
def test_inspect_sends_the_prompt_or_nothing(requires: Callable[[str], None], lost: str | None) -> None:
    requires("inspect_ai")
    from inspect_ai.model import ChatMessageUser
    from inspect_ai.model._providers.hf import HuggingFaceAPI

    from listops_bench.harness.inspect_ai import check_prompt

    api = HuggingFaceAPI.__new__(HuggingFaceAPI)  # without a model
    api.tokenizer, api.chat_template, api.model_name = build_tokenizer(10), None, "org/first"
    api.use_chat_template, api.enable_thinking = (False if lost == "use" else None), None
    if lost == "template":
        api.tokenizer.chat_template = None
    prompt = "[SUM 1 2 ] ="
    with nullcontext() if lost is None else pytest.raises(InvalidInput, match="instead of"):
        check_prompt(api, [ChatMessageUser(content=prompt)], prompt)


def test_the_inspect_task_takes_the_parameters_of_a_task(requires: Callable[[str], None]) -> None:
    requires("inspect_ai")
    from listops_bench.harness.inspect_ai import listops

    made = listops("max_sum_mod20", split="test_deeper", num_rows=5, trace="single")
    assert made.dataset.name == "sum_max_mod20/test_deeper"
    assert len(made.dataset) == 5
    assert made.dataset[0].metadata["depth"] == 3  # type: ignore[index]
    with pytest.raises(InvalidInput, match="unknown evaluation split 'tst'; did you mean 'test'"):
        listops("sum", split="tst")
    with pytest.raises(InvalidInput, match="unknown task 'sun'"):
        listops("sun")


# --- files made from the registry -------------------------------------------------------------------------------------


def test_the_committed_files_are_those_of_the_registry(tmp_path: Path) -> None:
    (tmp_path / "listops_old.yaml").write_text("task: listops_old")  # is deleted
    (tmp_path / "notes.txt").write_text("mine")  # stays
    assert cli.main(["lm-eval-path", "--write", str(tmp_path)]) == 0
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made.pop("notes.txt") == "mine"
    committed = {path.name: path.read_text() for path in lm_eval_files.lm_eval_path().iterdir()}
    assert committed == made, "run: listops-bench lm-eval-path --write tasks/lm_eval"


def test_the_path_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lm-eval-path"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.is_absolute()
    assert (folder / f"listops_{TASK}.yaml").is_file()


def test_lm_eval_finds_every_task_split_and_group(requires: Callable[[str], None]) -> None:
    requires("lm_eval")
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(lm_eval_files.lm_eval_path()), include_defaults=False)
    kinds = ("", "_few_shot", *(f"_{split}" for split in SPLITS[1:] if split != "test"))
    expected = {f"listops_{name}{kind}" for name in curated_tasks() for kind in kinds}
    groups = {f"listops_{name}_splits" for name in curated_tasks()}
    groups |= {f"listops{m}{kind}" for m in ("", "_mod11", "_mod20") for kind in ("", "_few_shot")}
    assert set(manager.all_subtasks) == expected
    assert set(manager.all_groups) == groups


def read_page(name: str) -> Any:
    text = (lm_eval_files.lm_eval_path() / f"{name}.yaml").read_text()
    return yaml.safe_load(text.replace("!function ", ""))


@pytest.mark.parametrize("name", curated_tasks())
def test_every_file_says_what_its_task_is(name: str) -> None:
    task = get_task(name)
    files = {split: lm_eval_files.task_name(task, split) for split in SPLITS[1:]}
    for split, file in files.items():
        page = read_page(file)
        assert page["dataset_kwargs"] == {"task": name, "split": split}
        assert page["generation_kwargs"]["max_gen_toks"] == task.completion_limit == 64
    assert read_page(f"listops_{name}_splits")["task"] == [files[split] for split in SPLITS[2:]]
    few_shot = read_page(f"listops_{name}_few_shot")
    assert all(f"[{operation.upper()} " in few_shot["description"] for operation in task.operations)
    assert few_shot["generation_kwargs"]["until"] == ["\n"]


def test_any_task_has_files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hooks: Any) -> None:
    page, clock = tmp_path / "mine.yaml", tmp_path / "clock.yaml"
    page.write_text("med_operands: any\ntrace: single\n")
    clock.write_text("size: 3\noperations: {tick: {table: [0 1 2, 2 0 1, 1 2 0]}, med: {like: med}}")
    asked_for = f"tick_med@{clock}@{page}"
    cli.main(["lm-eval-path", "--write", str(tmp_path / "files"), "--task", "sum_max_nrgpt", asked_for])
    own = get_task(asked_for).name
    assert {path.name for path in (tmp_path / "files").glob("*_splits.yaml")} == {
        "listops_sum_max_nrgpt_splits.yaml", f"listops_{own}_splits.yaml",
    }  # fmt: skip
    monkeypatch.setattr("listops_bench.tasks._own.pages", {})  # another process
    asked = yaml.safe_load((tmp_path / "files" / f"listops_{own}.yaml").read_text())["dataset_kwargs"]
    rows = hooks.dataset(**asked)["test"]
    assert rows["prompt"][:9] == generate(get_task(own), "test", num_rows=9).prompts()
    assert hooks.process_results(rows[0], [rows[0]["completion"]])["trace_accuracy"] == 1
    text = yaml.safe_load((tmp_path / "files" / f"listops_{own}_few_shot.yaml").read_text())["description"]
    assert "leftmost innermost" in text
    assert "[TICK a b ... ]" in text
    assert "upper of the two" in text


# --- what lm-eval would do in silence ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hooks(requires: Callable[[str], None]) -> Any:
    requires("lm_eval")
    from listops_bench.harness import lm_eval

    return lm_eval


def test_a_model_of_another_modulus_is_not_asked(hooks: Any, checkpoint: Path) -> None:
    with pytest.raises(InvalidInput, match=r"task 'sum_mod20' has modulus 20, and model .* the vocabulary of others"):
        hooks.dataset("sum_mod20", pretrained=str(checkpoint))


def test_a_prompt_that_does_not_fit_is_an_error_that_names_both_numbers(hooks: Any, tmp_path: Path) -> None:
    config = load_config("looped_d008")
    config.max_position_embeddings = 72
    folder = save_checkpoint(tmp_path / "short", build_model(config), build_tokenizer(10))
    with pytest.raises(InvalidInput, match=r"has 18 tokens and its answer may have 64, and the context .* is 72"):
        hooks.dataset("sum", pretrained=str(folder))


def test_a_model_that_cannot_be_looked_at_is_left_to_lm_eval(hooks: Any) -> None:
    assert len(hooks.dataset("sum", "validation", pretrained="no/such", version="1")["test"]) == 1000


def test_examples_are_fixed_solved_and_from_train(hooks: Any) -> None:
    shown = hooks.examples(get_task(TASK))
    assert len(shown) == 4
    assert {row["root_operation"] for row in shown} == {"sum", "max", "med"}
    assert {row["depth"] for row in shown} == {2}
    train = generate(get_task(TASK), "train", num_rows=400)
    assert {row["id"] for row in shown} <= set(train.row_ids())
    assert all(score(row["prompt"], row["completion"]).trace for row in shown)
    assert shown == hooks.examples(get_task(TASK))


def test_the_step_rate_counts_steps(hooks: Any) -> None:
    assert hooks.step_rate(iter([(1, 2), (2, 2), (0, 0)])) == 0.75
    assert hooks.step_rate([]) == 0


# --- the metric -------------------------------------------------------------------------------------------------------


def test_the_metric_is_the_score_offline_and_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import evaluate

    monkeypatch.chdir(tmp_path)
    found = evaluate.load(listops_bench.metric_path()).compute(
        predictions=[" [SUM 3 9 4 ] = 6", " [SUM 3 8 4 ] = 6", " 5"],
        references=[" [SUM 3 9 4 ] = 6"] * 3,
        prompts=["[SUM 3 [MAX 2 9 ] 4 ] ="] * 3,
    )
    counts = [found[name] for name in ("n", "answers", "traces", "valid_step_rate")]
    assert counts == pytest.approx([3, 2, 1, 2 / 5])


# --- models whose score is known --------------------------------------------------------------------------------------


def test_an_untrained_model_solves_nothing_and_a_guess_is_right_by_chance(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "untrained", build_model("looped_d016", seed=0), build_tokenizer(10))
    (found,) = evaluate_checkpoint(folder, TASK, "test", num_rows=500)
    assert found.splits["test"].metrics.trace_accuracy.correct == 0
    # A number at random is right once in ten; the answers' own distribution does not matter.
    rows = generate(get_task(TASK), "test")
    draw = torch.Generator().manual_seed(0)
    guesses = [f" {digit}" for digit in torch.randint(10, (len(rows),), generator=draw).tolist()]
    guessed = summarise(map(score, rows.prompts(), guesses, rows.completions()))
    assert guessed.answer_accuracy.low < 0.1 < guessed.answer_accuracy.high
    assert guessed.trace_accuracy.correct == 0
    assert found.splits["test"].metrics.answer_accuracy.low < 0.1


def test_a_perfect_model_gets_every_row_of_every_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from listops_bench.evaluate import run as module

    folder = save_checkpoint(tmp_path / "c", build_model("looped_d008"), build_tokenizer(10))
    monkeypatch.setattr(module, "predict_many", lambda _, rows, *__: [predict(Parrot(rows), rows)])  # type: ignore[arg-type]
    (found,) = evaluate_checkpoint(folder, TASK, num_rows=300, track="constructed")
    assert list(found.splits) == list(SPLITS[2:])
    for split, scored in found.splits.items():
        for metric in (scored.metrics.answer_accuracy, scored.metrics.trace_accuracy, scored.metrics.valid_step_rate):
            assert metric.correct == metric.n, split
        assert scored.first_wrong_step == {}
    assert all(steps.n == steps.correct for steps in found.splits["test_unseen_operands"].held_out.values())
