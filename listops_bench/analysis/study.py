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
from listops_bench.tasks.curriculum import recorded_curriculum
from listops_bench.tasks.generator import Rows, generate
from listops_bench.tasks.symbols import Symbols, symbols_of
from listops_bench.tasks.task import TaskSpec, get_task
from listops_bench.tasks.training_kinds import plan_of

NUM_ROWS = 400
ROWS_PER_NUMBER = 20
"""Prompts that residual states are taken from, for each number at the least: so that every number occurs many times."""

NUM_STATES = 2_000
"""States of number tokens that a probe gets at most, spread over all prompts."""

OnStage = Callable[[str, str], None]


@dataclass(frozen=True)
class LayerRepresentation:
    """The numbers in one layer of the residual stream.

    Attributes:
        name: "embedding", or "after loop 2".
        numbers: of the embedding's rows, or of the mean states of number tokens in prompts.
        probe: of single states; None for the embedding.
    """

    name: str
    numbers: Representation
    probe: StateProbe | None


@dataclass(frozen=True)
class SavedStep:
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
        operations: those it was trained on, or that were asked for.
        asked: those of them whose prompts the residual states are taken from.
        output: the output side of the numbers; None where it is the embedding itself (tied weights).
        layers: the embedding, and the states of number tokens in prompts after each layer or loop.
        seen: accuracy on test rows, by operation.
        unseen: accuracy on rows with operands that were held out, by operation.
        saved_steps: over training, where checkpoints were saved on the way.
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
    layers: tuple[LayerRepresentation, ...]
    output: Representation | None
    reliance: Reliance
    seen: Mapping[str, Accuracy]
    unseen: Mapping[str, Accuracy]
    tables: tuple[OperationTable, ...]
    saved_steps: tuple[SavedStep, ...]

    @property
    def embedding(self) -> Representation:
        return self.layers[0].numbers


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
    opened = [
        _Subject.open(folder, name, tasks, num_rows)
        for folder, name in zip(folders, _names([Path(folder) for folder in folders]), strict=True)
    ]
    shared = tuple(op for op in opened[0].tasks if all(op in subject.tasks for subject in opened))
    where = device_of(device)
    return [subject.analyse(shared or tuple(subject.tasks), where, on_stage) for subject in opened]


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
    num_rows: int

    @classmethod
    def open(cls, folder: str | os.PathLike[str], name: str, tasks: Sequence[str] | None, num_rows: int) -> _Subject:
        checkpoint = _open(folder)
        if checkpoint.symbols.size < MIN_NUMBERS:
            raise InvalidInput(
                f"checkpoint {str(folder)!r} has {checkpoint.symbols.size} numbers, and {MIN_NUMBERS} are the least "
                "that have an order to speak of"
            )
        anatomy_of(checkpoint.model)  # an unknown family is refused before anything is computed
        return cls(name, Path(folder), checkpoint, _tasks(checkpoint, folder, tasks), num_rows)

    def rows(self, split: str, at_least: int = 0) -> dict[str, Rows]:
        """Rows of a split, by operation."""
        number = max(self.num_rows, at_least)
        return {
            name: generate(task, split, num_rows=min(number, task.num_rows(split)), trace=self.checkpoint.trace)
            for name, task in self.tasks.items()
        }

    def analyse(self, asked: tuple[str, ...], device: torch.device, on_stage: OnStage) -> Analysis:
        checkpoint, model, symbols = self.checkpoint, self.checkpoint.model, self.checkpoint.symbols
        training, weights = checkpoint.training, checkpoint.identity.weights_sha256
        assert weights is not None  # of what was loaded they are known
        model.to(device)
        with exact_arithmetic(model):
            on_stage(self.name, "representation")
            prompts = self.rows("test", at_least=ROWS_PER_NUMBER * symbols.size)
            layers = _layers(model, [prompts[name] for name in asked], symbols)
            on_stage(self.name, "reliance")
            relied_on = reliance(model, self.rows("test"), [*self.rows("validation").values()])
            on_stage(self.name, "memorisation")
            unseen = {name: accuracy(model, rows) for name, rows in self.rows("test_unseen_operands").items()}
            tables = tuple(operation_table(model, name, symbols, task) for name, task in self.tasks.items())
        on_stage(self.name, "dynamics")
        return Analysis(
            name=self.name,
            folder=str(self.folder),
            weights_sha256=weights,
            curriculum=training.curriculum if training else "not stated",
            plan=plan_of(training.curriculum) if training else "not stated",
            seed=checkpoint.recipe.seed,
            architecture=architecture(model.config).name,
            parameters=parameter_counts(model).total,
            modulus=symbols.size,
            operations=tuple(self.tasks),
            asked=asked,
            layers=layers,
            output=_output(model, symbols),
            reliance=relied_on,
            seen=relied_on.intact,
            unseen=unseen,
            tables=tables,
            saved_steps=tuple(self.saved_steps(device)),
        )

    def saved_steps(self, device: torch.device) -> Iterator[SavedStep]:
        """The checkpoints saved on the way, and the one the run ended with."""
        steps = dict(RunFiles(self.folder).step_checkpoints())
        if not steps:
            return
        rows = self.rows("validation")
        last = self.checkpoint.training.steps if self.checkpoint.training else 0
        for step, path in steps.items():
            if step != last:
                yield _saved_step(step, _open(path).model.to(device), rows, self.checkpoint.symbols)
        yield _saved_step(max(last, *steps), self.checkpoint.model, rows, self.checkpoint.symbols)


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
        names = recorded_curriculum(checkpoint.training.curriculum).tasks
    found: dict[str, TaskSpec] = {}
    for task in map(get_task, names):
        if task.symbol_set != checkpoint.symbols:
            raise InvalidInput(
                f"task {task.name!r} has {task.symbol_set}, and checkpoint {str(folder)!r} was made for "
                f"{checkpoint.symbols}"
            )
        for operation in task.operations:
            found.setdefault(operation, dataclasses.replace(task, operations=(operation,)))
    return {operation: found[operation] for operation in checkpoint.symbols.operations if operation in found}


