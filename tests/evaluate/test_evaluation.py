"""A checkpoint's results: right counts, full provenance, the same each time, one line for what cannot be scored."""

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from listops_bench._base.command import run_command
from listops_bench.errors import InvalidInput
from listops_bench.evaluate import run as module
from listops_bench.evaluate.checkpoint import architecture, open_checkpoint
from listops_bench.evaluate.decoding import predict
from listops_bench.evaluate.paired import compare_checkpoints
from listops_bench.evaluate.run import TEST_SPLITS, device_of, evaluate_checkpoint, evaluate_many
from listops_bench.model.checkpoint import save_checkpoint, weights_sha256
from listops_bench.model.ladder import build_model, load_config, model_names, parameter_counts
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.pages.results import held_out_table, print_results, score_table, shortcut_table
from listops_bench.pages.tables import to_markdown, to_records
from listops_bench.result import checks as result_module
from listops_bench.result.files import find_results, read_result, result_path
from listops_bench.result.format import Result
from listops_bench.runs.record import Learning
from listops_bench.score.completion import SCORER_VERSION, ByForm, score
from listops_bench.tasks.baselines import baselines
from listops_bench.tasks.expression import parse
from listops_bench.tasks.generator import generate, rows_checksum
from listops_bench.tasks.operations import OPERATIONS
from listops_bench.tasks.split import canonical
from listops_bench.tasks.task import DATASET_VERSION, get_task
from tests.support.fake_checkpoints import make_checkpoint, run_record
from tests.support.fake_results import sha256

N = 60


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_checkpoint(tmp_path_factory.mktemp("runs") / "first", run_record())
    validations = [{"step": 10, "validation": {"trace_accuracy": 0.25, "sum/trace_accuracy": 0.25}}, {"step": 15}]
    (folder / "train_log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in validations))
    return folder


@pytest.fixture(scope="module")
def results(checkpoint: Path) -> list[Result]:
    return evaluate_checkpoint(checkpoint, ["sum", "max_sum"], ["test_unseen_operands", "test"], num_rows=N)


# --- what a result says -----------------------------------------------------------------------------------------------


def test_counts_are_those_of_scoring_each_prediction(checkpoint: Path, results: list[Result]) -> None:
    model = open_checkpoint(checkpoint).model
    for found in results:
        assert list(found.splits) == ["test", "test_unseen_operands"]
        for split, scored in found.splits.items():
            rows = generate(get_task(found.task.name), split, num_rows=N)
            completions = predict(model, rows).completions
            scores = [score(p, c, r) for p, c, r in zip(rows.prompts(), completions, rows.completions(), strict=True)]
            text = "".join(f"{completion}\n" for completion in completions)
            assert (scored.n, scored.rows_sha256, scored.predictions_sha256) == (N, rows_checksum(rows), sha256(text))
            assert scored.metrics.answer_accuracy.correct == sum(s.answer for s in scores)
            assert scored.metrics.trace_accuracy.correct == sum(s.trace for s in scores)
            assert scored.metrics.valid_step_rate.n == sum(s.num_steps for s in scores)
            wrong = Counter(str(s.first_wrong_step) for s in scores if s.first_wrong_step)
            assert [*scored.first_wrong_step.items()] == sorted(wrong.items(), key=lambda item: int(item[0]))
            forms = [canonical(parse(prompt, 10)) for prompt in rows.prompts()]
            assert scored.by_form == ByForm.of(scores, [sorted(map(str, forms)).index(str(form)) for form in forms])
            assert scored.by_form.forms == len({*map(str, forms)})
            depths = Counter(rows.depth.tolist())
            assert {int(d): g.trace_accuracy.n for d, g in scored.slices["depth"].items()} == depths
            roots = Counter(list(OPERATIONS)[i] for i in rows.root_operation)
            assert {o: g.trace_accuracy.n for o, g in scored.slices["root_operation"].items()} == roots


def test_provenance_is_complete(checkpoint: Path, results: list[Result]) -> None:
    first = results[0]
    assert [found.task.name for found in results] == ["sum", "sum_max"]
    assert first.model.weights_sha256 == weights_sha256(checkpoint)
    assert (first.model.id, first.recipe.seed) == (first.recipe.id, 3)
    assert first.parameters == parameter_counts(build_model("looped_d008"))
    assert (first.architecture.name, first.architecture.family) == ("looped_d008", "looped")
    assert (first.dataset_version, first.scorer_version) == (DATASET_VERSION, SCORER_VERSION)
    assert first.training.curriculum == "max_med:10,sum:20"
    assert "torch" in first.evaluation.environment.packages
    assert first.evaluation.environment.hardware
    assert first.learning == Learning(n=256, correct={"10": 64})
    assert results[1].learning is None


def test_the_same_evaluation_gives_the_same_result_but_for_its_times(checkpoint: Path, results: list[Result]) -> None:
    again = evaluate_checkpoint(checkpoint, "sum", ["test", "test_unseen_operands"], num_rows=N, batch_size=7)[0]
    assert dataclasses.replace(again, evaluation=results[0].evaluation) == results[0]


def test_by_default_all_own_tasks_and_test_splits(checkpoint: Path) -> None:
    seen: list[tuple[str, str]] = []
    found = evaluate_checkpoint(checkpoint, num_rows=3, on_split=lambda *place: seen.append(place))
    assert [one.task.name for one in found] == ["max_med", "sum", "max", "med"]
    assert seen == [(one.task.name, split) for one in found for split in TEST_SPLITS]


def test_results_and_predictions_are_written(checkpoint: Path, tmp_path: Path) -> None:
    (found,) = evaluate_checkpoint(
        checkpoint, "sum", "test", num_rows=N, results_dir=tmp_path / "results", predictions_dir=tmp_path / "answers"
    )
    (path,) = find_results(tmp_path / "results")
    assert path == result_path(tmp_path / "results", found)
    assert read_result(path, tmp_path / "results") == found
    (answers,) = (tmp_path / "answers").rglob("*.jsonl")
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"sum/test/{i:05d}" for i in range(N)]
    assert sum(line["answer"] for line in lines) == found.splits["test"].metrics.answer_accuracy.correct
    for line in lines:
        again = score(line["prompt"], line["completion"], line["reference"])
        assert (again.answer, again.trace, again.valid_steps) == (line["answer"], line["trace"], line["valid_steps"])


