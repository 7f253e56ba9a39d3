"""The command line: one clear line for bad input, help with examples, quiet ends, quick start."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from listops_bench import __version__
from listops_bench._base.command import Parser
from listops_bench._base.stopping import Stopped
from listops_bench.cli import command as cli, data
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.model.checkpoint import save_checkpoint
from listops_bench.model.ladder import build_model
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.result.files import write_result
from listops_bench.runs.record import RunRecord
from listops_bench.tasks.task import curated_tasks
from tests.support.fake_results import demo_results
from tests.support.runs import environment


def verbs() -> dict[str, Parser]:
    """Every verb, those of ``leaderboard`` as ``leaderboard build``."""
    found: dict[str, Parser] = {}
    todo = dict(cli.build_parser().verbs)
    while todo:
        name, parser = todo.popitem()
        found[name] = parser
        todo |= {f"{name} {inner}": p for inner, p in parser.verbs.items()}
    return found


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(verbs()))
def test_every_verb_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*name.split(), "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "example: " in text
    if name != "train":  # training's help is that of `accelerate launch -m listops_bench.train`
        assert f"example: listops-bench {name}" in text
        assert f"usage: listops-bench {name}" in text


def test_examples_parse() -> None:
    """An example with an unknown flag would teach something wrong."""

    for name, parser in verbs().items():
        if name != "train":
            _, _, example = (parser.epilog or "").partition("listops-bench ")
            words = shlex.split(example)[len(name.split()) :]
            assert parser.parse_known_args(words)[1] == []


def test_no_words_show_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {name}\b", text, re.MULTILINE) for name in verbs() if " " not in name)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"listops-bench {__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["tarin"], ["models"]])
def test_help_a_typo_and_lists_load_little(words: list[str]) -> None:
    code = f"""
import sys
from listops_bench.cli import main
try:
    main({words})
except SystemExit:
    pass