# --- what the numbers look like ---------------------------------------------------------------------------------------


def number_vectors(weight: torch.Tensor, modulus: Symbols | int) -> Floats:
    """float64 [n, D]: the numbers' rows of an embedding or output matrix [V, D]."""
    symbols = symbols_of(modulus)
    return weight.detach().double().cpu().numpy()[symbols.first_number_id :][: symbols.size]


def _layers(model: PreTrainedModel, rows: Sequence[Rows], symbols: Symbols) -> tuple[LayerRepresentation, ...]:
    weight = model.get_input_embeddings().weight
    word = anatomy_of(model).layer_word
    found = [LayerRepresentation("embedding", represent(number_vectors(weight, symbols)), None)]
    states, numbers, contexts = number_states(model, rows)
    keep = np.linspace(0, len(numbers) - 1, min(NUM_STATES, len(numbers))).astype(np.int64)
    for layer, of_layer in enumerate(states, start=1):
        means = np.stack([of_layer[numbers == number].mean(0) for number in range(symbols.size)])
        probe = probe_states(of_layer[keep], numbers[keep], contexts[keep], symbols.size)
        found.append(LayerRepresentation(f"after {word} {layer}", represent(means), probe))
    return tuple(found)


def _output(model: PreTrainedModel, symbols: Symbols) -> Representation | None:
    inner, outer = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    tied = inner is outer or torch.equal(inner, outer)
    return None if tied else represent(number_vectors(outer, symbols))


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
        first = part.task.symbol_set.first_number_id
        for batch in batches(part):
            inputs = batch.ids[:, :-1]
            prompt = torch.arange(inputs.shape[1]) < torch.from_numpy(part.prompt_lengths[batch.rows])[:, None]
            wanted = prompt & (inputs >= first)
            stream = residuals(model, batch)
            for layer, states in enumerate(layers):
                states.append(stream[2 * layer + 2][wanted.to(model.device)].double().cpu().numpy())
            numbers.append((inputs[wanted] - first).numpy())
            contexts.append(before + batch.rows[wanted.nonzero()[:, 0].numpy()])
        before += len(part)
    return [np.concatenate(states) for states in layers], np.concatenate(numbers), np.concatenate(contexts)


def _saved_step(step: int, model: PreTrainedModel, rows: Mapping[str, Rows], symbols: Symbols) -> SavedStep:
    with exact_arithmetic(model):
        scores = {name: accuracy(model, part) for name, part in rows.items()}
    return SavedStep(step, scores, represent(number_vectors(model.get_input_embeddings().weight, symbols)))