def test_the_style_it_was_trained_on_is_the_style_it_is_scored_on(tmp_path: Path) -> None:
    run = run_record("sum:5")
    run["config"]["trace"] = "none"
    folder = make_checkpoint(tmp_path / "run", run)
    (found,) = evaluate_checkpoint(folder, splits="test", num_rows=5)
    (other,) = evaluate_checkpoint(folder, splits="test", num_rows=5, trace="single")
    assert (found.task.trace, other.task.trace) == ("none", "single")
    assert other.splits["test"].rows_sha256 != found.splits["test"].rows_sha256


def test_a_checkpoint_of_another_modulus(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "run", run_record("sum_mod20:5"), modulus=20)
    (found,) = evaluate_checkpoint(folder, splits="test", num_rows=5)
    assert (found.task.name, found.task.modulus, found.architecture.name) == ("sum_mod20", 20, "looped_d008")


def test_a_folder_without_provenance_has_results_too(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "run", {})
    (folder / "run.json").unlink()
    (found,) = evaluate_checkpoint(folder, "sum", "test", num_rows=5, track="constructed", results_dir=tmp_path / "r")
    assert (found.training, found.recipe.seed, found.track) == (None, None, "constructed")
    with pytest.raises(InvalidInput, match="does not say what it was trained on"):
        evaluate_checkpoint(folder)


# --- recipes and architectures ----------------------------------------------------------------------------------------


def test_seeds_share_a_recipe_and_nothing_else_does(tmp_path: Path) -> None:
    runs = [run_record(seed=seed, dataset_seed=rows) for seed, rows in ((0, 0), (1, 0), (0, 4))]
    runs += [run_record(seed=0, dataset_seed="4"), run_record(seed=0, learning_rate=1e-3)]
    runs += [run_record(seed=0, data_seed=7), run_record("sum:30")]
    found = [open_checkpoint(make_checkpoint(tmp_path / str(i), run)).recipe for i, run in enumerate(runs)]
    assert found[0].id.startswith("looped_d008-max_med-10-sum-20-")
    assert [one.id == found[0].id for one in found] == [True] * 3 + [False] * 4
    assert [one.dataset_seed for one in found] == [None, None, 4, None, None, None, None]