heavy = ("torch", "transformers", "datasets", "numba", "numpy", "scipy", "altair")
print(len(sys.modules), [name for name in heavy if name in sys.modules])
"""
    output = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment())
    count, _, heavy = output.splitlines()[-1].partition(" ")
    assert heavy == "[]"
    assert int(count) < 400  # 176 when this was written, 310 with the tables of `models`


# --- bad input --------------------------------------------------------------------------------------------------------


AT_LEAST_1 = "'0' is not a whole number of at least 1"

BAD = [
    ("taks", "unknown verb 'taks'; did you mean 'tasks'?"),
    ("tasks --row 3", "unknown option '--row'; did you mean '--rows'?"),
    ("tasks --modulu=3", "unknown option '--modulu'; did you mean '--modulus'?"),
    ("tasks sum_max_mid", "unknown task 'sum_max_mid'; did you mean 'sum_max_med'?"),
    ("tasks sum --split tset", "unknown split 'tset'; did you mean 'test'?"),
    ("sweep x.yaml --retry-faild", "unknown option '--retry-faild'; did you mean '--retry-failed'?"),
    ("train --taks sum", "unknown option '--taks'; did you mean '--task'?"),
    ("tasks sum --modulus 1", "modulus 1 is not in 2..64; the nearest valid one is 2"),
    ("tasks sum --modulus ten", "argument --modulus: invalid int value: 'ten' (see: listops-bench tasks --help)"),
    ("tasks sum --min-operands 1 --max-operands 1", "min_operands 1 is not in 2..8; the nearest valid one is 2"),
    ("tasks sum --unique 2", "argument --unique: '2' is neither true nor false (see: listops-bench tasks --help)"),
    ("prepare sum --num-proc 0", f"argument --num-proc: {AT_LEAST_1} (see: listops-bench prepare --help)"),
    ("tasks sum max", "unexpected argument 'max' (see: listops-bench tasks --help)"),
    ("tasks sum --rows 0", f"argument --rows: {AT_LEAST_1} (see: listops-bench tasks --help)"),
    ("train --tusk sum", "unknown option '--tusk'; did you mean '--task'?"),
    ("train --task summ --output-dir x", "unknown task 'summ'; did you mean 'sum'?"),
    (
        "evaluate no/such/folder --task sum",
        "checkpoint 'no/such/folder' is not a folder, nor a model id such as 'org/name'",
    ),
    ("evaluate x --split tset", "unknown evaluation split 'tset'; did you mean 'test'?"),
    ("evaluate x --track refrence", "unknown track 'refrence'; did you mean 'reference'?"),
    ("leaderboard validate tests/cli", "results folder 'tests/cli' holds no file MODEL/REVISION/TASK.json"),
    ("leaderboard verify tests/cli", "results folder 'tests/cli' holds no file MODEL/REVISION/TASK.json"),
    ("baselines sum --split tst", "unknown split 'tst'; did you mean 'test'?"),
    ("trace", "the following arguments are required: EXPRESSION (see: listops-bench trace --help)"),
    ("trace hello", "not a ListOps expression: 'hello' is neither a number, an operation nor ']'"),
    ("trace [SUM_1_2_] --style paralel", "unknown trace style 'paralel'; did you mean 'parallel'?"),
    ("trace [SUM_3_19_]", "number 19 is outside 0..9; the nearest valid one is 9"),
    ("trace [SUM_3_[MAX_2_]", "not a ListOps expression: '[SUM' is never closed in '[SUM 3 [MAX 2 ]'"),
    ("trace [SIM_3_2_]", "unknown operation '[SIM'; did you mean '[SUM'?"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[words for words, _ in BAD])
def test_bad_input_is_one_line_and_exit_code_2(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    # in these lines, an expression's spaces are written "_"
    code = cli.main([w.replace("_", " ") if w.startswith("[") else w for w in words.split()])
    out, err = capsys.readouterr()
    assert (code, out, err) == (2, "", f"error: {message}\n")


def test_a_value_that_goes_on_for_ever_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["curriculum", f"sum:3/until={'x' * 70_000}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: until 'xxx")
    assert len(error) < 2_000


def test_the_real_process_says_it_on_stderr_too() -> None:
    command = [sys.executable, "-m", "listops_bench", "taks"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown verb 'taks'; did you mean 'tasks'?\n"


# --- how it ends ------------------------------------------------------------------------------------------------------


def ending_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(**arguments: object) -> None:
        raise error

    monkeypatch.setattr(data, "tasks", fail)
    return cli.main(["tasks"])


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (KeyboardInterrupt(), 130, ""),
        (InvalidInput("no such\nthing"), 2, "error: no such thing\n"),
        (EnvironmentFailed("the Hub is away"), 3, "error: the Hub is away\n"),
        (PermissionError(13, "Permission denied", "/etc/board"), 3, "error: Permission denied: /etc/board\n"),
        (OSError(28, "No space left on device"), 3, "error: No space left on device\n"),
        (RuntimeError("I/O error: no space (os error 28)"), 3, "error: No space left on device\n"),
        (OSError("[Errno 28] Error writing bytes to file"), 3, "error: No space left on device\n"),
        (caused(ValueError("the dataset could not be made"), OSError(5, "I/O", "x")), 3, "error: I/O: x\n"),
        (Stopped(143, "saved after step 3"), 143, "saved after step 3: SIGTERM; the same command goes on from there\n"),
    ],
)
def test_what_goes_wrong_is_an_exit_code_and_one_line(
    error: BaseException, code: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending_with(error, monkeypatch) == code
    assert capsys.readouterr() == ("", shown)


def test_a_defect_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        ending_with(ZeroDivisionError(), monkeypatch)


@pytest.mark.parametrize("words", ["tasks", "trace '[SUM 1 2 ]'"])
def test_a_full_disk_behind_the_output_is_one_line(words: str) -> None:
    script = f'"{sys.executable}" -m listops_bench {words} > /dev/full'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("error: No space left on device")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    script = f'"{sys.executable}" -m listops_bench tasks | true; echo "${{PIPESTATUS[0]}}"'
    own = environment(PYTHONUNBUFFERED="1")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=own, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "141"}


# --- verbs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["[SUM 3 [MAX 2 9 ] 4 ] ="], ["[SUM 3 [MAX 2 9 ] 4 ] =", "[SUM 3 9 4 ]", "6"]),
        (
            ["[SUM [MAX 2 19 ] [MIN 4 3 ] ]", "--modulus", "20", "--style", "single"],
            ["[SUM [MAX 2 19 ] [MIN 4 3 ] ] =", "[SUM 19 [MIN 4 3 ] ]", "[SUM 19 3 ]", "2"],
        ),
    ],
)
def test_trace_solves_step_by_step(words: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", *words]) == 0
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.check_all
def test_an_exported_folder_is_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    assert cli.main(["export", str(folder), "--task", "max"]) == 0
    assert capsys.readouterr().out == f"{folder}: 62,000 rows in 6 files\n"
    assert (folder / "README.md").exists()
    assert cli.main(["export", str(folder), "--task", "maxx"]) == 2


def test_prepare_prints_the_cache_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", "max", "--num-train", "100", "--num-test", "10", "--cache-dir", str(tmp_path)]
    assert cli.main(words) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.is_relative_to(tmp_path)
    assert list(folder.glob("*.arrow"))


def test_baselines_come_with_n_and_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["baselines", "max", "--num-train", "500", "--num-test", "200"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"majority +\d+\.\d% +\d+\.\d% to \d+\.\d% +200", text)


def test_the_board_is_built_and_made_up_results_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:

    files = [str(write_result(tmp_path / "results", result)) for result in demo_results()]
    assert cli.main(["leaderboard", "build", str(tmp_path / "results"), "--output-dir", str(tmp_path / "board")]) == 0
    assert (tmp_path / "board" / "site" / "index.html").exists()
    assert capsys.readouterr().out.startswith("8 results: ")

    assert cli.main(["leaderboard", "validate", *files]) == 2  # their rows are made up
    out, err = capsys.readouterr()
    assert out == "0 of 8 result files are valid\n"
    assert [line.partition(": ")[2].partition(": ")[0] for line in err.splitlines()] == files
    assert cli.main(["leaderboard", "build", str(tmp_path / "none")]) == 2
    assert cli.main(["leaderboard", "build", str(tmp_path / "results"), "--runs", "x", "--curve-task", "summ"]) == 2
    assert "did you mean 'sum'" in capsys.readouterr().err


def test_a_median_that_others_read_otherwise_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for expression, answer, told in (("[MED 1 2 3 4 ]", "3", "the answer is 2"), ("[MED 1 3 4 ]", "3", "")):
        assert cli.main(["trace", expression]) == 0
        out, err = capsys.readouterr()
        assert out.splitlines()[-1] == answer
        assert err.rstrip().endswith(told)


def test_the_shares_that_are_printed_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("0.25,0.75", "0.25 0.75"):
        assert cli.main(["tasks", "max", "--depth-weights", given]) == 0
        assert re.search(r"depth_weights +0\.25,0\.75\s", capsys.readouterr().out)
    assert cli.main(["tasks", "max", "--depth-weights", "0.5;0.5"]) == 2
    assert "0.015,0.985" in capsys.readouterr().err


def test_no_board_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a sweep prints, pasted in a checkout: its board lies beside its results. No results make no board."""
    published = tmp_path / "leaderboard" / "README.md"
    published.parent.mkdir()
    published.write_text("published")
    monkeypatch.chdir(tmp_path)
    for result in demo_results():
        write_result(tmp_path / "sweep" / "results", result)
    assert cli.main(["leaderboard", "build", "sweep/results"]) == 0
    assert Path("sweep/board/CLAIMS.md").is_file()
    Path("empty").mkdir()
    capsys.readouterr()
    for verb in ("build", "claims", "thresholds", "validate", "verify"):
        assert cli.main(["leaderboard", verb, "empty"]) == 2
        assert "MODEL/REVISION/TASK.json" in capsys.readouterr().err
    (wrong := Path("empty/a/b/c.json")).parent.mkdir(parents=True)
    wrong.write_text("[]")
    for verb, flag, place in (
        ("build", "--output-dir", "leaderboard"),
        ("claims", "--output", "leaderboard/README.md"),
    ):
        assert cli.main(["leaderboard", verb, "empty", flag, place]) == 2
    assert [path.name for path in published.parent.iterdir()] == ["README.md"]
    assert published.read_text() == "published"


