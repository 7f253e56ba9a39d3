"""Input of strangers, changed at random, given to the real commands: ``python -m tests.fuzz --minutes 10``.

So many of each: ``--attempts checkpoint=500 result=1200 sweep=400 lm-eval=200 curriculum=100 regime=100``.

Every attempt runs in a process of its own with limits of time and memory. It is to be accepted, or refused in one
line; nothing that comes with it may run; what is verified is what an honest result says. An attempt is its kind and its
seed: ``--repeat checkpoint/17`` runs it again, and what fails is kept below ``--output-dir`` with what it printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", OMP_NUM_THREADS="1")
os.environ.update(TOKENIZERS_PARALLELISM="false", MKL_NUM_THREADS="1", HF_TOKEN="")

from tests.fuzz.attempt import make_base
from tests.fuzz.child import OUTCOMES
from tests.fuzz.inputs import KINDS, attempt_once

OFTEN = {"checkpoint": 5, "result": 20, "sweep": 10, "curriculum": 4, "regime": 4, "expression": 4, "lm-eval": 6}
"""How often each kind is tried, one beside the other."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kind", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--attempts", nargs="+", metavar="[KIND=]N", help="so many of each kind, or of these, instead")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() // 10**9 % 10**6, help="the first (default: the time)"
    )
    parser.add_argument("--repeat", metavar="KIND/SEED", help="this one alone, and show what it prints")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--output-dir", type=Path, default=Path("runs/fuzz"), help="for what fails")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="listops-fuzz-"))
    try:
        return Session(options, work).run()
    finally:
        shutil.rmtree(work, ignore_errors=True)


class Session:
    """Attempts one after the other, and their count by kind and outcome."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        os.environ["HF_HOME"] = str(work / "hf")
        self.base = make_base(work / "base")
        self.counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.failed: list[str] = []

    def run(self) -> int:
        if self.options.repeat:
            kind, _, seed = self.options.repeat.rpartition("/")
            self.attempt(kind, seed, show=True)
            return self.report()
        counts = _counts(self.options.attempts or [], self.options.kind)
        for kind in counts or self.options.kind:  # honest, in this process first: imports what the others need
            self.attempt(kind, "0")
        print(f"seeds from {self.options.seed}", flush=True)
        turns = itertools.cycle(
            [kind for kind, often in OFTEN.items() for _ in range(often) if kind in self.options.kind]
        )
        if counts:
            turns = iter([kind for kind, count in counts.items() for _ in range(count)])
        until, number = time.monotonic() + 60 * self.options.minutes, self.options.seed
        for kind in turns:
            if not counts and time.monotonic() > until:
                break
            number += 1
            self.attempt(kind, str(number))
        return self.report()

    def attempt(self, kind: str, seed: str, *, show: bool = False) -> None:
        name = f"{kind}/{seed}"
        folder = self.work / "attempts" / name
        tried = attempt_once(kind, seed, self.base, folder, seconds=self.options.seconds)
        words, outcome = tried.attempt.words, tried.outcome
        self.counts[kind].update({outcome.kind, *(problem.partition(":")[0] for problem in tried.problems)})
        if show:
            print(words, outcome.kind, outcome.code, *outcome.watched, outcome.err, sep="\n")
        if tried.problems:
            self.failed.append(name)
            kept = self.options.output_dir / name
            shutil.rmtree(kept, ignore_errors=True)
            _move(folder, kept)
            (kept / "attempt.json").write_text(json.dumps({"words": words, "problems": tried.problems}))
            print(f"{name}: {'; '.join(tried.problems)}: {words}\n  {_last_line(outcome.err)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)

    def report(self) -> int:
        for kind, counts in self.counts.items():
            if counts:
                print(f"{kind}: {sum(counts[k] for k in OUTCOMES)} attempts: {dict(counts)}")
        print(f"{len(self.failed)} of {sum(c[k] for c in self.counts.values() for k in OUTCOMES)} attempts failed")
        for name in self.failed[:50]:
            print(f"  python -m tests.fuzz --repeat {name}")
        return 1 if self.failed else 0


def _counts(words: list[str], kinds: list[str]) -> dict[str, int]:
    """``["5"]`` as 5 of all kinds, ``["result=7"]`` as 7 of one."""
    pairs = [word.partition("=")[::2] if "=" in word else ("", word) for word in words]
    counts = {kind: int(number) for name, number in pairs for kind in ([name] if name else kinds)}
    if unknown := counts.keys() - set(KINDS):
        raise SystemExit(f"no such kind: {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    return counts


def _move(folder: Path, target: Path) -> None:
    """Keeps what is small: a sparse file of 100 GB, or a device, is of no use."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 2_000_000:
            kept = target / path.relative_to(folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)
    target.mkdir(parents=True, exist_ok=True)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""


if __name__ == "__main__":
    sys.exit(main())