def test_a_recipe_of_any_curriculum_is_a_plain_name(tmp_path: Path) -> None:
    long = ",".join(f"sum*0.5+max_med*0.25:{steps}/freeze=model.block.*" for steps in range(1, 30))
    name = open_checkpoint(make_checkpoint(tmp_path / "a", run_record(long))).recipe.id
    assert len(name) <= 160
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


@pytest.mark.parametrize("name", model_names())
def test_every_rung_is_recognised_by_its_shape(name: str) -> None:
    found = architecture(load_config(name, modulus=11))
    assert (found.name, found.context) == (name, 128)


@pytest.mark.parametrize(
    ("rung", "changes", "name", "family"),
    [
        ("looped_d048", {"hidden_size": 40}, "looped_d040", "looped"),
        ("looped_rope_d008", {"hidden_size": 10}, "looped_rope_d010", "looped_rope"),
        ("looped_d048", {"hidden_size": 25}, "looped_d025", "looped"),  # no width of the families with rotary positions
        ("nrgpt_d040", {"hidden_size": 48}, "nrgpt_d048", "nrgpt"),
        ("looped_d048", {"hidden_size": 40, "num_attention_heads": 2}, "listops_looped_d040_l3", "listops_looped"),
        ("looped_d048", {"n_loop": 4}, "listops_looped_d048_l4", "listops_looped"),
        ("llama_d064", {"num_hidden_layers": 2}, "llama_d064_l2", "llama-other"),
        ("gpt2_d032", {"num_attention_heads": 2}, "gpt2_d032_l3", "gpt2-other"),
    ],
)
def test_a_width_between_rungs_is_of_the_family_and_other_shapes_are_not(
    rung: str, changes: dict[str, int], name: str, family: str
) -> None:
    config = load_config(rung)
    for key, value in changes.items():
        setattr(config, key, value)
    found = architecture(config)
    assert (found.name, found.family) == (name, family)


# --- what cannot be scored --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": "sun"}, "unknown task 'sun'; did you mean 'sum'"),
        ({"splits": "tset"}, "unknown evaluation split 'tset'; did you mean 'test'"),
        ({"splits": "train"}, "unknown evaluation split 'train'"),
        ({"tasks": "sum_mod20"}, "task 'sum_mod20' has modulus 20, and checkpoint .* was made for modulus 10"),
        ({"track": "best"}, "unknown track 'best'"),
        ({"num_rows": 0}, "num_rows 0"),
        ({"device": "gpu0"}, "device 'gpu0' is not there; use 'cpu'"),
        ({"device": "cuda:77"}, "device 'cuda:77' is not there"),
    ],
)
def test_bad_requests_are_one_line(checkpoint: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as error:
        evaluate_checkpoint(checkpoint, **options)
    assert "\n" not in str(error.value)


def test_a_wrong_split_is_noticed_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="split"):
        evaluate_checkpoint(tmp_path / "nothing", splits="tset")
    with pytest.raises(InvalidInput, match="is not a folder"):
        evaluate_checkpoint(tmp_path / "nothing", "sum")


BROKEN = {
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "truncated weights": lambda folder: (folder / "model.safetensors").write_bytes(b"\x10\x00"),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "broken run.json": lambda folder: (folder / "run.json").write_text("{"),
    "another program's run.json": lambda folder: (folder / "run.json").write_text('{"training": {"steps": 5}}'),
    "a seed that is none": lambda folder: edit(folder, seed="three"),
    "an identity that is none": lambda folder: edit(folder, identity=5),
    "a config that is none": lambda folder: edit(folder, config="x"),
    "an unknown trace style": lambda folder: edit(folder, config={"trace": "paralel", "eval_rows": 256}),
    "a run without a trace style": lambda folder: edit(folder, config={"eval_rows": 256}),
}


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_one_line_that_names_it(checkpoint: Path, tmp_path: Path, spoil: Any) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "broken")
    spoil(folder)
    with pytest.raises(InvalidInput) as error:
        evaluate_checkpoint(folder, "sum", "test", num_rows=2)
    assert "broken" in str(error.value)
    assert "\n" not in str(error.value)


