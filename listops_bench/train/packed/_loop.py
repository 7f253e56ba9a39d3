"""The training loop of a pack: all members step together, and each has a log, a validation and an end of its own.

    runs/a, runs/b ...             the members' checkpoint folders, written as each of them ends
    packs/3f9c0a1b2c4d.training    while the pack runs: config.json (who its members are), state.pt, train_log.jsonl

A pack that was stopped goes on from its last state and does again, bit by bit, what it did since.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from listops_bench._base.stopping import Stopped, never
from listops_bench.model.checkpoint import remove_unfinished, save_checkpoint
from listops_bench.model.packed import PackedLooped
from listops_bench.model.tokenizer import build_tokenizer
from listops_bench.runs.folder import RunFiles
from listops_bench.runs.provenance import environment
from listops_bench.runs.record import RunRecord
from listops_bench.train._batches import Pools
from listops_bench.train._log import TrainingFailed
from listops_bench.train._run_state import Stopwatch, initial_model
from listops_bench.train._state import RunFolder
from listops_bench.train.config import TrainConfig
from listops_bench.train.packed._data import STEPS, Chunk, Draws, RowTable, make_chunk
from listops_bench.train.packed._members import Member
from listops_bench.train.packed._step import Engine, PackedStep
from listops_bench.train.packed._validation import PackedValidation
from listops_bench.train.run import TrainResult, result_of

COMPACT_BELOW = 0.75
"""The pack is made smaller once this share of its slots, or less, still has a run in it."""


@dataclass(frozen=True)
class PackProgress:
    """Where a pack is, after a step: ``running`` of its runs go on, for ``total_steps`` at the most."""

    step: int
    total_steps: int
    running: int
    loss: float | None


OnPackStep = Callable[[PackProgress], None]


class PackTrainer:
    """K runs, from their first step or the pack's last saved state to K checkpoint folders."""

    def __init__(
        self,
        configs: Sequence[TrainConfig],
        folder: str | Path,
        engine: Engine,
        on_step: OnPackStep | None,
        stop: Callable[[], int] = never,
    ) -> None:
        self.engine, self.on_step, self.stop = engine.of(configs[0]), on_step, stop
        pools = Pools()
        self.members = [
            Member(c, c.identity(mixed_precision=self.engine.precision), index=index, draws=Draws(c, pools))
            for index, c in enumerate(configs)
        ]
        self.folder = RunFolder(str(folder), {"members": [member.identity for member in self.members]})
        self.table = RowTable(pools.rows, engine.device)
        self.validation = PackedValidation(self.members, engine.device)
        self.environment = environment(engine.device)
        for member in self.members:
            member.environments.append(self.environment)
        self.slots = list(self.members)
        self.step = self.resumed_at = 0
        self.total_steps = max(member.curriculum.steps for member in self.members)
        self.figures: list[torch.Tensor] = []
        self.stopwatch = Stopwatch()

    @property
    def running(self) -> list[Member]:
        return [member for member in self.members if member.status == "running"]

    def run(self) -> list[Member]:
        """Trains to the end. Returns the members, each of them done or failed."""
        state = self.folder.open()
        models = [initial_model(member.config) for member in self.members]
        self.template = models[0]
        self.model = PackedLooped(self.template)
        weights = self.model.flatten(models)
        if state is None:
            self.train_step = self._step_of(weights)
        else:
            self._restore(state, weights)
        with ThreadPoolExecutor(1) as worker:
            self._train(worker)
        self.folder.remove()
        return self.members

    def _step_of(self, weights: torch.Tensor) -> PackedStep:
        """The step for the runs that are in the slots."""
        configs = [member.config for member in self.slots]
        return PackedStep(self.model, weights, configs, self.table, self.engine, self.template)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _train(self, worker: ThreadPoolExecutor) -> None:
        self._end_members()  # a state may have been saved at the very end of some
        while self.running:
            for chunk in self._chunks(worker):
                slots = self.slots
                while self.step < chunk.stop and self.running and self.slots is slots:
                    self._end_if_asked()
                    self._train_step(chunk)
                if self.slots is not slots or not self.running:
                    break

    def _end_if_asked(self) -> None:
        code = self.stop()
        if code:
            self._save()
            raise Stopped(code, f"saved after step {self.step} of {self.total_steps}")

    def _chunks(self, worker: ThreadPoolExecutor) -> Iterator[Chunk]:
        """Chunks for the slots as they are now, from the current step on; each is made while the one before it runs."""
        draws, dtype = [member.draws for member in self.slots], self.train_step.weights.dtype

        def prepare(number: int) -> Future[Chunk]:
            return worker.submit(make_chunk, number, draws, self.table, dtype)

        following = prepare(self.step // STEPS)
        while True:
            chunk = following.result().to(self.engine.device)
            following = prepare(self.step // STEPS + 1)
            yield chunk

    def _train_step(self, chunk: Chunk) -> None:
        i = self.step - chunk.first
        self.figures.append(self.train_step(chunk, i))
        self.step += 1
        for slot, member in self._in_slots():
            member.count_step(int(chunk.tokens[i, slot]), int(chunk.loss_tokens[i, slot]), chunk.reductions[i, slot])
        if any(member.line_is_due for member in self.running):
            self._log(chunk.learning_rates[i])
        save_steps = self.members[0].config.save_steps
        if save_steps and self.step % save_steps == 0:
            self._save()
        self._end_members()
        if self.on_step is not None:
            losses = [member.loss for member in self.members if member.loss is not None]
            loss = sum(losses) / len(losses) if losses else None
            self.on_step(PackProgress(self.step, self.total_steps, len(self.running), loss))

    def _in_slots(self) -> list[tuple[int, Member]]:
        """(slot, member) of the runs that go on."""
        return [(slot, member) for slot, member in enumerate(self.slots) if member.status == "running"]

    # --- log, validation, end -----------------------------------------------------------------------------------------

    def _read_figures(self) -> None:
        """Gives the members the figures of the steps since the last time; waits for the device."""
        if self.figures:
            figures = torch.stack(self.figures).tolist()
            self.figures = []
            for slot, member in self._in_slots():
                member.add_figures([(step[slot][0], step[slot][1]) for step in figures])

    def _log(self, rates: Any) -> None:
        """Writes a line for every member that is due one, with validation figures where those are due."""
        self._read_figures()
        logged = [(s, m) for s, m in self._in_slots() if m.pending and m.line_is_due]
        lines = {slot: member.line(float(rates[slot])) for slot, member in logged}
        due = {slot: member for slot, member in logged if member.validation_is_due}
        if due:
            figures = self.validation(self.model, self.train_step.weights, due)
            for slot, member in due.items():
                member.add_validation(figures[slot])
                lines[slot]["validation"] = member.validation
        now = time.monotonic()
        for slot, member in logged:
            member.since = now
            self.folder.append_log({"member": member.index, **lines[slot]})

    def _end_members(self) -> None:
        """Writes the checkpoints of those that have come to their end; the others get the room, once it is worth it."""
        for slot, member in self._in_slots():
            if member.is_over:
                self._finish(slot, member)
        left = [slot for slot, _ in self._in_slots()]
        if left and len(left) <= COMPACT_BELOW * len(self.slots):
            self._keep_slots(left)

    def _keep_slots(self, left: Sequence[int]) -> None:
        self._read_figures()
        index = torch.tensor(left, device=self.engine.device)
        tensors = {name: tensor[index] for name, tensor in self.train_step.tensors.items()}
        self.slots = [self.slots[slot] for slot in left]
        self.train_step = self._step_of(tensors["weights"])
        self.train_step.restore(tensors)

    def _finish(self, slot: int, member: Member) -> None:
        if not self.train_step.weights[slot].isfinite().all():
            member.status = "failed"
            return
        member.status = "done"
        if self.finished_run(member) is not None:  # written before the process was killed
            return
        target = member.config.output_dir
        remove_unfinished(target)
        run = member.record(self.environment, self.stopwatch.seconds, "packed", packed_runs=len(self.members))

        def add_log(path: Path) -> None:
            """The lines of the member, as a run alone has them."""
            lines = [json.loads(line) for line in self.folder.log.read_text(encoding="utf-8").splitlines()]
            own = [line for line in lines if line.pop("member") == member.index]
            text = "".join(json.dumps(line) + "\n" for line in own)
            RunFiles(path).log.write_text(text, encoding="utf-8", newline="\n")

        self.model.write_into(self.template, self.train_step.weights[slot])
        tokenizer = build_tokenizer(member.curriculum.symbol_set)
        save_checkpoint(target, self.template.eval(), tokenizer, run, finish=add_log)

    def finished_run(self, member: Member) -> RunRecord | None:
        """The record of a member whose checkpoint is there."""
        return RunFolder(member.config.output_dir, member.identity).finished_run()

    def outcome(self, member: Member) -> TrainResult | TrainingFailed:
        """What has become of a member."""
        record = self.finished_run(member)
        if record is None:
            return TrainingFailed(member.step, member.loss)
        return result_of(Path(member.config.output_dir), record, resumed_at=self.resumed_at)

    # --- state --------------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        self._read_figures()  # what a bad loss has spoilt must not go on as if it had not
        self.folder.save_state(
            {
                "step": self.step,
                "slots": [member.index for member in self.slots],
                "tensors": {name: tensor.cpu() for name, tensor in self.train_step.tensors.items()},
                "members": [member.state() for member in self.members],
                "seconds": self.stopwatch.seconds,
            }
        )

    def _restore(self, state: dict[str, Any], initial: torch.Tensor) -> None:
        self.step = self.resumed_at = state["step"]
        self.slots = [self.members[index] for index in state["slots"]]
        for member, own in zip(self.members, state["members"], strict=True):
            member.restore_member(own, self.step)
        self.train_step = self._step_of(initial[state["slots"]])
        self.train_step.restore(state["tensors"])
        self.stopwatch.before = state["seconds"]
