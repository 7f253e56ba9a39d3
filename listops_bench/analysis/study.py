"""A checkpoint folder in, everything that the other modules say of it out.

    analyse(["runs/alone", "runs/joint"])   ->   [Analysis, Analysis]

Checkpoints of one call are asked about the same rows, those of the operations that all of them were trained on, so that
what differs is the models. Accuracy, ablations and tables are of all the operations a checkpoint was trained on.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from listops_bench.analysis.anatomy import anatomy_of, batches, residuals
from listops_bench.analysis.embedding import MIN_NUMBERS, Floats, Ints, Representation, represent
from listops_bench.analysis.memorisation import OperationTable, operation_table
from listops_bench.analysis.probe import StateProbe, probe_states
from listops_bench.analysis.reliance import Accuracy, Reliance, accuracy, reliance
from listops_bench.errors import InvalidInput
from listops_bench.evaluate.checkpoint import Checkpoint, architecture, open_checkpoint
from listops_bench.evaluate.decoding import exact_arithmetic
from listops_bench.evaluate.run import device_of
from listops_bench.model.ladder import parameter_counts
from listops_bench.runs.folder import RunFiles
from listops_bench.tasks.curriculum import parse_curriculum
from listops_bench.tasks.expression import FIRST_NUMBER_ID, OPERATIONS
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.task import TaskSpec, get_task
from listops_bench.tasks.training_kinds import plan_of

NUM_ROWS = 400
ROWS_PER_NUMBER = 20
"""Prompts that residual states are taken from, for each number at the least: so that every number occurs many times."""

NUM_STATES = 2_000
"""States of number tokens that a probe gets at most, spread over all prompts."""

OnStage = Callable[[str, str], None]


@dataclass(frozen=True)
class Place:
    """The states of the numbers at one place: ``name`` is "embedding" or "after loop 2"; no ``probe`` of a table."""

    name: str
    numbers: Representation
    probe: StateProbe | None


@dataclass(frozen=True)
class Moment:
    """A checkpoint saved while training: exact traces on validation rows by operation, and the embedding's numbers."""

    step: int
    accuracy: Mapping[str, Accuracy]
    embedding: Representation


@dataclass(frozen=True)
class Analysis:
    """Everything about one checkpoint.

    Attributes:
        name: the folder's name, made longer where two are alike.
        plan: the curriculum in words.
        operations: those it was trained on; ``asked`` those whose prompts the residual states are taken from.
        output: the output side of the numbers; None where it is the embedding itself (tied weights).
        places: the embedding, and the mean states of number tokens in prompts after each layer or loop.
        seen, unseen: exact traces on test rows, and on rows with operands that were held out, by operation.
        moments: over training, where checkpoints were saved on the way.
    """

    name: str
    folder: str
    weights_sha256: str
    curriculum: str
    plan: str
    seed: int | None
    architecture: str
    parameters: int
    modulus: int
    operations: tuple[str, ...]
    asked: tuple[str, ...]
    places: tuple[Place, ...]
    output: Representation | None
    reliance: Reliance
    seen: Mapping[str, Accuracy]
    unseen: Mapping[str, Accuracy]
    tables: tuple[OperationTable, ...]
    moments: tuple[Moment, ...]

    @property
    def embedding(self) -> Representation:
        return self.places[0].numbers


def analyse(
    folders: Sequence[str | os.PathLike[str]],
    *,
    tasks: Sequence[str] | None = None,
    num_rows: int = NUM_ROWS,
    device: str | None = "cpu",
    on_stage: OnStage = lambda name, stage: None,
) -> list[Analysis]:
    """Analyses checkpoint folders, of any sizes and families of ours.

    Args:
        tasks: whose operations to ask about; by default those that each checkpoint was trained on.
        num_rows: rows of each operation and split.
        device: where to compute; None is a GPU if there is one.
        on_stage: called with a checkpoint's name and what is done with it.

    Raises:
        InvalidInput: a broken folder, a foreign tokenizer or family, too few numbers, or a checkpoint that does not say
            what it was trained on while no tasks are given.
    """
    if num_rows < 2:
        raise InvalidInput(f"num_rows {num_rows} are too few rows; the least is 2")
    place = device_of(device)
    names = _names([Path(folder) for folder in folders])
    subjects = [_Subject.open(folder, name, tasks) for folder, name in zip(folders, names, strict=True)]
    shared = [op for op in OPERATIONS if all(op in subject.tasks for subject in subjects)]
    return [_analyse(subject, shared, num_rows, place, on_stage) for subject in subjects]


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' own names, with as many of the folders above as tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        twice = next(folder for folder, p in zip(folders, parts, strict=True) if parts.count(p) > 1)
        raise InvalidInput(f"checkpoint {str(twice)!r} is given twice")
    size = 1
    while len({p[-size:] for p in parts}) < len(parts):
        size += 1
    return ["/".join(p[-size:]) for p in parts]


