"""Results measured again: those of one task and shape of model together, by some examiners side by side.

What is wrong with one checkpoint is no matter to the others of its pack: where a pack fails (its process ended, say),
each of it is measured by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Literal

from listops_bench._base.text import utc_timestamp
from listops_bench.errors import EnvironmentFailed, InvalidInput
from listops_bench.evaluate._compare import compare
from listops_bench.evaluate.examiner import Examiner, examiner
from listops_bench.result.format import Result
from listops_bench.result.rules import against
from listops_bench.result.verified import Verification

_PACK = 16
"""Results of one pack, after which what was found is recorded."""
_MOST_PARAMETERS = 1_000_000
"""Of a model that is measured in a pack: a larger one takes too much of the time that an examiner has."""


@dataclass(frozen=True)
class Verdict:
    """What verifying one result file came to.

    Attributes:
        path: the file.
        status: "unverifiable" where there is nothing to compare it with.
        reason: one line.
        record: of a verified result.
    """

    path: Path
    status: Literal["verified", "refuted", "unverifiable"]
    reason: str
    record: Verification | None = None


@dataclass(frozen=True)
class Candidate:
    """A valid result with its checkpoint, which says the same of itself; and copies of the weights that do, too."""

    path: Path
    result: Result
    folders: tuple[Path, ...]
    tensors_sha256: str | None


def measure(candidates: Sequence[Candidate], device: str | None, jobs: int) -> Iterator[list[Verdict]]:
    """The verdicts of some results, as they come.

    Args:
        jobs: processes that evaluate at the same time.
    """
    packs = _packs(candidates)
    examiners = [examiner(), *(Examiner() for _ in range(min(jobs, len(packs)) - 1))]
    free, stopped = SimpleQueue[Examiner](), Event()
    for one in examiners:
        free.put(one)

    def of_pack(pack: list[Candidate]) -> list[Verdict]:
        mine = free.get()
        try:
            return [] if stopped.is_set() else _of_pack(pack, device, mine, stopped)
        finally:
            free.put(mine)

    done = False
    with ThreadPoolExecutor(max(1, len(examiners))) as pool:
        try:
            for future in as_completed([pool.submit(of_pack, pack) for pack in packs]):
                yield future.result()
            done = True
        finally:  # stopped halfway, nobody waits for the answers of those that are at work
            stopped.set()
            for one in examiners[1:] if done else examiners:
                one.close()


def _packs(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Those that can be measured together, the largest models first: no process is left alone with them at the end."""
    alike: defaultdict[str, list[Candidate]] = defaultdict(list)
    for one in candidates:
        result = one.result
        alike[f"{result.architecture} {result.task} {sorted(result.splits)} {result.track}"].append(one)
    packs = []
    for group in sorted(alike.values(), key=lambda group: -group[0].result.parameters.total):
        size = _PACK if group[0].result.parameters.total <= _MOST_PARAMETERS else 1
        packs += [group[start : start + size] for start in range(0, len(group), size)]
    return packs


def _of_pack(pack: list[Candidate], device: str | None, mine: Examiner, stopped: Event) -> list[Verdict]:
    measured: Sequence[Result | InvalidInput] = []
    if len(pack) > 1:
        with suppress(InvalidInput, EnvironmentFailed):  # of one of them
            measured = _score(pack, [one.folders[0] for one in pack], device, mine)
    verdicts: list[Verdict] = []
    for i, one in enumerate(pack):
        if stopped.is_set():
            break
        verdict = _judged(one, one.folders[0], measured[i], device, mine) if measured else None
        if verdict is None or verdict.status != "verified":
            verdict = _by_itself(one, one.folders[1:] if measured else one.folders, device, mine) or verdict
        assert verdict is not None
        verdicts.append(verdict)
    return verdicts


def _by_itself(one: Candidate, folders: Sequence[Path], device: str | None, mine: Examiner) -> Verdict | None:
    """The verdict by the first checkpoint that answers as the result says; by the last where none does."""
    verdict = None
    for folder in folders:
        try:
            (measured,) = _score([one], [folder], device, mine)
        except InvalidInput as error:
            measured = error
        verdict = _judged(one, folder, measured, device, mine)
        if verdict.status == "verified":
            break
    return verdict


def _score(
    pack: Sequence[Candidate], folders: Sequence[Path], device: str | None, mine: Examiner
) -> list[Result | InvalidInput]:
    """The results of some checkpoints on the task of results that are alike."""
    result = pack[0].result
    found = mine.score_many(
        folders,
        [one.result.model.weights_sha256 for one in pack],
        [result.task.name],
        list(result.splits),
        trace=result.task.trace,
        track=result.track,
        device=device,
    )
    return [one if isinstance(one, InvalidInput) else one[0] for one in found]


def _judged(
    one: Candidate, folder: Path, measured: Result | InvalidInput, device: str | None, mine: Examiner
) -> Verdict:
    path, result = one.path, one.result
    task, sha256 = result.task, result.model.weights_sha256
    try:
        if isinstance(measured, InvalidInput):
            raise measured
        found = {name: compare(claimed, measured.splits[name]) for name, claimed in result.splits.items()}
        if unlike := [name for name, split in found.items() if not split.same_predictions]:
            ties = mine.ties(folder, task.name, unlike, trace=task.trace, weights_sha256=sha256, device=device)
            found |= {name: compare(result.splits[name], measured.splits[name], ties[name]) for name in unlike}
    except InvalidInput as error:
        return Verdict(path, "unverifiable", f"{path}: {against('checkpoint', error)}")
    for name, split in found.items():
        if split.problem is not None:
            return Verdict(path, "refuted", f"{path}: {against('answers', f'{name}: {split.problem}')}")
    rows, differing = sum(s.n for s in result.splits.values()), sum(s.differing for s in found.values())
    same = all(split.same_predictions for split in found.values())
    record = Verification(
        path="/".join(path.parts[-3:]),
        rows=rows,
        differing=differing,
        same_predictions=same,
        created=utc_timestamp(),
        environment=measured.evaluation.environment,
        tensors_sha256=one.tensors_sha256,
        splits={name: measured.splits[name] for name, split in found.items() if not split.same_predictions},
    )
    answers = "the same answers" if same else f"{differing} rows or more differ, where there are near ties"
    return Verdict(path, "verified", f"{rows:,} rows evaluated again: {answers}", record)