def test_a_checkpoint_answers_a_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:

    folder = save_checkpoint(tmp_path / "model", build_model("looped_d008"), build_tokenizer())
    assert cli.main(["evaluate", str(folder), "--prompt", "[SUM 3 [MAX 2 9 ] 4 ]"]) == 0
    answer, verdict = capsys.readouterr().out.splitlines()
    assert answer.startswith("[SUM 3 [MAX 2 9 ] 4 ] = ")
    assert verdict in {"right: [SUM 3 9 4 ] = 6", "wrong: [SUM 3 9 4 ] = 6"}

    single = RunRecord(config={"trace": "single"})
    other = save_checkpoint(tmp_path / "single", build_model("looped_d008"), build_tokenizer(), single)
    assert cli.main(["evaluate", str(other), "--prompt", "[SUM [MIN 3 1 ] [MAX 2 9 ] ]"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("g: [SUM 1 [MAX 2 9 ] ] = [SUM 1 9 ] = 0")

    assert cli.main(["evaluate", str(folder), "--prompt", "[SUM 3 14 ]"]) == 2
    assert cli.main(["evaluate", str(folder), "--prompt", f"[SUM {'1 ' * 200}]"]) == 2
    assert cli.main(["evaluate", str(folder), "--prompt", "hello"]) == 2
    assert cli.main(["evaluate", str(folder / "no"), "--prompt", "[SUM 1 2 ]"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "error: number 14 is outside 0..9; the nearest valid one is 9",
        "error: the prompt has 203 tokens, and the model's context is 128",
    ]
    assert len(lines) == 4


def test_tasks_lists_the_curated_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tasks"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n {name} " in text for name in curated_tasks())


def test_an_operation_of_a_page_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("o.yaml").write_text("size: 2\noperations:\n  flip: {table: [0 1, 1 0]}\n  max: {like: max}\n")
    assert cli.main(["tasks", "flip_max@o.yaml", "--rows", "1"]) == 0
    text = capsys.readouterr().out
    assert re.search(r" FLIP .* a table *$", text, re.MULTILINE)
    assert re.search(r" MAX .* as MAX *$", text, re.MULTILINE)


def test_a_task_is_shown_with_rows_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tasks", "max_sum", "--modulus", "20", "--rows", "2", "--split", "validation"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("sum_max_mod20: ")
    assert "sum_max_mod20/validation/00001" in text
    assert "[SUM " in text