@dataclass(frozen=True)
class _Subject:
    """An opened checkpoint; ``tasks`` has a task of one operation for each operation to ask about."""

    name: str
    folder: Path
    checkpoint: Checkpoint
    tasks: Mapping[str, TaskSpec]

    @staticmethod
    def open(folder: str | os.PathLike[str], name: str, tasks: Sequence[str] | None) -> _Subject:
        checkpoint = _open(folder)
        if checkpoint.modulus < MIN_NUMBERS:
            raise InvalidInput(
                f"checkpoint {str(folder)!r} has {checkpoint.modulus} numbers, and {MIN_NUMBERS} are the least that "
                "have an order to speak of"
            )
        anatomy_of(checkpoint.model)  # a family we do not know is refused before anything is computed
        return _Subject(name, Path(folder), checkpoint, _tasks(checkpoint, folder, tasks))


def _open(folder: str | os.PathLike[str]) -> Checkpoint:
    try:
        return open_checkpoint(folder)
    except InvalidInput as error:
        text = str(error)
        raise InvalidInput(text if str(folder) in text else f"checkpoint {str(folder)!r}: {text}") from None


def _tasks(checkpoint: Checkpoint, folder: str | os.PathLike[str], names: Sequence[str] | None) -> dict[str, TaskSpec]:
    if names is None:
        if checkpoint.training is None:
            raise InvalidInput(f"checkpoint {str(folder)!r} does not say what it was trained on; name the tasks")
        names = parse_curriculum(checkpoint.training.curriculum).tasks
    found: dict[str, TaskSpec] = {}
    for task in map(get_task, names):
        if task.modulus != checkpoint.modulus:
            raise InvalidInput(
                f"task {task.name!r} has modulus {task.modulus}, and checkpoint {str(folder)!r} was made for modulus "
                f"{checkpoint.modulus}"
            )
        for operation in task.operations:
            found.setdefault(operation, dataclasses.replace(task, operations=(operation,)))
    return {operation: found[operation] for operation in OPERATIONS if operation in found}


def _analyse(
    subject: _Subject, shared: Sequence[str], num_rows: int, device: torch.device, on_stage: OnStage
) -> Analysis:
    checkpoint, model = subject.checkpoint, subject.checkpoint.model
    asked = tuple(shared) or tuple(subject.tasks)
    training, weights = checkpoint.training, checkpoint.identity.weights_sha256
    assert weights is not None  # of what was loaded they are known
    model.to(device)

    def rows(split: str) -> dict[str, Rows]:
        return {name: _rows(task, split, num_rows, checkpoint) for name, task in subject.tasks.items()}

    with exact_arithmetic(model):
        on_stage(subject.name, "representation")
        test = rows("test")
        least = max(num_rows, ROWS_PER_NUMBER * checkpoint.modulus)
        prompts = [_rows(subject.tasks[name], "test", least, checkpoint) for name in asked]
        places = _places(model, prompts, checkpoint.modulus)
        on_stage(subject.name, "reliance")
        held_out = [*rows("validation").values()]
        leaning = reliance(model, test, held_out)
        on_stage(subject.name, "memorisation")
        unseen = {name: accuracy(model, part) for name, part in rows("test_unseen_operands").items()}
        tables = tuple(operation_table(model, name, checkpoint.modulus) for name in subject.tasks)
    on_stage(subject.name, "dynamics")
    moments = tuple(_moments(subject, num_rows, device))
    return Analysis(
        name=subject.name,
        folder=str(subject.folder),
        weights_sha256=weights,
        curriculum=training.curriculum if training else "not stated",
        plan=plan_of(training.curriculum) if training else "not stated",
        seed=checkpoint.recipe.seed,
        architecture=architecture(model.config).name,
        parameters=parameter_counts(model).total,
        modulus=checkpoint.modulus,
        operations=tuple(subject.tasks),
        asked=asked,
        places=places,
        output=_output(model, checkpoint.modulus),
        reliance=leaning,
        seen=leaning.intact,
        unseen=unseen,
        tables=tables,
        moments=moments,
    )


