"""How long the board of 5,000 results takes to build, and its page to answer each control.

    python benchmarks/board.py > benchmarks/results/board.json

The results are the published ones, and as many more as are asked for, made from them: other seeds of their recipes,
other sizes, and other budgets, each with weights and answers of its own, and as many of them verified. The build is the
command, in a process of its own: seconds by the clock and of processor time, those of its parts (what several parts
need counts for the first of them), and the ratio to the published results alone. The page is driven by a headless
Chromium where there is one: milliseconds from an act until the second frame after it, and those of its main thread's
processor time, the median of several times each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from listops_bench._base.processes import ONE_THREAD, own_imports, own_python
from listops_bench.result.files import find_results, read_result, write_result
from listops_bench.result.format import Result
from listops_bench.result.verified import Verification, read_verified, result_sha256, write_verified
from listops_bench.runs.provenance import environment

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "leaderboard"
SIZE_STEP = 1.09
"""Parameters of one copy over those of the copy before it."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=int, default=5_000)
    parser.add_argument("--published", type=Path, default=PUBLISHED, help="the board that they are made from")
    parser.add_argument("--keep", type=Path, help="a folder for the board that is built (default: a temporary one)")
    parser.add_argument("--times", type=int, default=5, help="that each control of the page is used")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.build:
        print(json.dumps(build_parts(options.build)))
        return
    with tempfile.TemporaryDirectory(prefix="listops-board-") as temporary:
        small, large = Path(temporary) / "published", options.keep or Path(temporary) / "large"
        fewer = make_board(small, options.published, 0)
        number = make_board(large, options.published, options.results)
        before, after = timed_build(small), timed_build(large)
        figures: dict[str, Any] = {
            "results": number,
            **after,
            "published_results": fewer,
            "published": before,
            "ratio": round(after["cpu_seconds"] / before["cpu_seconds"], 2),
            "page": page_figures(large / "site" / "index.html", options.times),
        }
    print(json.dumps({**figures, "environment": asdict(environment(torch.device("cpu")))}, indent=2))


# --- the results ------------------------------------------------------------------------------------------------------


def make_board(folder: Path, published: Path, number: int) -> int:
    """Lays the published results out in a folder, with copies up to a number, and returns how many there are."""
    shutil.copytree(published / "results", folder / "results", dirs_exist_ok=True)
    for name in ("plans", "analysis", "weights"):
        if (published / name).exists():
            (folder / name).symlink_to(published / name)
    verified = dict(read_verified(published / "results"))
    by_model: dict[object, list[tuple[Result, Verification | None]]] = defaultdict(list)
    for path in find_results(published / "results"):
        result = read_result(path)
        by_model[result.model].append((result, verified.get(result_sha256(result))))
    left = number - sum(map(len, by_model.values()))
    for result, record in copies(list(by_model.values()), left):
        path = write_result(folder / "results", result)
        if record is not None:
            own = replace(record, path=path.relative_to(folder / "results").as_posix(), tensors_sha256=None, splits={})
            verified[result_sha256(result)] = own
    write_verified(folder / "results", verified)
    return max(left, 0) + sum(map(len, by_model.values()))


def copies(
    models: Sequence[Sequence[tuple[Result, Verification | None]]], number: int
) -> Iterator[tuple[Result, Verification | None]]:
    """So many results like some models', each model changed as a whole."""
    made = 0
    for turn in range(1, number + 1):
        for model in models:
            for result, record in model:
                if made == number:
                    return
                made += 1
                yield changed(result, turn), record


def changed(result: Result, turn: int) -> Result:
    """Another model's result with the same counts: by turns one of another seed, another size, another budget."""
    recipe, model = result.recipe, replace(result.model, weights_sha256=_other(result.model.weights_sha256, turn))
    splits = {
        name: replace(split, predictions_sha256=_other(split.predictions_sha256, turn))
        for name, split in result.splits.items()
    }
    found = replace(result, splits=splits)
    training, which = result.training, turn % 3
    if training is None or recipe.seed is None:
        name = f"{model.id}-{turn}"
        return replace(found, model=replace(model, id=name), recipe=replace(recipe, id=name))
    if which == 1:
        return replace(found, model=model, recipe=replace(recipe, seed=recipe.seed + 1000 * turn))
    name = f"{recipe.id.rpartition('-')[0]}-{_other(recipe.id, turn)[:8]}"
    if which == 2:
        more = round(result.parameters.total * (SIZE_STEP**turn - 1))
        size, shape = result.parameters, result.architecture
        own: dict[str, Any] = {
            "total": size.total + more,
            "non_embedding": size.non_embedding and size.non_embedding + more,
        }
        found = replace(
            found, parameters=replace(size, **own), architecture=replace(shape, name=f"{shape.name}_{turn}")
        )
    else:
        steps = re.sub(r":(\d+)", lambda match: f":{turn * int(match[1])}", training.curriculum)
        counts = {key: turn * getattr(training, key) for key in ("steps", "budget", "tokens", "loss_tokens")}
        seen = {key: turn * count for key, count in training.reductions.items()}
        found = replace(found, training=replace(training, curriculum=steps, reductions=seen, **counts))
    return replace(found, model=replace(model, id=name), recipe=replace(recipe, id=name))


def _other(text: str | None, turn: int) -> str:
    return hashlib.sha256(f"{text} {turn}".encode()).hexdigest()