def test_rows_longer_than_the_context_are_an_error_before_any_is_scored(tmp_path: Path) -> None:
    """Those of `test` fit into 32 tokens, some of `test_deeper` do not."""

    def short(context: int) -> Path:
        config = load_config("looped_d008")
        config.max_position_embeddings = context
        return save_checkpoint(tmp_path / f"short{context}", build_model(config), build_tokenizer(10))

    def scored(task: str, split: str) -> None:
        raise AssertionError(f"{task}, {split} was scored")

    with pytest.raises(InvalidInput, match=r"needs \d+ tokens .* context is 12"):
        evaluate_checkpoint(short(12), "sum", "test", num_rows=20, on_split=scored)
    folder, longest = short(32), [int(generate(get_task("sum"), split).num_tokens.max()) for split in TEST_SPLITS]
    assert longest[TEST_SPLITS.index("test")] <= 32 < max(longest)
    with pytest.raises(InvalidInput, match=r"row sum/test_deeper/\d+ needs \d+ tokens .* context is 32"):
        evaluate_checkpoint(folder, "sum", on_split=scored)
    with pytest.raises(InvalidInput, match="context is 32"):
        compare_checkpoints(folder, folder, ["sum"], ["test", "test_deeper"], on_split=scored)
    (found,) = evaluate_many([open_checkpoint(folder)], "sum", on_split=scored)
    assert isinstance(found, InvalidInput)


def test_more_rows_than_there_are_is_all_of_them(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = dataclasses.replace(get_task("sum"), num_test=7)
    monkeypatch.setattr(module, "get_task", lambda name, **_: small)
    monkeypatch.setattr(result_module, "get_task", lambda name: small)
    (found,) = evaluate_checkpoint(checkpoint, "sum", "test", num_rows=1000)
    assert found.splits["test"].n == 7


# --- for people -------------------------------------------------------------------------------------------------------


def test_the_table_never_hides_n_or_interval(results: list[Result]) -> None:
    scores = score_table(results)
    for line, found in zip(scores.rows[::2], results, strict=True):
        trace = found.splits["test"].summary("trace_accuracy")
        shown = [cell.text for cell in line.cells[:4]] + [line.cells[3].detail]
        interval = f"{100 * trace.low:.1f} to {trace.high:.1%}"
        assert shown == [found.task.name, "test", str(N), f"{trace.accuracy:.1%}", interval]
    assert all(text in to_markdown(scores) for text in ("| n |", "| 95% interval |"))


def test_the_table_has_the_shortcuts_of_the_same_rows_beside_the_scores(results: list[Result]) -> None:
    scores = to_records(score_table(results, best_shortcut=True))
    shortcuts = to_records(shortcut_table(results))
    expected = [(found.task.name, split) for found in results for split in found.splits]
    for (task, split), row, best in zip(expected, shortcuts, scores, strict=True):
        reached = {b.name: f"{b.accuracy:.1%}" for b in baselines(get_task(task), split, num_rows=N)}
        assert row == {"shortcuts on": task, "split": split, **reached}
        assert best["best shortcut"] == max(reached.values(), key=lambda text: float(text.rstrip("%")))
    assert [row["operation"] for row in to_records(held_out_table(results))] == ["sum", "max", "sum"]


def test_the_tables_are_printed(results: list[Result], capsys: pytest.CaptureFixture[str]) -> None:
    print_results(results)
    out = capsys.readouterr().out
    assert all(title in out for title in ("valid steps", "root_on_leaves", "multisets"))


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, False, "cuda"), (False, True, "mps"), (True, True, "cuda"), (False, False, "cpu")],
)
@pytest.mark.parametrize("name", [None, "auto"])
def test_the_first_device_that_is_there(
    name: str | None, cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert device_of(name).type == expected


def test_an_operation_that_apples_gpu_lacks_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise NotImplementedError("The operator 'x' is not currently implemented for the MPS device. If you want\n...")

    assert run_command(work) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "'x'" in line
    assert "--device cpu" in line