def _rows(task: TaskSpec, split: str, num_rows: int, checkpoint: Checkpoint) -> Rows:
    return generate(task, split, num_rows=min(num_rows, task.num_rows(split)), trace=checkpoint.trace)


# --- what the numbers look like ---------------------------------------------------------------------------------------


def number_vectors(weight: torch.Tensor, modulus: int) -> Floats:
    """float64 [n, D]: the numbers' rows of an embedding or output matrix [V, D]."""
    return weight.detach().double().cpu().numpy()[FIRST_NUMBER_ID : FIRST_NUMBER_ID + modulus]


def _places(model: PreTrainedModel, rows: Sequence[Rows], modulus: int) -> tuple[Place, ...]:
    weight = model.get_input_embeddings().weight
    word = anatomy_of(model).layer_word
    found = [Place("embedding", represent(number_vectors(weight, modulus)), None)]
    states, numbers, contexts = number_states(model, rows)
    keep = np.linspace(0, len(numbers) - 1, min(NUM_STATES, len(numbers))).astype(np.int64)
    for layer, of_layer in enumerate(states, start=1):
        means = np.stack([of_layer[numbers == number].mean(0) for number in range(modulus)])
        probe = probe_states(of_layer[keep], numbers[keep], contexts[keep], modulus)
        found.append(Place(f"after {word} {layer}", represent(means), probe))
    return tuple(found)


def _output(model: PreTrainedModel, modulus: int) -> Representation | None:
    inner, outer = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    tied = inner is outer or torch.equal(inner, outer)
    return None if tied else represent(number_vectors(outer, modulus))


def number_states(model: PreTrainedModel, rows: Sequence[Rows]) -> tuple[list[Floats], Ints, Ints]:
    """The residual states of the number tokens in prompts, after each layer.

    Returns:
        float64 [N, D] for each layer; int64 [N], which number; int64 [N], in which prompt (numbered through).
    """
    layers: list[list[Floats]] = [[] for _ in range(anatomy_of(model).num_layers)]
    numbers: list[Ints] = []
    contexts: list[Ints] = []
    before = 0
    for part in rows:
        for batch in batches(part):
            inputs = batch.ids[:, :-1]
            prompt = torch.arange(inputs.shape[1]) < torch.from_numpy(part.prompt_lengths[batch.rows])[:, None]
            wanted = prompt & (inputs >= FIRST_NUMBER_ID)
            stream = residuals(model, batch)
            for layer, states in enumerate(layers):
                states.append(stream[2 * layer + 2][wanted.to(model.device)].double().cpu().numpy())
            numbers.append((inputs[wanted] - FIRST_NUMBER_ID).numpy())
            contexts.append(before + batch.rows[wanted.nonzero()[:, 0].numpy()])
        before += len(part)
    return [np.concatenate(states) for states in layers], np.concatenate(numbers), np.concatenate(contexts)


# --- over training ----------------------------------------------------------------------------------------------------


def _moments(subject: _Subject, num_rows: int, device: torch.device) -> Iterator[Moment]:
    """The checkpoints saved on the way, and the one the run ended with."""
    steps = dict(RunFiles(subject.folder).step_checkpoints())
    if not steps:
        return
    checkpoint = subject.checkpoint
    rows = {name: _rows(task, "validation", num_rows, checkpoint) for name, task in subject.tasks.items()}
    last = checkpoint.training.steps if checkpoint.training else 0
    models = [(step, path) for step, path in steps.items() if step != last]
    for step, path in models:
        yield _moment(step, _open(path).model.to(device), rows, checkpoint.modulus)
    yield _moment(max(last, *steps), checkpoint.model, rows, checkpoint.modulus)


def _moment(step: int, model: PreTrainedModel, rows: Mapping[str, Rows], modulus: int) -> Moment:
    with exact_arithmetic(model):
        scores = {name: accuracy(model, part) for name, part in rows.items()}
    return Moment(step, scores, represent(number_vectors(model.get_input_embeddings().weight, modulus)))