# --- the build --------------------------------------------------------------------------------------------------------

PARTS = (
    "read_boards",
    "figures",
    "page",
    "pages_of_models",
    "thresholds_json",
    "downloads",
    "markdown",
    "write_atomic",
)
"""Of `listops_bench.leaderboard.output`; claims are a part beside these. All are measured in one process."""


def timed_build(folder: Path) -> dict[str, Any]:
    """The command in a process of its own: seconds by the clock, of processors, and of its parts."""
    environ = {**os.environ, **own_imports(), **ONE_THREAD}
    words = [*own_python(), "-m", "listops_bench", "leaderboard", "build", str(folder / "results")]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words += ["--output-dir", str(folder)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environ)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    parts = subprocess.run(
        [*own_python(), __file__, "--build", str(folder)], check=True, capture_output=True, text=True, env=environ
    )
    return {
        "built": int(done.stdout.split()[0]),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "parts_cpu_seconds": json.loads(parts.stdout.splitlines()[-1]),
    }


def build_parts(folder: Path) -> dict[str, float]:
    """Builds the board in a folder and returns the processor seconds of each part."""
    from listops_bench._base import beside
    from listops_bench.claims import page as claims_page
    from listops_bench.cli import main as command
    from listops_bench.leaderboard import output

    seconds: dict[str, float] = defaultdict(float)

    def watch(module: Any, name: str) -> None:
        own: Callable[..., Any] = getattr(module, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return own(*args, **kwargs)
            finally:
                seconds[name] += time.process_time() - began

        setattr(module, name, watched)

    for name in PARTS:
        watch(output, name)
    watch(claims_page, "make_claims")
    for module in (beside, output):
        setattr(module, "beside", lambda work: work)  # noqa: B010
    code = command(["leaderboard", "build", str(folder / "results"), "--output-dir", str(folder)])
    if code:
        raise SystemExit(code)
    return {name: round(value, 2) for name, value in sorted(seconds.items(), key=lambda item: -item[1])}


# --- the page ---------------------------------------------------------------------------------------------------------

ACT = """
const [act, done] = arguments, frame = () => new Promise(requestAnimationFrame);
const controls = {
  choose: (name, value) => {
    const field = document.querySelector(`#filters [name=${name}]`);
    field.value = value;
    field.dispatchEvent(new Event("input", {bubbles: true}));
  },
  click: (selector) => document.querySelector(selector).click(),
  key: (selector, key) => {
    const cell = document.querySelector(selector);
    cell.focus();
    cell.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  },
  point: (selector) => document.querySelector(selector).dispatchEvent(
    new PointerEvent("pointermove", {bubbles: true, clientX: 200, clientY: 200, pointerType: "mouse"})),
};
(async () => {
  await frame(); await frame();
  const begun = performance.now();
  controls[act[0]](...act.slice(1));
  await frame(); await frame();
  done(performance.now() - begun);
})();
"""


def page_figures(page: Path, rounds: int) -> dict[str, Any]:
    """Its size, and how long each control takes in a browser, from the act until the second frame after it."""
    figures: dict[str, Any] = {"bytes": page.stat().st_size}
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return figures
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1280,1000"):
        options.add_argument(f"--{argument}")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.set_page_load_timeout(120)
        browser.set_script_timeout(60)
        browser.get(page.as_uri())
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

        def busy() -> float:
            found = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return 1000 * next(float(one["value"]) for one in found if one["name"] == "TaskDuration")

        taken: dict[str, list[float]] = defaultdict(list)
        worked: dict[str, list[float]] = defaultdict(list)
        for act in acts(browser) * rounds:
            before, name = busy(), " ".join(act)
            taken[name].append(browser.execute_async_script(ACT, act))
            worked[name].append(busy() - before)
        loaded = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
        figures["load_ms"] = round(browser.execute_script(loaded))
        figures["frames_ms"] = round(median(taken.pop("point body")), 1)
    finally:
        browser.quit()
    found = {act: [round(median(times), 1), round(median(worked[act]), 1)] for act, times in taken.items()}
    return {
        **figures,
        "slowest_ms": max(milliseconds for milliseconds, _ in found.values()),
        "slowest_cpu_ms": max(milliseconds for _, milliseconds in found.values()),
        "controls_ms_and_cpu_ms": found,
    }


def acts(browser: Any) -> list[list[str]]:
    """What is done with each control, and is undone by what follows; the first does nothing."""
    names = "return [...document.querySelectorAll(arguments[0])].map(item => item[arguments[1]] || item.dataset.key)"
    found = [["point", "body"], ["choose", "text", "looped"], ["choose", "text", "then sum"], ["choose", "text", ""]]
    for name in browser.execute_script(names, "#filters select", "name"):
        values = browser.execute_script(names, f"#filters [name={name}] option", "value")
        found += [["choose", name, values[1]], ["choose", name, values[-1]], ["click", "#filters button"]]
    for table in ("results", "thresholds"):
        for key in browser.execute_script(names, f"#{table} th[data-key]:has(button)", "key"):
            found += 2 * [["click", f"#{table} th[data-key='{key}'] button"]]
    found += 2 * [["click", ".group .toggle"]]
    found += [
        ["key", "#matrix .cell[tabindex='0']", key] for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft")
    ]
    return [*found, ["point", "#matrix .cell"], ["point", "figure svg [aria-roledescription][aria-label]"]]


if __name__ == "__main__":
    main()
