"""The child of an `Examiner`: opens and scores what it is asked to, in as much memory as it is given."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import IO, Any

from listops_bench._base import records
from listops_bench._base.limits import limit_memory
from listops_bench._base.text import one_line
from listops_bench.errors import EnvironmentFailed, InvalidInput


def main() -> None:
    """Answers questions until there are no more, which is also when the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers, questions = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what libraries print is nobody's, and may be a stranger's text
        os.dup2(nowhere, stream)
    waiting: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(questions, waiting), daemon=True).start()

    from listops_bench.evaluate import checkpoint, run  # noqa: F401 - before the limit, which is on what comes after

    limit_memory(int(sys.argv[1]))
    while True:
        question = json.loads(waiting.get())
        try:
            _say(answers, found=_answer(question, answers))
        except EnvironmentFailed as error:
            _say(answers, error=str(error), kind="environment")
        except InvalidInput as error:
            _say(answers, error=str(error))
        except Exception as error:  # whatever a model does when it is run
            _say(answers, error=f"{question['what']} cannot be run: {one_line(error, with_type=True)}")


def _listen(questions: IO[bytes], waiting: queue.Queue[bytes]) -> None:
    for line in questions:
        waiting.put(line)
    os._exit(0)


def _say(answers: IO[bytes], **answer: Any) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def _answer(question: dict[str, Any], answers: IO[bytes]) -> Any:
    from listops_bench.evaluate._ties import near_ties
    from listops_bench.evaluate.checkpoint import Checkpoint, architecture, open_origin
    from listops_bench.evaluate.examiner import Description, Outcome
    from listops_bench.evaluate.run import device_of, evaluate_many, split_rows
    from listops_bench.model.ladder import parameter_counts
    from listops_bench.model.origin import Origin
    from listops_bench.model.tensors import tensors_sha256
    from listops_bench.tasks.generator import generate
    from listops_bench.tasks.pages import remember_pages
    from listops_bench.tasks.task import get_task

    remember_pages(question["pages"], question["what"])
    if question["asked"] == "rows":
        (task,), (split,) = question["tasks"], question["splits"]
        return records.encode(split_rows(task, split, question["num_rows"], question["trace"]))

    def opened(member: dict[str, Any]) -> Checkpoint:
        folder = Path(member["folder"])
        found = open_origin(Origin(folder, member.get("id"), member.get("revision")))
        if member.get("weights_sha256") not in (None, found.identity.weights_sha256):
            raise InvalidInput(f"checkpoint {str(folder)!r} has other weights than it had a moment ago")
        return found

    if question["asked"] == "look":
        found = opened(question)
        description = Description(
            found.identity,
            found.recipe,
            parameter_counts(found.model),
            architecture(found.model.config),
            found.training,
            found.learning,
            tensors_sha256(found.model),
        )
        return records.encode(description)
    if question["asked"] == "ties":
        found = opened(question)
        task, options = get_task(question["tasks"][0]), question["options"]
        found.model.to(device_of(options["device"]))
        return {
            split: near_ties(found.model, generate(task, split, num_rows=task.num_rows(split), trace=options["trace"]))
            for split in question["splits"]
        }
    members, outcomes = dict[int, Checkpoint](), dict[int, Outcome]()
    for i, member in enumerate(question["members"]):
        try:
            members[i] = opened(member)
        except InvalidInput as error:
            outcomes[i] = Outcome([], str(error))
    results = evaluate_many(
        [*members.values()],
        question["tasks"],
        question["splits"],
        on_split=lambda task, split: _say(answers, split=[task, split]),
        **question["options"],
    )
    for i, one in zip(members, results, strict=True):
        outcomes[i] = Outcome([], str(one)) if isinstance(one, InvalidInput) else Outcome(one)
    return records.encode([outcomes[i] for i in range(len(outcomes))])
